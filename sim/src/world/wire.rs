//! The way to the store and back: latency, loss, late bytes, refusals that pass, proposals on a
//! replicated store, and replicas that answer from the past.

use super::World;
use super::corrupt::Corruption;
use super::event::{Event, FlightId, Part, Place};
use super::story::{Kind, Lane};
use crate::apart::Way;
use crate::brief;
use crate::deviation::Fault;
use crate::draw::What;
use crate::fate::{self, Fate, checks_itself};
use crate::oracle::Violation;
use crate::profile::Plan;
use crate::waits::{Kept, Waits};
use std::collections::BTreeMap;
use tenure_core::id::{OpId, Sequence};
use tenure_core::log::mark;
use tenure_core::port::{Refused, StoreDone, StoreReply, StoreRequest};
use tenure_core::{Outcome, Probe as _, Span, reached};
use tenure_mem::store::ProposalId;

/// What is on its way.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// All of them, by their numbers.
    flights: Vec<Flight>,
    /// When the latest proposal of each stream commits: they commit in their order.
    commits: BTreeMap<String, u64>,
    /// Until then it refuses most writes, in true nanoseconds.
    pub(super) overloaded_until: u64,
    waits: Waits<FlightId>,
}

#[derive(Debug)]
struct Flight {
    place: Place,
    op: OpId,
    request: StoreRequest,
    fate: Fate,
    /// Whether its bytes come again.
    twice: bool,
    /// Whether it reads bodies of snapshots.
    of_bodies: bool,
    /// Whether its node still waits for the answer.
    awaited: bool,
}

impl Wire {
    fn flight(&self, id: FlightId) -> &Flight {
        &self.flights[id.0]
    }

    fn flight_mut(&mut self, id: FlightId) -> &mut Flight {
        &mut self.flights[id.0]
    }
}

impl World {
    /// A node's shell hands a request to its link.
    pub(super) fn send(&mut self, place: Place, op: OpId, request: StoreRequest) {
        let part = place.node as u64;
        let faults = self.plan.faults;
        let flight = FlightId(self.wire.flights.len());
        let timeout = self.plan.limits.store_timeout;
        let cut = self.network.apart.is_mute(place.node);
        let drawn = fate::draw(&mut self.draws, &faults, part, &request, (self.healed, cut));
        let twice = drawn.twice && checks_itself(&request);
        let mut travel = self.travel(part);
        if drawn.slow_there {
            reached!(self, "fault: slow request");
            travel = travel.saturating_mul(100);
        }
        if drawn.lost {
            reached!(self, "fault: lost request");
            self.tell(place, Kind::Fault, || {
                format!("{place} {op:?} is lost on the way")
            });
        } else if drawn.late {
            reached!(self, "fault: late request");
            let after = self.draws.span(What::Late, part, timeout, Plan::LATE_MAX);
            self.tell(place, Kind::Fault, || {
                format!("{place} {op:?} will be late by {after}")
            });
            let request = Box::new(request.clone());
            self.at(after, Event::Straggle { request });
        } else {
            if twice {
                reached!(self, "fault: request twice");
                let after = self.draws.span(What::Late, part, travel, Plan::LATE_MAX);
                let request = Box::new(request.clone());
                self.at(after, Event::Straggle { request });
            }
            self.at(travel, Event::Reach { flight });
        }
        let of_bodies = matches!(
            &request,
            StoreRequest::Latest { stream, .. } if *stream == self.snapshots
        );
        let patience = request.patience();
        self.wire.flights.push(Flight {
            place,
            op,
            request,
            fate: drawn.fate,
            twice,
            of_bodies,
            awaited: true,
        });
        if patience > Span::ZERO {
            return self.at(timeout + patience, Event::GiveUp { flight });
        }
        // The limit is the same for all others.
        let due = self.due_at(timeout, Event::GiveUp { flight });
        self.queue.push_in_order(due);
    }

    /// A request reaches the store.
    pub(super) fn reach(&mut self, id: FlightId) {
        if self.wire.waits.is_over(id) {
            return;
        }
        // It is lent for as long as the store looks at it.
        let lent = &mut self.wire.flight_mut(id).request;
        let request = std::mem::replace(lent, StoreRequest::Capabilities);
        self.take_up(id, &request);
        self.wire.flight_mut(id).request = request;
    }

    fn take_up(&mut self, id: FlightId, request: &StoreRequest) {
        let flight = self.wire.flight(id);
        let (mut fate, part) = (flight.fate, flight.place.node as u64);
        // What is refused is refused in all its copies.
        let refuses = self.now < self.wire.overloaded_until && request.writes() && !flight.twice;
        if refuses && fate == Fate::Fine && self.draws.chance(What::Overload, part, 700) {
            fate = Fate::Refused;
        }
        match fate {
            Fate::Refused => {
                reached!(self, "fault: refusal that passes");
                let refused = fate::refusal(&mut self.draws, part, fate, request);
                self.heard_by_successor(part, &refused, request);
                self.come_back(id, Outcome::Refused(refused));
            }
            Fate::Full => {
                reached!(self, "fault: refusal for good");
                let refused = fate::refusal(&mut self.draws, part, fate, request);
                self.heard_by_successor(part, &refused, request);
                self.come_back(id, Outcome::Refused(refused));
            }
            Fate::Stale => {
                let last = request
                    .stream()
                    .map_or(Sequence::NONE, |s| self.store.last(s));
                let up_to = fate::lag(&mut self.draws, part, last);
                let wall = self.store_wall();
                let reply = if request.moves_consumer() {
                    self.store.apply_as_of(wall, up_to, request)
                } else {
                    self.store.answer_as_of(wall, up_to, request)
                };
                if request.writes() {
                    reached!(self, "fault: a former leader answers a write");
                } else {
                    reached!(self, "fault: a replica answers from the past");
                    if request.stream() == Some(&self.snapshots) {
                        reached!(self, "fault: a replica of the snapshots lags");
                    }
                }
                self.tell(Lane::Store, Kind::Does, || {
                    format!(
                        "store answers {id:?} as of {up_to:?}: {}",
                        brief::answer(&reply)
                    )
                });
                if let Outcome::Refused(refused) = &reply {
                    self.heard_by_successor(part, refused, request);
                }
                if reply != Outcome::Unknown {
                    self.told_in_time(id, request, reply);
                }
            }
            Fate::Lost => {}
            Fate::Fine | Fate::LostAnswer | Fate::SlowAnswer | Fate::HeldAnswer => {
                self.execute(Some(id), request);
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
            // At once, or when it has become the leader.
            let wait = self.draws.range(What::Successor, part | 1 << 32, 0, 600);
            let after = Span::from_millis(wait.saturating_sub(300));
            let request = Box::new(request.clone());
            self.at(after, Event::Straggle { request });
        }
    }

    /// Bytes of a write reach the store for which nobody waits any more.
    pub(super) fn straggle(&mut self, request: &StoreRequest) {
        self.execute(None, request);
    }

    fn execute(&mut self, flight: Option<FlightId>, request: &StoreRequest) {
        if request.writes() && self.is_electing() {
            if let Some(flight) = flight
                && self.draws.chance(What::Election, 2, 300)
            {
                self.come_back(flight, Outcome::Refused(Refused::NoResponders));
            }
            return;
        }
        let wall = self.store_wall();
        let proposed = match self.tampered(request) {
            Ok(tampered) => self.store.propose(wall, &tampered),
            Err(reply) => Err(reply),
        };
        match proposed {
            Err(reply) => {
                let reply = self.falsified(request, reply);
                self.tell(Lane::Store, Kind::Does, || {
                    format!("store answers {flight:?}: {}", brief::answer(&reply))
                });
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
                let stream = self
                    .store
                    .proposal_stream(proposal)
                    .expect("a proposal was just made")
                    .to_owned();
                let delay = self.draws.span(
                    What::Consensus,
                    0,
                    Span::from_micros(200),
                    Span::from_millis(3),
                );
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
        let wall = self.store_wall();
        let stream = self.store.proposal_stream(proposal).unwrap_or_default();
        let stirred = self.wire.waits.stirred(stream);
        let reply = self.store.commit(wall, proposal);
        self.look_again(stirred);
        self.tell(Lane::Store, Kind::Does, || {
            format!("store commits {flight:?}: {}", brief::answer(&reply))
        });
        if let Some(flight) = flight {
            self.come_back(flight, reply);
        }
    }

    /// The store answers, or keeps the answer back while a fetch waits.
    fn told_in_time(&mut self, id: FlightId, request: &StoreRequest, reply: StoreReply) {
        match self.wire.waits.keep(self.now, id, request, &reply) {
            Kept::No => self.come_back(id, reply),
            Kept::Begun(wait) => {
                self.at(wait, Event::Reach { flight: id });
            }
            Kept::Still => {}
        }
    }

    /// Something was stored: fetches that wait for it look again.
    fn look_again(&mut self, fetches: Vec<FlightId>) {
        for flight in fetches {
            self.at(Span::ZERO, Event::Reach { flight });
        }
    }

    /// The answer travels back.
    fn come_back(&mut self, id: FlightId, reply: StoreReply) {
        let flight = self.wire.flight(id);
        let (fate, part) = (flight.fate, flight.place.node as u64);
        if self.healed && self.corruption == Some(Corruption::Deaf) {
            return;
        }
        if self.network.apart.is_deaf(flight.place.node) {
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
        let mut travel = self.travel(part);
        if fate == Fate::SlowAnswer {
            reached!(self, "fault: slow answer");
            travel = travel.saturating_mul(100);
        }
        if fate == Fate::HeldAnswer {
            reached!(self, "fault: held answer");
            let timeout = self.plan.limits.store_timeout;
            travel = self.draws.span(What::Late, part | 1 << 32, travel, timeout);
        }
        let travel = travel + self.dying(self.wire.flight(id).place.node);
        let reply = Box::new(reply);
        self.at(travel, Event::Answer { flight: id, reply });
    }

    /// The body of a snapshot may be absent or damaged where it is read.
    fn damaged(&mut self, id: FlightId, reply: StoreReply) -> StoreReply {
        let flight = self.wire.flight(id);
        let (of_bodies, part) = (flight.of_bodies, flight.place.node as u64);
        if !of_bodies || self.healed {
            return reply;
        }
        let faults = self.plan.faults;
        fate::bodies(&mut self.draws, &faults, part, &mut self.probe, reply)
    }

    /// A node hears an answer, or its shell gives up waiting.
    pub(super) fn answer(&mut self, id: FlightId, reply: StoreReply) -> Result<(), Violation> {
        let flight = self.wire.flight_mut(id);
        if !flight.awaited {
            return Ok(());
        }
        flight.awaited = false;
        let (place, op) = (flight.place, flight.op);
        let node = &self.nodes[place.node];
        if node.alive
            && node.life == place.life
            && let Part::Log(shard) = place.part
            && let Some(sequence) = mark::told(&reply)
            && mark::counts(
                node.shards[shard].seat.machine.stream(),
                &self.wire.flight(id).request,
            )
        {
            self.raise_mark(place.node, shard, sequence);
        }
        self.deliver(place, place.part.stored(op, reply))
    }

    /// A node's link is gone: what is in flight is unknown to it, and half of it never arrives.
    pub(super) fn cut_off(&mut self, node: usize) {
        let part = node as u64;
        // What it was to hear is gone; what it had sent is on its way still.
        self.network.clogs.end(node, Way::In);
        self.unclog(node, Way::Out);
        let open: Vec<_> = self
            .wire
            .flights
            .iter()
            .enumerate()
            .filter(|(_, flight)| flight.place.node == node && flight.awaited)
            .map(|(id, _)| FlightId(id))
            .collect();
        for id in open {
            if self.strikes(Fault::LostWithLink, (What::Link, part), 500) {
                self.wire.flight_mut(id).fate = Fate::Lost;
            }
            let wait = self
                .draws
                .span(What::Link, part, Span::ZERO, Span::from_millis(1));
            self.at(wait, Event::GiveUp { flight: id });
        }
    }

    /// The node that asked.
    pub(super) fn asker(&self, id: FlightId) -> usize {
        self.wire.flight(id).place.node
    }

    /// The store restarts: what was on its way to it is gone.
    pub(super) fn drop_flights(&mut self) {
        for flight in &mut self.wire.flights {
            flight.fate = Fate::Lost;
        }
    }

    pub(super) fn travel(&mut self, part: u64) -> Span {
        self.draws.span(
            What::Travel,
            part,
            Span::from_micros(50),
            Span::from_millis(2),
        )
    }
}
