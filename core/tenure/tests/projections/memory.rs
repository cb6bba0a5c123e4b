//! A state in memory: folded, read, waited for, and taken up again.

use super::{Balances, SOON, balance, balances, brief, ending, moved, replayed, soon, state};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tenure::consumer::{Consumed, SeenError, Then};
use tenure::prelude::*;
use tenure::projection::Memory;

on_both_shells!(
    it_holds_what_the_log_holds_and_follows,
    a_reader_sees_its_own_writes,
    what_was_not_written_is_waited_for_until_the_deadline,
    a_fold_that_fails_halfway_leaves_no_trace,
    a_fold_that_panics_ends_it_with_the_event,
    an_event_that_nobody_registered_ends_it_with_its_name,
    a_name_without_a_fold_and_two_folds_are_refused,
);

async fn it_holds_what_the_log_holds_and_follows(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=20).await;
    moved(&accounts, "bob", 1..=7).await;
    let projection = balances(&node, "balances").start().await.unwrap();
    soon(projection.live()).await.unwrap();
    assert_eq!(
        state(&projection),
        replayed(&accounts, &["alice", "bob"]).await
    );
    let last = moved(&accounts, "carol", 1..=3).await;
    projection
        .seen::<Account>("carol", last, SOON)
        .await
        .unwrap();
    let all = replayed(&accounts, &["alice", "bob", "carol"]).await;
    assert_eq!(state(&projection), all);
    projection.stop().await.unwrap();
    assert_eq!(state(&projection), all, "what was folded stays readable");
}

async fn a_reader_sees_its_own_writes(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let projection = balances(&node, "balances").start().await.unwrap();
    for cents in 1..=20 {
        let last = moved(&accounts, "alice", [cents]).await;
        projection
            .seen::<Account>("alice", last, SOON)
            .await
            .unwrap();
        let read = projection.read(|balances| balances.0["alice"]);
        assert_eq!(read, (cents * (cents + 1) / 2, cents.unsigned_abs()));
    }
    projection.stop().await.unwrap();
}

async fn what_was_not_written_is_waited_for_until_the_deadline(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let last = moved(&accounts, "alice", [1]).await;
    let projection = balances(&node, "balances").start().await.unwrap();
    let later = tenure::Sequence(last.0 + 1_000);
    let seen = projection.seen::<Account>("alice", later, Duration::from_millis(50));
    assert!(matches!(soon(seen).await, Err(SeenError::Deadline)));
    projection.stop().await.unwrap();
}

/// The fold changes the state and then fails, three times for one event: that event is in the state once,
/// and so are those beside it.
async fn a_fold_that_fails_halfway_leaves_no_trace(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=10).await;
    let left = Arc::new(AtomicU32::new(3));
    let fails = Arc::clone(&left);
    let projection = node
        .projection("balances", Memory::<Balances>::default())
        .failing(brief(10, Then::Stop))
        .fold::<Account>(
            move |balances: &mut Balances, event: &Consumed<AccountEvent>| {
                balance(balances, event);
                let next = |left: u32| left.checked_sub(1);
                let five = event.version == Version(5);
                match five
                    && fails
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
                        .is_ok()
                {
                    true => Err("not now"),
                    false => Ok(()),
                }
            },
        )
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
    assert_eq!(left.load(Ordering::Relaxed), 0, "it did fail");
    projection.stop().await.unwrap();
}

async fn a_fold_that_panics_ends_it_with_the_event(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=10).await;
    let broken = node
        .projection("balances", Memory::<Balances>::default())
        .failing(brief(1, Then::Stop))
        .fold::<Account>(|balances: &mut Balances, event: &Consumed<AccountEvent>| {
            balance(balances, event);
            assert!(event.version != Version(7), "seven");
        })
        .start()
        .await
        .unwrap();
    let error = soon(broken.ended()).await.unwrap_err().to_string();
    assert!(error.contains("account \"alice\""), "{error}");
    assert!(error.contains("its fold panicked: seven"), "{error}");
    assert_eq!(broken.read(|balances| balances.0["alice"]), (21, 6));
    // Mended it goes on, and nothing is lost.
    let mended = balances(&node, "balances").start().await.unwrap();
    soon(mended.live()).await.unwrap();
    assert_eq!(state(&mended), replayed(&accounts, &["alice"]).await);
    mended.stop().await.unwrap();
}

/// An account of a build that knows less.
#[derive(Clone, Debug, Default)]
struct Older;

#[derive(Clone, Debug, Event)]
enum OlderEvent {
    #[event(name = "opened", version = 1)]
    #[allow(dead_code, reason = "it is only decoded")]
    Opened { owner: String },
}

impl Aggregate for Older {
    type Event = OlderEvent;
    const KIND: &'static str = "account";

    fn evolve(&mut self, _: &OlderEvent) {}
}

async fn an_event_that_nobody_registered_ends_it_with_its_name(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let other = world.node().await;
    let error = ending(
        other
            .projection("olds", Memory::<Balances>::default())
            .fold::<Older>(|_: &mut Balances, _: &Consumed<OlderEvent>| ()),
    )
    .await;
    assert!(
        error.contains("has no event") && error.contains("moved"),
        "{error}"
    );
}

async fn a_name_without_a_fold_and_two_folds_are_refused(world: &World) {
    let node = world.node().await;
    let error = ending(node.projection("none", Memory::<Balances>::default())).await;
    assert!(
        error.contains("the projection none folds nothing"),
        "{error}"
    );
    let error = ending(balances(&node, "two").fold::<Account>(balance)).await;
    assert!(error.contains("two folds of the kind account"), "{error}");
    let error = ending(balances(&node, "No Name")).await;
    assert!(error.contains("No Name"), "{error}");
}
