//! What the scheduler of a lane's actors wants done.

use super::acts::Due;
use super::callers::{Waiting, Wants};
use super::host::{Act, ActorAnswer, ActorRequest, Life, WatchRequest};
use super::seat::{ActorEnv, ActorEvent, ActorSeat};
use crate::actor::{Answer, Effect, Input, Letter, Note, Refusal};
use crate::driver::counters::Counters;
use crate::driver::host::caught;
use crate::driver::lane::Who;
use crate::id::Ticket;
use crate::log::KindIndex;
use crate::step::{Cx, Effects, Machine};
use std::collections::BTreeMap;

impl ActorSeat {
    /// Steps the scheduler, which is told first how long the lease lasts by now (S16).
    pub(super) fn feed(&mut self, env: &mut ActorEnv<'_>, input: Input) {
        let lease = self.stage.lease.read();
        let before = std::mem::replace(&mut self.lease, lease);
        if lease != before {
            // One that was lost and taken anew meanwhile is another one.
            if lease.permit != before.permit || lease.until.is_none() {
                self.step_machine(env, Input::Lease(None));
            }
            if lease.until.is_some() {
                self.step_machine(env, Input::Lease(lease.until));
            }
        }
        self.step_machine(env, input);
    }

    fn step_machine(&mut self, env: &mut ActorEnv<'_>, input: Input) {
        if self.halted.is_some() {
            return;
        }
        // A turn reads the clock by itself, and the lane may come with an older reading after it.
        self.now = self.now.max(env.now);
        env.now = self.now;
        if let Some(born) = self.born.take() {
            env.recorder.born(env.now, Who::Actors, self.dice, born);
        }
        env.recorder.push_actors(env.now, Who::Actors, &input);
        let mut cx = Cx {
            now: env.now,
            dice: self.dice,
            probe: &mut *env.probe,
        };
        let mut effects = std::mem::replace(&mut self.effects, Effects::new(0));
        let stepped = caught(|| self.machine.step(&mut cx, input, &mut effects));
        if stepped.is_ok() {
            env.recorder.led_to(effects.as_slice());
        }
        let mut halt = stepped
            .err()
            .map(|panic| format!("a step panicked: {panic}"));
        let broken = halt.is_some();
        for effect in effects.drain() {
            if !broken {
                halt = halt.or(self.run(env, effect));
            }
        }
        self.effects = effects;
        if let Some(reason) = halt {
            self.halt(env, reason);
        }
    }

    /// Runs one effect; a reason to halt comes back.
    pub(super) fn run(&mut self, env: &mut ActorEnv<'_>, effect: Effect) -> Option<String> {
        match effect {
            Effect::Activate {
                slot,
                op,
                kind,
                key,
                place,
            } => self.acts.push_back(Due {
                slot,
                op,
                kind,
                key,
                place,
                act: Act::Activate,
            }),
            Effect::Run {
                slot,
                op,
                kind,
                key,
                place,
                letter,
            } => self.acts.push_back(Due {
                slot,
                op,
                kind,
                key,
                place,
                act: match letter {
                    Letter::Message { ticket, deadline } => Act::Message { ticket, deadline },
                    Letter::Timer { name, last } => Act::Timer { name, last },
                    Letter::Notice { watch, ended } => Act::Notice { watch, ended },
                },
            }),
            Effect::Stop {
                slot,
                op,
                kind,
                key,
                place,
                why,
            } => self.acts.push_back(Due {
                slot,
                op,
                kind,
                key,
                place,
                act: Act::Stop(why),
            }),
            Effect::Abort { slot, op } => self.abort(slot, op),
            Effect::Cancel { slot, op } => {
                if let Some(running) = self.running.get(&slot)
                    && running.op == op
                {
                    running.gone.leave();
                }
            }
            Effect::Forget { slot } => {
                let resident = self.take(slot);
                let_go(env.counters, resident);
            }
            Effect::Reply { ticket, answer } => return self.reply(env, ticket, answer),
            Effect::Undelivered { ticket, kind, key } => {
                self.discard(kind, ticket);
                env.counters.actor_undelivered += 1;
                tracing::warn!(%key, "actor_message_undelivered");
            }
            Effect::Drained { place } => self.events.push(ActorEvent::Drained(place)),
            Effect::Kept { place, epoch } => self.events.push(ActorEvent::Kept(place, epoch)),
            Effect::Stopped => self.events.push(ActorEvent::Stopped),
            Effect::Note(note) => self.note(env.counters, &note),
            Effect::Halt(reason) => return Some(reason.to_string()),
        }
        None
    }

    pub(super) fn reply(
        &mut self,
        env: &mut ActorEnv<'_>,
        ticket: Ticket,
        answer: Answer,
    ) -> Option<String> {
        let Some(waiting) = self.callers.take(ticket) else {
            return Some(format!("{ticket:?} was answered twice"));
        };
        env.counters.actor_answers += waiting.wants.counted();
        let kind = waiting.kind;
        let answer = match answer {
            Answer::Ran => match self.outcome.take() {
                Some(outcome) => {
                    let epoch = waiting.place.and_then(|place| self.machine.epoch(place));
                    ActorAnswer::Ran(outcome, epoch)
                }
                None => return Some(format!("{ticket:?} ran without an outcome")),
            },
            Answer::Taken => ActorAnswer::Taken,
            Answer::Ended(ended) => ActorAnswer::Ended(ended),
            Answer::Lives(number) => ActorAnswer::Lives(Life::new(env.run, number)),
            Answer::Refused(Refusal::NotOwner) => {
                self.return_to_routing(ticket, waiting);
                return None;
            }
            Answer::Refused(refusal) => {
                env.counters.overloaded += u64::from(refusal == Refusal::Overloaded);
                if !refusal.has_begun() {
                    self.discard(kind, ticket);
                }
                ActorAnswer::Refused(refusal)
            }
        };
        self.served.extend(waiting.finish(answer));
        None
    }

    /// What this node does not own goes back to routing, with its caller.
    pub(super) fn return_to_routing(&mut self, ticket: Ticket, waiting: Waiting) {
        let Waiting {
            kind,
            entry,
            key,
            place: _,
            deadline,
            wants,
            caller,
        } = waiting;
        let hosted = self.hosts.get_mut(usize::from(kind.0));
        let mail = hosted.and_then(|hosted| hosted.host.give_back(ticket));
        let event = match (wants, mail) {
            (Wants::Reply | Wants::Receipt, Some(mail)) => {
                let request = ActorRequest {
                    kind: entry,
                    key,
                    node: None,
                    deadline,
                    answered: wants == Wants::Reply,
                    mail,
                    caller,
                };
                ActorEvent::NotOwner(ticket, request)
            }
            (Wants::Reply | Wants::Receipt, None) => {
                let refused = ActorAnswer::Refused(Refusal::NotOwner);
                return self.served.extend(caller.finish(&entry, &key, refused));
            }
            (Wants::End(of), _) => {
                let request = WatchRequest {
                    kind: entry,
                    key,
                    node: None,
                    deadline,
                    of,
                    caller,
                };
                ActorEvent::NotOwnerOfWatched(ticket, request)
            }
        };
        self.events.push(event);
    }

    pub(super) fn note(&self, counters: &mut Counters, note: &Note) {
        match note {
            Note::Activated(_) => counters.actor_activations += 1,
            Note::Passivated(_) => counters.actor_passivations += 1,
            Note::InitFailed { kind, key, cause } => {
                counters.actor_init_failures += 1;
                tracing::warn!(%kind, %key, cause, "actor_init_failed");
            }
            Note::Panicked { kind, key, cause } => {
                counters.actor_panics += 1;
                tracing::warn!(%kind, %key, cause, "actor_panicked");
            }
            Note::Restarts { kind, key, after } => {
                counters.actor_restarts += 1;
                tracing::info!(%kind, %key, %after, "actor_restarts");
            }
            Note::Failed { kind, key } => {
                counters.actor_failures += 1;
                tracing::warn!(%kind, %key, "actor_failed");
            }
            Note::Stuck { kind, key } => {
                counters.actor_stuck += 1;
                tracing::warn!(%kind, %key, "actor_stuck");
            }
            Note::LeaseOver { places } => tracing::warn!(places, "actor_lease_over"),
        }
    }

    pub(super) fn halt(&mut self, env: &mut ActorEnv<'_>, reason: String) {
        tracing::error!(machine = "actors", reason, "machine_halted");
        env.counters.halts += 1;
        env.recorder.halted(Who::Actors, &reason);
        for running in self.running.values() {
            running.task.abort();
        }
        self.acts.clear();
        self.ended.clear();
        self.end_all(env, || ActorAnswer::Halted(reason.clone()));
        self.halted = Some(reason);
    }

    /// Tells everyone who waits: `not_run` where the message still waits for its turn (R3), else that
    /// nobody knows. What was taken without a caller, and does not run, is counted (A8).
    pub(super) fn end_all(&mut self, env: &mut ActorEnv<'_>, not_run: impl Fn() -> ActorAnswer) {
        let mut unrun = BTreeMap::new();
        for (kind, hosted) in (0..).map(KindIndex).zip(&self.hosts) {
            unrun.extend(
                hosted
                    .host
                    .waiting()
                    .into_iter()
                    .map(|ticket| (ticket, kind)),
            );
        }
        for (ticket, waiting) in self.callers.take_all() {
            env.counters.actor_answers += waiting.wants.counted();
            let answer = match unrun.remove(&ticket) {
                Some(kind) => {
                    self.discard(kind, ticket);
                    not_run()
                }
                None => ActorAnswer::Cut,
            };
            self.served.extend(waiting.finish(answer));
        }
        if !unrun.is_empty() {
            tracing::warn!(messages = unrun.len(), "actor_messages_undelivered");
        }
        env.counters.actor_undelivered += unrun.len() as u64;
        for (ticket, kind) in unrun {
            self.discard(kind, ticket);
        }
    }

    pub(super) fn discard(&mut self, kind: KindIndex, ticket: Ticket) {
        if let Some(hosted) = self.hosts.get_mut(usize::from(kind.0)) {
            let given = caught(|| drop(hosted.host.give_back(ticket)));
            if let Err(cause) = given {
                tracing::warn!(cause, "actor_code_panicked");
            }
        }
    }
}

/// Drops what is the users': a panic of theirs is not the lane's.
fn let_go<T>(counters: &mut Counters, what: T) {
    if let Err(cause) = caught(|| drop(what)) {
        counters.actor_panics += 1;
        tracing::warn!(cause, "actor_code_panicked");
    }
}
