//! One turn of a lane: what is here is taken in, machines whose time has come are looked at, and
//! after each step its effects are begun.

use super::{BATCH_MAX, CLOCK_EVERY, Env, Lane, SLICE_MAX, Who};
use crate::consumer::{self, group};
use crate::driver::completion::Answered;
use crate::driver::consumer::ConsumerSeat;
use crate::driver::history::HistorySeat;
use crate::driver::seat::Seat;
use crate::driver::shell::Shell;
use crate::driver::space::SpaceSeat;
use crate::log::{HistoryInput, Input};
use crate::step::Time;
use crate::{bus, route, shard};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;

impl<S: Shell> Lane<S> {
    /// Takes requests and answers that are here already, up to a budget. Requests come first: what
    /// comes together is so committed together, and a shell may have an answer at once.
    pub(super) fn take_what_waits(&mut self) {
        if self.net.is_some() {
            self.take_from_net();
        }
        if self.actors.is_some() {
            self.take_actor_reports();
        }
        if self.has_consumers() {
            self.take_consumer_reports();
        }
        let until = self.now + SLICE_MAX;
        for n in 1..=BATCH_MAX {
            match self.requests.try_recv() {
                Ok(request) => self.requested(Some(request)),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.no_handles();
                    break;
                }
            }
            if n.is_multiple_of(CLOCK_EVERY) {
                self.work_off();
            }
            self.read_clock(n);
            if self.now >= until {
                break;
            }
        }
        if self.is_asked() {
            self.take_asked();
        }
        self.work_off();
        let until = self.now + SLICE_MAX;
        for n in 1..=BATCH_MAX {
            let Some(answered) = self.next_answer() else {
                break;
            };
            self.answered(answered);
            self.read_clock(n);
            if self.now >= until {
                break;
            }
        }
    }

    /// Whether anything can be asked of actors.
    pub(super) fn is_asked(&self) -> bool {
        self.net.is_some() || self.actors.is_some()
    }

    /// Takes in what is asked of actors, up to a budget. After the other requests: one of those lets
    /// the lane have actors.
    fn take_asked(&mut self) {
        let until = self.now + SLICE_MAX;
        for n in 1..=BATCH_MAX {
            // What came while the last ones were taken in goes into the same frames.
            if self.asked.is_empty() {
                self.intake.0.take(&mut self.asked);
            }
            let Some(request) = self.asked.pop_front() else {
                return;
            };
            self.routed(request);
            if n.is_multiple_of(CLOCK_EVERY) {
                self.work_off();
            }
            self.read_clock(n);
            if self.now >= until {
                return;
            }
        }
    }

    /// Nobody has a handle any more: what is here is the last.
    pub(super) fn no_handles(&mut self) {
        self.open = false;
        self.intake.0.shut();
        let until = self.now + self.limits.leave_timeout;
        self.stop_consumers(until);
        self.stop_groups(until);
    }

    pub(super) fn next_answer(&mut self) -> Option<Answered> {
        if self.ready.is_empty() && self.submitted > 0 {
            // A future that is done has told its answer there too.
            while !self.ops.is_empty() && self.ops.next().now_or_never().is_some() {}
            self.submitted -= self.answers.take(&mut self.ready);
        }
        self.ready.pop_front()
    }

    pub(super) fn read_clock(&mut self, taken: usize) {
        if taken.is_multiple_of(CLOCK_EVERY) {
            self.look_at_clock();
        }
    }

    pub(super) fn look_at_clock(&mut self) {
        self.now = self.shell.now();
        // A long turn holds no heartbeat up.
        if self.member_due.is_some_and(|at| at <= self.now) {
            self.member_tick();
        }
    }

    /// At the end of a turn: what follows from the steps of machines that are stepped many times in one.
    pub(super) fn after_turn(&mut self) {
        let stepped = std::mem::take(&mut self.stepped);
        if stepped.router {
            self.after(Who::Router);
        }
        if stepped.actors {
            self.after(Who::Actors);
        }
        self.work_off();
        let counted = &self.counters;
        self.flight
            .watch(self.now, counted.halts, counted.actor_panics);
    }

    pub(super) fn tick_due(&mut self) {
        self.leave_in_time();
        for _ in 0..BATCH_MAX {
            let now = self.now;
            let who = match self.timers.first() {
                Some((at, who)) if at <= now => who,
                Some(_) | None => return,
            };
            let deadline = self.deadline_of(who);
            if deadline.is_none_or(|at| at > now) {
                self.looked(who, deadline);
                continue;
            }
            match who {
                Who::Space => {
                    if let Some(space) = &mut self.space {
                        space.tick(&mut env!(self, now));
                    }
                    self.after(who);
                }
                Who::Shard(key) => {
                    if let Some(seat) = self.seats.get_mut(&key) {
                        seat.feed(&mut env!(self, now), Input::Tick);
                    }
                    self.after(who);
                }
                Who::History(n) => self.feed_history(n, HistoryInput::Tick),
                Who::Consumer(n) => {
                    let wall = self.shell.wall();
                    self.feed_consumer(n, consumer::Input::Tick { wall });
                }
                Who::Bus => self.feed_bus(bus::Input::Tick),
                Who::Keeper(_) => unreachable!("it has no deadline"),
                Who::Group(n) => {
                    let wall = self.shell.wall();
                    self.group_sees_lease(n);
                    self.feed_group(n, group::Input::Tick { wall });
                }
                Who::Router => self.route(route::Input::Tick),
                Who::Node => self.member_tick(),
                Who::Owners => self.own(shard::Input::Tick),
                Who::Actors => self.actors_tick(),
            }
            let deadline = self.deadline_of(who);
            self.looked(who, deadline);
            // A deadline that a tick left in the past waits for the next turn.
            if deadline.is_some_and(|at| at <= now) {
                return;
            }
        }
    }

    /// A machine was looked at because of its time.
    fn looked(&mut self, who: Who, deadline: Option<Time>) {
        if let Who::Shard(key) = who
            && let Some(seat) = self.seats.get_mut(&key)
        {
            seat.looked(deadline);
        }
        self.timers.looked(who, deadline);
    }

    /// Has forgotten what does not fit into memory.
    pub(super) fn make_room(&mut self) {
        while let Some(other) = self.cache.excess() {
            let now = self.now;
            let Some(seat) = self.seats.get_mut(&other) else {
                return;
            };
            seat.feed(&mut env!(self, now), Input::Evict);
            match seat.new_stock() {
                Some(stock) => self.cache.set(seat.stock_at(), stock),
                // A machine that halted keeps what it has.
                None => return,
            }
        }
    }

    /// After a machine was stepped: begins its requests, notes its deadline, and tells the cache
    /// what it keeps.
    pub(super) fn after(&mut self, who: Who) {
        self.note_step(who);
        self.begin_stores();
    }

    /// The same, but for requests to the store.
    pub(super) fn note_step(&mut self, who: Who) {
        let deadline = match who {
            Who::Shard(key) => self.seats.get_mut(&key).and_then(|seat| {
                if let Some(stock) = seat.new_stock() {
                    self.cache.set(seat.stock_at(), stock);
                }
                seat.deadline_to_note()
            }),
            Who::Space
            | Who::History(_)
            | Who::Consumer(_)
            | Who::Bus
            | Who::Keeper(_)
            | Who::Group(_)
            | Who::Router
            | Who::Node
            | Who::Owners
            | Who::Actors => self.deadline_of(who),
        };
        self.timers.note(who, deadline);
        if who == Who::Node {
            self.member_due = deadline;
        }
        self.make_room();
        self.facts.admission.set(self.index, self.waiting());
        if !self.reports.is_empty() {
            self.send_reports();
        }
        if !self.errands.is_empty() {
            self.run_errands();
        }
    }

    /// Begins the requests to the store that are to be begun.
    pub(super) fn begin_stores(&mut self) {
        if self.stores.is_empty() {
            return;
        }
        let mut stores = std::mem::take(&mut self.stores);
        for (who, op, request) in stores.drain(..) {
            self.ask(who, op, request);
        }
        self.stores = stores;
    }

    pub(super) fn deadline_of(&self, who: Who) -> Option<Time> {
        let net = self.net.as_deref();
        let lead = net.and_then(|net| net.lead.as_ref());
        let deadline = match who {
            Who::Space => self.space.as_ref().and_then(SpaceSeat::next_deadline),
            Who::Shard(key) => self.seats.get(&key).and_then(Seat::next_deadline),
            Who::History(n) => self.histories.get(&n).and_then(HistorySeat::next_deadline),
            Who::Consumer(n) => self.consumers.get(&n).and_then(ConsumerSeat::next_deadline),
            Who::Bus => return self.bus.as_ref().and_then(|bus| bus.next_deadline()),
            Who::Keeper(_) => None,
            Who::Group(n) => {
                let group = self.groups.get(&n);
                return group.and_then(|group| group.seat.next_deadline());
            }
            Who::Router => return net.and_then(|net| net.router.next_deadline()),
            Who::Node => return lead.and_then(|lead| lead.node.next_deadline()),
            Who::Owners => return lead.and_then(|lead| lead.owners.next_deadline()),
            Who::Actors => self.actors.as_ref().and_then(|seat| seat.next_deadline()),
        };
        deadline.map(|deadline| deadline.at)
    }

    /// Requests that were taken in and not answered.
    pub(super) fn waiting(&self) -> usize {
        let waiting = self.counters.requests - self.counters.answers;
        let asks = self.net.as_ref().map_or(0, |net| net.asks.len());
        usize::try_from(waiting)
            .unwrap_or(usize::MAX)
            .saturating_add(asks)
            .saturating_add(self.actors.as_ref().map_or(0, |seat| seat.waiting()))
    }
}
