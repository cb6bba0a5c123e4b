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
    Held(Own),
    /// Its consumer is to end; then the record is released, unless it is another's by now.
    Ending { release: bool },
    /// Nothing acts: the record is read, which this run wrote last.
    Settling,
    /// A record that names nobody is being written.
    Releasing(Pending),
}

/// A claim of this run that was stored.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Own {
    /// In the place of this record.
    over: Sequence,
    /// Since when a record is read that is none of this run's, and not after that one.
    gone_since: Option<Time>,
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

impl Own {
    /// A claim that was stored in the place of a record.
    pub(super) fn over(over: Sequence) -> Self {
        Self {
            over,
            gone_since: None,
        }
    }

    /// A record is read, of this run or not: whether it took the claim's place. One behind the record that the
    /// claim replaced did. One that is not is what a replica that lags still has; after a while the claim is
    /// gone with the stream's tail, and sequences are given again.
    pub(super) fn is_taken(
        &mut self,
        (own, at): (bool, Sequence),
        now: Time,
        patience: Span,
    ) -> bool {
        if own {
            self.gone_since = None;
            return false;
        }
        let since = *self.gone_since.get_or_insert(now);
        at > self.over || now.since(since) >= patience
    }

    /// Whether the record is to be read again, to know whether the claim is gone.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.gone_since.is_some()
    }
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
            Hold::Held(own) => own.is_in_doubt(),
            Hold::Ending { .. } => false,
        }
    }

    /// Whether anything of it acts here, or is about to.
    pub(super) fn acts(&self) -> bool {
        match self.hold {
            Hold::Held(_) | Hold::Ending { .. } => true,
            Hold::No | Hold::Claiming(_) | Hold::Settling | Hold::Releasing(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Own;
    use crate::id::Sequence;
    use crate::step::{Span, Time};

    const PATIENCE: Span = Span::from_secs(10);

    fn after(seconds: u64) -> Time {
        Time::ZERO + Span::from_secs(seconds)
    }

    #[test]
    fn a_record_behind_the_one_that_a_claim_replaced_has_taken_its_place() {
        let mut own = Own::over(Sequence(20));
        assert!(!own.is_taken((true, Sequence(21)), after(0), PATIENCE));
        // The claim and its checkpoints had higher sequences; they are given again.
        assert!(own.is_taken((false, Sequence(21)), after(1), PATIENCE));
    }

    #[test]
    fn a_claim_that_a_replica_lacks_for_long_is_lost() {
        let mut own = Own::over(Sequence(20));
        assert!(!own.is_taken((false, Sequence(20)), after(1), PATIENCE));
        assert!(own.is_in_doubt());
        assert!(!own.is_taken((true, Sequence(21)), after(10), PATIENCE));
        assert!(!own.is_in_doubt());
        assert!(!own.is_taken((false, Sequence(18)), after(11), PATIENCE));
        assert!(!own.is_taken((false, Sequence(20)), after(20), PATIENCE));
        assert!(own.is_taken((false, Sequence(18)), after(21), PATIENCE));
    }
}
