//! The mark of a projection: up to where its state goes, stored with the state in one step (P6).

use super::checkpoint::{read_positions, write_positions};
use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Position, Unknown};
use crate::id::{Incarnation, LayoutId, WallTime};
use crate::name::ConsumerName;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// Up to where the state of a projection goes, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Mark {
    /// The layout that its positions are of.
    pub layout: LayoutId,
    /// The projection.
    pub projection: ConsumerName,
    /// The hash of what it reads.
    pub definition: u64,
    /// The version of what it makes of it: raised when that changes, so that it is built anew.
    pub version: u32,
    /// The how manieth life of the projection it is: a rebuild begins the next one.
    pub generation: u64,
    /// One for each event stream, by its number.
    pub positions: Vec<Position>,
    /// The run that took the state over last: the only one that may store.
    pub run: Incarnation,
    /// The node's name, for people.
    pub node: String,
    /// When it was written, on the writer's wall clock.
    pub time: WallTime,
    /// The state, where it is stored as a whole in the namespace.
    pub state: Option<StateAt>,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

/// Where the state of a projection is that is stored as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct StateAt {
    /// How many bytes it has.
    pub bytes: u64,
    /// Their hash under the layout's key.
    pub hash: u64,
    /// The state itself, when it fits into the mark's message.
    pub whole: Option<Bytes>,
    /// Else in how many messages of their own it is, which this names; 0 when it is in the mark's.
    pub parts: u32,
    /// The tag that is in their subjects.
    pub tag: u64,
}

const FORMAT: &str = "mark of a projection";

impl Mark {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let state = self.state.as_ref().and_then(|state| state.whole.as_ref());
        map_len_max(14, &self.unknown)
            + 2 * BITS128_LEN
            + 11 * HEAD_MAX
            + self.projection.as_str().len()
            + self.node.len()
            + self.positions.len() * (1 + 2 * HEAD_MAX)
            + state.map_or(0, Bytes::len)
    }

    /// The mark's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.layout.0);
        fields.key(2).text(self.projection.as_str());
        fields.key(3).uint(self.definition);
        fields.key(4).uint(u64::from(self.version));
        fields.key(5).uint(self.generation);
        write_positions(&self.positions, &mut fields.key(6));
        fields.key(7).bits128(self.run.0);
        fields.key(8).text(&self.node);
        fields.key(9).uint(self.time.0);
        if let Some(state) = &self.state {
            fields.key(10).uint(state.bytes);
            fields.key(11).uint(state.hash);
            match &state.whole {
                Some(whole) => drop(fields.key(12).bytes(whole)),
                None => {
                    fields.key(13).uint(u64::from(state.parts));
                    fields.key(14).uint(state.tag);
                }
            }
        }
        fields.finish()
    }

    /// Reads a mark; the state and unknown fields share the memory of `bytes`.
    ///
    /// # Errors
    ///
    /// When the bytes are no mark of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut projection, mut definition) = (None, None, None);
        let (mut version, mut generation, mut run) = (None, None, None);
        let (mut node, mut time, mut positions) = (None, None, Vec::new());
        let (mut length, mut hash, mut whole) = (None, None, None);
        let (mut parts, mut tag) = (None, None);
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => layout = Some(LayoutId(r.bits128("layout")?)),
                2 => projection = Some(r.consumer()?),
                3 => definition = Some(r.uint("definition")?),
                4 => version = Some(r.number("version")?),
                5 => generation = Some(r.uint("generation")?),
                6 => positions = read_positions(r)?,
                7 => run = Some(Incarnation(r.bits128("run")?)),
                8 => node = Some(r.text("node")?),
                9 => time = Some(WallTime(r.uint("time")?)),
                10 => length = Some(r.uint("state's length")?),
                11 => hash = Some(r.uint("state's hash")?),
                12 => whole = Some(r.bytes("state")?),
                13 => parts = Some(r.number("state's parts")?),
                14 => tag = Some(r.uint("state's tag")?),
                other => r.keep(other, &mut unknown)?,
            }
        }
        let state = match length {
            None => {
                let none = hash.is_none() && whole.is_none() && parts.is_none() && tag.is_none();
                r.holds(none, "a state has a length")?;
                None
            }
            Some(bytes) => {
                let placed = whole.is_some() != parts.is_some() && tag.is_some() == parts.is_some();
                r.holds(placed, "a state is whole or in parts that have a tag")?;
                Some(StateAt {
                    bytes,
                    hash: r.need("state's hash", hash)?,
                    whole,
                    parts: parts.unwrap_or(0),
                    tag: tag.unwrap_or(0),
                })
            }
        };
        Ok(Self {
            layout: r.need("layout", layout)?,
            projection: r.need("projection", projection)?,
            definition: r.need("definition", definition)?,
            version: r.need("version", version)?,
            generation: r.need("generation", generation)?,
            positions,
            run: r.need("run", run)?,
            node: r.need("node", node)?,
            time: r.need("time", time)?,
            state,
            unknown,
        })
    }

    /// Whether this one is later: of a later life, or of the same and further in a stream and in none
    /// behind.
    pub fn is_after(&self, other: &Self) -> bool {
        let life = (self.version, self.generation).cmp(&(other.version, other.generation));
        life.then_with(|| {
            let mut pairs = self.positions.iter().zip(&other.positions);
            let ahead = pairs.clone().any(|(mine, other)| mine > other);
            let behind = pairs.any(|(mine, other)| mine < other);
            match (ahead, behind) {
                (true, false) => core::cmp::Ordering::Greater,
                (true, true) | (false, true) => core::cmp::Ordering::Less,
                (false, false) => core::cmp::Ordering::Equal,
            }
        })
        .is_gt()
    }
}
