//! The one way in which values become bytes: a CBOR map with small integer keys in rising order, the
//! format's version under key 0 first, shortest heads, definite lengths.

use super::{SnapshotRef, Unknown};
use crate::id::{CommandId, Version};
use alloc::vec::Vec;
use bytes::Bytes;
use core::convert::Infallible;
use core::slice;
use minicbor::{Encoder, encode};

/// The longest head of a CBOR value, in bytes.
pub(super) const HEAD_MAX: usize = 9;

/// The stored length of a 128-bit identity with its head.
pub(super) const BITS128_LEN: usize = 17;

/// The longest stored command without its outcome, in bytes.
pub(super) const COMMAND_LEN_MAX: usize = 1 + BITS128_LEN + 2 * HEAD_MAX;

/// The longest stored reference to a snapshot, in bytes.
pub(super) const SNAPSHOT_REF_LEN_MAX: usize = 1 + BITS128_LEN + 3 * HEAD_MAX;

/// A map's upper bound without its values: its own head, the version, and each key.
pub(super) fn map_len_max(fields: usize, unknown: &Unknown) -> usize {
    let unknown: usize = unknown
        .0
        .iter()
        .map(|(_, value)| HEAD_MAX + value.len())
        .sum();
    2 * HEAD_MAX + fields + unknown
}

/// Writes one map, field by field in rising order of keys.
pub(super) struct Fields<'u> {
    out: Vec<u8>,
    count: usize,
    unknown: slice::Iter<'u, (u32, Bytes)>,
    next_unknown: Option<&'u (u32, Bytes)>,
    last: u32,
}

impl<'u> Fields<'u> {
    /// Begins a map of at most `len_max` bytes.
    pub(super) fn new(version: u64, unknown: &'u Unknown, len_max: usize) -> Self {
        let mut out = Vec::with_capacity(len_max);
        out.push(MAP);
        let mut unknown = unknown.0.iter();
        let next_unknown = unknown.next();
        let mut fields = Self {
            out,
            count: 0,
            unknown,
            next_unknown,
            last: 0,
        };
        fields.head(0);
        fields.values().uint(version);
        fields
    }

    /// Begins the field of a key; its value comes next.
    pub(super) fn key(&mut self, key: u32) -> Values<'_> {
        self.unknown_below(Some(key));
        self.head(key);
        self.values()
    }

    /// Ends the map.
    pub(super) fn finish(mut self) -> Bytes {
        self.unknown_below(None);
        // The head is almost always the one byte that was set aside.
        match (u8::try_from(self.count), self.out.first_mut()) {
            (Ok(count), Some(head)) if count <= SHORT_COUNT_MAX => *head = MAP | count,
            _ => {
                let mut head = Vec::with_capacity(HEAD_MAX);
                ok(Encoder::new(&mut head).map(self.count as u64).map(|_| ()));
                self.out.splice(..1, head);
            }
        }
        Bytes::from(self.out)
    }

    fn unknown_below(&mut self, key: Option<u32>) {
        while let Some((unknown, value)) = self
            .next_unknown
            .filter(|(k, _)| key.is_none_or(|key| *k < key))
        {
            self.head(*unknown);
            self.out.extend_from_slice(value);
            self.next_unknown = self.unknown.next();
        }
    }

    fn head(&mut self, key: u32) {
        assert!(
            self.count == 0 || key > self.last,
            "fields are written once, by rising key"
        );
        self.last = key;
        self.count += 1;
        self.values().uint(u64::from(key));
    }

    fn values(&mut self) -> Values<'_> {
        Values(Encoder::new(&mut self.out))
    }
}

/// The head of a map without entries; what `Fields` sets aside.
const MAP: u8 = 0xA0;

/// The largest count that fits into a head of one byte.
const SHORT_COUNT_MAX: u8 = 23;

/// Writes values.
pub(super) struct Values<'v>(Encoder<&'v mut Vec<u8>>);

impl Values<'_> {
    pub(super) fn uint(&mut self, value: u64) -> &mut Self {
        ok(self.0.u64(value).map(|_| ()));
        self
    }

    pub(super) fn bits128(&mut self, value: u128) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        ok(self.0.bytes(value).map(|_| ()));
        self
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        ok(self.0.str(value).map(|_| ()));
        self
    }

    pub(super) fn yes(&mut self) -> &mut Self {
        ok(self.0.bool(true).map(|_| ()));
        self
    }

    /// A command with its outcome, as commits and snapshots remember it.
    pub(super) fn command(&mut self, id: CommandId, version: Version, outcome: &[u8]) {
        self.array(3).bits128(id.0).uint(version.0).bytes(outcome);
    }

    /// A reference to a snapshot.
    pub(super) fn snapshot(&mut self, named: &SnapshotRef) {
        let values = self.array(4).uint(named.version.0).uint(named.sequence.0);
        values.bits128(named.tag.0).uint(named.hash);
    }

    pub(super) fn array(&mut self, items: usize) -> &mut Self {
        ok(self.0.array(items as u64).map(|_| ()));
        self
    }

    pub(super) fn map(&mut self, entries: usize) -> &mut Self {
        ok(self.0.map(entries as u64).map(|_| ()));
        self
    }
}

/// Writing to memory cannot fail; the type says so, and the compiler holds us to it.
fn ok(result: Result<(), encode::Error<Infallible>>) {
    debug_assert!(result.is_ok(), "writing to memory cannot fail");
}
