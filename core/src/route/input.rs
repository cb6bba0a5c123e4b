//! What a lane's routing reacts to.

use super::{Address, Lost};
use crate::id::{Incarnation, OpId, Ticket};
use crate::node::View;
use crate::port::SendRefused;
use crate::shard::{Place, Row, Table};
use crate::step::{Span, Time};
use alloc::sync::Arc;

/// One input of `Router`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A deadline passed.
    Tick,
    /// The link is there.
    Up,
    /// The link is gone.
    Down,
    /// Where each shard is.
    Table(Arc<Table>),
    /// Who is in the cluster.
    View(Arc<View>),
    /// The node acts as another run of itself from now on, at another address: no answer comes any more
    /// to what was sent, and what ran here for others is nobody's.
    Run(Incarnation),
    /// A caller of this node asks.
    Ask(Asked),
    /// A caller of this node gave up.
    Cancel(Ticket),
    /// What `Effect::Here` began was refused because this node does not own it (any more); it was not
    /// run. It is asked again as it was.
    ///
    /// A log that loses a place gives back what waits in it before the table says another owner; else
    /// what is asked meanwhile overtakes it (R4).
    NotHere(Asked),
    /// An answer came to a forwarded request.
    Returned {
        /// The operation under which it was forwarded.
        op: OpId,
        /// What it says.
        returned: Returned,
    },
    /// Nobody listened where it went.
    NoResponders(OpId),
    /// The shell did not take it: it was not sent.
    NotSent {
        /// The operation under which it was to be forwarded.
        op: OpId,
        /// Why.
        refused: SendRefused,
    },
    /// A request of another lane came in.
    Request {
        /// Whose.
        from: Address,
        /// Its operation there.
        op: OpId,
        /// What it is for.
        target: Target,
        /// How long its caller waits still.
        ttl: Span,
    },
    /// A caller elsewhere gave up.
    Withdrawn {
        /// Whose request.
        from: Address,
        /// Its operation there.
        op: OpId,
    },
    /// What ran here for a caller elsewhere has its answer, which the driver holds.
    Served(Ticket),
    /// What `Effect::Serve` began was refused because this node does not own it (any more); it was not
    /// run.
    NotServed(Ticket),
}

/// A caller's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Asked {
    /// Names it. Tickets rise with each ask: they are the order of requests.
    pub ticket: Ticket,
    /// What it is for.
    pub target: Target,
    /// Requests of one target with the same number stay in their order: a hash of kind and key.
    pub key: u64,
    /// When its caller gives up.
    pub deadline: Time,
    /// Whether it may be sent again after it may have run.
    pub repeat: Repeat,
    /// Whether an answer is wanted; else it is done when it was taken in (`tell`), and a caller who
    /// gives up does not take it back.
    pub answered: bool,
    /// Nothing when it is asked; what `Effect::Here` said when it was not run here.
    pub doubt: Option<Lost>,
}

/// Whether a request may be sent again after it may have run (H13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Repeat {
    /// It may not: it would run twice.
    Never,
    /// It has a command id: it takes effect once.
    ById,
    /// It only reads.
    Reads,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Target {
    /// The owner of a shard.
    Place(Place),
    /// One run of a node.
    Node(Incarnation),
}

/// What the answer to a forwarded request says to routing; its content stays with the driver, which
/// takes those refusals for `NotOwner` that say that the receiver may not act at all: it has no lease,
/// or it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Returned {
    /// It ran, or was refused by what it was for: the caller is told.
    Answer,
    /// The receiver does not own the shard; nothing happened. It may know who does.
    NotOwner(Option<Row>),
}
