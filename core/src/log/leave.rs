//! Orders of ownership, and how a shard is handed over or released (S17): nothing new is taken in,
//! what is in flight ends, then one CAS names the successor, or nobody.

use super::entity::{Phase, Pledge, Stage, Why};
use super::owned::Fence;
use super::shard::{Op, Shard, Turn};
use super::{Refusal, Reply};
use crate::format::WriteMode;
use crate::id::{ClaimId, Epoch, Incarnation, OpId, Slot};
use crate::name::NodeName;
use crate::port::{Refused, StoreDone, StoreReply};
use crate::reached;
use crate::shard::{Order, Report};
use crate::step::{Outcome, Purpose};
use alloc::collections::BTreeSet;
use alloc::string::ToString;

/// A shard that is to be handed over or released as soon as nothing of it is in doubt.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Leave {
    /// The successor; `None` for a release.
    to: Option<(Incarnation, NodeName)>,
    /// Entities whose commit was sent, and whose end is not known yet.
    unresolved: BTreeSet<Slot>,
    /// The shard's index was looked after.
    pub(super) indexed: bool,
}

/// The record that ends this node's ownership, on its way.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Departure {
    /// The epoch that ends.
    pub(super) epoch: Epoch,
    to: Option<(Incarnation, NodeName)>,
    /// The record's claim id, and its operation while an answer is outstanding.
    sent: Option<(ClaimId, OpId)>,
}

impl Departure {
    pub(super) fn flying(&self) -> Option<OpId> {
        self.sent.map(|(_, op)| op)
    }
}

impl Shard {
    pub(super) fn on_order(&mut self, t: &mut Turn<'_, '_>, order: Order) {
        assert!(
            self.config.mode == WriteMode::Owned,
            "only an owned shard takes orders"
        );
        self.owned.ruled = true;
        match order {
            Order::Claim { over } => self.claim_exactly(t, over),
            Order::Adopt(epoch) => self.adopt(t, epoch),
            Order::HandOver { to, node } => self.leave(t, Some((to, node))),
            Order::Release => self.leave(t, None),
            Order::Drop => self.drop_epoch(t, false),
        }
    }

    /// Whether callers are sent elsewhere: this node does not own the shard, or hands it over.
    pub(super) fn is_turned_away(&self) -> bool {
        self.config.mode == WriteMode::Owned
            && (matches!(self.owned.fence, Fence::Unowned) || self.owned.leave.is_some())
    }

    fn leave(&mut self, t: &mut Turn<'_, '_>, to: Option<(Incarnation, NodeName)>) {
        match &self.owned.fence {
            Fence::Unowned => {
                let (was, tail) = (None, false);
                return self.report(t, Report::Lost { was, tail });
            }
            Fence::Leaving(_) => return,
            Fence::Owner(_) | Fence::Claiming(_) => {}
        }
        self.owned.pledged.clear();
        self.owned.leave = Some(Leave {
            to,
            unresolved: BTreeSet::new(),
            indexed: false,
        });
        for slot in self.slots() {
            self.turn_away(t, slot);
        }
    }

    /// Sends an entity's callers elsewhere, but for those whose command was sent to the store.
    pub(super) fn turn_away(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let entity = self.entity(slot);
        let queue = entity.take_callers();
        for caller in queue {
            t.reply(self, caller.ticket(), Reply::Refused(Refusal::NotOwner));
        }
        let unresolved = match &self.entity(slot).phase {
            Phase::Load(_, Why::Look(_)) | Phase::Commit(_, Stage::Flying | Stage::Doubtful) => {
                true
            }
            Phase::Commit(draft, Stage::Ready | Stage::Waiting) => draft.doubt,
            Phase::Load(_, Why::Open | Why::Confirm(_)) => {
                self.abandon_load(slot);
                false
            }
            Phase::Idle
            | Phase::Decide { .. }
            | Phase::Barrier(_)
            | Phase::Answer { .. }
            | Phase::Encode => false,
        };
        if unresolved {
            if let Some(leave) = &mut self.owned.leave {
                leave.unresolved.insert(slot);
            }
            return;
        }
        match core::mem::replace(&mut self.entity(slot).phase, Phase::Idle) {
            Phase::Idle | Phase::Load(_, Why::Open) | Phase::Barrier(Pledge::Readers) => {}
            Phase::Load(_, Why::Confirm(members)) | Phase::Barrier(Pledge::Replies(members)) => {
                self.refuse(t, members, &Refusal::NotOwner);
            }
            Phase::Commit(draft, _) | Phase::Load(_, Why::Look(draft)) => {
                self.refuse(t, draft.members, &Refusal::NotOwner);
            }
            // The host is at it; what it decides is not sent.
            phase @ (Phase::Decide { .. } | Phase::Answer { .. } | Phase::Encode) => {
                self.entity(slot).phase = phase;
                return;
            }
        }
        self.rest(slot);
    }

    /// Sends the record that ends the ownership, once nothing is in doubt.
    pub(super) fn leave_on(&mut self, t: &mut Turn<'_, '_>) {
        let Some(leave) = &mut self.owned.leave else {
            return;
        };
        let (entities, up) = (&self.entities, self.up);
        leave.unresolved.retain(|slot| {
            entities
                .get(*slot)
                .is_some_and(|entity| match &entity.phase {
                    Phase::Commit(..) | Phase::Load(_, Why::Look(_)) => true,
                    Phase::Idle
                    | Phase::Load(_, Why::Open | Why::Confirm(_))
                    | Phase::Decide { .. }
                    | Phase::Barrier(_)
                    | Phase::Answer { .. }
                    | Phase::Encode => false,
                })
        });
        if !up || !leave.unresolved.is_empty() || self.owned.flying {
            return;
        }
        if let Fence::Owner(epoch) = self.owned.fence {
            let to = leave.to.clone();
            if self.index_first(t) {
                return;
            }
            let sent = None;
            self.owned.fence = Fence::Leaving(Departure { epoch, to, sent });
            self.depart(t);
        }
    }

    /// Sends the record that ends the ownership, unless it is on its way.
    pub(super) fn depart(&mut self, t: &mut Turn<'_, '_>) {
        if !matches!(&self.owned.fence, Fence::Leaving(departure) if departure.sent.is_none())
            || !self.up
        {
            return;
        }
        let ordinal = self.draw();
        let Fence::Leaving(departure) = &self.owned.fence else {
            return;
        };
        let id = ClaimId(t.cx.dice.roll128(Purpose::ClaimId, ordinal));
        let expect = departure.epoch.sequence;
        let owner = departure.to.as_ref().map(|(to, _)| *to);
        let node = match &departure.to {
            Some((_, node)) => node.to_string(),
            None => self.config.node.clone(),
        };
        let request = self.record(id, owner, node, expect);
        let op = self.ask(t, Op::Leave, request);
        if let Fence::Leaving(departure) = &mut self.owned.fence {
            departure.sent = Some((id, op));
        }
    }

    /// The store answered the record that ends the ownership.
    pub(super) fn on_departed(&mut self, t: &mut Turn<'_, '_>, reply: StoreReply) {
        let Fence::Leaving(departure) = &mut self.owned.fence else {
            return t.halt("a hand-over was answered that was not sent");
        };
        let Some((claim, _)) = departure.sent.take() else {
            return t.halt("a hand-over was answered that was not sent");
        };
        let (was, to) = (departure.epoch, departure.to.as_ref().map(|(to, _)| *to));
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                self.raise_high_water(ack.sequence);
                let sequence = ack.sequence;
                let epoch = Epoch { sequence, claim };
                self.disown(t, &Refusal::NotOwner);
                let report = match to {
                    Some(to) => Report::HandedOver { epoch, to },
                    None => Report::Released { epoch },
                };
                self.report(t, report);
            }
            Outcome::Done(_) => t.halt("the answer to a hand-over is another kind"),
            Outcome::Refused(Refused::WrongLast {
                actual: Some(actual),
            }) => {
                if actual > was.sequence {
                    self.superseded(t, was);
                } else {
                    reached!(t.cx, "owned: a hand-over was refused from old state");
                    self.claim_low(t, actual);
                }
            }
            Outcome::Refused(refused)
                if refused.passes() && refused.settles(self.shape.replicated) =>
            {
                reached!(t.cx, "owned: a hand-over was refused for now");
                self.claim_later(t);
            }
            Outcome::Refused(refused) if !refused.passes() && refused.settles(true) => {
                reached!(t.cx, "owned: a hand-over was refused for good");
                self.disown(t, &Refusal::NotOwner);
                let cause = refused.to_string();
                self.report(t, Report::Failed { cause });
            }
            // It may be stored, now or later: this node has stopped. The record tells who owns.
            Outcome::Refused(_) | Outcome::Unknown => {
                reached!(t.cx, "owned: a hand-over's outcome is unknown");
                self.disown(t, &Refusal::NotOwner);
                let (was, tail) = (Some(was), false);
                self.report(t, Report::Lost { was, tail });
            }
        }
    }
}
