//! The machine: where a consumer stands, and what it asks for next.

use super::checkpoint::Record;
use super::feed::Feed;
use super::letters::{LetterTask, Put};
use super::orders::Pause;
use super::queue::Queue;
use super::rewind::Rewind;
use super::verify::Verify;
use super::watch::Watch;
use super::{Config, Effect, Fault, Input, Keeping, Notice, Order, Share, State};
use crate::asks::{Asks, Whose};
use crate::format::{EventPlace, Position};
use crate::id::{OpId, Partition, Ticket, WallTime};
use crate::port::{Refused, StoreReply, StoreRequest};
use crate::step::{Cx, Deadline, Effects, HaltReason, Limits, Machine, Time};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

/// One consumer; see the [module](super) for the order and the invariants.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Consumer {
    pub(super) config: Config,
    pub(super) limits: Limits,
    pub(super) phase: Phase,
    pub(super) verify: Verify,
    pub(super) asks: Asks<Job>,
    pub(super) record: Record,
    pub(super) feeds: Vec<Feed>,
    pub(super) queue: Queue,
    pub(super) pause: Option<Pause>,
    pub(super) puts: BTreeMap<EventPlace, Put>,
    pub(super) letters: BTreeMap<Ticket, LetterTask>,
    /// Batches and draws are named by them.
    pub(super) runs: u64,
    pub(super) rolls: u64,
    pub(super) closes: u64,
    /// So many events are handed over one by one: a batch of them failed, nobody knows by which.
    pub(super) alone: u32,
    /// Consumers of the store that are to be closed.
    pub(super) closing: BTreeMap<u64, (u16, crate::port::ConsumerName)>,
    pub(super) watch: Watch,
    /// The node's wall clock, as it was told last.
    pub(super) wall: WallTime,
}

/// What it does.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Phase {
    /// Its stream is looked at.
    Waiting,
    /// Its checkpoint is read.
    Reading,
    /// The streams are opened.
    Opening,
    /// Its checkpoint is taken over.
    Claiming,
    Running,
    Rewinding(Rewind),
    /// The handler ends what it has; then the checkpoint is stored.
    Stopping {
        until: Time,
        fault: Option<Box<Fault>>,
    },
    Over,
    Halted,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Job {
    /// What the store is and can do.
    Capabilities,
    /// The stream of the consumers.
    Stream,
    /// The checkpoint is read.
    Read,
    /// The checkpoint is written.
    Write,
    /// The name is taken for one whose checkpoint is elsewhere.
    Name,
    /// The end of an event stream.
    Look(u16),
    /// The last commit that came of an event stream.
    Recall(u16),
    /// An event stream is opened, for the how manieth time.
    Open(u16, u32),
    /// The next messages of that opening.
    Fetch(u16, u32),
    /// A consumer of the store is removed.
    Close(u64),
    /// A dead letter is stored.
    Put(EventPlace),
    /// Dead letters are listed.
    List(Ticket),
    /// A dead letter is read.
    Letter(Ticket),
    /// The commit of a dead letter is read.
    Commit(Ticket),
    /// A dead letter is removed.
    Remove(Ticket),
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capabilities => f.write_str("say what it is"),
            Self::Stream => f.write_str("serve the stream of the consumers"),
            Self::Read => f.write_str("tell the checkpoint"),
            Self::Write => f.write_str("store the checkpoint"),
            Self::Name => f.write_str("store whose the name is"),
            Self::Look(feed) => write!(f, "tell the end of event stream {feed}"),
            Self::Recall(feed) => write!(f, "tell what was read last of event stream {feed}"),
            Self::Open(feed, _) => write!(f, "open event stream {feed}"),
            Self::Fetch(feed, _) => write!(f, "send event stream {feed}"),
            Self::Close(_) => f.write_str("close a reader"),
            Self::Put(place) => write!(f, "store the dead letter {place}"),
            Self::List(_) => f.write_str("list dead letters"),
            Self::Letter(_) => f.write_str("tell a dead letter"),
            Self::Commit(_) => f.write_str("tell the event of a dead letter"),
            Self::Remove(_) => f.write_str("remove a dead letter"),
        }
    }
}

impl Consumer {
    /// A consumer that begins when it is told that the store is [`Up`](Input::Up).
    ///
    /// # Errors
    ///
    /// When its definition cannot be.
    pub fn new(config: Config, limits: Limits) -> Result<Self, Fault> {
        let name = config.definition.name.clone();
        let serial = config.definition.order == Order::Serial;
        if matches!(config.definition.keeping, Keeping::External { .. }) && !serial {
            return Err(Fault::NotSerial { name });
        }
        if let Some(what) = config.pace.wrong() {
            let what = what.to_string();
            return Err(Fault::Pace { name, what });
        }
        let (ns, layout) = (&config.wish.namespace, &config.layout);
        let feeds = (0..layout.streams).map(|partition| {
            let partition = Partition(partition);
            let filters = config.definition.subjects(ns, layout, partition);
            let stream = config.definition.source.stream(ns, partition);
            Feed::new(partition, stream, filters)
        });
        let feeds = feeds.collect();
        let subject = ns.checkpoint_subject(&name);
        let reads = config.definition.reads();
        let life = match &config.definition.keeping {
            Keeping::Stored => 1,
            Keeping::External { life, .. } => *life,
        };
        Ok(Self {
            record: Record::new(subject, (config.definition.hash(layout), reads), life),
            config,
            limits,
            phase: Phase::Waiting,
            verify: Verify::Idle,
            asks: Asks::default(),
            feeds,
            queue: Queue::default(),
            pause: None,
            puts: BTreeMap::new(),
            letters: BTreeMap::new(),
            runs: 0,
            rolls: 0,
            closes: 0,
            alone: 0,
            closing: BTreeMap::new(),
            watch: Watch::default(),
            wall: WallTime::default(),
        })
    }

    /// The consumer of a partition of a group, which the node owns by a record of this run.
    ///
    /// # Errors
    ///
    /// When its definition cannot be.
    pub fn of_group(config: Config, share: Share, limits: Limits) -> Result<Self, Fault> {
        let mut this = Self::new(config, limits)?;
        let (ns, name) = (&this.config.wish.namespace, &this.config.definition.name);
        let subject = ns.partition_subject(name, share.part);
        this.record.of_share(subject, share);
        Ok(this)
    }

    /// What the machine asks for a job now; `None` when it is over.
    fn request(&mut self, cx: &Cx<'_>, job: Job) -> Option<StoreRequest> {
        match job {
            Job::Capabilities | Job::Stream => self.verify.request(),
            Job::Read => Some(self.read_request()),
            Job::Write => self.write_request(),
            Job::Name => Some(self.name_request()),
            Job::Look(feed) => self.look_request(feed),
            Job::Recall(feed) => self.recall_request(feed),
            Job::Open(feed, opening) => self.open_request(cx, feed, opening),
            Job::Fetch(feed, opening) => self.fetch_request(cx, feed, opening),
            Job::Close(n) => self.close_request(n),
            Job::Put(place) => self.put_request(place),
            Job::List(ticket) | Job::Letter(ticket) | Job::Commit(ticket) | Job::Remove(ticket) => {
                self.letter_request(job, ticket)
            }
        }
    }

    pub(super) fn ask(&mut self, cx: &Cx<'_>, job: Job, out: &mut Effects<Effect>) {
        if let Some(request) = self.request(cx, job) {
            let op = self.asks.begin(job);
            out.push(Effect::Store { op, request });
        }
    }

    /// The same unless it is asked already.
    pub(super) fn ask_once(&mut self, cx: &Cx<'_>, job: Job, out: &mut Effects<Effect>) {
        if !self.asks.busy(job) {
            self.ask(cx, job, out);
        }
    }

    /// Asks again after a wait.
    pub(super) fn again(&mut self, cx: &Cx<'_>, job: Job) {
        self.watch.refused.take_if(|(of, _)| *of == job);
        self.asks.wait(cx, &self.limits, job);
    }

    /// Asks again after a wait, as it was refused for now.
    pub(super) fn again_after(&mut self, cx: &mut Cx<'_>, job: Job, refused: Refused) {
        crate::reached!(cx, "consumer: refused for now");
        self.again(cx, job);
        self.watch.refused = Some((job, refused));
    }

    /// Asks again after a wait, with what it was refused over, if that is why.
    pub(super) fn again_told(&mut self, cx: &mut Cx<'_>, job: Job, refused: Option<Refused>) {
        match refused {
            Some(refused) => self.again_after(cx, job, refused),
            None => self.again(cx, job),
        }
    }

    fn stored(&mut self, cx: &mut Cx<'_>, op: OpId, reply: StoreReply, out: &mut Effects<Effect>) {
        let job = match self.asks.end(op) {
            None => return self.halt(HaltReason::UnknownOp(op), out),
            Some(Whose::Nobody) => return,
            Some(Whose::Job(job)) => job,
        };
        let fits = match job {
            Job::Capabilities | Job::Stream => self.verified(cx, job, reply, out),
            Job::Read => self.was_read(cx, reply, out),
            Job::Write => self.was_written(cx, reply, out),
            Job::Name => self.was_named(cx, reply, out),
            Job::Look(feed) => self.looked(cx, feed, reply, out),
            Job::Recall(feed) => self.recalled(cx, feed, reply, out),
            Job::Open(feed, opening) => self.opened(cx, feed, opening, reply, out),
            Job::Fetch(feed, opening) => self.fetched(cx, feed, opening, reply, out),
            // One that could not be removed goes by itself.
            Job::Close(n) => {
                self.closing.remove(&n);
                self.asks.done(job);
                Ok(())
            }
            Job::Put(place) => self.was_put(cx, place, reply, out),
            Job::List(ticket) | Job::Letter(ticket) | Job::Commit(ticket) | Job::Remove(ticket) => {
                self.letter_answered(cx, job, ticket, reply, out)
            }
        };
        if fits.is_err() {
            self.halt(HaltReason::WrongAnswer(op), out);
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        self.queue.tick(cx.now);
        for job in self.asks.due(cx.now) {
            self.ask(cx, job, out);
        }
    }

    /// What follows from a step, whatever it was.
    fn settle(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        self.carry_on_rewind(cx, out);
        self.dispatch(cx, out);
        self.feed(cx, out);
        self.watch_progress(cx, out);
        self.save_when_due(cx, out);
        self.end_when_done(cx, out);
    }

    /// Up to where events were handled, for each stream.
    pub fn positions(&self) -> Vec<Position> {
        self.feeds.iter().map(|feed| feed.position).collect()
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over | Phase::Halted)
    }

    /// Whether the handler may be given something.
    pub(super) fn hands_over(&self) -> bool {
        matches!(self.phase, Phase::Running) && self.pause.is_none()
    }

    /// Ends with an error, as soon as the handler is done with what it has.
    pub(super) fn fail(&mut self, cx: &mut Cx<'_>, fault: Fault, out: &mut Effects<Effect>) {
        match &self.phase {
            Phase::Over | Phase::Halted | Phase::Stopping { fault: Some(_), .. } => {}
            Phase::Stopping { until, fault: None } => {
                let (until, fault) = (*until, Some(Box::new(fault)));
                self.phase = Phase::Stopping { until, fault };
            }
            Phase::Waiting
            | Phase::Reading
            | Phase::Opening
            | Phase::Claiming
            | Phase::Running
            | Phase::Rewinding(_) => {
                let until = cx.now + self.config.pace.fault_patience;
                self.begin_stop(until, Some(Box::new(fault)), out);
            }
        }
    }

    pub(super) fn halt(&mut self, reason: HaltReason, out: &mut Effects<Effect>) {
        self.phase = Phase::Halted;
        out.push(Effect::Halt(reason));
    }

    pub(super) fn notice(&self, notice: Notice, out: &mut Effects<Effect>) {
        out.push(Effect::Notice(notice));
    }

    /// What it does, in a word.
    pub(super) fn state(&self) -> State {
        match &self.phase {
            Phase::Waiting | Phase::Reading | Phase::Opening | Phase::Claiming => State::Starting,
            Phase::Running if self.watch.live => State::Live,
            Phase::Running => State::CatchingUp,
            Phase::Rewinding(_) => State::Rewinding,
            Phase::Stopping { .. } => State::Stopping,
            Phase::Over | Phase::Halted => State::Over,
        }
    }

    /// Which invariant is broken; for tests, after each step.
    pub fn broken(&self) -> Option<&'static str> {
        let counted = |events: &dyn Fn(&Feed) -> u64| self.feeds.iter().map(events).sum::<u64>();
        let left = |feed: &Feed| feed.items.values().map(|item| item.left() as u64).sum();
        if counted(&left) != self.queue.events {
            return Some("events that are not handled are counted");
        }
        if counted(&|feed| feed.items.len() as u64) != self.queue.commits {
            return Some("commits that are not handled are counted");
        }
        let pace = &self.config.pace;
        if self.queue.commits > u64::from(pace.prefetch_commits_max) {
            return Some("C4: commits that are fetched are bounded");
        }
        for (feed, saved) in self.feeds.iter().zip(&self.record.saved) {
            if feed.stands() && feed.position < *saved && !self.is_moving() {
                return Some("C3: a checkpoint is not ahead of what was handled");
            }
            if let Some((sequence, item)) = feed.items.first_key_value()
                && feed.position.takes_in(*sequence, item.index())
            {
                return Some("C1: a position does not pass what is not handled");
            }
        }
        self.queue.broken()
    }

    /// Whether positions are going elsewhere.
    fn is_moving(&self) -> bool {
        matches!(self.phase, Phase::Rewinding(_))
    }
}

impl Machine for Consumer {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, cx: &mut Cx<'_>, input: Input, out: &mut Effects<Effect>) {
        if matches!(self.phase, Phase::Halted) {
            return;
        }
        match input {
            Input::Tick { wall } => {
                self.wall = wall;
                if self.is_over() {
                    return;
                }
                self.tick(cx, out);
            }
            Input::Up => self.up(cx, out),
            Input::Unusable(fault) => self.fail(cx, *fault, out),
            Input::Stored { op, reply, wall } => {
                self.wall = wall;
                // What is answered after the end is of no use to anyone.
                if self.is_over() {
                    return;
                }
                self.stored(cx, op, reply, out);
            }
            Input::Handled { op, handled } => {
                if self.is_over() {
                    return;
                }
                self.handled(cx, op, handled, out);
            }
            Input::Order(command) => self.command(cx, command, out),
        }
        if !self.is_over() {
            self.settle(cx, out);
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        if self.is_over() {
            return None;
        }
        let named = |at: Option<Time>, timer| at.map(|at| Deadline { at, timer });
        let fetch = (0_u16..).zip(&self.feeds);
        let fetch = fetch.filter_map(|(n, feed)| self.fetch_at(n, feed));
        let stop = match &self.phase {
            Phase::Stopping { until, .. } => Some(*until),
            Phase::Waiting
            | Phase::Reading
            | Phase::Opening
            | Phase::Claiming
            | Phase::Running
            | Phase::Rewinding(_)
            | Phase::Over
            | Phase::Halted => None,
        };
        [
            named(self.asks.next(), "retry"),
            named(self.queue.next_retry(), "handler_retry"),
            named(fetch.min(), "fetch"),
            named(self.save_at(), "checkpoint"),
            named(self.watch_at(), "watch"),
            named(stop, "stop"),
            named(self.rewind_at(), "rewind"),
        ]
        .into_iter()
        .fold(None, Deadline::earliest)
    }
}
