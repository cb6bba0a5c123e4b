//! The barrier's body on a replicated stream: how far a reader of the shard must come to have all of its
//! timers and messages (S18).

use super::fields::{Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Unknown};
use crate::id::Sequence;
use bytes::Bytes;

/// What ends a batch, as stored on `<ns>.bar.<class>.<shard>`. Where nothing of a shard has timers or
/// messages the body is empty, and so it is on an unreplicated stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Barrier {
    /// The last commit before this batch that has timers or messages or deletes its entity;
    /// [`Sequence::NONE`] for none.
    pub later: Sequence,
    /// A commit of this batch has some. The batch's last commit stands right before the barrier.
    pub here: bool,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

const FORMAT: &str = "barrier";

impl Barrier {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// The barrier's bytes.
    pub fn encode(&self) -> Bytes {
        let len_max = map_len_max(2, &self.unknown) + HEAD_MAX + 1;
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, len_max);
        fields.key(1).uint(self.later.0);
        if self.here {
            fields.key(2).yes();
        }
        fields.finish()
    }

    /// Reads a barrier.
    ///
    /// # Errors
    ///
    /// When the bytes are no barrier of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut later, mut here) = (None, false);
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => later = Some(Sequence(r.uint("last commit")?)),
                2 => here = r.yes("here")?,
                other => r.keep(other, &mut unknown)?,
            }
        }
        Ok(Self {
            later: r.need("last commit", later)?,
            here,
            unknown,
        })
    }

    /// Up to where a reader of the shard must come, given where the barrier stands. A body that cannot
    /// be read says as little as none: up to the barrier.
    pub fn reach(bytes: &Bytes, at: Sequence) -> Sequence {
        let before = Sequence(at.0.saturating_sub(1));
        match Self::decode(bytes) {
            Ok(barrier) if !barrier.here => barrier.later,
            Ok(_) | Err(_) => before,
        }
    }
}
