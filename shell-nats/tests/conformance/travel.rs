//! Time travel: an entity as it was at a version, a sequence or a time is what its events make of it
//! up to there, be it read from a snapshot or from the first one on.

use crate::counter::{Counted, Counter, Increment, counters_of, incremented, one};
use crate::world::{World, until};
use std::time::{Duration, UNIX_EPOCH};
use tenure::prelude::*;
use tenure::{Past, Sequence, WallTime};
use tenure_core::format::Commit;
use tenure_core::port::{Expect, Publish, Rollup, StoreDone, StoreRequest};
use tenure_core::step::Outcome;

on_both_shells![
    each_place_is_what_the_events_up_to_it_make,
    a_place_in_a_gap_is_the_one_before_it,
    before_the_first_event_there_is_nothing,
    after_the_last_event_it_is_as_it_is_now,
    a_place_is_cheap_with_snapshots_and_right_without,
    a_deleted_entity_has_no_past,
];

/// The count and version that events up to some place make.
fn naive(past: &[Past<Counted>], takes: impl Fn(&Past<Counted>) -> bool) -> Option<(u64, u64)> {
    let taken: Vec<_> = past.iter().take_while(|past| takes(past)).collect();
    let count = taken.iter().map(|past| match past.event {
        Counted::Incremented { by } => by,
    });
    let last = taken.last()?.version.0;
    Some((count.sum(), last))
}

fn seen<const EVERY: u32>(loaded: Result<Loaded<Counter<EVERY>>, LoadError>) -> Option<(u64, u64)> {
    match loaded {
        Ok(loaded) => Some((loaded.state.count, loaded.version.0)),
        Err(LoadError::NotFound { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Commits of one event and of several, by processes with snapshots and without.
async fn counted(world: &World) -> Repository<Counter<0>> {
    let with = counters_of::<5>(&world.node().await).await;
    let without = counters_of::<0>(&world.node().await).await;
    for n in 0..60 {
        let by = Increment { by: 1 + n % 3 };
        match n % 4 {
            0 => without.execute("a", by).await.map(drop).unwrap(),
            _ => with.execute("a", by).await.map(drop).unwrap(),
        }
        without.execute("b", one()).await.unwrap();
        if n % 16 == 7 {
            // So that not all are stored in one millisecond.
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    until("snapshots", || async {
        world.extent("snap").await.messages > 3
    })
    .await;
    without
}

async fn each_place_is_what_the_events_up_to_it_make(world: &World) {
    counted(world).await;
    // Neither has seen anything yet.
    let with = counters_of::<5>(&world.node().await).await;
    let without = counters_of::<0>(&world.node().await).await;
    let past = without.history("a").unwrap().collect().await.unwrap();
    assert_eq!(past.len(), 120);
    for of in &past {
        let version = naive(&past, |past| past.version <= of.version);
        assert_eq!(seen(with.load_at("a", of.version).await), version);
        assert_eq!(seen(without.load_at("a", of.version).await), version);
        let sequence = naive(&past, |past| past.sequence <= of.sequence);
        assert_eq!(seen(with.load_at("a", of.sequence).await), sequence);
        let between = Sequence(of.sequence.0 + 1);
        let after = naive(&past, |past| past.sequence <= between);
        assert_eq!(seen(without.load_at("a", between).await), after);
        for time in [
            of.stored,
            WallTime(of.stored.0 - 1),
            WallTime(of.stored.0 + 1),
        ] {
            let expected = naive(&past, |past| past.stored <= time);
            assert_eq!(seen(with.load_at("a", time).await), expected, "at {time:?}");
        }
    }
}

async fn a_place_in_a_gap_is_the_one_before_it(world: &World) {
    let tenure = world.node().await;
    let log = tenure.log("counter").await.unwrap();
    for versions in [[3, 7], [100, 101], [102, 1_000]] {
        let events = versions.map(|version| incremented(1).at(Version(version)));
        log.append("a", events).await.unwrap();
    }
    let counters = counters_of::<0>(&tenure).await;
    for (asked, expected) in [
        (1, None),
        (2, None),
        (3, Some((1, 3))),
        (6, Some((1, 3))),
        (7, Some((2, 7))),
        (99, Some((2, 7))),
        (100, Some((3, 100))),
        (101, Some((4, 101))),
        (999, Some((5, 102))),
        (1_000, Some((6, 1_000))),
    ] {
        assert_eq!(
            seen(counters.load_at("a", Version(asked)).await),
            expected,
            "at {asked}"
        );
    }
}

async fn before_the_first_event_there_is_nothing(world: &World) {
    let counters = counted(world).await;
    let first = counters
        .history("a")
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    for at in [
        Version::ABSENT.into(),
        tenure::Point::Sequence(Sequence(first.sequence.0 - 1)),
        WallTime(first.stored.0 - 1).into(),
        UNIX_EPOCH.into(),
        (UNIX_EPOCH - Duration::from_secs(1)).into(),
    ] {
        assert_eq!(seen(counters.load_at("a", at).await), None, "{at:?}");
        assert_eq!(seen(counters.load_at("nobody", at).await), None, "{at:?}");
    }
}

async fn after_the_last_event_it_is_as_it_is_now(world: &World) {
    let counters = counted(world).await;
    let now = counters.load("a").await.unwrap();
    for at in [far(), tenure::Point::Sequence(Sequence(u64::MAX))] {
        let then = counters.load_at("a", at).await.unwrap();
        assert_eq!(then, now);
        assert_eq!(seen(counters.load_at("nobody", at).await), None);
    }
    let ahead = counters.load_at("a", Version(121)).await;
    assert!(
        matches!(
            ahead,
            Err(LoadError::Ahead {
                asked: Version(121),
                actual: Version(120),
                ..
            })
        ),
        "{ahead:?}"
    );
    let nobody = counters.load_at("nobody", Version(1)).await;
    assert!(
        matches!(nobody, Err(LoadError::NotFound { .. })),
        "{nobody:?}"
    );
}

async fn a_place_is_cheap_with_snapshots_and_right_without(world: &World) {
    let writer = counters_of::<20>(&world.node().await).await;
    for _ in 0..200 {
        writer.execute("a", one()).await.unwrap();
    }
    until("snapshots", || async {
        world.extent("snap").await.messages >= 2
    })
    .await;
    let tenure = world.node().await;
    let counters = counters_of::<20>(&tenure).await;
    let cost = async |version| {
        let before = tenure.counters().await.store_requests;
        let then = counters.load_at("a", Version(version)).await.unwrap();
        assert_eq!((then.state.count, then.version.0), (version, version));
        tenure.counters().await.store_requests - before
    };
    for version in [200, 195, 190] {
        let requests = cost(version).await;
        // The head, two looks, a body, and no more commits than lie between two snapshots (and the
        // one that is being taken).
        assert!(requests <= 4 + 2 * 20, "{requests} requests at {version}");
    }
    // Of the distant past no snapshot is left: the whole log is read, a page at a time.
    let requests = cost(50).await;
    assert!(requests <= 1 + 10 + 3 + 3 + 2 + 50, "{requests} requests");
    // Nor do other bodies change what comes out.
    for body in world
        .messages("snap", &format!("{}.snap.>", world.namespace))
        .await
    {
        world.publish("snap", &body.subject, b"no snapshot").await;
    }
    for version in [200, 195, 150, 3] {
        cost(version).await;
    }
}

/// Nothing deletes an entity yet; its tombstone is written here as it will be.
async fn a_deleted_entity_has_no_past(world: &World) {
    let counters = counted(world).await;
    let before = counters.load("a").await.unwrap().version;
    let filter = format!("{}.ev.*.counter.a", world.namespace);
    let last = world.messages("ev_0", &filter).await.pop().unwrap();
    let commit = Commit::decode(&last.payload).unwrap();
    let tombstone = Commit {
        before: commit.last,
        earlier: std::sync::Arc::default(),
        snapshot: None,
        commands: Vec::new(),
        events: Vec::new(),
        metadata: Vec::new(),
        later: None,
        tombstone: true,
        ..commit
    };
    let publish = Publish {
        stream: format!("{}_ev_0", world.namespace).into(),
        subject: last.subject.as_str().into(),
        expect: Expect::Nothing,
        rollup: Rollup::Subject,
        dedup: None,
        ttl_s: None,
        payload: tombstone.encode(),
    };
    let stored = world.ask(StoreRequest::Publish(publish)).await;
    assert!(
        matches!(stored, Outcome::Done(StoreDone::Published(_))),
        "{stored:?}"
    );
    let counters = counters_of::<5>(&world.node().await).await;
    for at in [
        Version(7).into(),
        before.into(),
        far(),
        last_place(last.sequence),
    ] {
        assert_eq!(seen(counters.load_at("a", at).await), None, "{at:?}");
    }
    assert_eq!(counters.history("a").unwrap().collect().await.unwrap(), []);
    let history = counters.history("a").unwrap().backward();
    assert_eq!(history.collect().await.unwrap(), []);
}

/// A time that is still to come.
fn far() -> tenure::Point {
    (UNIX_EPOCH + Duration::from_secs(10_000_000_000)).into()
}

fn last_place(sequence: u64) -> tenure::Point {
    Sequence(sequence).into()
}
