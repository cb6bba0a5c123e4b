//! Where each shard is, as one node knows it.

use crate::format::TakeOver;
use crate::id::{Epoch, Incarnation, ShardId};
use alloc::collections::BTreeMap;

/// One shard of one class: what is owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Place {
    /// Its class.
    pub class: TakeOver,
    /// Its number.
    pub shard: ShardId,
}

/// Where each shard is, as one node knows it. A new one has a higher revision. It may be old: the
/// owner itself refuses what is not its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Table {
    /// Rises with each change.
    pub revision: u64,
    /// The places that somebody owns, as far as is known.
    pub rows: BTreeMap<Place, Row>,
}

/// Who owns a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Row {
    /// The run of the node that its record names.
    pub owner: Incarnation,
    /// The epoch that its record is.
    pub epoch: Epoch,
}
