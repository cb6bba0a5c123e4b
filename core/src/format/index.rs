//! The index of a shard: what its next owner must know of timers and messages without reading the
//! whole log (S18).

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, LayoutKey, Unknown};
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
    /// Receivers that are away: of messages to them only those are listed whose commits are not after the
    /// one that stands with them.
    pub shelved: Vec<ShelvedReceiver>,
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

impl IntentPlace {
    /// An upper bound for its stored length, in bytes.
    pub const ENCODED_LEN_MAX: usize = 1 + 2 * HEAD_MAX;
}

/// To whom messages go, an entity or an effect's handler: a hash of both names, under the layout's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Receiver(pub u128);

impl Receiver {
    /// The receiver of a message.
    pub fn of(key: LayoutKey, kind: &KindName, entity: &EntityId) -> Self {
        let mut bytes = Vec::with_capacity(kind.as_str().len() + entity.as_str().len() + 3);
        bytes.extend_from_slice(kind.as_str().as_bytes());
        // No kind has it.
        bytes.push(0);
        bytes.extend_from_slice(entity.as_str().as_bytes());
        Self(key.hash128(b'r', bytes))
    }
}

/// A receiver that is away, as the index has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ShelvedReceiver {
    /// Who.
    pub receiver: Receiver,
    /// No message to it of a commit after this one was sent.
    pub after: Sequence,
}

const FORMAT: &str = "shard index";
const TIMERS: &str = "timers";
const UNDONE: &str = "undone messages";
const FAILED: &str = "failed messages";
const SHELVED: &str = "shelved receivers";

impl IndexedTimer {
    /// An upper bound for its stored length, in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let texts = self.kind.as_str().len() + self.entity.as_str().len();
        1 + 4 * HEAD_MAX + texts + self.name.as_str().len()
    }
}

impl ShardIndex {
    /// The highest version of the format that this program writes and reads. With a shelved receiver it is
    /// 2, since a reader that passes over those takes their messages for done; without one it is 1.
    pub const FORMAT_VERSION: u64 = 2;

    /// Cuts it to so many bytes: reasons to a share each of half of the room, then timers from the latest
    /// due down. Those are found again in the log.
    pub fn cut(&mut self, bytes_max: usize) {
        let mut bytes = self.encoded_len_max();
        if bytes > bytes_max {
            let causes = self.failed.iter().map(|(_, cause)| cause.len());
            let timers = self.timers.iter().map(IndexedTimer::encoded_len_max);
            let rest = bytes - causes.sum::<usize>() - timers.sum::<usize>();
            let room = (bytes_max / 2).saturating_sub(rest);
            let each = room / self.failed.len().max(1);
            for (_, cause) in &mut self.failed {
                crate::text::cut(cause, each);
            }
            bytes = self.encoded_len_max();
        }
        while bytes > bytes_max
            && let Some(last) = self.timers.pop()
        {
            bytes -= last.encoded_len_max();
            self.horizon = Some(last.due);
        }
        if let Some(horizon) = self.horizon {
            self.timers.retain(|timer| timer.due < horizon);
        }
    }

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let timers = self.timers.iter().map(IndexedTimer::encoded_len_max);
        let failed = self.failed.iter().map(|(_, cause)| cause.len());
        map_len_max(7, &self.unknown)
            + BITS128_LEN
            + 6 * HEAD_MAX
            + timers.sum::<usize>()
            + self.undone.len() * IntentPlace::ENCODED_LEN_MAX
            + self.failed.len() * (1 + 3 * HEAD_MAX)
            + failed.sum::<usize>()
            + self.shelved.len() * (1 + BITS128_LEN + HEAD_MAX)
    }

    /// The index's bytes.
    pub fn encode(&self) -> Bytes {
        let version = if self.shelved.is_empty() { 1 } else { 2 };
        let mut fields = Fields::new(version, &self.unknown, self.encoded_len_max());
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
        if !self.shelved.is_empty() {
            let mut values = fields.key(7);
            values.array(self.shelved.len());
            for shelved in &self.shelved {
                let values = values.array(2).bits128(shelved.receiver.0);
                values.uint(shelved.after.0);
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
        let mut reader = Reader::open_up_to(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut watermark, mut horizon) = (None, None, None);
        let (mut timers, mut undone, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        let mut shelved = Vec::new();
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
                7 => {
                    let items = r.array(SHELVED, 3)?;
                    for _ in 0..items {
                        r.tuple(SHELVED, 2)?;
                        shelved.push(ShelvedReceiver {
                            receiver: Receiver(r.bits128(SHELVED)?),
                            after: Sequence(r.uint(SHELVED)?),
                        });
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
            shelved,
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
    use super::{IndexedTimer, IntentPlace, Receiver, ShardIndex, ShelvedReceiver};
    use crate::format::Unknown;
    use crate::id::{LayoutId, Sequence, WallTime};
    use crate::name::{EntityId, KindName, TimerName};
    use alloc::string::ToString;
    use alloc::vec;
    use alloc::vec::Vec;
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
            shelved: vec![ShelvedReceiver {
                receiver: Receiver(3),
                after: Sequence(890),
            }],
            unknown: Unknown(vec![(30, Bytes::from_static(b"\x01"))]),
        };
        let bytes = index.encode();
        assert!(bytes.len() <= index.encoded_len_max());
        assert_eq!(ShardIndex::decode(&bytes), Ok(index));
        for len in 0..bytes.len() {
            assert!(ShardIndex::decode(&bytes.slice(..len)).is_err());
        }
    }

    #[test]
    fn what_is_too_large_loses_texts_and_then_timers_and_no_message() {
        let place = |sequence| IntentPlace {
            sequence: Sequence(sequence),
            index: 0,
        };
        let timer = |due| IndexedTimer {
            kind: KindName::new("account").unwrap(),
            entity: EntityId::new("alice").unwrap(),
            name: TimerName::new("due").unwrap(),
            due: WallTime(due),
        };
        let whole = ShardIndex {
            layout: LayoutId(2),
            watermark: Sequence(900),
            horizon: None,
            timers: (0..20).map(timer).collect(),
            undone: (1..10).map(place).collect(),
            failed: (10..20).map(|n| (place(n), "é".repeat(500))).collect(),
            shelved: Vec::new(),
            unknown: Unknown::default(),
        };
        let mut cut = whole.clone();
        cut.cut(whole.encoded_len_max());
        assert_eq!(cut, whole);
        // 2,000 bytes are too few for the texts and the timers, and enough for all places.
        cut.cut(2_000);
        assert!(cut.encode().len() <= 2_000);
        assert_eq!(cut.undone, whole.undone);
        let places = |index: &ShardIndex| -> Vec<_> {
            index.failed.iter().map(|(place, _)| *place).collect()
        };
        assert_eq!(places(&cut), places(&whole));
        let texts = cut.failed.iter().map(|(_, text)| text.as_str());
        for text in texts {
            assert!(
                !text.is_empty() && text.chars().all(|c| c == 'é'),
                "{text:?}"
            );
        }
        assert!(!cut.timers.is_empty() && cut.timers.len() < 20);
        assert_eq!(cut.horizon, Some(WallTime(cut.timers.len() as u64)));
        assert_eq!(ShardIndex::decode(&cut.encode()), Ok(cut));
    }
}
