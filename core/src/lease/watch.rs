//! The lease of another node, as this one counts it (T2).

use super::Terms;
use crate::id::Sequence;
use crate::step::Time;

/// One revision of another node's record, unchanged since a time on this node's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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

    /// When it was received.
    pub fn since(&self) -> Time {
        self.since
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

#[cfg(test)]
mod tests {
    use super::Watch;
    use crate::id::Sequence;
    use crate::lease::Terms;
    use crate::step::{Span, Time};

    #[test]
    fn an_older_revision_is_no_sign_of_life() {
        let at = |ms| Time::ZERO + Span::from_millis(ms);
        let terms = Terms::single();
        let mut watch = Watch::new(Sequence(7), at(0));
        let over_at = watch.over_at(&terms);
        for revision in [6, 7] {
            assert!(!watch.seen(Sequence(revision), at(900)));
            assert_eq!(
                (watch.revision(), watch.over_at(&terms)),
                (Sequence(7), over_at)
            );
        }
        assert!(watch.seen(Sequence(8), at(900)));
        assert_eq!(watch.over_at(&terms), at(900) + terms.watch());
    }
}
