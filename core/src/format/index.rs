//! The index of a shard: what its next owner must know of timers and messages without reading the
//! whole log (S18).

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Unknown};
use crate::id::{LayoutId, Sequence, WallTime};
use crate::name::{EntityId, KindName, TimerName};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// A shard's index, as stored on `<ns>.idx.<class>.<shard>` by its owner; one is kept.
///
/// It takes in all commits of the shard up to its watermark, and perhaps some after it. Whoever applies
/// the timers of the commits after the watermark to it, in their order, has those that are armed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ShardIndex {
    /// The layout it was written under.
    pub layout: LayoutId,
    /// All commits of the shard up to here are taken in.
    pub watermark: Sequence,
    /// Timers that are due then or later may be missing; `None` when all are there.
    pub horizon: Option<WallTime>,
    /// The armed timers.
    pub timers: Vec<IndexedTimer>,
    /// The messages of commits up to the watermark that are not done.
    pub undone: Vec<IntentPlace>,
    /// Those of them that could not be delivered as things were, each with the reason.
    pub failed: Vec<(IntentPlace, String)>,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

/// An armed timer as the index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct IndexedTimer {
    /// The kind of its entity.
    pub kind: KindName,
    /// Its entity.
    pub entity: EntityId,
    /// Its name.
    pub name: TimerName,
    /// When it is due.
    pub due: WallTime,
}

/// Where a message is: its commit, and the how manieth of its messages it is, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct IntentPlace {
    /// The commit.
    pub sequence: Sequence,
    /// Its place among the commit's messages.
    pub index: u32,
}

const FORMAT: &str = "shard index";
const TIMERS: &str = "timers";
const UNDONE: &str = "undone messages";
const FAILED: &str = "failed messages";

impl IndexedTimer {
    /// An upper bound for its stored length, in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let texts = self.kind.as_str().len() + self.entity.as_str().len();
        1 + 4 * HEAD_MAX + texts + self.name.as_str().len()
    }
}

impl ShardIndex {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let timers = self.timers.iter().map(IndexedTimer::encoded_len_max);
        let failed = self.failed.iter().map(|(_, cause)| cause.len());
        map_len_max(6, &self.unknown)
            + BITS128_LEN
            + 5 * HEAD_MAX
            + timers.sum::<usize>()
            + self.undone.len() * (1 + 2 * HEAD_MAX)
            + self.failed.len() * (1 + 3 * HEAD_MAX)
            + failed.sum::<usize>()
    }

    /// The index's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.layout.0);
        fields.key(2).uint(self.watermark.0);
        if let Some(horizon) = self.horizon {
            fields.key(3).uint(horizon.0);
        }
        if !self.timers.is_empty() {
            let mut values = fields.key(4);
            values.array(self.timers.len());
            for timer in &self.timers {
                let values = values.array(4).text(timer.kind.as_str());
                let values = values.text(timer.entity.as_str());
                values.text(timer.name.as_str()).uint(timer.due.0);
            }
        }
        if !self.undone.is_empty() {
            let mut values = fields.key(5);
            values.array(self.undone.len());
            for place in &self.undone {
                let values = values.array(2).uint(place.sequence.0);
                values.uint(u64::from(place.index));
            }
        }
        if !self.failed.is_empty() {
            let mut values = fields.key(6);
            values.array(self.failed.len());
            for (place, cause) in &self.failed {
                let values = values.array(3).uint(place.sequence.0);
                values.uint(u64::from(place.index)).text(cause);
            }
        }
        fields.finish()
    }

    /// Reads an index.
    ///
    /// # Errors
    ///
    /// When the bytes are no shard index of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut watermark, mut horizon) = (None, None, None);
        let (mut timers, mut undone, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => layout = Some(LayoutId(r.bits128("layout")?)),
                2 => watermark = Some(Sequence(r.uint("watermark")?)),
                3 => horizon = Some(WallTime(r.uint("horizon")?)),
                4 => timers = read_timers(r)?,
                5 => {
                    let items = r.array(UNDONE, 3)?;
                    for _ in 0..items {
                        r.tuple(UNDONE, 2)?;
                        undone.push(read_place(UNDONE, r)?);
                    }
                }
                6 => {
                    let items = r.array(FAILED, 4)?;
                    for _ in 0..items {
                        r.tuple(FAILED, 3)?;
                        failed.push((read_place(FAILED, r)?, r.text(FAILED)?));
                    }
                }
                other => r.keep(other, &mut unknown)?,
            }
        }
        Ok(Self {
            layout: r.need("layout", layout)?,
            watermark: r.need("watermark", watermark)?,
            horizon,
            timers,
            undone,
            failed,
            unknown,
        })
    }
}

fn read_place(field: &'static str, r: &mut Reader<'_>) -> Result<IntentPlace, FormatError> {
    Ok(IntentPlace {
        sequence: Sequence(r.uint(field)?),
        index: r.number(field)?,
    })
}

fn read_timers(r: &mut Reader<'_>) -> Result<Vec<IndexedTimer>, FormatError> {
    let items = r.array(TIMERS, 5)?;
    let mut timers = Vec::with_capacity(items);
    for _ in 0..items {
        r.tuple(TIMERS, 4)?;
        let kind = KindName::new(r.str(TIMERS)?);
        let kind = kind.map_err(|_| r.damaged(TIMERS, "its kind cannot be one"))?;
        let entity = r.entity()?;
        let name = TimerName::new(r.str(TIMERS)?);
        timers.push(IndexedTimer {
            kind,
            entity,
            name: name.map_err(|_| r.damaged(TIMERS, "a name has 1 to 128 bytes"))?,
            due: WallTime(r.uint(TIMERS)?),
        });
    }
    Ok(timers)
}

#[cfg(test)]
mod tests {
    use super::{IndexedTimer, IntentPlace, ShardIndex};
    use crate::format::Unknown;
    use crate::id::{LayoutId, Sequence, WallTime};
    use crate::name::{EntityId, KindName, TimerName};
    use alloc::string::ToString;
    use alloc::vec;
    use bytes::Bytes;

    #[test]
    fn it_comes_back_as_it_was_and_no_cut_does() {
        let place = |sequence, index| IntentPlace {
            sequence: Sequence(sequence),
            index,
        };
        let index = ShardIndex {
            layout: LayoutId(2),
            watermark: Sequence(900),
            horizon: Some(WallTime(5_000)),
            timers: vec![IndexedTimer {
                kind: KindName::new("account").unwrap(),
                entity: EntityId::new("älice").unwrap(),
                name: TimerName::new("due").unwrap(),
                due: WallTime(4_000),
            }],
            undone: vec![place(7, 0), place(7, 3)],
            failed: vec![(place(9, 1), "no such kind".to_string())],
            unknown: Unknown(vec![(30, Bytes::from_static(b"\x01"))]),
        };
        let bytes = index.encode();
        assert!(bytes.len() <= index.encoded_len_max());
        assert_eq!(ShardIndex::decode(&bytes), Ok(index));
        for len in 0..bytes.len() {
            assert!(ShardIndex::decode(&bytes.slice(..len)).is_err());
        }
    }
}
