//! What changes around a lane: the link to the store, and the end of the node.

use super::{Env, Lane, Unusable, Who};
use crate::bus;
use crate::driver::cluster::Unrouted;
use crate::driver::host::Answer;
use crate::driver::link::{Link, LinkState};
use crate::driver::seat::{Seat, ShardKey};
use crate::driver::shell::{Inbound, Shell};
use crate::driver::space::SpaceSeat;
use crate::log::Input;
use crate::step::Time;
use std::sync::Arc;

impl<S: Shell> Lane<S> {
    pub(super) fn inbound(&mut self, inbound: Option<Inbound>) {
        let now = self.now;
        match (inbound, &mut self.space) {
            (Some(inbound), Some(space)) => {
                let wall = self.shell.wall();
                if let Inbound::Connected(_, link) = &inbound {
                    self.opening.see(&self.shell, *link);
                }
                space.inbound(&mut env!(self, now), inbound, wall);
                self.after(Who::Space);
            }
            (Some(_), None) => {}
            (None, _) => self.inbox = None,
        }
    }

    pub(super) fn link_changed(&mut self) {
        let Link {
            generation,
            layout,
            state,
        } = self.link.borrow_and_update().clone();
        self.layout = layout;
        self.failed = None;
        let now = self.now;
        let was_up = self.shapes.is_some();
        match state {
            LinkState::Up { shapes, link } => {
                if was_up && generation == self.generation {
                    return;
                }
                if was_up {
                    // It went down and came back between two looks.
                    self.feed_all(now, |_| Some(Input::Down));
                }
                // What is asked from here on rests on what is known of this link.
                self.way.see(&self.shell, link);
                self.shapes = Some(Arc::clone(&shapes));
                self.generation = generation;
                self.feed_all(now, |seat| seat.shape(&shapes).map(Input::Up));
                self.consumers_up();
                self.feed_bus(bus::Input::Up);
                self.groups_up();
                if was_up {
                    self.net_down();
                }
                self.net_up();
            }
            state @ (LinkState::Opening
            | LinkState::Down
            | LinkState::Failed(_)
            | LinkState::Halted(_)) => {
                self.shapes = None;
                if was_up {
                    self.feed_all(now, |_| Some(Input::Down));
                    self.net_down();
                }
                self.failed = match state {
                    LinkState::Failed(error) => Some(Unusable::Space(error)),
                    LinkState::Halted(reason) => Some(Unusable::Halted(reason)),
                    LinkState::Opening | LinkState::Down | LinkState::Up { .. } => None,
                };
                if self.failed.is_some() {
                    self.readers_end();
                }
            }
        }
    }

    /// The namespace cannot be used any more: who reads it, or stores beside its log, is not left to wait for
    /// that.
    fn readers_end(&mut self) {
        let Some(fault) = self.failed.as_ref().map(Unusable::fault) else {
            return;
        };
        self.consumers_end(&fault);
        self.groups_end(&fault);
        match &self.failed {
            Some(Unusable::Space(error)) => self.feed_bus(bus::Input::Unusable(error.clone())),
            Some(Unusable::Halted(_)) => self.cut_bus(),
            None => {}
        }
    }

    pub(super) fn feed_all(&mut self, now: Time, input: impl Fn(&Seat) -> Option<Input>) {
        let keys: Vec<ShardKey> = self.seats.keys().collect();
        for key in keys {
            if let Some(seat) = self.seats.get_mut(&key)
                && let Some(input) = input(seat)
            {
                seat.feed(&mut env!(self, now), input);
            }
            self.after(Who::Shard(key));
        }
    }

    pub(super) fn is_over(&self) -> bool {
        let idle = !self.open
            && self.asked.is_empty()
            && self.histories.is_empty()
            && self.consumers.is_empty()
            && self.bus.as_ref().is_none_or(|bus| bus.is_idle())
            && self.keepers.is_empty()
            && self.groups.is_empty()
            && self.seats.values().all(Seat::is_idle)
            && self.space.as_ref().is_none_or(SpaceSeat::is_idle)
            && self.net_is_idle()
            && self.actors_are_idle()
            && !self.is_leaving();
        idle || self.stop_at.is_some_and(|at| self.shell.now() >= at)
    }

    /// What is under way may end until `at`; nothing new is taken in.
    pub(super) fn begin_stop(&mut self, at: Time) {
        self.stop_at = Some(at);
        self.requests.close();
        self.intake.0.shut();
        self.stop_consumers(at);
        self.stop_groups(at);
        if self.net.is_some() {
            self.begin_leave(at);
        } else {
            self.stop_actors();
        }
    }

    /// Tells everyone who waits still. A request that is being put into the closed queue is waited
    /// for: its caller has no timer, and would wait as long as the queue has a handle.
    pub(super) async fn end(&mut self) {
        self.requests.close();
        while let Some(request) = self.requests.recv().await {
            request.stopped();
        }
        self.intake.0.shut();
        let mut asked = std::mem::take(&mut self.asked);
        while !asked.is_empty() {
            for request in asked.drain(..) {
                request.ask.unrouted(Unrouted::Stopped);
            }
            self.intake.0.take(&mut asked);
        }
        let now = self.now;
        for seat in self.seats.values_mut() {
            seat.finish_all(&mut env!(self, now), &Answer::Cut);
        }
        self.cut_actors();
        self.cut_consumers();
        self.cut_bus();
        // Who waits learns of it by the end of the channel.
        self.keepers.clear();
        self.cut_groups();
        self.end_net();
        while let Some((_, mut seat)) = self.histories.pop_first() {
            seat.stop();
        }
        if let Some(space) = &mut self.space {
            space.stop();
        }
    }
}
