//! What is published durably through a lane.

use super::{Env, Lane, Unusable, Who};
use crate::bus::{Input, Refusal};
use crate::driver::bus::{BusSeat, Publishing};
use crate::driver::shell::Shell;
use crate::id::Ticket;

/// The part of the lane's dice that the bus draws from.
const DICE_PART: u64 = 1 << 35;

impl<S: Shell> Lane<S> {
    pub(super) fn publish(&mut self, publishing: Publishing) {
        match &self.failed {
            Some(Unusable::Space(error)) => {
                let refusal = Refusal::Space(error.clone());
                // A caller that went away needs no answer.
                let _ = publishing.done.send(Err(refusal));
                return;
            }
            // Who waits learns of it by the end of the channel.
            Some(Unusable::Halted(_)) => return,
            None => {}
        }
        if self.bus.is_none() {
            let (wish, dice) = (publishing.wish.clone(), self.dice.fork(DICE_PART));
            self.bus = Some(Box::new(BusSeat::new(wish, *self.limits, dice)));
            if self.shapes.is_some() {
                self.feed_bus(Input::Up);
            }
        }
        self.tickets += 1;
        let (now, ticket) = (self.now, Ticket(self.tickets));
        if let Some(bus) = &mut self.bus {
            bus.publish(&mut env!(self, now), ticket, publishing);
        }
        self.after(Who::Bus);
    }

    /// There will be no answers.
    pub(super) fn cut_bus(&mut self) {
        if let Some(bus) = &mut self.bus {
            bus.cut();
        }
    }

    pub(super) fn feed_bus(&mut self, input: Input) {
        let now = self.now;
        if let Some(bus) = &mut self.bus {
            bus.feed(&mut env!(self, now), input);
        }
        self.after(Who::Bus);
    }
}
