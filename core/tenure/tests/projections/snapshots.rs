//! Snapshots: when they are taken, that a run goes on from the last one, and which are refused.

use super::{SOON, balance, balances, balances_in, ending, moved, replayed, soon, state};
use crate::common::{Account, AccountEvent, Owned, World, on_both_shells};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::consumer::Consumed;
use tenure::prelude::*;
use tenure::projection::{Memory, Snapshots};

on_both_shells!(
    a_run_goes_on_from_the_snapshot_of_the_stop,
    a_snapshot_is_taken_by_count,
    a_snapshot_is_taken_by_time,
    a_large_state_is_stored_in_parts,
    an_earlier_state_never_takes_the_place_of_a_later_one,
    another_version_is_built_anew_and_an_older_one_refused,
    other_events_under_the_same_version_are_refused,
    a_state_of_another_type_is_refused,
    the_snapshot_of_another_namespace_is_refused,
);

/// Snapshots that come only at the end of the catch-up and at the stop.
fn seldom() -> Snapshots {
    Snapshots {
        every: u64::MAX,
        within: Duration::from_secs(3_600),
    }
}

async fn a_run_goes_on_from_the_snapshot_of_the_stop(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=60).await;
    let projection = balances_in(&node, "balances", Memory::with(seldom()));
    let projection = projection.start().await.unwrap();
    soon(projection.live()).await.unwrap();
    let last = moved(&accounts, "alice", 61..=63).await;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    projection.stop().await.unwrap();
    assert!(!projection.store().status().restored);
    moved(&accounts, "alice", 64..=65).await;
    // Another node, so another memory.
    let other = world.node().await;
    let projection = balances(&other, "balances").start().await.unwrap();
    soon(projection.live()).await.unwrap();
    let status = projection.store().status();
    assert!(status.restored);
    assert_eq!(status.folded, 2, "it folds what the snapshot has not");
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
    projection.stop().await.unwrap();
}

async fn a_snapshot_is_taken_by_count(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let memory = Memory::with(Snapshots {
        every: 10,
        ..seldom()
    });
    let projection = balances_in(&node, "balances", memory)
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    assert_eq!(
        projection.store().status().snapshots,
        0,
        "there is nothing yet"
    );
    for n in 1..=3_u64 {
        let last = moved(&accounts, "alice", 1..=10).await;
        projection
            .seen::<Account>("alice", last, SOON)
            .await
            .unwrap();
        let taken = || projection.store().status().snapshots >= n;
        soon(until(taken)).await;
    }
    projection.stop().await.unwrap();
}

/// Waits for what no channel tells.
async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn a_snapshot_is_taken_by_time(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let memory = Memory::with(Snapshots {
        within: Duration::from_millis(100),
        ..seldom()
    });
    let projection = balances_in(&node, "balances", memory)
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    moved(&accounts, "alice", [1]).await;
    soon(until(|| projection.store().status().snapshots == 1)).await;
    // Without the stop, as after a crash.
    let other = world.node().await;
    let successor = balances(&other, "balances").start().await.unwrap();
    soon(successor.live()).await.unwrap();
    let status = successor.store().status();
    assert!(status.restored && status.folded == 0, "{status:?}");
    assert_eq!(state(&successor), replayed(&accounts, &["alice"]).await);
}

/// A state that no message takes as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Large {
    moves: u64,
    texts: Vec<String>,
}

fn enlarge(large: &mut Large, event: &Consumed<AccountEvent>) {
    if let AccountEvent::Moved { cents } = event.event {
        large.moves += 1;
        large.texts.push(format!("{cents:0>50000}").repeat(2));
    }
}

async fn a_large_state_is_stored_in_parts(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let mut bytes = 0;
    for run in 1..=3 {
        moved(&accounts, "alice", 1..=12).await;
        let node = world.node().await;
        let projection = node.projection("larges", Memory::<Large>::default());
        let projection = projection.fold::<Account>(enlarge).start().await.unwrap();
        soon(projection.live()).await.unwrap();
        projection.stop().await.unwrap();
        let status = projection.store().status();
        assert!(status.parts > 1 && status.bytes > bytes, "{status:?}");
        assert_eq!((status.restored, status.folded), (run > 1, 12));
        bytes = status.bytes;
        let moves = projection.read(|large| (large.moves, large.texts.len()));
        assert_eq!(moves, (12 * run, 12 * run as usize));
    }
}

async fn an_earlier_state_never_takes_the_place_of_a_later_one(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=5).await;
    let early = balances_in(&node, "balances", Memory::with(seldom()));
    let early = early.start().await.unwrap();
    soon(early.live()).await.unwrap();
    // It stands still at what it has, while another node's goes on.
    early.consumer().pause("the test").await.unwrap();
    moved(&accounts, "alice", 6..=9).await;
    let other = world.node().await;
    let late = balances_in(&other, "balances", Memory::with(seldom()));
    let late = late.start().await.unwrap();
    soon(late.live()).await.unwrap();
    late.stop().await.unwrap();
    early.consumer().resume().await.unwrap();
    early.stop().await.unwrap();
    let last = balances(&world.node().await, "balances")
        .start()
        .await
        .unwrap();
    soon(last.live()).await.unwrap();
    assert!(last.store().status().restored);
    assert_eq!(state(&last), replayed(&accounts, &["alice"]).await);
    assert_eq!(
        last.store().status().folded,
        0,
        "the later snapshot is there"
    );
}

async fn another_version_is_built_anew_and_an_older_one_refused(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=5).await;
    let first = balances(&node, "balances").start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    let second = node
        .projection("balances", Memory::<Large>::default())
        .version(2)
        .fold::<Account>(enlarge)
        .start()
        .await
        .unwrap();
    soon(second.live()).await.unwrap();
    assert_eq!(second.store().status().folded, 5, "it is built anew");
    second.stop().await.unwrap();
    let error = ending(balances(&node, "balances")).await;
    assert!(
        error.contains("is of version 2, and this program's is 1"),
        "{error}"
    );
    let reset = balances(&node, "balances").reset().start().await.unwrap();
    soon(reset.live()).await.unwrap();
    assert_eq!(state(&reset), replayed(&accounts, &["alice"]).await);
    reset.stop().await.unwrap();
}

async fn other_events_under_the_same_version_are_refused(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let first = balances(&node, "balances").start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    let wider = balances(&node, "balances").fold::<Owned>(balance);
    let error = ending(wider).await;
    assert!(error.contains("is made of other events"), "{error}");
    assert!(error.contains("raise its version"), "{error}");
}

async fn a_state_of_another_type_is_refused(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let first = balances(&node, "balances").start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    let other = node.projection("balances", Memory::<Large>::default());
    let error = ending(other.fold::<Account>(enlarge)).await;
    assert!(
        error.contains("its snapshot is not of this type"),
        "{error}"
    );
    assert!(error.contains("raise the version (1)"), "{error}");
}

async fn the_snapshot_of_another_namespace_is_refused(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let first = balances(&node, "balances").start().await.unwrap();
    soon(first.live()).await.unwrap();
    let mark = first.status().mark;
    first.stop().await.unwrap();
    // What a store of one's own finds that was copied from there.
    let table = super::own_store::Table::marked(mark);
    let other = world.start(Tenure::builder().namespace("vault")).await;
    other.repository::<Account>().await.unwrap();
    let copied = other.projection("balances", table.clone());
    let error = ending(copied.fold::<Account>(balance)).await;
    assert!(
        error.contains("it was copied or restored from elsewhere"),
        "{error}"
    );
    // Under another name in the namespace itself.
    let renamed = node.projection("renamed", table);
    let error = ending(renamed.fold::<Account>(balance)).await;
    assert!(error.contains("is that of balances"), "{error}");
}
