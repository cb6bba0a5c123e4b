//! One entity's log in a model store, and a driver of the machine that reads it.

use crate::chance::Chance;
use bytes::Bytes;
use std::collections::VecDeque;
use tenure_core::format::{Commit, EventRecord, LayoutKey, Snapshot, SnapshotRef, Unknown};
use tenure_core::id::{
    CommitId, KindId, LayoutId, Sequence, ShardId, SnapshotTag, Version, WallTime,
};
use tenure_core::log::{
    Bodies, Cursor, History, HistoryAsk, HistoryEffect, HistoryInput, HistoryPage, HistoryRefusal,
    LoggedCommit, Range,
};
use tenure_core::name::{EntityId, KindName, Namespace};
use tenure_core::port::{
    Expect, Publish, Rollup, StoreDone, StoreReply, StoreRequest, StreamSettings,
};
use tenure_core::step::{Cx, Dice, Effects, Limits, Machine, Outcome, SilentProbe, Span, Time};
use tenure_mem::store::{Store, StoreConfig};

pub(crate) const STREAM: &str = "ns_ev_0";
pub(crate) const ANCHOR: &str = "ns.lay.0";
pub(crate) const SUBJECT: &str = "ns.ev.0.account.alice";
const SNAPSHOTS: &str = "ns_snap";
const KEY: LayoutKey = LayoutKey(7);

/// A stream with one entity's commits.
pub(crate) struct World {
    pub(crate) store: Store,
    /// What was stored, oldest first.
    pub(crate) log: Vec<LoggedCommit>,
    pub(crate) version: Version,
    /// The store's clock.
    pub(crate) now: WallTime,
    /// What its writers list.
    pub(crate) chain_max: usize,
    /// What the next commit names.
    pub(crate) named: Option<SnapshotRef>,
    /// All snapshots that were taken.
    pub(crate) named_ever: Vec<SnapshotRef>,
}

/// What a page cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Requests to the store.
    pub(crate) requests: usize,
    /// Requests that had to wait for one another.
    pub(crate) rounds: usize,
}

impl World {
    /// An entity with this many commits of one event each.
    pub(crate) fn new(commits: usize) -> Self {
        let mut store = Store::new(StoreConfig::default());
        let subjects = vec!["ns.ev.>".into(), "ns.lay.>".into()];
        let events = StreamSettings::event_log(STREAM.into(), subjects, 1);
        let bodies = StreamSettings::snapshots(SNAPSHOTS.into(), vec!["ns.snap.>".into()], 1);
        for settings in [events, bodies] {
            let created = store.apply(WallTime(1), &StoreRequest::CreateStream(settings));
            assert!(matches!(created, Outcome::Done(_)), "{created:?}");
        }
        let mut this = Self {
            store,
            log: Vec::new(),
            version: Version::ABSENT,
            now: WallTime(1),
            chain_max: 64,
            named: None,
            named_ever: Vec::new(),
        };
        this.publish(STREAM, ANCHOR, Rollup::No, Bytes::from_static(b"anchor"));
        for _ in 0..commits {
            this.commit(|_| {});
        }
        this
    }

    /// An entity as writers of several builds leave it: commits of several events and of none, gaps,
    /// other entities' messages, snapshots, lists of any length, and stamps that stand still or leap.
    pub(crate) fn drawn(chance: &mut Chance) -> Self {
        let mut this = Self::new(0);
        this.chain_max = [3, 64][chance.below(2) as usize];
        let often = 2 + chance.below(20);
        for _ in 0..chance.below(120) {
            match chance.below(6) {
                0 => this.commit_at(&[]),
                1 => {
                    let first = this.version.0 + 1 + chance.below(3);
                    this.commit_at(&[first, first + 1, first + 3]);
                }
                _ => this.commit(|_| {}),
            }
            match chance.below(4) {
                0 => this.now.0 -= 1,
                1 => this.now.0 += chance.below(5),
                _ => {}
            }
            if chance.one_in(often) {
                this.snapshot();
            }
            for _ in 0..chance.below(3) {
                this.noise();
            }
        }
        this
    }

    /// A commit of one event, changed as it pleases; the clock goes on by one.
    pub(crate) fn commit(&mut self, change: impl FnOnce(&mut Commit)) {
        let before = self.version;
        let covered = self.named.map_or(Sequence::NONE, |named| named.sequence);
        let earlier = self.log.iter().rev().map(|logged| logged.sequence);
        let earlier = earlier.take_while(|sequence| *sequence > covered);
        let mut commit = Commit {
            id: CommitId(u128::from(before.0)),
            layout: LayoutId(1),
            kind: KindId(2),
            entity: EntityId::new("alice").unwrap(),
            epoch: None,
            time: WallTime(5),
            before,
            last: before.next(),
            earlier: earlier.take(self.chain_max).collect::<Vec<_>>().into(),
            snapshot: self.named,
            horizon: WallTime(0),
            commands: Vec::new(),
            events: vec![event(before.next())],
            tombstone: false,
            metadata: Vec::new(),
            later: None,
            unknown: Unknown::default(),
        };
        change(&mut commit);
        self.now.0 += 1;
        self.version = commit.last;
        let rollup = match commit.tombstone {
            true => Rollup::Subject,
            false => Rollup::No,
        };
        let sequence = self.publish(STREAM, SUBJECT, rollup, commit.encode());
        if commit.tombstone {
            self.log.clear();
            self.named = None;
        }
        self.log.push(LoggedCommit {
            sequence,
            stored: self.now,
            commit,
        });
    }

    /// Deletes the entity.
    pub(crate) fn delete(&mut self) {
        self.commit(|commit| {
            commit.earlier = Vec::new().into();
            commit.snapshot = None;
            commit.tombstone = true;
        });
    }

    /// A commit of events at these versions; none is one that only recorded something.
    pub(crate) fn commit_at(&mut self, versions: &[u64]) {
        self.commit(|commit| {
            commit.events = versions
                .iter()
                .map(|version| event(Version(*version)))
                .collect();
            commit.last = versions.last().map_or(commit.before, |last| Version(*last));
        });
    }

    /// A snapshot of the state as it is now, which the next commit names.
    pub(crate) fn snapshot(&mut self) -> SnapshotRef {
        let last = self.log.last().expect("a commit");
        let (version, sequence) = (self.version, last.sequence);
        let tag = SnapshotTag(u128::from(sequence.0));
        let body = Snapshot {
            layout: LayoutId(1),
            kind: KindId(2),
            entity: EntityId::new("alice").unwrap(),
            version,
            sequence,
            horizon: WallTime(0),
            commands: Vec::new(),
            schema: 1,
            state: Bytes::from_static(b"state"),
            older: Vec::new(),
            timers: Vec::new(),
            unknown: Unknown::default(),
        };
        let payload = body.encode();
        let named = SnapshotRef {
            version,
            sequence,
            tag,
            hash: KEY.hash(&payload),
        };
        self.publish(SNAPSHOTS, &body_subject(&named), Rollup::No, payload);
        self.named = Some(named);
        self.named_ever.push(named);
        named
    }

    /// The body of a snapshot is one with another state, or nothing that can be read.
    pub(crate) fn spoil(&mut self, named: &SnapshotRef) {
        let subject = body_subject(named);
        let body = self.store.last_of(SNAPSHOTS, &subject).expect("a body");
        let mut body = Snapshot::decode(&body.payload).expect("a snapshot");
        body.state = Bytes::from_static(b"another state");
        let other = match named.sequence.0 % 2 {
            0 => body.encode(),
            _ => Bytes::from_static(b"no snapshot"),
        };
        self.publish(SNAPSHOTS, &subject, Rollup::Subject, other);
    }

    /// A message of somebody else.
    pub(crate) fn noise(&mut self) {
        let bob = "ns.ev.0.account.bob";
        self.publish(STREAM, bob, Rollup::No, Bytes::from_static(b"noise"));
    }

    pub(crate) fn publish(
        &mut self,
        stream: &str,
        subject: &str,
        rollup: Rollup,
        payload: Bytes,
    ) -> Sequence {
        let publish = Publish {
            stream: stream.into(),
            subject: subject.into(),
            expect: Expect::Nothing,
            rollup,
            dedup: None,
            ttl_s: None,
            payload,
        };
        let reply = self.store.apply(self.now, &StoreRequest::Publish(publish));
        let Outcome::Done(StoreDone::Published(ack)) = reply else {
            panic!("{reply:?}");
        };
        ack.sequence
    }

    pub(crate) fn sequence(&self, commit: usize) -> Sequence {
        self.log[commit].sequence
    }

    pub(crate) fn bodies() -> Bodies {
        Bodies {
            namespace: Namespace::new("ns").unwrap(),
            layout: LayoutId(1),
            key: KEY,
            shard: ShardId(0),
            kind: KindName::new("account").unwrap(),
            schema: 1,
            below: None,
            tries_max: 3,
            may_lag: false,
        }
    }

    pub(crate) fn ask(&self, cursor: Cursor, range: Range, commits_max: u32) -> HistoryAsk {
        HistoryAsk {
            stream: STREAM.into(),
            anchor: ANCHOR.into(),
            subject: SUBJECT.into(),
            entity: EntityId::new("alice").unwrap(),
            kind: KindId(2),
            at_least: self.store.last(STREAM),
            cursor,
            range,
            commits_max,
            deadline: Time::ZERO + Span::from_secs(60),
        }
    }

    /// Reads one page of everything; `answer` may stand in for the store.
    pub(crate) fn page(
        &mut self,
        cursor: Cursor,
        commits_max: u32,
        answer: impl FnMut(&Store, &StoreRequest) -> Option<StoreReply>,
    ) -> Result<HistoryPage, HistoryRefusal> {
        self.page_of(self.ask(cursor, Range::default(), commits_max), answer)
            .0
    }

    /// Reads one page, and says what it cost.
    pub(crate) fn page_of(
        &mut self,
        ask: HistoryAsk,
        mut answer: impl FnMut(&Store, &StoreRequest) -> Option<StoreReply>,
    ) -> (Result<HistoryPage, HistoryRefusal>, Cost) {
        let mut machine = History::new(ask, Limits::default());
        let mut out = Effects::new(1_000);
        let mut now = Time::ZERO;
        let mut inputs = VecDeque::from([(HistoryInput::Tick, 0)]);
        let mut cost = Cost::default();
        for _ in 0..100_000 {
            let (input, round) = match inputs.pop_front() {
                Some(input) => input,
                None => {
                    now = now.max(machine.next_deadline().expect("it waits for something").at);
                    (HistoryInput::Tick, cost.rounds)
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
                        cost.requests += 1;
                        cost.rounds = cost.rounds.max(round + 1);
                        let reply = answer(&self.store, &request)
                            .unwrap_or_else(|| self.store.apply(WallTime(1), &request));
                        // Out of order, which means nothing.
                        inputs.push_front((HistoryInput::Stored { op, reply }, round + 1));
                    }
                    HistoryEffect::Done(result) => {
                        assert_eq!(machine.next_deadline(), None, "it is at its end");
                        return (result, cost);
                    }
                    HistoryEffect::Halt(reason) => panic!("{reason}"),
                }
            }
        }
        panic!("no end");
    }

    /// All commits from a cursor on, and what they cost.
    pub(crate) fn commits(
        &mut self,
        mut cursor: Cursor,
        range: Range,
        commits_max: u32,
    ) -> (Vec<LoggedCommit>, Cost) {
        let mut commits = Vec::new();
        let mut all = Cost::default();
        loop {
            let ask = self.ask(cursor, range, commits_max);
            let (page, cost) = self.page_of(ask, |_, _| None);
            let page = page.unwrap();
            all.requests += cost.requests;
            all.rounds += cost.rounds;
            assert!(page.commits.len() <= commits_max as usize);
            commits.extend(page.commits);
            match page.next {
                Some(next) => cursor = next,
                None => return (commits, all),
            }
        }
    }

    /// All pages of everything from a cursor on, as versions.
    pub(crate) fn versions(&mut self, cursor: Cursor, commits_max: u32) -> Vec<u64> {
        let (commits, _) = self.commits(cursor, Range::default(), commits_max);
        commits.iter().map(|logged| logged.commit.last.0).collect()
    }
}

fn body_subject(named: &SnapshotRef) -> String {
    format!("ns.snap.0.account.alice.{}.{}", named.version, named.tag)
}

fn event(version: Version) -> EventRecord {
    EventRecord {
        version,
        name: "moved".into(),
        schema: 1,
        data: Bytes::new(),
    }
}
