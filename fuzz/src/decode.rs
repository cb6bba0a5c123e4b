//! Any bytes to every decoder: never a panic, and what is read is written back and read again.

#[path = "../../shell-nats/src/address.rs"]
#[allow(dead_code, reason = "the shell uses more of it")]
mod address;
#[path = "../../shell-nats/src/consumer/place.rs"]
mod place;
#[path = "../../shell-nats/src/wire/violation.rs"]
mod violation;

use bytes::Bytes;
use tenure_core::api::kit::RecordedStreams;
use tenure_core::api::projection::testing::reread;
use tenure_core::driver::Flight;
use tenure_core::format::{
    Anchor, Answered, Barrier, Body, Call, Checkpoint, Commit, DeadLetter, Denial, ElsewhereRecord,
    ExportRecord, FrameReader, GroupOrders, GroupRecord, Import, KindRecord, Layout, Mark, Member,
    Ownership, Publication, Return, ShardIndex, Snapshot, TraceContext, unescape_id,
};
use tenure_core::id::ShardId;
use tenure_core::name::{KindName, Namespace};
use tenure_core::port::{ServerVersion, stamp};

macro_rules! round {
    ($format:ty, $bytes:expr) => {
        if let Ok(value) = <$format>::decode($bytes) {
            let again = value.encode();
            assert_eq!(<$format>::decode(&again).as_ref(), Ok(&value));
        }
    };
}

/// A refusal that this build does not know is never sent by it.
fn answer(bytes: &Bytes) {
    match Return::decode(bytes).map(|answer| answer.answered) {
        Ok(Answered::Refused(Denial::Newer { .. })) => {}
        Ok(_) | Err(_) => round!(Return, bytes),
    }
}

/// Subjects, escaped ids, the headers of traces, recorded streams, and what servers and users write.
fn texts(text: &str) {
    let namespace = Namespace::new("fuzz").expect("a name");
    let kind = KindName::new("kind").expect("a name");
    if let Ok(id) = unescape_id(text) {
        let again = namespace.event_subject(ShardId(0), &kind, &id);
        assert_eq!(again.rsplit('.').next(), Some(text));
    }
    if let Ok(read) = namespace.parse_event_subject(text) {
        let again = namespace.event_subject(read.shard, &read.kind, &read.id);
        assert_eq!(again.as_str(), text);
    }
    if let Ok(topic) = namespace.parse_bus_subject(text) {
        assert_eq!(namespace.bus_subject(&topic).as_str(), text);
    }
    if let Ok(trace) = TraceContext::parse(text) {
        assert_eq!(TraceContext::parse(&trace.to_string()), Ok(trace));
    }
    if let Ok(streams) = RecordedStreams::parse("fuzz", text) {
        let again = streams.to_string();
        let read = RecordedStreams::parse("fuzz", &again).map(|read| read.to_string());
        assert_eq!(read.as_ref(), Ok(&again));
    }
    of_servers(text);
}

/// What a server says of itself, of its messages and of rights, and where users say that it is.
fn of_servers(text: &str) {
    if let Some(version) = ServerVersion::parse(text) {
        assert_eq!(ServerVersion::parse(&version.to_string()), Some(version));
    }
    if let Some(at) = stamp::parse(text) {
        // No later than the end of the year 9999.
        let text = stamp::text(at);
        assert_eq!(stamp::parse(&text).map(stamp::text), Some(text));
    }
    let _ = place::Place::parse(text);
    let _ = violation::Violation::parse(text);
    match address::parse(text) {
        Ok(addresses) => {
            for known in addresses {
                let again = address::parse(&known.url()).expect("an address");
                assert_eq!(again[0].url(), known.url());
                assert!(known.sibling(&known.url()).is_some());
            }
        }
        // What is redacted has nothing more to hide.
        Err(bad) => assert_eq!(address::redacted(&bad.url), bad.url),
    }
}

/// Reads the bytes as each of them.
///
/// # Panics
///
/// When what is read is not what is written.
pub(crate) fn play(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    round!(Anchor, &bytes);
    round!(Barrier, &bytes);
    round!(Checkpoint, &bytes);
    round!(Commit, &bytes);
    round!(DeadLetter, &bytes);
    round!(Publication, &bytes);
    round!(ExportRecord, &bytes);
    round!(Import, &bytes);
    round!(GroupOrders, &bytes);
    round!(GroupRecord, &bytes);
    round!(ElsewhereRecord, &bytes);
    round!(KindRecord, &bytes);
    round!(Layout, &bytes);
    round!(Mark, &bytes);
    round!(ShardIndex, &bytes);
    round!(Member, &bytes);
    round!(Ownership, &bytes);
    round!(Snapshot, &bytes);
    round!(Call, &bytes);
    answer(&bytes);
    if let Ok(frame) = FrameReader::open(&bytes) {
        // A reader ends at the first entry that it cannot read.
        for entry in frame.take(data.len() + 1) {
            match entry.map(|entry| entry.body) {
                Ok(Body::Request { call, .. } | Body::Tell { call, .. }) => round!(Call, &call),
                Ok(Body::Answer { returned }) => answer(&returned),
                Ok(_) | Err(_) => {}
            }
        }
    }
    // A file has checks, which a line of JSON comes to last.
    drop(tenure_core::api::transfer::testing::read(data));
    if let Some(value) = reread(data) {
        assert_eq!(reread(&value).as_ref(), Some(&value));
    }
    // A flight's own types cannot be compared; the second way is past the checksum.
    drop(Flight::from_bytes(data));
    drop(Flight::from_body(data));
    if let Ok(text) = core::str::from_utf8(data) {
        texts(text);
    }
}
