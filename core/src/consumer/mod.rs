//! A consumer: hands the events of a namespace over, in order per entity, from a checkpoint on and then
//! as they come.
//!
//! One machine reads all event streams of its namespace, each by an ephemeral consumer of the store. It
//! hands batches of events to a handler, which answers later; what was handled makes up the checkpoint,
//! a record that is replaced by CAS (H14), or is kept by the handler with its own state (P6).
//!
//! ```text
//! Up ─▶ its stream (S3) ─▶ checkpoint read ─▶ each event stream looked at, opened ─▶ claimed ─▶ Running
//!                                                                                      │ ▲
//!                 Over ◀─ Stopping ◀── stop, or a fault ───────────────────────────────┤ │
//!                                                                         Rewinding ◀──┘─┘
//! ```
//!
//! # Invariants
//!
//! - C1: a position never passes an event that was neither handled, nor let through by no filter, nor
//!   skipped or put aside as the policy says; so after a crash each event is handed over again that was
//!   not handled.
//! - C2: of one key at most one batch is with the handler, and its events are in the log's order.
//! - C3: a stored checkpoint is never ahead of what was handled.
//! - C4: what was fetched and not handled is bounded, in commits and in bytes; each stream may exceed the
//!   bytes by one message.
//! - C5: a checkpoint replaces only the record that this run wrote or took over before; another one there
//!   ends the run.
//! - C6: an event that was in the log when the run, or its last rewind, began is never told as live; nor
//!   is anything told as live twice once it was handled.
//! - C7: a stream that ends before the consumer's position, or before what it was fetched from, lost its
//!   tail (S13), and so did one that has another commit in the place of the last one that came: that is an
//!   error, and nothing is stored after it.

mod checkpoint;
mod definition;
mod dispatch;
mod fault;
mod feed;
mod found;
pub mod group;
mod letters;
mod machine;
mod names;
mod open;
mod orders;
mod policy;
mod queue;
mod recall;
mod rewind;
mod status;
mod take;
mod verify;
mod watch;

pub use definition::{BUS_KIND, Definition, Filter, Keeping, Order, Source, Start};
pub(crate) use fault::may_pass;
pub use fault::{Fault, LetterRefusal, OrderRefusal, RewindRefusal};
pub(crate) use letters::{listed, removal};
pub use machine::Consumer;
pub use names::{Erase, LetterDone, ListLetters, Listing, Named, NamedForm, NamesFault, OneLetter};
pub use policy::{Pace, Policy, Then};
pub use status::{Lag, Stall, StallReason, State, Status};

use crate::format::{
    Cause, Checkpoint, Commit, DeadLetter, EventPlace, EventSubject, FormatError, Layout, Position,
};
use crate::id::{GroupPart, Incarnation, OpId, Partition, Sequence, Ticket, WallTime};
use crate::port::{StoreReply, StoreRequest};
use crate::space::SpaceWish;
use crate::step::{HaltReason, Span, Time};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What a consumer is made with.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Config {
    /// The namespace as it was opened, for the settings of the consumers' stream.
    pub wish: SpaceWish,
    /// Its layout.
    pub layout: Layout,
    /// This run of the consumer; fresh for each.
    pub run: Incarnation,
    /// The node's name, for people.
    pub node: String,
    /// What it reads.
    pub definition: Definition,
    /// How it goes about it.
    pub pace: Pace,
    /// Where it begins whatever its checkpoint says, which is replaced: that of a stream that lost its
    /// tail, of another definition, or of a copy.
    pub reset: Option<Start>,
}

/// A partition of a group that this run's node owns (H14).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Share {
    /// Which one.
    pub part: GroupPart,
    /// Where the record is by which it does.
    pub at: Sequence,
    /// That record: of this run, with the positions of the one before it; none when nobody began yet.
    pub record: Checkpoint,
}

/// One input of a [`Consumer`].
#[allow(
    clippy::large_enum_variant,
    reason = "an input lives for one step; ticks are rare"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A deadline passed.
    Tick {
        /// The node's wall clock.
        wall: WallTime,
    },
    /// The store is reachable and its namespace verified, for the first time or again.
    Up,
    /// The namespace cannot be used any more, for good.
    Unusable(Box<Fault>),
    /// The store answered.
    Stored {
        /// The request's operation.
        op: OpId,
        /// Its answer.
        reply: StoreReply,
        /// The node's wall clock.
        wall: WallTime,
    },
    /// The handler is done with a batch.
    Handled {
        /// The batch's operation.
        op: OpId,
        /// What became of it.
        handled: Handled,
    },
    /// Somebody wants something of it.
    Order(Command),
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Handled {
    /// All its events were handled.
    Done,
    /// One was not.
    Failed {
        /// How many before it were.
        done: u32,
        /// Why.
        cause: Cause,
        /// The error's text.
        text: String,
    },
}

/// What somebody wants of a consumer. What has a ticket is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Command {
    /// Hand nothing over until it is resumed.
    Pause {
        /// Names the answer.
        ticket: Ticket,
        /// Who wants it, for people.
        by: String,
    },
    /// Go on.
    Resume {
        /// Names the answer.
        ticket: Ticket,
    },
    /// Go on from another place, as soon as the handler is done with what it has. Events between the two
    /// places are handed over again, or never.
    Rewind {
        /// Names the answer.
        ticket: Ticket,
        /// From where on.
        to: Start,
    },
    /// Tell some dead letters.
    Letters {
        /// Names the answer.
        ticket: Ticket,
        /// After this place of the consumers' stream.
        after: Sequence,
        /// How many at most, 1 to 1,000.
        letters_max: u32,
    },
    /// Hand the event of a dead letter over once more; the letter goes when it was handled.
    Replay {
        /// Names the answer.
        ticket: Ticket,
        /// Its place.
        place: EventPlace,
    },
    /// Tell the commit of a dead letter.
    Look {
        /// Names the answer.
        ticket: Ticket,
        /// Its place.
        place: EventPlace,
    },
    /// Remove a dead letter.
    Remove {
        /// Names the answer.
        ticket: Ticket,
        /// Its place.
        place: EventPlace,
    },
    /// Let the handler end what it has, store the checkpoint, and end.
    Stop {
        /// When it ends at the latest.
        until: Time,
    },
}

/// One effect of a [`Consumer`]. Order means nothing.
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
    /// Hand events to the handler; the answer is `Input::Handled`.
    Handle {
        /// Names the answer.
        op: OpId,
        /// The events.
        batch: Batch,
    },
    /// The answer to a command.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// What it is.
        answer: Answer,
    },
    /// Something that people want to know.
    Notice(Notice),
    /// The machine is at its end.
    Ended {
        /// Up to where events were handled, for each stream.
        positions: Vec<Position>,
        /// How many batches the handler still had.
        running: u32,
        /// Why, when it was not told to stop.
        fault: Option<Box<Fault>>,
    },
    /// The machine found its own state wrong; stop stepping it.
    Halt(HaltReason),
}

/// Events for the handler, all of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Batch {
    /// The events, in the log's order.
    pub events: Vec<Given>,
    /// Where the consumer will stand when all of them are handled, for each stream: what a handler with
    /// [`Keeping::External`] stores with its state. Empty with [`Keeping::Stored`].
    pub upto: Vec<Position>,
    /// The life of the consumer that they belong to.
    pub generation: u64,
}

/// One event as it is handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Given {
    /// Where it is.
    pub place: EventPlace,
    /// Whose it is.
    pub subject: Arc<EventSubject>,
    /// Its commit.
    pub commit: Arc<Commit>,
    /// When the store took it.
    pub stored: WallTime,
    /// It was not in the log yet when the consumer, or its last rewind, began.
    pub live: bool,
    /// The how manieth try it is, from 1.
    pub attempt: u32,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Answer {
    /// To `Pause` and `Resume`: it is so, from this step on.
    Obeyed(Result<(), OrderRefusal>),
    /// To `Rewind`: where it stands now.
    Rewound(Result<Vec<Position>, RewindRefusal>),
    /// To `Letters`.
    Letters(Result<LetterPage, LetterRefusal>),
    /// To `Look`: the event's commit, and when the store took it.
    Looked(Result<Box<(Commit, WallTime)>, LetterRefusal>),
    /// To `Replay` and `Remove`: it is gone.
    Removed(Result<(), LetterRefusal>),
}

/// Some dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct LetterPage {
    /// Each with its place in the consumers' stream.
    pub letters: Vec<(Sequence, DeadLetter)>,
    /// Those that cannot be read.
    pub unreadable: Vec<UnreadableLetter>,
    /// After this place more follow.
    pub more: Option<Sequence>,
}

/// A dead letter that cannot be read; it can be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct UnreadableLetter {
    /// The place that its subject names, by which it can be removed.
    pub place: Option<EventPlace>,
    /// Its own place in the consumers' stream.
    pub sequence: Sequence,
    /// What is wrong with it.
    pub error: FormatError,
}

/// Something that people want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Notice {
    /// It begins to hand events over, from here on.
    Started {
        /// For each stream.
        positions: Vec<Position>,
        /// Whether a checkpoint was there.
        resumed: bool,
    },
    /// All that was in the log when it looked last is handled: what comes now is new.
    Live,
    /// It fell behind.
    Behind(Lag),
    /// There was no progress for a while, and there is something to do.
    Stalled(StallReason),
    /// There is progress again.
    Progressing,
    /// An event was not handled and is tried again.
    Retrying {
        /// What failed.
        failure: Failure,
        /// After how long.
        delay: Span,
    },
    /// An event was not handled, and is passed over.
    Skipped(Failure),
    /// An event was not handled, and is put aside.
    DeadLettered(Failure),
    /// A stream is read anew after the last message that came.
    Reopened {
        /// The stream.
        stream: Partition,
        /// Why.
        why: Reopened,
    },
    /// Its filter matches nothing that is in the log.
    MatchesNothing,
    /// What was published on the bus expired before it was read.
    Expired {
        /// How many places of the stream, of all topics.
        places: u64,
    },
    /// A checkpoint was stored.
    Checkpointed {
        /// Up to where, for each stream.
        positions: Vec<Position>,
    },
    /// It was paused.
    Paused,
    /// It was resumed.
    Resumed,
}

/// Why a stream is read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Reopened {
    /// Messages were lost on the way.
    Gap,
    /// The store has no such consumer any more.
    Gone,
    /// A fetch was not answered, and may have moved it on.
    Unanswered,
    /// The connection came back.
    Link,
}

/// An event that was not handled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Failure {
    /// Where it is.
    pub place: EventPlace,
    /// Its subject.
    pub subject: Arc<EventSubject>,
    /// Why.
    pub cause: Cause,
    /// The error's text.
    pub text: String,
    /// How often it was tried.
    pub tries: u32,
}
