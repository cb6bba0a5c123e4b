//! Owned mode: the fence, claims and seals (S6, S9, S10), and what is left when it is lost (S17).

use super::entity::{Member, Moment, Phase, Pledge, Stage, Why};
use super::leave::{Departure, Leave};
use super::shard::{Op, Retry, Shard, Turn};
use super::{Effect, Note, Refusal, Reply};
use crate::format::{Ownership, Unknown, WriteMode};
use crate::id::{ClaimId, Epoch, Incarnation, OpId, Sequence, Slot};
use crate::port::{Expect, Publish, Refused, Rollup, Source, StoreDone, StoreReply, StoreRequest};
use crate::shard::Report;
use crate::step::{Outcome, Purpose};
use crate::{reached, sometimes};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Claims of unknown end that are kept in mind.
const CLAIMS_TRIED_MAX: usize = 1_024;

/// The shard's business in owned mode.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Owned {
    pub(super) fence: Fence,
    /// Orders come, and reports are made: this log claims nothing by itself.
    pub(super) ruled: bool,
    /// The shard is to be handed over or released; nothing new is taken in.
    pub(super) leave: Option<Leave>,
    /// A batch or a barrier is in flight.
    pub(super) flying: bool,
    /// The latest record that this log owned under, or sent another one in the place of.
    pub(super) used: Sequence,
    /// The shard's index is to ride in the next batch.
    pub(super) index_due: bool,
    /// Entities that wait for a barrier.
    pub(super) pledged: BTreeSet<Slot>,
    /// Repetitions in a row.
    pub(super) tries: u32,
}

/// Who may write.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Fence {
    /// Not this node.
    Unowned,
    /// Perhaps this node soon: a claim, or a seal of its own shard.
    Claiming(Claim),
    /// This node, under this epoch.
    Owner(Epoch),
    /// Not this node any more, unless the record that says so is refused for now.
    Leaving(Departure),
}

/// What a claim is after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Goal {
    /// The shard, whoever owns it now (a lone process).
    Any,
    /// The place of the record that is expected; another one in it ends the claim.
    Exactly,
    /// A seal: the epoch that is replaced.
    Seal(Epoch),
}

/// A claim on its way.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Claim {
    /// Where the ownership subject is expected to end.
    expect: Sequence,
    /// The claims that were sent and whose end is not known.
    tried: Vec<ClaimId>,
    goal: Goal,
    /// An answer is outstanding.
    flying: Option<OpId>,
    /// The stream reached this far when it was sent.
    sent_above: Sequence,
    /// A record that stands in the way is to be read.
    rival: Option<Sequence>,
}

/// Commits and a barrier that are stored together, or a barrier alone.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Flight {
    pub(super) commits: Vec<Slot>,
    pub(super) pledged: BTreeSet<Slot>,
    pub(super) sent: Moment,
    pub(super) epoch: Epoch,
    /// The shard's index rides along, of this stay as an owner.
    pub(super) index: Option<u64>,
}

impl Owned {
    pub(super) fn new() -> Self {
        Self {
            fence: Fence::Unowned,
            ruled: false,
            leave: None,
            flying: false,
            used: Sequence::NONE,
            index_due: false,
            pledged: BTreeSet::new(),
            tries: 0,
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
            self.begin_claim(t, Sequence::NONE, Goal::Any);
        }
    }

    /// Replaces one record, or that of nobody, by a claim of this node's.
    pub(super) fn claim_exactly(&mut self, t: &mut Turn<'_, '_>, over: Sequence) {
        match self.owned.fence {
            Fence::Unowned => self.begin_claim(t, over, Goal::Exactly),
            Fence::Owner(epoch) => self.report(t, Report::Owned(epoch)),
            // What comes of it is reported.
            Fence::Claiming(_) | Fence::Leaving(_) => {}
        }
    }

    /// Takes up the record that names this run. Only this run replaces the record of a run that lives, so
    /// one in whose place it never sent anything stands while its lease does, and is owned as it is: the
    /// hand-over's own CAS made it. What was owned before, or may be from before a loss of the tail, is
    /// taken up by a claim in its place: what was sent under it may be on its way (S9, S13, P3).
    pub(super) fn adopt(&mut self, t: &mut Turn<'_, '_>, epoch: Epoch) {
        let is_new = epoch.sequence > self.owned.used && epoch.sequence > self.linked_above;
        match self.owned.fence {
            Fence::Unowned if is_new && self.up => {
                reached!(
                    t.cx,
                    "owned: a record that names this run is taken up as it is"
                );
                self.become_owner(t, epoch, false);
            }
            Fence::Unowned | Fence::Owner(_) | Fence::Claiming(_) | Fence::Leaving(_) => {
                self.claim_exactly(t, epoch.sequence);
            }
        }
    }

    /// Replaces the shard's own epoch, so that nothing sent under it can be stored later (S9).
    pub(super) fn seal(&mut self, t: &mut Turn<'_, '_>) {
        if let Fence::Owner(epoch) = self.owned.fence {
            self.begin_claim(t, epoch.sequence, Goal::Seal(epoch));
        }
    }

    /// The epoch counts no more: reads, timers and decisions end in this step, and what was sent gets
    /// its answer still (S17). A claim that is under way may be stored all the same; whoever orders
    /// finds a record then that names this node.
    pub(super) fn drop_epoch(&mut self, t: &mut Turn<'_, '_>, tail: bool) {
        let (was, flying) = match &self.owned.fence {
            Fence::Unowned => (None, None),
            Fence::Owner(epoch) => (Some(*epoch), None),
            Fence::Leaving(departure) => (Some(departure.epoch), departure.flying()),
            Fence::Claiming(claim) => match claim.goal {
                Goal::Seal(epoch) => (Some(epoch), claim.flying),
                Goal::Any | Goal::Exactly => (None, claim.flying),
            },
        };
        if let Some(op) = flying {
            self.ops.insert(op, Op::Abandoned);
        }
        self.disown(t, &Refusal::NotOwner);
        self.report(t, Report::Lost { was, tail });
    }

    /// The node is another run from now on. A record that names the former one is nobody's.
    pub(super) fn become_run(&mut self, t: &mut Turn<'_, '_>, run: Incarnation) {
        if !matches!(self.owned.fence, Fence::Unowned) {
            self.drop_epoch(t, false);
        }
        self.config.incarnation = run;
    }

    /// The stream lost its tail: the epoch may be given to another, so it counts no more (S13).
    pub(super) fn claim_after_lost_tail(&mut self, t: &mut Turn<'_, '_>) {
        if matches!(self.owned.fence, Fence::Unowned) {
            return;
        }
        if self.owned.ruled {
            // Who owns it now is to be read, and judged by who orders.
            return self.drop_epoch(t, true);
        }
        self.begin_claim(t, Sequence::NONE, Goal::Any);
    }

    fn begin_claim(&mut self, t: &mut Turn<'_, '_>, expect: Sequence, goal: Goal) {
        let (tried, flying) = match &mut self.owned.fence {
            Fence::Claiming(claim) => (core::mem::take(&mut claim.tried), claim.flying),
            Fence::Unowned | Fence::Owner(_) | Fence::Leaving(_) => (Vec::new(), None),
        };
        let sent_above = self.high_water;
        self.owned.used = self.owned.used.max(expect);
        let claim = Claim {
            expect,
            tried,
            goal,
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
        if claim.flying.is_some() {
            return;
        }
        if let Some(sequence) = claim.rival {
            let stream = self.names.stream.clone();
            let source = Source::Leader;
            let request = StoreRequest::Get {
                stream,
                sequence,
                source,
            };
            let op = self.ask(t, Op::Rival, request);
            return self.claim_flies(op);
        }
        let id = ClaimId(t.cx.dice.roll128(Purpose::ClaimId, ordinal));
        if claim.tried.len() == CLAIMS_TRIED_MAX {
            // Forgetting one costs the ownership if it is stored after all, never a promise.
            claim.tried.remove(0);
        }
        claim.tried.push(id);
        claim.sent_above = self.high_water;
        let expect = claim.expect;
        let (owner, node) = (self.config.incarnation, self.config.node.clone());
        let request = self.record(id, Some(owner), node, expect);
        let op = self.ask(t, Op::Claim, request);
        self.claim_flies(op);
    }

    fn claim_flies(&mut self, op: OpId) {
        if let Fence::Claiming(claim) = &mut self.owned.fence {
            claim.flying = Some(op);
        }
    }

    /// An ownership record in the place of another.
    pub(super) fn record(
        &self,
        claim: ClaimId,
        owner: Option<Incarnation>,
        node: String,
        expect: Sequence,
    ) -> StoreRequest {
        let record = Ownership {
            layout: self.config.layout,
            claim,
            owner,
            node,
            unknown: Unknown::default(),
        };
        StoreRequest::Publish(Publish {
            stream: self.names.stream.clone(),
            subject: self.names.own.clone(),
            expect: Expect::OwnLast(expect),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: record.encode(),
        })
    }

    /// The store answered a claim or seal.
    pub(super) fn on_claim(&mut self, t: &mut Turn<'_, '_>, reply: StoreReply) {
        let Fence::Claiming(claim) = &mut self.owned.fence else {
            return t.halt("a claim was answered that was not sent");
        };
        claim.flying = None;
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                let Some(id) = claim.tried.last().copied() else {
                    return t.halt("a claim was answered that was not sent");
                };
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
                reached!(t.cx, "owned: a claim was refused for now");
                if refused.settles(self.shape.replicated) {
                    claim.tried.pop();
                }
                self.claim_later(t);
            }
            Outcome::Refused(refused) => {
                reached!(t.cx, "owned: a claim was refused for good");
                let cause = refused.to_string();
                self.disown(t, &Refusal::Store(refused));
                self.report(t, Report::Failed { cause });
            }
            Outcome::Unknown => {
                // It may still be stored: the next attempt has another id, and each is known.
                reached!(t.cx, "owned: a claim's outcome is unknown");
                self.claim_later(t);
            }
        }
    }

    /// The ownership subject ends before where it was known to end: an old leader, or a lost tail.
    pub(super) fn claim_low(&mut self, t: &mut Turn<'_, '_>, actual: Sequence) {
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
        claim.flying = None;
        let message = match reply {
            Outcome::Done(StoreDone::Message(message)) => message,
            Outcome::Refused(Refused::NotFound) => {
                // It is gone with a lost tail, or an old leader does not know it yet: the claim's
                // own check says what stands there now.
                reached!(t.cx, "owned: the record in a claim's way is absent");
                claim.rival = None;
                return self.claim_later(t);
            }
            Outcome::Done(_) | Outcome::Refused(_) | Outcome::Unknown => {
                reached!(t.cx, "owned: the record in a claim's way is not told");
                return self.claim_later(t);
            }
        };
        let layout = self.config.layout;
        let record = match Ownership::decode(&message.payload) {
            Ok(record) if record.layout == layout => record,
            Ok(record) => {
                let there = record.layout;
                let what = format!("the ownership record is of layout {there}, not {layout}");
                return self.claim_damaged(t, message.sequence, what);
            }
            Err(_) => {
                let what = "the ownership record cannot be read".into();
                return self.claim_damaged(t, message.sequence, what);
            }
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
        match claim.goal {
            Goal::Any => {
                claim.expect = message.sequence;
                self.owned.used = self.owned.used.max(message.sequence);
                self.claim_on(t);
            }
            Goal::Exactly => {
                reached!(
                    t.cx,
                    "owned: a claim met another record than it was to replace"
                );
                let sequence = message.sequence;
                self.disown(t, &Refusal::NotOwner);
                self.report(t, Report::Rival { sequence });
            }
            Goal::Seal(was) => self.superseded(t, was),
        }
    }

    fn claim_damaged(&mut self, t: &mut Turn<'_, '_>, sequence: Sequence, what: String) {
        reached!(t.cx, "owned: an ownership record cannot be read");
        let stream = self.names.stream.clone().into();
        let damage = super::Damage {
            stream,
            sequence,
            what,
        };
        let cause = damage.to_string();
        self.disown(t, &Refusal::Damaged(damage));
        self.report(t, Report::Failed { cause });
    }

    /// Another one owns the shard now.
    pub(super) fn superseded(&mut self, t: &mut Turn<'_, '_>, was: Epoch) {
        reached!(t.cx, "owned: the shard was taken over");
        t.note(Note::Superseded { was });
        self.disown(t, &Refusal::NotOwner);
        let (was, tail) = (Some(was), false);
        self.report(t, Report::Lost { was, tail });
    }

    /// Tells who orders, if somebody does.
    pub(super) fn report(&mut self, t: &mut Turn<'_, '_>, report: Report) {
        if self.owned.ruled {
            t.out.push(Effect::Report(report));
        }
    }

    pub(super) fn claim_later(&mut self, t: &mut Turn<'_, '_>) {
        let delay = self.delay(t, self.owned.tries);
        self.owned.tries = self.owned.tries.saturating_add(1);
        self.retries.insert((t.cx.now + delay, Retry::Claim));
    }

    /// This node owns the shard under an epoch.
    fn own(&mut self, t: &mut Turn<'_, '_>, epoch: Epoch) {
        let Fence::Claiming(claim) = &mut self.owned.fence else {
            return;
        };
        if epoch.sequence <= claim.sent_above {
            // The claim holds, but in a stream that lost its tail: nothing else does (S13).
            claim.goal = Goal::Any;
            self.drop_all(t, epoch.sequence);
        }
        let Fence::Claiming(claim) = &self.owned.fence else {
            return;
        };
        let sealed = matches!(claim.goal, Goal::Seal(_));
        self.become_owner(t, epoch, sealed);
    }

    fn become_owner(&mut self, t: &mut Turn<'_, '_>, epoch: Epoch, sealed: bool) {
        self.owned.fence = Fence::Owner(epoch);
        self.owned.used = self.owned.used.max(epoch.sequence);
        if !sealed {
            self.begin_agenda();
        }
        self.owned.tries = 0;
        self.low_since = None;
        self.raise_high_water(epoch.sequence);
        sometimes!(t.cx, sealed, "owned: a seal");
        t.note(if sealed {
            Note::Sealed(epoch)
        } else {
            Note::Claimed(epoch)
        });
        self.report(t, Report::Owned(epoch));
        let doubtful = |phase: &Phase| matches!(phase, Phase::Commit(_, Stage::Doubtful));
        let all = self.entities.in_order().into_iter();
        let slots: Vec<_> = all
            .filter(|(_, entity)| doubtful(&entity.phase))
            .map(|(slot, _)| slot)
            .collect();
        for slot in slots {
            self.look(t, slot);
        }
        self.unpark(t);
        self.pump(t);
    }

    /// Reads with proof whether a commit of an earlier epoch was stored (S9).
    pub(super) fn look(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
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
            | Phase::Answer { .. }
            | Phase::Encode => t.halt("an entity without a commit was looked for"),
        }
    }

    /// This node does not own the shard: everyone who waits is told, and nothing held is kept (S17).
    pub(super) fn disown(&mut self, t: &mut Turn<'_, '_>, refusal: &Refusal) {
        self.owned.fence = Fence::Unowned;
        self.owned.index_due = false;
        if let Some(agenda) = &mut self.agenda {
            agenda.end();
        }
        self.owned.leave = None;
        self.owned.tries = 0;
        self.retries.retain(|(_, retry)| *retry != Retry::Claim);
        self.window.ready.clear();
        self.owned.pledged.clear();
        self.drop_unnamed(0);
        for slot in self.slots() {
            self.disown_entity(t, slot, refusal);
        }
    }

    pub(super) fn disown_entity(&mut self, t: &mut Turn<'_, '_>, slot: Slot, refusal: &Refusal) {
        self.abandon_load(slot);
        let entity = self.entity(slot);
        let queue = entity.take_callers();
        match core::mem::replace(&mut entity.phase, Phase::Idle) {
            Phase::Idle | Phase::Load(_, Why::Open) | Phase::Barrier(Pledge::Readers) => {}
            Phase::Load(_, Why::Confirm(members)) | Phase::Barrier(Pledge::Replies(members)) => {
                self.refuse(t, members, refusal);
            }
            Phase::Commit(draft, Stage::Flying) => {
                // Its answer still comes.
                self.entity(slot).phase = Phase::Commit(draft, Stage::Flying);
            }
            Phase::Load(_, Why::Look(draft)) | Phase::Commit(draft, _) if draft.doubt => {
                self.give_up(t, draft);
            }
            // It was surely not stored, and never will be.
            Phase::Load(_, Why::Look(draft))
            | Phase::Commit(draft, Stage::Doubtful | Stage::Ready | Stage::Waiting) => {
                self.refuse(t, draft.members, refusal);
            }
            phase @ (Phase::Decide { .. } | Phase::Answer { .. } | Phase::Encode) => {
                self.entity(slot).phase = phase
            }
        }
        for caller in queue {
            t.reply(self, caller.ticket(), Reply::Refused(refusal.clone()));
        }
        self.forget_held(slot);
        self.rest(slot);
    }

    pub(super) fn refuse(&mut self, t: &mut Turn<'_, '_>, members: Vec<Member>, refusal: &Refusal) {
        for member in members.into_iter().filter(|member| !member.gone) {
            t.reply(self, member.command.ticket, Reply::Refused(refusal.clone()));
        }
    }
}
