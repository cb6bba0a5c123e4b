//! One partition as its node knows it: the record, and what is held or under way.

use crate::format::Checkpoint;
use crate::id::{Incarnation, Sequence};
use crate::name::NodeName;
use crate::step::{Span, Time};
use alloc::boxed::Box;

/// What is known of a partition.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Spot {
    /// The record as it was read or written last; `None`: there was none.
    pub(super) known: Option<Known>,
    /// A record was there once.
    pub(super) was_there: bool,
    /// Since when it is absent though it was there.
    pub(super) absent_since: Option<Time>,
    /// It cannot be read by this build.
    pub(super) unreadable: bool,
    pub(super) hold: Hold,
    /// Who is to own it.
    pub(super) best: Option<NodeName>,
    /// A claim that was given up with the lease, and may be stored late.
    pub(super) late: Option<Late>,
    /// When this node came to own it.
    pub(super) taken: Time,
    /// Its consumer was told to pause.
    pub(super) paused: bool,
}

/// A partition's record, and where it is.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Known {
    pub(super) at: Sequence,
    pub(super) record: Box<Checkpoint>,
    /// How many lists of members there were when its owner was found to be unknown.
    pub(super) met: Option<u64>,
}

/// What this node has of a partition.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Hold {
    #[default]
    No,
    /// A claim is being written.
    Claiming(Pending),
    /// Its consumer runs, or ended by itself.
    Held,
    /// Its consumer is to end; then the record is released, unless it is another's by now.
    Ending { release: bool },
    /// Nothing acts: the record is read, which this run wrote last.
    Settling,
    /// A record that names nobody is being written.
    Releasing(Pending),
}

/// A claim that may be stored late.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Late {
    /// In the place of this record.
    over: Sequence,
    /// Since when a record is read that is before that one.
    short_since: Option<Time>,
}

/// A record that is being written.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Pending {
    /// In the place of this one.
    pub(super) over: Sequence,
    pub(super) record: Box<Checkpoint>,
    /// Whose it was.
    pub(super) from: Option<Incarnation>,
    /// What became of it is not known: the record is to be read.
    pub(super) doubt: bool,
    /// Since when a record is read that is before the one in whose place it is to be.
    pub(super) short_since: Option<Time>,
}

impl Spot {
    /// Whose it is, as far as is known.
    pub(super) fn owner(&self) -> Option<Incarnation> {
        self.known.as_ref().and_then(|known| known.record.owner)
    }

    /// A claim in the place of a record is given up.
    pub(super) fn leave_late(&mut self, over: Sequence) {
        self.late = Some(Late {
            over,
            short_since: None,
        });
    }

    /// Whether a claim in the place of a record may be stored late.
    pub(super) fn is_late(&self, over: Sequence) -> bool {
        self.late.is_some_and(|late| late.over == over)
    }

    /// The record is at a place. With another one in the place of the one that a late claim expects, it never
    /// will be stored; nor if that one is gone with the stream's tail, which a replica that lags looks like
    /// for a while.
    pub(super) fn meet_late(&mut self, at: Sequence, now: Time, patience: Span) {
        self.late = self.late.and_then(|mut late| {
            if at >= late.over {
                late.short_since = None;
                return (at == late.over).then_some(late);
            }
            let since = *late.short_since.get_or_insert(now);
            (now.since(since) < patience).then_some(late)
        });
    }

    /// Whether its record is to be read for this node's own sake.
    pub(super) fn is_in_doubt(&self) -> bool {
        match &self.hold {
            Hold::Claiming(pending) | Hold::Releasing(pending) => pending.doubt,
            Hold::Settling => true,
            Hold::No => self.late.is_some_and(|late| late.short_since.is_some()),
            Hold::Held | Hold::Ending { .. } => false,
        }
    }

    /// Whether anything of it acts here, or is about to.
    pub(super) fn acts(&self) -> bool {
        match self.hold {
            Hold::Held | Hold::Ending { .. } => true,
            Hold::No | Hold::Claiming(_) | Hold::Settling | Hold::Releasing(_) => false,
        }
    }
}
