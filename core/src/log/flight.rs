//! Owned mode: commits and barriers, singly on an unreplicated stream, in batches on a replicated
//! one (S8, S14).

use super::Refusal;
use super::entity::{Draft, Member, Moment, Phase, Pledge, Stage};
use super::owned::{Fence, Flight};
use super::shard::{Op, Retry, Shard, Turn};
use crate::id::{BatchId, Epoch, Sequence, Slot};
use crate::port::{
    Expect, Fence as FenceExpect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest,
};
use crate::step::{Outcome, Purpose};
use crate::{reached, sometimes};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Commits and barriers.
impl Shard {
    /// An entity's draft may be sent.
    pub(super) fn line_up(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        if matches!(self.owned.fence, Fence::Unowned) {
            return self.disown_entity(t, slot, &Refusal::NotOwner);
        }
        if self.owned.leave.is_some() {
            self.turn_away(t, slot);
        }
        if let Phase::Commit(_, stage) = &mut self.entity(slot).phase {
            *stage = Stage::Ready;
            self.window.ready.push_back(slot);
        }
        self.pump(t);
    }

    /// Replies that stored nothing wait for a barrier (S14).
    pub(super) fn pledge_replies(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        members: Vec<Member>,
    ) {
        self.entity(slot).phase = Phase::Barrier(Pledge::Replies(members));
        self.pledge(t, slot);
    }

    /// Readers wait for a barrier.
    pub(super) fn pledge_readers(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        self.entity(slot).phase = Phase::Barrier(Pledge::Readers);
        self.pledge(t, slot);
    }

    fn pledge(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        if matches!(self.owned.fence, Fence::Unowned) {
            return self.disown_entity(t, slot, &Refusal::NotOwner);
        }
        self.owned.pledged.insert(slot);
        self.pump(t);
    }

    /// Sends what may be sent: single commits on an unreplicated stream, one batch at a time on a
    /// replicated one (S8).
    pub(super) fn pump(&mut self, t: &mut Turn<'_, '_>) {
        let Fence::Owner(epoch) = self.owned.fence else {
            return;
        };
        if !self.up {
            return;
        }
        if self.shape.replicated {
            let waits = self.waits_for_mark();
            if !self.owned.flying && self.window.singles_count == 0 && !waits {
                let commits = self.batch();
                self.fly(t, epoch, commits);
            }
            return;
        }
        while self.window.singles_count < self.window.singles_max
            && let Some(slot) = self.window.ready.pop_front()
        {
            self.send_single(t, slot, epoch);
        }
        if !self.owned.flying {
            self.fly(t, epoch, Vec::new());
        }
    }

    fn send_single(&mut self, t: &mut Turn<'_, '_>, slot: Slot, epoch: Epoch) {
        let expect = self.fence(epoch);
        if let Some(publish) = self.stamped(slot, epoch, expect) {
            self.window.singles_count += 1;
            self.ask(t, Op::Commit(slot), StoreRequest::Publish(publish));
        }
    }

    pub(super) fn fence(&self, epoch: Epoch) -> Expect {
        Expect::Fence(FenceExpect {
            subject: self.names.own.clone(),
            sequence: epoch.sequence,
        })
    }

    /// An entity's draft as a message under an epoch; `None` when it has none to send.
    fn stamped(&mut self, slot: Slot, epoch: Epoch, expect: Expect) -> Option<Publish> {
        let stream = self.names.stream.clone();
        let (moment, high_water) = (self.moment, self.high_water);
        let entity = self.entities.get_mut(slot)?;
        let Phase::Commit(draft, stage @ Stage::Ready) = &mut entity.phase else {
            return None;
        };
        let held = entity.held.as_mut();
        let steps = held.and_then(|held| held.chain.steps_of(&draft.commit.earlier));
        *stage = Stage::Flying;
        draft.leaves(moment, high_water);
        draft.sent_epoch = Some(epoch);
        draft.commit.epoch = Some(epoch);
        Some(Publish {
            stream,
            subject: entity.subject.clone(),
            expect,
            rollup: draft.rollup(),
            dedup: None,
            ttl_s: None,
            payload: draft.commit.encode_with(&mut self.encoded, steps),
        })
    }

    /// Whether an entity's draft has timers or messages, or deletes it.
    fn has_later(&self, slot: Slot) -> bool {
        let phase = self.entities.get(slot).map(|entity| &entity.phase);
        matches!(phase, Some(Phase::Commit(draft, _)) if draft.commit.later.is_some() || draft.commit.tombstone)
    }

    /// The entities of the next batch.
    fn batch(&mut self) -> Vec<Slot> {
        let mut commits = Vec::new();
        while commits.len() < self.limits.batch_messages_max
            && let Some(slot) = self.window.ready.pop_front()
        {
            let entity = self.entities.get(slot);
            let ready = entity.is_some_and(|e| matches!(e.phase, Phase::Commit(_, Stage::Ready)));
            if ready && !commits.contains(&slot) {
                commits.push(slot);
            }
        }
        commits
    }

    /// Stores commits with the barrier that carries the fence, or the barrier alone if somebody
    /// waits for it.
    fn fly(&mut self, t: &mut Turn<'_, '_>, epoch: Epoch, commits: Vec<Slot>) {
        let replicated = self.shape.replicated;
        let due = core::mem::take(&mut self.owned.index_due);
        // It may have become due while another batch was on its way.
        let indexed = replicated && due && self.may_write_index();
        if commits.is_empty() && self.owned.pledged.is_empty() && !indexed {
            return;
        }
        let mut messages = Vec::new();
        let index = match indexed {
            true => self.index_message(t),
            false => None,
        };
        let generation = index.is_some().then(|| self.agenda_generation());
        // In front of the commits, whose places are counted back from the barrier's.
        messages.extend(index);
        let here = commits.iter().any(|slot| self.has_later(*slot));
        for slot in &commits {
            let held = self.entity(*slot).held.as_ref();
            let own = Expect::OwnLast(held.map_or(Sequence::NONE, |held| held.sequence));
            messages.extend(self.stamped(*slot, epoch, own));
        }
        let barrier = Publish {
            stream: self.names.stream.clone(),
            subject: self.names.barrier.clone(),
            expect: self.fence(epoch),
            rollup: Rollup::Subject,
            dedup: None,
            ttl_s: None,
            payload: match replicated {
                true => self.barrier_body(here),
                false => bytes::Bytes::new(),
            },
        };
        let pledged = core::mem::take(&mut self.owned.pledged);
        sometimes!(
            t.cx,
            commits.len() > 1,
            "owned: a batch takes several commits"
        );
        sometimes!(t.cx, !pledged.is_empty(), "owned: a barrier is waited for");
        let request = if self.shape.replicated {
            let ordinal = self.draw();
            messages.push(barrier);
            let id = BatchId(t.cx.dice.roll128(Purpose::BatchId, ordinal));
            StoreRequest::Batch { id, messages }
        } else {
            StoreRequest::Publish(barrier)
        };
        self.owned.flying = true;
        self.ask(
            t,
            Op::Flight(Box::new(Flight {
                commits,
                pledged,
                sent: self.moment,
                epoch,
                index: generation,
            })),
            request,
        );
    }

    /// The store answered a single commit.
    pub(super) fn on_single(&mut self, t: &mut Turn<'_, '_>, slot: Slot, reply: StoreReply) {
        self.window.singles_count -= 1;
        let Phase::Commit(draft, _) = core::mem::replace(&mut self.entity(slot).phase, Phase::Idle)
        else {
            return t.halt("a commit was answered that was not sent");
        };
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                self.owned.tries = 0;
                self.committed(t, slot, draft, ack.sequence);
            }
            Outcome::Done(_) => t.halt("the answer to a publish is another kind"),
            Outcome::Refused(Refused::WrongLast { .. }) => self.fenced_out(t, slot, draft),
            Outcome::Refused(refused) if refused.passes() => {
                reached!(t.cx, "owned: a commit was refused for now");
                self.hold(t, slot, draft, Stage::Waiting);
            }
            Outcome::Refused(refused) => self.refused_for_good(t, slot, draft, refused),
            Outcome::Unknown => {
                reached!(t.cx, "owned: a commit's outcome is unknown");
                let mut draft = draft;
                draft.doubt = true;
                self.doubt(t, slot, draft);
            }
        }
        self.pump(t);
    }

    /// A commit's fence did not hold: it was not stored. My own seal, or a stranger's claim.
    fn fenced_out(&mut self, t: &mut Turn<'_, '_>, slot: Slot, draft: Box<Draft>) {
        let sent = draft.sent_epoch;
        match &self.owned.fence {
            Fence::Unowned | Fence::Leaving(_) => {
                reached!(t.cx, "owned: a zombie's commit was refused");
                self.refuse(t, draft.members, &Refusal::NotOwner);
                self.rest(slot);
            }
            Fence::Owner(epoch) if sent == Some(*epoch) => {
                // Whose claim is it? The seal's own check tells.
                self.hold(t, slot, draft, Stage::Ready);
                self.seal(t);
            }
            Fence::Owner(_) | Fence::Claiming(_) => {
                reached!(t.cx, "owned: a commit met my own seal and is sent again");
                self.hold(t, slot, draft, Stage::Ready);
            }
        }
    }

    /// A commit that is sent again: it was surely not stored, or its own check keeps it from being
    /// stored twice.
    fn hold(&mut self, t: &mut Turn<'_, '_>, slot: Slot, draft: Box<Draft>, stage: Stage) {
        let unowned = matches!(self.owned.fence, Fence::Unowned);
        let groundless = self.entity(slot).held.is_none() || draft.is_alone();
        if draft.doubt && unowned {
            self.give_up(t, draft);
            self.forget_held(slot);
            return self.next_or_refuse(t, slot);
        }
        if draft.doubt && groundless {
            // Nothing may be loaded while it can still be stored: it is sealed away first (S9).
            return self.doubt(t, slot, draft);
        }
        if groundless {
            self.requeue(slot, draft.members);
            return self.next_or_refuse(t, slot);
        }
        if unowned || (self.owned.leave.is_some() && !draft.doubt) {
            self.refuse(t, draft.members, &Refusal::NotOwner);
            return self.rest(slot);
        }
        self.entity(slot).phase = Phase::Commit(draft, stage);
        if !self.is_checked(slot) {
            return self.check_anew(t, slot);
        }
        match stage {
            Stage::Ready => self.window.ready.push_back(slot),
            Stage::Waiting => self.back_off(t, slot),
            Stage::Flying | Stage::Doubtful => {}
        }
    }

    fn next_or_refuse(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        if matches!(self.owned.fence, Fence::Unowned) {
            self.disown_entity(t, slot, &Refusal::NotOwner);
        } else {
            self.next(t, slot);
        }
    }

    /// A commit that may have been stored, or whose batch had a check that failed: it waits for a
    /// seal, then it is looked for (S9, L4).
    fn doubt(&mut self, t: &mut Turn<'_, '_>, slot: Slot, draft: Box<Draft>) {
        let sent = draft.sent_epoch;
        self.entity(slot).phase = Phase::Commit(draft, Stage::Doubtful);
        match &self.owned.fence {
            Fence::Unowned => self.disown_entity(t, slot, &Refusal::NotOwner),
            Fence::Owner(epoch) if sent == Some(*epoch) => self.seal(t),
            // Sealed since it was sent.
            Fence::Owner(_) => self.look(t, slot),
            Fence::Claiming(_) | Fence::Leaving(_) => {}
        }
    }

    /// The store answered a batch or a barrier.
    pub(super) fn on_flight(&mut self, t: &mut Turn<'_, '_>, flight: Flight, reply: StoreReply) {
        self.owned.flying = false;
        let Flight {
            commits,
            pledged,
            sent,
            epoch,
            index,
        } = flight;
        let index = index.is_some_and(|generation| generation == self.agenda_generation());
        if index {
            if matches!(reply, Outcome::Done(_)) {
                self.index_written(t);
            } else {
                self.index_unwritten(t);
            }
        }
        let mut drafts = Vec::new();
        for slot in commits {
            match core::mem::replace(&mut self.entity(slot).phase, Phase::Idle) {
                Phase::Commit(draft, Stage::Flying) => drafts.push((slot, draft)),
                Phase::Commit(_, Stage::Ready | Stage::Waiting | Stage::Doubtful)
                | Phase::Idle
                | Phase::Load(..)
                | Phase::Decide { .. }
                | Phase::Barrier(_)
                | Phase::Answer { .. }
                | Phase::Encode => return t.halt("a batch was answered that was not sent"),
            }
        }
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                self.owned.tries = 0;
                let count = drafts.len() as u64;
                for (place, (slot, draft)) in drafts.into_iter().enumerate() {
                    let sequence = Sequence(ack.sequence.0 - count + place as u64);
                    self.committed(t, slot, draft, sequence);
                }
                self.raise_high_water(ack.sequence);
                self.redeem(t, pledged, sent);
            }
            Outcome::Done(_) => t.halt("the answer to a batch is another kind"),
            Outcome::Refused(Refused::WrongLast { actual }) => {
                // Which check failed is not told; after a seal each entity is read with proof.
                // Unless a subject ends beyond all that was expected it may be a former leader
                // that refuses from old state, while its successor stores the same bytes.
                reached!(t.cx, "owned: a batch's or barrier's check failed");
                self.pledge_again(t, pledged);
                let ahead = drafts.iter().map(|(_, draft)| draft.after);
                let ahead = ahead.fold(epoch.sequence, Sequence::max);
                let sure = actual.is_some_and(|actual| actual > ahead);
                for (_, draft) in &mut drafts {
                    draft.doubt |= !sure;
                }
                self.look_all(t, drafts, epoch);
            }
            Outcome::Refused(refused) if refused.passes() => {
                reached!(t.cx, "owned: a batch or barrier was refused for now");
                self.pledge_again(t, pledged);
                let settled = refused.settles(self.shape.replicated);
                for (slot, mut draft) in drafts {
                    draft.doubt |= !settled;
                    self.hold(t, slot, draft, Stage::Ready);
                }
                let delay = self.delay(t, self.owned.tries);
                self.owned.tries = self.owned.tries.saturating_add(1);
                self.retries.insert((t.cx.now + delay, Retry::Pump));
                return;
            }
            Outcome::Refused(refused) => {
                let settled = refused.settles(self.shape.replicated);
                let is_sure = |(_, draft): &(Slot, Box<Draft>)| settled && !draft.doubt;
                let (sure, mut doubtful): (Vec<_>, Vec<_>) = drafts.into_iter().partition(is_sure);
                for (slot, draft) in sure {
                    self.refused_for_good(t, slot, draft, refused.clone());
                }
                // An earlier attempt of it may be stored yet, where its messages would be overlooked.
                sometimes!(
                    t.cx,
                    settled && !doubtful.is_empty(),
                    "owned: a commit in doubt was refused for good"
                );
                for (_, draft) in &mut doubtful {
                    draft.doubt = true;
                    draft.refused = Some(refused.clone());
                }
                if !settled || !doubtful.is_empty() {
                    self.look_all(t, doubtful, epoch);
                }
                self.break_pledges(t, pledged, &Refusal::Store(refused));
            }
            Outcome::Unknown => {
                reached!(t.cx, "owned: a batch's or barrier's outcome is unknown");
                self.pledge_again(t, pledged);
                for (_, draft) in &mut drafts {
                    draft.doubt = true;
                }
                self.look_all(t, drafts, epoch);
            }
        }
        self.pump(t);
    }

    fn look_all(&mut self, t: &mut Turn<'_, '_>, drafts: Vec<(Slot, Box<Draft>)>, sent: Epoch) {
        for (slot, draft) in drafts {
            self.doubt(t, slot, draft);
        }
        // A barrier alone may be the one that is in doubt.
        if self.epoch() == Some(sent) {
            self.seal(t);
        }
    }

    /// A barrier passed: what waited for it may be answered.
    fn redeem(&mut self, t: &mut Turn<'_, '_>, pledged: BTreeSet<Slot>, sent: Moment) {
        for slot in pledged {
            // What waited may have been served in another way, and the entity forgotten.
            let Some(entity) = self.entities.get_mut(slot) else {
                continue;
            };
            if let Some(held) = &mut entity.held {
                held.confirmed = held.confirmed.max(sent);
            }
            match core::mem::replace(&mut entity.phase, Phase::Idle) {
                Phase::Barrier(Pledge::Replies(members))
                    if members.iter().all(|it| it.command.arrived <= sent) =>
                {
                    self.release(t, members, Sequence::NONE);
                    self.next(t, slot);
                }
                // They came after this barrier, in the place of others that it was sent for.
                Phase::Barrier(Pledge::Replies(members)) => {
                    self.entity(slot).phase = Phase::Barrier(Pledge::Replies(members));
                    self.owned.pledged.insert(slot);
                }
                Phase::Barrier(Pledge::Readers) => self.next(t, slot),
                phase @ (Phase::Idle
                | Phase::Load(..)
                | Phase::Decide { .. }
                | Phase::Commit(..)
                | Phase::Answer { .. }
                | Phase::Encode) => self.entity(slot).phase = phase,
            }
        }
    }

    /// A barrier did not pass: what waited for it waits for the next.
    fn pledge_again(&mut self, t: &mut Turn<'_, '_>, pledged: BTreeSet<Slot>) {
        if matches!(self.owned.fence, Fence::Unowned) {
            return self.break_pledges(t, pledged, &Refusal::NotOwner);
        }
        for slot in pledged {
            let entity = self.entities.get(slot);
            if entity.is_some_and(|entity| matches!(entity.phase, Phase::Barrier(_))) {
                self.owned.pledged.insert(slot);
            }
        }
    }

    fn break_pledges(&mut self, t: &mut Turn<'_, '_>, pledged: BTreeSet<Slot>, refusal: &Refusal) {
        for slot in pledged {
            let entity = self.entities.get(slot);
            if entity.is_some_and(|entity| matches!(entity.phase, Phase::Barrier(_))) {
                self.disown_entity(t, slot, refusal);
            }
        }
    }
}
