//! A commit: one JetStream message with 1 to n commands of one entity (S4).

use super::Unknown;
use crate::id::{
    CommandId, CommitId, Epoch, KindId, LayoutId, Sequence, SnapshotTag, Version, WallTime,
};
use crate::name::EntityId;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// One commit of one entity, as stored on `<ns>.ev.<shard>.<kind>.<id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The same over all attempts at storing it.
    pub id: CommitId,
    /// The layout it was written under.
    pub layout: LayoutId,
    /// The kind record it was written under.
    pub kind: KindId,
    /// The entity; must fit the subject.
    pub entity: EntityId,
    /// Owned mode: the epoch it was decided in.
    pub epoch: Option<Epoch>,
    /// When it was decided, on the writer's wall clock.
    pub time: WallTime,
    /// The entity's version before this commit.
    pub before: Version,
    /// The version of its last event; `before` when it has none.
    pub last: Version,
    /// Where the entity's earlier commits are since its snapshot, newest first, at most
    /// `chain_max`. When more exist, the oldest listed one lists on (S12).
    pub earlier: Vec<Sequence>,
    /// The current snapshot.
    pub snapshot: Option<SnapshotRef>,
    /// The latest time of a command id that the entity forgot; an unknown id at or below it is
    /// refused (S19).
    pub horizon: WallTime,
    /// Its commands that have an id.
    pub commands: Vec<CommandRecord>,
    /// Its events, by rising version.
    pub events: Vec<EventRecord>,
    /// The entity was deleted by this commit; `commands` then holds the ids that it remembers.
    pub tombstone: bool,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

/// A command that took effect in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRecord {
    /// Its caller's id.
    pub id: CommandId,
    /// The version of its last event; the version before it when it stored none.
    pub version: Version,
    /// Its encoded reply.
    pub outcome: Bytes,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// The entity's version after it. Rises strictly; gaps are legal.
    pub version: Version,
    /// Its stable type name.
    pub name: String,
    /// The version of its type.
    pub schema: u16,
    /// Its encoded value.
    pub data: Bytes,
}

/// Which snapshot is current, and what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotRef {
    /// The entity's version in it.
    pub version: Version,
    /// The last commit that it covers.
    pub sequence: Sequence,
    /// The rest of its name.
    pub tag: SnapshotTag,
    /// SipHash-2-4-64 of its stored bytes under the layout's key.
    pub hash: u64,
}
