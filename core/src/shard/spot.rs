//! One place as its node knows it: the record, how sure that is, and what is held or ordered.

use crate::id::{ClaimId, Epoch, Incarnation, Sequence};
use crate::name::NodeName;
use crate::step::Time;

/// What is known of a place.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Spot {
    /// The latest ownership record that was seen; `None`: there is none, as far as is known.
    pub(super) record: Option<Record>,
    pub(super) hold: Hold,
    /// Who is to own it, among those who can.
    pub(super) best: Option<NodeName>,
    /// Its record counts only when it was read in this moment or later.
    doubted: u64,
    /// When its record was asked for that was read last; `None`: never.
    read: Option<u64>,
    /// A read of it is under way.
    pub(super) reading: bool,
    /// The record under which it is held is not there any more.
    pub(super) gone: bool,
    /// Nothing is read or ordered before, after an order that came to nothing.
    pub(super) not_before: Time,
    /// When this node came to own it.
    pub(super) taken: Time,
    /// How often in a row its hand-over came to nothing since it was taken, and when it may be tried
    /// again.
    pub(super) kept: u32,
    pub(super) leave_from: Time,
    /// When its record was seen to be another.
    pub(super) changed: Time,
    /// Orders that came to nothing, in a row.
    pub(super) tries: u32,
}

/// An ownership record that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Record {
    pub(super) sequence: Sequence,
    pub(super) claim: ClaimId,
    pub(super) owner: Option<Incarnation>,
    /// How many lists of members there were when its owner was found to be unknown.
    pub(super) met: Option<u64>,
    /// When it was seen to have come in the place of another, or of none; `None`: it was there at the
    /// first look.
    pub(super) fresh: Option<u64>,
}

/// What this node has of a place, or ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Hold {
    /// Nothing.
    #[default]
    No,
    /// Ordered to claim it, or to take up the record that names this node.
    Taking,
    /// Owned.
    Held(Epoch),
    /// Ordered to hand it over, or to release it.
    Leaving,
    /// Ordered to drop it.
    Dropping,
}

impl Hold {
    pub(super) fn is_under_way(self) -> bool {
        match self {
            Self::Taking | Self::Leaving | Self::Dropping => true,
            Self::No | Self::Held(_) => false,
        }
    }
}

impl Record {
    pub(super) fn of(epoch: Epoch, owner: Option<Incarnation>) -> Self {
        Self {
            sequence: epoch.sequence,
            claim: epoch.claim,
            owner,
            met: None,
            fresh: None,
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch {
            sequence: self.sequence,
            claim: self.claim,
        }
    }
}

impl Spot {
    /// What is known of its record counts only when it is read again.
    pub(super) fn doubt(&mut self, moment: u64) {
        self.doubted = moment;
    }

    /// Its record was asked for then, or told in that moment.
    pub(super) fn saw(&mut self, asked: u64) {
        self.read = self.read.max(Some(asked));
    }

    /// Whether its record was ever read.
    pub(super) fn is_known(&self) -> bool {
        self.read.is_some()
    }

    /// Whether its record was read since it was doubted.
    pub(super) fn is_sure(&self) -> bool {
        self.read.is_some_and(|read| read >= self.doubted)
    }
}
