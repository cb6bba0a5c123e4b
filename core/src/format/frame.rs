//! Frames: requests and answers for one destination, coalesced into one NATS message (S21).

use super::FormatError;
use super::fields::HEAD_MAX;
use super::reader::Reader;
use crate::id::OpId;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use minicbor::Encoder;

/// One message in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// The sender's operation; an answer carries that of its request.
    pub op: OpId,
    /// Bits whose meaning the payload's protocol gives.
    pub flags: u32,
    /// Its body.
    pub payload: Bytes,
    /// Names with values beside the body, such as a trace's; mostly none.
    pub headers: Vec<(String, String)>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// It wants an answer.
    Request {
        /// How long its sender waits, from when it sent the frame, in milliseconds.
        ttl_ms: u32,
    },
    /// It is the answer to a request.
    Answer,
    /// It wants no answer.
    Tell,
}

/// The entry does not fit into what is left of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry of up to {entry_bytes} bytes does not fit a frame of {bytes_max} bytes")]
pub struct FrameFull {
    /// The most that the entry can take, in bytes.
    pub entry_bytes: usize,
    /// The frame's limit in bytes.
    pub bytes_max: usize,
}

/// Coalesces entries into one frame.
///
/// A frame is the map `{0: version, 1: [entry, …]}`. An entry is the array `[kind, op, ttl_ms,
/// flags, payload]`, with a map of headers as sixth part when it has some; a reader passes over
/// further parts.
pub struct FrameWriter {
    out: Vec<u8>,
    entries: u16,
    bytes_max: usize,
}

/// The entries of a frame, in order. After an error there are no more.
pub struct FrameReader<'b> {
    reader: Reader<'b>,
    left: usize,
    over: bool,
}

const FORMAT: &str = "frame";
const VERSION: u8 = 1;

/// A frame before its first entry: a map of two, the version, and an array whose count takes two
/// bytes, which are written when the frame is taken.
const HEAD: [u8; 7] = [0xA2, 0x00, VERSION, 0x01, 0x99, 0x00, 0x00];

/// Where the count of entries is in the head.
const COUNT: core::ops::Range<usize> = 5..7;

impl Entry {
    /// An upper bound for the entry's length in a frame, in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| 2 * HEAD_MAX + name.len() + value.len())
            .sum();
        1 + 6 * HEAD_MAX + self.payload.len() + headers
    }
}

impl FrameWriter {
    /// An empty frame of at most `bytes_max` bytes: what the server takes, less headers.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            out: Vec::new(),
            entries: 0,
            bytes_max,
        }
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// When it does not fit any more: [`take`](Self::take) the frame and push again. Into an empty
    /// frame it never will fit.
    pub fn push(&mut self, entry: &Entry) -> Result<(), FrameFull> {
        let entry_bytes = entry.encoded_len_max();
        let free = self
            .bytes_max
            .saturating_sub(self.out.len().max(HEAD.len()));
        if entry_bytes > free || self.entries == u16::MAX {
            return Err(FrameFull {
                entry_bytes,
                bytes_max: self.bytes_max,
            });
        }
        if self.out.is_empty() {
            self.out.extend_from_slice(&HEAD);
        }
        self.entries += 1;
        let written = write(&mut Encoder::new(&mut self.out), entry);
        debug_assert!(written.is_ok(), "writing to memory cannot fail");
        Ok(())
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        usize::from(self.entries)
    }

    /// Whether no entry waits.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Takes the frame and begins a new one; `None` when no entry waits.
    pub fn take(&mut self) -> Option<Bytes> {
        if self.entries == 0 {
            return None;
        }
        let mut out = core::mem::take(&mut self.out);
        if let Some(count) = out.get_mut(COUNT) {
            count.copy_from_slice(&self.entries.to_be_bytes());
        }
        self.entries = 0;
        Some(Bytes::from(out))
    }
}

fn write(
    encoder: &mut Encoder<&mut Vec<u8>>,
    entry: &Entry,
) -> Result<(), minicbor::encode::Error<core::convert::Infallible>> {
    let (kind, ttl_ms) = match entry.kind {
        EntryKind::Request { ttl_ms } => (0, ttl_ms),
        EntryKind::Answer => (1, 0),
        EntryKind::Tell => (2, 0),
    };
    encoder.array(if entry.headers.is_empty() { 5 } else { 6 })?;
    encoder
        .u8(kind)?
        .u64(entry.op.0)?
        .u32(ttl_ms)?
        .u32(entry.flags)?
        .bytes(&entry.payload)?;
    if !entry.headers.is_empty() {
        encoder.map(entry.headers.len() as u64)?;
        for (name, value) in &entry.headers {
            encoder.str(name)?.str(value)?;
        }
    }
    Ok(())
}

impl<'b> FrameReader<'b> {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = VERSION as u64;

    /// Opens a frame; payloads share the memory of `bytes`.
    ///
    /// # Errors
    ///
    /// When the bytes are no frame of this version.
    pub fn open(bytes: &'b Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        match reader.key()? {
            Some(1) => {}
            Some(_) | None => {
                return Err(FormatError::Missing {
                    format: FORMAT,
                    field: "entries",
                });
            }
        }
        let left = reader.array("entries", 6)?;
        Ok(Self {
            reader,
            left,
            over: false,
        })
    }

    fn entry(&mut self) -> Result<Entry, FormatError> {
        let r = &mut self.reader;
        let parts = r.array("entry", 1)?;
        if parts < 5 {
            return Err(r.damaged("entry", "it has not all of its parts"));
        }
        let kind: u8 = r.number("kind of entry")?;
        let op = OpId(r.uint("operation")?);
        let ttl_ms = r.number("time to live")?;
        let kind = match kind {
            0 => EntryKind::Request { ttl_ms },
            1 => EntryKind::Answer,
            2 => EntryKind::Tell,
            _ => return Err(r.damaged("kind of entry", "this program does not know its number")),
        };
        let flags = r.number("flags")?;
        let payload = r.bytes("payload")?;
        let headers = if parts > 5 { r.headers()? } else { Vec::new() };
        for _ in 6..parts {
            r.skip()?;
        }
        Ok(Entry {
            kind,
            op,
            flags,
            payload,
            headers,
        })
    }

    /// Passes over fields of a newer writer; then the bytes must end.
    fn end(&mut self) -> Result<(), FormatError> {
        while self.reader.key()?.is_some() {
            self.reader.skip()?;
        }
        Ok(())
    }
}

impl Iterator for FrameReader<'_> {
    type Item = Result<Entry, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let Some(left) = self.left.checked_sub(1) else {
            self.over = true;
            return self.end().err().map(Err);
        };
        self.left = left;
        let entry = self.entry();
        self.over = entry.is_err();
        Some(entry)
    }
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter")
            .field("entries", &self.entries)
            .field("bytes", &self.out.len())
            .field("bytes_max", &self.bytes_max)
            .finish()
    }
}

impl fmt::Debug for FrameReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, EntryKind, FrameReader, FrameWriter, HEAD};
    use crate::format::FormatError;
    use crate::id::OpId;
    use alloc::vec;
    use alloc::vec::Vec;
    use bytes::Bytes;

    fn request(op: u64, payload: &'static [u8]) -> Entry {
        Entry {
            kind: EntryKind::Request { ttl_ms: 500 },
            op: OpId(op),
            flags: 0,
            payload: Bytes::from_static(payload),
            headers: Vec::new(),
        }
    }

    fn read(frame: &Bytes) -> Result<Vec<Entry>, FormatError> {
        FrameReader::open(frame)?.collect()
    }

    #[test]
    fn entries_come_back_in_order() {
        let entries = vec![
            request(1, b"ask"),
            Entry {
                kind: EntryKind::Answer,
                op: OpId(7),
                flags: 3,
                ..request(0, b"")
            },
            Entry {
                kind: EntryKind::Tell,
                headers: vec![("traceparent".into(), "00-1-2-01".into())],
                ..request(u64::MAX, b"tell")
            },
        ];
        let mut writer = FrameWriter::new(4_096);
        assert_eq!(writer.take(), None);
        for entry in &entries {
            writer.push(entry).unwrap();
        }
        assert_eq!(writer.len(), 3);
        assert_eq!(read(&writer.take().unwrap()), Ok(entries));
        assert_eq!(writer.take(), None);
    }

    #[test]
    fn a_frame_stays_within_its_limit() {
        let entry = request(1, b"0123456789");
        let bytes_max = HEAD.len() + 2 * entry.encoded_len_max();
        let mut writer = FrameWriter::new(bytes_max);
        let mut entries = 0;
        while writer.push(&entry).is_ok() {
            entries += 1;
        }
        assert!(entries >= 2);
        let frame = writer.take().unwrap();
        assert!(frame.len() <= bytes_max);
        assert_eq!(read(&frame).unwrap().len(), entries);
        writer.push(&entry).unwrap();
        let small = FrameWriter::new(10).push(&entry).unwrap_err();
        assert_eq!(small.bytes_max, 10);
    }

    #[test]
    fn every_cut_is_an_error_and_the_reader_ends() {
        let mut writer = FrameWriter::new(4_096);
        writer.push(&request(1, b"ask")).unwrap();
        writer.push(&request(2, b"ask")).unwrap();
        let frame = writer.take().unwrap();
        for len in 0..frame.len() {
            assert!(read(&frame.slice(..len)).is_err(), "cut to {len} bytes");
        }
    }

    #[test]
    fn parts_and_fields_of_a_newer_writer_are_passed_over() {
        let newer = b"\xA3\x00\x01\x01\x81\x87\x02\x05\x00\x00\x41x\xA0\x82\x01\x02\x09\x60";
        let entries = read(&Bytes::from_static(newer)).unwrap();
        let tell = Entry {
            kind: EntryKind::Tell,
            ..request(5, b"x")
        };
        assert_eq!(entries, [tell]);
        let version = read(&Bytes::from_static(b"\xA2\x00\x02\x01\x80")).unwrap_err();
        assert_eq!(
            version,
            FormatError::Version {
                format: "frame",
                found: 2,
                supported: 1
            }
        );
    }
}
