//! What logs want of their lane beside the store: the wall clock, and messages delivered.

use super::{Env, Lane, Who};
use crate::driver::effects;
use crate::driver::seat::{Errand, ShardKey};
use crate::driver::shell::Shell;
use crate::format::WriteMode;
use crate::id::OpId;
use crate::log::{Delivery, Input};
use futures_util::FutureExt;
use std::future::ready;

/// What came of a message that a log sent.
pub(super) type Delivered = (ShardKey, OpId, Delivery);

impl<S: Shell> Lane<S> {
    /// Runs what logs want.
    pub(super) fn run_errands(&mut self) {
        for (key, errand) in std::mem::take(&mut self.errands) {
            match errand {
                Errand::Wall => {
                    let wall = self.shell.wall();
                    self.feed_log(key, Input::Wall(wall));
                }
                Errand::Dispatch(op, dispatch) => {
                    let Some(layout) = &self.layout else {
                        unreachable!("a log has a layout");
                    };
                    let (outbox, timeout) = (&self.facts.outbox, self.facts.limits.store_timeout);
                    let dispatch = match outbox.decrypt(*dispatch) {
                        Ok(dispatch) => dispatch,
                        Err(delivery) => {
                            let ended = ready((key, op, delivery));
                            self.deliveries.push(ended.boxed());
                            continue;
                        }
                    };
                    let delivered = match outbox.effect(&dispatch.intent.kind) {
                        Some(host) => {
                            let host = (host, self.flight.panics.clone());
                            effects::call(&self.shell, (outbox, layout, timeout), host, dispatch)
                        }
                        None => {
                            let deadline = self.now + timeout.saturating_mul(2);
                            outbox.send(dispatch, layout, self.shell.wall(), deadline)
                        }
                    };
                    let delivered = delivered.map(move |delivery| {
                        // Whoever would tell is gone: nobody knows.
                        (key, op, delivery.unwrap_or(Delivery::Again))
                    });
                    self.deliveries.push(delivered.boxed());
                }
            }
        }
    }

    /// A message came to an end.
    pub(super) fn intent_delivered(&mut self, (key, op, delivery): Delivered) {
        self.feed_log(key, Input::Dispatched { op, delivery });
    }

    fn feed_log(&mut self, key: ShardKey, input: Input) {
        let now = self.now;
        if let Some(seat) = self.seats.get_mut(&key) {
            seat.feed(&mut env!(self, now), input);
        }
        self.after(Who::Shard(key));
    }

    /// Makes the log of an owned place know the kinds that this node serves there: their timers fire
    /// though nobody asks for their entities.
    pub(super) fn learn_kinds(&mut self, key: ShardKey) {
        if key.mode != WriteMode::Owned || key.raw {
            return;
        }
        let Some(registry) = self.facts.outbox.kinds().cloned() else {
            return;
        };
        let now = self.now;
        for served in registry.kinds.values() {
            let entry = served.entry();
            if ShardKey::of(entry, key.shard) == key
                && let Some(seat) = self.seats.get_mut(&key)
            {
                seat.learn(&mut env!(self, now), entry);
            }
        }
    }
}
