//! Blue and green: built anew beside the one that serves, and switched in one step.

use super::{Balances, SOON, balance, balances, brief, moved, replayed, soon, state};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tenure::consumer::{Consumed, Then};
use tenure::prelude::*;
use tenure::projection::{Memory, Projection, RebuildError};

on_both_shells!(
    readers_see_the_old_one_until_they_see_the_new_one,
    what_was_seen_is_seen_after_it_too,
    a_failure_leaves_the_old_one,
    two_at_once_are_refused,
    the_next_start_finds_the_new_one,
    a_stop_meanwhile_ends_both,
);

/// A projection whose fold does another thing as soon as it is mended: it counts cents twice before.
async fn wrong(node: &Tenure, mended: &Arc<AtomicBool>) -> Projection<Memory<Balances>> {
    let mended = Arc::clone(mended);
    let wrong = node
        .projection("balances", Memory::<Balances>::default())
        .failing(brief(0, Then::Stop))
        .fold::<Account>(
            move |balances: &mut Balances, event: &Consumed<AccountEvent>| {
                balance(balances, event);
                if !mended.load(Ordering::Relaxed) {
                    balances.0.entry("wrong".to_owned()).or_default().1 += 1;
                }
            },
        );
    wrong.start().await.unwrap()
}

async fn readers_see_the_old_one_until_they_see_the_new_one(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=200).await;
    let mended = Arc::new(AtomicBool::new(false));
    let projection = wrong(&node, &mended).await;
    soon(projection.live()).await.unwrap();
    mended.store(true, Ordering::Relaxed);
    let rebuilding = tokio::spawn({
        let projection = projection.clone();
        async move { projection.rebuild().await }
    });
    // All that is read meanwhile is the whole old state, or the whole new one.
    let (mut old, mut new) = (0_u32, 0_u32);
    soon(async {
        while new == 0 {
            projection.read(|balances| {
                assert_eq!(balances.0["alice"], (20_100, 200), "half a state");
                match balances.0.get("wrong") {
                    Some((0, 200)) => old += 1,
                    None => new += 1,
                    other => panic!("half a state: {other:?}"),
                }
            });
            tokio::task::yield_now().await;
        }
    })
    .await;
    soon(rebuilding).await.unwrap().unwrap();
    assert!(old > 0);
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
    let last = moved(&accounts, "alice", [1]).await;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
    assert_eq!(projection.status().mark.generation, 2);
    projection.stop().await.unwrap();
}

async fn what_was_seen_is_seen_after_it_too(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=50).await;
    let projection = balances(&node, "balances").start().await.unwrap();
    let rebuilding = tokio::spawn({
        let projection = projection.clone();
        async move { projection.rebuild().await }
    });
    let mut moves = 50;
    while !rebuilding.is_finished() {
        let last = moved(&accounts, "alice", [1]).await;
        moves += 1;
        projection
            .seen::<Account>("alice", last, SOON)
            .await
            .unwrap();
        assert_eq!(projection.read(|balances| balances.0["alice"].1), moves);
    }
    rebuilding.await.unwrap().unwrap();
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
    projection.stop().await.unwrap();
}

async fn a_failure_leaves_the_old_one(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=5).await;
    let folds = Arc::new(AtomicU32::new(0));
    let projection = node
        .projection("balances", Memory::<Balances>::default())
        .failing(brief(0, Then::Stop))
        .fold::<Account>({
            let folds = Arc::clone(&folds);
            move |balances: &mut Balances, event: &Consumed<AccountEvent>| {
                balance(balances, event);
                let again = event.version == Version(3) && folds.load(Ordering::Relaxed) > 0;
                match again {
                    true => Err("not twice"),
                    false => Ok(()),
                }
            }
        })
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    folds.store(1, Ordering::Relaxed);
    let error = soon(projection.rebuild()).await.unwrap_err();
    assert!(matches!(error, RebuildError::Green(_)), "{error:?}");
    assert!(error.to_string().contains("not twice"), "{error}");
    // The old one goes on.
    let last = moved(&accounts, "alice", 6..=9).await;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
    assert!(!projection.status().rebuilding);
    projection.stop().await.unwrap();
}

async fn two_at_once_are_refused(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=50).await;
    let projection = balances(&node, "balances").start().await.unwrap();
    let (first, second) = tokio::join!(projection.rebuild(), projection.rebuild());
    let error = second.unwrap_err();
    assert!(matches!(error, RebuildError::UnderWay { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("balances is being built anew already")
    );
    first.unwrap();
    soon(projection.rebuild()).await.unwrap();
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
    projection.stop().await.unwrap();
}

async fn the_next_start_finds_the_new_one(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=20).await;
    let mended = Arc::new(AtomicBool::new(false));
    let projection = wrong(&node, &mended).await;
    soon(projection.live()).await.unwrap();
    mended.store(true, Ordering::Relaxed);
    soon(projection.rebuild()).await.unwrap();
    // Without a stop, as after a crash.
    let other = world.node().await;
    let successor = wrong(&other, &mended).await;
    soon(successor.live()).await.unwrap();
    assert_eq!(successor.store().status().folded, 0);
    assert_eq!(state(&successor), replayed(&accounts, &["alice"]).await);
    assert_eq!(successor.status().mark.generation, 2);
    successor.stop().await.unwrap();
}

async fn a_stop_meanwhile_ends_both(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=300).await;
    let projection = balances(&node, "balances").start().await.unwrap();
    soon(projection.live()).await.unwrap();
    let (rebuilt, stopped) =
        soon(async { tokio::join!(projection.rebuild(), projection.stop()) }).await;
    stopped.unwrap();
    assert!(matches!(rebuilt, Err(RebuildError::Blue(_))), "{rebuilt:?}");
    soon(async {
        while node.counters().await.consumers > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
}
