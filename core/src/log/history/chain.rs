//! Commits that are fetched by their sequences, each from any replica first.

use super::LoggedCommit;
use super::seek::Seek;
use super::state::Recall;
use crate::format::Commit;
use crate::id::{OpId, Sequence, Version};
use crate::port::Source;
use crate::step::Time;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Commits of one page that are being fetched, newest first.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Chain {
    pub(super) links: Vec<Link>,
    /// Listed commits beyond this page, newest first.
    pub(super) beyond: Vec<Sequence>,
}

/// What is done with the commits when all are here.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Then {
    /// They are a backward page, after those that were read before; `version` is what the first
    /// of them must lead to.
    Page {
        read: Vec<LoggedCommit>,
        version: Option<Version>,
    },
    /// One of them tells where a place is.
    Seek(Box<Seek>),
    /// One of them names the snapshot that was current at it.
    Older(Box<Recall>),
    /// They lead from a snapshot, or from nothing, to the last commit of a state.
    Gather(Box<Recall>),
}

/// One commit of a chain.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Link {
    pub(super) sequence: Sequence,
    pub(super) state: LinkState,
}

/// How far a commit is fetched.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum LinkState {
    /// To be asked at `at` from `source`; absent at all replicas so far since `absent_since`.
    Wanted {
        at: Time,
        source: Source,
        absent_since: Option<Time>,
    },
    /// Asked.
    Asked {
        op: OpId,
        source: Source,
        absent_since: Option<Time>,
    },
    /// Here.
    Found(Box<LoggedCommit>),
}

impl Chain {
    /// A chain of up to `commits_max` of the listed sequences.
    pub(super) fn new(mut listed: Vec<Sequence>, commits_max: usize, now: Time) -> Self {
        let beyond = listed.split_off(commits_max.min(listed.len()));
        let links = listed
            .into_iter()
            .map(|sequence| Link {
                sequence,
                state: LinkState::Wanted {
                    at: now,
                    source: Source::Replica,
                    absent_since: None,
                },
            })
            .collect();
        Self { links, beyond }
    }

    /// The link that an operation asks for.
    pub(super) fn asked(&mut self, wanted: OpId) -> Option<&mut Link> {
        self.links
            .iter_mut()
            .find(|link| matches!(&link.state, LinkState::Asked { op, .. } if *op == wanted))
    }

    /// Whether all commits are here.
    pub(super) fn is_complete(&self) -> bool {
        let mut links = self.links.iter();
        links.all(|link| matches!(link.state, LinkState::Found(_)))
    }

    /// The commits that are here, and what is listed beyond them.
    pub(super) fn into_found(self) -> (Vec<LoggedCommit>, Vec<Sequence>) {
        let links = self.links.into_iter();
        let found = links.filter_map(|link| match link.state {
            LinkState::Found(logged) => Some(*logged),
            LinkState::Wanted { .. } | LinkState::Asked { .. } => None,
        });
        (found.collect(), self.beyond)
    }

    /// When a link is to be asked next.
    pub(super) fn next_at(&self) -> Option<Time> {
        let times = self.links.iter().filter_map(|link| match &link.state {
            LinkState::Wanted { at, .. } => Some(*at),
            LinkState::Asked { .. } | LinkState::Found(_) => None,
        });
        times.min()
    }
}

/// Which commits before this one it names, newest first: those that it lists, then the one that its
/// snapshot ends with, between which there may be others. None for an entity's first.
pub(super) fn before(commit: &Commit) -> Vec<Sequence> {
    if commit.tombstone {
        return Vec::new();
    }
    let listed = commit.earlier.iter().copied();
    listed
        .chain(commit.snapshot.map(|named| named.sequence))
        .collect()
}

/// Which commits come directly before this one, newest first: those that it lists, else the one that
/// its snapshot ends with.
pub(super) fn directly_before(commit: &Commit) -> Vec<Sequence> {
    let mut listed = before(commit);
    listed.truncate(commit.earlier.len().max(1));
    listed
}
