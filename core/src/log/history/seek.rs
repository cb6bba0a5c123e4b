//! Finding a place in an entity's log: single reads of commits that later ones list (S12).
//!
//! Two commits close in on the place: the oldest known to be after it, and the newest known not to
//! be. What the first lists is read here and there: further and further back while nothing before
//! the place is known, then in the middle, until the two are neighbours.

use super::LoggedCommit;
use super::chain::{Chain, Then, before};
use super::machine::{Next, State};
use super::range::{End, Range};
use super::{History, HistoryRefusal};
use crate::format::SnapshotRef;
use crate::id::Sequence;
use crate::step::Cx;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// What a page does with the place that it begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Goal {
    Forward,
    Backward,
    State,
}

/// A place that is looked for.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Seek {
    pub(super) goal: Goal,
    /// The entity's last commit.
    pub(super) head: Sequence,
    /// The oldest commit that is known to be after the place.
    pub(super) after: LoggedCommit,
    /// The newest commit that is known not to be.
    pub(super) found: Option<LoggedCommit>,
    /// How often in a row what was read was still after the place, though it was thought to be near.
    pub(super) misses: u32,
    /// The snapshots that were named by what was read.
    pub(super) snapshots: Vec<SnapshotRef>,
}

impl Goal {
    pub(super) fn end(self) -> End {
        match self {
            Self::Forward => End::Lower,
            Self::Backward | Self::State => End::Upper,
        }
    }
}

impl History {
    /// Reads the next commit that tells more, or goes on from the place.
    pub(super) fn seek(&mut self, cx: &mut Cx<'_>, seek: Seek) -> Next {
        match seek.probe(&self.ask.range) {
            None => self.sought(cx, seek),
            Some(sequence) => Next::State(State::Chain {
                chain: Chain::new(vec![sequence], 1, cx.now),
                then: Then::Seek(Box::new(seek)),
            }),
        }
    }

    /// Takes in one commit that was read.
    pub(super) fn probed(&mut self, cx: &mut Cx<'_>, mut seek: Seek, logged: LoggedCommit) -> Next {
        if logged.commit.last > seek.after.commit.before {
            let what = format!(
                "it ends at version {}, a commit after it follows {}",
                logged.commit.last, seek.after.commit.before
            );
            let damage = self.damage(logged.sequence, what);
            return Next::Done(Err(HistoryRefusal::Damaged(damage)));
        }
        seek.snapshots.extend(logged.commit.snapshot);
        let (range, end) = (&self.ask.range, seek.goal.end());
        if !range.reaches(end, &logged) {
            let farthest = before(&seek.after.commit).last() == Some(&logged.sequence);
            seek.misses = match range.version(end) {
                Some(_) if farthest => 0,
                Some(_) | None => seek.misses + 1,
            };
            seek.after = logged;
            return self.seek(cx, seek);
        }
        let exact = range.is_exact(end, &logged);
        seek.found = Some(logged);
        if exact {
            self.sought(cx, seek)
        } else {
            self.seek(cx, seek)
        }
    }
}

impl Seek {
    /// The commit to read next; `None` when the place is found.
    fn probe(&self, range: &Range) -> Option<Sequence> {
        let end = self.goal.end();
        let commit = &self.after.commit;
        let listed = before(commit);
        let sure = listed
            .iter()
            .take_while(|sequence| range.is_surely_after(end, **sequence))
            .count();
        if sure > 0 && sure >= commit.earlier.len() {
            // What is between the last that it lists and a snapshot's commit is not known here.
            return listed.get(sure - 1).copied();
        }
        let found = self.found.as_ref().map(|found| found.sequence);
        let nearest = listed.get(sure).copied()?;
        if found == Some(nearest) {
            return None;
        }
        let open: Vec<Sequence> = listed
            .into_iter()
            .skip(sure)
            .take_while(|sequence| found.is_none_or(|found| *sequence > found))
            .collect();
        let last = open.len().checked_sub(1)?;
        let index = match found {
            Some(_) => open.len() / 2,
            None => self.stride(range).min(last),
        };
        open.get(index).copied()
    }

    /// How far back to look while nothing before the place is known.
    fn stride(&self, range: &Range) -> usize {
        let end = self.goal.end();
        if end == End::Upper && range.upper.only_sequence().is_some() {
            // What is listed and not surely after it is not after it.
            return 0;
        }
        let gallop = (1_usize << self.misses.min(16)) - 1;
        let Some(version) = range.version(end) else {
            return gallop;
        };
        let commit = &self.after.commit;
        if commit
            .snapshot
            .is_some_and(|named| named.version >= version)
        {
            return usize::MAX;
        }
        // With one event in each commit this is the very one.
        let versions = commit.before.0.saturating_sub(version.0);
        gallop.max(usize::try_from(versions).unwrap_or(usize::MAX))
    }
}
