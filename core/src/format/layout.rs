//! The layout record: shards, streams and the hash key of a namespace, fixed for good (S2).

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Placement, Unknown};
use crate::id::{LayoutId, Partition, ShardId, WallTime};
use crate::name::EntityId;
use alloc::vec::Vec;
use bytes::Bytes;
use siphasher::sip::SipHasher24;

/// The key under which placement keys are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct LayoutKey(pub u128);

/// The layout of a namespace, as stored on `<ns>.ctl.layout`; immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Layout {
    /// Its identity, in every ownership record and commit.
    pub id: LayoutId,
    /// The hash key of `shard_of`.
    pub key: LayoutKey,
    /// When it was made, on its maker's wall clock.
    pub created: WallTime,
    /// How many event streams there are.
    pub streams: u16,
    /// The event stream of each shard; its length is the number of shards.
    pub table: Vec<Partition>,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

const FORMAT: &str = "layout record";

impl LayoutKey {
    /// SipHash-2-4 with 64 bits of output. The hash's key is this number's 16 bytes, the most
    /// significant first, which is how they are stored.
    pub fn hash(self, bytes: &[u8]) -> u64 {
        SipHasher24::new_with_key(&self.0.to_be_bytes()).hash(bytes)
    }

    /// The same with 128 bits, of bytes that a mark keeps apart from those of another use.
    pub(crate) fn hash128(self, mark: u8, mut bytes: Vec<u8>) -> u128 {
        bytes.extend_from_slice(&[mark, 0]);
        let high = u128::from(self.hash(&bytes));
        if let Some(last) = bytes.last_mut() {
            *last = 1;
        }
        high << 64 | u128::from(self.hash(&bytes))
    }
}

impl Placement {
    /// The part of an id that places the entity.
    pub fn key_of(self, id: &EntityId) -> &str {
        match self {
            Self::Whole | Self::Shard | Self::Node => id.as_str(),
            Self::Before(mark) => match id.as_str().split_once(mark) {
                Some((before, _)) => before,
                None => id.as_str(),
            },
        }
    }
}

impl Layout {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// How many shards a namespace may have.
    pub const SHARDS_MAX: u16 = 4_096;

    /// A layout with its shards dealt out to its streams in turn.
    ///
    /// # Panics
    ///
    /// When there is no shard or no stream, or more streams than shards, or too many shards.
    pub fn new(id: LayoutId, key: LayoutKey, created: WallTime, shards: u16, streams: u16) -> Self {
        assert!(
            (1..=Self::SHARDS_MAX).contains(&shards),
            "a namespace has 1 to 4,096 shards"
        );
        assert!(
            (1..=shards).contains(&streams),
            "a namespace has 1 stream up to 1 per shard"
        );
        let table = (0..shards)
            .map(|shard| Partition(shard % streams))
            .collect();
        Self {
            id,
            key,
            created,
            streams,
            table,
            unknown: Unknown::default(),
        }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        u16::try_from(self.table.len()).expect("a layout was checked when it was made")
    }

    /// The shard of an entity.
    pub fn shard_of(&self, placement: Placement, id: &EntityId) -> ShardId {
        if placement == Placement::Shard
            && let Some(shard) = self.numbered(id)
        {
            return shard;
        }
        let hash = self.key.hash(placement.key_of(id).as_bytes());
        let shard = hash % u64::from(self.shards());
        ShardId(u16::try_from(shard).expect("a remainder is below its divisor"))
    }

    /// The shard that an id is the number of, as it is written without leading zeros.
    fn numbered(&self, id: &EntityId) -> Option<ShardId> {
        let number: u16 = id.as_str().parse().ok()?;
        let is_plain =
            id.as_str().starts_with('0') == (number == 0) && !id.as_str().starts_with('+');
        (is_plain && number < self.shards()).then_some(ShardId(number))
    }

    /// The event stream of a shard.
    ///
    /// # Panics
    ///
    /// When the layout has no such shard; one from outside is compared with
    /// [`shards`](Self::shards) first.
    pub fn stream_of(&self, shard: ShardId) -> Partition {
        *self
            .table
            .get(usize::from(shard.0))
            .expect("a shard of this layout")
    }

    /// The shards of an event stream.
    pub fn shards_of(&self, partition: Partition) -> impl Iterator<Item = ShardId> + '_ {
        let shards = (0_u16..).map(ShardId).zip(&self.table);
        shards
            .filter(move |(_, of)| **of == partition)
            .map(|(shard, _)| shard)
    }

    /// All event streams.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.streams).map(Partition)
    }

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        map_len_max(5, &self.unknown) + 2 * BITS128_LEN + (3 + self.table.len()) * HEAD_MAX
    }

    /// The record's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.id.0);
        fields.key(2).bits128(self.key.0);
        fields.key(3).uint(self.created.0);
        fields.key(4).uint(u64::from(self.streams));
        let mut values = fields.key(5);
        values.array(self.table.len());
        for partition in &self.table {
            values.uint(u64::from(partition.0));
        }
        fields.finish()
    }

    /// Reads a layout record.
    ///
    /// # Errors
    ///
    /// When the bytes are no layout record of this version, or one without a shard, with too many
    /// or with a shard in a stream that there is not.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut id, mut key, mut created, mut streams, mut table) = (None, None, None, None, None);
        let mut unknown = Unknown::default();
        while let Some(number) = r.key()? {
            match number {
                1 => id = Some(LayoutId(r.bits128("id")?)),
                2 => key = Some(LayoutKey(r.bits128("hash key")?)),
                3 => created = Some(WallTime(r.uint("time")?)),
                4 => streams = Some(r.number("number of streams")?),
                5 => table = Some(read_table(r)?),
                other => r.keep(other, &mut unknown)?,
            }
        }
        let layout = Self {
            id: r.need("id", id)?,
            key: r.need("hash key", key)?,
            created: r.need("time", created)?,
            streams: r.need("number of streams", streams)?,
            table: r.need("table of shards", table)?,
            unknown,
        };
        let shards = 1..=usize::from(Self::SHARDS_MAX);
        r.holds(
            shards.contains(&layout.table.len()),
            "it has no shard, or too many",
        )?;
        let known = layout
            .table
            .iter()
            .all(|partition| partition.0 < layout.streams);
        r.holds(known, "a shard is in a stream that there is not")?;
        Ok(layout)
    }
}

fn read_table(r: &mut Reader<'_>) -> Result<Vec<Partition>, FormatError> {
    const FIELD: &str = "table of shards";
    let shards = r.array(FIELD, 1)?;
    let mut table = Vec::with_capacity(shards);
    for _ in 0..shards {
        table.push(Partition(r.number(FIELD)?));
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::{Layout, LayoutKey};
    use crate::format::Placement;
    use crate::id::{LayoutId, Partition, ShardId, WallTime};
    use crate::name::EntityId;

    /// The key of the vectors that SipHash's authors published: bytes 00 to 0f.
    const PUBLISHED: LayoutKey = LayoutKey(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);

    #[test]
    fn the_hash_is_the_published_one() {
        let message: [u8; 15] = core::array::from_fn(|n| n as u8);
        for (len, hash) in [
            (0, 0x726f_db47_dd0e_0e31),
            (1, 0x74f8_39c5_93dc_67fd),
            (2, 0x0d6c_8009_d9a9_4f5a),
            (3, 0x8567_6696_d7fb_7e2d),
            (7, 0xab02_00f5_8b01_d137),
            (8, 0x93f5_f579_9a93_2462),
            (15, 0xa129_ca61_49be_45e5),
        ] {
            assert_eq!(PUBLISHED.hash(&message[..len]), hash, "of {len} bytes");
        }
    }

    /// Computed by another program, from the definition of SipHash.
    const GOLDEN: [(&str, u16); 5] = [
        ("alice", 163),
        ("bob", 116),
        ("charlie", 53),
        ("user.1", 18),
        ("\u{1f980}", 236),
    ];

    #[test]
    fn a_key_goes_to_the_same_shard_for_ever() {
        let layout = Layout::new(LayoutId(1), PUBLISHED, WallTime(0), 256, 8);
        let shard_of =
            |placement, id: &str| layout.shard_of(placement, &EntityId::new(id).unwrap());
        for (id, shard) in GOLDEN {
            assert_eq!(shard_of(Placement::Whole, id), ShardId(shard), "of {id:?}");
            assert_eq!(layout.stream_of(ShardId(shard)), Partition(shard % 8));
        }
        let by_prefix = Placement::Before('/');
        assert_eq!(
            shard_of(by_prefix, "alice/1"),
            shard_of(Placement::Whole, "alice")
        );
        assert_eq!(
            shard_of(by_prefix, "alice"),
            shard_of(Placement::Whole, "alice")
        );
        assert_eq!(
            shard_of(by_prefix, "/1"),
            ShardId((PUBLISHED.hash(b"") % 256) as u16)
        );
    }
}
