//! What a lane's routing wants done.

use super::{Address, Target};
use crate::id::{Incarnation, OpId, Ticket};
use crate::shard::{Place, Row};
use crate::step::{HaltReason, Span, Time};

/// One effect of `Router`. Order means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Effect {
    /// Run the caller's request on this node: routing is done with it, unless `Input::NotHere` comes.
    Here {
        /// Whose.
        ticket: Ticket,
        /// How the answer of an earlier attempt was lost, which may have run: a refusal that says that
        /// nothing happened is not the whole truth then.
        doubt: Option<Lost>,
    },
    /// Encode the caller's request and send it; the answers are `Input::Returned`,
    /// `Input::NoResponders`, `Input::NotSent`, or none.
    Forward {
        /// Whose.
        ticket: Ticket,
        /// Names the answer; fresh for each attempt.
        op: OpId,
        /// Where to.
        to: Address,
        /// How long its caller waits still.
        ttl: Span,
    },
    /// The caller's answer is the one that came last for this operation.
    Told {
        /// Whose.
        ticket: Ticket,
        /// The operation.
        op: OpId,
        /// As of `Here`.
        doubt: Option<Lost>,
    },
    /// The caller gets no answer.
    Refused {
        /// Whose.
        ticket: Ticket,
        /// Why.
        refusal: Refusal,
    },
    /// Tell the lane where a request ran that nobody waits for it any more.
    Withdraw {
        /// Where it was forwarded to.
        to: Address,
        /// The operation.
        op: OpId,
    },
    /// Run the request of another lane here; its answer is `Input::Served` or `Input::NotServed`.
    Serve {
        /// Names it among those that are served; not one of the callers' tickets.
        ticket: Ticket,
        /// Whose.
        from: Address,
        /// Its operation there.
        op: OpId,
        /// What it is for.
        target: Target,
        /// When its caller gives up.
        deadline: Time,
    },
    /// Drop the request that runs here for a caller elsewhere: he gave up, or its deadline passed.
    /// Nothing is answered.
    Unserve {
        /// Which.
        ticket: Ticket,
    },
    /// Send the answer of what ran here.
    Answer {
        /// Which.
        ticket: Ticket,
        /// Where to.
        to: Address,
        /// The operation there.
        op: OpId,
    },
    /// Tell another lane that this node does not own the shard of its request.
    NotOwner {
        /// Where to.
        to: Address,
        /// The operation there.
        op: OpId,
        /// Who does, as far as is known.
        owner: Option<Row>,
    },
    /// Answer another lane that its request was not begun.
    Decline {
        /// Where to.
        to: Address,
        /// The operation there.
        op: OpId,
        /// Why.
        why: Declined,
    },
    /// Nobody listened at a node's address (S15).
    Hint {
        /// Its run.
        of: Incarnation,
    },
    /// A node answered at whose address nobody had listened.
    Alive {
        /// Its run.
        of: Incarnation,
    },
    /// The machine found its own state wrong; stop stepping it.
    Halt(HaltReason),
}

/// Why a request of another lane was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Declined {
    /// It came after its deadline.
    Expired,
    /// Too many requests run here.
    Overloaded,
}

/// Why a caller gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody owned the shard for as long as a request may wait for an owner; nothing happened.
    NoOwner(Place),
    /// The node that was asked is not in the cluster; nothing happened.
    NoNode(Incarnation),
    /// The node that was asked speaks no version of frames that this one does; nothing happened.
    NoCommonVersion(Incarnation),
    /// Too many requests wait, or are on their way to that node; nothing happened.
    Overloaded,
    /// It is larger than the network takes; nothing happened.
    TooLarge {
        /// Its frame's size in bytes.
        bytes: usize,
        /// What the server takes, in bytes.
        bytes_max: usize,
    },
    /// The deadline came before it was sent; nothing happened.
    Deadline,
    /// It was sent, and what became of it is not known.
    Unknown(Lost),
}

/// How the answer of a request was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Lost {
    /// It did not come before the deadline.
    Deadline,
    /// The node that had it is gone.
    Gone(Incarnation),
    /// The link is gone.
    Disconnected,
}
