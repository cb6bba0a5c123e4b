//! Pages of a whole history, and the store's weak spots: replicas that lag, commits that are absent,
//! lists that do not fit.

use crate::world::{STREAM, SUBJECT, World};
use bytes::Bytes;
use tenure_core::id::{OpId, Sequence, Version, WallTime};
use tenure_core::log::{
    Cursor, History, HistoryEffect, HistoryInput, HistoryPage, HistoryRefusal, Range,
};
use tenure_core::name::EntityId;
use tenure_core::port::{Refused, Rollup, StoreRequest};
use tenure_core::step::{Cx, Dice, Effects, Limits, Machine, Outcome, SilentProbe, Time};

fn damaged(result: &Result<HistoryPage, HistoryRefusal>, text: &str) {
    match result {
        Err(HistoryRefusal::Damaged(damage)) => {
            assert!(damage.to_string().contains(text), "{damage}");
        }
        Ok(_) | Err(HistoryRefusal::Deadline | HistoryRefusal::Store(_)) => panic!("{result:?}"),
    }
}

#[test]
fn pages_of_every_size_read_all_both_ways() {
    for commits in [0, 1, 2, 63, 64, 65, 66, 130, 200] {
        let mut world = World::new(commits);
        let forward: Vec<u64> = (1..=commits as u64).collect();
        let backward: Vec<u64> = forward.iter().rev().copied().collect();
        for commits_max in [1, 2, 63, 64, 65, 256] {
            let context = format!("{commits} commits, pages of {commits_max}");
            assert_eq!(
                world.versions(Cursor::Oldest, commits_max),
                forward,
                "{context}"
            );
            assert_eq!(
                world.versions(Cursor::Newest, commits_max),
                backward,
                "{context}"
            );
        }
    }
}

/// A replica that lags gives an old head: it is told by what the answer takes in, and asked again.
#[test]
fn a_head_of_a_replica_that_lags_does_not_count() {
    let mut world = World::new(10);
    for cursor in [Cursor::Oldest, Cursor::Newest] {
        let mut stale = 3;
        let page = world.page(cursor, 64, |store, request| {
            let lags = matches!(request, StoreRequest::Latest { .. }) && stale > 0;
            lags.then(|| {
                stale -= 1;
                store.answer_as_of(WallTime(1), Sequence(6), request)
            })
        });
        assert_eq!(page.unwrap().commits.len(), 10);
        assert_eq!(stale, 0);
    }
}

/// A replica that has not even the anchor says that there is nothing.
#[test]
fn nothing_at_all_is_a_replica_that_lags() {
    let mut world = World::new(1);
    let mut stale = 2;
    let page = world.page(Cursor::Oldest, 64, |store, request| {
        let lags = matches!(request, StoreRequest::Latest { .. }) && stale > 0;
        lags.then(|| {
            stale -= 1;
            store.answer_as_of(WallTime(1), Sequence(0), request)
        })
    });
    assert_eq!(page.unwrap().commits.len(), 1);
}

/// The tail is not missed when the scan is answered by a replica that lags.
#[test]
fn a_scan_that_ends_before_the_head_goes_on() {
    let mut world = World::new(10);
    let mut cursor = Cursor::Oldest;
    let mut versions = Vec::new();
    let mut scans = 0;
    loop {
        let page = world.page(cursor, 64, |store, request| {
            let scan = matches!(request, StoreRequest::Scan { .. });
            scans += u32::from(scan);
            (scan && scans < 5).then(|| store.answer_as_of(WallTime(1), Sequence(6), request))
        });
        let page = page.unwrap();
        versions.extend(page.commits.iter().map(|stored| stored.commit.last.0));
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    assert_eq!(versions, (1..=10).collect::<Vec<u64>>());
    assert!(scans >= 5);
}

#[test]
fn a_head_that_no_scan_reaches_is_damage() {
    let mut world = World::new(10);
    let cursor = Cursor::After {
        head: world.sequence(9),
        sequence: world.sequence(4),
        version: Version(5),
    };
    let page = world.page(cursor, 64, |store, request| {
        let scan = matches!(request, StoreRequest::Scan { .. });
        scan.then(|| store.answer_as_of(WallTime(1), Sequence(6), request))
    });
    damaged(&page, "no replica has the commits up to it");
}

/// What is deleted while it is read backwards ends there, in the middle of a page as between two.
#[test]
fn a_deletion_ends_what_is_read_backwards() {
    let mut world = World::new(150);
    let page = world.page(Cursor::Newest, 64, |_, _| None).unwrap();
    assert!(page.commits.len() == 64 && !page.deleted);
    let (next, before) = (page.next.unwrap(), world.store.clone());
    let last = world.sequence(149);
    world.delete();
    let page = world.page(next, 64, |_, _| None).unwrap();
    assert_eq!(page.commits.len(), 0);
    assert!(page.deleted && page.next.is_none());
    let mut ask = world.ask(Cursor::Newest, Range::default(), 64);
    ask.at_least = last;
    let (page, _) = world.page_of(ask, |_, request| {
        let late =
            matches!(request, StoreRequest::Get { sequence, .. } if sequence.0 + 10 < last.0);
        let reads = matches!(
            request,
            StoreRequest::Latest { .. } | StoreRequest::Get { .. }
        );
        (reads && !late).then(|| before.answer_as_of(WallTime(1), last, request))
    });
    let page = page.unwrap();
    let versions: Vec<u64> = page.commits.iter().map(|it| it.commit.last.0).collect();
    assert_eq!(versions, (140..=150).rev().collect::<Vec<u64>>());
    assert!(page.deleted && page.next.is_none());
}

/// An absent commit is asked elsewhere, and is damage when it stays absent; it is never left out.
#[test]
fn a_listed_commit_that_is_absent_is_asked_again_then_damage() {
    let mut world = World::new(10);
    let absent = world.sequence(3);
    let is_it = |request: &StoreRequest| matches!(request, StoreRequest::Get { sequence, .. } if *sequence == absent);
    let mut times = 3;
    let page = world.page(Cursor::Newest, 64, |_, request| {
        let away = is_it(request) && times > 0;
        times -= u32::from(away);
        away.then_some(Outcome::Refused(Refused::NotFound))
    });
    assert_eq!(page.unwrap().commits.len(), 10);
    let page = world.page(Cursor::Newest, 64, |_, request| {
        is_it(request).then_some(Outcome::Refused(Refused::NotFound))
    });
    damaged(&page, "it is absent");
}

#[test]
fn a_read_without_an_answer_is_asked_until_the_deadline() {
    let mut world = World::new(3);
    let mut times = 5;
    let page = world.page(Cursor::Newest, 64, |_, _| {
        let lost = times > 0;
        times -= u32::from(lost);
        lost.then_some(Outcome::Unknown)
    });
    assert_eq!(page.unwrap().commits.len(), 3);
    for cursor in [Cursor::Oldest, Cursor::Newest] {
        let page = world.page(cursor, 64, |_, _| Some(Outcome::Unknown));
        assert_eq!(page, Err(HistoryRefusal::Deadline));
    }
    let denied = || Refused::Denied("no".into());
    let page = world.page(Cursor::Oldest, 64, |_, _| Some(Outcome::Refused(denied())));
    assert_eq!(page, Err(HistoryRefusal::Store(denied())));
}

#[test]
fn commits_that_do_not_fit_together_are_damage() {
    let mut world = World::new(5);
    world.commit(|commit| {
        commit.before = Version(7);
        commit.last = Version(8);
        commit.events[0].version = Version(8);
    });
    damaged(
        &world.page(Cursor::Oldest, 64, |_, _| None),
        "it follows version 7",
    );
    damaged(
        &world.page(Cursor::Newest, 64, |_, _| None),
        "the commit after it follows 7",
    );

    let mut world = World::new(2);
    world.commit(|commit| commit.entity = EntityId::new("bob").unwrap());
    damaged(
        &world.page(Cursor::Oldest, 64, |_, _| None),
        "another entity",
    );
    damaged(
        &world.page(Cursor::Newest, 64, |_, _| None),
        "another entity",
    );

    let mut world = World::new(2);
    world.publish(
        STREAM,
        SUBJECT,
        Rollup::No,
        Bytes::from_static(b"no commit"),
    );
    damaged(&world.page(Cursor::Newest, 64, |_, _| None), "commit");
}

#[test]
fn an_answer_that_was_never_asked_for_is_a_halt() {
    let ask = World::new(0).ask(Cursor::Newest, Range::default(), 1);
    let mut machine = History::new(ask, Limits::default());
    let mut out = Effects::new(10);
    let mut probe = SilentProbe;
    let mut cx = Cx {
        now: Time::ZERO,
        dice: Dice::new(7),
        probe: &mut probe,
    };
    machine.step(&mut cx, HistoryInput::Tick, &mut out);
    out.drain();
    let input = HistoryInput::Stored {
        op: OpId(99),
        reply: Outcome::Unknown,
    };
    machine.step(&mut cx, input, &mut out);
    assert!(matches!(out.as_slice(), [HistoryEffect::Halt(_)]));
}

#[test]
fn a_repetition_waits_for_half_of_a_span_that_doubles_and_for_a_drawn_part_of_the_other_half() {
    let (limits, world) = (Limits::default(), World::new(3));
    let mut drawn = Vec::new();
    for seed in 0..40 {
        let ask = world.ask(Cursor::Oldest, Range::default(), 8);
        let mut machine = History::new(ask, limits);
        let (mut now, mut whole) = (Time::ZERO, limits.retry_delay_min);
        let mut step = |now, input| {
            let mut out = Effects::new(limits.effects_max);
            let mut probe = SilentProbe;
            let dice = Dice::new(seed);
            let mut cx = Cx {
                now,
                dice,
                probe: &mut probe,
            };
            machine.step(&mut cx, input, &mut out);
            let asked = out.drain().find_map(|effect| match effect {
                HistoryEffect::Store { op, .. } => Some(op),
                HistoryEffect::Done(_) | HistoryEffect::Halt(_) => None,
            });
            (asked, machine.next_deadline())
        };
        for _ in 0..12 {
            let (asked, _) = step(now, HistoryInput::Tick);
            let op = asked.expect("a request");
            let reply = Outcome::Unknown;
            let (_, deadline) = step(now, HistoryInput::Stored { op, reply });
            let again = deadline.expect("it is asked again").at;
            let half = whole.as_nanos() / 2;
            let jitter = again.since(now).as_nanos().checked_sub(half);
            let jitter = jitter.expect("half of it at least");
            assert!(jitter <= half);
            drawn.push(4 * jitter / (half + 1));
            now = again;
            whole = whole.saturating_mul(2).min(limits.retry_delay_max);
        }
    }
    for quarter in 0..4 {
        assert!(drawn.contains(&quarter), "no wait in quarter {quarter}");
    }
}

#[test]
fn what_is_refused_for_now_is_asked_again_and_for_good_ends_it() {
    let mut world = World::new(150);
    for cursor in [Cursor::Oldest, Cursor::Newest] {
        let mut whole = |refused: &Refused, at: usize| {
            let mut count = 0;
            let page = world.page(cursor.clone(), 64, |_, _| {
                count += 1;
                (count == at).then(|| Outcome::Refused(refused.clone()))
            });
            (page, count)
        };
        let (undisturbed, requests) = whole(&Refused::Overloaded, 0);
        assert!(undisturbed.is_ok() && requests > 1);
        for at in 1..=requests {
            let (page, _) = whole(&Refused::Overloaded, at);
            assert_eq!(page, undisturbed, "request {at} of {cursor:?}");
            let denied = Refused::Denied("not allowed".into());
            let (page, _) = whole(&denied, at);
            assert_eq!(page, Err(HistoryRefusal::Store(denied)), "request {at}");
        }
    }
}
