//! An event stream's anchor: its first message, which says whose stream it is (S2).

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Unknown};
use crate::id::{LayoutId, Partition};
use bytes::Bytes;

/// Whose stream this is, as stored on `<ns>.lay.<stream>`; immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Anchor {
    /// The layout that the stream belongs to.
    pub layout: LayoutId,
    /// Which of its streams this is.
    pub stream: Partition,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

const FORMAT: &str = "anchor";

impl Anchor {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        map_len_max(2, &self.unknown) + BITS128_LEN + HEAD_MAX
    }

    /// The anchor's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.layout.0);
        fields.key(2).uint(u64::from(self.stream.0));
        fields.finish()
    }

    /// Reads an anchor.
    ///
    /// # Errors
    ///
    /// When the bytes are no anchor of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut stream) = (None, None);
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => layout = Some(LayoutId(r.bits128("layout")?)),
                2 => stream = Some(Partition(r.number("stream")?)),
                other => r.keep(other, &mut unknown)?,
            }
        }
        let layout = r.need("layout", layout)?;
        Ok(Self {
            layout,
            stream: r.need("stream", stream)?,
            unknown,
        })
    }
}
