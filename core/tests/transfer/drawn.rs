//! Commits of a namespace, as tests draw them.

use bytes::Bytes;
use std::sync::Arc;
use tenure_core::format::{
    Codec, CommandRecord, Commit, EventRecord, Intent, KindRecord, Later, MessageRecord, Metadata,
    MetadataRecord, Placement, SnapshotRef, TakeOver, Timer, Unknown, WriteMode,
};
use tenure_core::id::{
    ClaimId, CommandId, CommitId, Epoch, KindId, LayoutId, Sequence, SnapshotTag, Version, WallTime,
};
use tenure_core::name::{EntityId, KindName, TimerName};

/// One commit of one entity.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) entity: usize,
    pub(crate) kind: usize,
    /// By how much each event raises the version.
    pub(crate) events: Vec<(u64, Vec<u8>)>,
    pub(crate) commands: u8,
    pub(crate) arms: Option<u8>,
    pub(crate) cancels: bool,
    pub(crate) sends: u8,
    pub(crate) metadata: bool,
    pub(crate) snapshot: bool,
    pub(crate) unknown: bool,
    pub(crate) tombstone: bool,
}

/// What an index says of a shard: the part of the log that it takes in, and which messages are not done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) class: TakeOver,
    /// In hundredths of the log.
    pub(crate) up_to: u8,
    pub(crate) undone_every: u8,
    pub(crate) failed: bool,
    /// The receiver of the last message is shelved after half of what is taken in.
    pub(crate) shelved: bool,
}

impl Done {
    /// All is taken in, and no message of the fenced class is done.
    pub(crate) fn all_undone() -> Self {
        Self {
            class: TakeOver::Fenced,
            up_to: 100,
            undone_every: 1,
            failed: false,
            shelved: false,
        }
    }
}

pub(crate) const ENTITIES: [&str; 5] = ["alice", "böb", "c.*>", "0", "3"];

pub(crate) fn kinds(layout: LayoutId) -> Vec<KindRecord> {
    let kind = |n: u128, name, mode, class, codec, placement| KindRecord {
        id: KindId(n),
        layout,
        name: KindName::new(name).unwrap(),
        mode,
        class,
        codec,
        placement,
        unknown: Unknown::default(),
    };
    use {Codec::*, TakeOver::*, WriteMode::*};
    vec![
        kind(1, "account", Direct, Fenced, Cbor, Placement::Whole),
        kind(2, "till", Owned, Fenced, Json, Placement::Before('.')),
        kind(3, "bell", Owned, Leased, Cbor, Placement::Shard),
    ]
}

/// Without what the tombstones among them remove, which is in no export.
pub(crate) fn kept(steps: Vec<Step>) -> Vec<Step> {
    let is_removed = |at: usize, step: &Step| {
        let mut later = steps.iter().skip(at + 1);
        later.any(|it| it.tombstone && (it.entity, it.kind) == (step.entity, step.kind))
    };
    let stay: Vec<bool> = steps
        .iter()
        .enumerate()
        .map(|(at, step)| !is_removed(at, step))
        .collect();
    let steps = steps.into_iter().zip(stay);
    steps
        .filter_map(|(step, stays)| stays.then_some(step))
        .collect()
}

impl Step {
    /// One event of an entity.
    pub(crate) fn of(entity: &str, kind: &str) -> Self {
        let entity = ENTITIES.iter().position(|it| *it == entity).unwrap();
        let all = kinds(LayoutId(1));
        let kind = all.iter().position(|it| it.name.as_str() == kind).unwrap();
        Self {
            entity,
            kind,
            events: vec![(1, b"\xa0".to_vec())],
            commands: 0,
            arms: None,
            cancels: false,
            sends: 0,
            metadata: false,
            snapshot: false,
            unknown: false,
            tombstone: false,
        }
    }

    /// The same, and it sends a message.
    pub(crate) fn sending(self) -> Self {
        Self { sends: 1, ..self }
    }

    /// The same, with something in each of its fields.
    pub(crate) fn with_all(self) -> Self {
        Self {
            events: vec![
                (1, b"\xa1\x65cents\x07".to_vec()),
                (2, br#"{"b":1,"a":[0.5]}"#.to_vec()),
                (1, vec![0xFF]),
            ],
            commands: 1,
            arms: Some(1),
            cancels: true,
            sends: 2,
            metadata: true,
            unknown: true,
            ..self
        }
    }

    /// The same, and it deletes its entity.
    pub(crate) fn deleting(self) -> Self {
        Self {
            events: Vec::new(),
            tombstone: true,
            ..self
        }
    }

    /// The commit as a node would have stored it, after the ones of its entity at these places.
    pub(crate) fn commit(
        &self,
        n: usize,
        layout: LayoutId,
        (before, earlier): (Version, &[Sequence]),
    ) -> Commit {
        let kind = &kinds(layout)[self.kind];
        let n = n as u128;
        let mut version = before;
        let events = self.events.iter().map(|(step, data)| {
            version = Version(version.0 + step);
            EventRecord {
                version,
                name: "moved".into(),
                schema: 1,
                data: Bytes::from(data.clone()),
            }
        });
        let events: Vec<EventRecord> = events.collect();
        let commands = (0..u128::from(self.commands)).map(|command| CommandRecord {
            id: CommandId::new(WallTime(1_000 + n as u64), n << 8 | command),
            version,
            outcome: Bytes::from_static(b"\x18\x2a"),
        });
        let message = |data: &'static [u8]| MessageRecord {
            name: "ring".into(),
            schema: 2,
            data: Bytes::from_static(data),
        };
        let timer = |name: u8| TimerName::new(&format!("timer-{name}")).unwrap();
        let armed = self.arms.map(|name| Timer {
            name: timer(name),
            due: WallTime(5_000 + u64::from(name)),
            period_ms: u64::from(name) * 10,
            message: message(b"\xa0"),
        });
        let sends = (0..self.sends).map(|send| Intent {
            kind: KindName::new("ear").unwrap(),
            entity: EntityId::new(&format!("ear-{send}")).unwrap(),
            codec: Codec::Json,
            message: message(b"{\"loud\":true}"),
            metadata: (send > 0).then(|| Arc::new(Metadata::new().correlation("c"))),
        });
        let cancelled = (self.cancels && self.arms != Some(9)).then(|| timer(9));
        let later = Later {
            armed: armed.into_iter().collect(),
            cancelled: cancelled.into_iter().collect(),
            sends: sends.collect(),
            carried: Vec::new(),
            leased: kind.class == TakeOver::Leased,
        };
        let said = Metadata::new().correlation("work").header("by", "Zoë");
        let said = said.traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let metadata = MetadataRecord {
            command: None,
            first: 0,
            events: events.len(),
            metadata: Arc::new(said.unwrap()),
        };
        // A snapshot of what is before it: the commits up to there are not listed.
        let snapshot = earlier.first().filter(|_| self.snapshot && !self.tombstone);
        let snapshot = snapshot.map(|sequence| SnapshotRef {
            version: before,
            sequence: *sequence,
            tag: SnapshotTag(n),
            hash: 9,
        });
        let listed = match self.tombstone || snapshot.is_some() {
            true => &[],
            false => earlier,
        };
        Commit {
            id: CommitId(0xc0_0000 + n),
            layout,
            kind: kind.id,
            entity: EntityId::new(ENTITIES[self.entity]).unwrap(),
            epoch: (kind.mode == WriteMode::Owned).then_some(Epoch {
                sequence: Sequence(2),
                claim: ClaimId(7),
            }),
            time: WallTime(2_000 + n as u64),
            before,
            last: version,
            earlier: Arc::new(listed.iter().copied().take(64).collect()),
            snapshot,
            horizon: WallTime(u64::from(self.commands)),
            commands: commands.collect(),
            events,
            tombstone: self.tombstone,
            metadata: self.metadata.then_some(metadata).into_iter().collect(),
            later: (!later.is_empty()).then(|| Box::new(later)),
            unknown: match self.unknown {
                true => Unknown(vec![(30, Bytes::from_static(b"\x83\x01\x02\x03"))]),
                false => Unknown::default(),
            },
        }
    }
}
