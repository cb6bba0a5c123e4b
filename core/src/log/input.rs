//! What a shard's log reacts to.

use super::{Freshness, KindConfig, KindIndex};
use crate::format::{IntentPlace, Later, Metadata};
use crate::id::{CommandId, Incarnation, OpId, Sequence, Ticket, Version, WallTime};
use crate::name::EntityId;
use crate::port::StoreReply;
use crate::shard::Order;
use crate::step::Time;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;

/// One input of `Shard`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A deadline passed.
    Tick,
    /// The store is connected, verified, and of this shape. Comes again after each reconnect.
    Up(Shape),
    /// The connection is gone. What is in flight gets its answer from the shell all the same.
    Down,
    /// A kind is used in this shard; kinds are numbered in this order.
    Kind(KindConfig),
    /// Owned mode: become the shard's owner, whoever owns it now (a lone process).
    Claim,
    /// Owned mode: what the node's ownership wants; the answer is
    /// [`Effect::Report`](super::Effect::Report). From the first one on the log claims nothing by
    /// itself, and reports each change of its epoch. In the leased class whoever acts under the epoch
    /// besides the log (actors) is stopped before the log is told to hand over.
    Order(Order),
    /// The node acts as another run of itself from now on: claims name that one, and what the former
    /// one owned is dropped in this step (S17).
    Run(Incarnation),
    /// Leased class: until when this node may act; `None`: not now.
    Lease(Option<Time>),
    /// The entity that rests longest is to be forgotten, to make room for others.
    Evict,
    /// A caller's command.
    Submit(Submit),
    /// A caller wants to read an entity.
    Read(Read),
    /// What this node's wall clock says now, which [`Effect::AskWall`](super::Effect::AskWall) asked.
    Wall(WallTime),
    /// What came of a message that [`Effect::Dispatch`](super::Effect::Dispatch) sent. A node that
    /// stops need not say.
    Dispatched {
        /// The message's operation.
        op: OpId,
        /// What came of it.
        delivery: Delivery,
    },
    /// What becomes of messages that could not be delivered as things were: a person's wish.
    Failed(FailedOrder),
    /// The host did a [`Work`](super::Work).
    Ran {
        /// The work's operation.
        op: OpId,
        /// What came of it.
        ran: Ran,
    },
    /// The store answered.
    Stored {
        /// The request's operation.
        op: OpId,
        /// Its answer.
        reply: StoreReply,
    },
}

/// What is wanted of messages that could not be delivered as things were, and are kept as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct FailedOrder {
    /// The one that is meant; none: all of the shard.
    pub of: Option<IntentPlace>,
    /// What becomes of it.
    pub then: FailedThen,
}

/// What becomes of a message that is kept as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum FailedThen {
    /// It is sent again.
    Retry,
    /// It is never sent.
    Discard,
}

/// The shape of the store behind a shard (S8), from its stream's settings and the server's INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Shape {
    /// Whether the stream has more than one replica.
    pub replicated: bool,
    /// The largest message that the server takes, headers included, in bytes.
    pub payload_bytes_max: usize,
}

/// A caller's command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Submit {
    /// Names the caller; the reply carries it. Unique among those without a reply yet.
    pub ticket: Ticket,
    /// The kind of the entity.
    pub kind: KindIndex,
    /// The entity.
    pub entity: EntityId,
    /// The command's id; without one it is not found again.
    pub id: Option<CommandId>,
    /// What version it must meet.
    pub expected: Expected,
    /// What it says of itself; stored with its events.
    pub metadata: Option<Arc<Metadata>>,
    /// The node's wall clock at arrival; the commit's stamp, and what ids are held against.
    pub wall: WallTime,
    /// What its node knew at arrival of how far the stream reaches, from all its logs: what is
    /// answered takes in at least that (S13).
    pub at_least: Sequence,
    /// When the caller gives up: before it was sent nothing happens, after that it is `Unknown`.
    pub deadline: Time,
}

/// What version a command must meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Expected {
    /// Any; after a conflict the command is decided again.
    Any,
    /// This one ([`Version::ABSENT`]: the entity must not exist); else it is refused.
    Exactly(Version),
    /// Any, but the entity must exist; else it is refused.
    Present,
}

/// A caller wants to read an entity's state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Read {
    /// Names the caller.
    pub ticket: Ticket,
    /// The kind of the entity.
    pub kind: KindIndex,
    /// The entity.
    pub entity: EntityId,
    /// How fresh the state must be.
    pub freshness: Freshness,
    /// What its node knew at arrival of how far the stream reaches, from all its logs: what is
    /// answered takes in at least that (S13), but for a `Local` read.
    pub at_least: Sequence,
    /// When the caller gives up.
    pub deadline: Time,
}

/// What came of one attempt to deliver a message of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Delivery {
    /// The receiver took it, now or before: it was committed, or accepted and stored nothing.
    Done,
    /// The receiver's domain said no. That is its end: it is counted and told, and not sent again.
    Rejected {
        /// What is known of the reason, for people.
        cause: String,
    },
    /// It cannot be delivered as things are: this build does not know the kind or the message, the
    /// message cannot be decoded, or its id is older than what the receiver remembers. It is kept as
    /// failed, does not keep others from being done, and is tried again by the shard's next owner.
    Undeliverable {
        /// Why, for people.
        cause: String,
    },
    /// It was not delivered, or nobody knows: it is sent again, with back-off, and what comes after it to
    /// the same entity waits with it.
    Again,
    /// Its receiver is to be deleted by it, and waits for messages of its own until they are delivered (V7).
    /// It is sent again as one that failed is. If its sender is deleted meanwhile, it goes on.
    Waits,
    /// Its receiver was reached and could not do it; or it is an effect, each of which stands for itself. It
    /// is sent again, with a back-off of its own, and others pass it.
    Failed,
}

/// What came of a [`Work`](super::Work).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Ran {
    /// Of `Fold`. After an error the host holds no state in that slot.
    Folded(Result<(), FoldError>),
    /// Of `Decide`: a verdict for each command, in the order given. Of `Fire`: one, under the firing's
    /// ticket.
    Decided(Vec<Decided>),
    /// Of `Answer`: the host has answered the callers' questions from its state.
    Answered,
    /// Of `Snapshot`: the encoded state, or why there is none.
    Snapshotted(Result<Bytes, String>),
}

/// The verdict on one command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Decided {
    /// Whose command.
    pub ticket: Ticket,
    /// What was decided.
    pub verdict: Verdict,
}

/// What the user's code decided. The typed reply stays with the host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Verdict {
    /// It is accepted: its events and its encoded reply are to be stored.
    Accepted {
        /// The events; may be none.
        events: Vec<NewEvent>,
        /// The encoded reply.
        outcome: Bytes,
        /// Whether a command without events is to be stored all the same.
        record: bool,
        /// Timers that it arms and cancels, and messages that it sends; `None` for none. A command that
        /// has some is stored, with events or without.
        later: Option<Box<Later>>,
        /// The entity is deleted by it: its commit is a tombstone, in the place of all that was stored of
        /// the entity before.
        delete: bool,
    },
    /// The domain says no; nothing is stored.
    Rejected,
    /// The entity is not at the expected version (or does not exist); this is what it is at.
    Conflict(Version),
    /// The user's code panicked or a value could not be encoded; nothing is stored.
    Failed(String),
}

impl Verdict {
    /// Whether it deletes the entity.
    pub(super) fn deletes(&self) -> bool {
        match self {
            Self::Accepted { delete, .. } => *delete,
            Self::Rejected | Self::Conflict(_) | Self::Failed(_) => false,
        }
    }
}

/// An event to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct NewEvent {
    /// Its version; `None` is the next one. Must rise; gaps are legal.
    pub version: Option<Version>,
    /// Its stable type name.
    pub name: Cow<'static, str>,
    /// The version of its type.
    pub schema: u16,
    /// Its encoded value.
    pub data: Bytes,
}

/// Why stored events cannot be folded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum FoldError {
    /// This build has no such event, and no step from it.
    #[error(
        "this build knows no event {name:?} version {schema} (at version {version}); deploy one that does, add an upcaster from it, or set the kind's policy for unknown events to skip"
    )]
    UnknownEvent {
        /// The event's name.
        name: String,
        /// The version of its type.
        schema: u16,
        /// The entity's version at it.
        version: Version,
    },
    /// The event's bytes are not what its type expects.
    #[error(
        "event {name:?} version {schema} (at version {version}) cannot be decoded ({cause}); deploy a build whose type of it fits"
    )]
    Undecodable {
        /// The event's name.
        name: String,
        /// The version of its type.
        schema: u16,
        /// The entity's version at it.
        version: Version,
        /// What the decoder said.
        cause: String,
    },
    /// A step of the kind's upcasters failed.
    #[error(
        "event {name:?} version {schema} (at version {version}) cannot be upcast: the step from {step} failed ({cause}); correct the step, or deploy a build whose step takes this event"
    )]
    Upcast {
        /// The name under which the event is stored.
        name: String,
        /// The version of its stored type.
        schema: u16,
        /// The entity's version at it.
        version: Version,
        /// The step: from which type to which.
        step: String,
        /// What went wrong in it.
        cause: String,
    },
    /// The key of the event is gone, and the kind does not say what is left without it.
    #[error(
        "the key of event {name:?} version {schema} (at version {version}) is gone; to go on without it, name the event tenure-shredded in the kind"
    )]
    Shredded {
        /// The event's name.
        name: String,
        /// The version of its type.
        schema: u16,
        /// The entity's version at it.
        version: Version,
    },
    /// The snapshot's state cannot be decoded; the machine loads without it.
    #[error("the snapshot's state cannot be decoded: {cause}")]
    Snapshot {
        /// What the decoder said.
        cause: String,
    },
    /// The user's `evolve` panicked.
    #[error("evolve panicked at version {version}: {cause}")]
    Panicked {
        /// The entity's version at it.
        version: Version,
        /// The panic's text.
        cause: String,
    },
}
