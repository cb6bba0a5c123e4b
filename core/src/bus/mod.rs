//! The bus: events that are published on topics, for whoever listens and for subscribers who come later.
//!
//! What is published live goes over core NATS, to those who listen at that moment, at most once; what waits
//! for a slow one is a [`Backlog`]. What is published durably is stored first, in a stream of its own, by
//! the machine here; who listens hears it when it is stored, and a consumer reads it from its checkpoint
//! on ([`Source::Bus`](crate::consumer::Source)).
//!
//! ```text
//! Up ─▶ its stream (S3) ─▶ Ready         a publication: Waiting ─▶ Flying ─▶ stored
//!  ▲                        │                              ▲          │
//!  └──── connected anew ────┘                              └─ again ──┘ refused for now, or Unknown
//! ```
//!
//! # Invariants
//!
//! - D1: each publication has one answer, by its deadline.
//! - D2: each attempt carries the publication's id as its deduplication id, and none is begun later than
//!   [`AGAIN_MAX`] after the first: the store knows the id that long, so it is stored once at most.
//! - D3: "not stored" is told only of what no attempt may have stored.
//! - D4: nothing is sent before the stream was verified, and at most
//!   [`Limits::publications_max`](crate::step::Limits::publications_max) are held.

mod backlog;
mod publisher;
mod topic;

pub use backlog::{Backlog, Gap, Next, Overflow};
pub use publisher::{AGAIN_MAX, Publisher};
pub use topic::{Pattern, Topic, TopicError};

use crate::id::{OpId, PublicationId, Sequence, Ticket};
use crate::port::{Refused, StoreReply, StoreRequest};
use crate::space::SpaceError;
use crate::step::{HaltReason, Time};
use bytes::Bytes;

/// An input of a [`Publisher`].
#[allow(
    clippy::large_enum_variant,
    reason = "an input lives for one step; ticks are rare"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A deadline passed.
    Tick,
    /// The store is reachable and its namespace verified, for the first time or again.
    Up,
    /// The namespace cannot be used any more.
    Unusable(SpaceError),
    /// The store answered.
    Stored {
        /// The request's operation.
        op: OpId,
        /// Its answer.
        reply: StoreReply,
    },
    /// Something is to be stored.
    Publish(Order),
}

/// Something that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Order {
    /// Names the answer.
    pub ticket: Ticket,
    /// Where it is published.
    pub topic: Topic,
    /// Its id.
    pub id: PublicationId,
    /// Its bytes, a [`Publication`](crate::format::Publication).
    pub payload: Bytes,
    /// For how long it is kept, in seconds.
    pub keep_s: u32,
    /// When it is answered at the latest.
    pub deadline: Time,
}

/// An effect of a [`Publisher`]. Order means nothing.
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
    /// The answer to an order.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// What came of it.
        answer: Result<Sequence, Refusal>,
    },
    /// The machine found its own state wrong; stop stepping it.
    Halt(HaltReason),
}

/// Why something was not published durably.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Refusal {
    /// The stream of the bus cannot be used; nothing was stored.
    #[error(transparent)]
    Space(SpaceError),
    /// Too many publications wait; nothing was stored.
    #[error("{held} publications wait for the store (publications_max): publish less, or later")]
    Overloaded {
        /// How many.
        held: usize,
    },
    /// The store was not there, or took nothing, in time; nothing was stored.
    #[error("the store took nothing in time; nothing was published")]
    Deadline,
    /// The store did not answer in time. It may be stored; published once more with the same id within
    /// two minutes it is stored once.
    #[error("the store did not answer in time; it may have been published")]
    Unknown,
    /// The store does not take it; nothing was stored.
    #[error("the store does not take it: {0}")]
    Store(Refused),
}
