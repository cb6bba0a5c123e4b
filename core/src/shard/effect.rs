//! What a node's ownership wants done.

use super::{Place, Table};
use crate::id::{Epoch, Incarnation, OpId, Sequence};
use crate::name::NodeName;
use crate::port::StoreRequest;
use crate::step::{HaltReason, Span};
use alloc::string::String;
use alloc::sync::Arc;

/// One effect of `Owners`. Order means nothing.
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
    /// Order the log of a place; the answer is `Input::Report`. There is at most one order under way
    /// for a place, except that `Drop` may follow any other.
    Order {
        /// The place.
        place: Place,
        /// What it is to do.
        order: Order,
    },
    /// An ownership record names a run that the view does not know: list the members again
    /// (`node::Input::Look`).
    Look,
    /// Where each shard is now.
    Table(Arc<Table>),
    /// Everything is handed over or released, after `Input::Drain`.
    Drained,
    /// Nothing is held any more and nothing acts, after `Input::Abandon`.
    Abandoned,
    /// Something that operators want to know.
    Note(Note),
    /// The machine found its own state wrong; stop stepping it.
    Halt(HaltReason),
}

/// What the log of a place is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Order {
    /// Replace the record at this sequence ([`Sequence::NONE`]: there is none) by a claim of this
    /// node. Another record in its place is a `Report::Rival`, and nothing is claimed.
    Claim {
        /// The record that was judged free.
        over: Sequence,
    },
    /// The record names this node already (a hand-over, or a claim of unknown end): own it.
    Adopt(Epoch),
    /// Take nothing more, let what is in flight end, then name the successor by one CAS (S17).
    HandOver {
        /// The successor's run.
        to: Incarnation,
        /// Its name, for people.
        node: NodeName,
    },
    /// The same without a successor.
    Release,
    /// The epoch counts no more: stop reads, timers and decisions in this step (S17). The report comes
    /// when nothing that lives under it acts any more.
    Drop,
}

/// Something that operators want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Note {
    /// A place is being taken over from a node that is gone.
    TakingOver {
        /// The place.
        place: Place,
        /// Whose it was.
        from: Incarnation,
        /// Whether a hint was enough (fenced class).
        hint: bool,
    },
    /// A place is being handed over.
    HandingOver {
        /// The place.
        place: Place,
        /// To whom.
        to: Incarnation,
    },
    /// What lives in a place has not ended in time: it is handed over later.
    Kept {
        /// The place.
        place: Place,
        /// When it is tried again at the earliest.
        after: Span,
    },
    /// A claim that came late, or a hand-over, was found and taken up.
    Adopted {
        /// The place.
        place: Place,
    },
    /// This node's lease is over: it owns nothing until it holds again.
    LeaseOver {
        /// How many places it dropped.
        places: usize,
    },
    /// An order could not be carried out; it is tried again after a wait.
    Failed {
        /// The place.
        place: Place,
        /// Why, in words.
        cause: String,
    },
    /// An ownership record cannot be read by this build: its place is left alone.
    Unreadable {
        /// The place.
        place: Place,
        /// What is wrong with it.
        cause: String,
    },
}
