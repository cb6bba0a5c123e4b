//! Deleting an entity: a tombstone takes the place of all that was stored of it.
//!
//! A tombstone is a commit like any other, decided by a command and stored under the same checks (S7,
//! S8). Its message carries `Nats-Rollup: sub`, so its subject has nothing else when it is
//! acknowledged. It lists no earlier commits and names no snapshot.
//!
//! - V1: a tombstone has the events, timers and messages of one command, messages that go on (V7), and is the
//!   first commit of what the entity's log has from then on.
//! - V2: it is sent only when all that the entity sent to others is delivered or goes on (V7). Its armed timers, what it
//!   sent to itself and what failed go with it.
//! - V3: the entity is absent after it, as one that never was; its versions go on, so none comes twice.
//! - V4: it remembers the command ids, without what they were answered: none takes effect again (P4).
//! - V5: bodies of its snapshots are deleted after it is acknowledged. Whoever loads a deleted entity looks
//!   for those that were left.

use super::entity::{Draft, Member};
use super::load::{Floor, LoadStage};
use super::shard::{Op, Shard, Turn};
use super::{Refusal, Reply, Verdict};
use crate::format::SnapshotRef;
use crate::id::{Sequence, Slot, SnapshotTag};
use crate::port::Rollup;
use crate::reached;
use alloc::vec::Vec;

impl Draft {
    /// What its message does to those before it.
    pub(super) fn rollup(&self) -> Rollup {
        match self.commit.tombstone {
            true => Rollup::Subject,
            false => Rollup::No,
        }
    }
}

/// The name of the event of a deletion that has no other.
pub(crate) const DELETED: &str = "tenure-deleted";

impl Shard {
    /// A deletion of an entity of which nothing is stored is none, unless it has events of its own. What
    /// has no version may have timers and messages all the same.
    pub(super) fn spare(&mut self, slot: Slot, verdict: &mut Verdict) {
        let held = self.entity(slot).held.as_ref();
        let bare = held.is_none_or(|held| match held.is_deleted() {
            true => held.sequence == held.tombstone,
            false => held.commit.is_none(),
        });
        if let Verdict::Accepted { events, delete, .. } = verdict
            && *delete
            && bare
            && events.iter().all(|event| event.name == DELETED)
        {
            events.clear();
            *delete = false;
        }
    }

    /// A load came to a tombstone: nothing before it is there, and nothing of that is waited for.
    pub(super) fn begin_at_tombstone(&mut self, slot: Slot, tombstone: Sequence) {
        let load = self.loading(slot);
        if load.floor.sequence() < tombstone {
            load.floor = Floor::Nothing;
        }
        load.candidate = load.candidate.filter(|it| it.sequence > tombstone);
        load.commits = load.commits.split_off(&tombstone);
        let dropped = match &mut load.stage {
            LoadStage::Chain(listed) => listed.forget_below(tombstone),
            LoadStage::Start
            | LoadStage::Latest(_)
            | LoadStage::BodyWanted(_)
            | LoadStage::Body(..)
            | LoadStage::Fold(..) => Vec::new(),
        };
        for op in dropped {
            self.ops.insert(op, Op::Abandoned);
        }
    }

    /// A commit in doubt was overtaken: those of its members that may be decided again. If the entity was
    /// deleted since, the commit may have been stored and be gone; who has an id is found by it (V4), of
    /// the others nobody knows.
    pub(super) fn settle_erased(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        draft: Draft,
    ) -> Vec<Member> {
        let held = self.entity(slot).held.as_ref();
        let deleted = held.is_some_and(|held| held.tombstone > draft.after);
        if !(draft.doubt && deleted) {
            return draft.members;
        }
        reached!(t.cx, "log: an unknown commit may have gone with its entity");
        let (known, lost): (Vec<_>, Vec<_>) = draft
            .members
            .into_iter()
            .partition(|member| member.command.id.is_some());
        for member in lost.into_iter().filter(|member| !member.gone) {
            let unknown = Reply::Refused(Refusal::Unknown);
            t.reply(self, member.command.ticket, unknown);
        }
        known
    }

    /// A tombstone is acknowledged: no snapshot of the entity is needed any more (V5).
    pub(super) fn clear_bodies(&mut self, slot: Slot) {
        self.drop_body(slot);
        self.entity(slot).replayed = false;
        self.entity(slot).swept = false;
        self.clear_left(slot);
    }

    /// Looks once for snapshots that an entity left which is deleted.
    pub(super) fn clear_left(&mut self, slot: Slot) {
        let entity = self.entity(slot);
        let Some(held) = entity.held.as_ref().filter(|held| held.is_deleted()) else {
            return;
        };
        if core::mem::replace(&mut entity.swept, true) {
            return;
        }
        // Of a later life they begin there.
        let Some(version) = held.version.after(1) else {
            return;
        };
        let first = SnapshotRef {
            version,
            sequence: held.sequence,
            tag: SnapshotTag(0),
            hash: 0,
        };
        let below = self.snapshot_subject(slot, &first);
        self.sweep(slot, Vec::from([below]));
    }
}
