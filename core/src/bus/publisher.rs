//! Stores what is published durably (D1 to D4).

use super::{Effect, Input, Order, Refusal};
use crate::asks::{Asks, Whose};
use crate::id::{OpId, Ticket};
use crate::port::{Expect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest};
use crate::space::{Absent, Next, SpaceError, SpaceWish, StreamTask};
use crate::step::{Cx, Deadline, Effects, HaltReason, Limits, Machine, Outcome, Span, Time};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;

/// For how long after the first attempt another one is begun: half of the time for which the store knows
/// deduplication ids.
pub const AGAIN_MAX: Span = Span::from_secs(60);

/// What the machine asks the store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Job {
    Capabilities,
    Stream,
    Publish(Ticket),
}

/// Where the stream of the bus stands.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Stream {
    /// Not looked at on this connection.
    Unknown,
    Capabilities,
    Task(Box<StreamTask>),
    Ready,
    /// It cannot be used, until the store is connected anew.
    Unusable(SpaceError),
    Halted,
}

/// A publication that is not answered.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Entry {
    order: Order,
    /// When it was sent first.
    sent: Option<Time>,
    /// An attempt may have stored it.
    doubt: bool,
}

/// Stores what is published durably; one for each lane.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Publisher {
    wish: SpaceWish,
    limits: Limits,
    stream: Stream,
    asks: Asks<Job>,
    held: BTreeMap<Ticket, Entry>,
    deadlines: BTreeSet<(Time, Ticket)>,
    /// The stream was there once, so it is not made anew.
    seen: bool,
    /// It had more than one server when it was verified last.
    replicated: bool,
}

impl Publisher {
    /// One that begins when it is told that the store is [`Up`](Input::Up).
    pub fn new(wish: SpaceWish, limits: Limits) -> Self {
        Self {
            wish,
            limits,
            stream: Stream::Unknown,
            asks: Asks::default(),
            held: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            seen: false,
            replicated: false,
        }
    }

    /// How many publications are not answered.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn up(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        self.asks.abandon(Job::Capabilities);
        self.asks.abandon(Job::Stream);
        self.stream = Stream::Capabilities;
        self.ask(cx, Job::Capabilities, out);
    }

    fn order(&mut self, cx: &mut Cx<'_>, order: Order, out: &mut Effects<Effect>) {
        let ticket = order.ticket;
        let held = self.held.len();
        let refusal = match &self.stream {
            Stream::Halted => return,
            Stream::Unusable(error) => Some(Refusal::Space(error.clone())),
            Stream::Unknown | Stream::Capabilities | Stream::Task(_) | Stream::Ready => {
                let full = held >= self.limits.publications_max;
                let late = (order.deadline <= cx.now).then_some(Refusal::Deadline);
                full.then_some(Refusal::Overloaded { held }).or(late)
            }
        };
        if let Some(refusal) = refusal {
            let answer = Err(refusal);
            return out.push(Effect::Answer { ticket, answer });
        }
        self.deadlines.insert((order.deadline, ticket));
        let entry = Entry {
            order,
            sent: None,
            doubt: false,
        };
        self.held.insert(ticket, entry);
        if matches!(self.stream, Stream::Ready) {
            self.ask(cx, Job::Publish(ticket), out);
        }
    }

    fn ask(&mut self, cx: &Cx<'_>, job: Job, out: &mut Effects<Effect>) {
        if let Job::Publish(ticket) = job
            && let Some(entry) = self.held.get(&ticket)
            && entry.doubt
            && entry.sent.is_some_and(|at| cx.now.since(at) >= AGAIN_MAX)
        {
            return self.answer(ticket, Err(Refusal::Unknown), out);
        }
        if let Some(request) = self.request(cx, job) {
            let op = self.asks.begin(job);
            out.push(Effect::Store { op, request });
        }
    }

    /// What is asked for a job now; `None` when there is nothing to ask any more, or yet.
    fn request(&mut self, cx: &Cx<'_>, job: Job) -> Option<StoreRequest> {
        match (job, &self.stream) {
            (Job::Capabilities, Stream::Capabilities) => Some(StoreRequest::Capabilities),
            (Job::Stream, Stream::Task(task)) => Some(task.request()),
            (Job::Publish(ticket), Stream::Ready) => {
                let entry = self.held.get_mut(&ticket)?;
                entry.sent.get_or_insert(cx.now);
                let (ns, order) = (&self.wish.namespace, &entry.order);
                Some(StoreRequest::Publish(Publish {
                    stream: ns.bus_stream(),
                    subject: ns.bus_subject(&order.topic),
                    expect: Expect::Nothing,
                    rollup: Rollup::No,
                    dedup: Some(order.id.to_string()),
                    ttl_s: Some(order.keep_s),
                    payload: order.payload.clone(),
                }))
            }
            (Job::Capabilities | Job::Stream | Job::Publish(_), _) => None,
        }
    }

    fn stored(&mut self, cx: &mut Cx<'_>, op: OpId, reply: StoreReply, out: &mut Effects<Effect>) {
        let job = match self.asks.end(op) {
            None => return self.halt(HaltReason::UnknownOp(op), out),
            Some(Whose::Nobody) => return,
            Some(Whose::Job(job)) => job,
        };
        let fits = match job {
            Job::Capabilities => self.told(cx, reply, out),
            Job::Stream => self.verified(cx, reply, out),
            Job::Publish(ticket) => self.published(cx, ticket, reply, out),
        };
        if !fits {
            self.halt(HaltReason::WrongAnswer(op), out);
        }
    }

    fn told(&mut self, cx: &mut Cx<'_>, reply: StoreReply, out: &mut Effects<Effect>) -> bool {
        match reply {
            Outcome::Done(StoreDone::Capabilities(capabilities)) => {
                let absent = match (self.seen, self.wish.create) {
                    (true, _) => Absent::Lost,
                    (false, true) => Absent::Create,
                    (false, false) => Absent::Missing,
                };
                let task = StreamTask::bus(&self.wish, &capabilities, absent);
                self.stream = Stream::Task(Box::new(task));
                self.asks.done(Job::Capabilities);
                self.ask(cx, Job::Stream, out);
            }
            Outcome::Done(_) => return false,
            Outcome::Refused(_) | Outcome::Unknown => {
                crate::reached!(cx, "bus: the server does not say what it is");
                self.asks.wait(cx, &self.limits, Job::Capabilities);
            }
        }
        true
    }

    fn verified(&mut self, cx: &mut Cx<'_>, reply: StoreReply, out: &mut Effects<Effect>) -> bool {
        let Stream::Task(task) = &mut self.stream else {
            return false;
        };
        match task.answered(reply) {
            Next::Ask => self.ask(cx, Job::Stream, out),
            Next::Wait(_) => self.asks.wait(cx, &self.limits, Job::Stream),
            Next::Done(()) => {
                self.replicated = task.ready().is_some_and(|replicas| replicas > 1);
                self.asks.done(Job::Stream);
                self.stream = Stream::Ready;
                self.seen = true;
                let all: Vec<Ticket> = self.held.keys().copied().collect();
                for ticket in all {
                    if !self.asks.busy(Job::Publish(ticket)) {
                        self.ask(cx, Job::Publish(ticket), out);
                    }
                }
            }
            Next::Fail(error) => self.fail(error, out),
            Next::Wrong => return false,
        }
        true
    }

    /// Nothing can be stored until the store is connected anew.
    fn fail(&mut self, error: SpaceError, out: &mut Effects<Effect>) {
        self.asks.abandon(Job::Capabilities);
        self.asks.abandon(Job::Stream);
        for (ticket, entry) in core::mem::take(&mut self.held) {
            // What is on its way may be stored still.
            let flying = entry.sent.is_some() && self.asks.flies(Job::Publish(ticket));
            self.asks.abandon(Job::Publish(ticket));
            let answer = Err(match entry.doubt || flying {
                true => Refusal::Unknown,
                false => Refusal::Space(error.clone()),
            });
            out.push(Effect::Answer { ticket, answer });
        }
        self.deadlines.clear();
        self.stream = Stream::Unusable(error);
    }

    fn published(
        &mut self,
        cx: &mut Cx<'_>,
        ticket: Ticket,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> bool {
        let again = match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                if ack.duplicate {
                    crate::reached!(cx, "bus: a publication was stored by an earlier attempt");
                }
                self.answer(ticket, Ok(ack.sequence), out);
                false
            }
            Outcome::Done(_) => return false,
            Outcome::Refused(refused) => {
                let entry = self.held.get_mut(&ticket);
                // Who leads the stream by now may have stored it all the same.
                let doubt = entry.is_some_and(|entry| {
                    entry.doubt |= !refused.settles(self.replicated);
                    entry.doubt
                });
                // The store may make room, or be there again.
                let again = refused.passes() || may_pass(&refused);
                match again {
                    true => crate::reached!(cx, "bus: a publication was refused for now"),
                    false => crate::reached!(cx, "bus: a publication was refused for good"),
                };
                if !again {
                    // What an earlier attempt stored is refused by no later one, but answered as a duplicate.
                    let refusal = match doubt {
                        true => Refusal::Unknown,
                        false => Refusal::Store(refused),
                    };
                    self.answer(ticket, Err(refusal), out);
                }
                again
            }
            Outcome::Unknown => {
                crate::reached!(cx, "bus: a publication's outcome is unknown");
                if let Some(entry) = self.held.get_mut(&ticket) {
                    entry.doubt = true;
                }
                true
            }
        };
        if again && self.held.contains_key(&ticket) {
            self.asks.wait(cx, &self.limits, Job::Publish(ticket));
        }
        true
    }

    fn tick(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        while let Some((at, ticket)) = self.deadlines.first().copied()
            && at <= cx.now
        {
            let Some(entry) = self.held.get(&ticket) else {
                self.deadlines.pop_first();
                continue;
            };
            // What is on its way may be stored still.
            let flying = entry.sent.is_some() && self.asks.flies(Job::Publish(ticket));
            let refusal = match entry.doubt || flying {
                true => Refusal::Unknown,
                false => Refusal::Deadline,
            };
            self.answer(ticket, Err(refusal), out);
        }
        for job in self.asks.due(cx.now) {
            self.ask(cx, job, out);
        }
    }

    /// A publication is over (D1).
    fn answer(
        &mut self,
        ticket: Ticket,
        answer: Result<crate::id::Sequence, Refusal>,
        out: &mut Effects<Effect>,
    ) {
        self.asks.abandon(Job::Publish(ticket));
        if let Some(entry) = self.held.remove(&ticket) {
            self.deadlines.remove(&(entry.order.deadline, ticket));
            out.push(Effect::Answer { ticket, answer });
        }
    }

    fn halt(&mut self, reason: HaltReason, out: &mut Effects<Effect>) {
        self.stream = Stream::Halted;
        out.push(Effect::Halt(reason));
    }
}

/// Whether a refusal that says that nothing was stored may have gone after a while.
fn may_pass(refused: &Refused) -> bool {
    matches!(refused, Refused::NoSpace | Refused::NoJetStream)
}

impl Machine for Publisher {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, cx: &mut Cx<'_>, input: Input, out: &mut Effects<Effect>) {
        if matches!(self.stream, Stream::Halted) {
            return;
        }
        match input {
            Input::Tick => self.tick(cx, out),
            Input::Up => self.up(cx, out),
            Input::Unusable(error) => self.fail(error, out),
            Input::Stored { op, reply } => self.stored(cx, op, reply, out),
            Input::Publish(order) => self.order(cx, order, out),
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        if matches!(self.stream, Stream::Halted) {
            return None;
        }
        let named = |at: Option<Time>, timer| at.map(|at| Deadline { at, timer });
        let first = self.deadlines.first().map(|(at, _)| *at);
        [
            named(self.asks.next(), "retry"),
            named(first, "publication"),
        ]
        .into_iter()
        .fold(None, Deadline::earliest)
    }
}
