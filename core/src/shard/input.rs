//! What a node's ownership reacts to.

use super::Place;
use crate::id::{Epoch, Incarnation, OpId, Sequence};
use crate::node::View;
use crate::port::{Heard, StoreReply};
use crate::step::Time;
use alloc::string::String;
use alloc::sync::Arc;

/// One input of `Owners`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A deadline passed.
    Tick,
    /// The store is connected and verified. Comes again after each reconnect.
    Up,
    /// The connection is gone.
    Down,
    /// Who is in the cluster.
    View(Arc<View>),
    /// Until when this node may act; `None`: not now. At its end everything owned is dropped.
    Lease(Option<Time>),
    /// An ownership record was announced: a reason to look.
    Heard(Heard),
    /// The store answered.
    Stored {
        /// The request's operation.
        op: OpId,
        /// Its answer.
        reply: StoreReply,
    },
    /// What became of an order, or of an epoch that was held.
    Report {
        /// The place.
        place: Place,
        /// What happened.
        report: Report,
    },
    /// The node acts as another run of itself from now on: what the former one owned is dropped.
    Run(Incarnation),
    /// Hand over everything, and take nothing more.
    Drain,
    /// There is no more time to hand over: drop everything, take nothing more, and say
    /// `Effect::Abandoned`.
    Abandon,
}

/// What the log of a place reports of its ownership.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Report {
    /// This node owns it under this epoch: claimed, adopted, or sealed anew.
    Owned(Epoch),
    /// A claim met this record, which it was not to replace.
    Rival {
        /// The record's sequence.
        sequence: Sequence,
    },
    /// The place is handed over: its record names the successor.
    HandedOver {
        /// The new record.
        epoch: Epoch,
        /// The successor.
        to: Incarnation,
    },
    /// The place is released: its record names nobody.
    Released {
        /// The new record.
        epoch: Epoch,
    },
    /// It was to be handed over, and what lives in it has not ended in time: it is owned still, and
    /// serves. Nothing was stored.
    Kept {
        /// The epoch.
        epoch: Epoch,
    },
    /// Another one owns it; everything held is dropped.
    Lost {
        /// The epoch that was held, if one was.
        was: Option<Epoch>,
        /// The stream lost its tail: the record that made it may be gone (S13).
        tail: bool,
    },
    /// The order cannot be carried out for good, or the log of the place halted.
    Failed {
        /// Why, in words.
        cause: String,
    },
}
