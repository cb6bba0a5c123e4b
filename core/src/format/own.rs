//! A shard's ownership record: its sequence and claim id are the fence (S6).

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Unknown};
use crate::id::{ClaimId, Incarnation, LayoutId};
use alloc::string::String;
use bytes::Bytes;

/// Who owns a shard, as stored on `<ns>.own.<class>.<shard>`; written by CAS when the shard changes
/// hands, and never expired, purged or touched by heartbeats.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Ownership {
    /// The layout it was written under.
    pub layout: LayoutId,
    /// The claim's id: with the record's sequence, the epoch.
    pub claim: ClaimId,
    /// The owner's run; `None` after a release.
    pub owner: Option<Incarnation>,
    /// The owner's name, for people.
    pub node: String,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

const FORMAT: &str = "ownership record";

impl Ownership {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        map_len_max(4, &self.unknown) + 3 * BITS128_LEN + HEAD_MAX + self.node.len()
    }

    /// The record's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.layout.0);
        fields.key(2).bits128(self.claim.0);
        if let Some(owner) = self.owner {
            fields.key(3).bits128(owner.0);
        }
        fields.key(4).text(&self.node);
        fields.finish()
    }

    /// Reads an ownership record.
    ///
    /// # Errors
    ///
    /// When the bytes are no ownership record of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut claim, mut owner, mut node) = (None, None, None, None);
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => layout = Some(LayoutId(r.bits128("layout")?)),
                2 => claim = Some(ClaimId(r.bits128("claim")?)),
                3 => owner = Some(Incarnation(r.bits128("owner")?)),
                4 => node = Some(r.text("node")?),
                other => r.keep(other, &mut unknown)?,
            }
        }
        Ok(Self {
            layout: r.need("layout", layout)?,
            claim: r.need("claim", claim)?,
            owner,
            node: r.need("node", node)?,
            unknown,
        })
    }
}
