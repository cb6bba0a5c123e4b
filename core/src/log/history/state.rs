//! What the state at one place is made of: the newest snapshot at or below it that can be used, and
//! the commits from there on (S12, S20).

use super::super::body::Wanted;
use super::chain::{Chain, Then, directly_before};
use super::machine::{Next, Plan, State};
use super::{Bodies, Cursor, History, HistoryPage, HistoryRefusal, LoggedCommit};
use crate::format::{Snapshot, SnapshotRef};
use crate::id::{Sequence, Version};
use crate::port::StoreRequest;
use crate::reached;
use crate::step::{Cx, Span, Time};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

/// A state on its way.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Recall {
    /// Where the bodies of snapshots are; `None` when the log alone is wanted.
    bodies: Option<Bodies>,
    /// The last commit of the state.
    last: LoggedCommit,
    /// Snapshots that were named by what was read.
    named: Vec<SnapshotRef>,
    /// How many bodies were of no use.
    tried: usize,
    /// No body that covers as much as the commit here is of use.
    useless: Option<Sequence>,
    /// That commit was asked which snapshot was current at it.
    looked: Option<Sequence>,
    /// Until when the current one's body, absent where it was asked for, is asked for again.
    absent_until: Option<Time>,
    snapshot: Option<Box<Snapshot>>,
}

impl Recall {
    pub(super) fn new(bodies: Option<Bodies>, last: LoggedCommit, named: Vec<SnapshotRef>) -> Self {
        let useless = bodies.as_ref().and_then(|bodies| bodies.below);
        Self {
            bodies,
            last,
            named,
            tried: 0,
            useless,
            looked: None,
            absent_until: None,
            snapshot: None,
        }
    }

    /// The newest snapshot at or below the place that may be of use.
    fn next(&self, at: Option<Version>) -> Option<SnapshotRef> {
        let fits = |named: &&SnapshotRef| {
            named.sequence <= self.last.sequence
                && self.useless.is_none_or(|useless| named.sequence < useless)
                && at.is_none_or(|version| named.version <= version)
        };
        let named = self.named.iter().filter(fits);
        named.max_by_key(|named| named.sequence).copied()
    }

    /// What the commits of the state follow.
    fn floor(&self) -> (Sequence, Version) {
        match &self.snapshot {
            Some(snapshot) => (snapshot.sequence, snapshot.version),
            None => (Sequence::NONE, Version::ABSENT),
        }
    }
}

impl History {
    /// Reads the body of the next snapshot, or goes on without one.
    pub(super) fn recall(&mut self, cx: &mut Cx<'_>, mut recall: Recall) -> Next {
        let tries_max = recall.bodies.as_ref().map_or(0, |bodies| bodies.tries_max);
        if recall.tried >= tries_max {
            return self.gather(cx, recall);
        }
        if let Some(named) = recall.next(self.ask.range.upper.version) {
            return Next::State(State::Wanted {
                at: cx.now,
                plan: Plan::Body(Box::new(recall), named),
            });
        }
        match recall
            .useless
            .filter(|useless| recall.looked != Some(*useless))
        {
            // The commit that a snapshot ends with names the one before it.
            Some(useless) => {
                recall.looked = Some(useless);
                Next::State(State::Chain {
                    chain: Chain::new(vec![useless], 1, cx.now),
                    then: Then::Older(Box::new(recall)),
                })
            }
            None => self.gather(cx, recall),
        }
    }

    /// Takes in the commit that a snapshot of no use ends with.
    pub(super) fn looked_older(
        &mut self,
        cx: &mut Cx<'_>,
        mut recall: Recall,
        logged: &LoggedCommit,
    ) -> Next {
        recall.named.extend(logged.commit.snapshot);
        self.recall(cx, recall)
    }

    pub(super) fn body_request(
        &self,
        recall: &Recall,
        named: &SnapshotRef,
    ) -> Option<StoreRequest> {
        let bodies = recall.bodies.as_ref()?;
        let (shard, kind, entity) = (bodies.shard, &bodies.kind, &self.ask.entity);
        let namespace = &bodies.namespace;
        Some(StoreRequest::Latest {
            stream: namespace.snapshot_stream(),
            subjects: vec![namespace.snapshot_subject(
                shard,
                kind,
                entity,
                named.version,
                named.tag,
            )],
        })
    }

    /// Takes in the body of a snapshot.
    pub(super) fn embodied(
        &mut self,
        cx: &mut Cx<'_>,
        mut recall: Recall,
        named: SnapshotRef,
        body: &Bytes,
    ) -> Next {
        let snapshot = recall.bodies.as_ref().and_then(|bodies| {
            let wanted = Wanted {
                layout: bodies.layout,
                key: bodies.key,
                kind: self.ask.kind,
                entity: &self.ask.entity,
                schema: bodies.schema,
            };
            wanted.open(&named, body).ok()
        });
        match snapshot {
            Some(snapshot) => {
                reached!(cx, "history: a state begins at a snapshot");
                recall.snapshot = Some(Box::new(snapshot));
                self.gather(cx, recall)
            }
            None => self.useless(cx, recall, named),
        }
    }

    /// The body of a snapshot is absent where it was asked for: the current one's is asked for
    /// again while a replica may lag.
    pub(super) fn bodiless(
        &mut self,
        cx: &mut Cx<'_>,
        mut recall: Recall,
        named: SnapshotRef,
    ) -> Next {
        let may_lag = recall.bodies.as_ref().is_some_and(|bodies| bodies.may_lag);
        // What is left to the caller must do for a replay.
        let half = Span::from_nanos(self.ask.deadline.since(cx.now).as_nanos() / 2);
        let patience = self.limits.snapshot_patience.min(half);
        let until = *recall.absent_until.get_or_insert(cx.now + patience);
        if may_lag && cx.now < until && self.current == Some(named) {
            reached!(cx, "history: a body is absent where it was asked for");
            return self.again(cx, Plan::Body(Box::new(recall), named));
        }
        self.useless(cx, recall, named)
    }

    /// A snapshot is of no use: the one before it is tried.
    pub(super) fn useless(
        &mut self,
        cx: &mut Cx<'_>,
        mut recall: Recall,
        named: SnapshotRef,
    ) -> Next {
        reached!(cx, "history: a snapshot is of no use");
        recall.tried += 1;
        recall.useless = Some(named.sequence);
        self.recall(cx, recall)
    }

    /// Reads what lies between: by the last commit's list when that has all of it, else page by
    /// page.
    fn gather(&mut self, cx: &mut Cx<'_>, recall: Recall) -> Next {
        let (floor, _) = recall.floor();
        let last = &recall.last;
        if last.sequence == floor {
            return self.recalled(recall, Vec::new());
        }
        let commit = &last.commit;
        let cut = commit.earlier.len() >= self.limits.chain_max;
        let covered = commit
            .snapshot
            .map_or(Sequence::NONE, |named| named.sequence);
        let whole =
            commit.tombstone || commit.earlier.contains(&floor) || (covered == floor && !cut);
        if !whole {
            return self.by_pages(recall);
        }
        let mut listed = directly_before(commit);
        listed.retain(|sequence| *sequence > floor);
        let count = listed.len();
        let chain = Chain::new(listed, count, cx.now);
        self.fetched(cx, chain, Then::Gather(Box::new(recall)))
    }

    /// Takes in what lies between, newest first.
    pub(super) fn gathered(&self, recall: Recall, found: Vec<LoggedCommit>) -> Next {
        let (floor, at) = recall.floor();
        let mut commits = vec![recall.last.clone()];
        for logged in found {
            let after = commits.last().map_or(&recall.last, |after| after);
            if logged.commit.last != after.commit.before {
                let what = format!(
                    "it ends at version {}, the commit after it follows {}",
                    logged.commit.last, after.commit.before
                );
                let damage = self.damage(logged.sequence, what);
                return Next::Done(Err(HistoryRefusal::Damaged(damage)));
            }
            commits.push(logged);
        }
        let first = commits.last().map_or(&recall.last, |first| first);
        let before = directly_before(&first.commit).first().copied();
        let follows = (before.unwrap_or(Sequence::NONE), first.commit.before) == (floor, at);
        if !follows && !first.commit.tombstone {
            // Its writer lists less than this build does.
            return self.by_pages(recall);
        }
        commits.reverse();
        self.recalled(recall, commits)
    }

    /// Leaves what lies between to forward pages.
    fn by_pages(&self, recall: Recall) -> Next {
        let (sequence, version) = recall.floor();
        let next = Cursor::After {
            head: recall.last.sequence,
            sequence,
            version,
        };
        Next::Done(Ok(HistoryPage {
            next: Some(next),
            snapshot: recall.snapshot,
            ..self.page(Vec::new(), None)
        }))
    }

    fn recalled(&self, recall: Recall, commits: Vec<LoggedCommit>) -> Next {
        Next::Done(Ok(HistoryPage {
            snapshot: recall.snapshot,
            ..self.page(commits, None)
        }))
    }
}
