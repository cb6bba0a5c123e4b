//! Frames: requests and answers for one destination, coalesced into one NATS message (S21).

use super::fields::{BITS128_LEN, HEAD_MAX, Values};
use super::reader::Reader;
use super::{Call, FormatError, FrameVersions, Return};
use crate::id::{ClaimId, Epoch, Incarnation, OpId, Sequence};
use crate::route::Address;
use crate::shard::Row;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// One message in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The operation of who asked: an answer carries that of its request.
    pub op: OpId,
    /// What it says.
    pub body: Body,
}

/// What an entry says. Calls and returns are decoded each by itself: one that cannot be read leaves
/// the others of its frame alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// A request that wants its answer.
    Request {
        /// How long its sender waits, from when it sent the frame, in milliseconds.
        ttl_ms: u32,
        /// The bytes of a [`Call`].
        call: Bytes,
    },
    /// A request that wants to know only that it was taken in.
    Tell {
        /// How long its sender waits for that, from when it sent the frame, in milliseconds.
        ttl_ms: u32,
        /// The bytes of a [`Call`].
        call: Bytes,
    },
    /// The answer to a request.
    Answer {
        /// The bytes of a [`Return`].
        returned: Bytes,
    },
    /// Nobody waits for the request any more.
    Withdraw,
    /// The receiver of the request does not own its shard; it was not begun.
    NotOwner {
        /// Who does, as far as it knows.
        owner: Option<Row>,
    },
    /// Whether anybody is there.
    Ping,
    /// The answer to a ping.
    Pong,
    /// What this program does not know: an entry of a newer one.
    Newer {
        /// Its number in the format.
        number: u64,
    },
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

/// Coalesces entries of one sender into one frame.
///
/// A frame is the map `{0: version, 1: incarnation, 2: lane, 3: [entry, …]}`, the first two being its
/// sender's. An entry is an array that begins with its number and the operation; a reader passes
/// over further parts, and over entries whose number it does not know.
pub struct FrameWriter {
    sender: Address,
    out: Vec<u8>,
    entries: u16,
    bytes_max: usize,
    /// The length of the last frame: the next one is probably as long.
    last: usize,
}

/// The entries of a frame, in order. After an error there are no more.
pub struct FrameReader<'b> {
    reader: Reader<'b>,
    sender: Address,
    left: usize,
    over: bool,
}

const FORMAT: &str = "frame";
const VERSION: u8 = FrameVersions::THIS.max;

/// A frame before its first entry. The lane and the count of entries always take two bytes; the
/// count is written when the frame is taken.
const HEAD_LEN: usize = 29;

/// Where the count of entries is in the head.
const COUNT: core::ops::Range<usize> = HEAD_LEN - 2..HEAD_LEN;

/// The numbers of entries.
const REQUEST: u64 = 0;
const ANSWER: u64 = 1;
const TELL: u64 = 2;
const WITHDRAW: u64 = 3;
const NOT_OWNER: u64 = 4;
const PING: u64 = 5;
const PONG: u64 = 6;

/// The most that an entry takes beside its bytes: its head, number, operation, time to live, and the
/// head of the bytes.
const PLAIN_MAX: usize = 2 + 3 * HEAD_MAX;

/// The most that one takes which says who owns a shard.
const NOT_OWNER_MAX: usize = PLAIN_MAX + 2 * BITS128_LEN;

impl FrameWriter {
    /// An empty frame of at most `bytes_max` bytes: what the server takes, less headers.
    pub fn new(sender: Address, bytes_max: usize) -> Self {
        Self {
            sender,
            out: Vec::new(),
            entries: 0,
            bytes_max,
            last: 0,
        }
    }

    /// Adds a request that wants its answer.
    ///
    /// # Errors
    ///
    /// When it does not fit any more: [`take`](Self::take) the frame and add it again. Into an empty
    /// frame it never will fit. So it is with each of these.
    pub fn request(&mut self, op: OpId, ttl_ms: u32, call: &Call<'_>) -> Result<(), FrameFull> {
        self.call(REQUEST, op, ttl_ms, call)
    }

    /// Adds a request that wants to know only that it was taken in.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn tell(&mut self, op: OpId, ttl_ms: u32, call: &Call<'_>) -> Result<(), FrameFull> {
        self.call(TELL, op, ttl_ms, call)
    }

    fn call(
        &mut self,
        number: u64,
        op: OpId,
        ttl_ms: u32,
        call: &Call<'_>,
    ) -> Result<(), FrameFull> {
        let len_max = call.encoded_len_max();
        let mut values = self.entry(PLAIN_MAX + len_max)?;
        let values = values.array(4).uint(number).uint(op.0);
        values
            .uint(u64::from(ttl_ms))
            .bytes_of(len_max, |out| call.write(out));
        Ok(())
    }

    /// Adds the answer to a request.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn answer(&mut self, op: OpId, returned: &Return<'_>) -> Result<(), FrameFull> {
        let len_max = returned.encoded_len_max();
        let mut values = self.entry(PLAIN_MAX + len_max)?;
        let values = values.array(3).uint(ANSWER).uint(op.0);
        values.bytes_of(len_max, |out| returned.write(out));
        Ok(())
    }

    /// Adds that nobody waits for a request any more.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn withdraw(&mut self, op: OpId) -> Result<(), FrameFull> {
        self.plain(WITHDRAW, op)
    }

    /// Adds that its sender does not own the shard of a request, and who does.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn not_owner(&mut self, op: OpId, owner: Option<Row>) -> Result<(), FrameFull> {
        let Some(Row { owner, epoch }) = owner else {
            return self.plain(NOT_OWNER, op);
        };
        let mut values = self.entry(NOT_OWNER_MAX)?;
        let values = values.array(5).uint(NOT_OWNER).uint(op.0);
        let values = values.bits128(owner.0).uint(epoch.sequence.0);
        values.bits128(epoch.claim.0);
        Ok(())
    }

    /// Adds the question whether anybody is there.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn ping(&mut self, op: OpId) -> Result<(), FrameFull> {
        self.plain(PING, op)
    }

    /// Adds the answer to a ping.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn pong(&mut self, op: OpId) -> Result<(), FrameFull> {
        self.plain(PONG, op)
    }

    fn plain(&mut self, number: u64, op: OpId) -> Result<(), FrameFull> {
        let mut values = self.entry(PLAIN_MAX)?;
        values.array(2).uint(number).uint(op.0);
        Ok(())
    }

    /// Begins an entry of at most so many bytes, if they fit.
    fn entry(&mut self, entry_bytes: usize) -> Result<Values<'_>, FrameFull> {
        let free = self.bytes_max.saturating_sub(self.out.len().max(HEAD_LEN));
        if entry_bytes > free || self.entries == u16::MAX {
            return Err(FrameFull {
                entry_bytes,
                bytes_max: self.bytes_max,
            });
        }
        if self.out.is_empty() {
            self.out.reserve(self.last.max(HEAD_LEN + entry_bytes));
            let Address { incarnation, lane } = self.sender;
            let [high, low] = lane.to_be_bytes();
            self.out.extend_from_slice(&[0xA4, 0x00, VERSION, 0x01]);
            Values(&mut self.out).bits128(incarnation.0);
            self.out.extend_from_slice(&[0x02, 0x19, high, low]);
            self.out.extend_from_slice(&[0x03, 0x99, 0x00, 0x00]);
            debug_assert_eq!(self.out.len(), HEAD_LEN);
        }
        self.entries += 1;
        Ok(Values(&mut self.out))
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        usize::from(self.entries)
    }

    /// Whether no entry waits.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// How many bytes the frame has so far.
    pub fn bytes(&self) -> usize {
        self.out.len()
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
        self.last = out.len();
        Some(Bytes::from(out))
    }
}

impl<'b> FrameReader<'b> {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = VERSION as u64;

    /// Opens a frame; what its entries carry shares the memory of `bytes`.
    ///
    /// # Errors
    ///
    /// When the bytes are no frame of this version.
    pub fn open(bytes: &'b Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let missing = |field| FormatError::Missing {
            format: FORMAT,
            field,
        };
        let incarnation = match r.key()? {
            Some(1) => Incarnation(r.bits128("incarnation")?),
            Some(_) | None => return Err(missing("incarnation")),
        };
        let lane = match r.key()? {
            Some(2) => r.number("lane")?,
            Some(_) | None => return Err(missing("lane")),
        };
        match r.key()? {
            Some(3) => {}
            Some(_) | None => return Err(missing("entries")),
        }
        let left = r.array("entries", 3)?;
        Ok(Self {
            reader,
            sender: Address { incarnation, lane },
            left,
            over: false,
        })
    }

    /// Who sent it, and where answers go.
    pub fn sender(&self) -> Address {
        self.sender
    }

    fn entry(&mut self) -> Result<Entry, FormatError> {
        let r = &mut self.reader;
        let parts = r.array("entry", 1)?;
        let few = "it has not all of its parts";
        if parts < 2 {
            return Err(r.damaged("entry", few));
        }
        let number = r.uint("kind of entry")?;
        let op = OpId(r.uint("operation")?);
        let known = match (number, parts) {
            (REQUEST | TELL, 4..) => 4,
            (ANSWER, 3..) => 3,
            (NOT_OWNER, 5..) => 5,
            (REQUEST | TELL | ANSWER, _) => return Err(r.damaged("entry", few)),
            _ => 2,
        };
        let body = match number {
            REQUEST | TELL => {
                let ttl_ms = r.number("time to live")?;
                let call = r.bytes("call")?;
                if number == REQUEST {
                    Body::Request { ttl_ms, call }
                } else {
                    Body::Tell { ttl_ms, call }
                }
            }
            ANSWER => Body::Answer {
                returned: r.bytes("return")?,
            },
            WITHDRAW => Body::Withdraw,
            NOT_OWNER if known == 2 => Body::NotOwner { owner: None },
            NOT_OWNER => {
                let owner = Incarnation(r.bits128("owner")?);
                let epoch = Epoch {
                    sequence: Sequence(r.uint("epoch")?),
                    claim: ClaimId(r.bits128("epoch")?),
                };
                let owner = Some(Row { owner, epoch });
                Body::NotOwner { owner }
            }
            PING => Body::Ping,
            PONG => Body::Pong,
            _ => Body::Newer { number },
        };
        for _ in known..parts {
            r.skip()?;
        }
        Ok(Entry { op, body })
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
            .field("sender", &self.sender)
            .field("entries", &self.entries)
            .field("bytes", &self.out.len())
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FrameReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader")
            .field("sender", &self.sender)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, Entry, FrameReader, FrameWriter, HEAD_LEN};
    use crate::format::{Answered, Call, CallTarget, FormatError, Return};
    use crate::id::{Incarnation, OpId};
    use crate::route::Address;
    use alloc::vec::Vec;
    use bytes::Bytes;

    const SENDER: Address = Address {
        incarnation: Incarnation(7),
        lane: 1,
    };

    fn call(body: &'static [u8]) -> Call<'static> {
        Call::new(CallTarget::Node, "m", 1, Bytes::from_static(body))
    }

    fn read(frame: &Bytes) -> Result<Vec<Entry>, FormatError> {
        FrameReader::open(frame)?.collect()
    }

    #[test]
    fn entries_come_back_in_order_and_share_the_frames_memory() {
        let (ask, answer) = (call(b"ask"), Return::new("n", Answered::done(Bytes::new())));
        let mut writer = FrameWriter::new(SENDER, 4_096);
        assert_eq!(writer.take(), None);
        writer.request(OpId(1), 500, &ask).unwrap();
        writer.answer(OpId(7), &answer).unwrap();
        writer.tell(OpId(u64::MAX), 0, &ask).unwrap();
        assert_eq!(writer.len(), 3);
        let frame = writer.take().unwrap();
        assert_eq!(writer.take(), None);
        assert_eq!(FrameReader::open(&frame).unwrap().sender(), SENDER);
        let entries = read(&frame).unwrap();
        assert_eq!(
            entries.iter().map(|e| e.op.0).collect::<Vec<_>>(),
            [1, 7, u64::MAX]
        );
        let [
            Body::Request { ttl_ms: 500, call },
            Body::Answer { returned },
            Body::Tell { .. },
        ] = [&entries[0].body, &entries[1].body, &entries[2].body]
        else {
            panic!("{entries:?}");
        };
        assert_eq!(Call::decode(call), Ok(ask));
        assert_eq!(Return::decode(returned), Ok(answer));
        assert!(
            frame.as_ptr_range().contains(&call.as_ptr()),
            "nothing is copied"
        );
    }

    #[test]
    fn a_frame_stays_within_its_limit() {
        let ask = call(b"0123456789");
        let bytes_max = HEAD_LEN + 2 * (super::PLAIN_MAX + ask.encoded_len_max());
        let mut writer = FrameWriter::new(SENDER, bytes_max);
        let mut entries = 0;
        while writer.request(OpId(entries), 1, &ask).is_ok() {
            entries += 1;
        }
        assert!(entries >= 2);
        let frame = writer.take().unwrap();
        assert!(frame.len() <= bytes_max);
        assert_eq!(read(&frame).unwrap().len() as u64, entries);
        writer.request(OpId(1), 1, &ask).unwrap();
        let small = FrameWriter::new(SENDER, 10).ping(OpId(1)).unwrap_err();
        assert_eq!(small.bytes_max, 10);
    }

    #[test]
    fn every_cut_is_an_error_and_the_reader_ends() {
        let mut writer = FrameWriter::new(SENDER, 4_096);
        writer.request(OpId(1), 1, &call(b"ask")).unwrap();
        writer.withdraw(OpId(2)).unwrap();
        writer.not_owner(OpId(3), None).unwrap();
        let frame = writer.take().unwrap();
        for len in 0..frame.len() {
            assert!(read(&frame.slice(..len)).is_err(), "cut to {len} bytes");
        }
    }

    #[test]
    fn parts_entries_and_fields_of_a_newer_writer_are_passed_over() {
        let mut newer = b"\xA5\x00\x01\x01\x50".to_vec();
        newer.extend([7; 16]);
        newer.extend(b"\x02\x01\x03\x83");
        // A withdrawal with two further parts, an entry of number 30, a ping; then field 9.
        newer.extend(b"\x84\x03\x05\xA0\x82\x01\x02\x83\x18\x1e\x06\x61x\x82\x05\x07\x09\x60");
        let entry = |op, body| Entry { op: OpId(op), body };
        assert_eq!(
            read(&Bytes::from(newer)).unwrap(),
            [
                entry(5, Body::Withdraw),
                entry(6, Body::Newer { number: 30 }),
                entry(7, Body::Ping)
            ]
        );
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
