//! Storing a commit by itself, in direct mode, and what its answers mean (S7, S9, S10).

use super::entity::{Draft, Phase, Stage, Why};
use super::shard::{Op, Shard, Turn};
use super::{Provisional, Refusal, Reply};
use crate::format::WriteMode;
use crate::id::{CommitId, Sequence, Slot};
use crate::port::{Expect, Publish, Refused, StoreDone, StoreReply, StoreRequest};
use crate::step::Outcome;
use crate::{reached, sometimes};
use alloc::boxed::Box;

impl Shard {
    /// Sends an entity's draft, or queues it where sending is the shard's business.
    pub(super) fn send(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        if !self.is_checked(slot) {
            return self.check_anew(t, slot);
        }
        match self.config.mode {
            WriteMode::Direct => self.send_direct(t, slot),
            WriteMode::Owned => self.line_up(t, slot),
        }
    }

    fn send_direct(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        if !self.up {
            self.parked.insert(slot);
            return;
        }
        if self.window.singles_count >= self.window.singles_max {
            reached!(t.cx, "direct: a commit waits for others to be answered");
            self.window.ready.push_back(slot);
            return;
        }
        let stream = self.names.stream.clone();
        let moment = self.moment;
        let high_water = self.high_water;
        let entity = self
            .entities
            .get_mut(slot)
            .expect("a slot of an entity in memory");
        let Phase::Commit(draft, stage @ (Stage::Ready | Stage::Waiting)) = &mut entity.phase
        else {
            return;
        };
        let Some(held) = &mut entity.held else { return };
        let steps = held.chain.steps_of(&draft.commit.earlier);
        *stage = Stage::Flying;
        draft.leaves(moment, high_water);
        let publish = Publish {
            stream,
            subject: entity.subject.clone(),
            expect: Expect::OwnLast(held.sequence),
            rollup: draft.rollup(),
            dedup: None,
            ttl_s: None,
            payload: draft.commit.encode_with(&mut self.encoded, steps),
        };
        self.window.singles_count += 1;
        self.ask(t, Op::Commit(slot), StoreRequest::Publish(publish));
    }

    /// Direct mode: sends what waited for room among the commits in flight.
    fn fill_window(&mut self, t: &mut Turn<'_, '_>) {
        while self.window.singles_count < self.window.singles_max
            && let Some(slot) = self.window.ready.pop_front()
        {
            if self.entities.contains(slot) {
                self.send_direct(t, slot);
            }
        }
    }

    /// Direct mode: the store answered a commit.
    pub(super) fn on_commit(&mut self, t: &mut Turn<'_, '_>, slot: Slot, reply: StoreReply) {
        self.window.singles_count -= 1;
        self.on_answer(t, slot, reply);
        self.fill_window(t);
    }

    fn on_answer(&mut self, t: &mut Turn<'_, '_>, slot: Slot, reply: StoreReply) {
        let Phase::Commit(mut draft, _) =
            core::mem::replace(&mut self.entity(slot).phase, Phase::Idle)
        else {
            return t.halt("a commit was answered that was not sent");
        };
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                self.committed(t, slot, draft, ack.sequence);
            }
            Outcome::Done(_) => t.halt("the answer to a publish is another kind"),
            Outcome::Refused(Refused::WrongLast { actual }) => {
                let actual = actual.unwrap_or(Sequence::NONE);
                let behind = actual < draft.after;
                sometimes!(t.cx, behind, "direct: a server refused from old state");
                // A leader that was replaced refuses for itself only: its successor hears the same
                // message, and may store it.
                draft.doubt |= behind;
                self.load(t, slot, Why::Look(draft), actual);
            }
            Outcome::Refused(refused) if refused.passes() => {
                reached!(t.cx, "direct: a commit was refused for now");
                draft.doubt |= !refused.settles(self.shape.replicated);
                self.wait(t, slot, draft);
            }
            Outcome::Refused(refused) => {
                draft.doubt |= !refused.settles(self.shape.replicated);
                self.refused_for_good(t, slot, draft, refused);
            }
            Outcome::Unknown => {
                reached!(t.cx, "direct: a commit's outcome is unknown");
                draft.doubt = true;
                self.wait(t, slot, draft);
            }
        }
    }

    /// The same attempt again after a wait, unless nobody waits for it.
    fn wait(&mut self, t: &mut Turn<'_, '_>, slot: Slot, draft: Box<Draft>) {
        if self.entity(slot).held.is_none() || draft.is_alone() {
            if draft.doubt {
                self.give_up(t, draft);
                self.forget_held(slot);
            } else {
                self.requeue(slot, draft.members);
            }
            return self.next(t, slot);
        }
        self.entity(slot).phase = Phase::Commit(draft, Stage::Waiting);
        self.back_off(t, slot);
    }

    /// The log was read after a commit met a subject that had moved: every message after the
    /// expected one was looked at (S9).
    pub(super) fn looked(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        draft: Box<Draft>,
        found: &[(Sequence, CommitId)],
    ) {
        let mine = found.iter().find(|(_, id)| *id == draft.commit.id);
        if let Some((sequence, _)) = mine {
            reached!(t.cx, "log: an unknown commit was found");
            let mut draft = draft;
            self.acknowledged(t, slot, &draft.commit, (*sequence, draft.stored_above));
            let members = core::mem::take(&mut draft.members);
            self.release(t, members, *sequence);
            return self.next(t, slot);
        }
        let sealed = self.config.mode == WriteMode::Owned;
        let held = self.entity(slot).held.as_ref();
        let last = held.map_or(Sequence::NONE, |held| held.sequence);
        if last == draft.after {
            // The subject did not move.
            if sealed {
                return self.surely_not_stored(t, slot, draft);
            }
            return self.wait(t, slot, draft);
        }
        if draft.lost && draft.doubt {
            // What it rests on is gone, but sequences are given again: it may be stored yet.
            reached!(t.cx, "log: an unknown commit's predecessor was lost");
            self.give_up(t, draft);
            return self.next(t, slot);
        }
        // It can never be stored: its subject went on without it, or what it rests on is gone.
        sometimes!(t.cx, draft.doubt, "direct: an unknown commit was overtaken");
        let members = self.settle_erased(t, slot, *draft);
        self.decide_again(t, slot, members);
    }

    /// Owned mode: after a seal and a read with proof, a commit was not stored and never will be.
    fn surely_not_stored(&mut self, t: &mut Turn<'_, '_>, slot: Slot, mut draft: Box<Draft>) {
        draft.doubt = false;
        if let Some(refused) = draft.refused.take() {
            return self.refused_for_good(t, slot, draft, refused);
        }
        if draft.is_alone() {
            return self.next(t, slot);
        }
        reached!(
            t.cx,
            "owned: a sealed commit was not stored and is sent again"
        );
        self.entity(slot).phase = Phase::Commit(draft, Stage::Ready);
        self.send(t, slot);
    }

    /// A commit is acknowledged.
    pub(super) fn committed(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        draft: Box<Draft>,
        sequence: Sequence,
    ) {
        let below = sequence <= draft.sent_above;
        if draft.lost || below {
            // Stored in a stream that lost its tail under it: the predecessor may be gone.
            reached!(t.cx, "log: a commit was acknowledged below what was known");
            self.give_up(t, draft);
            self.forget_held(slot);
            if below {
                self.lost_tail(t, sequence);
            }
            return self.next(t, slot);
        }
        self.raise_high_water(sequence);
        self.acknowledged(t, slot, &draft.commit, (sequence, draft.stored_above));
        if self.entity(slot).held.is_none() {
            // The shard was lost after this was stored: right all the same (P1).
            reached!(
                t.cx,
                "owned: a commit was acknowledged after the shard was lost"
            );
            self.release(t, draft.members, sequence);
            return self.next(t, slot);
        }
        let mut draft = draft;
        let entity = self.entities.get_mut(slot);
        let entity = entity.expect("a slot of an entity in memory");
        entity.tries = 0;
        entity.provisional = Provisional::Committed;
        if let Some(held) = &mut entity.held {
            held.pass_on(sequence, &mut draft.commit, &self.limits);
            let sent = draft.sent.unwrap_or_default();
            held.confirmed = held.confirmed.max(sent);
            held.checked = held.checked.max(sent);
        }
        self.on_named(slot);
        if draft.commit.tombstone {
            reached!(t.cx, "log: an entity is deleted");
            self.clear_bodies(slot);
        }
        self.release(t, draft.members, sequence);
        if !self.take_snapshot(t, slot) {
            self.next(t, slot);
        }
    }

    /// The store will not take a commit, now or later.
    pub(super) fn refused_for_good(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        draft: Box<Draft>,
        refused: Refused,
    ) {
        reached!(t.cx, "log: a commit was refused for good");
        if draft.doubt {
            self.give_up(t, draft);
            self.forget_held(slot);
        } else {
            for member in draft.members.into_iter().filter(|member| !member.gone) {
                let refusal = Refusal::Store(refused.clone());
                t.reply(self, member.command.ticket, Reply::Refused(refusal));
            }
        }
        self.next(t, slot);
    }
}
