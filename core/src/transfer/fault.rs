//! Why an export or an import ended before its end.

use crate::format::ExportTotals;
use crate::id::{CommitId, Partition, Sequence, ShardId, Version};
use crate::name::{EntityId, KindName};
use crate::port::Refused;
use alloc::string::String;

/// Why an export or an import ended before its end. What was written stays: it goes on where it is begun
/// again with the same file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferFault {
    /// The store refuses for good.
    #[error("the store refused to {what}: {refused}; run it again when that is mended")]
    Refused {
        /// What was tried.
        what: String,
        /// The refusal.
        refused: Refused,
    },
    /// Nothing went on for too long.
    #[error(
        "nothing went on for too long (at last: {last}): look whether the store is up, and run it again"
    )]
    Stalled {
        /// What was in the way at last.
        last: String,
    },
    /// What is stored cannot be read.
    #[error("message {sequence} of event stream {stream} cannot be read: {problem}")]
    Unreadable {
        /// The event stream.
        stream: Partition,
        /// The message.
        sequence: Sequence,
        /// What is wrong.
        problem: String,
    },
    /// The record of a kind cannot be read.
    #[error("the kinds of the namespace cannot be told: {problem}")]
    UnreadableKind {
        /// What is wrong.
        problem: String,
    },
    /// A commit follows one that is not there.
    #[error(
        "{kind} {entity:?}: commit {sequence} follows {missing}, which is not in event stream {stream}: the log is damaged, restore it from a backup"
    )]
    Gap {
        /// The kind of the entity.
        kind: KindName,
        /// The entity.
        entity: EntityId,
        /// The event stream.
        stream: Partition,
        /// The commit.
        sequence: Sequence,
        /// What it follows.
        missing: Sequence,
    },
    /// A commit of the file does not follow what is stored of its entity.
    #[error(
        "{kind} {entity:?}: a commit follows version {before}, but the entity is at version {found}: the file and the namespace do not belong together"
    )]
    DoesNotFollow {
        /// The kind of the entity.
        kind: KindName,
        /// The entity.
        entity: EntityId,
        /// The version that it follows.
        before: Version,
        /// The version that is stored.
        found: Version,
    },
    /// A commit is stored with other content.
    #[error(
        "{kind} {entity:?}: commit {commit} is stored with other content: the file was altered, or is another one"
    )]
    Differs {
        /// The kind of the entity.
        kind: KindName,
        /// The entity.
        entity: EntityId,
        /// The commit.
        commit: CommitId,
    },
    /// A commit does not fit into a message of the server.
    #[error(
        "{kind} {entity:?}: the commit of version {version} takes {bytes} bytes, and the server takes {bytes_max} in a message: raise its max_payload"
    )]
    TooLarge {
        /// The kind of the entity.
        kind: KindName,
        /// The entity.
        entity: EntityId,
        /// The version after the commit.
        version: Version,
        /// Its bytes, with what its headers may take.
        bytes: usize,
        /// The bytes that a message has at most.
        bytes_max: usize,
    },
    /// The index of a shard does not fit into a message of the server.
    #[error(
        "shard {shard} has more undone messages than its index has room for ({bytes} bytes of {bytes_max}): import into more shards, or let the messages be delivered first"
    )]
    IndexTooLarge {
        /// The shard.
        shard: ShardId,
        /// Its bytes.
        bytes: usize,
        /// The bytes that a message has at most.
        bytes_max: usize,
    },
    /// More messages are not done than are held in memory.
    #[error(
        "more than {undone_max} messages of the export are not done: let them be delivered before it is exported"
    )]
    TooManyUndone {
        /// How many may be.
        undone_max: usize,
    },
    /// A commit is of a kind that has no record.
    #[error("{entity:?} is of kind {kind}, which has no record: export again")]
    NoKind {
        /// The kind.
        kind: KindName,
        /// The entity.
        entity: EntityId,
    },
    /// What was read back is not what the file says.
    #[error(
        "the namespace holds {} commits with hash {:032x}, and the file {} with {:032x}: they are not the same",
        .stored.commits, .stored.hash, .file.commits, .file.hash
    )]
    Mismatch {
        /// What the file holds.
        file: ExportTotals,
        /// What the namespace holds.
        stored: ExportTotals,
    },
    /// The record of the import is gone, or another one.
    #[error(
        "the record of the import is gone, or is another one: somebody else writes in the namespace"
    )]
    RecordGone,
    /// The machine found its own state wrong.
    #[error("a bug in Tenure: {0}")]
    Broken(&'static str),
}
