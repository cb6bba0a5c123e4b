//! How a load ends: with a state, for nobody, or not at all.

use super::entity::{Phase, Taking, Why};
use super::load::{Folded, LoadStage};
use super::shard::{Op, Retry, Shard, Turn};
use super::{Damage, FoldError, Note, Refusal, Reply};
use crate::format::WriteMode;
use crate::id::{CommitId, Sequence, Slot};
use crate::reached;
use crate::step::Time;
use alloc::string::String;
use alloc::vec::Vec;

impl Shard {
    /// The host folded.
    pub(super) fn on_folded(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        folded: Result<(), FoldError>,
    ) {
        let stage = core::mem::replace(&mut self.loading(slot).stage, LoadStage::Start);
        let LoadStage::Fold(_, outcome) = stage else {
            return t.halt("the host folded without being asked to");
        };
        let Folded {
            held,
            from,
            replayed,
            found,
        } = *outcome;
        match (folded, from) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                let entity = self.entity(slot).id.clone();
                t.note(Note::SnapshotUsed { entity });
            }
            (Err(FoldError::Snapshot { cause }), Some(from)) => {
                // The host holds nothing any more. It may have held an absence before, to which the
                // answer of a replica that lags would lead back.
                self.ignore_snapshot(t, slot, from, cause);
                self.forget_held(slot);
                let moment = self.moment;
                self.loading(slot).anew(moment);
                return self.load_on(t, slot);
            }
            (Err(error), _) => return self.load_failed(t, slot, Refusal::Fold(error)),
        }
        let last = held.sequence;
        let policy = self.kind_of(slot).snapshots;
        let unnamed = self.unnamed_body(slot);
        let entity = self.entity(slot);
        entity.held = Some(held);
        entity.replayed |= policy
            .replayed()
            .is_some_and(|most| replayed.is_some_and(|count| count > most));
        if let Some(body) = unnamed {
            entity.snapshot = Taking::Stored(body);
        }
        self.keep_body(slot, &found);
        self.clear_left(slot);
        self.raise_high_water(last);
        self.loaded(t, slot, Some(found));
    }

    /// The state is what the log said; `found` are the commits that are new in it.
    pub(super) fn loaded(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        found: Option<Vec<(Sequence, CommitId)>>,
    ) {
        let mode = self.config.mode;
        let entity = self.entity(slot);
        entity.tries = 0;
        let Phase::Load(load, why) = core::mem::replace(&mut entity.phase, Phase::Idle) else {
            return t.halt("a load ended that had not begun");
        };
        if let Some(held) = &mut entity.held {
            held.checked = held.checked.max(load.asked);
            if mode == WriteMode::Direct {
                held.confirmed = held.confirmed.max(load.asked);
            }
        }
        match why {
            Why::Open => self.next(t, slot),
            Why::Confirm(members) if found.is_none() => {
                self.release(t, members, Sequence::NONE);
                self.next(t, slot);
            }
            Why::Confirm(members) => {
                reached!(
                    t.cx,
                    "direct: a reply that stored nothing was decided from old state"
                );
                self.decide_again(t, slot, members);
            }
            Why::Look(draft) => self.looked(t, slot, draft, &found.unwrap_or_default()),
        }
    }

    /// The same load again after a wait.
    pub(super) fn load_again(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        if self.parked.contains(&slot) {
            return;
        }
        let for_nobody = self.is_load_for_nobody(t.cx.now, slot);
        match &self.entity(slot).phase {
            // A lost tail was found, and the entity has begun anew.
            Phase::Load(load, _) if matches!(load.stage, LoadStage::Latest(_)) => {}
            Phase::Load(..) if for_nobody => self.leave_load(t, slot),
            Phase::Load(..) => self.back_off(t, slot),
            Phase::Idle
            | Phase::Decide { .. }
            | Phase::Commit(..)
            | Phase::Barrier(_)
            | Phase::Answer { .. }
            | Phase::Encode => {}
        }
    }

    /// A load for which nobody waits any more goes on while the store is at it, since the next caller
    /// will want it; it does not wait for the link or for its next try. Else entities that nobody
    /// wants would pile up while the store is silent.
    pub(super) fn leave_idle_load(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let flying = match &self.entity(slot).phase {
            Phase::Load(load, _) => !load.operations().is_empty(),
            Phase::Idle
            | Phase::Decide { .. }
            | Phase::Commit(..)
            | Phase::Barrier(_)
            | Phase::Answer { .. }
            | Phase::Encode => false,
        };
        if self.is_load_for_nobody(t.cx.now, slot) && !flying {
            self.leave_load(t, slot);
        }
    }

    /// While the stream looks shorter than it was somebody has to look on: whether its tail is lost
    /// is everybody's business (S13). And while a snapshot's body is waited for the load goes on,
    /// which is soon over: else callers with less patience than that would never see the entity.
    fn is_load_for_nobody(&mut self, now: Time, slot: Slot) -> bool {
        let patience = self.limits.snapshot_patience;
        let low = self.low_since.is_some();
        let entity = self.entity(slot);
        let waits = match &entity.phase {
            Phase::Load(load, _) => load.body_absent_since.is_some_and(|since| {
                matches!(load.stage, LoadStage::BodyWanted(_)) && now.since(since) < patience
            }),
            Phase::Idle
            | Phase::Decide { .. }
            | Phase::Commit(..)
            | Phase::Barrier(_)
            | Phase::Answer { .. }
            | Phase::Encode => false,
        };
        !low && !waits && entity.is_load_for_nobody()
    }

    fn leave_load(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        reached!(t.cx, "load: nobody waits for it any more");
        for op in self.loading(slot).operations() {
            self.ops.insert(op, Op::Abandoned);
        }
        // A repetition that is due still finds nothing to do.
        self.parked.remove(&slot);
        let entity = self.entity(slot);
        entity.phase = Phase::Idle;
        entity.tries = 0;
        self.rest(slot);
    }

    /// Nobody who waits can be served.
    pub(super) fn load_failed(&mut self, t: &mut Turn<'_, '_>, slot: Slot, refusal: Refusal) {
        self.abandon_load(slot);
        self.forget_held(slot);
        let entity = self.entity(slot);
        entity.tries = 0;
        let phase = core::mem::replace(&mut entity.phase, Phase::Idle);
        let queue = entity.take_callers();
        if let Phase::Load(_, why) = phase {
            match why {
                Why::Open => {}
                Why::Confirm(members) => {
                    for member in members {
                        t.reply(self, member.command.ticket, Reply::Refused(refusal.clone()));
                    }
                }
                Why::Look(draft) if draft.doubt => self.give_up(t, draft),
                // It was surely refused: nothing happened.
                Why::Look(draft) => self.refuse(t, draft.members, &refusal),
            }
        }
        for caller in queue {
            t.reply(self, caller.ticket(), Reply::Refused(refusal.clone()));
        }
        self.rest(slot);
    }

    pub(super) fn damaged(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        sequence: Sequence,
        what: String,
    ) {
        reached!(t.cx, "load: the log is damaged");
        let stream = self.names.stream.clone().into();
        self.load_failed(
            t,
            slot,
            Refusal::Damaged(Damage {
                stream,
                sequence,
                what,
            }),
        );
    }

    /// Answers to a load's operations are of no use any more.
    pub(super) fn abandon_load(&mut self, slot: Slot) {
        let Phase::Load(load, _) = &self.entity(slot).phase else {
            return;
        };
        for op in load.operations() {
            self.ops.insert(op, Op::Abandoned);
        }
        self.parked.remove(&slot);
        self.retries
            .retain(|(_, retry)| *retry != Retry::Entity(slot));
    }
}
