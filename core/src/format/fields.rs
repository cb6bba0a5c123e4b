//! The one way in which values become bytes: a CBOR map with small integer keys in rising order, the
//! format's version under key 0 first, shortest heads, definite lengths.

use super::{SnapshotRef, Unknown};
use crate::id::{CommandId, Version};
use alloc::vec::Vec;
use bytes::Bytes;
use core::{mem, slice};

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
    /// Where the map begins in the buffer.
    start: usize,
    count: usize,
    unknown: slice::Iter<'u, (u32, Bytes)>,
    next_unknown: Option<&'u (u32, Bytes)>,
    last: u32,
}

impl<'u> Fields<'u> {
    /// Begins a map of at most `len_max` bytes.
    pub(super) fn new(version: u64, unknown: &'u Unknown, len_max: usize) -> Self {
        Self::within(version, unknown, Vec::with_capacity(len_max))
    }

    /// Begins a map in place of what a buffer holds.
    pub(super) fn within(version: u64, unknown: &'u Unknown, mut out: Vec<u8>) -> Self {
        out.clear();
        Self::after(version, unknown, out)
    }

    /// Begins a map after what a buffer holds.
    pub(super) fn after(version: u64, unknown: &'u Unknown, mut out: Vec<u8>) -> Self {
        let start = out.len();
        out.push(MAP);
        let mut unknown = unknown.0.iter();
        let next_unknown = unknown.next();
        let mut fields = Self {
            out,
            start,
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
    #[inline]
    pub(super) fn key(&mut self, key: u32) -> Values<'_> {
        self.unknown_below(Some(key));
        self.head(key);
        self.values()
    }

    /// Ends the map.
    pub(super) fn finish(self) -> Bytes {
        Bytes::from(self.end())
    }

    /// Ends the map; its buffer.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.unknown_below(None);
        // The head is almost always the one byte that was set aside.
        match (u8::try_from(self.count), self.out.get_mut(self.start)) {
            (Ok(count), Some(head)) if count <= SHORT_COUNT_MAX => *head = MAP | count,
            _ => {
                let mut head = Vec::with_capacity(HEAD_MAX);
                Values(&mut head).head(MAP, self.count as u64);
                self.out.splice(self.start..=self.start, head);
            }
        }
        self.out
    }

    #[inline]
    fn unknown_below(&mut self, key: Option<u32>) {
        // A program's own commits have none.
        if self.next_unknown.is_some() {
            self.write_unknown_below(key);
        }
    }

    fn write_unknown_below(&mut self, key: Option<u32>) {
        while let Some((unknown, value)) = self
            .next_unknown
            .filter(|(k, _)| key.is_none_or(|key| *k < key))
        {
            self.head(*unknown);
            self.out.extend_from_slice(value);
            self.next_unknown = self.unknown.next();
        }
    }

    #[inline]
    fn head(&mut self, key: u32) {
        assert!(
            self.count == 0 || key > self.last,
            "fields are written once, by rising key"
        );
        self.last = key;
        self.count += 1;
        self.values().uint(u64::from(key));
    }

    #[inline]
    fn values(&mut self) -> Values<'_> {
        Values(&mut self.out)
    }
}

/// The heads of the types of values that are written, each for the count or number 0. That of a map
/// is what `Fields` sets aside.
const UINT: u8 = 0x00;
const BYTES: u8 = 0x40;
const TEXT: u8 = 0x60;
const ARRAY: u8 = 0x80;
const MAP: u8 = 0xA0;
const TRUE: u8 = 0xF5;

/// The largest count that fits into a head of one byte.
const SHORT_COUNT_MAX: u8 = 23;

/// Numbers by how many bytes they take: the head's low bits, how far the number is shifted to stand
/// behind it at the front of eight bytes, and the bytes of both.
const STEPS: [(u64, u32, usize); 4] = [(0, 56, 1), (24, 48, 2), (25, 40, 3), (26, 24, 5)];

/// How many steps of a falling list are put out at once.
const FALLING_CHUNK: usize = 64;

/// How many bytes the shortest head with a number has.
pub(super) fn head_len(number: u64) -> usize {
    match number {
        0..=23 => 1,
        24..=0xFF => 2,
        0x100..=0xFFFF => 3,
        0x1_0000..=0xFFFF_FFFF => 5,
        0x1_0000_0000.. => HEAD_MAX,
    }
}

/// Writes values.
pub(super) struct Values<'v>(pub(super) &'v mut Vec<u8>);

impl Values<'_> {
    #[inline]
    pub(super) fn uint(&mut self, value: u64) -> &mut Self {
        self.head(UINT, value);
        self
    }

    #[inline]
    pub(super) fn bits128(&mut self, value: u128) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(BYTES, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.head(TEXT, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    pub(super) fn yes(&mut self) -> &mut Self {
        self.0.push(TRUE);
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

    /// Bytes that are written in place: `write` appends at most `len_max` of them. The head is as
    /// long as `len_max` wants it, so that it need not be moved.
    pub(super) fn bytes_of(
        &mut self,
        len_max: usize,
        write: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> &mut Self {
        let head = self.0.len();
        let short = u16::try_from(len_max).is_ok();
        let kind = BYTES | if short { 25 } else { 26 };
        self.0.extend_from_slice(&[kind, 0, 0]);
        if !short {
            self.0.extend_from_slice(&[0, 0]);
        }
        let body = self.0.len();
        *self.0 = write(mem::take(self.0));
        let len = self.0.len() - body;
        assert!(len <= len_max, "an upper bound for a length is one");
        let [a, b, c, d] = u32::try_from(len)
            .expect("a message below 4 GiB")
            .to_be_bytes();
        let count: &[u8] = if short { &[c, d] } else { &[a, b, c, d] };
        if let Some(place) = self.0.get_mut(head + 1..body) {
            place.copy_from_slice(count);
        }
        self
    }

    /// A value that was written elsewhere.
    pub(super) fn encoded(&mut self, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(value);
        self
    }

    #[inline]
    pub(super) fn array(&mut self, items: usize) -> &mut Self {
        self.head(ARRAY, items as u64);
        self
    }

    pub(super) fn map(&mut self, entries: usize) -> &mut Self {
        self.head(MAP, entries as u64);
        self
    }

    /// A list of falling numbers: the first, and how far each further one is below the one before.
    ///
    /// Lists of earlier commits are most of a small commit. Their steps are of all lengths, so this has
    /// no branch for each: eight bytes are written, and as many kept as the step takes.
    ///
    /// # Panics
    ///
    /// When they do not strictly fall.
    pub(super) fn falling<T: Copy>(&mut self, numbers: &[T], number: impl Fn(T) -> u64) {
        self.array(numbers.len());
        if let Some(first) = numbers.first() {
            self.uint(number(*first));
        }
        self.steps(numbers, number);
    }

    /// What follows the first in a list of falling numbers.
    ///
    /// # Panics
    ///
    /// When they do not strictly fall.
    pub(super) fn steps<T: Copy>(&mut self, numbers: &[T], number: impl Fn(T) -> u64) {
        let Some((first, further)) = numbers.split_first() else {
            return;
        };
        let mut before = number(*first);
        for part in further.chunks(FALLING_CHUNK) {
            let mut room = [0; 8 * FALLING_CHUNK + 8];
            let mut len = 0;
            for one in part {
                let this = number(*one);
                assert!(this < before, "earlier commits are listed newest first");
                let step = before - this;
                before = this;
                let wide = u32::try_from(step).is_err();
                let class = usize::from(step > u64::from(SHORT_COUNT_MAX))
                    + usize::from(step > 0xFF)
                    + usize::from(step > 0xFFFF);
                let (head, shift, bytes) = *STEPS.get(class).expect("one of four");
                let word = head << 56 | (step & 0xFFFF_FFFF) << shift;
                if let Some(place) = room.get_mut(len..len + 8) {
                    place.copy_from_slice(&word.to_be_bytes());
                }
                len += bytes;
                if wide {
                    // As good as never: what is there is put out first.
                    self.0.extend_from_slice(room.split_at(len - bytes).0);
                    self.uint(step);
                    len = 0;
                }
            }
            self.0.extend_from_slice(room.split_at(len).0);
        }
    }

    /// The shortest head of a type with its count or number. A commit has two dozen of them, most with
    /// a number that is known where they are written, so one that is a single byte is put there.
    #[inline]
    fn head(&mut self, kind: u8, value: u64) {
        match u8::try_from(value) {
            Ok(value) if value <= SHORT_COUNT_MAX => self.0.push(kind | value),
            Ok(_) | Err(_) => self.longer_head(kind, value),
        }
    }

    fn longer_head(&mut self, kind: u8, value: u64) {
        let out = &mut *self.0;
        if let Ok(value) = u8::try_from(value) {
            out.extend_from_slice(&[kind | 24, value]);
        } else if let Ok(value) = u16::try_from(value) {
            let [a, b] = value.to_be_bytes();
            out.extend_from_slice(&[kind | 25, a, b]);
        } else if let Ok(value) = u32::try_from(value) {
            let [a, b, c, d] = value.to_be_bytes();
            out.extend_from_slice(&[kind | 26, a, b, c, d]);
        } else {
            let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
            out.extend_from_slice(&[kind | 27, a, b, c, d, e, f, g, h]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Values;
    use alloc::vec::Vec;
    use minicbor::Encoder;

    #[test]
    fn values_are_written_as_minicbor_writes_them() {
        let around = |n: u64| [n - 1, n, n + 1];
        let numbers = [1, 24, 1 << 8, 1 << 16, 1 << 32]
            .into_iter()
            .flat_map(around);
        for number in numbers.chain([u64::MAX]) {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            Values(&mut ours).uint(number).array(number as usize);
            let mut encoder = Encoder::new(&mut theirs);
            encoder.u64(number).and_then(|e| e.array(number)).unwrap();
            assert_eq!(ours, theirs, "{number}");
        }
        let steps = [
            1,
            23,
            24,
            255,
            256,
            65_535,
            65_536,
            1 << 32,
            5,
            (1 << 32) - 1,
        ];
        for count in [0, 1, 2, 64, 65, 66, 200] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            let mut number = 1_u64 << 60;
            let mut encoder = Encoder::new(&mut theirs);
            encoder.array(count as u64).unwrap();
            let mut numbers = Vec::new();
            for n in 0..count {
                let step = steps[n % steps.len()];
                number -= step;
                encoder.u64(if n == 0 { number } else { step }).unwrap();
                numbers.push(number);
            }
            Values(&mut ours).falling(&numbers, |number| number);
            assert_eq!(ours, theirs, "{count}");
        }
        for len in [0, 1, 23, 24, 255, 256, 70_000] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            let text = "x".repeat(len);
            Values(&mut ours).text(&text).bytes(text.as_bytes()).yes();
            let mut encoder = Encoder::new(&mut theirs);
            let written = encoder.str(&text).and_then(|e| e.bytes(text.as_bytes()));
            written.and_then(|e| e.bool(true)).unwrap();
            assert_eq!(ours, theirs, "{len}");
        }
    }
}
