//! Which commits of an entity are wanted, and the one rule that says what a place in its log is.
//!
//! A bound divides the log in two: what is before it and what is not. The store's stamps are taken
//! to rise with the sequences, as the store itself takes them to. Where its clock was set back, a
//! bound by time falls on one of the moments at which the clock showed it: what is taken is whole
//! up to there all the same.

use super::LoggedCommit;
use crate::id::{Sequence, Version, WallTime};

/// From where to where; without bounds everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Range {
    /// Where it begins: nothing that is below any of these is in it.
    pub lower: Bounds,
    /// Where it ends: nothing that is above any of these is in it.
    pub upper: Bounds,
}

/// Bounds of one end of a range, each of them in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Bounds {
    /// An entity's version. A commit with events on both sides of it is in the range.
    pub version: Option<Version>,
    /// A stream sequence.
    pub sequence: Option<Sequence>,
    /// A time on the store's clock.
    pub time: Option<WallTime>,
}

/// What one end of a range is looked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum End {
    /// The last commit that begins below the range, or the first in it.
    Lower,
    /// The last commit in the range.
    Upper,
}

impl Bounds {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The sequence, when it is the only bound.
    pub(super) fn only_sequence(&self) -> Option<Sequence> {
        let Self {
            version,
            sequence,
            time,
        } = self;
        sequence.filter(|_| version.is_none() && time.is_none())
    }

    /// Whether any of them is after a commit of which this version is looked at.
    fn are_after(&self, logged: &LoggedCommit, of_it: Version) -> bool {
        let Self {
            version,
            sequence,
            time,
        } = *self;
        version.is_some_and(|version| of_it < version)
            || sequence.is_some_and(|sequence| logged.sequence < sequence)
            || time.is_some_and(|time| logged.stored < time)
    }
}

impl Range {
    /// Whether a commit ends before the range begins.
    pub(super) fn is_below(&self, logged: &LoggedCommit) -> bool {
        self.lower.are_after(logged, logged.commit.last)
    }

    /// Whether a commit begins after the range ends.
    pub(super) fn is_above(&self, logged: &LoggedCommit) -> bool {
        let Bounds {
            version,
            sequence,
            time,
        } = self.upper;
        version.is_some_and(|version| logged.commit.before >= version)
            || sequence.is_some_and(|sequence| logged.sequence > sequence)
            || time.is_some_and(|time| logged.stored > time)
    }

    /// Whether a commit is at or before the place that is looked for; all commits before one that
    /// is are so too.
    pub(super) fn reaches(&self, end: End, logged: &LoggedCommit) -> bool {
        match end {
            End::Upper => !self.is_above(logged),
            // A commit that begins below the version may have it.
            End::Lower => self.lower.are_after(logged, logged.commit.before),
        }
    }

    /// Whether a commit that is at or before the place is surely the last one: the version that is
    /// looked for, and nothing else is, is in it.
    pub(super) fn is_exact(&self, end: End, logged: &LoggedCommit) -> bool {
        self.version(end)
            .is_some_and(|version| logged.commit.last >= version)
    }

    /// The version that is looked for, if nothing else is.
    pub(super) fn version(&self, end: End) -> Option<Version> {
        let bounds = match end {
            End::Lower => self.lower,
            End::Upper => self.upper,
        };
        let alone = bounds.sequence.is_none() && bounds.time.is_none();
        bounds.version.filter(|_| alone)
    }

    /// Whether a sequence alone tells that its commit is after the place.
    pub(super) fn is_surely_after(&self, end: End, sequence: Sequence) -> bool {
        match end {
            End::Lower => false,
            End::Upper => self.upper.sequence.is_some_and(|last| sequence > last),
        }
    }
}
