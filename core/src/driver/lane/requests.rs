//! What handles ask of a lane.

use super::{Env, Lane, Unusable, Who};
use crate::driver::counters::Counters;
use crate::driver::history::HistorySeat;
use crate::driver::host::Answer;
use crate::driver::request::{EntityRequest, HistoryAnswer, HistoryFailure, Request};
use crate::driver::seat::{Seat, ShardKey};
use crate::driver::shell::Shell;
use crate::format::WriteMode;
use crate::id::{Sequence, ShardId, Ticket};
use crate::log::{HistoryAsk, HistoryInput, Input, Refusal, Reply, ShardConfig};
use std::sync::Arc;
use tokio::sync::oneshot;

impl<S: Shell> Lane<S> {
    pub(super) fn requested(&mut self, request: Option<Request>) {
        match request {
            None => self.no_handles(),
            Some(Request::Entity(request)) => self.entity(request, Sequence::NONE),
            Some(Request::History(ask, done)) => self.history(*ask, done),
            Some(Request::Consume(consume)) => self.consume(*consume),
            Some(Request::Consumer(tell)) => self.tell_consumer(*tell),
            Some(Request::Publish(publishing)) => self.publish(*publishing),
            Some(Request::Store(request, done)) => self.keeper_asks(*request, done),
            Some(Request::Group(start)) => self.group(*start),
            Some(Request::LeaveGroup(number, until)) => self.leave_group(number, until),
            Some(Request::OrderGroup(number, order, done)) => {
                self.order_group(number, *order, done);
            }
            Some(Request::Kind(mut wish, done)) => {
                let now = self.now;
                self.tickets += 1;
                wish.ticket = Ticket(self.tickets);
                match &mut self.space {
                    Some(space) => {
                        space.kind(&mut env!(self, now), *wish, done);
                        self.after(Who::Space);
                    }
                    None => unreachable!("kinds are asked of lane 0"),
                }
            }
            Some(Request::Ask(request)) => self.routed(request),
            Some(Request::Enrol(enrol)) => self.enrol(*enrol),
            Some(Request::Stage(stagecraft)) => self.stage(*stagecraft),
            Some(Request::Pace(request)) => self.pace(request),
            Some(Request::ServeAlone) => self.serve_alone(),
            Some(Request::Describe(change, done)) => {
                // A caller that went away needs no answer.
                let _ = done.send(self.describe(*change));
            }
            Some(Request::Drain) => self.drain(),
            Some(Request::Failed(wish, done)) => {
                let before = self.messages_failed();
                self.feed_all(self.now, |seat| {
                    let key = seat.key();
                    let meant = wish.shard.is_none_or(|of| of == (key.class, key.shard));
                    meant.then_some(Input::Failed(wish.order))
                });
                // A caller that went away needs no answer.
                let _ = done.send(before.saturating_sub(self.messages_failed()));
            }
            Some(Request::Counters(done)) => {
                let mut counters = self.counters.clone();
                self.count_cluster(&mut counters);
                if let Some(actors) = &self.actors {
                    actors.count_into(&mut counters);
                }
                for seat in self.consumers.values() {
                    seat.count_into(&mut counters);
                }
                for group in self.groups.values() {
                    group.count_into(&mut counters);
                }
                if self.index == 0 {
                    counters.inbound_lost = self.shell.lost();
                }
                counters.probes = self.probe.clone();
                counters.store_in_flight = self.submitted as u64;
                counters.store_waiting = self.window.waiting() as u64;
                counters.entities_held = self.cache.entities() as u64;
                counters.resting_bytes = self.cache.resting_bytes() as u64;
                for seat in self.seats.values() {
                    seat.count_later(&mut counters);
                }
                // A caller that went away needs no answer.
                let _ = done.send(counters);
            }
            Some(Request::Recording(done)) => {
                let _ = done.send(self.flight.dump());
            }
        }
    }

    /// How many messages are kept as failed by the logs of this lane.
    fn messages_failed(&self) -> u64 {
        let mut counters = Counters::default();
        for seat in self.seats.values() {
            seat.count_later(&mut counters);
        }
        counters.intents_kept
    }

    /// A request runs here. What it comes to takes in what its caller's node knows of the stream.
    pub(super) fn entity(&mut self, request: EntityRequest, at_least: Sequence) {
        let now = self.now;
        self.counters.requests += 1;
        if let Some(why) = &self.failed {
            self.counters.answers += 1;
            return request.caller.finish(match why {
                Unusable::Space(error) => Answer::Unusable(error.clone()),
                Unusable::Halted(reason) => Answer::Refused(reason.clone()),
            });
        }
        let key = ShardKey::of(&request.kind, request.shard);
        self.open_seat(key);
        let Some(seat) = self.seats.get_mut(&key) else {
            unreachable!("it was opened just now");
        };
        if self.window.is_full(seat.stream()) || !self.facts.admission.admits() {
            self.counters.answers += 1;
            self.counters.overloaded += 1;
            let refused = Reply::Refused(Refusal::Overloaded);
            request.caller.finish(Answer::Reply(refused));
        } else {
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            seat.request(&mut env!(self, now), ticket, request, at_least);
            if seat.has_work() {
                self.working.push(key);
                return self.facts.admission.set(self.index, self.waiting());
            }
        }
        self.after(Who::Shard(key));
    }

    /// Has the hosts do what requests left them, and begins what that comes to.
    ///
    /// A request is taken in, decided, encoded and stored by more code than a core keeps next to it.
    /// So each of these is done for several requests in turn, and not all of them for each request.
    pub(super) fn work_off(&mut self) {
        while !self.working.is_empty() {
            let mut working = std::mem::take(&mut self.working);
            for key in &working {
                if let Some(seat) = self.seats.get_mut(key) {
                    seat.run_hosts();
                }
            }
            for key in working.drain(..) {
                let now = self.now;
                if let Some(seat) = self.seats.get_mut(&key) {
                    seat.work_off(&mut env!(self, now));
                }
                self.note_step(Who::Shard(key));
            }
            // What followed from it may have brought further requests.
            if self.working.is_empty() {
                self.working = working;
            }
            self.begin_stores();
        }
    }

    /// Makes the log of a shard, if there is none.
    pub(super) fn open_seat(&mut self, key: ShardKey) {
        if self.seats.get(&key).is_some() {
            return;
        }
        if self.layout.is_none() {
            self.link_changed();
        }
        let Some(layout) = &self.layout else {
            unreachable!("a node has handles after its namespace was opened");
        };
        let config = ShardConfig {
            namespace: self.facts.namespace.clone(),
            layout: layout.id,
            key: layout.key,
            shard: key.shard,
            stream: layout.stream_of(key.shard),
            class: key.class,
            mode: key.mode,
            later: key.mode == WriteMode::Owned && !key.raw,
            incarnation: self.run,
            node: self.facts.node.clone(),
        };
        let dice = self.dice.fork(key.part());
        let stock_at = self.cache.enter(key);
        let mut seat = Seat::new(
            (key, stock_at),
            config,
            Arc::clone(&self.limits),
            dice,
            (&mut self.names, self.flight.panics.clone()),
        );
        let shape = self.shapes.as_deref().and_then(|shapes| seat.shape(shapes));
        let now = self.now;
        let ruled = self.net.is_some();
        seat.open(&mut env!(self, now), shape, ruled);
        if let Some(net) = &self.net
            && seat.is_leased()
        {
            let lease = net.lease;
            seat.feed(&mut env!(self, now), Input::Lease(lease));
        }
        self.seats.insert(key, seat);
        self.learn_kinds(key);
    }

    /// The node serves kinds and is in no cluster: it owns all that is theirs, whether somebody asks for
    /// it or not, so that their timers fire.
    pub(super) fn serve_alone(&mut self) {
        let kinds = self.facts.outbox.kinds().cloned();
        let shards = self.layout.as_ref().map_or(0, |layout| layout.shards());
        for served in kinds.iter().flat_map(|kinds| kinds.kinds.values()) {
            for shard in 0..shards {
                if self.facts.lane_of(shard) != self.index {
                    continue;
                }
                let key = ShardKey::of(served.entry(), ShardId(shard));
                self.open_seat(key);
                self.after(Who::Shard(key));
            }
        }
    }

    pub(super) fn history(&mut self, ask: HistoryAsk, done: oneshot::Sender<HistoryAnswer>) {
        self.counters.requests += 1;
        if let Some(why) = &self.failed {
            self.counters.answers += 1;
            // A caller that went away needs no answer.
            let _ = done.send(Err(match why {
                Unusable::Space(error) => HistoryFailure::Unusable(error.clone()),
                Unusable::Halted(reason) => HistoryFailure::Halted(reason.clone()),
            }));
            return;
        }
        let room = self.histories.len() < self.facts.limits.histories_max;
        if !room || !self.facts.admission.admits() {
            self.counters.answers += 1;
            self.counters.overloaded += 1;
            let _ = done.send(Err(HistoryFailure::Overloaded));
            return;
        }
        self.tickets += 1;
        let n = self.tickets;
        let dice = self.dice.fork(1 << 32 | n);
        let seat = HistorySeat::new(ask, self.facts.limits, dice, done);
        self.histories.insert(n, seat);
        self.feed_history(n, HistoryInput::Tick);
    }

    pub(super) fn feed_history(&mut self, n: u64, input: HistoryInput) {
        let now = self.now;
        if let Some(seat) = self.histories.get_mut(&n)
            && seat.feed(&mut env!(self, now), n, input)
        {
            self.histories.remove(&n);
        }
        self.after(Who::History(n));
    }
}
