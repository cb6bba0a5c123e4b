//! Properties of the formats: whatever is written is read back, ids are safe in subjects, and no
//! bytes make a reader panic or take memory that the bytes do not pay for.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;
use tenure_core::Span;
use tenure_core::format::{
    Anchor, Answered, Body, Call, CallTarget, Codec, CommandRecord, Commit, Denial, Entry,
    EventRecord, EventSubject, FormatError, FrameFull, FrameReader, FrameVersions, FrameWriter,
    Hop, Intent, KindRecord, Later, Layout, LayoutKey, Member, MemberState, MessageRecord,
    Metadata, MetadataRecord, Ownership, Placement, Replaced, Return, SUBJECT_BYTES_MAX, Snapshot,
    SnapshotRef, TakeOver, Timer, TraceContext, Unknown, WriteMode, unescape_id,
};
use tenure_core::id::{
    ClaimId, CommandId, CommitId, Epoch, Incarnation, KindId, LayoutId, OpId, Partition, Sequence,
    ShardId, SnapshotTag, Version, WallTime,
};
use tenure_core::lease::Terms;
use tenure_core::log::{Expected, Freshness};
use tenure_core::name::{ConsumerName, EntityId, KindName, Namespace, TimerName};
use tenure_core::node::{About, Role};
use tenure_core::route::Address;
use tenure_core::shard::{Place, Row};

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

/// Ids of all kinds: plain, of characters that NATS gives a meaning, of any character, and long.
fn entity() -> impl Strategy<Value = EntityId> {
    prop_oneof![
        "[a-zA-Z0-9_-]{1,20}",
        "[.*> \t\r\n%~$]{1,20}",
        "\\PC{1,40}",
        "[a%\u{1f980}]{200,256}"
    ]
    .prop_map(|id| EntityId::new(&id).unwrap())
}

fn kind_name() -> impl Strategy<Value = KindName> {
    "[b-k][a-z0-9_-]{0,63}".prop_map(|name| KindName::new(&name).unwrap())
}

/// Fields of a newer writer, above the keys that are known: each value one valid CBOR item.
fn unknown() -> impl Strategy<Value = Unknown> {
    let value = prop_oneof![
        Just(&b"\x01"[..]),
        Just(&b"\x38\xff"[..]),
        Just(&b"\x82\x01\x81\xf6"[..]),
        Just(&b"\xa1\x61x\xc1\x1a\x00\x00\x00\x01"[..]),
        Just(&b"\xf9\x3c\x00"[..]),
        Just(&b"\x43abc"[..]),
    ];
    proptest::collection::btree_map(100_u32.., value.prop_map(Bytes::from_static), 0..30)
        .prop_map(|fields| Unknown(fields.into_iter().collect()))
}

fn rising(after: u64, steps: &[u64]) -> Vec<Version> {
    let next = |version: &mut u64, step: &u64| {
        *version += step;
        Some(Version(*version))
    };
    steps.iter().scan(after, next).collect()
}

fn events() -> impl Strategy<Value = Vec<(u64, String, u16, Bytes)>> {
    vec((1_u64..5, "[a-z.]{0,12}", any::<u16>(), bytes()), 0..6)
}

fn commands() -> impl Strategy<Value = Vec<(u128, u64, Bytes)>> {
    vec((any::<u128>(), any::<u64>(), bytes()), 0..6)
}

fn snapshot_ref() -> impl Strategy<Value = SnapshotRef> {
    (any::<u64>(), any::<u64>(), any::<u128>(), any::<u64>()).prop_map(
        |(version, sequence, tag, hash)| SnapshotRef {
            version: Version(version),
            sequence: Sequence(sequence),
            tag: SnapshotTag(tag),
            hash,
        },
    )
}

/// A trace context in its text form, with a state of a few members.
fn trace() -> impl Strategy<Value = TraceContext> {
    let member = "[a-z][a-z0-9_*/-]{0,20}=[!-+--<>-~]{1,20}";
    let members =
        proptest::collection::btree_map("[a-z]{1,3}(@[a-z]{1,3})?", "[!-+--<>-~]{1,20}", 0..5);
    let one = member.prop_map(|member: String| member);
    let state = prop_oneof![
        one,
        members.prop_map(|members| {
            let members: Vec<String> = members
                .into_iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            members.join(" ,, ")
        }),
    ];
    (1_u128.., 1_u64.., any::<u8>(), state).prop_map(|(trace, parent, flags, state)| {
        let parent = format!("00-{trace:032x}-{parent:016x}-{flags:02x}");
        TraceContext::parse(&parent)
            .unwrap()
            .with_state(&state)
            .unwrap()
    })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let text = "\\PC{0,20}";
    let headers = proptest::collection::btree_map("\\PC{1,12}", "\\PC{0,20}", 0..3);
    (text, text, option::of(trace()), headers).prop_map(
        |(correlation, causation, trace, headers)| {
            let metadata = Metadata::new()
                .correlation(correlation)
                .causation(causation);
            let metadata = trace.into_iter().fold(metadata, Metadata::trace_context);
            headers
                .into_iter()
                .fold(metadata, |metadata, (name, value)| {
                    metadata.header(name, value)
                })
        },
    )
}

/// Members of a commit with so many commands and events: each takes a command or none, and some
/// events.
fn records(
    metadata: Vec<(bool, usize, bool, Metadata)>,
    commands: usize,
    events: usize,
) -> Vec<MetadataRecord> {
    let (mut command, mut event) = (0, 0);
    let mut records = Vec::new();
    for (named, take, said, metadata) in metadata {
        let take = take.min(events - event);
        let named = named && command < commands;
        if said {
            records.push(MetadataRecord {
                command: named.then_some(command),
                first: event,
                events: take,
                metadata: Arc::new(metadata),
            });
        }
        command += usize::from(named);
        event += take;
    }
    records
}

fn message() -> impl Strategy<Value = MessageRecord> {
    ("\\PC{0,12}", any::<u16>(), bytes()).prop_map(|(name, schema, data)| MessageRecord {
        name: name.into(),
        schema,
        data,
    })
}

/// Timers by rising name, each once.
fn timers() -> impl Strategy<Value = Vec<Timer>> {
    let timer = (any::<(u64, u64)>(), message());
    proptest::collection::btree_map("[a-z]{1,3}", timer, 0..4).prop_map(|timers| {
        let timer = |(name, ((due, period_ms), message)): (String, ((u64, u64), _))| Timer {
            name: TimerName::new(&name).unwrap(),
            due: WallTime(due),
            period_ms,
            message,
        };
        timers.into_iter().map(timer).collect()
    })
}

fn intent() -> impl Strategy<Value = Intent> {
    let codec = prop_oneof![Just(Codec::Cbor), Just(Codec::Json)];
    (entity(), codec, message(), option::of(metadata())).prop_map(
        |(entity, codec, message, metadata)| Intent {
            kind: KindName::new("account").unwrap(),
            entity,
            codec,
            message,
            metadata: metadata.map(Arc::new),
        },
    )
}

fn later() -> impl Strategy<Value = Later> {
    let cancelled = proptest::collection::btree_set("[A-Z]{1,3}", 0..3);
    (timers(), cancelled, vec(intent(), 0..3)).prop_map(|(armed, cancelled, sends)| Later {
        leased: !sends.is_empty() && armed.is_empty(),
        carried: Vec::new(),
        armed,
        cancelled: cancelled
            .iter()
            .map(|it| TimerName::new(it).unwrap())
            .collect(),
        sends,
    })
}

prop_compose! {
    fn commit()(
        (id, layout, kind) in any::<(u128, u128, u128)>(),
        entity in entity(),
        epoch in option::of(any::<(u64, u128)>()),
        (time, horizon, tombstone) in any::<(u64, u64, bool)>(),
        before in prop_oneof![0..10_u64, any::<u32>().prop_map(u64::from)],
        earlier in proptest::collection::btree_set(1_u64.., 0..70),
        snapshot in option::of(snapshot_ref()),
        commands in commands(),
        events in events(),
        metadata in vec((any::<bool>(), 0_usize..4, any::<bool>(), metadata()), 0..5),
        later in later(),
        unknown in unknown(),
    ) -> Commit {
        let metadata = records(metadata, commands.len(), events.len());
        let steps: Vec<u64> = events.iter().map(|(step, ..)| *step).collect();
        let versions = rising(before, &steps);
        let carried = if tombstone { later.sends.len() / 2 } else { 0 };
        let later = Later {
            carried: (0..carried).map(|n| CommandId(n as u128)).collect(),
            ..later
        };
        Commit {
            id: CommitId(id),
            layout: LayoutId(layout),
            kind: KindId(kind),
            entity,
            epoch: epoch.map(|(sequence, claim)| Epoch {
                sequence: Sequence(sequence),
                claim: ClaimId(claim),
            }),
            time: WallTime(time),
            before: Version(before),
            last: versions.last().copied().unwrap_or(Version(before)),
            earlier: earlier.into_iter().rev().map(Sequence).collect::<Vec<_>>().into(),
            snapshot,
            horizon: WallTime(horizon),
            commands: commands.into_iter().map(|(id, version, outcome)| CommandRecord {
                id: CommandId(id),
                version: Version(version),
                outcome,
            }).collect(),
            events: events.into_iter().zip(versions).map(|((_, name, schema, data), version)| {
                EventRecord { version, name: name.into(), schema, data }
            }).collect(),
            tombstone,
            metadata,
            later: (!later.is_empty()).then(|| Box::new(later)),
            unknown,
        }
    }
}

prop_compose! {
    fn snapshot()(
        (layout, kind) in any::<(u128, u128)>(),
        entity in entity(),
        (version, sequence, horizon, schema) in any::<(u64, u64, u64, u16)>(),
        commands in commands(),
        state in bytes(),
        older in vec(snapshot_ref(), 0..4),
        timers in timers(),
        unknown in unknown(),
    ) -> Snapshot {
        Snapshot {
            layout: LayoutId(layout),
            kind: KindId(kind),
            entity,
            version: Version(version),
            sequence: Sequence(sequence),
            horizon: WallTime(horizon),
            commands: commands.into_iter().map(|(id, version, outcome)| {
                (CommandId(id), Version(version), outcome)
            }).collect(),
            schema,
            state,
            older,
            timers,
            unknown,
        }
    }
}

prop_compose! {
    fn layout()(
        (id, key, created) in any::<(u128, u128, u64)>(),
        shards in 1_u16..600,
        streams in 1_u16..600,
        unknown in unknown(),
    ) -> Layout {
        let streams = streams.min(shards);
        let layout = Layout::new(LayoutId(id), LayoutKey(key), WallTime(created), shards, streams);
        Layout { unknown, ..layout }
    }
}

fn placement() -> impl Strategy<Value = Placement> {
    prop_oneof![
        Just(Placement::Whole),
        Just(Placement::Shard),
        Just(Placement::Node),
        any::<char>().prop_map(Placement::Before)
    ]
}

prop_compose! {
    fn kind()(
        (id, layout) in any::<(u128, u128)>(),
        name in kind_name(),
        mode in prop_oneof![Just(WriteMode::Direct), Just(WriteMode::Owned)],
        class in prop_oneof![Just(TakeOver::Fenced), Just(TakeOver::Leased)],
        codec in prop_oneof![Just(Codec::Cbor), Just(Codec::Json)],
        placement in placement(),
        unknown in unknown(),
    ) -> KindRecord {
        KindRecord { id: KindId(id), layout: LayoutId(layout), name, mode, class, codec, placement, unknown }
    }
}

prop_compose! {
    fn ownership()(
        (layout, claim) in any::<(u128, u128)>(),
        owner in option::of(any::<u128>()),
        node in "\\PC{0,20}",
        unknown in unknown(),
    ) -> Ownership {
        Ownership {
            layout: LayoutId(layout),
            claim: ClaimId(claim),
            owner: owner.map(Incarnation),
            node,
            unknown,
        }
    }
}

/// The owned parts of a call.
type CallParts = (
    (u8, bool, u16, String, EntityId),
    (String, u16, bool, Bytes),
    (Option<u128>, Option<Option<u64>>, Option<u8>, u64),
    Option<Metadata>,
    Vec<(String, String)>,
);

fn call_parts() -> impl Strategy<Value = CallParts> {
    (
        (0_u8..5, any::<bool>(), any::<u16>(), "[a-z]{1,9}", entity()),
        ("\\PC{0,20}", any::<u16>(), any::<bool>(), body()),
        (
            option::of(any::<u128>()),
            option::of(option::of(any::<u64>())),
            option::of(0_u8..3),
            any::<u64>(),
        ),
        option::of(metadata()),
        vec(("\\PC{0,12}", "\\PC{0,20}"), 0..4),
    )
}

/// Mostly short, sometimes longer than a short head counts.
fn body() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        20 => bytes(),
        1 => Just(Bytes::from(vec![7; 70_000])),
    ]
}

fn call((target, what, ask, metadata, chain): &CallParts) -> Call<'_> {
    let (number, leased, shard, kind, key) = target;
    let place = Place {
        class: if *leased {
            TakeOver::Leased
        } else {
            TakeOver::Fenced
        },
        shard: ShardId(*shard),
    };
    let key = key.as_str();
    let target = match number {
        0 => CallTarget::Entity {
            place,
            kind,
            id: key,
        },
        1 => CallTarget::Actor { place, kind, key },
        2 => CallTarget::Shard(place),
        3 => CallTarget::Node,
        _ => CallTarget::Resident { kind, key },
    };
    let (message, schema, json, body) = what;
    let (id, expected, freshness, at_least) = ask;
    Call {
        codec: if *json { Codec::Json } else { Codec::Cbor },
        id: id.map(CommandId),
        expected: match expected {
            None => Expected::Any,
            Some(None) => Expected::Present,
            Some(Some(version)) => Expected::Exactly(Version(*version)),
        },
        freshness: freshness.map(|n| match n {
            0 => Freshness::Local,
            1 => Freshness::Leased,
            _ => Freshness::Linearizable,
        }),
        at_least: Sequence(*at_least),
        metadata: metadata.clone().map(Arc::new),
        chain: chain.iter().map(|(kind, key)| Hop { kind, key }).collect(),
        ..Call::new(target, message, *schema, body.clone())
    }
}

fn freshness() -> impl Strategy<Value = Freshness> {
    prop_oneof![
        Just(Freshness::Local),
        Just(Freshness::Leased),
        Just(Freshness::Linearizable)
    ]
}

prop_compose! {
    fn answered()(
        what in 0_u8..3,
        (version, sequence) in any::<(Option<u64>, Option<u64>)>(),
        (found, freshness) in (any::<bool>(), freshness()),
        bytes in body(),
        (kind, message, schema) in ("\\PC{0,20}", "\\PC{0,20}", any::<u16>()),
    ) -> Answered {
        let version = version.map(Version);
        match what {
            0 => Answered::Done {
                reply: bytes,
                version,
                sequence: sequence.map(Sequence),
                found,
                freshness,
            },
            1 => Answered::Rejected { error: bytes, version },
            _ => Answered::Refused(Denial::UnknownMessage { kind, message, schema }),
        }
    }
}

/// What goes into a frame.
#[derive(Clone, Debug)]
enum Sent {
    Call(bool, u32, Box<CallParts>),
    Answer(Answered, Option<(u64, u128)>),
    Plain(u8),
    Owner(u128, u64, u128),
}

fn sent() -> impl Strategy<Value = (u64, Sent)> {
    let what = prop_oneof![
        3 => (any::<bool>(), any::<u32>(), call_parts())
            .prop_map(|(tell, ttl_ms, parts)| Sent::Call(tell, ttl_ms, Box::new(parts))),
        3 => (answered(), option::of(any::<(u64, u128)>()))
            .prop_map(|(answered, epoch)| Sent::Answer(answered, epoch)),
        2 => (0_u8..4).prop_map(Sent::Plain),
        1 => any::<(u128, u64, u128)>().prop_map(|(o, s, c)| Sent::Owner(o, s, c)),
    ];
    (any::<u64>(), what)
}

fn answer(answered: &Answered, epoch: Option<(u64, u128)>) -> Return<'static> {
    Return {
        epoch: epoch.map(|(sequence, claim)| epoch_of(sequence, claim)),
        ..Return::new("node-a", answered.clone())
    }
}

fn epoch_of(sequence: u64, claim: u128) -> Epoch {
    Epoch {
        sequence: Sequence(sequence),
        claim: ClaimId(claim),
    }
}

fn push(frame: &mut FrameWriter, (op, sent): &(u64, Sent)) -> Result<(), FrameFull> {
    let op = OpId(*op);
    match sent {
        Sent::Call(false, ttl_ms, parts) => frame.request(op, *ttl_ms, &call(parts)),
        Sent::Call(true, ttl_ms, parts) => frame.tell(op, *ttl_ms, &call(parts)),
        Sent::Answer(answered, epoch) => frame.answer(op, &answer(answered, *epoch)),
        Sent::Plain(0) => frame.withdraw(op),
        Sent::Plain(1) => frame.not_owner(op, None),
        Sent::Plain(2) => frame.ping(op),
        Sent::Plain(_) => frame.pong(op),
        Sent::Owner(owner, sequence, claim) => {
            let row = Row {
                owner: Incarnation(*owner),
                epoch: epoch_of(*sequence, *claim),
            };
            frame.not_owner(op, Some(row))
        }
    }
}

/// Whether an entry says what was sent.
fn is(entry: &Entry, (op, sent): &(u64, Sent)) -> bool {
    let same = match (&entry.body, sent) {
        (Body::Request { ttl_ms, call: read }, Sent::Call(false, ttl, parts))
        | (Body::Tell { ttl_ms, call: read }, Sent::Call(true, ttl, parts)) => {
            ttl_ms == ttl && Call::decode(read) == Ok(call(parts))
        }
        (Body::Answer { returned }, Sent::Answer(answered, epoch)) => {
            Return::decode(returned) == Ok(answer(answered, *epoch))
        }
        (Body::NotOwner { owner: Some(row) }, Sent::Owner(owner, sequence, claim)) => {
            row.owner.0 == *owner && row.epoch == epoch_of(*sequence, *claim)
        }
        (body, Sent::Plain(n)) => {
            let plain = [
                Body::Withdraw,
                Body::NotOwner { owner: None },
                Body::Ping,
                Body::Pong,
            ];
            *body == plain[usize::from(*n)]
        }
        (_, Sent::Call(..) | Sent::Answer(..) | Sent::Owner(..)) => false,
    };
    same && entry.op == OpId(*op)
}

fn frame(bytes: &Bytes) -> Result<Vec<Entry>, FormatError> {
    FrameReader::open(bytes)?.collect()
}

fn terms() -> impl Strategy<Value = Terms> {
    any::<(u64, u32, u64)>().prop_map(|(ttl, drift_ppm, margin)| Terms {
        ttl: Span::from_nanos(ttl),
        drift_ppm,
        margin: Span::from_nanos(margin),
    })
}

fn about() -> impl Strategy<Value = About> {
    let texts = proptest::collection::btree_map("\\PC{0,12}", "\\PC{0,12}", 0..4);
    let classes = vec(
        prop_oneof![Just(TakeOver::Fenced), Just(TakeOver::Leased)],
        0..3,
    );
    let kinds = option::of(proptest::collection::btree_set(kind_name(), 0..4));
    let group = "[b-i][a-z0-9_-]{0,63}".prop_map(|name| ConsumerName::new(&name).unwrap());
    let groups = proptest::collection::btree_set(group, 0..4);
    let frames = (any::<u8>(), any::<u8>());
    let role = prop_oneof![Just(Role::Owner), Just(Role::Client)];
    let zone = option::of("\\PC{0,12}");
    (
        role,
        texts,
        zone,
        any::<(u16, u16)>(),
        (classes, kinds, groups),
        frames,
        "\\PC{0,12}",
    )
        .prop_map(
            |(role, labels, zone, (weight, lanes), (classes, kinds, groups), (a, b), program)| {
                About {
                    role,
                    labels,
                    zone,
                    weight,
                    classes: classes.into_iter().collect(),
                    kinds,
                    groups,
                    lanes,
                    frames: FrameVersions::new(a.min(b), a.max(b)),
                    program,
                }
            },
        )
}

prop_compose! {
    fn member()(
        incarnation in any::<u128>(),
        state in prop_oneof![
            Just(MemberState::Up),
            Just(MemberState::Draining),
            Just(MemberState::Left),
            any::<u128>().prop_map(|by| MemberState::Over { by: Incarnation(by) }),
        ],
        beats in any::<u64>(),
        terms in terms(),
        about in about(),
        replaced in vec((any::<(u128, u64)>(), self::terms()), 0..4),
        marks in vec(any::<u64>(), 0..9),
        unknown in unknown(),
    ) -> Member {
        let replaced = replaced.into_iter().map(|((incarnation, revision), terms)| Replaced {
            incarnation: Incarnation(incarnation),
            revision: Sequence(revision),
            terms,
        });
        Member {
            incarnation: Incarnation(incarnation),
            state,
            beats,
            terms,
            about,
            replaced: replaced.collect(),
            marks: marks.into_iter().map(Sequence).collect(),
            unknown,
        }
    }
}

proptest! {
    #[test]
    fn a_commit_is_read_as_it_was_written(commit in commit()) {
        let bytes = commit.encode();
        prop_assert!(bytes.len() <= commit.encoded_len_max());
        prop_assert_eq!(Commit::decode(&bytes), Ok(commit));
    }

    #[test]
    fn a_snapshot_is_read_as_it_was_written(snapshot in snapshot()) {
        let bytes = snapshot.encode();
        prop_assert!(bytes.len() <= snapshot.encoded_len_max());
        prop_assert_eq!(Snapshot::decode(&bytes), Ok(snapshot));
    }

    #[test]
    fn the_records_are_read_as_they_were_written(
        layout in layout(),
        kind in kind(),
        ownership in ownership(),
        (id, stream) in any::<(u128, u16)>(),
        unknown in unknown(),
    ) {
        let bytes = layout.encode();
        prop_assert!(bytes.len() <= layout.encoded_len_max());
        prop_assert_eq!(Layout::decode(&bytes), Ok(layout));
        let bytes = kind.encode();
        prop_assert!(bytes.len() <= kind.encoded_len_max());
        prop_assert_eq!(KindRecord::decode(&bytes), Ok(kind));
        let bytes = ownership.encode();
        prop_assert!(bytes.len() <= ownership.encoded_len_max());
        prop_assert_eq!(Ownership::decode(&bytes), Ok(ownership));
        let anchor = Anchor { layout: LayoutId(id), stream: Partition(stream), unknown };
        let bytes = anchor.encode();
        prop_assert!(bytes.len() <= anchor.encoded_len_max());
        prop_assert_eq!(Anchor::decode(&bytes), Ok(anchor));
    }

    #[test]
    fn a_member_is_read_as_it_was_written(member in member()) {
        let bytes = member.encode();
        prop_assert!(bytes.len() <= member.encoded_len_max());
        prop_assert_eq!(Member::decode(&bytes), Ok(member));
    }

    #[test]
    fn a_call_is_read_as_it_was_written(parts in call_parts()) {
        let call = call(&parts);
        let bytes = call.encode();
        prop_assert!(bytes.len() <= call.encoded_len_max());
        prop_assert_eq!(Call::decode(&bytes), Ok(call));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(
        answered in answered(),
        epoch in option::of(any::<(u64, u128)>()),
    ) {
        let answer = answer(&answered, epoch);
        let bytes = answer.encode();
        prop_assert!(bytes.len() <= answer.encoded_len_max());
        prop_assert_eq!(Return::decode(&bytes), Ok(answer));
    }

    #[test]
    fn frames_hold_all_entries_in_order(
        entries in vec(sent(), 1..20),
        (incarnation, lane) in any::<(u128, u16)>(),
        bytes_max in 80_000_usize..200_000,
    ) {
        let sender = Address { incarnation: Incarnation(incarnation), lane };
        let mut writer = FrameWriter::new(sender, bytes_max);
        let mut frames = Vec::new();
        for entry in &entries {
            if push(&mut writer, entry).is_err() {
                frames.extend(writer.take());
                push(&mut writer, entry).expect("each entry fits a frame of its own");
            }
        }
        frames.extend(writer.take());
        let mut read = Vec::new();
        for bytes in &frames {
            prop_assert!(bytes.len() <= bytes_max);
            prop_assert_eq!(FrameReader::open(bytes).unwrap().sender(), sender);
            read.extend(frame(bytes).unwrap());
        }
        prop_assert_eq!(read.len(), entries.len());
        prop_assert!(read.iter().zip(&entries).all(|(read, sent)| is(read, sent)));
    }

    #[test]
    fn no_damaged_frame_makes_a_reader_panic(
        entries in vec(sent(), 1..6),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let address = Address { incarnation: Incarnation(7), lane: 0 };
        let mut writer = FrameWriter::new(address, 1 << 20);
        for entry in &entries {
            push(&mut writer, entry).unwrap();
        }
        let mut bytes = writer.take().unwrap().to_vec();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        read_all(&Bytes::from(bytes));
    }

    #[test]
    fn an_id_is_one_safe_token_and_comes_back(id in entity(), kind in kind_name(), shard: u16) {
        let ns = Namespace::new("bank").unwrap();
        let shard = ShardId(shard);
        let subject = ns.event_subject(shard, &kind, &id);
        prop_assert!(subject.len() <= SUBJECT_BYTES_MAX);
        let tokens: Vec<&str> = subject.split('.').collect();
        prop_assert_eq!(tokens.len(), 5);
        prop_assert!(tokens[4].bytes().all(|b| b.is_ascii_alphanumeric() || b"-_%".contains(&b)));
        prop_assert_eq!(unescape_id(tokens[4]), Ok(id.clone()));
        prop_assert_eq!(ns.parse_event_subject(&subject), Ok(EventSubject { shard, kind, id }));
    }

    #[test]
    fn a_token_has_one_id_and_an_id_one_token(token in "[a-c%0-9A-F._~ ]{0,12}") {
        if let Ok(id) = unescape_id(&token) {
            let ns = Namespace::new("bank").unwrap();
            let kind = KindName::new("k").unwrap();
            let subject = ns.event_subject(ShardId(0), &kind, &id);
            prop_assert_eq!(subject, format!("bank.ev.0.k.{token}"));
        }
    }

    #[test]
    fn entities_with_one_placement_key_are_in_one_shard(
        layout in layout(),
        key in "[a-z]{1,8}",
        one in "[a-z]{0,8}",
        two in "[a-z]{0,8}",
    ) {
        let place = |rest: &str| {
            let id = EntityId::new(&format!("{key}/{rest}")).unwrap();
            layout.shard_of(Placement::Before('/'), &id)
        };
        let shard = place(&one);
        prop_assert_eq!(shard, place(&two));
        prop_assert!(shard.0 < layout.shards());
        prop_assert!(layout.shards_of(layout.stream_of(shard)).any(|listed| listed == shard));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..200)) {
        read_all(&Bytes::from(bytes));
    }

    #[test]
    fn no_damaged_commit_makes_a_reader_panic(
        commit in commit(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = commit.encode().to_vec();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let bytes = Bytes::from(bytes);
        read_all(&bytes);
        if let Ok(read) = Commit::decode(&bytes) {
            prop_assert_eq!(Commit::decode(&read.encode()), Ok(read));
        }
    }
}

fn read_all(bytes: &Bytes) {
    // Whether it is read is not the question here.
    let _ = Commit::decode(bytes);
    let _ = Snapshot::decode(bytes);
    let _ = Layout::decode(bytes);
    let _ = KindRecord::decode(bytes);
    let _ = Ownership::decode(bytes);
    let _ = Anchor::decode(bytes);
    let _ = Member::decode(bytes);
    let _ = Call::decode(bytes);
    let _ = Return::decode(bytes);
    let Ok(reader) = FrameReader::open(bytes) else {
        return;
    };
    for entry in reader.map_while(Result::ok) {
        match entry.body {
            Body::Request { call, .. } | Body::Tell { call, .. } => drop(Call::decode(&call)),
            Body::Answer { returned } => drop(Return::decode(&returned)),
            Body::Withdraw
            | Body::NotOwner { .. }
            | Body::Ping
            | Body::Pong
            | Body::Newer { .. }
            | _ => {}
        }
    }
}
