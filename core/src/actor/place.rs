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
        /// `None`: it was not held when that began.
        epoch: Option<Epoch>,
        stash: BTreeMap<Ticket, Ask>,
        drained: bool,
        /// When it stays after all; `None`: it is not held, so nothing would be served.
        until: Option<Time>,
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
    pub(super) fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Owned(epoch) => Some(*epoch),
            Self::HandingOver { epoch, .. } => *epoch,
        }
    }
}

impl Scheduler {
    pub(super) fn gate(&self, place: Option<Place>) -> Gate {
        let Some(place) = place else {
            return Gate::Open;
        };
        let leased = self.lease.is_some_and(|until| self.now < until);
        match self.places.get(place) {
            Some(Held::Owned(_)) if leased => Gate::Open,
            Some(Held::HandingOver { .. }) if leased => Gate::Stash(place),
            Some(_) | None => Gate::Shut,
        }
    }

    /// A place is held, under this epoch from now on. A hand-over goes on under it: only the loss of
    /// the place ends one.
    pub(super) fn own(&mut self, cx: &mut Cx<'_>, place: Place, epoch: Epoch) {
        let held = self.places.get_or_insert_with(place, || Held::Owned(epoch));
        match held {
            Held::Owned(held) => *held = epoch,
            Held::HandingOver { epoch: held, .. } => {
                reached!(cx, "actor: a place that is handed over gets another epoch");
                *held = Some(epoch);
            }
        }
    }

    pub(super) fn lost(&mut self, cx: &mut Cx<'_>, place: Place, out: &mut Effects<Effect>) {
        let stash = self.take_stash(place);
        // It is not handed over any more, so that nobody is told it is drained.
        if let Some(Held::HandingOver {
            until: Some(until), ..
        }) = self.places.remove(place)
        {
            self.leaving.remove(&(until, place));
        }
        self.empty(cx, (place, stash), out);
    }

    fn take_stash(&mut self, place: Place) -> BTreeMap<Ticket, Ask> {
        match self.places.get_mut(place) {
            Some(Held::HandingOver { stash, .. }) => core::mem::take(stash),
            Some(Held::Owned(_)) | None => BTreeMap::new(),
        }
    }

    /// Drops what lives in a place, and sends elsewhere who waits for its hand-over.
    fn empty(
        &mut self,
        cx: &mut Cx<'_>,
        (place, stash): (Place, BTreeMap<Ticket, Ask>),
        out: &mut Effects<Effect>,
    ) {
        sometimes!(cx, !stash.is_empty(), "actor: what waited is forwarded");
        for ticket in stash.into_keys() {
            self.answer(ticket, Answer::Refused(Refusal::NotOwner), out);
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

    /// A later end of the lease, or none: what was held under it is lost.
    pub(super) fn lease(
        &mut self,
        cx: &mut Cx<'_>,
        until: Option<Time>,
        out: &mut Effects<Effect>,
    ) {
        match until {
            Some(until) => self.lease = Some(until),
            None => {
                self.note_lapse(cx, out);
                for place in self.all_places() {
                    self.lost(cx, place, out);
                }
            }
        }
    }

    /// At the end of the lease nothing acts in any place, whoever says so later (S16). The places are
    /// kept: a later end of the same lease opens them again.
    pub(super) fn lapse(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if self.lease.is_none_or(|until| cx.now < until) {
            return;
        }
        self.note_lapse(cx, out);
        for place in self.all_places() {
            let stash = self.take_stash(place);
            self.empty(cx, (place, stash), out);
        }
    }

    fn note_lapse(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let places = self.places.len();
        if self.lease.take().is_some() && places > 0 {
            reached!(cx, "actor: the lease ends while places are held");
            out.push(Effect::Note(Note::LeaseOver { places }));
        }
    }

    fn all_places(&self) -> Vec<Place> {
        self.places.keys().collect()
    }

    /// Why nothing of a place is to stay, if that is so.
    pub(super) fn must_leave(&self, place: Option<Place>) -> Option<Why> {
        let held = place.and_then(|place| self.places.get(place));
        match held {
            _ if self.stopping => Some(Why::NodeStops),
            Some(Held::HandingOver { .. }) => Some(Why::HandOver),
            Some(Held::Owned(_)) | None => None,
        }
    }

    pub(super) fn hand_over(&mut self, cx: &mut Cx<'_>, place: Place, out: &mut Effects<Effect>) {
        let epoch = match self.places.get(place) {
            Some(Held::HandingOver { .. }) => return,
            Some(Held::Owned(epoch)) => Some(*epoch),
            None => None,
        };
        let until = epoch.map(|_| cx.now + self.limits.hand_over_patience);
        let handing = Held::HandingOver {
            epoch,
            stash: BTreeMap::new(),
            drained: false,
            until,
        };
        self.leaving.extend(until.map(|until| (until, place)));
        self.places.insert(place, handing);
        for index in self.members_of(place) {
            self.leave(cx, index, Why::HandOver, out);
        }
        self.drained(place, out);
    }

    /// Ends the hand-overs whose actors had time enough: one long turn holds up neither the other keys
    /// of its place nor the other places that are to go.
    pub(super) fn keep_late(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        while let Some((until, place)) = self.leaving.first().copied()
            && until <= cx.now
        {
            self.leaving.pop_first();
            let Some(Held::HandingOver {
                epoch: Some(epoch),
                stash,
                drained: false,
                until: Some(of),
            }) = self.places.get_mut(place)
            else {
                continue;
            };
            if *of != until {
                continue;
            }
            let (epoch, stash) = (*epoch, core::mem::take(stash));
            reached!(cx, "actor: a hand-over is given up");
            self.places.insert(place, Held::Owned(epoch));
            out.push(Effect::Kept { place, epoch });
            for index in self.members_of(place) {
                self.stay(cx, index, out);
            }
            for (ticket, ask) in stash {
                if self.tickets.remove(ticket).is_some() {
                    self.ask(cx, ask, out);
                }
            }
        }
    }

    /// An activation of a place that is not handed over goes on; what has begun to stop ends.
    fn stay(&mut self, cx: &mut Cx<'_>, index: u32, out: &mut Effects<Effect>) {
        let activation = self.at(index);
        if activation.leaving != Some(Why::HandOver) {
            return;
        }
        match activation.phase {
            Phase::Stopping(_) | Phase::Aborting(..) => {}
            Phase::Activating(_)
            | Phase::Running(..)
            | Phase::Resting
            | Phase::Armed
            | Phase::Ready
            | Phase::Paused
            | Phase::Backoff(_)
            | Phase::Failed(_)
            | Phase::Spent => {
                activation.leaving = None;
                self.wake(cx, index, out);
            }
        }
    }

    /// Says once that nothing of a place that is handed over is left.
    pub(super) fn drained(&mut self, place: Place, out: &mut Effects<Effect>) {
        if self.members.contains_key(&place) {
            return;
        }
        if let Some(Held::HandingOver { drained, until, .. }) = self.places.get_mut(place)
            && !*drained
        {
            *drained = true;
            if let Some(until) = until {
                self.leaving.remove(&(*until, place));
            }
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
                    self.tickets.remove(ticket);
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

    /// Has an activation end as soon as it has run what it took, and before a hand-over what came
    /// before that: what else is asked of it waits for the next owner, or is refused where there is
    /// none.
    fn leave(&mut self, cx: &mut Cx<'_>, index: u32, why: Why, out: &mut Effects<Effect>) {
        let activation = self.at(index);
        activation.leaving = Some(why);
        let (kind, key, place) = (activation.kind, activation.key.clone(), activation.place);
        let mail = self.clear_mail(index);
        let taken =
            |what: &What| matches!(what, What::Tell(ticket) if !self.tickets.contains(*ticket));
        let last = mail.iter().rposition(taken);
        // The next owner would run them after what was taken, though they came before it (A3).
        let stay = last.filter(|_| why == Why::HandOver).unwrap_or(0);
        for (nth, what) in mail.into_iter().enumerate() {
            let (ticket, answered) = match what {
                What::Ask(ticket) if nth < stay => {
                    let letter = self.post(index, what);
                    if let Some(waiting) = self.tickets.get_mut(ticket) {
                        waiting.spot = Spot::Mailbox(letter);
                    }
                    continue;
                }
                What::Ask(ticket) => (ticket, true),
                What::Tell(ticket) if self.tickets.contains(ticket) => (ticket, false),
                What::Tell(_) => {
                    self.post(index, what);
                    continue;
                }
                What::Timer(..) | What::Notice(..) => continue,
            };
            match (place, self.tickets.remove(ticket)) {
                (Some(place), Some(waiting)) if why == Why::HandOver => {
                    let ask = Ask {
                        ticket,
                        kind,
                        key: key.clone(),
                        place: Some(place),
                        deadline: waiting.deadline,
                        trail: Trail::default(),
                        crosses: false,
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
        let full = match self.places.get(place) {
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
        if let Some(Held::HandingOver { stash, .. }) = self.places.get_mut(place) {
            stash.insert(ticket, ask);
        }
        self.wait(ticket, deadline, Spot::Stash(place));
    }

    pub(super) fn unstash(&mut self, place: Place, ticket: Ticket) {
        if let Some(Held::HandingOver { stash, .. }) = self.places.get_mut(place) {
            stash.remove(&ticket);
        }
    }

    fn members_of(&self, place: Place) -> Vec<u32> {
        let members = self.members.get(&place);
        members.map_or_else(Vec::new, |members| self.by_place.members(members).collect())
    }
}
