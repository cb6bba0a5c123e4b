//! Where a request goes, and what became of it: the routing of one lane (S21).
//!
//! `Router` is the machine of one lane, for the shards of that lane. It holds no payloads: callers
//! and their requests stay with the driver, which encodes one when it is forwarded. A request whose
//! owner is this node runs here and crosses no wire.
//!
//! What is always safe to send again (nobody took it in, or the receiver did not own the shard) is
//! sent again until its deadline; what may have run is sent again only when it has a command id
//! (H13). While a shard has no owner its requests wait, at most `no_owner_patience`.

mod effect;
mod input;

pub use effect::{Effect, Lost, Refusal};
pub use input::{Asked, Input, Returned, Target};

use crate::id::Incarnation;

/// One lane of one run of a node: where frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The run of the node.
    pub incarnation: Incarnation,
    /// Its lane.
    pub lane: u16,
}
