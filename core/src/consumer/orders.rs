//! What a consumer is told: pause, resume, stop; and its end.

use super::letters::Want;
use super::machine::{Consumer, Phase};
use super::{Answer, Command, Effect, Fault, Keeping, Notice, OrderRefusal, RewindRefusal};
use crate::id::Ticket;
use crate::step::{Cx, Effects, Time};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Nothing is handed over.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Pause {
    pub(super) by: String,
}

impl Consumer {
    pub(super) fn command(&mut self, cx: &mut Cx<'_>, command: Command, out: &mut Effects<Effect>) {
        match command {
            Command::Pause { ticket, by } => {
                self.obeys(ticket, out);
                if self.pause.is_none() && !self.is_over() {
                    self.notice(Notice::Paused, out);
                    // What was handled before is not handed over again, should it end now.
                    self.record.wanted = true;
                    self.pause = Some(Pause { by });
                }
            }
            Command::Resume { ticket } => {
                self.obeys(ticket, out);
                if self.pause.take().is_some() && !self.is_over() {
                    self.watch.progress(cx.now);
                    self.notice(Notice::Resumed, out);
                }
            }
            Command::Rewind { ticket, to } => {
                let refusal = match (&self.config.definition.keeping, self.refusal()) {
                    (_, Some(refusal)) => Some(RewindRefusal::Order(refusal)),
                    (Keeping::External { .. }, None) => Some(RewindRefusal::External),
                    (Keeping::Stored, None) => None,
                };
                match refusal {
                    None => self.begin_rewind(cx, ticket, to),
                    Some(refusal) => {
                        let answer = Answer::Rewound(Err(refusal));
                        out.push(Effect::Answer { ticket, answer });
                    }
                }
            }
            Command::Letters {
                ticket,
                after,
                letters_max,
            } => {
                let want = Want::List { after, letters_max };
                self.letters_wanted(cx, ticket, want, out);
            }
            Command::Replay { ticket, place } => {
                self.letters_wanted(cx, ticket, Want::Replay(place), out);
            }
            Command::Look { ticket, place } => {
                self.letters_wanted(cx, ticket, Want::Look(place), out);
            }
            Command::Remove { ticket, place } => {
                self.letters_wanted(cx, ticket, Want::Remove(place), out);
            }
            Command::Stop { until } => self.stop(until, out),
        }
    }

    /// Says that it does what it was told, if it still does anything.
    fn obeys(&self, ticket: Ticket, out: &mut Effects<Effect>) {
        let obeyed = match self.is_over() {
            true => Err(OrderRefusal::Stopped),
            false => Ok(()),
        };
        let answer = Answer::Obeyed(obeyed);
        out.push(Effect::Answer { ticket, answer });
    }

    fn letters_wanted(
        &mut self,
        cx: &mut Cx<'_>,
        ticket: Ticket,
        want: Want,
        out: &mut Effects<Effect>,
    ) {
        match self.refusal() {
            None => self.begin_letters(cx, ticket, want, out),
            Some(refusal) => {
                let answer = want.refused(refusal.into());
                out.push(Effect::Answer { ticket, answer });
            }
        }
    }

    /// Why nothing can be asked of it now.
    fn refusal(&self) -> Option<OrderRefusal> {
        match &self.phase {
            Phase::Waiting | Phase::Reading | Phase::Opening | Phase::Claiming => {
                Some(OrderRefusal::Starting)
            }
            Phase::Running => None,
            Phase::Rewinding(_) => Some(OrderRefusal::Rewinding),
            Phase::Stopping { .. } | Phase::Over | Phase::Halted => Some(OrderRefusal::Stopped),
        }
    }

    fn stop(&mut self, until: Time, out: &mut Effects<Effect>) {
        match &mut self.phase {
            Phase::Over | Phase::Halted => {}
            Phase::Stopping { until: before, .. } => *before = until.min(*before),
            Phase::Waiting
            | Phase::Reading
            | Phase::Opening
            | Phase::Claiming
            | Phase::Running
            | Phase::Rewinding(_) => self.begin_stop(until, None, out),
        }
    }

    /// Nothing is handed over from now on.
    pub(super) fn begin_stop(
        &mut self,
        until: Time,
        fault: Option<Box<Fault>>,
        out: &mut Effects<Effect>,
    ) {
        self.leave_rewind(out);
        self.phase = Phase::Stopping { until, fault };
    }

    /// Ends when the handler is done and the checkpoint stored, or when the time has come.
    pub(super) fn end_when_done(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let Phase::Stopping { until, fault } = &self.phase else {
            return;
        };
        // After any other fault the record is another's, or the positions are not to be trusted.
        let saves = match fault.as_deref() {
            None | Some(Fault::Poison { .. }) => true,
            Some(_) => false,
        };
        if *until > cx.now {
            let busy = !self.queue.running.is_empty() || !self.puts.is_empty();
            if busy && !is_final(fault.as_deref()) {
                if saves {
                    // A handler may never end; what the others did is stored meanwhile.
                    self.saved_for_good(cx, out);
                }
                return;
            }
            if saves && !self.saved_for_good(cx, out) {
                return;
            }
        }
        self.end(cx, out);
    }

    fn end(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let fault = match core::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Stopping { fault, .. } => fault,
            Phase::Waiting
            | Phase::Reading
            | Phase::Opening
            | Phase::Claiming
            | Phase::Running
            | Phase::Rewinding(_)
            | Phase::Over
            | Phase::Halted => None,
        };
        for n in 0..self.config.layout.streams {
            self.close_feed(cx, n, out);
        }
        let waiting: Vec<Ticket> = self.letters.keys().copied().collect();
        self.give_up_letters(waiting, OrderRefusal::Stopped, out);
        out.push(Effect::Ended {
            positions: self.positions(),
            running: u32::try_from(self.queue.running.len()).unwrap_or(u32::MAX),
            fault,
        });
    }
}

/// Whether nothing that the handler still does counts any more.
fn is_final(fault: Option<&Fault>) -> bool {
    match fault {
        None | Some(Fault::Poison { .. }) => false,
        Some(_) => true,
    }
}
