//! Who is told when an activation ends, and what an activation is told of others.

use super::activation::{Phase, Spot, What};
use super::mail::refuse;
use super::place::Gate;
use super::{Answer, Effect, Ended, Refusal, Scheduler, Watch, WatchOf};
use crate::id::Slot;
use crate::sometimes;
use crate::step::{Cx, Effects, HaltReason};

impl Scheduler {
    pub(super) fn watch(&mut self, cx: &mut Cx<'_>, watch: Watch, out: &mut Effects<Effect>) {
        let Watch {
            ticket,
            kind,
            key,
            place,
            deadline,
            of,
        } = watch;
        if self.tickets.contains(ticket) {
            let broken = "a ticket comes once";
            return self.halt(HaltReason::Broken(broken), out);
        }
        if deadline <= cx.now {
            return refuse(ticket, Refusal::Deadline, out);
        }
        match self.gate(place) {
            Gate::Shut => return refuse(ticket, Refusal::NotOwner, out),
            // Whoever is there still is about to stop.
            Gate::Open | Gate::Stash(_) => {}
        }
        let index = self.of_key(kind, &key);
        let alive = index.filter(|index| match self.peek(*index).phase {
            Phase::Failed(_) | Phase::Spent | Phase::Aborting(..) => false,
            Phase::Activating(_)
            | Phase::Resting
            | Phase::Armed
            | Phase::Ready
            | Phase::Paused
            | Phase::Running(..)
            | Phase::Stopping(_)
            | Phase::Backoff(_) => true,
        });
        let Some(index) = alive else {
            let answer = Answer::Ended(match of {
                WatchOf::Whoever | WatchOf::Who => Ended::Absent,
                WatchOf::Life(_) => Ended::Lost,
            });
            return out.push(Effect::Reply { ticket, answer });
        };
        let answer = match of {
            WatchOf::Whoever => None,
            WatchOf::Who => Some(Answer::Lives(self.life_of(index))),
            // Nobody saw how that one ended, and another one is there since.
            WatchOf::Life(life) => {
                let other = self.life_of(index) != life;
                sometimes!(cx, other, "actor: who was watched has ended unseen");
                other.then_some(Answer::Ended(Ended::Lost))
            }
        };
        if let Some(answer) = answer {
            return out.push(Effect::Reply { ticket, answer });
        }
        if self.at(index).extra().watchers.len() >= self.limits.watchers_max {
            return refuse(ticket, Refusal::TooManyWatchers, out);
        }
        self.at(index).extra().watchers.push(ticket);
        self.wait(ticket, deadline, Spot::Watch(index));
    }

    /// What the present life of an activation is called: until its watchers are told of an end.
    fn life_of(&mut self, index: u32) -> u32 {
        let next = self.serial();
        *self.at(index).extra().life.get_or_insert(next)
    }

    pub(super) fn tell_watchers(&mut self, index: u32, ended: &Ended, out: &mut Effects<Effect>) {
        let Some(extra) = self.at(index).extra.as_deref_mut() else {
            return;
        };
        extra.life = None;
        for ticket in core::mem::take(&mut extra.watchers) {
            self.answer(ticket, Answer::Ended(ended.clone()), out);
        }
    }

    /// What an activation watched has ended. Of one that has ended itself nobody wants to know.
    pub(super) fn notice(
        &mut self,
        cx: &mut Cx<'_>,
        slot: Slot,
        (watch, ended): (u32, Ended),
        out: &mut Effects<Effect>,
    ) {
        let Some(index) = self.find(slot) else {
            return;
        };
        self.post(index, What::Notice(watch, ended));
        self.wake(cx, index, out);
    }

    /// So many tasks and watches run for an activation now.
    pub(super) fn background(
        &mut self,
        cx: &mut Cx<'_>,
        slot: Slot,
        background: u32,
        out: &mut Effects<Effect>,
    ) {
        let Some(index) = self.find(slot) else {
            return;
        };
        let activation = self.at(index);
        if background > 0 || activation.extra.is_some() {
            activation.extra().background = background;
        }
        self.wake(cx, index, out);
    }

    /// Drops the timers' messages and notices that wait for an activation which ends.
    pub(super) fn drop_own_mail(&mut self, index: u32) {
        let activation = &mut self.activations[index as usize];
        let mut next = activation.mailbox.first();
        while let Some(letter) = next {
            next = self.mail.after(letter);
            match self.letters[letter as usize].what {
                What::Timer(..) | What::Notice(..) => {
                    self.mail.remove(&mut activation.mailbox, letter);
                    self.letters.remove(letter as usize);
                }
                What::Ask(_) | What::Tell(_) => {}
            }
        }
    }
}
