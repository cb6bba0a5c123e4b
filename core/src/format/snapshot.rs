//! A snapshot's body: immutable, current only because a commit names it (S20).

use super::Unknown;
use crate::id::{CommandId, KindId, LayoutId, Sequence, Version, WallTime};
use crate::name::EntityId;
use alloc::vec::Vec;
use bytes::Bytes;

/// The state of an entity at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The layout it was written under.
    pub layout: LayoutId,
    /// The kind record it was written under.
    pub kind: KindId,
    /// The entity.
    pub entity: EntityId,
    /// The entity's version in it.
    pub version: Version,
    /// The last commit that it covers.
    pub sequence: Sequence,
    /// The horizon at that commit (S19).
    pub horizon: WallTime,
    /// The command ids that the entity remembered, oldest first, each with its encoded reply and
    /// the version it led to.
    pub commands: Vec<(CommandId, Version, Bytes)>,
    /// The version of the state's type.
    pub schema: u16,
    /// The encoded state.
    pub state: Bytes,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}
