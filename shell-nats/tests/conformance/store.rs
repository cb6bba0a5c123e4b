//! The log as a store of events: versions and sequences, appends, reads, and what loads leave
//! behind.
//!
//! What the reference's list has and is no test here: the conditions of `assert` (a decision
//! returns its own typed error); a required retention limit (a log must have none: `settings` of a
//! foreign stream are a bad input); `RenameType` (a kind's and an event's names are written out
//! and say nothing of Rust types); a load's two seconds (no time is asserted).

use crate::counter::{
    Counted, Counter, Increment, count_and_version, counters_of, incremented, one,
};
use crate::world::{World, until, within};
use futures_util::future::join_all;
use std::time::Duration;
use tenure::{AppendError, ExecuteError, LoadError, RawEvent, Repository, Sequence, Version};

on_both_shells![
    versions_are_ordered_and_are_json_numbers,
    an_append_returns_the_last_sequence_and_version,
    a_history_begins_at_either_end_and_goes_page_by_page,
    what_is_created_and_changed_is_loaded,
    events_carry_their_sequence_and_version,
    an_unknown_entity_is_not_found,
    five_thousand_increments_with_mixed_snapshots_reload,
    appends_at_one_version_fail_with_conflict_only,
    sparse_events_between_others_are_complete_and_ordered,
    a_load_whose_caller_went_away_harms_nobody,
    a_load_with_a_snapshot_at_the_head_ends,
    stop_answers_everyone,
    an_imported_history_keeps_its_gaps,
];

async fn versions_are_ordered_and_are_json_numbers(world: &World) {
    assert!(Version::ABSENT < Version(1) && Version(1) < Version(2) && Version(9) < Version(10));
    assert_eq!(Version(1).next(), Version(2));
    let log = world.node().await.log("counter").await.unwrap();
    for version in [1, 7, (1 << 53) + 1, u64::MAX] {
        let events = [incremented(1).at(Version(version))];
        let appended = log.append("a", events).await.unwrap();
        let json = serde_json::to_string(&appended.version).unwrap();
        assert_eq!(json, version.to_string());
        let read: Version = serde_json::from_str(&json).unwrap();
        assert_eq!(log.version("a").await.unwrap(), read);
    }
}

async fn an_append_returns_the_last_sequence_and_version(world: &World) {
    let log = world.node().await.log("counter").await.unwrap();
    for version in [3, 6] {
        let three = [incremented(1), incremented(1), incremented(1)];
        let appended = log.append("a", three).await.unwrap();
        assert_eq!(appended.version, Version(version));
        // A commit is one message, and nothing else is written meanwhile.
        let last = world.extent("ev_0").await.last;
        assert_eq!(appended.sequence, Some(Sequence(last)));
        assert!(!appended.duplicate);
    }
}

async fn a_history_begins_at_either_end_and_goes_page_by_page(world: &World) {
    let tenure = world.node().await;
    let log = tenure.log("counter").await.unwrap();
    for _ in 0..10 {
        log.append("a", [incremented(1), incremented(1)])
            .await
            .unwrap();
    }
    let versions = |page: Vec<tenure::Past<RawEvent>>| -> Vec<u64> {
        page.iter().map(|past| past.version.0).collect()
    };
    let mut forward = log.history("a").unwrap().page(3);
    let mut seen = Vec::new();
    while let Some(page) = forward.next_page().await.unwrap() {
        assert!(page.len() <= 6, "a page of 3 commits of 2 events");
        seen.extend(versions(page));
    }
    assert_eq!(seen, (1..=20).collect::<Vec<_>>());
    let mut backward = log.history("a").unwrap().backward().page(3);
    let newest = versions(backward.next_page().await.unwrap().unwrap());
    assert_eq!(newest, [20, 19, 18, 17, 16, 15]);
    let rest = versions(backward.collect().await.unwrap());
    assert_eq!(rest, (1..=14).rev().collect::<Vec<_>>());
    assert!(
        log.history("nobody")
            .unwrap()
            .next()
            .await
            .unwrap()
            .is_none()
    );
}

async fn what_is_created_and_changed_is_loaded(world: &World) {
    let counters = counters_of::<0>(&world.node().await).await;
    counters.create("a", one()).await.unwrap();
    for _ in 0..4 {
        counters.execute("a", one()).await.unwrap();
    }
    for node in [world.node().await, world.node().await] {
        let loaded = count_and_version(&counters_of::<0>(&node).await, "a").await;
        assert_eq!(loaded, (5, 5));
    }
}

async fn events_carry_their_sequence_and_version(world: &World) {
    let counters = counters_of::<0>(&world.node().await).await;
    let first = counters.execute("a", one()).receipt().await.unwrap();
    let second = counters.execute("a", Increment { by: 2 });
    let second = second.receipt().await.unwrap();
    let past = counters.history("a").unwrap().collect().await.unwrap();
    let at = |n: usize| (Some(past[n].sequence), past[n].version, past[n].command);
    assert_eq!(at(0), (first.sequence, Version(1), Some(first.id)));
    assert_eq!(at(1), (second.sequence, Version(2), Some(second.id)));
    assert_eq!(at(2), (second.sequence, Version(3), Some(second.id)));
    assert!(first.sequence < second.sequence);
    let stored: Vec<_> = world.commits("counter").await;
    let stored: Vec<_> = stored.iter().map(|m| Some(Sequence(m.sequence))).collect();
    assert_eq!(stored, [first.sequence, second.sequence]);
}

async fn an_unknown_entity_is_not_found(world: &World) {
    let tenure = world.node().await;
    let counters = counters_of::<0>(&tenure).await;
    let loaded = counters.load("nobody").await;
    assert!(
        matches!(&loaded, Err(LoadError::NotFound { id, .. }) if id.as_str() == "nobody"),
        "{loaded:?}"
    );
    let executed = counters.execute("nobody", one()).existing().await;
    assert!(
        matches!(executed, Err(ExecuteError::NotFound { .. })),
        "{executed:?}"
    );
    assert_eq!(counters.version("nobody").await.unwrap(), Version::ABSENT);
    assert!(!counters.exists("nobody").await.unwrap());
    let new = counters.load_or_create("nobody").await.unwrap();
    assert_eq!((new.state.count, new.version), (0, Version::ABSENT));
    let log = tenure.log("counter").await.unwrap();
    assert_eq!(log.version("nobody").await.unwrap(), Version::ABSENT);
    assert!(world.commits("counter").await.is_empty());
}

async fn five_thousand_increments_with_mixed_snapshots_reload(world: &World) {
    const PER_ROUND: u64 = 250;
    // Three processes that agree on nothing but the log, in turn.
    let nodes = [world.node().await, world.node().await, world.node().await];
    let (each, eighth, never) = (
        counters_of::<1>(&nodes[0]).await,
        counters_of::<8>(&nodes[1]).await,
        counters_of::<0>(&nodes[2]).await,
    );
    for round in 0..20 {
        match round % 3 {
            0 => increments(&each, PER_ROUND).await,
            1 => increments(&eighth, PER_ROUND).await,
            _ => increments(&never, PER_ROUND).await,
        }
    }
    assert!(world.extent("snap").await.messages > 0);
    for node in [world.node().await, world.node().await] {
        let loaded = count_and_version(&counters_of::<0>(&node).await, "a").await;
        assert_eq!(loaded, (5_000, 5_000));
    }
    // And without any snapshot: event by event.
    let at_end = never.load_at("a", Version(5_000)).await.unwrap();
    assert_eq!(at_end.state.count, 5_000);
}

/// Increments, some alone and the rest as fast as they can be taken.
async fn increments<const EVERY: u32>(counters: &Repository<Counter<EVERY>>, count: u64) {
    let alone = count / 10;
    for _ in 0..alone {
        counters.execute("a", one()).await.unwrap();
    }
    let rest = (alone..count).map(|_| async { counters.execute("a", one()).await.unwrap() });
    join_all(rest).await;
}

async fn appends_at_one_version_fail_with_conflict_only(world: &World) {
    let mut logs = Vec::new();
    for _ in 0..4 {
        logs.push(world.node().await.log("counter").await.unwrap());
    }
    for version in 0..8 {
        let appends = logs.iter().flat_map(|log| {
            (0..4).map(|_| log.append("a", [incremented(1)]).expected(Version(version)))
        });
        let results = join_all(appends.map(IntoFuture::into_future)).await;
        let (done, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(done.len(), 1, "at version {version}");
        for error in failed.into_iter().map(Result::unwrap_err) {
            let AppendError::Conflict {
                expected, actual, ..
            } = error
            else {
                panic!("{error:?}");
            };
            assert_eq!((expected, actual), (Version(version), Version(version + 1)));
        }
    }
}

async fn sparse_events_between_others_are_complete_and_ordered(world: &World) {
    let tenure = world.node().await;
    let log = tenure.log("counter").await.unwrap();
    for round in 0..250_u64 {
        let noise = ["b", "c"].map(|id| log.append(id, [incremented(1)]).into_future());
        let sparse = log.append("a", [incremented(round)]).into_future();
        let (_, sparse) = tokio::join!(join_all(noise), sparse);
        sparse.unwrap();
    }
    let fresh = world.node().await;
    let counters = counters_of::<0>(&fresh).await;
    let past = counters.history("a").unwrap().collect().await.unwrap();
    let counted: Vec<_> = past
        .iter()
        .map(|past| match past.event {
            Counted::Incremented { by } => by,
        })
        .collect();
    assert_eq!(counted, (0..250).collect::<Vec<_>>());
    assert!(past.is_sorted_by_key(|past| past.sequence));
    assert_eq!(
        count_and_version(&counters, "a").await,
        (250 * 249 / 2, 250)
    );
}

async fn a_load_whose_caller_went_away_harms_nobody(world: &World) {
    let writer = counters_of::<0>(&world.node().await).await;
    for id in ["a", "b"] {
        for _ in 0..20 {
            writer.execute(id, one()).await.unwrap();
        }
    }
    let tenure = world.node().await;
    let counters = counters_of::<0>(&tenure).await;
    for round in 0..20 {
        // Dropped at once, and at later and later points.
        let id = ["a", "b"][round % 2];
        let load = tokio::spawn({
            let counters = counters.clone();
            async move { counters.load(id).await.map(|_| ()) }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        load.abort();
        assert_eq!(count_and_version(&counters, id).await, (20, 20));
    }
    let mut history = counters.history("a").unwrap().page(1);
    let dropped = tokio::time::timeout(Duration::ZERO, history.next()).await;
    let seen = usize::from(matches!(dropped, Ok(Ok(Some(_)))));
    let left = history.collect().await.unwrap();
    assert_eq!(
        seen + left.len(),
        20,
        "no event is lost by a dropped future"
    );
    until("all are answered", || async {
        let counted = tenure.counters().await;
        assert!(counted.requests > 20, "{counted:?}");
        counted.requests == counted.answers
    })
    .await;
}

async fn a_load_with_a_snapshot_at_the_head_ends(world: &World) {
    let writer = counters_of::<1>(&world.node().await).await;
    for bodies in 1..=3 {
        writer.execute("a", one()).await.unwrap();
        until("a snapshot of the head", || async {
            world.extent("snap").await.messages == bodies
        })
        .await;
    }
    let fresh = world.node().await;
    let counters = counters_of::<1>(&fresh).await;
    assert_eq!(count_and_version(&counters, "a").await, (3, 3));
    assert_eq!(counters.execute("a", one()).await.unwrap(), 4);
}

async fn stop_answers_everyone(world: &World) {
    let tenure = world.node().await;
    let repository = counters_of::<0>(&tenure).await;
    let commands: Vec<_> = (0..200)
        .map(|n| {
            let repository = repository.clone();
            let id = format!("e{}", n % 5);
            tokio::spawn(async move { repository.execute(id, one()).await })
        })
        .collect();
    until("some are under way", || async {
        tenure.counters().await.requests >= 50
    })
    .await;
    within("the end of the node", tenure.stop()).await;
    let (mut done, mut unknown) = (0, 0);
    for command in commands {
        match within("an answer", command).await.unwrap() {
            Ok(_) => done += 1,
            Err(ExecuteError::Stopped) => {}
            Err(ExecuteError::Unknown { .. }) => unknown += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    let late = repository.load("e0").await;
    assert!(matches!(late, Err(LoadError::Stopped)), "{late:?}");
    let fresh = world.node().await;
    let fresh = counters_of::<0>(&fresh).await;
    let mut stored = 0;
    for n in 0..5 {
        stored += fresh
            .load_or_create(format!("e{n}"))
            .await
            .unwrap()
            .state
            .count;
    }
    assert!(
        (done..=done + unknown).contains(&stored),
        "{stored} are stored of {done} that are acknowledged and {unknown} unknown"
    );
}

async fn an_imported_history_keeps_its_gaps(world: &World) {
    let tenure = world.node().await;
    let log = tenure.log("counter").await.unwrap();
    let imported = [
        incremented(1).at(Version(3)),
        incremented(1).at(Version(7)),
        incremented(1),
    ];
    let appended = log.append("a", imported).expected_none().await.unwrap();
    assert_eq!(appended.version, Version(8));
    let counters = counters_of::<0>(&tenure).await;
    assert_eq!(count_and_version(&counters, "a").await, (3, 8));
    let at = counters.load_at("a", Version(6)).await.unwrap();
    assert_eq!((at.state.count, at.version), (1, Version(3)));
    assert_eq!(counters.execute("a", one()).await.unwrap(), 4);
    assert_eq!(counters.version("a").await.unwrap(), Version(9));
}

/// A model store has no consumers, so this is told of a server only.
#[tokio::test]
async fn loads_leave_no_consumer_on_the_server() {
    let world = World::nats();
    let log = world.node().await.log("counter").await.unwrap();
    for id in ["a", "b", "c"] {
        for _ in 0..10 {
            log.append(id, [incremented(1)]).await.unwrap();
        }
    }
    for _ in 0..10 {
        let tenure = world.node().await;
        let counters = counters_of::<1>(&tenure).await;
        for id in ["a", "b", "c"] {
            assert_eq!(count_and_version(&counters, id).await, (10, 10));
            let past = counters.history(id).unwrap().collect().await.unwrap();
            assert_eq!(past.len(), 10);
            counters.load_at(id, Version(5)).await.unwrap();
        }
    }
    let jetstream = world.jetstream().await;
    for stream in world.extents().await.into_keys() {
        let stream = jetstream.get_stream(stream).await.unwrap();
        assert_eq!(stream.cached_info().state.consumer_count, 0);
    }
}
