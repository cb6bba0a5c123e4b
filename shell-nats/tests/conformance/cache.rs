//! What is held in memory is what the log says: after a failed transaction, a conflict, a deletion
//! and a take-over, and whatever the size of the cache.

use crate::counter::{ByNothing, Counted, Counter, Increment, count_and_version, counters_of, one};
use crate::world::World;
use std::convert::Infallible;
use tenure::prelude::*;
use tenure_core::format::Commit;
use tenure_core::id::CommitId;

on_both_shells![
    defect_04_a_first_transaction_that_fails_leaves_nothing,
    defect_04_an_evolve_that_panics_half_way_leaves_nothing,
    defect_05_a_conflict_is_met_once_and_refreshes_what_is_held,
    defect_05_without_a_cache_nothing_is_stale,
    defect_05_an_owner_that_was_replaced_decides_from_nothing,
    a_deleted_entity_is_not_decided_from_what_is_held,
    defect_21_many_more_entities_than_are_kept_lose_nothing,
];

const SIZES: [usize; 3] = [0, 1, 1_000];

/// A counter that its shard's owner writes, whose evolve cannot stand 13.
#[derive(Clone, Debug, Default)]
struct Fragile<const OWNED: bool> {
    count: u64,
}

impl<const OWNED: bool> Aggregate for Fragile<OWNED> {
    type Event = Counted;
    const KIND: &'static str = if OWNED { "owned" } else { "fragile" };

    fn evolve(&mut self, event: &Counted) {
        let Counted::Incremented { by } = event;
        self.count += by;
        assert_ne!(*by, 13, "thirteen");
    }

    fn settings() -> KindSettings {
        if OWNED {
            KindSettings::default().owned()
        } else {
            KindSettings::default()
        }
    }
}

impl<const OWNED: bool> Decide<Increment> for Fragile<OWNED> {
    type Reply = u64;
    type Error = ByNothing;

    fn decide(
        &self,
        command: &Increment,
        _: &DecideCx<'_>,
    ) -> Result<Decision<Self, u64>, ByNothing> {
        if command.by == 0 {
            return Err(ByNothing);
        }
        let event = Counted::Incremented { by: command.by };
        Ok(Decision::event(event).reply(self.count + command.by))
    }
}

/// The first transaction made its events and then failed, by a no or by a panic; the next one adds 1.
async fn first_fails<const OWNED: bool>(node: &Tenure, id: &str) {
    let fragile = node.repository::<Fragile<OWNED>>().await.unwrap();
    let no = |counter: &Fragile<OWNED>| {
        let mut mine = counter.clone();
        mine.count += 100;
        let decision = Decision::event(Counted::Incremented { by: 100 }).reply(mine.count);
        if mine.count == 100 {
            Err("no")
        } else {
            Ok(decision)
        }
    };
    let failed = fragile.transact(id, no).await;
    assert!(
        matches!(failed, Err(ExecuteError::Rejected("no"))),
        "{failed:?}"
    );
    let half_way = |_: &Fragile<OWNED>| {
        let events = [1, 13, 1].map(|by| Counted::Incremented { by });
        Ok::<_, Infallible>(Decision::events(events))
    };
    let failed = fragile.transact(id, half_way).await;
    assert!(
        matches!(&failed, Err(ExecuteError::Failed(cause)) if cause.contains("thirteen")),
        "{failed:?}"
    );
    assert!(!fragile.exists(id).await.unwrap());
    assert_eq!(fragile.execute(id, one()).await.unwrap(), 1);
    let loaded = fragile.load(id).await.unwrap();
    assert_eq!((loaded.state.count, loaded.version), (1, Version(1)));
}

async fn defect_04_a_first_transaction_that_fails_leaves_nothing(world: &World) {
    for cache in SIZES {
        let node = world.start(world.builder().cache(cache)).await.unwrap();
        first_fails::<false>(&node, &format!("a{cache}")).await;
    }
    // One process owns the shards of a kind that is owned.
    let node = world.node().await;
    first_fails::<true>(&node, "a").await;
}

async fn half_way<const OWNED: bool>(node: &Tenure) {
    let fragile = node.repository::<Fragile<OWNED>>().await.unwrap();
    assert_eq!(fragile.execute("b", Increment { by: 5 }).await.unwrap(), 5);
    // In one commit with others: what the neighbours add is there, and nothing of the bad one's.
    let (before, bad, after) = tokio::join!(
        fragile.execute("b", one()).into_future(),
        fragile.execute("b", Increment { by: 13 }).into_future(),
        fragile.execute("b", one()).into_future(),
    );
    assert_eq!((before.unwrap(), after.unwrap()), (6, 7));
    assert!(matches!(bad, Err(ExecuteError::Failed(_))), "{bad:?}");
    assert_eq!(fragile.execute("b", one()).await.unwrap(), 8);
    assert_eq!(fragile.load("b").await.unwrap().state.count, 8);
    let past = fragile.history("b").unwrap().collect().await.unwrap();
    let stored: Vec<_> = past.into_iter().map(|past| past.event).collect();
    assert_eq!(stored, [5, 1, 1, 1].map(|by| Counted::Incremented { by }));
}

async fn defect_04_an_evolve_that_panics_half_way_leaves_nothing(world: &World) {
    let node = world.node().await;
    half_way::<false>(&node).await;
    half_way::<true>(&node).await;
}

async fn defect_05_a_conflict_is_met_once_and_refreshes_what_is_held(world: &World) {
    let node = world.node().await;
    let here = counters_of::<0>(&node).await;
    let there = counters_of::<0>(&world.node().await).await;
    here.create("a", one()).await.unwrap();
    let mut count = 1;
    for round in 1..=3 {
        there.execute("a", one()).await.unwrap();
        // What is held here is old by now: one conflict, and then what is held is new.
        for _ in 0..5 {
            assert_eq!(here.execute("a", one()).await.unwrap(), count + 2);
            count += 1;
        }
        count += 1;
        assert_eq!(node.counters().await.conflicts, round);
    }
    assert_eq!(count_and_version(&there, "a").await, (count, count));
}

async fn defect_05_without_a_cache_nothing_is_stale(world: &World) {
    let node = world.start(world.builder().cache(0)).await.unwrap();
    let here = counters_of::<0>(&node).await;
    let there = counters_of::<0>(&world.node().await).await;
    for n in 0..5 {
        assert_eq!(here.execute("a", one()).await.unwrap(), 2 * n + 1);
        assert_eq!(there.execute("a", one()).await.unwrap(), 2 * n + 2);
    }
    let counters = node.counters().await;
    assert_eq!((counters.conflicts, counters.cache_hits), (0, 0));
}

async fn defect_05_an_owner_that_was_replaced_decides_from_nothing(world: &World) {
    let here = world
        .node()
        .await
        .repository::<Fragile<true>>()
        .await
        .unwrap();
    let there = world
        .node()
        .await
        .repository::<Fragile<true>>()
        .await
        .unwrap();
    assert_eq!(here.execute("a", one()).await.unwrap(), 1);
    // The other one claims the shard when it uses it first, and reads what was committed.
    assert_eq!(there.execute("a", one()).await.unwrap(), 2);
    for _ in 0..2 {
        let refused = here.execute("a", one()).await;
        assert!(
            matches!(refused, Err(ExecuteError::NotOwner)),
            "{refused:?}"
        );
        let refused = here.load("a").await;
        assert!(matches!(refused, Err(LoadError::NotOwner)), "{refused:?}");
    }
    assert_eq!(there.execute("a", one()).await.unwrap(), 3);
    assert_eq!(there.load("a").await.unwrap().version, Version(3));
}

async fn a_deleted_entity_is_not_decided_from_what_is_held(world: &World) {
    let node = world.node().await;
    let counters = counters_of::<0>(&node).await;
    counters.create("a", Increment { by: 5 }).await.unwrap();
    let stored = world.commits("counter").await.remove(0);
    // Somebody deletes it: a commit without events that says so.
    let mut tombstone = Commit::decode(&stored.payload).unwrap();
    tombstone.id = CommitId(tombstone.id.0 + 1);
    tombstone.before = tombstone.last;
    tombstone.earlier = vec![tenure::Sequence(stored.sequence)].into();
    tombstone.commands.clear();
    tombstone.events.clear();
    tombstone.tombstone = true;
    let subject = &stored.subject;
    world.publish("ev_0", subject, &tombstone.encode()).await;
    let before = node.counters().await.conflicts;
    assert_eq!(counters.execute("a", one()).await.unwrap(), 1);
    assert_eq!(node.counters().await.conflicts - before, 1);
    assert_eq!(
        counters.load("a").await.unwrap().state,
        Counter { count: 1 }
    );
    let fresh = counters_of::<0>(&world.node().await).await;
    assert_eq!(fresh.load("a").await.unwrap().state, Counter { count: 1 });
}

async fn defect_21_many_more_entities_than_are_kept_lose_nothing(world: &World) {
    let node = world.start(world.builder().cache(8)).await.unwrap();
    let counters = counters_of::<8>(&node).await;
    for round in 1..=3 {
        for n in 0..100 {
            let id = format!("e{n}");
            assert_eq!(counters.execute(&id, one()).await.unwrap(), round);
        }
    }
    let counted = node.counters().await;
    assert!(counted.cache_evictions >= 290, "{counted:?}");
    let fresh = counters_of::<0>(&world.node().await).await;
    for n in 0..100 {
        assert_eq!(count_and_version(&fresh, &format!("e{n}")).await, (3, 3));
    }
}
