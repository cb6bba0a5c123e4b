//! The stage of stories about consumers: a model store with some event streams, consumers that read
//! them, and a handler that does as it is told.

mod commands;
mod seat;
mod show;

use crate::story::clock;
use bytes::Bytes;
use seat::{Fate, Seat};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tenure_core::format::{
    Commit, EventRecord, Layout, LayoutKey, Metadata, MetadataRecord, Placement, Unknown,
};
use tenure_core::id::{
    CommitId, Incarnation, KindId, LayoutId, OpId, Partition, Sequence, ShardId, Version, WallTime,
};
use tenure_core::name::{EntityId, KindName, Namespace};
use tenure_core::port::{
    Expect, Publish, Rollup, StoreDone, StoreReply, StoreRequest, StreamSettings, Subject,
};
use tenure_core::step::Outcome;
use tenure_core::{Limits, Time};
use tenure_mem::store::{Store, StoreConfig};

/// When stories begin, on all wall clocks.
const BEGIN_MS: u64 = 1_764_000_000_000;

/// Some streams, and who reads them.
pub(crate) struct Desk {
    store: Store,
    layout: Layout,
    limits: Limits,
    now: Time,
    lines: Vec<String>,
    seats: BTreeMap<String, Seat>,
    versions: BTreeMap<Subject, Version>,
    commits: u128,
    runs: u128,
    /// What becomes of a consumer's next requests of a name.
    faults: BTreeMap<(String, String), VecDeque<Fate>>,
    /// Consumers that begin with a handler that keeps what it gets.
    held: BTreeSet<String>,
}

/// A request of one consumer that was not answered yet.
struct Asked {
    seat: String,
    op: OpId,
    request: StoreRequest,
    at: Time,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let mut this = Self {
            store: Store::new(StoreConfig::default()),
            layout: layout(1),
            limits: Limits::default(),
            now: Time::ZERO,
            lines: Vec::new(),
            seats: BTreeMap::new(),
            versions: BTreeMap::new(),
            commits: 0,
            runs: 0,
            faults: BTreeMap::new(),
            held: BTreeSet::new(),
        };
        this.make_streams(1);
        this
    }

    /// Begins with so many event streams.
    fn make_streams(&mut self, streams: u16) {
        // What a lost end had replaced comes back.
        let mut config = StoreConfig::default();
        config.removed_max = 100;
        self.store = Store::new(config);
        self.layout = layout(streams);
        let ns = namespace();
        for partition in self.layout.partitions() {
            let subjects = ns.event_stream_subjects(&self.layout, partition);
            let name = ns.event_stream(partition);
            let settings = StreamSettings::event_log(name.clone(), subjects, 1);
            self.apply(&StoreRequest::CreateStream(settings));
            let subject = ns.anchor_subject(partition);
            let anchor = publish(name, subject, Bytes::from_static(b"anchor"));
            self.apply(&anchor);
        }
    }

    fn wall(&self) -> WallTime {
        WallTime(BEGIN_MS + self.now.as_nanos() / 1_000_000)
    }

    fn apply(&mut self, request: &StoreRequest) -> StoreReply {
        let wall = self.wall();
        self.store.expire(wall);
        self.store.apply(wall, request)
    }

    fn line(&mut self, text: impl AsRef<str>) {
        let line = format!("{} {}", clock(self.now), text.as_ref());
        self.lines.push(line);
    }

    /// Stores a commit of so many events.
    fn commit(
        &mut self,
        kind: &str,
        id: &str,
        events: u64,
        name: &str,
        metadata: Option<Metadata>,
    ) {
        let (kind, id) = (KindName::new(kind).unwrap(), EntityId::new(id).unwrap());
        let shard = self.layout.shard_of(Placement::Whole, &id);
        let subject = namespace().event_subject(shard, &kind, &id);
        let before = self.versions.get(&subject).copied().unwrap_or_default();
        let event = |n| EventRecord {
            version: Version(before.0 + 1 + n),
            name: name.to_owned().into(),
            schema: 1,
            data: Bytes::from_static(b"\xa0"),
        };
        let last = Version(before.0 + events);
        self.commits += 1;
        let metadata = metadata.map(|metadata| MetadataRecord {
            command: None,
            first: 0,
            events: usize::try_from(events).unwrap(),
            metadata: metadata.into(),
        });
        let commit = Commit {
            id: CommitId(self.commits),
            layout: self.layout.id,
            kind: KindId(1),
            entity: id,
            epoch: None,
            time: self.wall(),
            before,
            last,
            earlier: Vec::new().into(),
            snapshot: None,
            horizon: WallTime(0),
            commands: Vec::new(),
            events: (0..events).map(event).collect(),
            tombstone: false,
            metadata: metadata.into_iter().collect(),
            later: None,
            unknown: Unknown::default(),
        };
        self.versions.insert(subject.clone(), last);
        self.store_event(shard, subject, commit.encode());
    }

    fn store_event(&mut self, shard: ShardId, subject: Subject, payload: Bytes) {
        let stream = namespace().event_stream(self.layout.stream_of(shard));
        let reply = self.apply(&publish(stream, subject, payload));
        assert!(matches!(reply, Outcome::Done(_)), "{reply:?}");
    }

    fn name_run(&mut self) -> Incarnation {
        self.runs += 1;
        Incarnation(self.runs)
    }

    /// What an event's sequence is called where there are several streams.
    fn named(&self, partition: Partition, sequence: Sequence) -> String {
        match self.layout.streams {
            1 => format!("#{sequence}"),
            _ => format!("{partition}#{sequence}"),
        }
    }
}

fn publish(
    stream: tenure_core::port::StreamName,
    subject: Subject,
    payload: Bytes,
) -> StoreRequest {
    StoreRequest::Publish(Publish {
        stream,
        subject,
        expect: Expect::Nothing,
        rollup: Rollup::No,
        dedup: None,
        ttl_s: None,
        payload,
    })
}

fn layout(streams: u16) -> Layout {
    Layout::new(LayoutId(7), LayoutKey(9), WallTime(BEGIN_MS), 16, streams)
}

fn namespace() -> Namespace {
    Namespace::new("bank").unwrap()
}

/// The messages of a fetch.
fn brought(reply: &StoreReply) -> Option<usize> {
    match reply {
        Outcome::Done(StoreDone::Fetched(fetched)) => Some(fetched.messages.len()),
        Outcome::Done(_) | Outcome::Refused(_) | Outcome::Unknown => None,
    }
}
