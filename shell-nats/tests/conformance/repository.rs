//! The repository: creation, transactions, typed reloads, and when snapshots are taken.

use crate::counter::{Counted, Counter, Increment, count_and_version, counters_of, one};
use crate::world::{World, until};
use futures_util::future::join_all;
use std::convert::Infallible;
use tenure::{Decision, ExecuteError, Repository, Version};

on_both_shells![
    create_makes_version_1_and_a_command_version_2,
    what_was_created_cannot_be_created_again,
    a_transaction_sees_the_latest_state_and_replies,
    ten_transactions_at_once_all_apply,
    ten_transactions_of_ten_processes_all_apply,
    a_snapshot_after_each_commit,
    a_snapshot_after_eight_commits,
    no_snapshot_at_all,
    an_entity_is_loaded_as_it_was_at_a_version,
];

async fn create_makes_version_1_and_a_command_version_2(world: &World) {
    let repository = counters_of::<0>(&world.node().await).await;
    let created = repository.create("a", one()).receipt().await.unwrap();
    assert_eq!((created.reply, created.version), (1, Version(1)));
    let saved = repository.execute("a", one()).receipt().await.unwrap();
    assert_eq!((saved.reply, saved.version), (2, Version(2)));
    let loaded = counters_of::<0>(&world.node().await).await.load("a").await;
    let loaded = loaded.unwrap();
    assert_eq!(loaded.state, Counter::<0> { count: 2 });
    assert_eq!(loaded.version, Version(2));
}

async fn what_was_created_cannot_be_created_again(world: &World) {
    let here = counters_of::<0>(&world.node().await).await;
    let there = counters_of::<0>(&world.node().await).await;
    let (a, b) = tokio::join!(
        here.create("a", one()).into_future(),
        there.create("a", one()).into_future()
    );
    let error = match (a, b) {
        (Ok(1), Err(error)) | (Err(error), Ok(1)) => error,
        both => panic!("one creates it: {both:?}"),
    };
    assert!(
        matches!(&error, ExecuteError::AlreadyExists { id, version, .. }
            if id.as_str() == "a" && *version == Version(1)),
        "{error:?}"
    );
    assert_eq!(count_and_version(&here, "a").await, (1, 1));
}

async fn a_transaction_sees_the_latest_state_and_replies(world: &World) {
    let here = counters_of::<0>(&world.node().await).await;
    let there = counters_of::<0>(&world.node().await).await;
    for round in 0..5 {
        // Each was overtaken by the other since it looked last.
        assert_eq!(increment(&here).await, 2 * round);
        assert_eq!(increment(&there).await, 2 * round + 1);
    }
    assert_eq!(count_and_version(&here, "a").await, (10, 10));
}

async fn ten_transactions_at_once_all_apply(world: &World) {
    let repository = counters_of::<0>(&world.node().await).await;
    let mut before = join_all((0..10).map(|_| increment(&repository))).await;
    before.sort_unstable();
    assert_eq!(before, (0..10).collect::<Vec<_>>());
    assert_eq!(count_and_version(&repository, "a").await, (10, 10));
}

async fn ten_transactions_of_ten_processes_all_apply(world: &World) {
    let mut repositories = Vec::new();
    for _ in 0..10 {
        repositories.push(counters_of::<0>(&world.node().await).await);
    }
    let mut before = join_all(repositories.iter().map(increment)).await;
    before.sort_unstable();
    assert_eq!(before, (0..10).collect::<Vec<_>>());
    assert_eq!(count_and_version(&repositories[0], "a").await, (10, 10));
}

/// Increments in a transaction; the count that it saw.
async fn increment(repository: &Repository<Counter>) -> u64 {
    let transaction = repository.transact("a", |counter| {
        let event = Counted::Incremented { by: 1 };
        Ok::<_, Infallible>(Decision::event(event).reply(counter.count))
    });
    transaction.await.unwrap()
}

async fn a_snapshot_after_each_commit(world: &World) {
    snapshots_after::<1>(world, |commits| commits).await;
}

async fn a_snapshot_after_eight_commits(world: &World) {
    snapshots_after::<8>(world, |commits| commits / 8).await;
}

async fn no_snapshot_at_all(world: &World) {
    snapshots_after::<0>(world, |_| 0).await;
}

/// Sixteen commits, and how many bodies of snapshots are to have been stored after each.
async fn snapshots_after<const EVERY: u32>(world: &World, bodies: impl Fn(u64) -> u64) {
    let node = world.node().await;
    let repository = counters_of::<EVERY>(&node).await;
    for commits in 1..=16 {
        let by = Increment { by: 2 };
        assert_eq!(repository.execute("a", by).await.unwrap(), 2 * commits);
        until("the snapshots so far", || async {
            node.counters().await.snapshots_stored >= bodies(commits)
        })
        .await;
    }
    assert_eq!(node.counters().await.snapshots_stored, bodies(16));
    assert_eq!(count_and_version(&repository, "a").await, (32, 32));
    let fresh = counters_of::<EVERY>(&world.node().await).await;
    assert_eq!(count_and_version(&fresh, "a").await, (32, 32));
    let untouched = counters_of::<0>(&world.node().await).await;
    assert_eq!(count_and_version(&untouched, "a").await, (32, 32));
}

async fn an_entity_is_loaded_as_it_was_at_a_version(world: &World) {
    let repository = counters_of::<8>(&world.node().await).await;
    for _ in 0..20 {
        repository.execute("a", one()).await.unwrap();
    }
    for version in [1, 8, 9, 20] {
        let then = repository.load_at("a", Version(version)).await.unwrap();
        assert_eq!(
            (then.state.count, then.version),
            (version, Version(version))
        );
    }
}
