//! The seat of the machine that stores what is published durably.

use crate::bus::{Effect, Input, Order, Publisher, Refusal, Topic};
use crate::driver::cluster::MachineSeat;
use crate::driver::lane::{Env, Who};
use crate::driver::recorder::Recorded;
use crate::id::{PublicationId, Sequence, Ticket};
use crate::space::SpaceWish;
use crate::step::{Dice, Limits, Time};
use bytes::Bytes;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// Something that is to be stored, and who waits for that.
pub(crate) struct Publishing {
    /// The namespace as it was opened.
    pub(crate) wish: SpaceWish,
    pub(crate) topic: Topic,
    pub(crate) id: PublicationId,
    pub(crate) payload: Bytes,
    pub(crate) keep_s: u32,
    pub(crate) deadline: Time,
    pub(crate) done: oneshot::Sender<Result<Sequence, Refusal>>,
}

/// A lane's machine, and who waits for it.
pub(crate) struct BusSeat {
    machine: MachineSeat<Publisher>,
    waiting: BTreeMap<Ticket, oneshot::Sender<Result<Sequence, Refusal>>>,
    wanted: Vec<Effect>,
}

impl BusSeat {
    pub(crate) fn new(wish: SpaceWish, limits: Limits, dice: Dice) -> Self {
        let machine = Publisher::new(wish, limits);
        Self {
            machine: MachineSeat::new(Who::Bus, machine, dice, limits.effects_max),
            waiting: BTreeMap::new(),
            wanted: Vec::new(),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.machine.next_deadline()
    }

    /// Whether nobody waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn publish(&mut self, env: &mut Env<'_>, ticket: Ticket, publishing: Publishing) {
        env.counters.bus_published += 1;
        self.waiting.insert(ticket, publishing.done);
        let order = Order {
            ticket,
            topic: publishing.topic,
            id: publishing.id,
            payload: publishing.payload,
            keep_s: publishing.keep_s,
            deadline: publishing.deadline,
        };
        self.feed(env, Input::Publish(order));
    }

    pub(crate) fn feed(&mut self, env: &mut Env<'_>, input: Input) {
        let mut wanted = std::mem::take(&mut self.wanted);
        self.machine.feed(
            env,
            input,
            |recorder, now, input| {
                let recorded = Recorded::Bus(Box::new(input.clone()));
                recorder.push(now, Who::Bus, recorded);
            },
            &mut wanted,
        );
        for effect in wanted.drain(..) {
            match effect {
                Effect::Store { op, request } => env.stores.push((Who::Bus, op, request)),
                Effect::Answer { ticket, answer } => {
                    env.counters.bus_refused += u64::from(answer.is_err());
                    if let Some(done) = self.waiting.remove(&ticket) {
                        // A caller that went away needs no answer.
                        let _ = done.send(answer);
                    }
                }
                Effect::Halt(reason) => self.machine.halt(env, reason.to_string()),
            }
        }
        self.wanted = wanted;
        if self.machine.halted().is_some() {
            self.cut();
        }
    }

    /// There will be no answers: who waits learns of it by their ends of the channels.
    pub(crate) fn cut(&mut self) {
        self.waiting.clear();
    }
}
