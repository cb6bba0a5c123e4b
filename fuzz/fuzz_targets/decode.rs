//! Any bytes to every decoder: never a panic, and what is read is written back and read again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tenure_core::format::{
    Anchor, Answered, Body, Call, Commit, Denial, FrameReader, KindRecord, Layout, Member, Ownership,
    Return, Snapshot, unescape_id,
};

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

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    round!(Anchor, &bytes);
    round!(Commit, &bytes);
    round!(KindRecord, &bytes);
    round!(Layout, &bytes);
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
    if let Ok(text) = core::str::from_utf8(data) {
        let _ = unescape_id(text);
    }
});
