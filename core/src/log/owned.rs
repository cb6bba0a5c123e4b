//! Owned mode: the fence, claims and seals, and who may send what when (S6 to S9).

use super::entity::{Draft, Member, Phase, Pledge, Stage, Why};
use super::shard::{Op, Retry, Shard, Turn};
use super::{Note, Refusal, Reply};
use crate::format::{Ownership, Unknown, WriteMode};
use crate::id::{BatchId, ClaimId, Epoch, Sequence, Slot};
use crate::port::{
    Expect, Fence as FenceExpect, Publish, Refused, Rollup, Source, StoreDone, StoreReply,
    StoreRequest,
};
use crate::step::{Limits, Outcome, Purpose, Time};
use crate::{reached, sometimes};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

/// The shard's business in owned mode.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) fence: Fence,
    /// Entities whose draft may be sent, in order.
    ready: VecDeque<Slot>,
    /// Commits that are being stored by themselves.
    singles_count: usize,
    /// A batch or a barrier is in flight.
    flying: bool,
    /// Entities that wait for a barrier.
    pledged: BTreeSet<Slot>,
    /// Repetitions in a row.
    tries: u32,
    singles_max: usize,
}

/// Who may write.
#[derive(Clone, Debug)]
pub(super) enum Fence {
    /// Not this node.
    Unowned,
    /// Perhaps this node soon: a claim, or a seal of its own shard.
    Claiming(Claim),
    /// This node, under this epoch.
    Owner(Epoch),
}

/// A claim on its way.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// Where the ownership subject is expected to end.
    expect: Sequence,
    /// The claims that were sent and whose end is not known.
    tried: Vec<ClaimId>,
    /// A seal: the epoch that is replaced.
    sealing: Option<Epoch>,
    /// An answer is outstanding.
    flying: bool,
    /// The stream reached this far when it was sent.
    sent_above: Sequence,
    /// A record that stands in the way is to be read.
    rival: Option<Sequence>,
}

/// Commits and a barrier that are stored together, or a barrier alone.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    commits: Vec<Slot>,
    pledged: BTreeSet<Slot>,
    sent: Time,
    epoch: Epoch,
}

impl Owned {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            fence: Fence::Unowned,
            ready: VecDeque::new(),
            singles_count: 0,
            flying: false,
            pledged: BTreeSet::new(),
            tries: 0,
            singles_max: limits.commits_in_flight_max,
        }
    }
}

/// Claims and seals.
impl Shard {
    /// Becomes the shard's owner, whoever owns it now.
    pub(super) fn claim(&mut self, t: &mut Turn<'_, '_>) {
        assert!(
            self.config.mode == WriteMode::Owned,
            "only an owned shard is claimed"
        );
        if matches!(self.owned.fence, Fence::Unowned) {
            self.begin_claim(t, Sequence::NONE, None);
        }
    }

    /// Replaces the shard's own epoch, so that nothing sent under it can be stored later (S9).
    fn seal(&mut self, t: &mut Turn<'_, '_>) {
        if let Fence::Owner(epoch) = self.owned.fence {
            self.begin_claim(t, epoch.sequence, Some(epoch));
        }
    }

    /// The stream lost its tail: the epoch may be given to another, so it counts no more (S13).
    pub(super) fn claim_after_lost_tail(&mut self, t: &mut Turn<'_, '_>) {
        if !matches!(self.owned.fence, Fence::Unowned) {
            self.begin_claim(t, Sequence::NONE, None);
        }
    }

    fn begin_claim(&mut self, t: &mut Turn<'_, '_>, expect: Sequence, sealing: Option<Epoch>) {
        let tried = match &mut self.owned.fence {
            Fence::Claiming(claim) => core::mem::take(&mut claim.tried),
            Fence::Unowned | Fence::Owner(_) => Vec::new(),
        };
        let flying = match &self.owned.fence {
            Fence::Claiming(claim) => claim.flying,
            Fence::Unowned | Fence::Owner(_) => false,
        };
        let sent_above = self.high_water;
        let claim = Claim {
            expect,
            tried,
            sealing,
            flying,
            sent_above,
            rival: None,
        };
        self.owned.fence = Fence::Claiming(claim);
        self.claim_on(t);
    }

    /// Sends the claim, or reads what stands in its way, if neither is under way.
    pub(super) fn claim_on(&mut self, t: &mut Turn<'_, '_>) {
        if !self.up {
            return;
        }
        let ordinal = self.draw();
        let Fence::Claiming(claim) = &mut self.owned.fence else {
            return;
        };
        if claim.flying {
            return;
        }
        claim.flying = true;
        if let Some(sequence) = claim.rival {
            let stream = self.names.stream.clone();
            let source = Source::Leader;
            self.ask(
                t,
                Op::Rival,
                StoreRequest::Get {
                    stream,
                    sequence,
                    source,
                },
            );
            return;
        }
        let id = ClaimId(t.cx.dice.roll128(Purpose::ClaimId, ordinal));
        claim.tried.push(id);
        claim.sent_above = self.high_water;
        let record = Ownership {
            layout: self.config.layout,
            claim: id,
            owner: Some(self.config.incarnation),
            node: self.config.node.clone(),
            unknown: Unknown::default(),
        };
        let publish = Publish {
            stream: self.names.stream.clone(),
            subject: self.names.own.clone(),
            expect: Expect::OwnLast(claim.expect),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: record.encode(),
        };
        self.ask(t, Op::Claim, StoreRequest::Publish(publish));
    }

    /// The store answered a claim or seal.
    pub(super) fn on_claim(&mut self, t: &mut Turn<'_, '_>, reply: StoreReply) {
        let Fence::Claiming(claim) = &mut self.owned.fence else {
            return t.halt("a claim was answered that was not sent");
        };
        claim.flying = false;
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                let Some(id) = claim.tried.last().copied() else {
                    return t.halt("a claim was answered that was not sent");
                };
                if ack.sequence <= claim.sent_above {
                    // The claim holds, but in a stream that lost its tail: nothing else does.
                    claim.sealing = None;
                    self.drop_all(t, ack.sequence);
                }
                self.own(
                    t,
                    Epoch {
                        sequence: ack.sequence,
                        claim: id,
                    },
                );
            }
            Outcome::Done(_) => t.halt("the answer to a claim is another kind"),
            Outcome::Refused(Refused::WrongLast {
                actual: Some(actual),
            }) => {
                if actual > claim.expect {
                    claim.rival = Some(actual);
                    self.claim_on(t);
                } else {
                    reached!(t.cx, "owned: a claim was refused from old state");
                    self.claim_low(t, actual);
                }
            }
            Outcome::Refused(refused)
                if refused.passes() || matches!(refused, Refused::WrongLast { .. }) =>
            {
                claim.tried.pop();
                self.claim_later(t);
            }
            Outcome::Refused(refused) => {
                reached!(t.cx, "owned: a claim was refused for good");
                self.disown(t, &Refusal::Store(refused));
            }
            Outcome::Unknown => {
                // It may still be stored: the next attempt has another id, and each is known.
                reached!(t.cx, "owned: a claim's outcome is unknown");
                self.claim_later(t);
            }
        }
    }

    /// The ownership subject ends before where it was known to end: an old leader, or a lost tail.
    fn claim_low(&mut self, t: &mut Turn<'_, '_>, actual: Sequence) {
        let now = t.cx.now;
        let since = *self.low_since.get_or_insert(now);
        if !self.shape.replicated || now.since(since) >= self.limits.lost_tail_patience {
            return self.lost_tail(t, actual);
        }
        self.claim_later(t);
    }

    /// The record that stands in a claim's way: mine by another attempt, or a stranger's (S10).
    pub(super) fn on_rival(&mut self, t: &mut Turn<'_, '_>, reply: StoreReply) {
        let Fence::Claiming(claim) = &mut self.owned.fence else {
            return t.halt("a rival was read without a claim");
        };
        claim.flying = false;
        let Outcome::Done(StoreDone::Message(message)) = reply else {
            return self.claim_later(t);
        };
        let Ok(record) = Ownership::decode(&message.payload) else {
            reached!(t.cx, "owned: an ownership record cannot be read");
            let what = "the ownership record cannot be read".into();
            let stream = self.names.stream.clone();
            let damage = super::Damage {
                stream,
                sequence: message.sequence,
                what,
            };
            return self.disown(t, &Refusal::Damaged(damage));
        };
        claim.rival = None;
        if claim.tried.contains(&record.claim) {
            reached!(t.cx, "owned: an unknown claim was stored after all");
            let epoch = Epoch {
                sequence: message.sequence,
                claim: record.claim,
            };
            return self.own(t, epoch);
        }
        if let Some(was) = claim.sealing {
            reached!(t.cx, "owned: the shard was taken over");
            t.note(Note::Superseded { was });
            return self.disown(t, &Refusal::NotOwner);
        }
        claim.expect = message.sequence;
        self.claim_on(t);
    }

    fn claim_later(&mut self, t: &mut Turn<'_, '_>) {
        let delay = self.delay(t, self.owned.tries);
        self.owned.tries = self.owned.tries.saturating_add(1);
        self.retries.insert((t.cx.now + delay, Retry::Claim));
    }

    /// This node owns the shard under an epoch.
    fn own(&mut self, t: &mut Turn<'_, '_>, epoch: Epoch) {
        let Fence::Claiming(claim) = &self.owned.fence else {
            return;
        };
        let sealed = claim.sealing.is_some();
        self.owned.fence = Fence::Owner(epoch);
        self.owned.tries = 0;
        self.low_since = None;
        self.raise_high_water(epoch.sequence);
        sometimes!(t.cx, sealed, "owned: a seal");
        t.note(if sealed {
            Note::Sealed(epoch)
        } else {
            Note::Claimed(epoch)
        });
        let doubtful = |phase: &Phase| matches!(phase, Phase::Commit(_, Stage::Doubtful));
        let slots: Vec<_> = self
            .entities
            .iter()
            .filter(|(_, entity)| doubtful(&entity.phase))
            .map(|(slot, _)| *slot)
            .collect();
        for slot in slots {
            self.look(t, slot);
        }
        self.unpark(t);
        self.pump(t);
    }

    /// Reads with proof whether a commit of an earlier epoch was stored (S9).
    fn look(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let phase = core::mem::replace(&mut self.entity(slot).phase, Phase::Idle);
        match phase {
            Phase::Commit(draft, _) if self.entity(slot).held.is_none() => {
                self.give_up(t, draft);
                self.next(t, slot);
            }
            Phase::Commit(draft, _) => self.load(t, slot, Why::Look(draft), Sequence::NONE),
            Phase::Idle
            | Phase::Load(..)
            | Phase::Decide { .. }
            | Phase::Barrier(_)
            | Phase::Settle
            | Phase::Answer { .. }
            | Phase::Encode => t.halt("an entity without a commit was looked for"),
        }
    }

    /// This node does not own the shard: everyone who waits is told, and nothing held is kept (S17).
    fn disown(&mut self, t: &mut Turn<'_, '_>, refusal: &Refusal) {
        self.owned.fence = Fence::Unowned;
        self.owned.ready.clear();
        self.owned.pledged.clear();
        let slots: Vec<_> = self.entities.keys().copied().collect();
        for slot in slots {
            self.disown_entity(t, slot, refusal);
        }
    }

    fn disown_entity(&mut self, t: &mut Turn<'_, '_>, slot: Slot, refusal: &Refusal) {
        self.abandon_load(slot);
        let entity = self.entity(slot);
        let queue = core::mem::take(&mut entity.queue);
        match core::mem::replace(&mut entity.phase, Phase::Idle) {
            Phase::Idle | Phase::Load(_, Why::Open) | Phase::Barrier(Pledge::Readers) => {}
            Phase::Load(_, Why::Confirm(members)) | Phase::Barrier(Pledge::Replies(members)) => {
                self.refuse(t, members, refusal);
            }
            Phase::Load(_, Why::Look(draft)) => self.give_up(t, draft),
            Phase::Commit(draft, Stage::Flying) => {
                // Its answer still comes.
                self.entity(slot).phase = Phase::Commit(draft, Stage::Flying);
            }
            Phase::Commit(draft, Stage::Doubtful) => self.give_up(t, draft),
            Phase::Commit(draft, Stage::Ready | Stage::Waiting) => {
                self.refuse(t, draft.members, refusal);
            }
            phase @ (Phase::Decide { .. }
            | Phase::Settle
            | Phase::Answer { .. }
            | Phase::Encode) => self.entity(slot).phase = phase,
        }
        for caller in queue {
            t.reply(self, caller.ticket(), Reply::Refused(refusal.clone()));
        }
        self.forget_held(slot);
        self.rest(slot);
    }

    fn refuse(&mut self, t: &mut Turn<'_, '_>, members: Vec<Member>, refusal: &Refusal) {
        for member in members.into_iter().filter(|member| !member.gone) {
            t.reply(self, member.command.ticket, Reply::Refused(refusal.clone()));
        }
    }
}

/// Commits and barriers.
impl Shard {
    /// An entity's draft may be sent.
    pub(super) fn line_up(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        if matches!(self.owned.fence, Fence::Unowned) {
            return self.disown_entity(t, slot, &Refusal::NotOwner);
        }
        if let Phase::Commit(_, stage) = &mut self.entity(slot).phase {
            *stage = Stage::Ready;
            self.owned.ready.push_back(slot);
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
            if !self.owned.flying && self.owned.singles_count == 0 {
                let commits = self.batch();
                self.fly(t, epoch, commits);
            }
            return;
        }
        while self.owned.singles_count < self.owned.singles_max
            && let Some(slot) = self.owned.ready.pop_front()
        {
            self.send_single(t, slot, epoch);
        }
        if !self.owned.flying {
            self.fly(t, epoch, Vec::new());
        }
    }

    fn send_single(&mut self, t: &mut Turn<'_, '_>, slot: Slot, epoch: Epoch) {
        let expect = self.fence(epoch);
        if let Some(publish) = self.stamped(slot, epoch, t.cx.now, expect) {
            self.owned.singles_count += 1;
            self.ask(t, Op::Commit(slot), StoreRequest::Publish(publish));
        }
    }

    fn fence(&self, epoch: Epoch) -> Expect {
        Expect::Fence(FenceExpect {
            subject: self.names.own.clone(),
            sequence: epoch.sequence,
        })
    }

    /// An entity's draft as a message under an epoch; `None` when it has none to send.
    fn stamped(&mut self, slot: Slot, epoch: Epoch, now: Time, expect: Expect) -> Option<Publish> {
        let stream = self.names.stream.clone();
        let high_water = self.high_water;
        let entity = self.entities.get_mut(&slot)?;
        let Phase::Commit(draft, stage @ Stage::Ready) = &mut entity.phase else {
            return None;
        };
        *stage = Stage::Flying;
        draft.sent = Some(now);
        draft.sent_above = high_water;
        draft.sent_epoch = Some(epoch);
        draft.commit.epoch = Some(epoch);
        Some(Publish {
            stream,
            subject: entity.subject.clone(),
            expect,
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: draft.commit.encode(),
        })
    }

    /// The entities of the next batch.
    fn batch(&mut self) -> Vec<Slot> {
        let mut commits = Vec::new();
        while commits.len() < self.limits.batch_messages_max
            && let Some(slot) = self.owned.ready.pop_front()
        {
            let entity = self.entities.get(&slot);
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
        if commits.is_empty() && self.owned.pledged.is_empty() {
            return;
        }
        let now = t.cx.now;
        let mut messages = Vec::new();
        for slot in &commits {
            let held = self.entity(*slot).held.as_ref();
            let own = Expect::OwnLast(held.map_or(Sequence::NONE, |held| held.sequence));
            messages.extend(self.stamped(*slot, epoch, now, own));
        }
        let barrier = Publish {
            stream: self.names.stream.clone(),
            subject: self.names.barrier.clone(),
            expect: self.fence(epoch),
            rollup: Rollup::Subject,
            dedup: None,
            ttl_s: None,
            payload: bytes::Bytes::new(),
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
            Op::Flight(Flight {
                commits,
                pledged,
                sent: now,
                epoch,
            }),
            request,
        );
    }

    /// The store answered a single commit.
    pub(super) fn on_single(&mut self, t: &mut Turn<'_, '_>, slot: Slot, reply: StoreReply) {
        self.owned.singles_count -= 1;
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
                let draft = Draft {
                    doubt: true,
                    ..draft
                };
                self.doubt(t, slot, draft);
            }
        }
        self.pump(t);
    }

    /// A commit's fence did not hold: it was not stored. My own seal, or a stranger's claim.
    fn fenced_out(&mut self, t: &mut Turn<'_, '_>, slot: Slot, draft: Draft) {
        let sent = draft.sent_epoch;
        match &self.owned.fence {
            Fence::Unowned => {
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

    /// A commit that was surely not stored, to be sent again.
    fn hold(&mut self, t: &mut Turn<'_, '_>, slot: Slot, draft: Draft, stage: Stage) {
        if self.entity(slot).held.is_none() || draft.is_alone() {
            self.requeue(slot, draft.members);
            return self.next_or_refuse(t, slot);
        }
        if matches!(self.owned.fence, Fence::Unowned) {
            self.refuse(t, draft.members, &Refusal::NotOwner);
            return self.rest(slot);
        }
        self.entity(slot).phase = Phase::Commit(draft, stage);
        match stage {
            Stage::Ready => self.owned.ready.push_back(slot),
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

    /// A commit that may have been stored: it waits for a seal, then it is looked for (S9, L4).
    fn doubt(&mut self, t: &mut Turn<'_, '_>, slot: Slot, draft: Draft) {
        let sent = draft.sent_epoch;
        self.entity(slot).phase = Phase::Commit(draft, Stage::Doubtful);
        match &self.owned.fence {
            Fence::Unowned => self.disown_entity(t, slot, &Refusal::NotOwner),
            Fence::Owner(epoch) if sent == Some(*epoch) => self.seal(t),
            // Sealed since it was sent.
            Fence::Owner(_) => self.look(t, slot),
            Fence::Claiming(_) => {}
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
        } = flight;
        let mut drafts = Vec::new();
        for slot in commits {
            match core::mem::replace(&mut self.entity(slot).phase, Phase::Idle) {
                Phase::Commit(draft, Stage::Flying) => drafts.push((slot, draft)),
                phase => {
                    self.entity(slot).phase = phase;
                    return t.halt("a batch was answered that was not sent");
                }
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
            Outcome::Refused(Refused::WrongLast { .. }) => {
                // Which check failed is not told; after a seal each entity is read with proof.
                reached!(t.cx, "owned: a batch's or barrier's check failed");
                self.pledge_again(t, pledged);
                self.doubt_all(t, drafts, epoch);
            }
            Outcome::Refused(refused) if refused.passes() => {
                reached!(t.cx, "owned: a batch or barrier was refused for now");
                self.pledge_again(t, pledged);
                for (slot, draft) in drafts {
                    self.hold(t, slot, draft, Stage::Ready);
                }
                let delay = self.delay(t, self.owned.tries);
                self.owned.tries = self.owned.tries.saturating_add(1);
                self.retries.insert((t.cx.now + delay, Retry::Pump));
                return;
            }
            Outcome::Refused(refused) => {
                for (slot, draft) in drafts {
                    self.refused_for_good(t, slot, draft, refused.clone());
                }
                self.break_pledges(t, pledged, &Refusal::Store(refused));
            }
            Outcome::Unknown => {
                reached!(t.cx, "owned: a batch's or barrier's outcome is unknown");
                self.pledge_again(t, pledged);
                self.doubt_all(t, drafts, epoch);
            }
        }
        self.pump(t);
    }

    fn doubt_all(&mut self, t: &mut Turn<'_, '_>, drafts: Vec<(Slot, Draft)>, sent: Epoch) {
        for (slot, draft) in drafts {
            self.doubt(
                t,
                slot,
                Draft {
                    doubt: true,
                    ..draft
                },
            );
        }
        // A barrier alone may be the one that is in doubt.
        if self.epoch() == Some(sent) {
            self.seal(t);
        }
    }

    /// A barrier passed: what waited for it may be answered.
    fn redeem(&mut self, t: &mut Turn<'_, '_>, pledged: BTreeSet<Slot>, sent: Time) {
        for slot in pledged {
            let entity = self.entity(slot);
            if let Some(held) = &mut entity.held {
                held.confirmed = held.confirmed.max(sent);
            }
            match core::mem::replace(&mut entity.phase, Phase::Idle) {
                Phase::Barrier(Pledge::Replies(members)) => {
                    self.release(t, members, Sequence::NONE);
                    self.next(t, slot);
                }
                Phase::Barrier(Pledge::Readers) => self.next(t, slot),
                phase => self.entity(slot).phase = phase,
            }
        }
    }

    /// A barrier did not pass: what waited for it waits for the next.
    fn pledge_again(&mut self, t: &mut Turn<'_, '_>, pledged: BTreeSet<Slot>) {
        if matches!(self.owned.fence, Fence::Unowned) {
            return self.break_pledges(t, pledged, &Refusal::NotOwner);
        }
        for slot in pledged {
            let entity = self.entities.get(&slot);
            if entity.is_some_and(|entity| matches!(entity.phase, Phase::Barrier(_))) {
                self.owned.pledged.insert(slot);
            }
        }
    }

    fn break_pledges(&mut self, t: &mut Turn<'_, '_>, pledged: BTreeSet<Slot>, refusal: &Refusal) {
        for slot in pledged {
            let entity = self.entities.get(&slot);
            if entity.is_some_and(|entity| matches!(entity.phase, Phase::Barrier(_))) {
                self.disown_entity(t, slot, refusal);
            }
        }
    }
}
