//! Places: what this node owns, hands over, and loses.

use super::activation::{After, Phase, Spot, What};
use super::mail::refuse;
use super::{Answer, Ask, Effect, Ended, Note, Refusal, Scheduler, Trail, Why};
use crate::id::{Epoch, Ticket};
use crate::shard::Place;
use crate::step::{Cx, Effects, Time};
use crate::{reached, sometimes};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A place that this node owns.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Owned(Epoch),
    /// It is about to change hands; what comes meanwhile waits here, in the order of its tickets.
    HandingOver {
        epoch: Epoch,
        stash: BTreeMap<Ticket, Ask>,
        drained: bool,
    },
}

/// Whether a message for a place comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Stash(Place),
    Shut,
}

impl Held {
    pub(super) fn epoch(&self) -> Epoch {
        match self {
            Self::Owned(epoch) | Self::HandingOver { epoch, .. } => *epoch,
        }
    }
}

impl Scheduler {
    pub(super) fn gate(&self, place: Option<Place>) -> Gate {
        let Some(place) = place else {
            return Gate::Open;
        };
        let leased = self.lease.is_some_and(|until| self.now < until);
        match self.places.get(&place) {
            Some(Held::Owned(_)) if leased => Gate::Open,
            Some(Held::HandingOver { .. }) if leased => Gate::Stash(place),
            Some(_) | None => Gate::Shut,
        }
    }

    pub(super) fn own(
        &mut self,
        cx: &mut Cx<'_>,
        place: Place,
        epoch: Epoch,
        out: &mut Effects<Effect>,
    ) {
        let before = self.places.insert(place, Held::Owned(epoch));
        // The hand-over was given up: who waited for it is served here after all.
        if let Some(Held::HandingOver { stash, .. }) = before {
            for (ticket, ask) in stash {
                self.tickets.remove(&ticket);
                self.ask(cx, ask, out);
            }
        }
    }

    pub(super) fn lost(&mut self, cx: &mut Cx<'_>, place: Place, out: &mut Effects<Effect>) {
        if let Some(Held::HandingOver { stash, .. }) = self.places.remove(&place) {
            sometimes!(cx, !stash.is_empty(), "actor: what waited is forwarded");
            for ticket in stash.into_keys() {
                self.answer(ticket, Answer::Refused(Refusal::NotOwner), out);
            }
        }
        for index in self.members_of(place) {
            self.lose(index, out);
        }
    }

    /// Drops an activation whose place is lost. It stays until what runs of it has ended (A1).
    fn lose(&mut self, index: u32, out: &mut Effects<Effect>) {
        self.refuse_mail(index, &Refusal::NotOwner, out);
        self.tell_watchers(index, &Ended::Lost, out);
        match self.peek(index).phase {
            Phase::Running(op, caller) => {
                if let Some(ticket) = caller {
                    self.answer(ticket, Answer::Refused(Refusal::Lost), out);
                }
                self.abort(index, op, After::Forget, out);
            }
            Phase::Activating(op) | Phase::Stopping(op) => {
                self.abort(index, op, After::Forget, out);
            }
            Phase::Aborting(op, _) => self.enter(index, Phase::Aborting(op, After::Forget)),
            Phase::Resting | Phase::Armed | Phase::Ready | Phase::Paused => {
                self.forget(index, out);
                self.remove(index, out);
            }
            Phase::Backoff(_) | Phase::Failed(_) | Phase::Spent => self.remove(index, out),
        }
    }

    /// A new end of the lease, or none.
    pub(super) fn lease(
        &mut self,
        cx: &mut Cx<'_>,
        until: Option<Time>,
        out: &mut Effects<Effect>,
    ) {
        match until {
            Some(until) => self.lease = Some(until),
            // A place may be owned before the lease is told, and is not lost by that.
            None => self.lease = self.lease.map(|_| cx.now),
        }
        self.lapse(cx, out);
    }

    /// At the end of the lease every place is lost, whoever says so later (S16).
    pub(super) fn lapse(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if self.lease.is_none_or(|until| cx.now < until) {
            return;
        }
        self.lease = None;
        if self.places.is_empty() {
            return;
        }
        reached!(cx, "actor: the lease ends while places are held");
        let places: Vec<Place> = self.places.keys().copied().collect();
        let note = Note::LeaseOver {
            places: places.len(),
        };
        out.push(Effect::Note(note));
        for place in places {
            self.lost(cx, place, out);
        }
    }

    pub(super) fn hand_over(&mut self, cx: &mut Cx<'_>, place: Place, out: &mut Effects<Effect>) {
        let Some(Held::Owned(epoch)) = self.places.get(&place) else {
            return;
        };
        let handing = Held::HandingOver {
            epoch: *epoch,
            stash: BTreeMap::new(),
            drained: false,
        };
        self.places.insert(place, handing);
        for index in self.members_of(place) {
            self.leave(cx, index, Why::HandOver, out);
        }
        self.drained(place, out);
    }

    /// Says once that nothing of a place that is handed over is left.
    pub(super) fn drained(&mut self, place: Place, out: &mut Effects<Effect>) {
        if self.members.contains_key(&place) {
            return;
        }
        if let Some(Held::HandingOver { drained, .. }) = self.places.get_mut(&place)
            && !*drained
        {
            *drained = true;
            out.push(Effect::Drained { place });
        }
    }

    pub(super) fn stop(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        for held in self.places.values_mut() {
            if let Held::HandingOver { stash, .. } = held {
                for ticket in core::mem::take(stash).into_keys() {
                    self.tickets.remove(&ticket);
                    refuse(ticket, Refusal::Stopped, out);
                }
            }
        }
        let all: Vec<u32> = self
            .activations
            .iter()
            .filter_map(|(index, _)| u32::try_from(index).ok())
            .collect();
        for index in all {
            self.leave(cx, index, Why::NodeStops, out);
        }
        self.all_stopped(out);
    }

    pub(super) fn all_stopped(&self, out: &mut Effects<Effect>) {
        if self.stopping && self.activations.is_empty() {
            out.push(Effect::Stopped);
        }
    }

    /// Has an activation end as soon as it has run what it took: what is asked of it waits for the
    /// next owner, or is refused where there is none.
    fn leave(&mut self, cx: &mut Cx<'_>, index: u32, why: Why, out: &mut Effects<Effect>) {
        let activation = self.at(index);
        activation.leaving = Some(why);
        let (kind, key, place) = (activation.kind, activation.key.clone(), activation.place);
        for what in self.clear_mail(index) {
            let (ticket, answered) = match what {
                What::Ask(ticket) => (ticket, true),
                What::Tell(ticket) if self.tickets.contains_key(&ticket) => (ticket, false),
                What::Tell(_) => {
                    self.post(index, what);
                    continue;
                }
                What::Timer(..) | What::Notice(..) => continue,
            };
            match (place, self.tickets.remove(&ticket)) {
                (Some(place), Some(waiting)) if why == Why::HandOver => {
                    let ask = Ask {
                        ticket,
                        kind,
                        key: key.clone(),
                        place: Some(place),
                        deadline: waiting.deadline,
                        trail: Trail::default(),
                        answered,
                    };
                    self.put_in_stash(place, ask);
                }
                (_, _) => refuse(ticket, Refusal::Stopped, out),
            }
        }
        match self.peek(index).phase {
            Phase::Resting | Phase::Armed | Phase::Ready | Phase::Paused => {
                self.settle(cx, index, out);
            }
            Phase::Activating(_) | Phase::Running(..) | Phase::Stopping(_) => {}
            Phase::Aborting(op, _) => self.enter(index, Phase::Aborting(op, After::Forget)),
            Phase::Backoff(_) | Phase::Failed(_) | Phase::Spent => {
                self.refuse_mail(index, &Refusal::NotOwner, out);
                self.tell_watchers(index, &Ended::Stopped, out);
                self.remove(index, out);
            }
        }
    }

    /// Keeps a message for a place that is handed over.
    pub(super) fn stash(
        &mut self,
        cx: &mut Cx<'_>,
        place: Place,
        ask: Ask,
        out: &mut Effects<Effect>,
    ) {
        let full = match self.places.get(&place) {
            Some(Held::HandingOver { stash, .. }) => stash.len() >= self.limits.stash_max,
            Some(Held::Owned(_)) | None => true,
        };
        sometimes!(cx, !full, "actor: a message waits for a hand-over");
        if full {
            refuse(ask.ticket, Refusal::Overloaded, out);
        } else {
            self.put_in_stash(place, ask);
        }
    }

    fn put_in_stash(&mut self, place: Place, ask: Ask) {
        let (ticket, deadline) = (ask.ticket, ask.deadline);
        if let Some(Held::HandingOver { stash, .. }) = self.places.get_mut(&place) {
            stash.insert(ticket, ask);
        }
        self.wait(ticket, deadline, Spot::Stash(place));
    }

    pub(super) fn unstash(&mut self, place: Place, ticket: Ticket) {
        if let Some(Held::HandingOver { stash, .. }) = self.places.get_mut(&place) {
            stash.remove(&ticket);
        }
    }

    fn members_of(&self, place: Place) -> Vec<u32> {
        let members = self.members.get(&place);
        members.map_or_else(Vec::new, |members| self.by_place.members(members).collect())
    }
}
