//! Requests of other lanes: each begun at most once, answered once, and fair between askers (R6).

use super::router::{Router, SLOTS};
use super::timers::Timers;
use super::window::{SLOT_BITS, Window};
use super::{Address, Declined, Effect, Target};
use crate::id::{Incarnation, OpId, Ticket};
use crate::rising::Rising;
use crate::step::{Cx, Effects, Span, Time};
use crate::{reached, sometimes};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use slab::Slab;

/// What is served.
#[derive(Clone, Debug, Default)]
pub(super) struct Serves {
    running: Slab<Serve>,
    callers: Slab<Caller>,
    /// The slot of each caller.
    known: BTreeMap<Address, usize>,
    /// Who asked last: the requests of a frame are of one lane.
    latest: Option<(Address, usize)>,
    deadlines: Timers,
    /// How many there were: the upper bits of the next ticket.
    tickets: u64,
}

#[derive(Clone, Copy, Debug)]
struct Serve {
    ticket: Ticket,
    from: Address,
    /// Its slot.
    caller: usize,
    op: OpId,
    target: Target,
}

/// How long the lanes of a node that is gone are kept in mind after they asked last: longer than any
/// network holds a frame back.
const GONE_KEPT: Span = Span::from_secs(60);

/// A lane that asks.
#[derive(Clone, Debug)]
struct Caller {
    came: Window,
    /// Its requests that run, by operation.
    running: Rising,
    /// When it asked last.
    last: Time,
}

impl Router {
    pub(super) fn request(
        &mut self,
        (from, op): (Address, OpId),
        target: Target,
        ttl: Span,
        cx: &mut Cx<'_>,
        out: &mut Effects<Effect>,
    ) {
        let serves_max = self.limits.serves_max.min(SLOTS);
        let callers_max = self.limits.callers_max;
        let owner = match target {
            Target::Place(_) => self.owner_of(target),
            Target::Node(_) => None,
        };
        let me = self.config.incarnation;
        let here = match target {
            // What comes to the wrong lane was sent by who takes this node for another one.
            Target::Place(place) => {
                let lane = place.shard.0 % self.config.lanes.max(1);
                lane == self.config.lane && owner.is_some_and(|row| row.owner == me)
            }
            Target::Node(node) => node == me,
        };
        let serves = &mut self.serves;
        let running = serves.running.len();
        let at = serves.caller(from, callers_max, cx.now);
        let caller = &mut serves.callers[at];
        if !caller.came.first(op) {
            reached!(cx, "a request came twice");
            return;
        }
        let decline = |why| Effect::Decline { to: from, op, why };
        if !here {
            let owner = owner.filter(|row| row.owner != me);
            let to = from;
            return out.push(Effect::NotOwner { to, op, owner });
        }
        if ttl == Span::ZERO {
            return out.push(decline(Declined::Expired));
        }
        // An asker has at most half of what the others leave, so there is always room for another.
        if caller.running.len() >= serves_max.saturating_sub(running) {
            sometimes!(cx, true, "an asker has too many requests running");
            return out.push(decline(Declined::Overloaded));
        }
        let deadline = cx.now + ttl;
        let entry = serves.running.vacant_entry();
        let slot = entry.key() as u32;
        serves.tickets += 1;
        let ticket = Ticket(serves.tickets << SLOT_BITS | u64::from(slot));
        entry.insert(Serve {
            ticket,
            from,
            caller: at,
            op,
            target,
        });
        caller.running.insert(op.0, slot);
        serves.deadlines.set(slot, deadline);
        out.push(Effect::Serve {
            ticket,
            from,
            op,
            target,
            deadline,
        });
    }

    /// What was begun for another lane was refused, because this node does not own it.
    pub(super) fn not_served(&mut self, ticket: Ticket, out: &mut Effects<Effect>) {
        let Some(Serve {
            from, op, target, ..
        }) = self.serves.take(ticket)
        else {
            return;
        };
        let me = self.config.incarnation;
        let owner = match target {
            Target::Place(_) => self.owner_of(target),
            Target::Node(_) => None,
        };
        let owner = owner.filter(|row| row.owner != me);
        let to = from;
        out.push(Effect::NotOwner { to, op, owner });
    }
}

impl Serves {
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// The slot of a lane that asks, which is known from now on.
    fn caller(&mut self, from: Address, callers_max: usize, now: Time) -> usize {
        let latest = self.latest.filter(|(latest, _)| *latest == from);
        let at = latest.map(|(_, at)| at);
        let at = at.or_else(|| self.known.get(&from).copied());
        let at = at.unwrap_or_else(|| self.add_caller(from, callers_max, now));
        self.latest = Some((from, at));
        self.callers[at].last = now;
        at
    }

    /// A lane asks for the first time. Without room for another one the idle one goes that asked longest
    /// ago.
    fn add_caller(&mut self, from: Address, callers_max: usize, now: Time) -> usize {
        if self.callers.len() >= callers_max {
            let known = self.known.iter().map(|(from, at)| (*from, *at));
            let idle = known.filter(|(_, at)| self.callers[*at].running.len() == 0);
            if let Some((oldest, at)) = idle.min_by_key(|(_, at)| self.callers[*at].last) {
                self.known.remove(&oldest);
                self.callers.remove(at);
            }
        }
        let at = self.callers.insert(Caller {
            came: Window::new(),
            running: Rising::default(),
            last: now,
        });
        self.known.insert(from, at);
        at
    }

    /// Takes out what is served under a ticket, if it still is.
    fn take(&mut self, ticket: Ticket) -> Option<Serve> {
        let slot = (ticket.0 & ((1 << SLOT_BITS) - 1)) as u32;
        let serve = *self.running.get(slot as usize)?;
        if serve.ticket != ticket {
            return None;
        }
        self.running.remove(slot as usize);
        self.deadlines.clear(slot);
        self.callers[serve.caller].running.remove(serve.op.0);
        Some(serve)
    }

    pub(super) fn served(&mut self, ticket: Ticket, out: &mut Effects<Effect>) {
        if let Some(Serve { from, op, .. }) = self.take(ticket) {
            let to = from;
            out.push(Effect::Answer { ticket, to, op });
        }
    }

    /// A caller elsewhere gave up. A request that comes after its withdrawal is not begun.
    pub(super) fn withdrawn(
        &mut self,
        (from, op): (Address, OpId),
        callers_max: usize,
        now: Time,
        out: &mut Effects<Effect>,
    ) {
        let at = self.caller(from, callers_max, now);
        let caller = &mut self.callers[at];
        caller.came.first(op);
        let running = caller.running.find(op.0);
        let serve = running.and_then(|slot| self.running.get(slot as usize));
        if let Some(ticket) = serve.map(|serve| serve.ticket) {
            self.take(ticket);
            out.push(Effect::Unserve { ticket });
        }
    }

    /// Nobody waits for any answer any more.
    pub(super) fn end_all(&mut self, out: &mut Effects<Effect>) {
        let tickets: Vec<Ticket> = self.running.iter().map(|(_, serve)| serve.ticket).collect();
        for ticket in tickets {
            self.take(ticket);
            out.push(Effect::Unserve { ticket });
        }
    }

    pub(super) fn expire(&mut self, now: Time, out: &mut Effects<Effect>) {
        while let Some(slot) = self.deadlines.pop(now) {
            let serve = self.running.get(slot as usize);
            if let Some(ticket) = serve.map(|serve| serve.ticket) {
                self.take(ticket);
                out.push(Effect::Unserve { ticket });
            }
        }
    }

    /// When the first deadline will have passed.
    pub(super) fn next(&self) -> Option<Time> {
        self.deadlines.next()
    }

    /// Of the nodes that are not in the view only those are kept in mind that asked lately: what they
    /// asked for may still come a second time (R6).
    pub(super) fn forget(&mut self, is_there: impl Fn(Incarnation) -> bool, now: Time) {
        let callers = &mut self.callers;
        self.known.retain(|from, at| {
            let caller = &callers[*at];
            let kept = is_there(from.incarnation)
                || caller.running.len() > 0
                || now.since(caller.last) < GONE_KEPT;
            if !kept {
                callers.remove(*at);
            }
            kept
        });
        self.latest = None;
    }
}
