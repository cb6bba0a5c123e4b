//! The consumers of a lane.

use super::{Env, Lane, Who};
use crate::consumer::{Command, Fault, Input};
use crate::driver::consumer::{Consume, ConsumerSeat, Report, Spawn, Tell};
use crate::driver::shell::Shell;
use crate::step::Time;
use std::sync::Arc;

/// The part of the lane's dice that its consumers draw from.
const DICE_PART: u64 = 1 << 34;

impl<S: Shell> Lane<S> {
    pub(super) fn consume(&mut self, consume: Consume) {
        if let Some(why) = &self.failed {
            // A caller that went away needs no answer.
            let _ = consume.done.send(Err(Box::new(why.fault())));
            return;
        }
        self.tickets += 1;
        let n = self.tickets;
        let dice = self.dice.fork(DICE_PART | n);
        let shell = self.shell.clone();
        let spawn: Spawn = Arc::new(move |task| shell.spawn(task));
        let reports = self.consumer_reports.0.clone();
        let lane = (spawn, reports, self.flight.panics.clone());
        let seat = ConsumerSeat::new(consume, *self.limits, dice, lane);
        // Who wanted it was told why not.
        let Some((seat, done)) = seat else {
            return;
        };
        self.consumers.insert(n, seat);
        // A caller that went away needs no answer; it runs without a handle then.
        let _ = done.send(Ok(n));
        if self.shapes.is_some() {
            self.feed_consumer(n, Input::Up);
        } else {
            // How long it waits for the store is watched all the same.
            self.after(Who::Consumer(n));
        }
        if let Some(until) = self.stop_at {
            self.feed_consumer(n, Input::Order(Command::Stop { until }));
        }
    }

    pub(super) fn feed_consumer(&mut self, n: u64, input: Input) {
        let now = self.now;
        if let Some(seat) = self.consumers.get_mut(&n)
            && seat.feed(&mut env!(self, now), n, input)
        {
            self.consumer_over(n);
        }
        self.after(Who::Consumer(n));
    }

    pub(super) fn tell_consumer(&mut self, tell: Tell) {
        let (now, n) = (self.now, tell.number);
        // One that is over drops the way back, and so says it.
        if let Some(seat) = self.consumers.get_mut(&n)
            && seat.tell(&mut env!(self, now), n, tell)
        {
            self.consumer_over(n);
        }
        self.after(Who::Consumer(n));
    }

    pub(super) fn consumer_handled(&mut self, report: Report) {
        let now = self.now;
        let Some(seat) = self.consumers.get_mut(&report.0) else {
            return self.part_handled(report);
        };
        let (n, op, handled) = report;
        if seat.handled(&mut env!(self, now), n, op, handled) {
            self.consumer_over(n);
        }
        self.after(Who::Consumer(n));
    }

    /// A consumer is over.
    fn consumer_over(&mut self, n: u64) {
        if let Some(seat) = self.consumers.remove(&n) {
            self.part_over(n, seat);
        }
    }

    /// Whether tasks of handlers may report.
    pub(super) fn has_consumers(&self) -> bool {
        !self.consumers.is_empty() || !self.parts.is_empty()
    }

    /// Takes in the reports that are here, up to a budget.
    pub(super) fn take_consumer_reports(&mut self) {
        for _ in 0..super::BATCH_MAX {
            match self.consumer_reports.1.try_recv() {
                Ok(report) => self.consumer_handled(report),
                Err(_) => return,
            }
        }
    }

    /// The store is there, for the first time or again.
    pub(super) fn consumers_up(&mut self) {
        let all: Vec<u64> = self.consumers.keys().copied().collect();
        for n in all {
            self.feed_consumer(n, Input::Up);
        }
    }

    /// The store will not be there again: each ends by itself, those of groups as well.
    pub(super) fn consumers_end(&mut self, fault: &Fault) {
        let all: Vec<u64> = self.consumers.keys().copied().collect();
        for n in all {
            self.feed_consumer(n, Input::Unusable(Box::new(fault.clone())));
        }
    }

    /// Lets all of them end what they have, but for those of groups, which their groups end.
    pub(super) fn stop_consumers(&mut self, until: Time) {
        let all = self.consumers.keys().copied();
        let all: Vec<u64> = all.filter(|n| !self.parts.contains_key(n)).collect();
        for n in all {
            self.feed_consumer(n, Input::Order(Command::Stop { until }));
        }
    }

    /// The lane ends.
    pub(super) fn cut_consumers(&mut self) {
        while let Some((_, mut seat)) = self.consumers.pop_first() {
            seat.cut();
        }
    }
}
