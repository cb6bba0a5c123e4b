//! A lane's actors: what they are asked, the places under which they live, and their turns.

use super::{BATCH_MAX, Env, Lane, SLICE_MAX, Who};
use crate::api::Inner;
use crate::driver::actors::host::{
    ActorAnswer, ActorEntry, ActorRequest, Content, Mail, Pace, PaceRequest, Recipient,
    WatchRequest,
};
use crate::driver::actors::stage::Report as ActorReport;
use crate::driver::actors::wire::{WATCH, watch_whom};
use crate::driver::actors::{ActorEnv, ActorEvent, ActorSeat, ActorSeatParts};
use crate::driver::cluster::{ActorAsk, AskingActor, Held, Routed, WatchAsk, place_in, place_of};
use crate::driver::port::LanePort;
use crate::driver::seat::ShardKey;
use crate::driver::shell::Shell;
use crate::format::{Answered, Denial, Placement, TakeOver};
use crate::id::Ticket;
use crate::name::{EntityId, KindName};
use crate::route::{self, Asked, Target};
use crate::shard::{Order, Place, Report};
use crate::step::{Span, Time};
use std::sync::{Arc, Weak};

/// The part of a lane's dice that its actors draw from.
const DICE_PART: u64 = 1 << 35;

/// What a lane gets its actors with.
pub(crate) struct Stagecraft {
    pub(crate) port: Arc<LanePort>,
    pub(crate) timeout: Span,
    pub(crate) home: Weak<Inner>,
}

impl<S: Shell> Lane<S> {
    /// The lane has actors from now on.
    pub(super) fn stage(&mut self, stagecraft: Stagecraft) {
        let Stagecraft {
            port,
            timeout,
            home,
        } = stagecraft;
        let dice = self.dice.fork(DICE_PART | self.index as u64);
        self.actors = Some(Box::new(ActorSeat::new(ActorSeatParts {
            lane: self.index,
            lanes: port.lanes(),
            node: self.facts.node.clone(),
            limits: self.facts.limits,
            timeout,
            home,
            dice,
            world: Arc::new(self.shell.clone()),
            asker: port,
            lease: Arc::clone(&self.facts.lease),
            waiting: Arc::clone(&self.facts.waiting),
        })));
    }

    /// Does something with the seat, if there is one, and what follows from it.
    fn with_actors(&mut self, act: impl FnOnce(&mut ActorSeat, &mut ActorEnv<'_>)) {
        let now = self.now;
        let Some(mut seat) = self.actors.take() else {
            return;
        };
        let mut env = ActorEnv {
            now,
            run: self.run,
            probe: &mut self.probe,
            counters: &mut self.counters,
            recorder: &mut self.flight.recorder,
        };
        act(&mut seat, &mut env);
        self.now = env.now.max(self.now);
        let events = seat.take_events();
        let halted = seat.broken().map(str::to_owned);
        self.actors = Some(seat);
        for event in events {
            self.actor_event(event);
        }
        if let Some(reason) = halted {
            // Of another lane than the first it is seen by its silence.
            self.end_membership(reason);
        }
        self.confirm_drops();
        self.stepped.actors = true;
    }

    fn actor_event(&mut self, event: ActorEvent) {
        match event {
            ActorEvent::Drained(place) => self.leave_place(place),
            ActorEvent::Kept(place, epoch) => {
                self.leaving.remove(&place);
                self.reports.push((place, Report::Kept { epoch }));
            }
            ActorEvent::Stopped => self.actors_stopped = true,
            ActorEvent::NotOwner(ticket, request) => self.not_owned(ticket, request),
            ActorEvent::NotOwnerOfWatched(ticket, request) => {
                self.watched_elsewhere(ticket, request);
            }
        }
    }

    /// A message of a caller of this node runs here.
    pub(super) fn act(&mut self, ask: ActorAsk) {
        let ActorAsk { target, request } = ask;
        let place = place_in(target).filter(|_| self.net.is_some());
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        if self.actors.is_none() {
            let kind = request.kind.name().to_string();
            let denial = Denial::UnknownKind { kind };
            return request
                .caller
                .tell(ActorAnswer::Denied(denial, self.facts.node.clone()));
        }
        self.with_actors(|seat, env| seat.ask(env, ticket, place, request));
    }

    /// A message of another lane runs here. What is to be answered at once comes back.
    pub(super) fn act_for(
        &mut self,
        router_ticket: Ticket,
        asking: AskingActor,
        (deadline, answered): (Time, bool),
    ) -> Option<Answered> {
        let net = self.net.as_mut()?;
        // A build that places the kind otherwise takes it for another one.
        let on_node = asking.place.is_none();
        let unknown = |kind: &KindName| {
            let kind = kind.to_string();
            Some(Answered::Refused(Denial::UnknownKind { kind }))
        };
        let AskingActor {
            place,
            kind,
            key,
            message: (name, version),
            metadata,
            trail,
            body: data,
        } = asking;
        let entry = match kind {
            Ok(entry) if (entry.placement == Placement::Node) == on_node => entry,
            Ok(entry) => return unknown(entry.name()),
            Err(name) => return unknown(&name),
        };
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        if let Some(serving) = net.serving.get_mut(router_ticket) {
            serving.actor = Some(ticket);
        }
        let caller = Recipient::Lane(router_ticket);
        let is_watch = name == WATCH;
        let whom = || watch_whom(version, entry.codec, &data);
        let of = match is_watch.then(whom).transpose() {
            Ok(of) => of,
            Err(cause) => {
                let (what, cause) = (WATCH.to_owned(), cause.to_string());
                return Some(Answered::Refused(Denial::Undecodable { what, cause }));
            }
        };
        if let Some(of) = of {
            let request = WatchRequest {
                kind: entry,
                key,
                node: None,
                deadline,
                of,
                caller,
            };
            self.with_actors(|seat, env| seat.watch(env, ticket, place, request));
        } else {
            let request = ActorRequest {
                kind: entry,
                key,
                node: None,
                deadline,
                answered,
                mail: Mail {
                    content: Content::Wire {
                        name,
                        version,
                        data,
                    },
                    metadata,
                    trail,
                },
                caller,
            };
            self.with_actors(|seat, env| seat.ask(env, ticket, place, request));
        }
        None
    }

    /// Nobody waits any more for what runs here for another lane.
    pub(super) fn withdraw_actor(&mut self, ticket: Ticket) {
        self.with_actors(|seat, env| seat.withdraw(env, ticket));
    }

    /// This node does not own what a message is for: it is routed on, or sent back.
    fn not_owned(&mut self, ticket: Ticket, request: ActorRequest) {
        let ActorRequest {
            kind, key, caller, ..
        } = &request;
        match self.place_elsewhere(kind, key, caller.is_served()) {
            Some(place) => {
                let target = Target::Place(place);
                let ask = ActorAsk { target, request };
                let asked = ask.asked(ticket);
                self.route_on(Box::new(ask), asked);
            }
            None => {
                let refused = ActorAnswer::Refused(crate::actor::Refusal::NotOwner);
                let carried = request.caller.finish(&request.kind, &request.key, refused);
                self.carried(carried);
            }
        }
    }

    /// The same for a wish to be told of an end.
    fn watched_elsewhere(&mut self, ticket: Ticket, request: WatchRequest) {
        let WatchRequest {
            kind, key, caller, ..
        } = &request;
        match self.place_elsewhere(kind, key, caller.is_served()) {
            Some(place) => {
                let target = Target::Place(place);
                let ask = WatchAsk { target, request };
                let asked = ask.asked(ticket);
                self.route_on(Box::new(ask), asked);
            }
            None => {
                let refused = ActorAnswer::Refused(crate::actor::Refusal::NotOwner);
                let carried = request.caller.finish(&request.kind, &request.key, refused);
                self.carried(carried);
            }
        }
    }

    /// The place to which a caller of this node is routed on; another lane's caller is told, and
    /// routed by its own node.
    fn place_elsewhere(&self, kind: &ActorEntry, key: &EntityId, served: bool) -> Option<Place> {
        match (&self.net, &self.layout) {
            (Some(_), Some(layout)) if !served => Some(place_of(layout, kind, key)),
            (Some(_) | None, Some(_) | None) => None,
        }
    }

    fn route_on(&mut self, ask: Box<dyn Routed>, asked: Asked) {
        let Some(net) = &mut self.net else {
            unreachable!("a place elsewhere is of a cluster");
        };
        let sent = false;
        net.asks.insert(asked.ticket, Held { ask, asked, sent });
        net.due.push_back(route::Input::NotHere(asked));
    }

    /// A wish of an actor of this node is for one that is here.
    pub(super) fn watch(&mut self, ask: WatchAsk) {
        let WatchAsk { target, request } = ask;
        let place = place_in(target).filter(|_| self.net.is_some());
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.with_actors(|seat, env| seat.watch(env, ticket, place, request));
    }

    /// For tests: a key takes no turns, one, or all again.
    pub(super) fn pace(&mut self, request: PaceRequest) {
        let PaceRequest {
            kind,
            key,
            pace,
            done,
        } = request;
        self.with_actors(|seat, env| match pace {
            Pace::Pause => seat.pause(env, &kind, key),
            Pace::Step => seat.step(env, &kind, key),
            Pace::Resume => seat.resume(env, &kind, key),
        });
        // Who asked may have gone.
        let _ = done.send(());
    }

    /// Lets actors take turns.
    pub(super) fn actors_turn(&mut self) {
        if self.actors.as_ref().is_some_and(|seat| seat.has_work()) {
            self.with_actors(ActorSeat::turn);
        }
    }

    /// Whether actors have turns to take now.
    pub(super) fn actors_have_work(&self) -> bool {
        self.actors.as_ref().is_some_and(|seat| seat.has_work())
    }

    pub(super) fn actors_tick(&mut self) {
        self.with_actors(ActorSeat::tick);
    }

    /// What runs as a task reported.
    pub(super) fn actor_report(&mut self, report: ActorReport) {
        self.with_actors(|seat, env| seat.report(env, report));
    }

    /// Takes in reports that are here already, up to a budget.
    pub(super) fn take_actor_reports(&mut self) {
        let until = self.now + SLICE_MAX;
        for n in 1..=BATCH_MAX {
            let report = self.actors.as_mut().and_then(|seat| seat.next_report());
            let Some(report) = report else { return };
            self.actor_report(report);
            self.read_clock(n);
            if self.now >= until {
                return;
            }
        }
    }

    /// What the log of a place reports, for those who live under its epoch.
    pub(super) fn actors_hear(&mut self, place: Place, report: &Report) {
        if place.class != TakeOver::Leased || self.actors.is_none() {
            return;
        }
        match report {
            Report::Owned(epoch) => {
                let epoch = *epoch;
                self.with_actors(|seat, env| seat.own(env, place, epoch));
            }
            Report::HandedOver { .. }
            | Report::Released { .. }
            | Report::Lost { .. }
            | Report::Failed { .. } => self.with_actors(|seat, env| seat.lost(env, place)),
            Report::Rival { .. } | Report::Kept { .. } => {}
        }
    }

    /// An order for a place under which actors live: they stop before the place is handed over, and
    /// at once when its epoch counts no more. Whether the log is to be told now.
    pub(super) fn actors_first(&mut self, place: Place, order: &Order) -> bool {
        if place.class != TakeOver::Leased || self.actors.is_none() {
            return true;
        }
        match order {
            Order::HandOver { .. } | Order::Release => {
                self.leaving.insert(place, order.clone());
                self.with_actors(|seat, env| seat.hand_over(env, place));
                false
            }
            Order::Drop => {
                self.leaving.remove(&place);
                self.dropping.insert(place, None);
                self.with_actors(|seat, env| seat.lost(env, place));
                true
            }
            Order::Claim { .. } | Order::Adopt(_) => true,
        }
    }

    /// Keeps the report of a dropped place while something of it acts still; else it comes back.
    pub(super) fn report_of(&mut self, place: Place, report: Report) -> Option<Report> {
        match self.dropping.get_mut(&place) {
            Some(kept) if matches!(report, Report::Lost { .. }) => {
                *kept = Some(report);
                None
            }
            Some(_) | None => Some(report),
        }
    }

    /// Reports the drop of those places in which nothing acts any more.
    fn confirm_drops(&mut self) {
        if self.dropping.is_empty() {
            return;
        }
        let seat = self.actors.as_deref();
        let is_over = |place: &Place| seat.is_none_or(|seat| !seat.lives_in(*place));
        let over = self.dropping.keys().copied().filter(is_over);
        for place in over.collect::<Vec<_>>() {
            let report = self.dropping.remove(&place).flatten();
            self.reports.extend(report.map(|report| (place, report)));
        }
    }

    /// Nothing of a place is left: its log may hand it over.
    fn leave_place(&mut self, place: Place) {
        let Some(order) = self.leaving.remove(&place) else {
            return;
        };
        let key = ShardKey::of_place(place);
        let now = self.now;
        if let Some(seat) = self.seats.get_mut(&key) {
            seat.order(&mut env!(self, now), order);
        }
        self.after(Who::Shard(key));
    }

    /// Nothing more is begun, and all actors stop.
    pub(super) fn stop_actors(&mut self) {
        if !self.actors_stopping {
            self.actors_stopping = true;
            self.with_actors(ActorSeat::stop);
        }
    }

    /// Whether no actor keeps the lane from ending.
    pub(super) fn actors_are_idle(&self) -> bool {
        match &self.actors {
            None => true,
            Some(_) if self.actors_stopping => self.actors_stopped,
            Some(seat) => seat.is_idle(),
        }
    }

    /// The node has no more time.
    pub(super) fn cut_actors(&mut self) {
        self.with_actors(ActorSeat::cut);
    }
}
