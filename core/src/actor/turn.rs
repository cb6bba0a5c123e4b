//! Turns: who has one next, and how one ends.

use super::activation::{After, Phase, Spot, What};
use super::{
    Answer, Effect, Ended, Ending, Letter, Note, OnPanic, OnStuck, Order, Refusal, Scheduler,
};
use crate::always;
use crate::id::{OpId, Slot};
use crate::log::KindIndex;
use crate::name::EntityId;
use crate::reached;
use crate::step::{Cx, Effects, HaltReason};
use alloc::vec::Vec;

impl Scheduler {
    /// Begins a turn of each of those in front (A6).
    pub(super) fn turns(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        for _ in 0..self.limits.actor_turns_max {
            let Some(index) = self.ready.first() else {
                return;
            };
            self.begin_turn(cx, index, out);
        }
    }

    fn begin_turn(&mut self, cx: &mut Cx<'_>, index: u32, out: &mut Effects<Effect>) {
        let place = self.peek(index).place;
        let held = place.is_none_or(|place| self.places.contains(place));
        always!(cx, held, "actor: A5, a turn begins in a place that is held");
        let (letter, caller) = loop {
            let Some(what) = self.take(index, out) else {
                return self.settle(cx, index, out);
            };
            match what {
                What::Ask(ticket) => {
                    let waiting = self.tickets.get_mut(ticket);
                    let waiting = waiting.expect("who asks waits");
                    waiting.spot = Spot::Turn(index);
                    let deadline = Some(waiting.deadline);
                    always!(cx, waiting.deadline > cx.now, "actor: A5, in time");
                    break (Letter::Message { ticket, deadline }, Some(ticket));
                }
                What::Tell(ticket) => {
                    let deadline = None;
                    break (Letter::Message { ticket, deadline }, None);
                }
                What::Timer(name, serial) => {
                    if let Some(letter) = self.timer_letter(index, name, serial) {
                        break (letter, None);
                    }
                }
                What::Notice(watch, ended) => break (Letter::Notice { watch, ended }, None),
            }
        };
        self.spend_step(index);
        let op = self.op();
        let activation = self.at(index);
        activation.since = cx.now;
        out.push(Effect::Run {
            slot: activation.slot(index),
            op,
            kind: activation.kind,
            key: activation.key.clone(),
            place,
            letter,
        });
        self.enter(index, Phase::Running(op, caller));
    }

    /// What was under way has ended.
    pub(super) fn done(
        &mut self,
        cx: &mut Cx<'_>,
        (slot, op): (Slot, OpId),
        ending: Ending,
        (orders, background): (Vec<Order>, u32),
        out: &mut Effects<Effect>,
    ) {
        let Some(index) = self.find(slot) else {
            return self.halt(HaltReason::UnknownOp(op), out);
        };
        let activation = self.at(index);
        let known = ending != Ending::Withdrawn;
        if known && (background > 0 || activation.extra.is_some()) {
            activation.extra().background = background;
        }
        match activation.phase {
            Phase::Activating(asked) if asked == op => match ending {
                Ending::Ok | Ending::Withdrawn => self.activated(cx, index, orders, out),
                Ending::Failed(cause) | Ending::Panicked(cause) => {
                    self.not_made(cx, index, cause, out);
                }
                Ending::Dropped => self.not_made(cx, index, Self::dropped_cause(), out),
            },
            Phase::Running(asked, _) if asked == op => self.ran(cx, index, ending, orders, out),
            Phase::Stopping(asked) if asked == op => {
                if let Ending::Panicked(cause) = ending {
                    self.note_panic(index, cause, out);
                }
                self.ended(cx, index, &Ended::Stopped, out);
            }
            Phase::Aborting(asked, after) if asked == op => match after {
                After::Restart => {
                    let cause = "its turn took too long and was dropped".into();
                    self.restart(cx, index, cause, out);
                }
                After::Forget => self.ended(cx, index, &Ended::Lost, out),
            },
            Phase::Activating(_)
            | Phase::Running(..)
            | Phase::Stopping(_)
            | Phase::Aborting(..)
            | Phase::Resting
            | Phase::Armed
            | Phase::Ready
            | Phase::Paused
            | Phase::Backoff(_)
            | Phase::Failed(_)
            | Phase::Spent => self.halt(HaltReason::UnknownOp(op), out),
        }
    }

    /// A turn has ended: its caller is told, and the kind says what becomes of a failure.
    fn ran(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        ending: Ending,
        orders: Vec<Order>,
        out: &mut Effects<Effect>,
    ) {
        let answer = match &ending {
            Ending::Ok => Answer::Ran,
            Ending::Failed(cause) | Ending::Panicked(cause) => {
                Answer::Refused(Refusal::Panicked(cause.clone()))
            }
            Ending::Dropped => Answer::Refused(Refusal::Aborted),
            Ending::Withdrawn => Answer::Refused(Refusal::Deadline),
        };
        match (self.peek(index).phase, &ending) {
            (Phase::Running(_, Some(ticket)), Ending::Withdrawn) => {
                self.tickets.remove(ticket);
            }
            (Phase::Running(_, Some(ticket)), _) => self.answer(ticket, answer, out),
            (_, _) => {}
        }
        self.at(index).since = cx.now;
        match ending {
            Ending::Ok | Ending::Withdrawn => {
                self.obey(cx, index, orders);
                self.settle(cx, index, out);
            }
            Ending::Dropped => self.restart(cx, index, Self::dropped_cause(), out),
            Ending::Failed(cause) | Ending::Panicked(cause) => {
                self.note_panic(index, cause.clone(), out);
                match self.config(self.peek(index).kind).on_panic {
                    OnPanic::Resume => {
                        reached!(cx, "actor: it goes on after a panic");
                        self.obey(cx, index, orders);
                        self.settle(cx, index, out);
                    }
                    OnPanic::Restart => self.restart(cx, index, cause, out),
                    OnPanic::Stop => {
                        let (kind, key) = self.names(index);
                        out.push(Effect::Note(Note::Failed { kind, key }));
                        self.end(index, &Ended::Failed(cause), out);
                    }
                }
            }
        }
    }

    fn note_panic(&self, index: u32, cause: alloc::string::String, out: &mut Effects<Effect>) {
        let (kind, key) = self.names(index);
        out.push(Effect::Note(Note::Panicked { kind, key, cause }));
    }

    /// What runs takes longer than its kind's patience.
    pub(super) fn stuck(&mut self, cx: &mut Cx<'_>, index: u32, out: &mut Effects<Effect>) {
        reached!(cx, "actor: a turn takes too long");
        let (kind, key) = self.names(index);
        out.push(Effect::Note(Note::Stuck { kind, key }));
        let on_stuck = self.config(self.peek(index).kind).on_stuck;
        match (on_stuck, self.peek(index).phase) {
            (OnStuck::Abort, Phase::Running(op, caller)) => {
                if let Some(ticket) = caller {
                    self.answer(ticket, Answer::Refused(Refusal::Aborted), out);
                }
                self.abort(index, op, After::Restart, out);
            }
            (OnStuck::Abort, Phase::Activating(op)) => self.abort(index, op, After::Restart, out),
            (OnStuck::Abort, Phase::Stopping(op)) => self.abort(index, op, After::Forget, out),
            (OnStuck::Count | OnStuck::Abort, _) => {
                self.leave_queue(index);
                self.at(index).stuck = true;
                // It is on its way out still, if it was.
                self.going += usize::from(self.peek(index).phase.is_going());
            }
        }
    }

    /// What a turn wants besides its answer.
    pub(super) fn obey(&mut self, cx: &mut Cx<'_>, index: u32, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Timer { name, at, every } => self.set_timer(cx, index, name, (at, every)),
                Order::Cancel { name } => self.cancel_timer(index, &name),
                Order::Passivate => {
                    let activation = self.at(index);
                    activation.leaving.get_or_insert(super::Why::Asked);
                }
            }
        }
    }

    pub(super) fn pause(
        &mut self,
        cx: &mut Cx<'_>,
        key: (KindIndex, EntityId),
        out: &mut Effects<Effect>,
    ) {
        self.pauses.insert(key.clone(), 0);
        self.look_at(cx, &key, out);
    }

    pub(super) fn allow_one(
        &mut self,
        cx: &mut Cx<'_>,
        key: (KindIndex, EntityId),
        out: &mut Effects<Effect>,
    ) {
        if let Some(steps) = self.pauses.get_mut(&key) {
            *steps += 1;
        }
        self.look_at(cx, &key, out);
    }

    pub(super) fn resume(
        &mut self,
        cx: &mut Cx<'_>,
        key: &(KindIndex, EntityId),
        out: &mut Effects<Effect>,
    ) {
        self.pauses.remove(key);
        self.look_at(cx, key, out);
    }

    fn look_at(&mut self, cx: &mut Cx<'_>, key: &(KindIndex, EntityId), out: &mut Effects<Effect>) {
        if let Some(index) = self.of_key(key.0, &key.1) {
            self.wake(cx, index, out);
        }
    }

    pub(super) fn is_paused(&self, index: u32) -> bool {
        if self.pauses.is_empty() {
            return false;
        }
        let activation = self.peek(index);
        let key = (activation.kind, activation.key.clone());
        let steps = self.pauses.get(&key).copied();
        steps.is_some_and(|steps| steps == 0 || activation.mailbox.is_empty())
    }

    /// A paused activation takes one of the turns it was allowed.
    fn spend_step(&mut self, index: u32) {
        if self.pauses.is_empty() {
            return;
        }
        let activation = self.peek(index);
        let key = (activation.kind, activation.key.clone());
        if let Some(steps) = self.pauses.get_mut(&key) {
            *steps = steps.saturating_sub(1);
        }
    }
}
