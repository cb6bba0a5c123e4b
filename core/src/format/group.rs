//! What a group of consumers is: the record that gives a name to it.

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Unknown};
use crate::id::{LayoutId, WallTime};
use crate::name::ConsumerName;
use alloc::string::String;
use bytes::Bytes;

/// What a group of consumers is, as stored on `<ns>.chk.<group>`: where a consumer that is in no group
/// has its checkpoint, so that a name is one of the two. It is created by CAS and never replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupRecord {
    /// The layout whose shards it divides.
    pub layout: LayoutId,
    /// The group.
    pub group: ConsumerName,
    /// The hash of its definition: a name belongs to one.
    pub definition: u64,
    /// How many partitions it has, at least 1: partition p has the shards whose number is p modulo it.
    pub partitions: u16,
    /// The name of the node that made it, for people.
    pub node: String,
    /// When it was made, on that node's wall clock.
    pub time: WallTime,
    /// What it reads, in words, for people; empty where nobody said.
    pub reads: String,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

const FORMAT: &str = "group";

impl GroupRecord {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let texts = self.group.as_str().len() + self.node.len() + self.reads.len();
        map_len_max(7, &self.unknown) + BITS128_LEN + 6 * HEAD_MAX + texts
    }

    /// The record's bytes. Its keys beyond the third are not those that a checkpoint cannot be without.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.layout.0);
        fields.key(2).text(self.group.as_str());
        fields.key(3).uint(self.definition);
        fields.key(8).text(&self.node);
        fields.key(9).uint(self.time.0);
        if !self.reads.is_empty() {
            fields.key(12).text(&self.reads);
        }
        fields.key(16).uint(u64::from(self.partitions));
        fields.finish()
    }

    /// Reads a group's record.
    ///
    /// # Errors
    ///
    /// When the bytes are no group's record of this version; those of a checkpoint are none.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut group, mut definition) = (None, None, None);
        let (mut node, mut time, mut partitions) = (None, None, None);
        let mut reads = String::new();
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => layout = Some(LayoutId(r.bits128("layout")?)),
                2 => group = Some(r.consumer()?),
                3 => definition = Some(r.uint("definition")?),
                8 => node = Some(r.text("node")?),
                9 => time = Some(WallTime(r.uint("time")?)),
                12 => reads = r.text("what it reads")?,
                16 => partitions = Some(r.number("number of partitions")?),
                other => r.keep(other, &mut unknown)?,
            }
        }
        let partitions = r.need("number of partitions", partitions)?;
        r.holds(partitions > 0, "it has no partition")?;
        Ok(Self {
            layout: r.need("layout", layout)?,
            group: r.need("group", group)?,
            definition: r.need("definition", definition)?,
            partitions,
            node: r.need("node", node)?,
            time: r.need("time", time)?,
            reads,
            unknown,
        })
    }
}
