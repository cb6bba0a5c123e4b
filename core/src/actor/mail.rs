//! Messages on their way into mailboxes, and out of them without having run.

use super::activation::{Activation, Mail, Phase, Spot, Waiting, What};
use super::place::Gate;
use super::{Answer, Ask, Effect, Overflow, Refusal, Scheduler};
use crate::id::Ticket;
use crate::step::{Cx, Effects, HaltReason, Time};
use crate::{reached, sometimes};
use alloc::vec::Vec;

impl Scheduler {
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>, ask: Ask, out: &mut Effects<Effect>) {
        let ticket = ask.ticket;
        if self.tickets.contains(ticket) || usize::from(ask.kind.0) >= self.kinds.len() {
            let broken = "a ticket comes once, of a kind that is known";
            return self.halt(HaltReason::Broken(broken), out);
        }
        let gate = self.gate(ask.place);
        let refusal = match gate {
            _ if self.stopping => Some(Refusal::Stopped),
            _ if ask.deadline <= cx.now => Some(Refusal::Deadline),
            Gate::Shut => Some(Refusal::NotOwner),
            Gate::Open | Gate::Stash(_) if self.letters.len() >= self.limits.letters_max => {
                Some(Refusal::Overloaded)
            }
            Gate::Open | Gate::Stash(_) => self.against_trail(&ask),
        };
        match (refusal, gate) {
            (Some(refusal), _) => refuse(ticket, refusal, out),
            (None, Gate::Stash(place)) => self.stash(cx, place, ask, out),
            (None, Gate::Open | Gate::Shut) => self.deliver(cx, ask, out),
        }
    }

    /// A10.
    fn against_trail(&self, ask: &Ask) -> Option<Refusal> {
        let kind = &self.config(ask.kind).name;
        if ask.answered && (ask.crosses || ask.trail.has(kind, &ask.key)) {
            Some(Refusal::Cycle)
        } else if ask.trail.hops().len() >= self.limits.trail_max {
            Some(Refusal::TooDeep {
                hops: ask.trail.hops().len(),
                hops_max: self.limits.trail_max,
            })
        } else {
            None
        }
    }

    /// Brings a message that is not refused to its key's mailbox; its first one makes an activation.
    pub(super) fn deliver(&mut self, cx: &mut Cx<'_>, ask: Ask, out: &mut Effects<Effect>) {
        let Ask {
            ticket,
            kind,
            key,
            place,
            deadline,
            answered,
            trail: _,
            crosses: _,
        } = ask;
        let index = match self.of_key(kind, &key) {
            Some(index) => index,
            None if self.make_room(cx, out) => self.settle_key((kind, key), place),
            None => return refuse(ticket, Refusal::Overloaded, out),
        };
        let config = self.config(kind);
        let (mailbox_max, overflow) = (config.mailbox_max, config.overflow);
        let activation = self.at(index);
        match activation.phase {
            Phase::Failed(until) if cx.now < until => {
                let failed = failed(activation, until, cx.now);
                return refuse(ticket, failed, out);
            }
            Phase::Failed(_) | Phase::Spent => self.activate(cx, index, out),
            Phase::Activating(_)
            | Phase::Resting
            | Phase::Armed
            | Phase::Ready
            | Phase::Paused
            | Phase::Running(..)
            | Phase::Stopping(_)
            | Phase::Aborting(..)
            | Phase::Backoff(_) => {}
        }
        let full = self.at(index).mailbox.len() >= mailbox_max;
        sometimes!(cx, full, "actor: a mailbox is full");
        let what = if answered {
            What::Ask(ticket)
        } else {
            What::Tell(ticket)
        };
        match (full, overflow) {
            (true, Overflow::Reject) => return refuse(ticket, Refusal::Overloaded, out),
            (true, Overflow::Wait) => {
                let letter = self.letter(index, what);
                let queue = &mut self.activations[index as usize].extra().overflow;
                self.mail.push(queue, letter);
                self.wait(ticket, deadline, Spot::Overflow(letter));
            }
            (false, _) => {
                let letter = self.post(index, what);
                if answered {
                    self.wait(ticket, deadline, Spot::Mailbox(letter));
                } else {
                    let answer = Answer::Taken;
                    out.push(Effect::Reply { ticket, answer });
                }
            }
        }
        self.wake(cx, index, out);
    }

    fn letter(&mut self, to: u32, what: What) -> u32 {
        let letter = self.letters.insert(Mail { to, what });
        u32::try_from(letter).expect("fewer letters than 2^32")
    }

    /// Adds a letter to a mailbox.
    pub(super) fn post(&mut self, index: u32, what: What) -> u32 {
        let letter = self.letter(index, what);
        let queue = &mut self.activations[index as usize].mailbox;
        self.mail.push(queue, letter);
        letter
    }

    /// Takes the first letter out of a mailbox; one that waits for room follows.
    pub(super) fn take(&mut self, index: u32, out: &mut Effects<Effect>) -> Option<What> {
        let activation = &mut self.activations[index as usize];
        let letter = self.mail.pop(&mut activation.mailbox)?;
        self.refill(index, out);
        Some(self.letters.remove(letter as usize).what)
    }

    /// Lets what waits for room into the mailbox.
    fn refill(&mut self, index: u32, out: &mut Effects<Effect>) {
        let mailbox_max = self.config(self.peek(index).kind).mailbox_max;
        let activation = &mut self.activations[index as usize];
        let Some(extra) = activation.extra.as_deref_mut() else {
            return;
        };
        while activation.mailbox.len() < mailbox_max
            && let Some(letter) = self.mail.pop(&mut extra.overflow)
        {
            self.mail.push(&mut activation.mailbox, letter);
            match self.letters[letter as usize].what {
                What::Ask(ticket) => {
                    if let Some(waiting) = self.tickets.get_mut(ticket) {
                        waiting.spot = Spot::Mailbox(letter);
                    }
                }
                What::Tell(ticket) => {
                    self.tickets.remove(ticket);
                    let answer = Answer::Taken;
                    out.push(Effect::Reply { ticket, answer });
                }
                What::Timer(..) | What::Notice(..) => {}
            }
        }
    }

    pub(super) fn wait(&mut self, ticket: Ticket, deadline: Time, spot: Spot) {
        self.tickets.insert(ticket, Waiting { deadline, spot });
        self.deadlines.set(deadline, ticket);
    }

    /// Tells whoever waits under a ticket, unless it has its answer or went away.
    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer, out: &mut Effects<Effect>) {
        if self.tickets.remove(ticket).is_some() {
            out.push(Effect::Reply { ticket, answer });
        }
    }

    /// Answers those whose deadline has come.
    pub(super) fn expire(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        while let Some((at, ticket)) = self.deadlines.pop_due(cx.now) {
            let wanted = self.tickets.get(ticket);
            if wanted.is_none_or(|waiting| waiting.deadline != at) {
                continue;
            }
            let refusal = match self.let_go(cx, ticket, out) {
                Some(Spot::Turn(_)) => {
                    reached!(cx, "actor: the deadline comes during the turn");
                    Refusal::Late
                }
                Some(Spot::Mailbox(_) | Spot::Overflow(_) | Spot::Watch(_) | Spot::Stash(_))
                | None => Refusal::Deadline,
            };
            refuse(ticket, refusal, out);
        }
    }

    pub(super) fn withdraw(&mut self, cx: &mut Cx<'_>, ticket: Ticket, out: &mut Effects<Effect>) {
        self.let_go(cx, ticket, out);
    }

    /// Whoever waits under a ticket waits no more: what was not begun is not run, and what runs is
    /// told.
    fn let_go(
        &mut self,
        cx: &mut Cx<'_>,
        ticket: Ticket,
        out: &mut Effects<Effect>,
    ) -> Option<Spot> {
        let Waiting { spot, .. } = self.tickets.remove(ticket)?;
        match spot {
            Spot::Mailbox(letter) => {
                let index = self.letters.remove(letter as usize).to;
                let activation = &mut self.activations[index as usize];
                self.mail.remove(&mut activation.mailbox, letter);
                self.refill(index, out);
                self.wake(cx, index, out);
            }
            Spot::Overflow(letter) => {
                let index = self.letters.remove(letter as usize).to;
                let extra = self.activations[index as usize].extra();
                self.mail.remove(&mut extra.overflow, letter);
            }
            Spot::Turn(index) => {
                let activation = self.at(index);
                if let Phase::Running(op, caller) = &mut activation.phase {
                    *caller = None;
                    let (op, slot) = (*op, activation.slot(index));
                    out.push(Effect::Cancel { slot, op });
                }
            }
            Spot::Watch(index) => self.at(index).extra().watchers.retain(|one| *one != ticket),
            Spot::Stash(place) => self.unstash(place, ticket),
        }
        Some(spot)
    }

    /// Takes what waits for an activation out of its mailbox, in order. Timers and notices are the
    /// activation's own, and end with it.
    pub(super) fn clear_mail(&mut self, index: u32) -> Vec<What> {
        let mut mail = Vec::new();
        let activation = &mut self.activations[index as usize];
        while let Some(letter) = self.mail.pop(&mut activation.mailbox) {
            mail.push(self.letters.remove(letter as usize).what);
        }
        if let Some(extra) = activation.extra.as_deref_mut() {
            while let Some(letter) = self.mail.pop(&mut extra.overflow) {
                mail.push(self.letters.remove(letter as usize).what);
            }
        }
        mail.retain(|what| matches!(what, What::Ask(_) | What::Tell(_)));
        mail
    }

    /// Refuses what waits for an activation.
    pub(super) fn refuse_mail(&mut self, index: u32, refusal: &Refusal, out: &mut Effects<Effect>) {
        for what in self.clear_mail(index) {
            match what {
                What::Ask(ticket) => self.answer(ticket, Answer::Refused(refusal.clone()), out),
                What::Tell(ticket) if self.tickets.contains(ticket) => {
                    self.answer(ticket, Answer::Refused(refusal.clone()), out);
                }
                What::Tell(ticket) => self.undelivered(index, ticket, out),
                What::Timer(..) | What::Notice(..) => {}
            }
        }
    }

    fn undelivered(&self, index: u32, ticket: Ticket, out: &mut Effects<Effect>) {
        let activation = self.peek(index);
        let (kind, key) = (activation.kind, activation.key.clone());
        out.push(Effect::Undelivered { ticket, kind, key });
    }
}

pub(super) fn refuse(ticket: Ticket, refusal: Refusal, out: &mut Effects<Effect>) {
    let answer = Answer::Refused(refusal);
    out.push(Effect::Reply { ticket, answer });
}

/// What callers of an actor that failed are told until it is tried again.
pub(super) fn failed(activation: &Activation, until: Time, now: Time) -> Refusal {
    let extra = activation.extra.as_deref();
    Refusal::Failed {
        cause: extra
            .and_then(|extra| extra.cause.clone())
            .unwrap_or_default(),
        retry_after: until.since(now),
    }
}
