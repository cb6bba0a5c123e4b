//! What a lane's actors want done.

use crate::id::{Epoch, OpId, Slot, Ticket};
use crate::log::KindIndex;
use crate::name::{EntityId, KindName};
use crate::shard::Place;
use crate::step::{HaltReason, Span, Time};
use alloc::string::String;
use alloc::sync::Arc;
use serde::{Deserialize, Serialize};

/// One effect of `Scheduler`. Order means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Effect {
    /// Make an actor; the answer is `Input::Done`.
    Activate {
        /// This stay of the key in memory.
        slot: Slot,
        /// Names the answer.
        op: OpId,
        /// The kind.
        kind: KindIndex,
        /// The key.
        key: EntityId,
        /// Where it belongs.
        place: Option<Place>,
    },
    /// Run a message on an actor; the answer is `Input::Done`.
    Run {
        /// The stay.
        slot: Slot,
        /// Names the answer.
        op: OpId,
        /// The kind.
        kind: KindIndex,
        /// The key.
        key: EntityId,
        /// Where it belongs.
        place: Option<Place>,
        /// What it is told.
        letter: Letter,
    },
    /// Run an actor's stop hook; the answer is `Input::Done`.
    Stop {
        /// The stay.
        slot: Slot,
        /// Names the answer.
        op: OpId,
        /// The kind.
        kind: KindIndex,
        /// The key.
        key: EntityId,
        /// Where it belongs.
        place: Option<Place>,
        /// Why.
        why: Why,
    },
    /// Drop what runs under an operation at its next await, with its tasks. Its answer comes as
    /// before, mostly `Ending::Dropped`.
    Abort {
        /// The stay.
        slot: Slot,
        /// The operation.
        op: OpId,
    },
    /// The caller of what runs has gone: its context says so.
    Cancel {
        /// The stay.
        slot: Slot,
        /// The operation.
        op: OpId,
    },
    /// Drop the actor of a stay, its timers' messages, tasks and watches.
    Forget {
        /// The stay.
        slot: Slot,
    },
    /// Tell whoever asked or watched.
    Reply {
        /// Which.
        ticket: Ticket,
        /// What.
        answer: Answer,
    },
    /// A message that was taken and has no caller any more will not run; operators want to know.
    Undelivered {
        /// Which.
        ticket: Ticket,
        /// Its kind.
        kind: KindIndex,
        /// Its key.
        key: EntityId,
    },
    /// Nothing of a place that is handed over is left.
    Drained {
        /// The place.
        place: Place,
    },
    /// What lives in a place has not ended in time: it is not handed over, and open again.
    Kept {
        /// The place.
        place: Place,
        /// Under which epoch.
        epoch: Epoch,
    },
    /// Nothing is left, after `Input::Stop`.
    Stopped,
    /// Something that operators want to know.
    Note(Note),
    /// The machine found its own state wrong; stop stepping it.
    Halt(HaltReason),
}

/// What an actor is told in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Letter {
    /// A message that came under a ticket.
    Message {
        /// Names it.
        ticket: Ticket,
        /// When its caller gives up, if one waits.
        deadline: Option<Time>,
    },
    /// A timer's message.
    Timer {
        /// Its name.
        name: Arc<str>,
        /// It comes no more.
        last: bool,
    },
    /// What it watched has ended.
    Notice {
        /// Which of its watches.
        watch: u32,
        /// How.
        ended: Ended,
    },
}

/// Why an actor is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Why {
    /// It was at rest for long, or others needed the room.
    Idle,
    /// It asked for it.
    Asked,
    /// Its place is handed over.
    HandOver,
    /// The node stops.
    NodeStops,
}

/// What a caller or watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Answer {
    /// It ran: the host has the reply.
    Ran,
    /// It is in the mailbox, and no more is wanted.
    Taken,
    /// What was watched has ended.
    Ended(Ended),
    /// Who is there, by a number that no other life of this lane has.
    Lives(u32),
    /// It got no reply.
    Refused(Refusal),
}

/// How an activation ended. It crosses between nodes as serde writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// There was none.
    Absent,
    /// It was passivated, or asked to be, or its node stopped.
    Stopped,
    /// It failed: the text says why.
    Failed(String),
    /// Its node lost it, or is gone.
    Lost,
}

/// Why a message has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Refusal {
    /// Its mailbox, or the lane, is full. It was not run.
    Overloaded,
    /// Its deadline came before its turn. It was not run.
    Deadline,
    /// Its deadline came during its turn, which goes on.
    Late,
    /// This node does not own the key's place. It was not run.
    NotOwner,
    /// Its place was lost during its turn, which was dropped.
    Lost,
    /// It would wait for itself. It was not run.
    Cycle,
    /// Too many wait for one another. It was not run.
    TooDeep {
        /// How many wait for it.
        hops: usize,
        /// How many may.
        hops_max: usize,
    },
    /// Its handler panicked.
    Panicked(String),
    /// Its actor could not be made, or failed too often. It was not run.
    Failed {
        /// What the actor said.
        cause: String,
        /// When it is made again for a message, from now.
        retry_after: Span,
    },
    /// Its turn was dropped because it took too long, or its actor could not go on.
    Aborted,
    /// Too many watch the key.
    TooManyWatchers,
    /// The node stops. It was not run.
    Stopped,
}

impl Refusal {
    /// Whether the message has begun to run, so that it may have had effects.
    pub fn has_begun(&self) -> bool {
        match self {
            Self::Late | Self::Lost | Self::Panicked(_) | Self::Aborted => true,
            Self::Overloaded
            | Self::Deadline
            | Self::NotOwner
            | Self::Cycle
            | Self::TooDeep { .. }
            | Self::Failed { .. }
            | Self::TooManyWatchers
            | Self::Stopped => false,
        }
    }
}

/// Something that operators want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Note {
    /// A key has an actor.
    Activated(KindIndex),
    /// An actor was passivated.
    Passivated(KindIndex),
    /// An actor could not be made.
    InitFailed {
        /// Its kind.
        kind: KindName,
        /// Its key.
        key: EntityId,
        /// What it said.
        cause: String,
    },
    /// A handler or a stop hook panicked.
    Panicked {
        /// Its kind.
        kind: KindName,
        /// Its key.
        key: EntityId,
        /// What it said.
        cause: String,
    },
    /// An actor begins anew after a wait.
    Restarts {
        /// Its kind.
        kind: KindName,
        /// Its key.
        key: EntityId,
        /// How long.
        after: Span,
    },
    /// An actor failed too often, or is not to begin anew.
    Failed {
        /// Its kind.
        kind: KindName,
        /// Its key.
        key: EntityId,
    },
    /// A turn takes longer than its kind's patience.
    Stuck {
        /// Its kind.
        kind: KindName,
        /// Its key.
        key: EntityId,
    },
    /// The lease ended with this many places held.
    LeaseOver {
        /// How many.
        places: usize,
    },
}
