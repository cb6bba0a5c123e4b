//! Any bytes to every decoder: never a panic, and what is read is written back and read again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tenure_core::format::{
    Anchor, Commit, FrameReader, KindRecord, Layout, Ownership, Snapshot, unescape_id,
};

macro_rules! round {
    ($format:ty, $bytes:expr) => {
        if let Ok(value) = <$format>::decode($bytes) {
            let again = <$format>::decode(&value.encode());
            assert_eq!(again.as_ref(), Ok(&value));
        }
    };
}

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    round!(Anchor, &bytes);
    round!(Commit, &bytes);
    round!(KindRecord, &bytes);
    round!(Layout, &bytes);
    round!(Ownership, &bytes);
    round!(Snapshot, &bytes);
    if let Ok(frame) = FrameReader::open(&bytes) {
        // A reader ends at the first entry that it cannot read.
        for _ in frame.take(data.len() + 1) {}
    }
    if let Ok(text) = core::str::from_utf8(data) {
        let _ = unescape_id(text);
    }
});
