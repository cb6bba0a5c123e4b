//! The way to the store and back, as of the pure world: latency, loss, late bytes, refusals that
//! pass, proposals on a replicated store, and replicas that answer from the past.

use super::event::Event;
use super::world::{Home, State};
use crate::apart::Way;
use crate::brief;
use crate::deviation::Fault;
use crate::draw::What;
use crate::fate::{self, Fate, checks_itself};
use crate::tamper;
use crate::waits::{Kept, Waits};
use crate::world::{Kind, Lane};
use std::collections::BTreeMap;
use std::fmt;
use tenure_core::driver::{Completion, LinkNumber};
use tenure_core::id::Sequence;
use tenure_core::port::{Refused, StoreDone, StoreReply, StoreRequest};
use tenure_core::step::Span;
use tenure_core::{Outcome, Probe as _, reached};
use tenure_mem::store::ProposalId;

/// The latest time after its sending at which the bytes of a request arrive.
const LATE_MAX: Span = Span::from_secs(8);

/// A request on its way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FlightId(u64);

impl fmt::Debug for FlightId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flight{}", self.0)
    }
}

/// What is on its way.
#[derive(Debug, Default)]
pub(super) struct Wire {
    flights: BTreeMap<FlightId, Flight>,
    next: u64,
    /// When the latest proposal of each stream commits: they commit in their order.
    commits: BTreeMap<String, u64>,
    /// Until when the servers elect and take no write, in true nanoseconds.
    pub(super) electing_until: u64,
    waits: Waits<FlightId>,
}

#[derive(Debug)]
struct Flight {
    home: Home,
    request: StoreRequest,
    fate: Fate,
    /// Who waits for the answer.
    done: Option<Completion>,
    /// It may reach the store still.
    travels: bool,
}

impl State {
    /// A node's shell hands a request to its link.
    pub(super) fn request(
        &mut self,
        (home, during): (Home, Option<LinkNumber>),
        timeout: Span,
        request: StoreRequest,
        done: Completion,
    ) {
        let Some(node) = self.node(home) else {
            return done.tell(Outcome::Unknown);
        };
        let linked = node.linked && during.is_none_or(|during| during == node.link);
        let flight = FlightId(self.wire.next);
        self.wire.next += 1;
        self.trace.note(2, &[home.node as u64, flight.0]);
        self.tell(home, Kind::Does, || {
            format!("{home} asks {flight:?} {}", brief::request(&request))
        });
        let part = home.node as u64;
        let mut travels = false;
        let mut fate = Fate::Lost;
        if linked {
            let faults = self.plan.faults;
            let cut = self.network.apart.is_mute(home.node);
            let drawn = fate::draw(&mut self.draws, &faults, part, &request, (self.healed, cut));
            let mut travel = self.travel(part);
            fate = drawn.fate;
            if drawn.slow_there {
                reached!(self, "fault: slow request");
                travel = travel.saturating_mul(100);
            }
            if drawn.lost {
                reached!(self, "fault: lost request");
                self.tell(home, Kind::Fault, || {
                    format!("{flight:?} is lost on its way")
                });
            } else if drawn.late {
                reached!(self, "fault: late request");
                self.tell(home, Kind::Fault, || {
                    format!("{flight:?} is too late for its answer")
                });
                let after = self.draws.span(What::Late, part, timeout, LATE_MAX);
                self.at(after, Event::Straggle(Box::new(request.clone())));
            } else {
                if drawn.twice && checks_itself(&request) {
                    reached!(self, "fault: request twice");
                    let after = self.draws.span(What::Late, part, travel, LATE_MAX);
                    self.at(after, Event::Straggle(Box::new(request.clone())));
                }
                travels = true;
                self.at(travel, Event::Reach(flight));
            }
            let reply = Box::new(Outcome::Unknown);
            self.at(
                timeout + request.patience(),
                Event::Answer { flight, reply },
            );
        } else {
            let reply = Box::new(Outcome::Refused(Refused::NotConnected));
            self.at(Span::from_micros(1), Event::Answer { flight, reply });
        }
        let flown = Flight {
            home,
            request,
            fate,
            done: Some(done),
            travels,
        };
        self.wire.flights.insert(flight, flown);
    }

    /// A request reaches the store.
    pub(super) fn reach(&mut self, id: FlightId) {
        if self.wire.waits.is_over(id) {
            return;
        }
        let Some(flight) = self.wire.flights.get_mut(&id) else {
            return;
        };
        flight.travels = false;
        let (request, fate, home) = (flight.request.clone(), flight.fate, flight.home);
        let part = home.node as u64;
        match fate {
            Fate::Refused => {
                reached!(self, "fault: refusal that passes");
                let refused = fate::refusal(&mut self.draws, part, fate, &request);
                self.heard_by_successor(part, &refused, &request);
                self.come_back(id, Outcome::Refused(refused));
            }
            Fate::Full => {
                reached!(self, "fault: refusal for good");
                let refused = fate::refusal(&mut self.draws, part, fate, &request);
                self.heard_by_successor(part, &refused, &request);
                self.come_back(id, Outcome::Refused(refused));
            }
            Fate::Stale => {
                let last = request
                    .stream()
                    .map_or(Sequence::NONE, |stream| self.store.last(stream));
                let up_to = fate::lag(&mut self.draws, part, last);
                let wall = self.store_wall();
                let reply = if request.moves_consumer() {
                    self.store.apply_as_of(wall, up_to, &request)
                } else {
                    self.store.answer_as_of(wall, up_to, &request)
                };
                if request.writes() {
                    reached!(self, "fault: a former leader answers a write");
                } else {
                    reached!(self, "fault: a replica answers from the past");
                }
                if let Outcome::Refused(refused) = &reply {
                    self.heard_by_successor(part, refused, &request);
                }
                if reply != Outcome::Unknown {
                    self.told_in_time(id, &request, reply);
                }
            }
            Fate::Lost => {}
            Fate::Fine | Fate::LostAnswer | Fate::SlowAnswer | Fate::HeldAnswer => {
                self.execute(Some(id), &request);
            }
        }
    }

    /// When one server replaces another as leader both hear a publish: what the former refuses the
    /// successor may store.
    fn heard_by_successor(&mut self, part: u64, refused: &Refused, request: &StoreRequest) {
        let heard = !refused.settles(self.plan.replicated)
            && request.writes()
            && self.strikes(Fault::SuccessorHears, (What::Successor, part), 500);
        if heard {
            reached!(self, "fault: a successor hears what its forerunner refused");
            self.execute(None, request);
        }
    }

    pub(super) fn straggle(&mut self, request: &StoreRequest) {
        self.execute(None, request);
    }

    fn execute(&mut self, flight: Option<FlightId>, request: &StoreRequest) {
        if request.writes() && self.now < self.wire.electing_until {
            if let Some(flight) = flight
                && self.draws.chance(What::Election, 2, 300)
            {
                self.come_back(flight, Outcome::Refused(Refused::NoResponders));
            }
            return;
        }
        let wall = self.store_wall();
        if self.store.next_expiry().is_some_and(|at| at <= wall) {
            reached!(self, "world: messages expired");
            self.store.expire(wall);
        }
        let lies = self.plan.lies(self.now, request);
        let stream = request.stream();
        let last = stream.map_or(Sequence::NONE, |stream| self.store.last(stream));
        let tampered = tamper::tampered(lies, &mut self.draws, last, request);
        match tampered.and_then(|request| self.store.propose(wall, &request)) {
            Err(reply) => {
                self.announce();
                if let Some(stream) = stream {
                    self.writes_down(stream, &reply);
                }
                let as_of = |up_to| self.store.answer_as_of(wall, up_to, request);
                let reply = tamper::falsified(lies, &mut self.draws, last, as_of, reply);
                if let Outcome::Done(StoreDone::Published(_)) = reply
                    && let Some(stream) = request.stream()
                {
                    let stirred = self.wire.waits.stirred(stream);
                    self.look_again(stirred);
                }
                if let Some(flight) = flight {
                    self.told_in_time(flight, request, reply);
                }
            }
            Ok(proposal) => {
                let stream = self.store.proposal_stream(proposal);
                let stream = stream.expect("a proposal was just made").to_owned();
                let (least, most) = (Span::from_micros(200), Span::from_millis(3));
                let delay = self.draws.span(What::Consensus, 0, least, most);
                let latest = self.wire.commits.entry(stream).or_default();
                *latest = (self.now + delay.as_nanos()).max(*latest + 1);
                let wait = Span::from_nanos(*latest - self.now);
                self.at(wait, Event::Commit { proposal, flight });
            }
        }
    }

    /// A quorum has a proposal, unless its leader was lost.
    pub(super) fn commit(&mut self, proposal: ProposalId, flight: Option<FlightId>) {
        if self.store.proposal_stream(proposal).is_none() {
            reached!(self, "fault: a proposal was lost with its leader");
            return;
        }
        let stream = self.store.proposal_stream(proposal).unwrap_or_default();
        let stream = stream.to_owned();
        let stirred = self.wire.waits.stirred(&stream);
        let reply = self.store.commit(self.store_wall(), proposal);
        self.announce();
        self.writes_down(&stream, &reply);
        self.look_again(stirred);
        if let Some(flight) = flight {
            self.come_back(flight, reply);
        }
    }

    /// Writes down what was stored.
    fn writes_down(&mut self, stream: &str, reply: &StoreReply) {
        if let Outcome::Done(StoreDone::Published(_)) = reply {
            self.written.take(self.now, &self.store, stream);
        }
    }

    /// The store answers, or keeps the answer back while a fetch waits.
    fn told_in_time(&mut self, id: FlightId, request: &StoreRequest, reply: StoreReply) {
        match self.wire.waits.keep(self.now, id, request, &reply) {
            Kept::No => self.come_back(id, reply),
            Kept::Begun(wait) => self.at(wait, Event::Reach(id)),
            Kept::Still => {}
        }
    }

    /// Something was stored: fetches that wait for it look again.
    fn look_again(&mut self, fetches: Vec<FlightId>) {
        for flight in fetches {
            self.at(Span::ZERO, Event::Reach(flight));
        }
    }

    /// The answer travels back.
    fn come_back(&mut self, id: FlightId, reply: StoreReply) {
        let told = format!("store answers {id:?} {reply:?}");
        self.trace.bytes(told.as_bytes());
        self.tell(Lane::Store, Kind::Does, || {
            format!("store answers {id:?} {}", brief::answer(&reply))
        });
        let Some(flight) = self.wire.flights.get(&id) else {
            return;
        };
        let (fate, node) = (flight.fate, flight.home.node);
        if self.network.apart.is_deaf(node) {
            self.tell(Lane::Store, Kind::Fault, || {
                format!("the answer to {id:?} is lost: n{node} is cut off")
            });
            return;
        }
        if fate == Fate::LostAnswer {
            reached!(self, "fault: lost answer");
            self.tell(Lane::Store, Kind::Fault, || {
                format!("the answer to {id:?} is lost")
            });
            return;
        }
        let reply = self.damaged(id, reply);
        let mut travel = self.travel(node as u64);
        if matches!(fate, Fate::SlowAnswer | Fate::HeldAnswer) {
            reached!(self, "fault: slow answer");
            travel = travel.saturating_mul(100);
        }
        let reply = Box::new(reply);
        self.at(travel, Event::Answer { flight: id, reply });
    }

    /// The body of a snapshot may be absent or damaged where it is read; of what a fetch brings a message
    /// may be lost.
    fn damaged(&mut self, id: FlightId, reply: StoreReply) -> StoreReply {
        let flight = &self.wire.flights[&id];
        let part = flight.home.node as u64;
        let snapshots = self.namespace.snapshot_stream();
        let of_bodies = flight.request.stream().is_some_and(|it| *it == snapshots);
        if self.healed {
            return reply;
        }
        let faults = self.plan.faults;
        if !of_bodies {
            return fate::delivered(&mut self.draws, &faults, part, &mut self.probe, reply);
        }
        fate::bodies(&mut self.draws, &faults, part, &mut self.probe, reply)
    }

    /// A node hears an answer, or its shell gives up waiting.
    pub(super) fn answer(&mut self, id: FlightId, reply: StoreReply) {
        let Some(flight) = self.wire.flights.get_mut(&id) else {
            return;
        };
        if let Some(done) = flight.done.take() {
            let home = flight.home;
            self.trace.note(3, &[home.node as u64, id.0]);
            self.trace.tell(self.now, home.into(), Kind::Takes, || {
                format!("{home} hears {id:?} {}", brief::answer(&reply))
            });
            done.tell(reply);
        }
        if !flight.travels {
            self.wire.flights.remove(&id);
        }
    }

    /// A node's link is gone: what is in flight is unknown to it, and half of it never arrives.
    pub(super) fn cut_off(&mut self, home: Home) {
        let part = home.node as u64;
        // What it was to hear is gone; what it had sent is on its way still.
        self.network.clogs.end(home.node, Way::In);
        self.unclog(home.node, Way::Out);
        let open: Vec<_> = self
            .wire
            .flights
            .iter()
            .filter(|(_, flight)| flight.home == home && flight.done.is_some())
            .map(|(id, _)| *id)
            .collect();
        for flight in open {
            if self.strikes(Fault::LostWithLink, (What::Link, part), 500)
                && let Some(flight) = self.wire.flights.get_mut(&flight)
            {
                flight.fate = Fate::Lost;
            }
            let wait = self
                .draws
                .span(What::Link, part, Span::ZERO, Span::from_millis(1));
            let reply = Box::new(Outcome::Unknown);
            self.at(wait, Event::Answer { flight, reply });
        }
    }

    /// The node that asked, while somebody looks at it.
    pub(super) fn asker(&self, id: FlightId) -> Option<usize> {
        self.wire.flights.get(&id).map(|flight| flight.home.node)
    }

    /// The store restarts: what was on its way to it is gone.
    pub(super) fn drop_flights(&mut self) {
        for flight in self.wire.flights.values_mut() {
            flight.fate = Fate::Lost;
        }
    }
}
