//! A lane's part in its node's cluster: requests on their way, frames, orders and reports.

use super::{BATCH_MAX, CLOCK_EVERY, Env, Lane, SLICE_MAX, Who};
use crate::driver::cluster::{
    Along, AskRequest, Carried, Courier, Direction, Held, Incoming, Local, Net, NetEvent,
    Requested, Routed, Serving, Source, Tiding, Unrouted, place_in, wire,
};
use crate::driver::recorder::Recorder;
use crate::driver::seat::ShardKey;
use crate::driver::shell::Shell;
use crate::format::{Answered, Call, CallTarget, Denial, FrameFull, Return};
use crate::id::{OpId, Sequence, Ticket};
use crate::log::Input;
use crate::port::SendRefused;
use crate::route::{self, Address, Asked, Declined, Lost, Target};
use crate::shard::{Order, Place};
use crate::step::{Span, Time};
use crate::tickets::Tickets;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

impl<S: Shell> Lane<S> {
    /// Something came from the cluster.
    pub(super) fn net_event(&mut self, event: NetEvent) {
        match event {
            NetEvent::Delivered(delivery) => self.delivered(delivery),
            NetEvent::Directed(direction) => self.directed(direction),
            NetEvent::Changed => self.membership_changed(),
            NetEvent::Renewed
            | NetEvent::Reported(..)
            | NetEvent::Tiding(_)
            | NetEvent::GroupWish(_)
            | NetEvent::MemberHeard(_)
            | NetEvent::OwnerHeard(_) => self.lead_event(event),
        }
    }

    /// Takes in what is here already, from each source up to a budget: none waits for another one to
    /// run dry.
    pub(super) fn take_from_net(&mut self) {
        if self.net.as_ref().is_some_and(|net| net.has_news()) {
            self.membership_changed();
        }
        for source in Source::ALL {
            // What many shards that change hands come to is told the routing once, ahead of the frames.
            let news = self.net.as_ref().is_some_and(|net| net.has_news());
            if news && source == Source::Deliveries {
                self.membership_changed();
            }
            let until = self.now + SLICE_MAX;
            for n in 1..=BATCH_MAX {
                let Some(event) = self.net.as_mut().and_then(|net| net.next_of(source)) else {
                    break;
                };
                self.net_event(event);
                self.read_clock(n);
                if self.now >= until {
                    break;
                }
            }
        }
    }

    /// A caller of this node asks whoever owns something.
    pub(super) fn routed(&mut self, request: AskRequest) {
        let AskRequest {
            target,
            key,
            deadline,
            repeat,
            answered,
            ask,
        } = request;
        let Some(net) = &mut self.net else {
            return self.run_here(ask.here(Courier::Alone));
        };
        if let Some(reason) = net.router.halted() {
            let reason = reason.to_owned();
            return ask.unrouted(Unrouted::Halted(reason));
        }
        if !self.facts.admission.admits() {
            self.counters.overloaded += 1;
            return ask.unrouted(Unrouted::Route(route::Refusal::Overloaded));
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let asked = Asked {
            ticket,
            target,
            key,
            deadline,
            repeat,
            answered,
            doubt: None,
        };
        let held = Held {
            ask,
            asked,
            sent: false,
        };
        net.asks.insert(ticket, held);
        net.due.push_back(route::Input::Ask(asked));
        // Each counts at once for those that come in the same turn.
        self.facts.admission.set(self.index, self.waiting());
    }

    fn run_here(&mut self, local: Local) {
        match local {
            Local::Entity(request) => self.entity(request, Sequence::NONE),
            Local::Actor(ask) => self.act(ask),
            Local::Watch(ask) => self.watch(ask),
            Local::Nothing => {}
            Local::Info(ask) => {
                let answered = self.node_info();
                ask.returned(Return {
                    answered,
                    node: &self.facts.node,
                    epoch: None,
                });
            }
        }
    }

    /// Routes what is due. At the end of a turn.
    pub(super) fn settle_net(&mut self) {
        if self.net.is_none() {
            return;
        }
        let now = self.now;
        if let Some(net) = &mut self.net {
            net.sweep(now);
        }
        let mut routed = 0;
        while routed < BATCH_MAX {
            if !self.is_routing() {
                self.take_carried();
            }
            if !self.is_routing() {
                break;
            }
            routed += self.route_due();
            self.look_at_clock();
        }
        // What the last steps left is routing still.
        self.take_carried();
        self.answer_unrouted();
    }

    /// Whether requests that are to go out may have company of those that others are about to ask.
    pub(super) fn has_company(&self) -> bool {
        self.net.as_ref().is_some_and(|net| {
            let held = net.post.requests();
            held > 0 && net.router.machine().has_company(held)
        })
    }

    /// Whether there is something to route still.
    pub(super) fn is_routing(&self) -> bool {
        self.net.as_ref().is_some_and(|net| !net.due.is_empty())
    }

    /// What requests that ran here came to.
    fn take_carried(&mut self) {
        let Some(net) = &mut self.net else { return };
        net.tray.take(&mut net.carried);
        let mut back = std::mem::take(&mut net.carried);
        for carried in back.drain(..) {
            net.carry(carried);
        }
        net.carried = back;
        if let Some(actors) = &mut self.actors {
            for carried in actors.served() {
                net.carry(carried);
            }
        }
    }

    /// What a request that was not taken in is to be told, if it is another lane's.
    pub(super) fn carried(&mut self, carried: Option<Carried>) {
        if let (Some(net), Some(carried)) = (&mut self.net, carried) {
            net.carry(carried);
        }
    }

    /// Steps the router.
    pub(super) fn route(&mut self, input: route::Input) {
        self.route_all(vec![input], Along::default());
    }

    /// Steps the router with one input after another, and then does what it wants with what came along.
    pub(super) fn route_all(&mut self, inputs: Vec<route::Input>, along: Along<'_>) {
        let now = self.now;
        let Some(net) = &mut self.net else { return };
        let (router, wanted) = (&mut net.router, &mut net.wanted);
        router.feed_all(&mut env!(self, now), inputs, record_route, wanted);
        self.do_wanted(along);
    }

    /// The same with what is due, until the clock is to be read again; how much that was.
    fn route_due(&mut self) -> usize {
        let now = self.now;
        let Some(net) = &mut self.net else { return 0 };
        let Net {
            router,
            due,
            wanted,
            ..
        } = &mut **net;
        let taken = due.len().min(CLOCK_EVERY);
        let inputs = due.drain(..taken);
        router.feed_all(&mut env!(self, now), inputs, record_route, wanted);
        self.do_wanted(Along::default());
        taken
    }

    /// Does what the router wants.
    fn do_wanted(&mut self, mut along: Along<'_>) {
        let Some(net) = &mut self.net else { return };
        let mut wanted = std::mem::take(&mut net.wanted);
        for effect in wanted.drain(..) {
            self.route_effect(effect, &mut along);
        }
        if let Some(net) = &mut self.net {
            net.wanted = wanted;
        }
        self.answer_unrouted();
        self.stepped.router = true;
    }
}

fn record_route(recorder: &mut Recorder<Who>, now: Time, input: &route::Input) {
    recorder.push_route(now, Who::Router, input);
}

/// What the router wants done.
impl<S: Shell> Lane<S> {
    fn route_effect(&mut self, effect: route::Effect, along: &mut Along<'_>) {
        let now = self.now;
        let Some(net) = &mut self.net else { return };
        match effect {
            route::Effect::Here { ticket, doubt } => {
                if let Some(mut held) = net.asks.remove(ticket) {
                    held.asked.doubt = doubt;
                    let courier = Courier::Caller(held.asked, Arc::clone(&net.tray));
                    let local = held.ask.here(courier);
                    self.run_here(local);
                }
            }
            route::Effect::Forward {
                ticket,
                op,
                to,
                ttl,
            } => self.forward(ticket, op, to, ttl),
            route::Effect::Told { ticket, op, doubt } => {
                let Some(held) = net.asks.remove(ticket) else {
                    return;
                };
                match along.answer(op) {
                    Some(bytes) => {
                        let place = place_in(held.asked.target);
                        let stored = returned(held.ask, bytes, doubt);
                        self.heard_of(place, stored);
                    }
                    // Nobody was to answer: it is on its way.
                    None => held.ask.handed_over(),
                }
            }
            route::Effect::Refused { ticket, refusal } => {
                if let Some(held) = net.asks.remove(ticket) {
                    held.ask.unrouted(Unrouted::Route(refusal));
                }
            }
            route::Effect::Withdraw { to, op } => net.post.withdraw(to, op),
            route::Effect::Serve {
                ticket,
                op,
                target,
                deadline,
                ..
            } => {
                if let Some(Requested { call, answered, .. }) = along.request(op) {
                    self.serve(ticket, target, (deadline, answered), call);
                }
            }
            // What runs goes on; nobody takes its answer.
            route::Effect::Unserve { ticket } => {
                let serving = net.serving.remove(ticket);
                if let Some(actor) = serving.and_then(|serving| serving.actor) {
                    self.withdraw_actor(actor);
                }
            }
            route::Effect::Answer { ticket, to, op } => self.answer(ticket, to, op),
            route::Effect::NotOwner { to, op, owner } => net.post.not_owner(to, op, owner),
            route::Effect::Decline { to, op, why } => {
                let denial = match why {
                    Declined::Expired => Denial::Deadline,
                    Declined::Overloaded => Denial::Overloaded,
                };
                let answered = Answered::Refused(denial);
                let returned = Return::new(&self.facts.node, answered);
                let added = net.post.answer(to, op, &returned);
                debug_assert!(added.is_ok(), "a refusal fits a frame");
            }
            route::Effect::Alive { of } => net.tell(now, Tiding::Alive(of)),
            route::Effect::Hint { of } => net.tell(now, Tiding::NoResponders(of)),
            route::Effect::Halt(reason) => {
                net.router.halt(&mut env!(self, now), reason.to_string());
            }
        }
    }

    /// When nothing is routed any more everyone who waits is told, whenever it came; and the node is to
    /// lose its lease, since nobody reaches what it owns (M2).
    fn answer_unrouted(&mut self) {
        let Some(net) = &mut self.net else { return };
        let Some(reason) = net.router.halted() else {
            return;
        };
        let reason = reason.to_owned();
        net.due.clear();
        drop(net.serving.take_all());
        for (_, held) in net.asks.take_all() {
            let doubt = held.asked.doubt.map(route::Refusal::Unknown);
            held.ask.unrouted(match doubt {
                Some(unknown) => Unrouted::Route(unknown),
                None if held.sent => Unrouted::Cut,
                None => Unrouted::Halted(reason.clone()),
            });
        }
        // Of another lane than the first it is seen by its silence.
        self.end_membership(reason);
    }

    /// Another node answered a caller: how far that says the shard's stream to reach (S13).
    fn heard_of(&self, place: Option<Place>, stored: Option<Sequence>) {
        if let (Some(place), Some(layout), Some(stored)) = (place, &self.layout, stored) {
            let stream = layout.stream_of(place.shard);
            self.facts.high_water.raise(stream, stored);
        }
    }

    /// Encodes a request for another lane.
    fn forward(&mut self, ticket: Ticket, op: OpId, to: Address, ttl: Span) {
        let Some(net) = &mut self.net else { return };
        let Some(held) = net.asks.get_mut(ticket) else {
            return;
        };
        // Whoever tells gives up knowing, not the message.
        if held.asked.answered && held.ask.is_abandoned() {
            net.asks.remove(ticket);
            return net.due.push_back(route::Input::Cancel(ticket));
        }
        held.sent = true;
        let answered = held.asked.answered;
        let ttl_ms = u32::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
        let cause = match held.ask.call() {
            Ok(mut call) => {
                if let (CallTarget::Entity { place, .. }, Some(layout)) =
                    (call.target, &self.layout)
                {
                    // Whoever serves it may know less of the stream than this node (S13).
                    call.at_least = self.facts.high_water.of(layout.stream_of(place.shard));
                }
                match net.post.request(to, (op, ttl_ms), &call, answered) {
                    Ok(()) => self.counters.forwarded += 1,
                    Err(FrameFull {
                        entry_bytes: bytes,
                        bytes_max,
                    }) => {
                        let refused = SendRefused::TooLarge { bytes, bytes_max };
                        net.due.push_back(route::Input::NotSent { op, refused });
                    }
                }
                return;
            }
            Err(cause) => cause,
        };
        if let Some(held) = net.asks.remove(ticket) {
            held.ask.unrouted(Unrouted::Unencodable(cause));
        }
        net.due.push_back(route::Input::Cancel(ticket));
    }

    /// Runs a request of another lane.
    fn serve(
        &mut self,
        ticket: Ticket,
        target: Target,
        (deadline, answered): (Time, bool),
        call: Call<'_>,
    ) {
        let Some(net) = &mut self.net else { return };
        let at_least = call.at_least;
        self.counters.served += 1;
        let serving = Serving {
            place: place_in(target),
            actor: None,
            answered: None,
        };
        net.serving.insert(ticket, serving);
        let answered = match wire::wanted(call, &net.registry) {
            Err(denial) => Answered::Refused(denial),
            Ok(wire::Wanted::Entity(asking)) => {
                let kind = net.registry.kinds.get(&asking.kind).cloned();
                let denial = Denial::UnknownKind {
                    kind: asking.kind.to_string(),
                };
                let courier = Courier::Lane(ticket, Arc::clone(&net.tray));
                let incoming = Incoming {
                    asking,
                    wall: self.shell.wall(),
                    deadline,
                    left: Some(deadline.since(self.now)),
                };
                match kind.map(|kind| kind.request(incoming, courier)) {
                    Some(Ok(request)) => return self.entity(request, at_least),
                    Some(Err(denial)) => Answered::Refused(denial),
                    None => Answered::Refused(denial),
                }
            }
            Ok(wire::Wanted::Actor(asking)) => {
                match self.act_for(ticket, asking, (deadline, answered)) {
                    Some(answered) => answered,
                    None => return,
                }
            }
            Ok(wire::Wanted::Info) => self.node_info(),
        };
        if let Some(net) = &mut self.net {
            served((&mut net.serving, &mut net.due), ticket, answered);
        }
    }

    /// Sends the answer of what ran here.
    fn answer(&mut self, ticket: Ticket, to: Address, op: OpId) {
        let Some(net) = &mut self.net else { return };
        let Some(Serving {
            place,
            answered: Some(answered),
            ..
        }) = net.serving.remove(ticket)
        else {
            return;
        };
        let stored = match &answered {
            Answered::Done { sequence, .. } => *sequence,
            Answered::Rejected { .. } | Answered::Refused(_) => None,
        };
        let seat = place.and_then(|place| self.seats.get(&ShardKey::of_place(place)));
        let epoch = match (stored, seat.and_then(|seat| seat.epoch())) {
            (Some(stored), present) if present.is_none_or(|epoch| epoch.sequence >= stored) => {
                place.and_then(|place| self.facts.epochs.of(place, Some(stored)))
            }
            (Some(_) | None, present) => present,
        };
        let mut returned = Return {
            answered,
            node: &self.facts.node,
            epoch,
        };
        if let Err(full) = net.post.answer(to, op, &returned) {
            // It ran: who asked is told that, and not what came of it.
            let cause = full.to_string();
            returned.answered = Answered::Refused(Denial::Reply { cause });
            let added = net.post.answer(to, op, &returned);
            debug_assert!(added.is_ok(), "a refusal fits a frame");
        }
    }

    /// Sends the frames of this turn.
    pub(super) fn flush(&mut self) {
        let Some(net) = &mut self.net else { return };
        if net.post.is_empty() {
            return;
        }
        let (shell, counters, due) = (&self.shell, &mut self.counters, &mut net.due);
        net.post.flush(
            |op, to, from, frame| shell.send(op, to, from, frame),
            |posted| {
                let Some(refused) = posted.refused else {
                    counters.frames_sent += 1;
                    counters.entries_sent += posted.entries as u64;
                    return;
                };
                let not_sent = |op| route::Input::NotSent { op, refused };
                due.extend(posted.requests.into_iter().map(not_sent));
            },
        );
    }
}

/// Orders for the logs of this lane.
impl<S: Shell> Lane<S> {
    fn directed(&mut self, direction: Direction) {
        match direction {
            Direction::Order(place, order) => self.ordered(place, order),
            Direction::Beat(beat) => {
                let routing = |net: &Net| net.router.halted().is_some();
                let acting = self.actors.as_deref();
                let halted = self.net.as_deref().is_some_and(routing)
                    || self.has_halted_group()
                    || acting.is_some_and(|seat| seat.broken().is_some());
                // A lane that routes nothing, none of whose actors acts any more, or whose groups' records
                // nobody looks after, serves nobody.
                if !halted {
                    self.facts.pulse.answer(self.index, beat);
                }
            }
            Direction::Run(run, done) => {
                self.become_run(run);
                // Lane 0 may be at another run already.
                let _ = done.send(());
            }
        }
    }

    fn ordered(&mut self, place: Place, order: Order) {
        let key = ShardKey::of_place(place);
        self.open_seat(key);
        if !self.actors_first(place, &order) {
            return;
        }
        let now = self.now;
        if let Some(seat) = self.seats.get_mut(&key) {
            seat.order(&mut env!(self, now), order);
        }
        self.after(Who::Shard(key));
    }

    /// What lane 0 tells of the cluster changed.
    pub(super) fn membership_changed(&mut self) {
        let Some(net) = &mut self.net else { return };
        let (membership, other_view, other_table) = net.see_membership();
        // What was dropped when a lease was lost is gone before the next one is known here.
        while let Some(NetEvent::Directed(direction)) = self
            .net
            .as_mut()
            .and_then(|net| net.next_of(Source::Directions))
        {
            self.directed(direction);
        }
        let Some(net) = &mut self.net else { return };
        let left = membership.state.is_final();
        net.forget_gone();
        let leased = net.lease != membership.lease;
        net.lease = membership.lease;
        if leased {
            let lease = membership.lease;
            self.feed_all(self.now, |seat| {
                seat.is_leased().then_some(Input::Lease(lease))
            });
            self.actors_tick();
        }
        self.groups_see(other_view);
        if other_view {
            self.route(route::Input::View(membership.view));
        }
        if other_table {
            self.route(route::Input::Table(membership.table));
        }
        if left && self.stop_at.is_some() {
            self.stop_actors();
        }
    }

    /// Tells lane 0 what became of orders and epochs.
    pub(super) fn send_reports(&mut self) {
        for (place, report) in std::mem::take(&mut self.reports) {
            self.actors_hear(place, &report);
            let Some(report) = self.report_of(place, report) else {
                continue;
            };
            // A lone process gives no orders, and nobody asks what becomes of its epochs. Without
            // lane 0 the node is at its end.
            if let Some(net) = &self.net {
                let _ = net.reports.send((place, report));
            }
        }
    }
}

impl Net {
    /// Tells routing what a request that ran here, or did not, came to.
    fn carry(&mut self, carried: Carried) {
        match carried {
            Carried::Back(asked, ask) => {
                let held = Held {
                    ask,
                    asked,
                    sent: false,
                };
                self.asks.insert(asked.ticket, held);
                self.due.push_back(route::Input::NotHere(asked));
            }
            Carried::NotServed(ticket) => {
                self.serving.remove(ticket);
                self.due.push_back(route::Input::NotServed(ticket));
            }
            Carried::Answered(ticket, answered) => {
                served((&mut self.serving, &mut self.due), ticket, answered);
            }
        }
    }
}

/// A request of another lane was answered. Nobody waits for it any more when it is not served now.
fn served(
    (serving, due): (&mut Tickets<Serving>, &mut VecDeque<route::Input>),
    ticket: Ticket,
    answered: Answered,
) {
    if let Some(serving) = serving.get_mut(ticket) {
        serving.answered = Some(answered);
        due.push_back(route::Input::Served(ticket));
    }
}

/// Tells a caller what came back, and gives where in the stream it is stored. After an attempt that
/// may have run, and may still come to run, that a later one stored nothing is not the whole truth.
fn returned(ask: Box<dyn Routed>, bytes: &Bytes, doubt: Option<Lost>) -> Option<Sequence> {
    let answer = Return::decode(bytes);
    let answered = answer.as_ref().map(|answer| &answer.answered);
    if let (Some(lost), Ok(answered)) = (doubt, answered)
        && !answered.took_effect()
    {
        ask.unrouted(Unrouted::Route(route::Refusal::Unknown(lost)));
        return None;
    }
    let stored = answered.ok().and_then(|answered| match answered {
        Answered::Done { sequence, .. } => *sequence,
        Answered::Rejected { .. } | Answered::Refused(_) => None,
    });
    match answer {
        Ok(answer) => ask.returned(answer),
        // It ran, and what came of it cannot be read.
        Err(cause) => ask.returned(Return {
            answered: Answered::Refused(Denial::Reply {
                cause: cause.to_string(),
            }),
            node: "",
            epoch: None,
        }),
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::{Serving, served};
    use crate::format::Answered;
    use crate::id::Ticket;
    use crate::tickets::Tickets;
    use bytes::Bytes;
    use std::collections::VecDeque;

    #[test]
    fn an_answer_is_kept_only_while_somebody_waits_for_it() {
        let (mut serving, mut due) = (Tickets::default(), VecDeque::new());
        let answered = || Answered::done(Bytes::from_static(b"reply"));
        served((&mut serving, &mut due), Ticket(1), answered());
        assert!(serving.is_empty() && due.is_empty(), "it was withdrawn");
        let runs = Serving {
            place: None,
            actor: None,
            answered: None,
        };
        serving.insert(Ticket(2), runs);
        served((&mut serving, &mut due), Ticket(2), answered());
        let kept = serving.remove(Ticket(2)).and_then(|one| one.answered);
        assert_eq!((kept, due.len()), (Some(answered()), 1));
    }
}
