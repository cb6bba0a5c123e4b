//! What other projections get wrong, each as the test that it would fail.

use super::{Balances, SOON, balance, balances, balances_in, brief, moved, replayed, soon, state};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use std::time::Duration;
use tenure::consumer::{Consumed, Then};
use tenure::prelude::*;
use tenure::projection::{Memory, Snapshots};

on_both_shells!(
    defect_06_a_projection_applies_nothing_twice_over_errors_and_restarts,
    defect_08_defect_09_a_restored_projection_reads_nothing_before_its_snapshot,
    defect_07_defect_10_state_and_checkpoint_are_one,
    defect_34_a_poison_event_is_folded_ever_so_often_and_leaves_nothing_behind,
    defect_40_snapshots_come_whatever_else_is_in_the_log,
);

/// After an error the projection went back to its last snapshot and kept its memory, so that sums
/// were 16 instead of 9.
async fn defect_06_a_projection_applies_nothing_twice_over_errors_and_restarts(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [2, 3, 4]).await;
    let failing = std::sync::atomic::AtomicU32::new(2);
    let projection = node
        .projection("balances", Memory::<Balances>::default())
        .failing(brief(5, Then::Stop))
        .fold::<Account>(
            move |balances: &mut Balances, event: &Consumed<AccountEvent>| {
                balance(balances, event);
                let order = std::sync::atomic::Ordering::Relaxed;
                let next = |left: u32| left.checked_sub(1);
                match event.version == Version(3)
                    && failing.fetch_update(order, order, next).is_ok()
                {
                    true => Err("no"),
                    false => Ok(()),
                }
            },
        )
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    assert_eq!(projection.read(|balances| balances.0["alice"]), (9, 3));
    projection.stop().await.unwrap();
}

/// A snapshot was taken and never used, or everything was read again from the beginning.
async fn defect_08_defect_09_a_restored_projection_reads_nothing_before_its_snapshot(
    world: &World,
) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=60).await;
    let first = balances(&node, "balances").start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    moved(&accounts, "alice", 61..=65).await;
    let second = balances(&world.node().await, "balances")
        .start()
        .await
        .unwrap();
    soon(second.live()).await.unwrap();
    assert_eq!(second.status().consumer.handled, 5, "60 and then 65");
    assert_eq!(state(&second), replayed(&accounts, &["alice"]).await);
    second.stop().await.unwrap();
}

/// State and checkpoint were stored one after the other. Here a run that dies between two
/// snapshots folds again what came after the last one, into the state that this one has.
async fn defect_07_defect_10_state_and_checkpoint_are_one(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=10).await;
    let memory = Memory::with(Snapshots {
        every: u64::MAX,
        within: Duration::from_secs(3_600),
    });
    let first = balances_in(&node, "balances", memory)
        .start()
        .await
        .unwrap();
    soon(first.live()).await.unwrap();
    soon(async {
        while first.store().status().snapshots == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let last = moved(&accounts, "alice", 11..=15).await;
    first.seen::<Account>("alice", last, SOON).await.unwrap();
    // It is never stopped, so it is as good as dead.
    let second = balances(&world.node().await, "balances")
        .start()
        .await
        .unwrap();
    soon(second.live()).await.unwrap();
    assert_eq!(second.status().consumer.handled, 5);
    assert_eq!(state(&second), replayed(&accounts, &["alice"]).await);
    second.stop().await.unwrap();
}

/// Each retry of a poison event left something behind.
async fn defect_34_a_poison_event_is_folded_ever_so_often_and_leaves_nothing_behind(world: &World) {
    const TRIES: u32 = 200;
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=30).await;
    let projection = node
        .projection("balances", Memory::<Balances>::default())
        .failing(brief(TRIES - 1, Then::DeadLetter))
        .pace(|pace| pace.failing.delay_max = tenure::Span::from_millis(1))
        .fold::<Account>(|balances: &mut Balances, event: &Consumed<AccountEvent>| {
            balance(balances, event);
            match event.version == Version(7) {
                true => Err("poison"),
                false => Ok(()),
            }
        })
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    let status = projection.status().consumer;
    assert_eq!((status.dead_lettered, status.handled), (1, 29));
    // All but the seventh; the letter stays until the projection is built anew by a mended fold.
    assert_eq!(
        projection.read(|balances| balances.0["alice"]),
        (465 - 7, 29)
    );
    let consumer = projection.consumer();
    let letters = consumer.dead_letters().all().await.unwrap();
    assert_eq!(letters.len(), 1);
    let replayed = consumer.dead_letters().replay(letters[0].place).await;
    let error = replayed.unwrap_err().to_string();
    assert!(error.contains("no event out of the log's order"), "{error}");
    assert_eq!(
        projection.read(|balances| balances.0["alice"]),
        (465 - 7, 29)
    );
    projection.stop().await.unwrap();
}

/// A snapshot was taken when the global sequence could be divided by ten, so perhaps never, and
/// none in the catch-up and at the stop.
async fn defect_40_snapshots_come_whatever_else_is_in_the_log(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let others = node.repository::<crate::common::Seldom>().await.unwrap();
    for n in 1..=30 {
        moved(&accounts, "alice", [n]).await;
        // Two of three events are of others.
        for _ in 0..2 {
            others
                .execute("bob", crate::common::Move { cents: 1 })
                .await
                .unwrap();
        }
    }
    let memory = Memory::with(Snapshots {
        every: 10,
        within: Duration::from_secs(3_600),
    });
    let projection = balances_in(&node, "balances", memory)
        .pace(|pace| {
            pace.batch_events_max = 5;
            pace.prefetch_commits_max = 10;
        })
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    soon(async {
        while projection.store().status().snapshots == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    moved(&accounts, "alice", [31]).await;
    let all = |status: &tenure::consumer::Status| status.handled == 31;
    soon(projection.until_status(all)).await.unwrap();
    projection.stop().await.unwrap();
    let other = balances(&world.node().await, "balances")
        .start()
        .await
        .unwrap();
    soon(other.live()).await.unwrap();
    assert_eq!(other.status().consumer.handled, 0, "the stop took one");
    other.stop().await.unwrap();
}
