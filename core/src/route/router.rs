//! The machine itself: what it holds, its step, and its timers.

use super::list::Links;
use super::nodes::Nodes;
use super::serve::Serves;
use super::timers::Timers;
use super::way::Ways;
use super::window::SLOT_BITS;
use super::{Effect, Input, Lost, Refusal, Repeat, Target};
use crate::id::{Incarnation, OpId, Ticket};
use crate::rising::Rising;
use crate::step::{Cx, Deadline, Effects, HaltReason, Limits, Machine, Span, Time};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use slab::Slab;

/// What a lane's routing is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct RouterConfig {
    /// This run of the node.
    pub incarnation: Incarnation,
    /// The lane.
    pub lane: u16,
    /// How many lanes the node has, as it says of itself.
    pub lanes: u16,
}

/// How much a lane's routing has under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterCounts {
    /// Requests of callers here that are on their way to another node.
    pub in_flight: usize,
    /// Requests of callers here that wait for an owner, a link or their turn.
    pub waiting: usize,
    /// Requests of other lanes that run here.
    pub serving: usize,
}

/// The routing of one lane. See the [module](super) for its invariants.
#[derive(Clone, Debug)]
pub struct Router {
    pub(super) config: RouterConfig,
    pub(super) limits: Limits,
    pub(super) up: bool,
    pub(super) table_revision: Option<u64>,
    pub(super) nodes: Nodes,
    pub(super) ways: Ways,
    /// The targets for which something waits.
    pub(super) held: BTreeSet<Target>,
    pub(super) asks: Slab<Ask>,
    pub(super) tickets: Rising,
    pub(super) sent: Links,
    pub(super) deadlines: Timers,
    pub(super) alarms: BTreeSet<(Time, Target)>,
    pub(super) waiting: usize,
    /// How many operations there were: the upper bits of the next one.
    pub(super) operations: u64,
    /// A node has room again for which somebody waits.
    pub(super) room: bool,
    pub(super) serves: Serves,
    pub(super) halted: bool,
}

/// A caller's request that is on its way or waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) ticket: Ticket,
    pub(super) target: Target,
    pub(super) key: u64,
    pub(super) deadline: Time,
    pub(super) repeat: Repeat,
    pub(super) answered: bool,
    /// Since when it waits.
    pub(super) since: Time,
    /// How an answer of an earlier attempt was lost, after which it may have run.
    pub(super) doubt: Option<Lost>,
    /// The turn of its way in which it was sent.
    pub(super) turn: u32,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// In its way's queue, or there behind a request of its key.
    Waiting,
    /// On its way.
    Sent { op: OpId, to: Incarnation },
}

/// The most asks that an operation's lower bits can name.
pub(super) const SLOTS: usize = 1 << SLOT_BITS;

impl Router {
    /// Routing that knows neither table nor view, and has no link.
    pub fn new(config: RouterConfig, limits: Limits) -> Self {
        Self {
            config,
            limits,
            up: false,
            table_revision: None,
            nodes: Nodes::default(),
            ways: Ways::default(),
            held: BTreeSet::new(),
            asks: Slab::new(),
            tickets: Rising::default(),
            sent: Links::default(),
            deadlines: Timers::default(),
            alarms: BTreeSet::new(),
            waiting: 0,
            operations: 0,
            room: false,
            serves: Serves::default(),
            halted: false,
        }
    }

    /// What routing like this is made of.
    pub fn born(&self) -> (RouterConfig, Limits) {
        (self.config, self.limits)
    }

    /// How much is under way.
    pub fn counts(&self) -> RouterCounts {
        RouterCounts {
            in_flight: self.asks.len() - self.waiting,
            waiting: self.waiting,
            serving: self.serves.len(),
        }
    }

    /// Whether requests that are to go out, `held` of them, may have company: others are on their way, so
    /// callers are being answered and ask again. Those may be let run first, so that one frame takes what
    /// they ask (S21). What is asked while nothing is on its way is alone, and goes at once.
    pub fn has_company(&self, held: usize) -> bool {
        self.counts().in_flight > held
    }

    /// The shortest and the longest wait before a request is sent again.
    pub(super) fn delays(&self) -> (Span, Span) {
        (self.limits.retry_delay_min, self.limits.redirect_delay_max)
    }

    /// The ask of an operation, if it is its latest attempt (R5).
    pub(super) fn sent_as(&self, op: OpId) -> Option<(u32, Ask)> {
        let slot = (op.0 & (SLOTS as u64 - 1)) as u32;
        let ask = self.asks.get(slot as usize)?;
        match ask.state {
            State::Sent { op: latest, .. } if latest == op => Some((slot, *ask)),
            State::Sent { .. } | State::Waiting => None,
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        while let Some(slot) = self.deadlines.pop(cx.now) {
            self.expire(slot, cx, out);
        }
        self.serves.expire(cx.now, out);
        while let Some((at, target)) = self.alarms.first().copied()
            && at <= cx.now
        {
            self.alarms.pop_first();
            self.ways.of_mut(target).alarm = None;
            self.alarm(target, cx, out);
        }
        if self.nodes.wake(cx.now) {
            self.flush_all(cx, out);
        }
    }

    /// What waits goes out as far as it may, for all targets.
    pub(super) fn flush_all(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let held: Vec<Target> = self.held.iter().copied().collect();
        for target in held {
            self.flush(target, cx, out);
        }
    }

    pub(super) fn halt(&mut self, broken: &'static str, out: &mut Effects<Effect>) {
        self.halted = true;
        out.push(Effect::Halt(HaltReason::Broken(broken)));
    }
}

impl Machine for Router {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, cx: &mut Cx<'_>, input: Input, out: &mut Effects<Effect>) {
        if self.halted {
            return;
        }
        match input {
            Input::Tick => self.tick(cx, out),
            Input::Up => {
                self.up = true;
                self.flush_all(cx, out);
            }
            Input::Down => self.down(cx, out),
            Input::Table(table) => self.table(&table, cx, out),
            Input::View(view) => self.view(&view, cx, out),
            Input::Run(run) => self.become_run(run, cx, out),
            Input::Ask(asked) => self.ask(asked, cx, out),
            Input::Cancel(ticket) => self.cancel(ticket, cx, out),
            Input::NotHere(asked) => self.not_here(asked, cx, out),
            Input::Returned { op, returned } => self.returned(op, returned, cx, out),
            Input::NoResponders(op) => self.no_responders(op, cx, out),
            Input::NotSent { op, refused } => self.not_sent(op, refused, cx, out),
            Input::Request {
                from,
                op,
                target,
                ttl,
            } => self.request((from, op), target, ttl, cx, out),
            Input::Withdrawn { from, op } => {
                let callers_max = self.limits.callers_max;
                self.serves.withdrawn((from, op), callers_max, cx.now, out);
            }
            Input::Served(ticket) => self.serves.served(ticket, out),
            Input::NotServed(ticket) => self.not_served(ticket, out),
        }
        if core::mem::take(&mut self.room) {
            self.flush_all(cx, out);
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let at = |at: Option<Time>, timer| at.map(|at| Deadline { at, timer });
        let deadlines = [
            at(self.deadlines.next(), "a request's deadline"),
            at(self.serves.next(), "a served request's deadline"),
            at(self.alarms.first().map(|(at, _)| *at), "a target's wait"),
            at(self.nodes.next(), "a node's wait"),
        ];
        deadlines.into_iter().flatten().min()
    }
}

/// What its caller is told when a request ends without an answer (R3): that nothing happened, unless
/// an earlier attempt may have run.
pub(super) fn refusal(ask: &Ask, refusal: Refusal) -> Refusal {
    ask.doubt.map_or(refusal, Refusal::Unknown)
}
