//! The bytes of each stored and sent format, pinned by files that are read by people too: what is
//! written today is the file's bytes, and the file's bytes are read as the same value.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use tenure_core::Span;
use tenure_core::format::{
    Anchor, Answered, Barrier, Call, CallTarget, Cause, Checkpoint, Codec, CommandRecord, Commit,
    DeadLetter, Denial, Dropped, ElsewhereRecord, Entry, EventPlace, EventRecord, FormatError,
    FrameReader, FrameVersions, FrameWriter, GroupOrders, GroupRecord, Hop, Import, IndexedTimer,
    Intent, IntentPlace, KindRecord, Later, Layout, LayoutKey, LifeStart, Mark, Member,
    MemberState, MessageRecord, Metadata, MetadataError, MetadataRecord, Ownership, Placement,
    Position, Publication, Receiver, Replaced, Return, ShardIndex, ShelvedReceiver, Snapshot,
    SnapshotRef, StateAt, TakeOver, Timer, Unknown, Witness, WriteMode,
};
use tenure_core::id::{
    ClaimId, CommandId, CommitId, Epoch, ExportId, Incarnation, KindId, LayoutId, OpId, Partition,
    PublicationId, Sequence, ShardId, SnapshotTag, Version, WallTime,
};
use tenure_core::lease::Terms;
use tenure_core::log::{Damage, Expected, FoldError, Freshness, Refusal, Undelivered};
use tenure_core::name::{ConsumerName, EntityId, KindName, Namespace, TimerName};
use tenure_core::node::{About, Role};
use tenure_core::port::Refused;
use tenure_core::route::Address;
use tenure_core::shard::{Place, Row};

const LAYOUT: LayoutId = LayoutId(0x1a10_0000_0000_0000_0000_0000_0000_0001);
const KIND: KindId = KindId(0x4b1d_0000_0000_0000_0000_0000_0000_0002);
const COMMAND: CommandId = CommandId(0x0123_4567_89ab_7fff_bfff_ffff_ffff_fffe);

fn commit() -> Commit {
    Commit {
        id: CommitId(0xc0_0000_0000_0000_0000_0000_0000_0003),
        layout: LAYOUT,
        kind: KIND,
        entity: EntityId::new("alice@example.org").unwrap(),
        epoch: Some(Epoch {
            sequence: Sequence(900),
            claim: ClaimId(0xc1a1_0000_0000_0000_0000_0000_0000_0004),
        }),
        time: WallTime(1_763_731_200_000),
        before: Version(40),
        last: Version(43),
        earlier: vec![Sequence(70_000), Sequence(69_999), Sequence(950)].into(),
        snapshot: Some(SnapshotRef {
            version: Version(32),
            sequence: Sequence(940),
            tag: SnapshotTag(0x5a90_0000_0000_0000_0000_0000_0000_0005),
            hash: 0x0123_4567_89ab_cdef,
        }),
        horizon: WallTime(1_763_731_000_000),
        commands: vec![
            CommandRecord {
                id: COMMAND,
                version: Version(41),
                outcome: Bytes::from_static(b"\x18\x96"),
            },
            CommandRecord {
                id: CommandId(COMMAND.0 + 1),
                version: Version(43),
                outcome: Bytes::new(),
            },
        ],
        events: vec![
            EventRecord {
                version: Version(41),
                name: "deposited".into(),
                schema: 1,
                data: Bytes::from_static(b"\xa1\x66amount\x18\x32"),
            },
            EventRecord {
                version: Version(43),
                name: "closed".into(),
                schema: 2,
                data: Bytes::from_static(b"\xa0"),
            },
        ],
        tombstone: true,
        metadata: Vec::new(),
        later: None,
        unknown: Unknown::default(),
    }
}

fn least_commit() -> Commit {
    Commit {
        epoch: None,
        before: Version::ABSENT,
        last: Version::ABSENT,
        earlier: Arc::default(),
        snapshot: None,
        horizon: WallTime::default(),
        commands: Vec::new(),
        events: Vec::new(),
        tombstone: false,
        ..commit()
    }
}

/// Three commands: the first has all that metadata can have, the second only a header and no event,
/// the third says nothing; a fourth without an id is not among the commands.
fn commit_with_metadata() -> Commit {
    let full = Metadata::new()
        .correlation("order-17")
        .causation("0123")
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .unwrap()
        .tracestate("a=1")
        .unwrap()
        .header("user", "Zoë")
        .header("tenant", "acme");
    let record = |command, first, events, metadata| MetadataRecord {
        command,
        first,
        events,
        metadata: Arc::new(metadata),
    };
    let commit = least_commit();
    let event = |version| EventRecord {
        version: Version(version),
        name: "e".into(),
        schema: 1,
        data: Bytes::new(),
    };
    let command = |id, version| CommandRecord {
        id: CommandId(COMMAND.0 + id),
        version: Version(version),
        outcome: Bytes::new(),
    };
    Commit {
        last: Version(4),
        commands: vec![command(0, 2), command(1, 2), command(2, 3)],
        events: vec![event(1), event(2), event(3), event(4)],
        metadata: vec![
            record(Some(0), 0, 2, full),
            record(Some(1), 2, 0, Metadata::new().header("user", "")),
            record(None, 3, 1, Metadata::new().correlation("c")),
        ],
        ..commit
    }
}

fn message(name: &'static str, schema: u16, data: &'static [u8]) -> MessageRecord {
    MessageRecord {
        name: name.into(),
        schema,
        data: Bytes::from_static(data),
    }
}

fn timer(name: &str, due: u64, period_ms: u64, message: MessageRecord) -> Timer {
    Timer {
        name: TimerName::new(name).unwrap(),
        due: WallTime(due),
        period_ms,
        message,
    }
}

fn due() -> Timer {
    timer("due", 1_763_731_260_000, 0, message("remind", 2, b"\xa0"))
}

/// Timers and messages, and no event.
fn commit_with_later() -> Commit {
    let intent = |entity, codec, data, metadata| Intent {
        kind: KindName::new("payment").unwrap(),
        entity: EntityId::new(entity).unwrap(),
        codec,
        message: message("pay", 1, data),
        metadata,
    };
    let said = Arc::new(Metadata::new().correlation("order-17"));
    let tick = timer(
        "tick",
        1_763_731_230_000,
        30_000,
        message("tick", 1, b"\xa0"),
    );
    let later = Later {
        armed: vec![due(), tick],
        cancelled: vec![TimerName::new("old").unwrap()],
        sends: vec![
            intent("p-7", Codec::Cbor, b"\xa0", None),
            intent("p-8", Codec::Json, b"{}", Some(said)),
        ],
        carried: Vec::new(),
        leased: true,
    };
    Commit {
        later: Some(Box::new(later)),
        ..least_commit()
    }
}

fn commit_with_carried() -> Commit {
    let intent = Intent {
        kind: KindName::new("payment").unwrap(),
        entity: EntityId::new("p-7").unwrap(),
        codec: Codec::Cbor,
        message: message("pay", 1, b"\xa0"),
        metadata: None,
    };
    let later = Later {
        sends: vec![intent],
        carried: vec![CommandId(0x019a_a692_5800_7000_8000_0000_0000_0007)],
        ..Later::default()
    };
    Commit {
        tombstone: true,
        later: Some(Box::new(later)),
        ..least_commit()
    }
}

fn snapshot_with_timers() -> Snapshot {
    Snapshot {
        timers: vec![due()],
        ..snapshot()
    }
}

fn index() -> ShardIndex {
    let place = |sequence, index| IntentPlace {
        sequence: Sequence(sequence),
        index,
    };
    ShardIndex {
        layout: LAYOUT,
        watermark: Sequence(900),
        horizon: Some(WallTime(1_763_731_300_000)),
        timers: vec![IndexedTimer {
            kind: KindName::new("account").unwrap(),
            entity: EntityId::new("alice@example.org").unwrap(),
            name: TimerName::new("due").unwrap(),
            due: WallTime(1_763_731_260_000),
        }],
        undone: vec![place(890, 0), place(890, 3)],
        failed: vec![(place(12, 1), "no such kind".to_owned())],
        shelved: Vec::new(),
        unknown: Unknown::default(),
    }
}

/// Two receivers are away.
fn index_with_shelved() -> ShardIndex {
    let shelved = |receiver, after| ShelvedReceiver {
        receiver: Receiver(receiver),
        after: Sequence(after),
    };
    ShardIndex {
        timers: Vec::new(),
        horizon: None,
        undone: Vec::new(),
        failed: Vec::new(),
        shelved: vec![
            shelved(0x5e00_0000_0000_0000_0000_0000_0000_0001, 890),
            shelved(0x5e00_0000_0000_0000_0000_0000_0000_0002, 12),
        ],
        ..index()
    }
}

/// A group that was rewound once, and is paused.
fn group_orders() -> GroupOrders {
    GroupOrders {
        layout: LAYOUT,
        group: ConsumerName::new("balances").unwrap(),
        token: Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0007),
        paused: Some("ann".into()),
        life: 2,
        from: LifeStart::After(vec![Position::whole(Sequence(890)), Position::START]),
        node: "node-a".into(),
        time: WallTime(1_763_800_000_000),
        earlier: vec![
            Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0006),
            Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0005),
        ],
        unknown: Unknown::default(),
    }
}

/// One that began its third life with a time.
fn group_orders_at() -> GroupOrders {
    GroupOrders {
        paused: None,
        life: 3,
        from: LifeStart::At(WallTime(1_763_700_000_000)),
        earlier: Vec::new(),
        ..group_orders()
    }
}

fn checkpoint() -> Checkpoint {
    let at = |sequence, events| Position {
        sequence: Sequence(sequence),
        events,
    };
    Checkpoint {
        layout: LAYOUT,
        consumer: ConsumerName::new("balances").unwrap(),
        definition: 0x0123_4567_89ab_cdef,
        generation: 2,
        positions: vec![at(890, Position::WHOLE), at(12, 3), Position::START],
        run: Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0006),
        ordinal: 41,
        node: "node-a".into(),
        time: WallTime(1_763_800_000_000),
        owner: None,
        witnesses: Vec::new(),
        reads: String::new(),
        unknown: Unknown::default(),
    }
}

/// One that knows a commit of its first stream, and of its second.
fn checkpoint_with_witnesses() -> Checkpoint {
    let witness = |sequence, id| Some(Witness::of(Sequence(sequence), CommitId(id)));
    let first = witness(890, 0x14c0_0000_0000_0000_0000_0000_0000_0009);
    let second = witness(7, 0x14c0_0000_0000_0000_1000_0000_0000_0008);
    Checkpoint {
        witnesses: vec![first, second, None],
        ..checkpoint()
    }
}

/// Of a partition of a group.
fn owned_checkpoint() -> Checkpoint {
    Checkpoint {
        positions: Vec::new(),
        owner: Some(Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0005)),
        ..checkpoint()
    }
}

fn group() -> GroupRecord {
    GroupRecord {
        layout: LAYOUT,
        group: ConsumerName::new("mailer").unwrap(),
        definition: 0x0123_4567_89ab_cdef,
        partitions: 16,
        node: "node-a".into(),
        time: WallTime(1_763_800_000_000),
        reads: String::new(),
        unknown: Unknown::default(),
    }
}

fn elsewhere() -> ElsewhereRecord {
    ElsewhereRecord {
        layout: LAYOUT,
        consumer: ConsumerName::new("balances").unwrap(),
        node: "node-a".into(),
        time: WallTime(1_763_800_000_000),
        reads: String::new(),
        unknown: Unknown::default(),
    }
}

/// Records that say what is read.
fn with_reads() -> (Checkpoint, GroupRecord, ElsewhereRecord) {
    let reads = || "events of account".to_owned();
    let checkpoint = Checkpoint {
        reads: reads(),
        ..checkpoint()
    };
    let group = GroupRecord {
        reads: reads(),
        ..group()
    };
    let elsewhere = ElsewhereRecord {
        reads: reads(),
        ..elsewhere()
    };
    (checkpoint, group, elsewhere)
}

fn publication() -> Publication {
    let metadata = Metadata::new()
        .correlation("order-17")
        .header("user", "Zoë");
    Publication {
        id: PublicationId(0x9b_0000_0000_0000_0000_0000_0000_0007),
        time: WallTime(1_763_800_000_000),
        node: "node-a".into(),
        name: "paid".into(),
        schema: 2,
        data: Bytes::from_static(&[0xa1, 0x61, 0x63, 0x07]),
        metadata: Some(Arc::new(metadata)),
        unknown: Unknown::default(),
    }
}

fn least_publication() -> Publication {
    Publication {
        node: String::new(),
        metadata: None,
        ..publication()
    }
}

fn import() -> Import {
    Import {
        layout: LAYOUT,
        export: ExportId(0xe000_0000_0000_0000_0000_0000_0000_0008),
        source: Namespace::new("bank").unwrap(),
        begun: WallTime(1_763_731_200_000),
        done: Some(WallTime(1_763_731_260_000)),
        unknown: Unknown::default(),
    }
}

fn mark(state: Option<StateAt>) -> Mark {
    let at = |sequence, events| Position {
        sequence: Sequence(sequence),
        events,
    };
    Mark {
        layout: LAYOUT,
        projection: ConsumerName::new("balances").unwrap(),
        definition: 0x0123_4567_89ab_cdef,
        version: 3,
        generation: 2,
        positions: vec![at(890, Position::WHOLE), at(12, 3)],
        run: Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0006),
        node: "node-a".into(),
        time: WallTime(1_763_800_000_000),
        state,
        unknown: Unknown::default(),
    }
}

fn mark_with_state() -> Mark {
    mark(Some(StateAt {
        bytes: 3,
        hash: 0xdead_beef,
        whole: Some(Bytes::from_static(&[1, 2, 3])),
        parts: 0,
        tag: 0,
    }))
}

fn mark_with_parts() -> Mark {
    mark(Some(StateAt {
        bytes: 1 << 20,
        hash: 0xdead_beef,
        whole: None,
        parts: 3,
        tag: 0x0011_2233_4455_6677,
    }))
}

fn dead_letter() -> DeadLetter {
    DeadLetter {
        layout: LAYOUT,
        consumer: ConsumerName::new("balances").unwrap(),
        place: EventPlace {
            partition: Partition(2),
            sequence: Sequence(890),
            index: 1,
        },
        kind: KindName::new("account").unwrap(),
        entity: EntityId::new("alice@example.org").unwrap(),
        version: Version(17),
        event: "moved".into(),
        cause: Cause::Handler,
        text: "the database is gone".into(),
        tries: 10,
        time: WallTime(1_763_800_000_000),
        generation: 2,
        unknown: Unknown::default(),
    }
}

fn barrier() -> Barrier {
    Barrier {
        later: Sequence(890),
        here: true,
        unknown: Unknown::default(),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        layout: LAYOUT,
        kind: KIND,
        entity: EntityId::new("alice@example.org").unwrap(),
        version: Version(32),
        sequence: Sequence(940),
        horizon: WallTime(1_763_731_000_000),
        commands: vec![(COMMAND, Version(31), Bytes::from_static(b"\x18\x64"))],
        schema: 3,
        state: Bytes::from_static(b"\xa1\x67balance\x18\x64"),
        older: Vec::new(),
        timers: Vec::new(),
        unknown: Unknown::default(),
    }
}

fn later_snapshot() -> Snapshot {
    Snapshot {
        older: vec![SnapshotRef {
            version: Version(20),
            sequence: Sequence(700),
            tag: SnapshotTag(0x5a90_0000_0000_0000_0000_0000_0000_0004),
            hash: 0xfedc_ba98_7654_3210,
        }],
        ..snapshot()
    }
}

fn layout() -> Layout {
    let key = LayoutKey(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);
    Layout::new(LAYOUT, key, WallTime(1_763_731_200_000), 6, 2)
}

fn kind() -> KindRecord {
    KindRecord {
        id: KIND,
        layout: LAYOUT,
        name: KindName::new("account").unwrap(),
        mode: WriteMode::Owned,
        class: TakeOver::Leased,
        codec: Codec::Json,
        placement: Placement::Before('/'),
        unknown: Unknown::default(),
    }
}

fn plain_kind() -> KindRecord {
    KindRecord {
        mode: WriteMode::Direct,
        class: TakeOver::Fenced,
        codec: Codec::Cbor,
        placement: Placement::Whole,
        ..kind()
    }
}

fn kind_of_shards() -> KindRecord {
    KindRecord {
        placement: Placement::Shard,
        ..kind()
    }
}

fn kind_of_nodes() -> KindRecord {
    KindRecord {
        placement: Placement::Node,
        ..kind()
    }
}

fn ownership() -> Ownership {
    Ownership {
        layout: LAYOUT,
        claim: ClaimId(0xc1a1_0000_0000_0000_0000_0000_0000_0004),
        owner: Some(Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0006)),
        node: "node-a".into(),
        unknown: Unknown::default(),
    }
}

fn released() -> Ownership {
    Ownership {
        owner: None,
        ..ownership()
    }
}

fn member() -> Member {
    let terms = |ttl_s| Terms {
        ttl: Span::from_secs(ttl_s),
        drift_ppm: 1_000,
        margin: Span::from_millis(500),
    };
    Member {
        incarnation: Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0006),
        state: MemberState::Draining,
        beats: 300,
        terms: terms(10),
        about: About {
            role: Role::Owner,
            labels: BTreeMap::from([("disk".into(), "fast".into()), ("rack".into(), "7".into())]),
            zone: Some("eu-1".into()),
            weight: 100,
            classes: BTreeSet::from([TakeOver::Fenced, TakeOver::Leased]),
            kinds: Some(
                ["account", "counter"]
                    .map(|kind| KindName::new(kind).unwrap())
                    .into(),
            ),
            groups: BTreeSet::from([ConsumerName::new("mailer").unwrap()]),
            lanes: 4,
            frames: FrameVersions::new(1, 2),
            program: "1.4.0".into(),
        },
        replaced: vec![Replaced {
            incarnation: Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0005),
            revision: Sequence(1_000),
            terms: terms(3),
        }],
        marks: vec![Sequence(70_000), Sequence(0)],
        unknown: Unknown::default(),
    }
}

fn tombstone() -> Member {
    let member = member();
    Member {
        state: MemberState::Over {
            by: Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0007),
        },
        about: About {
            role: Role::Client,
            labels: BTreeMap::new(),
            zone: None,
            weight: 0,
            classes: BTreeSet::new(),
            // As a program wrote it that is older than the field.
            kinds: None,
            groups: BTreeSet::new(),
            ..member.about
        },
        replaced: Vec::new(),
        marks: Vec::new(),
        ..member
    }
}

fn anchor() -> Anchor {
    Anchor {
        layout: LAYOUT,
        stream: Partition(1),
        unknown: Unknown::default(),
    }
}

const EPOCH: Epoch = Epoch {
    sequence: Sequence(900),
    claim: ClaimId(0xc1a1_0000_0000_0000_0000_0000_0000_0004),
};

fn place() -> Place {
    Place {
        class: TakeOver::Leased,
        shard: ShardId(170),
    }
}

/// All that a request can have.
fn call() -> Call<'static> {
    let target = CallTarget::Entity {
        place: Place {
            class: TakeOver::Fenced,
            ..place()
        },
        kind: "account",
        id: "alice@example.org",
    };
    let metadata = Metadata::new()
        .correlation("order-17")
        .header("user", "Zoë");
    Call {
        codec: Codec::Json,
        id: Some(COMMAND),
        expected: Expected::Exactly(Version(41)),
        freshness: Some(Freshness::Linearizable),
        at_least: Sequence(950),
        metadata: Some(Arc::new(metadata)),
        chain: vec![Hop {
            kind: "transfer",
            key: "t-1",
        }],
        ..Call::new(target, "withdraw", 2, Bytes::from_static(b"{}"))
    }
}

fn least_call() -> Call<'static> {
    let (kind, key) = ("counter", "page-1");
    let target = CallTarget::Actor {
        place: place(),
        kind,
        key,
    };
    Call::new(target, "increment", 1, Bytes::from_static(b"\x01"))
}

fn resident_call() -> Call<'static> {
    let (kind, key) = ("disk", "node-a");
    let target = CallTarget::Resident { kind, key };
    Call::new(target, "free", 1, Bytes::from_static(b"\x01"))
}

fn leased() -> Return<'static> {
    let answered = Answered::Done {
        reply: Bytes::from_static(b"\x18\x96"),
        version: Some(Version(43)),
        sequence: None,
        found: false,
        freshness: Freshness::Leased,
    };
    Return::new("node-a", answered)
}

fn answer() -> Return<'static> {
    Return {
        answered: Answered::Done {
            reply: Bytes::from_static(b"\x18\x96"),
            version: Some(Version(43)),
            sequence: Some(Sequence(70_001)),
            found: true,
            freshness: Freshness::Local,
        },
        node: "node-a",
        epoch: Some(EPOCH),
    }
}

fn rejected() -> Return<'static> {
    let answered = Answered::Rejected {
        error: Bytes::from_static(b"\x61x"),
        version: Some(Version(43)),
    };
    Return::new("node-a", answered)
}

fn refused(denial: Denial) -> Return<'static> {
    Return::new("n", Answered::Refused(denial))
}

/// What can be refused, each with its number in the format.
fn denials() -> Vec<(u64, Denial)> {
    let text = || "x".to_owned();
    let (bytes, bytes_max) = (5, 4);
    let log = [
        Refusal::Conflict { actual: Version(7) },
        Refusal::Contended { tries: 3 },
        Refusal::Unknown,
        Refusal::Deadline,
        Refusal::Expired {
            horizon: WallTime(9),
        },
        Refusal::Ahead {
            ahead_ms: 1,
            ahead_max_ms: 2,
        },
        Refusal::Overloaded,
        Refusal::TooLarge { bytes, bytes_max },
        Refusal::OutcomeTooLarge { bytes, bytes_max },
        Refusal::VersionNotRising {
            last: Version(2),
            given: Version(1),
        },
        Refusal::Metadata(MetadataError::TooLarge { bytes, bytes_max }),
        Refusal::NotOwner,
        Refusal::Failed(text()),
        Refusal::Fold(FoldError::Upcast {
            name: text(),
            schema: 2,
            version: Version(4),
            step: "s".to_owned(),
            cause: "c".to_owned(),
        }),
        Refusal::Damaged(Damage {
            stream: text(),
            sequence: Sequence(5),
            what: "w".to_owned(),
        }),
        Refusal::Store(Refused::Other {
            code: 10_999,
            text: text(),
        }),
        Refusal::NotLeased,
        Refusal::TooManyTimers {
            timers: 65,
            timers_max: 64,
        },
        Refusal::TooManySends {
            sends: 257,
            sends_max: 256,
        },
        Refusal::Unowned,
        Refusal::Undelivered(Undelivered {
            messages: 3,
            to: "k/x".to_owned(),
        }),
    ];
    let calls = [
        Denial::UnknownKind { kind: text() },
        Denial::UnknownMessage {
            kind: text(),
            message: "m".to_owned(),
            schema: 2,
        },
        Denial::WrongSchema {
            message: text(),
            sent: 2,
            taken: 1,
        },
        Denial::Undecodable {
            what: text(),
            cause: "c".to_owned(),
        },
        Denial::Overloaded,
        Denial::Panicked { text: text() },
        Denial::Failed { cause: text() },
        Denial::Reply { cause: text() },
        Denial::Start {
            cause: text(),
            wait_ms: 250,
        },
        Denial::Deadline,
        Denial::Cycle {
            kind: text(),
            key: "k".to_owned(),
        },
        Denial::ChainTooLong {
            hops: 65,
            hops_max: 64,
        },
        Denial::NoLease,
        Denial::Stopping,
        Denial::Halted { reason: text() },
        Denial::Unusable { cause: text() },
        Denial::Dropped(Dropped::Aborted),
    ];
    let log = log.into_iter().map(Denial::Log);
    // Three numbers were never written.
    let numbers = (32..41).chain(44..);
    (0..).zip(log).chain(numbers.zip(calls)).collect()
}

fn refusals() -> Vec<Bytes> {
    let denials = denials().into_iter();
    denials
        .map(|(_, denial)| refused(denial).encode())
        .collect()
}

fn frame() -> Bytes {
    let sender = Address {
        incarnation: Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0006),
        lane: 3,
    };
    let owner = Incarnation(0x14c0_0000_0000_0000_0000_0000_0000_0007);
    let mut frame = FrameWriter::new(sender, 1_024);
    frame.request(OpId(300), 2_000, &least_call()).unwrap();
    frame.tell(OpId(301), 2_000, &least_call()).unwrap();
    frame.answer(OpId(299), &rejected()).unwrap();
    frame.withdraw(OpId(298)).unwrap();
    frame.not_owner(OpId(297), None).unwrap();
    let row = Row {
        owner,
        epoch: EPOCH,
    };
    frame.not_owner(OpId(296), Some(row)).unwrap();
    frame.ping(OpId(0)).unwrap();
    frame.pong(OpId(0)).unwrap();
    frame.take().unwrap()
}

fn frame_entries(bytes: &Bytes) -> Result<Vec<Entry>, FormatError> {
    FrameReader::open(bytes)?.collect()
}

/// The bytes in a golden file: hexadecimal digits, with comments after `#`.
fn golden(text: &str) -> Bytes {
    let digits: Vec<u32> = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap().chars())
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("a hexadecimal digit"))
        .collect();
    assert!(digits.len().is_multiple_of(2), "a byte has two digits");
    digits
        .chunks(2)
        .map(|byte| u8::try_from(byte[0] << 4 | byte[1]).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check<T: Debug + PartialEq>(
    file: &str,
    value: &T,
    encode: impl Fn(&T) -> Bytes,
    decode: impl Fn(&Bytes) -> Result<T, FormatError>,
) {
    let path = format!("{}/tests/golden/{file}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let pinned = golden(&text);
    assert_eq!(
        hex(&encode(value)),
        hex(&pinned),
        "{file}: what is written is not what is pinned"
    );
    assert_eq!(
        decode(&pinned).as_ref(),
        Ok(value),
        "{file}: what is pinned is read as another value"
    );
}

#[test]
fn what_is_written_is_what_was_always_written() {
    check("commit", &commit(), Commit::encode, Commit::decode);
    check("import", &import(), Import::encode, Import::decode);
    check(
        "commit-metadata",
        &commit_with_metadata(),
        Commit::encode,
        Commit::decode,
    );
    check(
        "commit-least",
        &least_commit(),
        Commit::encode,
        Commit::decode,
    );
    check("snapshot", &snapshot(), Snapshot::encode, Snapshot::decode);
    check(
        "snapshot-later",
        &later_snapshot(),
        Snapshot::encode,
        Snapshot::decode,
    );
    check(
        "commit-later",
        &commit_with_later(),
        Commit::encode,
        Commit::decode,
    );
    check(
        "commit-carried",
        &commit_with_carried(),
        Commit::encode,
        Commit::decode,
    );
    check(
        "snapshot-timers",
        &snapshot_with_timers(),
        Snapshot::encode,
        Snapshot::decode,
    );
    check("index", &index(), ShardIndex::encode, ShardIndex::decode);
    let shelved = index_with_shelved();
    check(
        "index-shelved",
        &shelved,
        ShardIndex::encode,
        ShardIndex::decode,
    );
    let (orders, at) = (group_orders(), group_orders_at());
    check(
        "group-orders",
        &orders,
        GroupOrders::encode,
        GroupOrders::decode,
    );
    check(
        "group-orders-at",
        &at,
        GroupOrders::encode,
        GroupOrders::decode,
    );
    check("barrier", &barrier(), Barrier::encode, Barrier::decode);
    check(
        "checkpoint",
        &checkpoint(),
        Checkpoint::encode,
        Checkpoint::decode,
    );
    check(
        "checkpoint-witnesses",
        &checkpoint_with_witnesses(),
        Checkpoint::encode,
        Checkpoint::decode,
    );
    check("mark", &mark(None), Mark::encode, Mark::decode);
    let with_state = mark_with_state();
    check("mark-whole", &with_state, Mark::encode, Mark::decode);
    let with_parts = mark_with_parts();
    check("mark-parts", &with_parts, Mark::encode, Mark::decode);
    check(
        "checkpoint-owned",
        &owned_checkpoint(),
        Checkpoint::encode,
        Checkpoint::decode,
    );
    check("group", &group(), GroupRecord::encode, GroupRecord::decode);
    let (encode, decode) = (ElsewhereRecord::encode, ElsewhereRecord::decode);
    check("elsewhere", &elsewhere(), encode, decode);
    let (checkpoint, group, elsewhere) = with_reads();
    check("elsewhere-reads", &elsewhere, encode, decode);
    let (encode, decode) = (Checkpoint::encode, Checkpoint::decode);
    check("checkpoint-reads", &checkpoint, encode, decode);
    let (encode, decode) = (GroupRecord::encode, GroupRecord::decode);
    check("group-reads", &group, encode, decode);
    check(
        "dead-letter",
        &dead_letter(),
        DeadLetter::encode,
        DeadLetter::decode,
    );
    check(
        "publication",
        &publication(),
        Publication::encode,
        Publication::decode,
    );
    check(
        "publication-least",
        &least_publication(),
        Publication::encode,
        Publication::decode,
    );
    check("layout", &layout(), Layout::encode, Layout::decode);
    check("kind", &kind(), KindRecord::encode, KindRecord::decode);
    check(
        "kind-plain",
        &plain_kind(),
        KindRecord::encode,
        KindRecord::decode,
    );
    check(
        "kind-shards",
        &kind_of_shards(),
        KindRecord::encode,
        KindRecord::decode,
    );
    check(
        "kind-nodes",
        &kind_of_nodes(),
        KindRecord::encode,
        KindRecord::decode,
    );
    check(
        "ownership",
        &ownership(),
        Ownership::encode,
        Ownership::decode,
    );
    check(
        "ownership-released",
        &released(),
        Ownership::encode,
        Ownership::decode,
    );
    check("anchor", &anchor(), Anchor::encode, Anchor::decode);
    check("member", &member(), Member::encode, Member::decode);
    check(
        "member-tombstone",
        &tombstone(),
        Member::encode,
        Member::decode,
    );
}

/// What is sent, which is written where it is sent from and read where it is.
#[test]
fn what_is_sent_is_what_was_always_sent() {
    let path = |file| format!("{}/tests/golden/{file}.hex", env!("CARGO_MANIFEST_DIR"));
    let pinned = |file, sent: &Bytes| {
        let text = std::fs::read_to_string(path(file)).expect("a golden file");
        let pinned = golden(&text);
        assert_eq!(hex(sent), hex(&pinned), "{file}");
        pinned
    };
    for (file, call) in [
        ("call", call()),
        ("call-least", least_call()),
        ("call-resident", resident_call()),
    ] {
        let bytes = pinned(file, &call.encode());
        assert_eq!(Call::decode(&bytes), Ok(call), "{file}");
    }
    for (file, answer) in [
        ("return", answer()),
        ("return-leased", leased()),
        ("return-rejected", rejected()),
    ] {
        let bytes = pinned(file, &answer.encode());
        assert_eq!(Return::decode(&bytes), Ok(answer), "{file}");
    }
    let bytes = refusals().concat();
    pinned("return-refused", &Bytes::from(bytes));
    for ((number, denial), bytes) in denials().into_iter().zip(refusals()) {
        assert_eq!(Return::decode(&bytes), Ok(refused(denial.clone())));
        // The same array with its number replaced by one of a newer writer.
        let newer = refused(Denial::Newer { number: 4_000 });
        let mut other = bytes.to_vec();
        let at = if number < 24 { 5..6 } else { 5..7 };
        other.splice(at, [0x19, 0x0f, 0xa0]);
        assert_eq!(Return::decode(&Bytes::from(other)), Ok(newer), "{denial:?}");
    }
    let bytes = pinned("frame", &frame());
    assert_eq!(frame_entries(&bytes).unwrap().len(), 8);
}

/// Refusals within refusals that a newer writer may add to.
#[test]
fn a_part_of_a_newer_refusal_makes_it_a_newer_one() {
    for (number, parts) in [
        (10, &b"\x84\x0a\x18\x50\x01\x02"[..]),
        (13, b"\x87\x0d\x18\x50\x61a\x01\x02\x60\x60"),
        (15, b"\x84\x0f\x18\x50\x00\x60"),
        (51, b"\x82\x18\x33\x18\x50"),
    ] {
        let mut bytes = b"\xA3\x00\x01\x03".to_vec();
        bytes.extend(parts);
        bytes.extend(b"\x08\x61n");
        let read = Bytes::from(bytes);
        let newer = refused(Denial::Newer { number });
        assert_eq!(Return::decode(&read), Ok(newer));
    }
}

/// A map of fewer than 23 entries with one more at its end: key 200 with a nested value.
fn with_unknown(bytes: &Bytes) -> Bytes {
    let mut longer = bytes.to_vec();
    longer[0] += 1;
    longer.extend_from_slice(b"\x18\xc8\x82\x01\xa1\x61x\xfb\x3f\xf0\0\0\0\0\0\0");
    Bytes::from(longer)
}

#[test]
fn a_reader_keeps_unknown_fields() {
    let kept = Unknown(vec![(
        200,
        Bytes::from_static(b"\x82\x01\xa1\x61x\xfb\x3f\xf0\0\0\0\0\0\0"),
    )]);

    let newer = with_unknown(&commit().encode());
    let read = Commit::decode(&newer).unwrap();
    assert_eq!(
        read,
        Commit {
            unknown: kept.clone(),
            ..commit()
        }
    );
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&snapshot().encode());
    let read = Snapshot::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&index().encode());
    let read = ShardIndex::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&barrier().encode());
    let read = Barrier::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&checkpoint().encode());
    let read = Checkpoint::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&mark_with_parts().encode());
    let read = Mark::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&dead_letter().encode());
    let read = DeadLetter::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&publication().encode());
    let read = Publication::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&layout().encode());
    let read = Layout::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&kind().encode());
    let read = KindRecord::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&ownership().encode());
    let read = Ownership::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&member().encode());
    let read = Member::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    let newer = with_unknown(&anchor().encode());
    let read = Anchor::decode(&newer).unwrap();
    assert_eq!(read.unknown, kept);
    assert_eq!(read.encode(), newer);

    // What is sent goes no further, so there unknown fields are passed over.
    let entries = frame_entries(&frame()).unwrap();
    assert_eq!(frame_entries(&with_unknown(&frame())), Ok(entries));
    let newer = with_unknown(&call().encode());
    assert_eq!(Call::decode(&newer), Ok(call()));
    let newer = with_unknown(&answer().encode());
    assert_eq!(Return::decode(&newer), Ok(answer()));
}

#[test]
fn an_unknown_version_names_both() {
    fn later(bytes: &Bytes) -> Bytes {
        let mut later = bytes.to_vec();
        assert_eq!(later[1..3], [0, 1], "key 0 with version 1 comes first");
        later[2] = 2;
        Bytes::from(later)
    }
    let told = |error: FormatError, format: &str| {
        assert_eq!(
            error.to_string(),
            format!("the {format} has format version 2, this program reads 1: upgrade it")
        );
    };
    let mut of_three = commit().encode().to_vec();
    of_three[2] = 3;
    assert_eq!(
        Commit::decode(&Bytes::from(of_three))
            .unwrap_err()
            .to_string(),
        "the commit has format version 3, this program reads 2: upgrade it"
    );
    told(
        Snapshot::decode(&later(&snapshot().encode())).unwrap_err(),
        "snapshot",
    );
    told(
        Layout::decode(&later(&layout().encode())).unwrap_err(),
        "layout record",
    );
    told(
        KindRecord::decode(&later(&kind().encode())).unwrap_err(),
        "kind record",
    );
    told(
        Ownership::decode(&later(&ownership().encode())).unwrap_err(),
        "ownership record",
    );
    told(
        Member::decode(&later(&member().encode())).unwrap_err(),
        "membership record",
    );
    told(
        Anchor::decode(&later(&anchor().encode())).unwrap_err(),
        "anchor",
    );
    told(frame_entries(&later(&frame())).unwrap_err(), "frame");
    let later_call = later(&call().encode());
    told(Call::decode(&later_call).unwrap_err(), "call");
    let later_answer = later(&answer().encode());
    told(Return::decode(&later_answer).unwrap_err(), "return");
}

/// Each wrong value is refused with the field's name.
#[test]
fn damage_is_named() {
    let told = |bytes: &[u8], text: &str| {
        let error = Anchor::decode(&Bytes::copy_from_slice(bytes))
            .unwrap_err()
            .to_string();
        assert_eq!(error, text);
    };
    told(
        b"",
        "the anchor is damaged at its head (byte 0): it ends too early",
    );
    told(
        b"\x80",
        "the anchor is damaged at its head (byte 1): it has not the type that the format says",
    );
    told(
        b"\xbf\xff",
        "the anchor is damaged at its head (byte 1): its length is not given",
    );
    told(
        b"\xa1\x01\x01",
        "the anchor is damaged at its version (byte 2): key 0, the format's version, must come first",
    );
    told(b"\xa1\x00\x01", "the anchor is damaged: it has no layout");
    told(
        b"\xa2\x00\x01\x02\x61x",
        "the anchor is damaged at its stream (byte 5): it has not the type that the format says",
    );
    told(
        b"\xa2\x00\x01\x01\x41x",
        "the anchor is damaged at its layout (byte 6): it has not 16 bytes",
    );
    told(
        b"\xa3\x00\x01\x02\x01\x02\x01",
        "the anchor is damaged at its key (byte 6): keys must rise, each once",
    );
    told(
        b"\xa2\x00\x01\x02\x1a\x00\x01\x00\x00",
        "the anchor is damaged at its stream (byte 9): the number is too large",
    );
    told(
        b"\xa2\x00\x01\x09\x9f\xff",
        "the anchor is damaged at its unknown field (byte 4): its length is not given",
    );
    told(
        b"\xa2\x00\x01\x09\x9a\xff\xff\xff\xff",
        "the anchor is damaged at its unknown field (byte 9): it ends too early",
    );
}
