//! One entity on its way: what is stored of it, and what comes next.

use crate::format::{Commit, ExportedCommit};
use crate::id::{CommitId, Sequence, Version};
use crate::name::{EntityId, KindName};
use crate::step::Time;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Which entity.
pub(super) type Key = (KindName, EntityId);

/// What is known of an entity.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    /// Names its requests.
    pub(super) number: u64,
    /// Its commits that are not stored yet.
    pub(super) queue: VecDeque<ExportedCommit>,
    /// Whether its last stored commit is known.
    pub(super) known: bool,
    /// That commit; `None` where there is none, or where it is not known.
    pub(super) head: Option<Head>,
    /// A request of it is on its way, or waits.
    pub(super) busy: bool,
    /// Where it is among those at rest.
    pub(super) rests: Option<u64>,
    /// Since when less is stored than was before.
    pub(super) behind_since: Option<Time>,
}

/// The last stored commit of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence: Sequence,
    pub(super) id: CommitId,
    pub(super) last: Version,
    /// It has no events.
    pub(super) is_empty: bool,
    /// What its successor lists behind it.
    pub(super) earlier: Vec<Sequence>,
    pub(super) hash: u128,
    /// It was found, and the file has not come to it yet.
    pub(super) ahead: bool,
}

/// What is to be done with the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is stored already.
    Skip,
    /// Store it.
    Publish,
    /// Less is stored than it follows.
    Behind,
    /// It is stored with other content.
    Differs,
    /// It does not follow what is stored.
    DoesNotFollow,
}

impl Entity {
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            queue: VecDeque::new(),
            known: false,
            head: None,
            busy: false,
            rests: None,
            behind_since: None,
        }
    }

    /// What is to be done with the next commit, given the last one that is stored.
    pub(super) fn next(&self, next: &ExportedCommit) -> Next {
        let commit = &next.commit;
        let found = self.head.as_ref().map_or(Version::ABSENT, |head| head.last);
        match &self.head {
            Some(head) if head.ahead && commit.id == head.id => match next.hash() == head.hash {
                true => Next::Skip,
                false => Next::Differs,
            },
            Some(head) if head.ahead => match commit.last > head.last {
                true => Next::DoesNotFollow,
                false => Next::Skip,
            },
            Some(_) | None if commit.tombstone || commit.before == found => Next::Publish,
            Some(_) | None if commit.before > found => Next::Behind,
            Some(_) | None => Next::DoesNotFollow,
        }
    }

    /// The last stored commit was looked up. `passed`: the file came to this one before.
    pub(super) fn found(&mut self, head: Option<Head>, passed: Option<CommitId>) {
        let was = self.head.take();
        self.known = true;
        self.head = head.map(|mut head| {
            let passed = [passed, was.filter(|was| !was.ahead).map(|was| was.id)];
            head.ahead = !passed.contains(&Some(head.id))
                && self
                    .queue
                    .front()
                    .is_some_and(|next| head.is_after(&next.commit));
            head
        });
    }
}

impl Head {
    pub(super) fn new(
        sequence: Sequence,
        exported: &ExportedCommit,
        earlier: Vec<Sequence>,
    ) -> Self {
        Self {
            sequence,
            id: exported.commit.id,
            last: exported.commit.last,
            is_empty: exported.commit.events.is_empty(),
            earlier,
            hash: exported.hash(),
            ahead: false,
        }
    }

    /// Whether a commit comes before this one, or is it. Of several without events at one version the file
    /// tells the order: such a one was passed if it is known to be.
    fn is_after(&self, commit: &Commit) -> bool {
        commit.before < self.last
            || (commit.before == self.last && commit.events.is_empty() && self.is_empty)
    }

    /// What the next commit lists.
    pub(super) fn list(&self, chain_max: usize) -> Vec<Sequence> {
        let chain = core::iter::once(self.sequence).chain(self.earlier.iter().copied());
        chain.take(chain_max.max(1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Entity, Head, Next};
    use crate::format::{Commit, ExportedCommit, Unknown};
    use crate::id::{CommitId, KindId, LayoutId, Partition, Sequence, Version, WallTime};
    use crate::name::{EntityId, KindName};
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    /// A commit without events.
    fn empty(n: u64) -> ExportedCommit {
        let commit = Commit {
            id: CommitId(u128::from(n)),
            layout: LayoutId(0),
            kind: KindId(0),
            entity: EntityId::new("alice").unwrap(),
            epoch: None,
            time: WallTime(n),
            before: Version(5),
            last: Version(5),
            earlier: Arc::default(),
            snapshot: None,
            horizon: WallTime(0),
            commands: Vec::new(),
            events: Vec::new(),
            tombstone: false,
            metadata: Vec::new(),
            later: None,
            unknown: Unknown::default(),
        };
        let place = (Partition(0), Sequence(n));
        ExportedCommit::new(KindName::new("account").unwrap(), place, commit)
    }

    /// A replica that lags tells the commit before the one that was refused in its place: the next one is
    /// not stored for all that.
    #[test]
    fn what_was_passed_is_not_ahead_though_no_version_tells_them_apart() {
        let (first, second) = (empty(1), empty(2));
        let head = || Head::new(Sequence(7), &first, Vec::new());
        let mut entity = Entity::new(0);
        entity.queue.push_back(second.clone());
        entity.head = Some(head());
        entity.found(Some(head()), None);
        assert_eq!(entity.next(&second), Next::Publish);
        // A run that does not know it has not come to it yet.
        entity.head = None;
        entity.queue.push_front(first.clone());
        entity.found(Some(head()), None);
        assert_eq!(entity.next(&first), Next::Skip);
    }
}
