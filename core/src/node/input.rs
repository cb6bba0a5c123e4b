//! What a node's membership reacts to.

use super::About;
use crate::id::{Incarnation, OpId, Sequence};
use crate::port::{Heard, StoreReply};
use alloc::vec::Vec;

/// One input of `Node`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A deadline passed.
    Tick,
    /// The store is connected and verified. Comes again after each reconnect.
    Up,
    /// The connection is gone.
    Down,
    /// A membership record was announced: a reason to look (S16).
    Heard(Heard),
    /// The store answered.
    Stored {
        /// The request's operation.
        op: OpId,
        /// Its answer.
        reply: StoreReply,
    },
    /// Nobody listened at a node's address: a request went there, or a probe (S15).
    NoResponders {
        /// The run of the node.
        of: Incarnation,
    },
    /// A node answered a probe or a request.
    Alive {
        /// The run of the node.
        of: Incarnation,
    },
    /// Somebody met a run that the view does not know: the next two lists come as soon as may be
    /// ([`View::listed`](super::View::listed)).
    Look,
    /// What the node says of itself changed: its labels, its weight. Its role and its lanes stay.
    About(About),
    /// The highest sequence that this node was acknowledged of each event stream, by its number; told
    /// to the others with the next heartbeat (S13).
    Marks(Vec<Sequence>),
    /// Everything of the node acts as the run of `Effect::Rejoin` from now on: its lanes listen at that
    /// run's address, and what it owned as the former one is dropped (S17).
    Renewed,
    /// Hand over what is owned and take nothing more; still be a member.
    Drain,
    /// Nothing of this node acts any more, since all that was owned is handed over or dropped: release
    /// the name and end. A driver that cannot say so stops stepping instead; the others then wait for
    /// the end of the lease.
    Leave,
}
