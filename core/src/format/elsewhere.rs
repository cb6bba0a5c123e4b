//! That a name is a consumer's whose checkpoint is elsewhere.

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Unknown};
use crate::id::{LayoutId, WallTime};
use crate::name::ConsumerName;
use alloc::string::String;
use bytes::Bytes;

/// That a consumer keeps its checkpoint elsewhere, with a state of its own, as projections do. It is stored
/// on `<ns>.chk.<consumer>`, where other consumers have their checkpoint and groups their record, so that a
/// name is one of the three. It is created by CAS and never replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElsewhereRecord {
    /// The layout of the namespace.
    pub layout: LayoutId,
    /// The consumer.
    pub consumer: ConsumerName,
    /// The name of the node that made it, for people.
    pub node: String,
    /// When it was made, on that node's wall clock.
    pub time: WallTime,
    /// What it reads, in words, for people; empty where nobody said.
    pub reads: String,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

const FORMAT: &str = "record of a checkpoint elsewhere";

/// What the field says that no other record on the subject has.
const WITH_ITS_STATE: u64 = 1;

impl ElsewhereRecord {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let texts = self.consumer.as_str().len() + self.node.len() + self.reads.len();
        map_len_max(6, &self.unknown) + BITS128_LEN + 6 * HEAD_MAX + texts
    }

    /// The record's bytes. It has none of the keys that a checkpoint and a group cannot be without.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.layout.0);
        fields.key(2).text(self.consumer.as_str());
        fields.key(8).text(&self.node);
        fields.key(9).uint(self.time.0);
        if !self.reads.is_empty() {
            fields.key(12).text(&self.reads);
        }
        fields.key(17).uint(WITH_ITS_STATE);
        fields.finish()
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// When the bytes are no such record of this version; those of a checkpoint or of a group are none.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut consumer, mut node, mut time) = (None, None, None, None);
        let (mut kept, mut reads) = (None, String::new());
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => layout = Some(LayoutId(r.bits128("layout")?)),
                2 => consumer = Some(r.consumer()?),
                8 => node = Some(r.text("node")?),
                9 => time = Some(WallTime(r.uint("time")?)),
                12 => reads = r.text("what it reads")?,
                17 => kept = Some(r.uint("place of the checkpoint")?),
                other => r.keep(other, &mut unknown)?,
            }
        }
        let kept = r.need("place of the checkpoint", kept)?;
        r.holds(kept == WITH_ITS_STATE, "its checkpoint is nowhere")?;
        Ok(Self {
            layout: r.need("layout", layout)?,
            consumer: r.need("consumer", consumer)?,
            node: r.need("node", node)?,
            time: r.need("time", time)?,
            reads,
            unknown,
        })
    }
}
