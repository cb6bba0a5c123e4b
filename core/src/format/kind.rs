//! A kind's record: how entities of the kind are written and placed, fixed at first use (S2).

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Unknown};
use crate::id::{KindId, LayoutId};
use crate::name::KindName;
use bytes::Bytes;
use core::fmt;

/// A kind's record, as stored on `<ns>.ctl.kind.<kind>`; immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct KindRecord {
    /// Its identity, in every commit.
    pub id: KindId,
    /// The layout it belongs to.
    pub layout: LayoutId,
    /// The kind.
    pub name: KindName,
    /// Who may write.
    pub mode: WriteMode,
    /// When a shard may change hands.
    pub class: TakeOver,
    /// How values are encoded.
    pub codec: Codec,
    /// What of the id places an entity.
    pub placement: Placement,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

/// Who may write entities of a kind (S7); never mixed within one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum WriteMode {
    /// Anyone: a commit checks its own subject's last sequence.
    Direct,
    /// The owner of the shard: a commit carries the fence.
    Owned,
}

/// When a shard of a kind may change hands (S14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum TakeOver {
    /// On a hint: only one owner can commit. Letter `f` in subjects.
    Fenced,
    /// After release or the lease's end: one node acts. Letter `l` in subjects.
    Leased,
}

/// How values of a kind are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Codec {
    /// CBOR (RFC 8949).
    Cbor,
    /// JSON (RFC 8259).
    Json,
}

/// What of an id places the entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Placement {
    /// All of it.
    Whole,
    /// What comes before the first occurrence of a character; all of it where there is none.
    Before(char),
    /// The id is the number of a shard, and belongs there; one that is not is placed by all of it.
    Shard,
    /// None of it: what has it belongs to a node, and to no shard. Actors only.
    Node,
}

const FORMAT: &str = "kind record";

/// The names of placements that are no character. No rule's name has one character.
const BY_SHARD: &str = "shard";
const BY_NODE: &str = "node";

/// The longest character in UTF-8, in bytes.
const CHAR_LEN_MAX: usize = 4;

impl KindRecord {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        map_len_max(7, &self.unknown)
            + 2 * BITS128_LEN
            + (HEAD_MAX + self.name.as_str().len())
            + 3 * HEAD_MAX
            + (1 + CHAR_LEN_MAX.max(BY_SHARD.len()))
    }

    /// The record's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.id.0);
        fields.key(2).bits128(self.layout.0);
        fields.key(3).text(self.name.as_str());
        fields.key(4).uint(match self.mode {
            WriteMode::Direct => 0,
            WriteMode::Owned => 1,
        });
        fields.key(5).uint(match self.class {
            TakeOver::Fenced => 0,
            TakeOver::Leased => 1,
        });
        fields.key(6).uint(match self.codec {
            Codec::Cbor => 0,
            Codec::Json => 1,
        });
        match self.placement {
            Placement::Whole => {}
            Placement::Before(mark) => {
                fields.key(7).text(mark.encode_utf8(&mut [0; CHAR_LEN_MAX]));
            }
            Placement::Shard => {
                fields.key(7).text(BY_SHARD);
            }
            Placement::Node => {
                fields.key(7).text(BY_NODE);
            }
        }
        fields.finish()
    }

    /// Reads a kind's record.
    ///
    /// # Errors
    ///
    /// When the bytes are no kind record of this version, or have a mode, class, codec or placement
    /// that this program does not know.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut id, mut layout, mut name) = (None, None, None);
        let (mut mode, mut class, mut codec) = (None, None, None);
        let mut placement = Placement::Whole;
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => id = Some(KindId(r.bits128("id")?)),
                2 => layout = Some(LayoutId(r.bits128("layout")?)),
                3 => name = Some(read_name(r)?),
                4 => mode = Some(r.choice("write mode", [WriteMode::Direct, WriteMode::Owned])?),
                5 => class = Some(r.choice("class", [TakeOver::Fenced, TakeOver::Leased])?),
                6 => codec = Some(r.choice("codec", [Codec::Cbor, Codec::Json])?),
                7 => placement = read_placement(r)?,
                other => r.keep(other, &mut unknown)?,
            }
        }
        Ok(Self {
            id: r.need("id", id)?,
            layout: r.need("layout", layout)?,
            name: r.need("name", name)?,
            mode: r.need("write mode", mode)?,
            class: r.need("class", class)?,
            codec: r.need("codec", codec)?,
            placement,
            unknown,
        })
    }
}

fn read_name(r: &mut Reader<'_>) -> Result<KindName, FormatError> {
    let name = r.str("name")?;
    KindName::new(name).map_err(|_| r.damaged("name", "it cannot name a kind"))
}

fn read_placement(r: &mut Reader<'_>) -> Result<Placement, FormatError> {
    let rule = r.str("placement")?;
    match rule {
        BY_SHARD => return Ok(Placement::Shard),
        BY_NODE => return Ok(Placement::Node),
        _ => {}
    }
    let mut mark = rule.chars();
    match (mark.next(), mark.next()) {
        (Some(mark), None) => Ok(Placement::Before(mark)),
        (Some(_), Some(_)) | (None, _) => {
            Err(r.damaged("placement", "it is neither one character nor a rule's name"))
        }
    }
}

impl fmt::Display for WriteMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Owned => "owned",
        })
    }
}

impl fmt::Display for TakeOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fenced => "fenced",
            Self::Leased => "leased",
        })
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cbor => "CBOR",
            Self::Json => "JSON",
        })
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("by the whole id"),
            Self::Before(mark) => write!(f, "by what is before {mark:?}"),
            Self::Shard => f.write_str("by the number of a shard"),
            Self::Node => f.write_str("on each node"),
        }
    }
}
