//! The layout record: shards, streams and the hash key of a namespace, fixed for good (S2).

use super::Unknown;
use crate::id::{LayoutId, Partition, WallTime};
use alloc::vec::Vec;

/// The key under which placement keys are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutKey(pub u128);

/// The layout of a namespace, as stored on `<ns>.ctl.layout`; immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
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
