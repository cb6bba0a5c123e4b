//! The lease of another node, as this one counts it (T2).

use super::Terms;
use crate::id::Sequence;
use crate::step::Time;

/// One revision of another node's record, unchanged since a time on this node's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    revision: Sequence,
    since: Time,
}

impl Watch {
    /// A revision was received for the first time.
    pub fn new(revision: Sequence, now: Time) -> Self {
        Self {
            revision,
            since: now,
        }
    }

    /// The revision that is watched.
    pub fn revision(&self) -> Sequence {
        self.revision
    }

    /// A revision was received. Whether it is news; an older one is not.
    pub fn seen(&mut self, revision: Sequence, now: Time) -> bool {
        let newer = revision > self.revision;
        if newer {
            *self = Self::new(revision, now);
        }
        newer
    }

    /// When the lease is over, if the revision does not change until then and the record is then
    /// replaced at exactly this revision.
    pub fn over_at(&self, terms: &Terms) -> Time {
        self.since + terms.watch()
    }

    /// The same for one that may have been silent through no fault of its own until `steady`, such as
    /// while the store took no writes.
    pub fn over_after(&self, steady: Time, terms: &Terms) -> Time {
        self.since.max(steady) + terms.watch()
    }
}
