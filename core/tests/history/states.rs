//! What the state at one place is made of: a snapshot at or below it, and each commit from there on,
//! whatever became of the snapshots.

use crate::chance::Chance;
use crate::naive::naive;
use crate::world::{Cost, World};
use std::sync::Arc;
use tenure_core::format::Snapshot;
use tenure_core::id::{Sequence, Version, WallTime};
use tenure_core::log::{Bodies, Bounds, Cursor, LoggedCommit, Range};
use tenure_core::port::{Refused, StoreRequest};
use tenure_core::step::Outcome;

/// What a state is made of, all pages together.
fn state(
    world: &mut World,
    upper: Bounds,
    bodies: Option<Bodies>,
) -> (Option<Box<Snapshot>>, Vec<LoggedCommit>, Cost) {
    let range = Range {
        lower: Bounds::default(),
        upper,
    };
    let ask = world.ask(Cursor::State(bodies), range, 256);
    let (page, mut cost) = world.page_of(ask, |_, _| None);
    let page = page.unwrap();
    let mut commits = page.commits;
    if let Some(next) = page.next {
        let (rest, more) = world.commits(next, range, 256);
        commits.extend(rest);
        cost.requests += more.requests;
        cost.rounds += more.rounds;
    }
    (page.snapshot, commits, cost)
}

fn at_version(version: u64) -> Bounds {
    Bounds {
        version: Some(Version(version)),
        ..Bounds::default()
    }
}

fn at_sequence(sequence: u64) -> Bounds {
    Bounds {
        sequence: Some(Sequence(sequence)),
        ..Bounds::default()
    }
}

fn at_time(time: u64) -> Bounds {
    Bounds {
        time: Some(WallTime(time)),
        ..Bounds::default()
    }
}

#[test]
fn a_state_is_a_snapshot_and_every_commit_after_it() {
    let (mut with, mut without) = (0, 0);
    for seed in 0..60 {
        let mut chance = Chance::new(seed);
        let mut world = World::drawn(&mut chance);
        let mut spoiled = Vec::new();
        for named in world.named_ever.clone() {
            if chance.one_in(3) {
                world.spoil(&named);
                spoiled.push(named.sequence);
            }
        }
        let last = world.store.last(crate::world::STREAM).0;
        for _ in 0..40 {
            let upper = match chance.below(3) {
                0 => at_version(chance.below(world.version.0 + 3)),
                1 => at_sequence(chance.below(last + 3)),
                _ => at_time(chance.below(world.now.0 + 3)),
            };
            let context = format!("seed {seed}, {upper:?}");
            let lower = Bounds::default();
            let whole = naive(&world.log, Range { lower, upper });
            let (snapshot, commits, _) = state(&mut world, upper, Some(World::bodies()));
            let floor = snapshot.as_ref().map_or(Sequence::NONE, |s| s.sequence);
            let expected = whole.iter().filter(|logged| logged.sequence > floor);
            assert!(commits.iter().eq(expected), "{context}: {commits:?}");
            assert!(!spoiled.contains(&floor), "{context}");
            if let Some(snapshot) = snapshot {
                let last = whole.last().expect("a commit below a snapshot's place");
                assert!(snapshot.sequence <= last.sequence, "{context}");
                assert!(
                    upper.version.is_none_or(|v| snapshot.version <= v),
                    "{context}"
                );
                with += 1;
            } else {
                without += 1;
            }
            // The one that the last commit names is used if it can be.
            let named = whole.last().and_then(|last| last.commit.snapshot);
            if let Some(named) = named
                && !spoiled.contains(&named.sequence)
            {
                assert!(floor >= named.sequence, "{context}");
            }
        }
    }
    assert!(with > 200 && without > 200, "{with} and {without}");
}

/// A state of the past costs what one of the present does, and a few looks.
#[test]
fn a_state_begins_at_a_snapshot() {
    let mut world = World::new(0);
    for commit in 1..=1_000 {
        world.commit(|_| {});
        if commit % 50 == 0 {
            world.snapshot();
        }
    }
    for version in [1_000, 999, 951, 950, 949, 500, 60] {
        let (snapshot, commits, cost) =
            state(&mut world, at_version(version), Some(World::bodies()));
        // At 950 the snapshot of it is known, and nothing else is needed.
        let floor = (version / 50) * 50;
        let newest = snapshot.map(|s| s.version.0);
        assert!(
            newest == Some(floor) || newest == Some(floor - 50),
            "{version}: {newest:?}"
        );
        assert_eq!(commits.last().map_or(floor, |c| c.commit.last.0), version);
        // The head, one look per snapshot on the way back and two in between, the body, and the
        // commits, which are fetched at once.
        let back = (1_000 - version).div_ceil(50) as usize;
        assert!(cost.rounds <= 1 + back + 2 + 1 + 1, "{version}: {cost:?}");
        assert!(cost.requests <= cost.rounds + 50, "{version}: {cost:?}");
    }
    let (_, commits, cost) = state(&mut world, at_version(30), Some(World::bodies()));
    assert_eq!(commits.len(), 30);
    assert!(cost.rounds <= 1 + 20 + 2 + 2, "{cost:?}");
    // Without snapshots it is read page by page from its beginning.
    let (snapshot, commits, cost) = state(&mut world, at_version(1_000), None);
    assert_eq!((snapshot, commits.len()), (None, 1_000));
    assert!(cost.requests <= 1 + 5, "{cost:?}");
}

/// Whoever cannot use a snapshot's state asks for what is below it.
#[test]
fn a_state_below_a_snapshot_begins_at_the_one_before() {
    let mut world = World::new(0);
    let mut named = Vec::new();
    for commit in 1..=100 {
        world.commit(|_| {});
        if commit % 20 == 0 {
            named.push(world.snapshot());
        }
    }
    for (index, of) in named.iter().enumerate() {
        let bodies = Bodies {
            below: Some(of.sequence),
            ..World::bodies()
        };
        let (snapshot, commits, _) = state(&mut world, Bounds::default(), Some(bodies));
        let before = index.checked_sub(1).map(|before| named[before].version.0);
        if index < 4 {
            // Only one commit per look is asked which snapshot was current at it.
            assert!(snapshot.is_none_or(|s| Some(s.version.0) <= before));
        } else {
            assert_eq!(snapshot.map(|s| s.version.0), before);
        }
        assert_eq!(commits.last().unwrap().commit.last, Version(100));
    }
}

/// Each body is looked for once, and after three the log is read from its beginning.
#[test]
fn bodies_of_no_use_cost_little() {
    let mut world = World::new(0);
    for commit in 1..=200 {
        world.commit(|_| {});
        if commit % 10 == 0 {
            let named = world.snapshot();
            world.spoil(&named);
        }
    }
    let (snapshot, commits, cost) = state(&mut world, Bounds::default(), Some(World::bodies()));
    assert_eq!((snapshot, commits.len()), (None, 200));
    // The head, three bodies and the looks between them, one scan.
    assert!(cost.requests <= 1 + 3 + 2 + 1, "{cost:?}");
}

/// An entity that is deleted while the commits of a state are read has no such state any more.
#[test]
fn a_deletion_meanwhile_leaves_no_state() {
    let mut world = World::new(100);
    let (before, last) = (world.store.clone(), world.sequence(99));
    world.delete();
    for upper in [at_version(50), at_version(99), at_time(40)] {
        let range = Range {
            lower: Bounds::default(),
            upper,
        };
        let mut ask = world.ask(Cursor::State(Some(World::bodies())), range, 256);
        ask.at_least = last;
        let mut stale = true;
        let (page, _) = world.page_of(ask, |_, request| {
            let head = matches!(request, StoreRequest::Latest { .. });
            let first = stale && head;
            stale &= !head;
            first.then(|| before.answer_as_of(WallTime(1), last, request))
        });
        let page = page.unwrap();
        assert!(page.commits.is_empty() && page.next.is_none(), "{upper:?}");
        assert_eq!(page.snapshot, None);
    }
    // What lies far back is left to pages, of which the next one tells.
    let upper = at_version(99);
    let lower = Bounds::default();
    let after = Cursor::After {
        head: last,
        sequence: Sequence(20),
        version: Version(19),
    };
    let ask = world.ask(after, Range { lower, upper }, 256);
    let page = world.page_of(ask, |_, _| None).0.unwrap();
    assert!(page.commits.is_empty() && page.deleted);
}

/// What was deleted is gone, at any place before; what came after follows it.
#[test]
fn a_deleted_entity_has_no_past() {
    let mut world = World::new(5);
    let before = world.now;
    world.noise();
    world.commit(|commit| {
        commit.events.clear();
        commit.last = commit.before;
        commit.earlier = Arc::default();
        commit.tombstone = true;
    });
    let deleted = world.now;
    for upper in [at_version(3), at_version(5), at_time(before.0)] {
        let (snapshot, commits, _) = state(&mut world, upper, Some(World::bodies()));
        assert_eq!((snapshot, commits), (None, Vec::new()), "{upper:?}");
    }
    let (_, commits, _) = state(&mut world, at_time(deleted.0), Some(World::bodies()));
    assert!(commits.len() == 1 && commits[0].commit.tombstone);
    world.commit(|_| {});
    world.commit(|_| {});
    for upper in [Bounds::default(), at_version(7), at_version(6)] {
        let (_, commits, _) = state(&mut world, upper, Some(World::bodies()));
        assert_eq!(commits, world.log[..commits.len()], "{upper:?}");
        assert!(commits.len() >= 2, "{upper:?}");
    }
    assert_eq!(world.versions(Cursor::Oldest, 2), [5, 6, 7]);
    assert_eq!(world.versions(Cursor::Newest, 2), [7, 6, 5]);
}

/// A replica of the snapshots' stream that lags hides a body for a while, and no longer.
#[test]
fn the_current_body_is_asked_for_again_where_replicas_lag() {
    let mut world = World::new(9);
    let named = world.snapshot();
    world.commit(|_| {});
    let bodies = |may_lag| Bodies {
        may_lag,
        ..World::bodies()
    };
    let mut ask_with = |may_lag, mut absent: u32| {
        let ask = world.ask(Cursor::State(Some(bodies(may_lag))), Range::default(), 256);
        let (page, cost) = world.page_of(ask, |_, request| {
            let of_body =
                matches!(request, StoreRequest::Latest { stream, .. } if **stream == *"ns_snap");
            let hidden = of_body && absent > 0;
            absent -= u32::from(hidden);
            hidden.then_some(Outcome::Refused(Refused::NotFound))
        });
        (page.unwrap().snapshot.map(|body| body.sequence), cost)
    };
    let (begin, cost) = ask_with(true, 3);
    assert_eq!((begin, cost.requests), (Some(named.sequence), 1 + 4));
    // Where nothing lags it is gone at once, and what it covers is read.
    let (begin, cost) = ask_with(false, 3);
    assert_eq!((begin, cost.requests), (None, 1 + 1 + 1));
    // The patience ends.
    let (begin, cost) = ask_with(true, u32::MAX);
    assert_eq!(begin, None);
    assert!((8..100).contains(&cost.requests), "{cost:?}");
}

/// What was replaced by later snapshots may be deleted for good, and is not waited for.
#[test]
fn an_older_body_is_not_waited_for() {
    let mut world = World::new(5);
    world.snapshot();
    world.commit(|_| {});
    world.snapshot();
    world.commit(|_| {});
    let bodies = Bodies {
        may_lag: true,
        ..World::bodies()
    };
    let range = Range {
        lower: Bounds::default(),
        upper: at_version(5),
    };
    let ask = world.ask(Cursor::State(Some(bodies)), range, 256);
    let mut asked = 0;
    let (page, _) = world.page_of(ask, |_, request| {
        let of_body =
            matches!(request, StoreRequest::Latest { stream, .. } if **stream == *"ns_snap");
        asked += u32::from(of_body);
        of_body.then_some(Outcome::Refused(Refused::NotFound))
    });
    let page = page.unwrap();
    assert_eq!((page.snapshot, asked), (None, 1));
}
