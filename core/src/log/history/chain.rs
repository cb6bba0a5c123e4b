//! Commits that are fetched by their sequences, each from any replica first.

use super::super::StoredCommit;
use crate::format::Commit;
use crate::id::{OpId, Sequence};
use crate::port::Source;
use crate::step::Time;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Commits of one page that are being fetched, newest first.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) links: Vec<Link>,
    /// Listed commits beyond this page, newest first.
    pub(super) beyond: Vec<Sequence>,
}

/// One commit of a chain.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) sequence: Sequence,
    pub(super) state: LinkState,
}

/// How far a commit is fetched.
#[derive(Clone, Debug)]
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
    Found(Box<StoredCommit>),
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

    /// All commits, when all are here.
    pub(super) fn complete(&self) -> Option<Vec<StoredCommit>> {
        self.links
            .iter()
            .map(|link| match &link.state {
                LinkState::Found(stored) => Some(StoredCommit::clone(stored)),
                LinkState::Wanted { .. } | LinkState::Asked { .. } => None,
            })
            .collect()
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

/// Which commits come before this one: those that it lists, else the one that its snapshot ends
/// with. None for an entity's first.
pub(super) fn before(commit: &Commit) -> Vec<Sequence> {
    match (&commit.earlier, &commit.snapshot) {
        (earlier, _) if !earlier.is_empty() => earlier.clone(),
        (_, Some(snapshot)) => alloc::vec![snapshot.sequence],
        (_, None) => Vec::new(),
    }
}
