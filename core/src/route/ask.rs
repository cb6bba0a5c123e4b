//! Requests of callers here: taken in, forwarded, and ended.

use super::router::{Ask, Router, SLOTS, State, refusal};
use super::window::SLOT_BITS;
use super::{Address, Asked, Effect, Lost, Refusal, Repeat, Returned, Target};
use crate::id::{Incarnation, OpId, Ticket};
use crate::port::SendRefused;
use crate::step::{Cx, Effects};
use crate::{reached, sometimes};

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It runs on this node.
    Here,
    /// To a node that is in the view.
    Node(Incarnation),
    /// Nobody is known who would take it.
    Nobody,
    /// Nowhere.
    Never(Refusal),
}

impl Router {
    pub(super) fn ask(&mut self, asked: Asked, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let Asked { ticket, target, .. } = asked;
        let refuse = |refusal, out: &mut Effects<Effect>| {
            out.push(Effect::Refused { ticket, refusal });
        };
        if asked.deadline <= cx.now {
            return refuse(Refusal::Deadline, out);
        }
        if self.tickets.find(ticket.0).is_some() {
            return self.halt("R1: a ticket is of one request", out);
        }
        let way = self.ways.of(target);
        let waits = way.is_parked(cx.now) || way.is_probed() || way.is_behind(asked.key);
        if way.queue.is_empty() && !waits {
            let (to, alone) = (way.to, way.sent.is_empty());
            match self.destination(target) {
                Way::Here if alone || to == Some(self.config.incarnation) => {
                    return out.push(Effect::Here {
                        ticket,
                        doubt: None,
                    });
                }
                Way::Node(node) if alone || to == Some(node) => {
                    let in_flight_max = self.limits.forwards_in_flight_max;
                    let peer = self.nodes.of(node).filter(|_| self.up);
                    let peer = peer.filter(|peer| !peer.is_quiet(cx.now));
                    if let Some(peer) = peer {
                        if peer.in_flight >= in_flight_max || self.is_full() {
                            sometimes!(cx, true, "a node has too many requests on their way");
                            return refuse(Refusal::Overloaded, out);
                        }
                        let slot = self.take_in(asked, cx);
                        return self.forward(slot, node, cx, out);
                    }
                }
                Way::Never(refusal) => return refuse(refusal, out),
                Way::Here | Way::Node(_) | Way::Nobody => {}
            }
        }
        self.wait(asked, cx, out);
    }

    /// What was begun here was refused, because this node does not own it.
    pub(super) fn not_here(&mut self, asked: Asked, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let (me, delays) = (self.config.incarnation, self.delays());
        let known = self.owner_of(asked.target);
        let way = self.ways.of_mut(asked.target);
        way.denied(me, None, cx.now, delays, known);
        if self.tickets.find(asked.ticket.0).is_some() {
            return self.halt("R1: a ticket is of one request", out);
        }
        reached!(cx, "what was begun here went elsewhere");
        self.wait(asked, cx, out);
        // It may be before others that wait for the same.
        self.flush(asked.target, cx, out);
    }

    fn take_in(&mut self, asked: Asked, cx: &mut Cx<'_>) -> u32 {
        let Asked {
            ticket,
            target,
            key,
            deadline,
            repeat,
            answered,
            doubt,
        } = asked;
        let slot = self.asks.insert(Ask {
            ticket,
            target,
            key,
            deadline,
            repeat,
            answered,
            since: cx.now,
            doubt,
            turn: 0,
            state: State::Waiting,
        }) as u32;
        self.tickets.insert(ticket.0, slot);
        self.deadlines.set(slot, deadline);
        slot
    }

    fn wait(&mut self, asked: Asked, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if self.waiting >= self.limits.forwards_waiting_max || self.is_full() {
            sometimes!(cx, true, "too many requests wait for an owner");
            let ticket = asked.ticket;
            let refusal = asked.doubt.map_or(Refusal::Overloaded, Refusal::Unknown);
            return out.push(Effect::Refused { ticket, refusal });
        }
        let slot = self.take_in(asked, cx);
        let alone = self.enqueue(slot, asked.target);
        if alone {
            self.flush(asked.target, cx, out);
        }
    }

    /// Whether there are as many requests as may wait and be on their way to all nodes: what comes back
    /// waits beside what was let in to wait (R7).
    fn is_full(&self) -> bool {
        let in_flight_max = self.limits.forwards_in_flight_max;
        let all = in_flight_max.saturating_mul(self.nodes.len());
        let all = all.saturating_add(self.limits.forwards_waiting_max);
        self.asks.len() >= all.min(SLOTS - 1)
    }

    /// Puts a request where it waits for its way; whether no other was there.
    pub(super) fn enqueue(&mut self, slot: u32, target: Target) -> bool {
        let ask = &mut self.asks[slot as usize];
        ask.state = State::Waiting;
        let queue = &mut self.ways.of_mut(target).queue;
        let alone = queue.is_empty();
        queue.insert(ask.ticket, slot);
        self.waiting += 1;
        self.held.insert(target);
        alone
    }

    /// Sends a request that is in no queue.
    pub(super) fn forward(
        &mut self,
        slot: u32,
        node: Incarnation,
        cx: &mut Cx<'_>,
        out: &mut Effects<Effect>,
    ) {
        self.operations += 1;
        let op = OpId(self.operations << SLOT_BITS | u64::from(slot));
        let ask = &mut self.asks[slot as usize];
        ask.state = State::Sent { op, to: node };
        let way = self.ways.of_mut(ask.target);
        way.to = Some(node);
        way.probe = way.doubted.then_some(slot);
        ask.turn = way.turn;
        self.sent.push(&mut way.sent, slot);
        if let Some(peer) = self.nodes.of_mut(node) {
            peer.in_flight += 1;
        }
        let (ticket, target, ttl) = (ask.ticket, ask.target, ask.deadline.since(cx.now));
        let to = self.address(target, node);
        out.push(Effect::Forward {
            ticket,
            op,
            to,
            ttl,
        });
    }

    /// A request is no longer on its way; it is in no queue either. Whether others may go now that
    /// waited for it.
    pub(super) fn back(&mut self, slot: u32) -> bool {
        let ask = &mut self.asks[slot as usize];
        let State::Sent { to, .. } = ask.state else {
            return false;
        };
        ask.state = State::Waiting;
        let way = self.ways.of_mut(ask.target);
        self.sent.remove(&mut way.sent, slot);
        let probed = way.probe.take_if(|probe| *probe == slot).is_some();
        let in_flight_max = self.limits.forwards_in_flight_max;
        if let Some(peer) = self.nodes.of_mut(to) {
            peer.in_flight -= 1;
            // Not for each answer: what waits is looked at anew.
            if peer.wanted && peer.in_flight <= in_flight_max - in_flight_max / 4 {
                peer.wanted = false;
                self.room = true;
            }
        }
        let others = ask.turn != way.turn && way.one_less(ask.key);
        others || (probed && !way.queue.is_empty())
    }

    /// Forgets a request that is neither on its way nor in a queue.
    fn forget(&mut self, slot: u32) -> Ask {
        self.deadlines.clear(slot);
        let ask = self.asks.remove(slot as usize);
        self.tickets.remove(ask.ticket.0);
        self.ways.forget(ask.target);
        ask
    }

    /// Takes a request from wherever it is and forgets it. Whether others may go that waited for it.
    pub(super) fn end(&mut self, slot: u32) -> bool {
        let ask = self.asks[slot as usize];
        let way = self.ways.of_mut(ask.target);
        let mut others = false;
        match ask.state {
            State::Waiting => {
                if way.queue.remove(&ask.ticket).is_none()
                    && let Some(behind) = &mut way.behind
                {
                    behind.held.remove(&(ask.key, ask.ticket));
                }
                self.waiting -= 1;
            }
            State::Sent { .. } => others = self.back(slot),
        }
        if !self.ways.of(ask.target).has_waiting() {
            self.held.remove(&ask.target);
        }
        self.forget(slot);
        others
    }

    /// A request ends without an answer.
    pub(super) fn refuse(
        &mut self,
        slot: u32,
        why: Refusal,
        cx: &mut Cx<'_>,
        out: &mut Effects<Effect>,
    ) {
        let ask = self.asks[slot as usize];
        let others = self.end(slot);
        out.push(Effect::Refused {
            ticket: ask.ticket,
            refusal: refusal(&ask, why),
        });
        if others {
            self.flush(ask.target, cx, out);
        }
    }

    /// A request's deadline has passed.
    pub(super) fn expire(&mut self, slot: u32, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let ask = self.asks[slot as usize];
        let why = match (ask.state, ask.repeat) {
            (State::Sent { .. }, Repeat::Never | Repeat::ById) => Refusal::Unknown(Lost::Deadline),
            (State::Sent { .. }, Repeat::Reads) | (State::Waiting, _) => Refusal::Deadline,
        };
        self.refuse(slot, why, cx, out);
    }

    pub(super) fn cancel(&mut self, ticket: Ticket, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let Some(slot) = self.tickets.find(ticket.0) else {
            return;
        };
        let ask = self.asks[slot as usize];
        if let State::Sent { op, to } = ask.state
            && ask.answered
        {
            let to = self.address(ask.target, to);
            out.push(Effect::Withdraw { to, op });
        }
        if self.end(slot) {
            self.flush(ask.target, cx, out);
        }
    }

    pub(super) fn returned(
        &mut self,
        op: OpId,
        returned: Returned,
        cx: &mut Cx<'_>,
        out: &mut Effects<Effect>,
    ) {
        let Some((slot, ask)) = self.sent_as(op) else {
            reached!(cx, "an answer came too late");
            return;
        };
        let State::Sent { to, .. } = ask.state else {
            return;
        };
        let mut others = false;
        if let Some(peer) = self.nodes.of_mut(to)
            && peer.answered()
        {
            out.push(Effect::Alive { of: to });
            self.room = true;
        }
        match returned {
            Returned::Answer => {
                let way = self.ways.of_mut(ask.target);
                if ask.turn == way.turn {
                    others |= way.doubted;
                    way.forget_denials();
                }
                others |= self.end(slot);
                let Ask { ticket, doubt, .. } = ask;
                out.push(Effect::Told { ticket, op, doubt });
            }
            Returned::NotOwner(named) => {
                reached!(cx, "a request was redirected");
                let (delays, known) = (self.delays(), self.owner_of(ask.target));
                let way = self.ways.of_mut(ask.target);
                way.denied(to, named, cx.now, delays, known);
                self.again(slot, None, cx);
                others = true;
            }
        }
        if others {
            self.flush(ask.target, cx, out);
        }
    }

    /// A request that was on its way waits again; it may have run if its answer was lost.
    pub(super) fn again(&mut self, slot: u32, lost: Option<Lost>, cx: &mut Cx<'_>) {
        self.back(slot);
        let ask = &mut self.asks[slot as usize];
        ask.since = cx.now;
        match ask.repeat {
            Repeat::Never | Repeat::ById => ask.doubt = ask.doubt.or(lost),
            Repeat::Reads => {}
        }
        let target = ask.target;
        self.enqueue(slot, target);
    }

    pub(super) fn no_responders(&mut self, op: OpId, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let Some((slot, ask)) = self.sent_as(op) else {
            return;
        };
        let State::Sent { to, .. } = ask.state else {
            return;
        };
        let delays = self.delays();
        if let Some(peer) = self.nodes.of_mut(to) {
            peer.fell_silent();
            if peer.leave_alone(cx.now, delays) {
                out.push(Effect::Hint { of: to });
            }
        }
        self.again(slot, None, cx);
        self.flush(ask.target, cx, out);
    }

    pub(super) fn not_sent(
        &mut self,
        op: OpId,
        refused: SendRefused,
        cx: &mut Cx<'_>,
        out: &mut Effects<Effect>,
    ) {
        let Some((slot, ask)) = self.sent_as(op) else {
            return;
        };
        let State::Sent { to, .. } = ask.state else {
            return;
        };
        match refused {
            SendRefused::NotConnected | SendRefused::Full => {
                let delays = self.delays();
                if let Some(peer) = self.nodes.of_mut(to) {
                    peer.leave_alone(cx.now, delays);
                }
                self.again(slot, None, cx);
                self.flush(ask.target, cx, out);
            }
            SendRefused::TooLarge { bytes, bytes_max } => {
                self.refuse(slot, Refusal::TooLarge { bytes, bytes_max }, cx, out);
            }
        }
    }

    /// The lane of a node that listens for a target.
    fn address(&self, target: Target, incarnation: Incarnation) -> Address {
        let lanes = self.nodes.of(incarnation).map_or(1, |node| node.lanes);
        let lane = match target {
            Target::Place(place) => place.shard.0 % lanes,
            Target::Node(_) => 0,
        };
        Address { incarnation, lane }
    }
}
