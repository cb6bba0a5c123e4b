//! What stays in memory: as many entities as the node may keep, and never a state that the log does
//! not have.

use crate::common::{Account, Fate, FaultyShell, Move, Seldom, World, idle, on_both_shells};
use futures_util::future::join_all;
use std::num::NonZeroUsize;
use std::time::Duration;
use tenure::prelude::*;
use tenure::{Builder, Counters, StoreRequest};
use tenure_core::step::Outcome;

on_both_shells!(
    what_is_in_memory_is_used_and_the_oldest_makes_room,
    a_cache_of_one_serves_many_entities,
    several_lanes_keep_no_more_together,
    without_a_cache_each_use_loads,
    a_kind_can_be_left_out_of_the_cache,
    a_command_id_is_found_after_its_entity_was_forgotten,
    what_another_process_wrote_is_seen_whatever_is_held,
);

const SIZES: [usize; 4] = [0, 1, 3, 1_000];

fn builder() -> Builder {
    Tenure::builder().namespace("bank")
}

async fn moved(accounts: &Repository<Account>, id: &str, cents: i64) -> i64 {
    accounts.execute(id, Move { cents }).await.unwrap()
}

async fn what_is_in_memory_is_used_and_the_oldest_makes_room(world: &World) {
    let node = world.start(builder().cache(2)).await;
    let accounts = node.repository::<Account>().await.unwrap();
    let told = |counters: &Counters| {
        let Counters {
            cache_hits,
            cache_misses,
            cache_evictions,
            entities_held,
            ..
        } = counters;
        (*cache_hits, *cache_misses, *cache_evictions, *entities_held)
    };
    moved(&accounts, "alice", 1).await;
    moved(&accounts, "bob", 1).await;
    assert_eq!(told(&idle(&node).await), (0, 2, 0, 2));
    moved(&accounts, "alice", 1).await;
    assert_eq!(accounts.load("alice").await.unwrap().state.cents, 2);
    assert_eq!(told(&idle(&node).await), (2, 2, 0, 2));
    // Bob was used longest ago.
    moved(&accounts, "carol", 1).await;
    assert_eq!(told(&idle(&node).await), (2, 3, 1, 2));
    moved(&accounts, "alice", 1).await;
    assert_eq!(told(&idle(&node).await), (3, 3, 1, 2));
    assert_eq!(moved(&accounts, "bob", 1).await, 2);
    let counters = idle(&node).await;
    assert_eq!(told(&counters), (3, 4, 2, 2));
    assert!(counters.resting_bytes > 0);
}

async fn a_cache_of_one_serves_many_entities(world: &World) {
    let node = world.start(builder().cache(1)).await;
    let accounts = node.repository::<Account>().await.unwrap();
    for round in 1..=3 {
        let all = (0..100).map(|n| {
            let accounts = accounts.clone();
            async move { moved(&accounts, &format!("account-{n}"), 1).await }
        });
        assert_eq!(join_all(all).await, [round; 100]);
        let counters = idle(&node).await;
        assert_eq!(counters.entities_held, 1);
    }
    let counters = idle(&node).await;
    assert_eq!(counters.cache_evictions, counters.cache_misses - 1);
    let fresh = world.accounts().await;
    for n in 0..100 {
        let loaded = fresh.load(format!("account-{n}")).await.unwrap();
        assert_eq!((loaded.state.cents, loaded.version), (3, Version(3)));
    }
}

async fn several_lanes_keep_no_more_together(world: &World) {
    let lanes = NonZeroUsize::new(3).unwrap();
    let node = world.start(builder().cache(8).lanes(lanes)).await;
    let accounts = node.repository::<Account>().await.unwrap();
    let all = (0..200).map(|n| {
        accounts
            .execute(format!("a{n}"), Move { cents: 1 })
            .into_future()
    });
    for reply in join_all(all).await {
        assert_eq!(reply.unwrap(), 1);
    }
    assert_eq!(idle(&node).await.entities_held, 8);
}

async fn without_a_cache_each_use_loads(world: &World) {
    let node = world.start(builder().cache(0)).await;
    let accounts = node.repository::<Account>().await.unwrap();
    for n in 1..=5 {
        assert_eq!(moved(&accounts, "alice", 1).await, n);
        let loaded = accounts.load("alice").await.unwrap();
        assert_eq!((loaded.state.cents, loaded.version), (n, Version(n as u64)));
        assert_eq!(idle(&node).await.entities_held, 0);
    }
    let counters = idle(&node).await;
    assert_eq!((counters.cache_hits, counters.cache_misses), (0, 10));
    assert_eq!((counters.cache_evictions, counters.resting_bytes), (10, 0));
}

async fn a_kind_can_be_left_out_of_the_cache(world: &World) {
    let node = world.node().await;
    let seldom = node.repository::<Seldom>().await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1).await;
    for n in 1..=3 {
        assert_eq!(seldom.execute("bob", Move { cents: 1 }).await.unwrap(), n);
        let counters = idle(&node).await;
        assert_eq!(counters.entities_held, 1, "alice alone");
        assert_eq!(counters.cache_evictions, n as u64);
    }
    moved(&accounts, "alice", 1).await;
    assert_eq!(idle(&node).await.cache_hits, 1);
}

async fn a_command_id_is_found_after_its_entity_was_forgotten(world: &World) {
    for cache in SIZES {
        let node = world.start(builder().cache(cache)).await;
        let accounts = node.repository::<Account>().await.unwrap();
        let id = node.command_id();
        let alice = format!("alice-{cache}");
        let sent = accounts.execute(&alice, Move { cents: 5 }).id(id);
        let first = sent.receipt().await.unwrap();
        moved(&accounts, &alice, 1).await;
        for n in 0..10 {
            moved(&accounts, &format!("other-{cache}-{n}"), 1).await;
        }
        let again = accounts.execute(&alice, Move { cents: 5 }).id(id);
        let again = again.receipt().await.unwrap();
        assert_eq!((first.duplicate, again.duplicate), (false, true));
        assert_eq!((again.reply, again.version), (first.reply, first.version));
        assert_eq!(accounts.load(&alice).await.unwrap().state.cents, 6);
    }
}

async fn what_another_process_wrote_is_seen_whatever_is_held(world: &World) {
    let there = world.accounts().await;
    for cache in SIZES {
        let node = world.start(builder().cache(cache)).await;
        let here = node.repository::<Account>().await.unwrap();
        let id = format!("alice-{cache}");
        for n in 0..5 {
            // What one has written both read at once.
            assert_eq!(moved(&here, &id, 1).await, 2 * n + 1);
            assert_eq!(here.load(&id).await.unwrap().state.cents, 2 * n + 1);
            assert_eq!(there.load(&id).await.unwrap().state.cents, 2 * n + 1);
            assert_eq!(moved(&there, &id, 1).await, 2 * n + 2);
            assert_eq!(here.load(&id).await.unwrap().state.cents, 2 * n + 2);
        }
        // One conflict and then success; the state that was refreshed meets none.
        moved(&there, &id, 1).await;
        let before = idle(&node).await.conflicts;
        assert_eq!(moved(&here, &id, 1).await, 12);
        let once = idle(&node).await.conflicts - before;
        assert!(once <= 1, "{once} conflicts");
        for n in 0..5 {
            assert_eq!(moved(&here, &id, 1).await, 13 + n);
        }
        assert_eq!(idle(&node).await.conflicts - before, once);
    }
}

fn commits(request: &StoreRequest) -> bool {
    let on = |subject: &str| subject.contains(".ev.");
    match request {
        StoreRequest::Publish(publish) => on(&publish.subject),
        StoreRequest::Batch { .. }
        | StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => false,
    }
}

/// After an outcome that stayed unknown, the next command is decided from what came of it.
async fn after_unknown(stored: bool, cache: usize) {
    let shell = FaultyShell::new();
    let node = builder().cache(cache).start_with(shell.clone()).await;
    let node = node.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1).await;
    shell.set(move |request| {
        let unknown = if stored { Fate::Instead } else { Fate::Answer };
        commits(request).then(|| unknown(Outcome::Unknown))
    });
    // Stored or not, each answer is lost.
    let sent = accounts.execute("alice", Move { cents: 100 });
    let error = sent.timeout(Duration::from_millis(50)).await.unwrap_err();
    assert!(error.is_unknown(), "{error:?}");
    let before = if stored { 101 } else { 1 };
    shell.set(|_| None);
    assert_eq!(moved(&accounts, "alice", 1).await, before + 1);
    let loaded = accounts.load("alice").await.unwrap();
    assert_eq!(loaded.state.cents, before + 1);
    let counters = idle(&node).await;
    assert_eq!(counters.requests, counters.answers);
}

#[tokio::test]
async fn what_was_never_stored_is_in_no_state_after_unknown() {
    for cache in SIZES {
        after_unknown(false, cache).await;
    }
}

#[tokio::test]
async fn what_was_stored_is_in_the_state_after_unknown() {
    for cache in SIZES {
        after_unknown(true, cache).await;
    }
}
