//! The checkpoint of a consumer: up to where it handled the events of each stream (H14).

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, Values, map_len_max};
use super::reader::Reader;
use super::{FormatError, Unknown};
use crate::id::{CommitId, Incarnation, LayoutId, Partition, Sequence, WallTime};
use crate::name::ConsumerName;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// Up to where the events of one stream were handled: all of the commits before `sequence`, and of the
/// one there the first `events`.
///
/// ```
/// use tenure_core::format::Position;
/// use tenure_core::id::Sequence;
///
/// let two_events = Position { sequence: Sequence(9), events: 2 };
/// assert!(Position::whole(Sequence(8)) < two_events);
/// assert!(two_events < Position::whole(Sequence(9)));
/// assert!(two_events.takes_in(Sequence(9), 1) && !two_events.takes_in(Sequence(9), 2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Position {
    /// The last commit of which an event was handled.
    pub sequence: Sequence,
    /// How many of its events were, counted with those that no filter lets through;
    /// [`Position::WHOLE`] for all.
    pub events: u32,
}

impl Position {
    /// All events of a commit.
    pub const WHOLE: u32 = u32::MAX;

    /// Before the first event of a stream.
    pub const START: Self = Self::whole(Sequence::NONE);

    /// After a commit as a whole.
    pub const fn whole(sequence: Sequence) -> Self {
        Self {
            sequence,
            events: Self::WHOLE,
        }
    }

    /// Whether an event is handled when a consumer stands here; `index` is its place in its commit.
    pub const fn takes_in(self, sequence: Sequence, index: u32) -> bool {
        sequence.0 < self.sequence.0 || sequence.0 == self.sequence.0 && index < self.events
    }

    /// The first commit of which an event may be left.
    pub const fn next(self) -> Sequence {
        match self.events {
            Self::WHOLE => Sequence(self.sequence.0.saturating_add(1)),
            _ => self.sequence,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.events {
            Self::WHOLE => write!(f, "{}", self.sequence),
            events => write!(f, "{}+{events}", self.sequence),
        }
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{self}")
    }
}

/// Where an event is: its stream, its commit, and its place among the commit's events, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct EventPlace {
    /// The event stream.
    pub partition: Partition,
    /// The commit.
    pub sequence: Sequence,
    /// Its place in the commit.
    pub index: u32,
}

impl fmt::Display for EventPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.partition, self.sequence, self.index)
    }
}

/// A commit that was handled, by which its stream is known again: one that lost its tail and grew again has
/// another one at that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Witness {
    /// Where it is.
    pub sequence: Sequence,
    /// The lower half of its id.
    pub tag: u64,
}

impl Witness {
    /// A commit at a place.
    pub fn of(sequence: Sequence, commit: CommitId) -> Self {
        let bytes = commit.0.to_le_bytes();
        let low = bytes.first_chunk().copied().unwrap_or_default();
        let tag = u64::from_le_bytes(low);
        Self { sequence, tag }
    }
}

/// Up to where a consumer handled what is in the log, as stored on `<ns>.chk.<consumer>`, or a partition
/// of a group, on `<ns>.grp.<group>.<partition>`; one is kept, and each is written by CAS on the one
/// before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Checkpoint {
    /// The layout that its positions are of.
    pub layout: LayoutId,
    /// The consumer.
    pub consumer: ConsumerName,
    /// The hash of its definition: a name belongs to one.
    pub definition: u64,
    /// The how manieth life of the consumer it is: a rewind begins the next one.
    pub generation: u64,
    /// One for each event stream, by its number.
    pub positions: Vec<Position>,
    /// The run of the consumer that wrote it.
    pub run: Incarnation,
    /// The how manieth record of that run it is, from 1.
    pub ordinal: u64,
    /// The node's name, for people.
    pub node: String,
    /// When it was written, on the writer's wall clock.
    pub time: WallTime,
    /// Of a partition of a group: the run of the node that owns it. `None` when nobody does, and of a
    /// consumer that is in no group.
    pub owner: Option<Incarnation>,
    /// Of each event stream, by its number, a commit at or before its position; empty when none is known.
    pub witnesses: Vec<Option<Witness>>,
    /// What it reads, in words, for people; empty where nobody said.
    pub reads: String,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

const FORMAT: &str = "checkpoint";
const POSITIONS: &str = "positions";
const WITNESSES: &str = "witnesses";

impl Checkpoint {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        map_len_max(12, &self.unknown)
            + 3 * BITS128_LEN
            + 9 * HEAD_MAX
            + self.consumer.as_str().len()
            + self.node.len()
            + self.reads.len()
            + (self.positions.len() + self.witnesses.len()) * (1 + 2 * HEAD_MAX)
    }

    /// The checkpoint's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.layout.0);
        fields.key(2).text(self.consumer.as_str());
        fields.key(3).uint(self.definition);
        fields.key(4).uint(self.generation);
        write_positions(&self.positions, &mut fields.key(5));
        fields.key(6).bits128(self.run.0);
        fields.key(7).uint(self.ordinal);
        fields.key(8).text(&self.node);
        fields.key(9).uint(self.time.0);
        if let Some(owner) = self.owner {
            fields.key(10).bits128(owner.0);
        }
        if self.witnesses.iter().any(Option::is_some) {
            write_witnesses(&self.witnesses, &mut fields.key(11));
        }
        if !self.reads.is_empty() {
            fields.key(12).text(&self.reads);
        }
        fields.finish()
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    ///
    /// When the bytes are no checkpoint of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut consumer, mut definition, mut generation) = (None, None, None, None);
        let (mut run, mut ordinal, mut node, mut time) = (None, None, None, None);
        let (mut owner, mut reads) = (None, String::new());
        let (mut positions, mut witnesses) = (Vec::new(), Vec::new());
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => layout = Some(LayoutId(r.bits128("layout")?)),
                2 => consumer = Some(r.consumer()?),
                3 => definition = Some(r.uint("definition")?),
                4 => generation = Some(r.uint("generation")?),
                5 => positions = read_positions(r)?,
                6 => run = Some(Incarnation(r.bits128("run")?)),
                7 => ordinal = Some(r.uint("ordinal")?),
                8 => node = Some(r.text("node")?),
                9 => time = Some(WallTime(r.uint("time")?)),
                10 => owner = Some(Incarnation(r.bits128("owner")?)),
                11 => witnesses = read_witnesses(r)?,
                12 => reads = r.text("what it reads")?,
                other => r.keep(other, &mut unknown)?,
            }
        }
        Ok(Self {
            layout: r.need("layout", layout)?,
            consumer: r.need("consumer", consumer)?,
            definition: r.need("definition", definition)?,
            generation: r.need("generation", generation)?,
            positions,
            run: r.need("run", run)?,
            ordinal: r.need("ordinal", ordinal)?,
            node: r.need("node", node)?,
            time: r.need("time", time)?,
            owner,
            witnesses,
            reads,
            unknown,
        })
    }
}

fn write_witnesses(witnesses: &[Option<Witness>], values: &mut Values<'_>) {
    values.array(witnesses.len());
    for witness in witnesses {
        let (sequence, tag) = witness.map_or((0, 0), |it| (it.sequence.0, it.tag));
        values.array(2).uint(sequence).uint(tag);
    }
}

fn read_witnesses(r: &mut Reader<'_>) -> Result<Vec<Option<Witness>>, FormatError> {
    let items = r.array(WITNESSES, 3)?;
    let mut witnesses = Vec::with_capacity(items);
    for _ in 0..items {
        r.tuple(WITNESSES, 2)?;
        let sequence = Sequence(r.uint(WITNESSES)?);
        let tag = r.uint(WITNESSES)?;
        witnesses.push(sequence.is_some().then_some(Witness { sequence, tag }));
    }
    Ok(witnesses)
}

/// Writes the positions of all event streams.
pub(super) fn write_positions(positions: &[Position], values: &mut Values<'_>) {
    values.array(positions.len());
    for position in positions {
        let values = values.array(2).uint(position.sequence.0);
        values.uint(u64::from(position.events));
    }
}

/// Reads them.
pub(super) fn read_positions(r: &mut Reader<'_>) -> Result<Vec<Position>, FormatError> {
    let items = r.array(POSITIONS, 3)?;
    let mut positions = Vec::with_capacity(items);
    for _ in 0..items {
        r.tuple(POSITIONS, 2)?;
        positions.push(Position {
            sequence: Sequence(r.uint(POSITIONS)?),
            events: r.number(POSITIONS)?,
        });
    }
    Ok(positions)
}
