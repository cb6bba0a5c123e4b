//! What a shard's log wants done.

use super::{Expected, KindIndex, Reply};
use crate::format::{Commit, Snapshot};
use crate::id::{Epoch, OpId, Sequence, Slot, Ticket, Version};
use crate::name::EntityId;
use crate::port::StoreRequest;
use crate::shard::Report;
use crate::step::HaltReason;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// One effect of `Shard`. Order means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the store; the answer is `Input::Stored`.
    Store {
        /// Names the answer.
        op: OpId,
        /// What is asked.
        request: StoreRequest,
    },
    /// Let the host work on user state; the answer is `Input::Ran`.
    Run {
        /// Names the answer.
        op: OpId,
        /// What to do.
        work: Work,
    },
    /// Answer a caller. Each ticket gets one.
    Reply {
        /// Whose.
        ticket: Ticket,
        /// The answer.
        reply: Reply,
    },
    /// Drop the user state of a slot; the slot is free when this is emitted, and a later `Fold`
    /// with another base than [`Base::Held`] replaces whatever it held.
    Forget {
        /// Which.
        slot: Slot,
    },
    /// Tell who orders ([`Input::Order`](super::Input::Order)) what became of it, or of the epoch.
    Report(Report),
    /// Something that operators want to know.
    Note(Note),
    /// The machine found its own state wrong; stop stepping it.
    Halt(HaltReason),
}

/// Work on the user's state of one slot. The machine has at most one at a time per slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Build or advance the committed state. Answer: `Ran::Folded`.
    Fold {
        /// The slot.
        slot: Slot,
        /// The kind.
        kind: KindIndex,
        /// The entity.
        entity: EntityId,
        /// What to start from.
        base: Base,
        /// The commits after the base, oldest first. A tombstone resets the state.
        commits: Vec<StoredCommit>,
    },
    /// Decide commands one after another, each on the state that the one before left, starting
    /// from the committed state. Answer: `Ran::Decided`. The state they lead to is provisional: the
    /// slot's next work says what became of it.
    Decide {
        /// The slot.
        slot: Slot,
        /// What became of the state before.
        provisional: Provisional,
        /// The committed version.
        version: Version,
        /// The commands.
        commands: Vec<(Ticket, Expected)>,
    },
    /// Answer these readers' questions from the committed state; the callers themselves get
    /// `Reply::Read` afterwards. Answer: `Ran::Answered`.
    Answer {
        /// The slot.
        slot: Slot,
        /// What became of the state that was decided last.
        provisional: Provisional,
        /// The committed version.
        version: Version,
        /// The readers.
        tickets: Vec<Ticket>,
    },
    /// Encode the committed state. Answer: `Ran::Snapshotted`.
    Snapshot {
        /// The slot.
        slot: Slot,
        /// What became of the state that was decided last.
        provisional: Provisional,
    },
}

/// What became of the state that a slot's last `Decide` led to. It comes with the slot's next work,
/// which is the first that needs to know it: so nothing waits until the host has settled it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provisional {
    /// It is to be dropped, if there is one: its commit was not stored, or nobody knows.
    #[default]
    Dropped,
    /// Its commit was stored: it is the committed state now.
    Committed,
}

/// What a fold starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// The state before the first event.
    Nothing,
    /// A snapshot.
    Snapshot(Box<Snapshot>),
    /// The committed state that the slot holds, after this.
    Held(Provisional),
}

/// A commit and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCommit {
    /// Its stream sequence.
    pub sequence: Sequence,
    /// The commit.
    pub commit: Commit,
}

/// Something that operators want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The stream came back shorter than what it had acknowledged (S13). All state was dropped.
    LostTail {
        /// The highest sequence that was acknowledged.
        was: Sequence,
        /// The last sequence that the stream has now.
        now: Sequence,
    },
    /// A snapshot could not be used; the entity was replayed without it.
    SnapshotIgnored {
        /// The entity.
        entity: EntityId,
        /// Why.
        cause: String,
    },
    /// A snapshot's body is stored; it counts when a commit names it.
    SnapshotStored {
        /// The entity.
        entity: EntityId,
    },
    /// The entity was loaded from a snapshot.
    SnapshotUsed {
        /// The entity.
        entity: EntityId,
    },
    /// A snapshot's body that nobody needs any more is gone.
    SnapshotDeleted {
        /// The entity.
        entity: EntityId,
    },
    /// A snapshot could not be made, stored or deleted.
    SnapshotFailed {
        /// The entity.
        entity: EntityId,
        /// Why.
        cause: String,
    },
    /// This node owns the shard now.
    Claimed(Epoch),
    /// The owner sealed its own shard after an unknown outcome; this is the new epoch (S9).
    Sealed(Epoch),
    /// Another node owns the shard now.
    Superseded {
        /// The epoch that was lost.
        was: Epoch,
    },
}
