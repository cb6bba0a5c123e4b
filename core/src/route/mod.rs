//! Where a request goes, and what became of it: the routing of one lane (S21).
//!
//! `Router` is the machine of one lane, for the shards of that lane. It holds no payloads: callers
//! and their requests stay with the driver, which encodes one when it is forwarded. A request whose
//! owner is this node runs here and crosses no wire.
//!
//! What is always safe to send again (nobody took it in, or the receiver did not own the shard) is
//! sent again until its deadline; what may have run is sent again only when it has a command id or
//! only reads (H13). While a shard has no owner its requests wait, at most `no_owner_patience`.
//!
//! Invariants:
//!
//! - R1: each ask has one end: `Here`, `Told`, `Refused`, or its caller's `Cancel`. `NotHere` asks
//!   again.
//! - R2: what may have run is forwarded again only if it has a command id or only reads.
//! - R3: a refusal that says that nothing happened is given only to what surely did not run, or only
//!   reads.
//! - R4: requests of one target and key go out in the order of their tickets, and none while one of
//!   them is on its way to a former owner, for `redirect_patience` at most. So they run in that order
//!   while no frame is lost, whatever hands the shard goes through; except that a node that says no
//!   and comes to own the shard before that is heard may run a later one first.
//! - R5: each attempt has an operation of its own, whose upper 44 bits rise with each; an answer
//!   counts only for the latest.
//! - R6: a request of another lane is begun at most once, and gets one of `Answer`, `NotOwner` and
//!   `Decline`; or none, when it came twice, its caller gave up or its deadline passed.
//! - R7: what is in flight to a node, what is let in to wait and what is served stays within its
//!   limits; what comes back waits beside it, within the limits of all nodes together.

mod ask;
mod effect;
mod input;
mod list;
mod nodes;
mod router;
mod serve;
mod timers;
mod turn;
mod way;
mod window;

pub use effect::{Declined, Effect, Lost, Refusal};
pub use input::{Asked, Input, Repeat, Returned, Target};
pub use router::{Router, RouterConfig, RouterCounts};

use crate::id::Incarnation;

/// One lane of one run of a node: where frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Address {
    /// The run of the node.
    pub incarnation: Incarnation,
    /// Its lane.
    pub lane: u16,
}
