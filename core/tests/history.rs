//! The reader of an entity's history, against the model store and its weak spots: replicas that
//! lag, commits that are absent, lists that do not fit.

use bytes::Bytes;
use std::collections::VecDeque;
use tenure_core::format::{Commit, EventRecord, Unknown};
use tenure_core::id::{CommitId, KindId, LayoutId, OpId, Sequence, Version, WallTime};
use tenure_core::log::{
    Cursor, History, HistoryAsk, HistoryEffect, HistoryInput, HistoryPage, HistoryRefusal,
};
use tenure_core::name::EntityId;
use tenure_core::port::{
    Expect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, StreamSettings,
};
use tenure_core::step::{Cx, Dice, Effects, Limits, Machine, Outcome, SilentProbe, Span, Time};
use tenure_mem::store::{Store, StoreConfig};

const STREAM: &str = "ns_ev_0";
const ANCHOR: &str = "ns.lay.0";
const SUBJECT: &str = "ns.ev.0.account.alice";

/// A stream with one entity's commits.
struct World {
    store: Store,
    commits: Vec<Sequence>,
    version: Version,
}

impl World {
    /// An entity with this many commits of one event each.
    fn new(commits: usize) -> Self {
        let mut store = Store::new(StoreConfig::default());
        let subjects = vec!["ns.ev.>".into(), "ns.lay.>".into()];
        let settings = StreamSettings::event_log(STREAM.into(), subjects, 1);
        let created = store.apply(WallTime(1), &StoreRequest::CreateStream(settings));
        assert!(matches!(created, Outcome::Done(_)), "{created:?}");
        let mut this = Self {
            store,
            commits: Vec::new(),
            version: Version::ABSENT,
        };
        this.publish(ANCHOR, Bytes::from_static(b"anchor"));
        for _ in 0..commits {
            this.commit(|_| {});
        }
        this
    }

    fn commit(&mut self, change: impl FnOnce(&mut Commit)) {
        let before = self.version;
        let earlier: Vec<Sequence> = self.commits.iter().rev().take(64).copied().collect();
        let mut commit = Commit {
            id: CommitId(u128::from(before.0)),
            layout: LayoutId(1),
            kind: KindId(2),
            entity: EntityId::new("alice").unwrap(),
            epoch: None,
            time: WallTime(5),
            before,
            last: before.next(),
            earlier,
            snapshot: None,
            horizon: WallTime(0),
            commands: Vec::new(),
            events: vec![EventRecord {
                version: before.next(),
                name: "moved".into(),
                schema: 1,
                data: Bytes::new(),
            }],
            tombstone: false,
            metadata: Vec::new(),
            unknown: Unknown::default(),
        };
        change(&mut commit);
        self.version = commit.last;
        let sequence = self.publish(SUBJECT, commit.encode());
        self.commits.push(sequence);
    }

    fn publish(&mut self, subject: &str, payload: Bytes) -> Sequence {
        let publish = Publish {
            stream: STREAM.into(),
            subject: subject.into(),
            expect: Expect::Nothing,
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload,
        };
        let reply = self
            .store
            .apply(WallTime(1), &StoreRequest::Publish(publish));
        let Outcome::Done(StoreDone::Published(ack)) = reply else {
            panic!("{reply:?}");
        };
        ack.sequence
    }

    /// Reads one page; `answer` may stand in for the store.
    fn page(
        &mut self,
        cursor: Cursor,
        commits_max: u32,
        mut answer: impl FnMut(&Store, &StoreRequest) -> Option<StoreReply>,
    ) -> Result<HistoryPage, HistoryRefusal> {
        let ask = HistoryAsk {
            stream: STREAM.into(),
            anchor: ANCHOR.into(),
            subject: SUBJECT.into(),
            entity: EntityId::new("alice").unwrap(),
            kind: KindId(2),
            at_least: self.store.last(STREAM),
            cursor,
            commits_max,
            deadline: Time::ZERO + Span::from_secs(60),
        };
        let mut machine = History::new(ask, Limits::default());
        let mut out = Effects::new(1_000);
        let mut now = Time::ZERO;
        let mut inputs = VecDeque::from([HistoryInput::Tick]);
        for _ in 0..100_000 {
            let input = match inputs.pop_front() {
                Some(input) => input,
                None => {
                    now = now.max(machine.next_deadline().expect("it waits for something").at);
                    HistoryInput::Tick
                }
            };
            let mut probe = SilentProbe;
            let mut cx = Cx {
                now,
                dice: Dice::new(7),
                probe: &mut probe,
            };
            machine.step(&mut cx, input, &mut out);
            for effect in out.drain() {
                match effect {
                    HistoryEffect::Store { op, request } => {
                        let reply = answer(&self.store, &request)
                            .unwrap_or_else(|| self.store.apply(WallTime(1), &request));
                        // Out of order, which means nothing.
                        inputs.push_front(HistoryInput::Stored { op, reply });
                    }
                    HistoryEffect::Done(result) => {
                        assert_eq!(machine.next_deadline(), None, "it is at its end");
                        return result;
                    }
                    HistoryEffect::Halt(reason) => panic!("{reason}"),
                }
            }
        }
        panic!("no end");
    }

    /// All pages from a cursor on, as versions.
    fn versions(&mut self, mut cursor: Cursor, commits_max: u32) -> Vec<u64> {
        let mut versions = Vec::new();
        loop {
            let page = self.page(cursor, commits_max, |_, _| None).unwrap();
            assert!(page.commits.len() <= commits_max as usize);
            versions.extend(page.commits.iter().map(|stored| stored.commit.last.0));
            match page.next {
                Some(next) => cursor = next,
                None => return versions,
            }
        }
    }
}

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
        head: world.commits[9],
        sequence: world.commits[4],
        version: Version(5),
    };
    let page = world.page(cursor, 64, |store, request| {
        let scan = matches!(request, StoreRequest::Scan { .. });
        scan.then(|| store.answer_as_of(WallTime(1), Sequence(6), request))
    });
    damaged(&page, "no replica has the commits up to it");
}

/// An absent commit is asked elsewhere, and is damage when it stays absent; it is never left out.
#[test]
fn a_listed_commit_that_is_absent_is_asked_again_then_damage() {
    let mut world = World::new(10);
    let absent = world.commits[3];
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
    world.publish(SUBJECT, Bytes::from_static(b"no commit"));
    damaged(&world.page(Cursor::Newest, 64, |_, _| None), "commit");
}

#[test]
fn an_answer_that_was_never_asked_for_is_a_halt() {
    let ask = HistoryAsk {
        stream: STREAM.into(),
        anchor: ANCHOR.into(),
        subject: SUBJECT.into(),
        entity: EntityId::new("alice").unwrap(),
        kind: KindId(2),
        at_least: Sequence::NONE,
        cursor: Cursor::Newest,
        commits_max: 1,
        deadline: Time::ZERO + Span::from_secs(1),
    };
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
