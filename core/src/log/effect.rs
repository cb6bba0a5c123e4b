//! What a shard's log wants done.

use super::{Expected, KindIndex, Reply};
use crate::format::{Commit, Intent, Snapshot, Timer};
use crate::id::{CommandId, Epoch, OpId, Sequence, Slot, Ticket, Version, WallTime};
use crate::name::{EntityId, KindName, TimerName};
use crate::port::StoreRequest;
use crate::shard::Report;
use crate::step::HaltReason;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// One effect of `Shard`. Order means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
    /// with another base than [`Base::Held`] replaces whatever it held. Work on it that was abandoned may be
    /// under way still: then its state is dropped after that.
    Forget {
        /// Which.
        slot: Slot,
    },
    /// Say what the wall clock says; the answer is `Input::Wall`. Timers want it: none of them is due
    /// before the wall clock of the owner says so, and none by a clock that was read earlier.
    AskWall,
    /// Deliver a message of an acknowledged commit as a command to its receiver, wherever that is owned,
    /// by the way that a command of a caller of this node takes; the answer is `Input::Dispatched`.
    Dispatch {
        /// Names the answer.
        op: OpId,
        /// The message.
        dispatch: Box<Dispatch>,
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
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
        /// The committed version; [`Version::ABSENT`] of a deleted entity, as of one that never was.
        version: Version,
        /// The commands.
        commands: Vec<(Ticket, Expected)>,
    },
    /// Decide a timer's message from the committed state, alone, as a command of the entity to itself.
    /// Answer: `Ran::Decided` with one verdict. A rejection ends the timer; a failure leaves it armed,
    /// and it is tried again later.
    Fire {
        /// The slot.
        slot: Slot,
        /// What became of the state that was decided last.
        provisional: Provisional,
        /// The committed version, as in `Decide`.
        version: Version,
        /// What fires.
        firing: Box<Firing>,
    },
    /// Answer these readers' questions from the committed state; the callers themselves get
    /// `Reply::Read` afterwards. Answer: `Ran::Answered`.
    Answer {
        /// The slot.
        slot: Slot,
        /// What became of the state that was decided last.
        provisional: Provisional,
        /// The committed version, as in `Decide`.
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

/// A timer that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Firing {
    /// Names the verdict. No caller has it, and no reply comes to it.
    pub ticket: Ticket,
    /// The command's id: made of the entity, the timer's name and when it was due, so the same for each
    /// attempt.
    pub id: CommandId,
    /// The owner's wall clock when it was found due; the time of the command.
    pub wall: WallTime,
    /// The timer as it is armed: its message is in the codec of the entity's kind.
    pub timer: Timer,
}

/// A message on its way from one entity to another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Dispatch {
    /// The command's id: made of the commit and the message's place in it, so the same for each attempt,
    /// by whatever owner. The receiver's table of ids makes the effect once (S19).
    pub id: CommandId,
    /// The sender's kind.
    pub kind: KindName,
    /// The sender.
    pub sender: EntityId,
    /// Whom it goes to, and what.
    pub intent: Intent,
    /// How often this owner sent it before, in vain.
    pub tries: u32,
}

/// What became of the state that a slot's last `Decide` led to. It comes with the slot's next work,
/// which is the first that needs to know it: so nothing waits until the host has settled it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Provisional {
    /// It is to be dropped, if there is one: its commit was not stored, or nobody knows.
    #[default]
    Dropped,
    /// Its commit was stored: it is the committed state now.
    Committed,
}

/// What a fold starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct StoredCommit {
    /// Its stream sequence.
    pub sequence: Sequence,
    /// The commit.
    pub commit: Commit,
}

/// Something that operators want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
    /// A timer fired: its commit is acknowledged.
    TimerFired {
        /// The entity.
        entity: EntityId,
        /// The timer.
        timer: TimerName,
    },
    /// The domain rejected a timer's message; the timer is cleared.
    TimerRejected {
        /// The entity.
        entity: EntityId,
        /// The timer.
        timer: TimerName,
    },
    /// A timer's message could not be decided; the timer stays armed and is tried again.
    TimerFailed {
        /// The entity.
        entity: EntityId,
        /// The timer.
        timer: TimerName,
        /// Why.
        cause: String,
    },
    /// A message was delivered.
    IntentDone {
        /// Its receiver.
        entity: EntityId,
    },
    /// The receiver of a message rejected it; it is not sent again.
    IntentRejected {
        /// The receiver.
        entity: EntityId,
        /// What is known of the reason.
        cause: String,
    },
    /// A message cannot be delivered as things are; it is kept as failed.
    IntentFailed {
        /// The receiver.
        entity: EntityId,
        /// Why.
        cause: String,
    },
    /// The shard's index was written (S18).
    IndexWritten,
    /// The shard's index, or a commit after it, cannot be read: its timers and messages wait until it
    /// can.
    IndexFailed {
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
