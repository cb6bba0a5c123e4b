//! One lane: the loop that feeds some of a node's machines and runs their effects.

use super::completion::{Answered, Answers, Asked, Completion};
use super::counters::Counters;
use super::history::HistorySeat;
use super::host::Answer;
use super::link::{HighWater, Link, LinkState};
use super::recorder::Recorder;
use super::request::{EntityRequest, HistoryAnswer, HistoryFailure, Request};
use super::seat::{Seat, ShardKey};
use super::shell::{Inbound, Shell};
use super::space::SpaceSeat;
use super::timers::Timers;
use crate::cache::Cache;
use crate::flow::{Admission, Window};
use crate::format::Layout;
use crate::id::{Incarnation, OpId, Partition, Ticket};
use crate::log::{Effect, HistoryAsk, HistoryInput, Input, Refusal, Reply, Shape, ShardConfig};
use crate::name::Namespace;
use crate::port::{Ack, StoreDone, StoreRequest, StreamName};
use crate::space::SpaceError;
use crate::step::{CountingProbe, Dice, Effects, Limits, Outcome, Span, Time};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// How many answers and how many requests one turn of the loop takes before it looks at the
/// timers again.
const BATCH_MAX: usize = 256;

/// After so many answers or requests the clock is read again.
const CLOCK_EVERY: usize = 16;

/// The shortest sleep, so that a machine whose deadline does not move cannot spin the loop.
const SLEEP_MIN: Span = Span::from_micros(100);

/// What a node's lanes have in common.
pub(crate) struct NodeFacts {
    pub(crate) namespace: Namespace,
    pub(crate) node: String,
    pub(crate) incarnation: Incarnation,
    pub(crate) limits: Limits,
    pub(crate) dice_key: u128,
    pub(crate) high_water: Arc<HighWater>,
    pub(crate) admission: Arc<Admission>,
}

/// One machine of a lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Space,
    Shard(ShardKey),
    History(u64),
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Space => f.write_str("space"),
            Self::Shard(key) => write!(f, "log {key:?}"),
            Self::History(n) => write!(f, "history {n}"),
        }
    }
}

/// Why a lane begins nothing new.
enum Unusable {
    /// The namespace cannot be used.
    Space(SpaceError),
    /// The machine that keeps it verified halted.
    Halted(String),
}

/// What machines share while one of them is stepped.
pub(crate) struct Env<'a> {
    pub(crate) now: Time,
    pub(crate) probe: &'a mut CountingProbe,
    pub(crate) recorder: &'a mut Recorder<Who>,
    pub(crate) counters: &'a mut Counters,
    pub(crate) high_water: &'a HighWater,
    /// The buffer that a log's step pushes into.
    pub(crate) log_effects: &'a mut Effects<Effect>,
    /// Requests to the store that are to be begun.
    pub(crate) stores: &'a mut Vec<(Who, OpId, StoreRequest)>,
}

/// Counts a lane as running until it is dropped, even by a panic.
pub(crate) struct Running(pub(crate) Arc<watch::Sender<usize>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

/// What a lane is made with.
pub(crate) struct LaneParts<S> {
    pub(crate) index: usize,
    /// How many lanes the node has.
    pub(crate) lanes: usize,
    pub(crate) shell: S,
    pub(crate) facts: Arc<NodeFacts>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) link: watch::Receiver<Link>,
    pub(crate) stop: watch::Receiver<Option<Time>>,
    pub(crate) running: Running,
    /// Lane 0 opens the namespace.
    pub(crate) space: Option<SpaceSeat>,
}

/// One lane.
pub(crate) struct Lane<S: Shell> {
    index: usize,
    boot: Time,
    shell: S,
    facts: Arc<NodeFacts>,
    dice: Dice,

    requests: mpsc::Receiver<Request>,
    /// Whether requests can come still.
    open: bool,
    inbox: Option<mpsc::Receiver<Inbound>>,
    link: watch::Receiver<Link>,
    linked: bool,
    stop: watch::Receiver<Option<Time>>,
    stoppable: bool,
    stop_at: Option<Time>,
    /// Requests that the shell executes by a future; each tells its answer.
    ops: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Where answers are told, and how many are to come.
    answers: Arc<Answers>,
    submitted: usize,
    /// Answers that are here.
    ready: VecDeque<Answered>,
    /// The clock as it was read last: once for each turn of the loop, and within a long one.
    now: Time,
    _running: Running,

    layout: Option<Arc<Layout>>,
    shapes: Option<Arc<[Shape]>>,
    generation: u64,
    /// Why nothing new can be begun.
    failed: Option<Unusable>,
    space: Option<SpaceSeat>,
    seats: BTreeMap<ShardKey, Seat>,
    cache: Cache<ShardKey>,
    /// Requests of logs and histories to the store.
    window: Window<StreamName, (Who, OpId, StoreRequest)>,
    histories: BTreeMap<u64, HistorySeat>,
    tickets: u64,

    timers: Timers<Who>,

    probe: CountingProbe,
    recorder: Recorder<Who>,
    counters: Counters,
    log_effects: Effects<Effect>,
    stores: Vec<(Who, OpId, StoreRequest)>,
}

/// Borrows what machines share, beside the machines themselves.
macro_rules! env {
    ($lane:expr, $now:expr) => {
        Env {
            now: $now,
            probe: &mut $lane.probe,
            recorder: &mut $lane.recorder,
            counters: &mut $lane.counters,
            high_water: &$lane.facts.high_water,
            log_effects: &mut $lane.log_effects,
            stores: &mut $lane.stores,
        }
    };
}

impl<S: Shell> Lane<S> {
    pub(crate) fn new(parts: LaneParts<S>) -> Self {
        let inbox = parts.space.is_some().then(|| parts.shell.inbox());
        let window = Window::new(&parts.facts.limits);
        let cache = Cache::new(&parts.facts.limits, parts.index, parts.lanes);
        Self {
            index: parts.index,
            boot: parts.shell.now(),
            now: parts.shell.now(),
            answers: Arc::default(),
            submitted: 0,
            ready: VecDeque::new(),
            dice: Dice::new(parts.facts.dice_key),
            log_effects: Effects::new(parts.facts.limits.effects_max),
            shell: parts.shell,
            facts: parts.facts,
            requests: parts.requests,
            open: true,
            inbox,
            link: parts.link,
            linked: true,
            stop: parts.stop,
            stoppable: true,
            stop_at: None,
            ops: FuturesUnordered::new(),
            _running: parts.running,
            layout: None,
            shapes: None,
            generation: 0,
            failed: None,
            space: parts.space,
            seats: BTreeMap::new(),
            cache,
            window,
            histories: BTreeMap::new(),
            tickets: 0,
            timers: Timers::default(),
            probe: CountingProbe::default(),
            recorder: Recorder::new(),
            counters: Counters::default(),
            stores: Vec::new(),
        }
    }

    /// Runs until the node is stopped, or until no handle is left and nobody waits.
    pub(crate) async fn run(mut self) {
        self.link_changed();
        let mut sleep: Option<(Time, BoxFuture<'static, ()>)> = None;
        while !self.is_over() {
            let wake = self.wake_at();
            // A sleep that ends too early costs less than a new one in each turn: what answers in
            // time takes its deadline with it.
            let early = match (&sleep, wake) {
                (Some((at, _)), Some(wake)) => *at <= wake,
                (None, Some(_)) => false,
                (_, None) => sleep.is_none(),
            };
            if !early {
                sleep = wake.map(|at| {
                    let shell = self.shell.clone();
                    let nap = async move { shell.sleep_until(at).await };
                    (at, nap.boxed())
                });
            }
            let nap = async {
                match sleep.as_mut() {
                    Some((_, nap)) => nap.as_mut().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = self.stop.changed(), if self.stoppable => {
                    self.now = self.shell.now();
                    // Without a handle nobody can stop it; it ends when nothing is under way.
                    self.stoppable = changed.is_ok();
                    let at = *self.stop.borrow_and_update();
                    if let Some(at) = at {
                        self.begin_stop(at);
                    }
                }
                changed = self.link.changed(), if self.linked => {
                    self.now = self.shell.now();
                    self.linked = changed.is_ok();
                    self.link_changed();
                }
                inbound = receive(&mut self.inbox) => {
                    self.now = self.shell.now();
                    self.inbound(inbound);
                }
                Some(()) = self.ops.next(), if !self.ops.is_empty() => {}
                () = poll_fn(|cx| self.answers.poll_arrived(cx)), if self.submitted > 0 => {}
                request = self.requests.recv(), if self.open => {
                    self.now = self.shell.now();
                    self.requested(request);
                }
                () = nap => sleep = None,
                () = std::future::ready(()), if !self.ready.is_empty() => {}
            }
            self.now = self.shell.now();
            self.take_what_waits();
            self.tick_due();
        }
        self.end().await;
    }

    /// Takes requests and answers that are here already, up to a budget. Requests come first: what
    /// comes together is so committed together, and a shell may have an answer at once.
    fn take_what_waits(&mut self) {
        for n in 1..=BATCH_MAX {
            match self.requests.try_recv() {
                Ok(request) => self.requested(Some(request)),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.open = false;
                    break;
                }
            }
            self.read_clock(n);
        }
        for n in 1..=BATCH_MAX {
            let Some(answered) = self.next_answer() else {
                break;
            };
            self.answered(answered);
            self.read_clock(n);
        }
    }

    fn next_answer(&mut self) -> Option<Answered> {
        if self.ready.is_empty() && self.submitted > 0 {
            // A future that is done has told its answer there too.
            while !self.ops.is_empty() && self.ops.next().now_or_never().is_some() {}
            self.submitted -= self.answers.take(&mut self.ready);
        }
        self.ready.pop_front()
    }

    fn read_clock(&mut self, taken: usize) {
        if taken.is_multiple_of(CLOCK_EVERY) {
            self.now = self.shell.now();
        }
    }

    fn is_over(&self) -> bool {
        let idle = !self.open
            && self.histories.is_empty()
            && self.seats.values().all(Seat::is_idle)
            && self.space.as_ref().is_none_or(SpaceSeat::is_idle);
        idle || self.stop_at.is_some_and(|at| self.shell.now() >= at)
    }

    /// What is under way may end until `at`; nothing new is taken in.
    fn begin_stop(&mut self, at: Time) {
        self.stop_at = Some(at);
        self.requests.close();
    }

    /// Tells everyone who waits still. A request that is being put into the closed queue is waited
    /// for: its caller has no timer, and would wait as long as the queue has a handle.
    async fn end(&mut self) {
        self.requests.close();
        while let Some(request) = self.requests.recv().await {
            request.stopped();
        }
        let now = self.now;
        for seat in self.seats.values_mut() {
            seat.finish_all(&mut env!(self, now), &Answer::Cut);
        }
        while let Some((_, mut seat)) = self.histories.pop_first() {
            seat.stop();
        }
        if let Some(space) = &mut self.space {
            space.stop();
        }
    }

    fn inbound(&mut self, inbound: Option<Inbound>) {
        let now = self.now;
        match (inbound, &mut self.space) {
            (Some(inbound), Some(space)) => {
                let wall = self.shell.wall();
                space.inbound(&mut env!(self, now), inbound, wall);
                self.after(Who::Space);
            }
            (Some(_), None) => {}
            (None, _) => self.inbox = None,
        }
    }

    fn link_changed(&mut self) {
        let Link {
            generation,
            layout,
            state,
        } = self.link.borrow_and_update().clone();
        self.layout = layout;
        self.failed = None;
        let now = self.now;
        let was_up = self.shapes.is_some();
        match state {
            LinkState::Up { shapes } => {
                if was_up && generation == self.generation {
                    return;
                }
                if was_up {
                    // It went down and came back between two looks.
                    self.feed_all(now, |_| Some(Input::Down));
                }
                self.shapes = Some(Arc::clone(&shapes));
                self.generation = generation;
                self.feed_all(now, |seat| seat.shape(&shapes).map(Input::Up));
            }
            state @ (LinkState::Opening
            | LinkState::Down
            | LinkState::Failed(_)
            | LinkState::Halted(_)) => {
                self.shapes = None;
                if was_up {
                    self.feed_all(now, |_| Some(Input::Down));
                }
                self.failed = match state {
                    LinkState::Failed(error) => Some(Unusable::Space(error)),
                    LinkState::Halted(reason) => Some(Unusable::Halted(reason)),
                    LinkState::Opening | LinkState::Down | LinkState::Up { .. } => None,
                };
            }
        }
    }

    fn feed_all(&mut self, now: Time, input: impl Fn(&Seat) -> Option<Input>) {
        let keys: Vec<ShardKey> = self.seats.keys().copied().collect();
        for key in keys {
            if let Some(seat) = self.seats.get_mut(&key)
                && let Some(input) = input(seat)
            {
                seat.feed(&mut env!(self, now), input);
            }
            self.after(Who::Shard(key));
        }
    }

    fn requested(&mut self, request: Option<Request>) {
        match request {
            None => self.open = false,
            Some(Request::Entity(request)) => self.entity(request),
            Some(Request::History(ask, done)) => self.history(ask, done),
            Some(Request::Kind(mut wish, done)) => {
                let now = self.now;
                self.tickets += 1;
                wish.ticket = Ticket(self.tickets);
                match &mut self.space {
                    Some(space) => {
                        space.kind(&mut env!(self, now), wish, done);
                        self.after(Who::Space);
                    }
                    None => unreachable!("kinds are asked of lane 0"),
                }
            }
            Some(Request::Counters(done)) => {
                let mut counters = self.counters.clone();
                counters.probes = self.probe.clone();
                counters.store_in_flight = self.submitted as u64;
                counters.store_waiting = self.window.waiting() as u64;
                counters.entities_held = self.cache.entities() as u64;
                counters.resting_bytes = self.cache.resting_bytes() as u64;
                // A caller that went away needs no answer.
                let _ = done.send(counters);
            }
            Some(Request::Recording(done)) => {
                let recording = self
                    .recorder
                    .dump(self.index, self.facts.dice_key, self.boot);
                let _ = done.send(recording);
            }
        }
    }

    fn entity(&mut self, request: EntityRequest) {
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
        if !self.seats.contains_key(&key) {
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
                incarnation: self.facts.incarnation,
                node: self.facts.node.clone(),
            };
            let dice = self.dice.fork(key.part());
            let mut seat = Seat::new(key, config, self.facts.limits, dice);
            let shape = self.shapes.as_deref().and_then(|shapes| seat.shape(shapes));
            seat.open(&mut env!(self, now), shape);
            self.seats.insert(key, seat);
        }
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
            seat.request(&mut env!(self, now), Ticket(self.tickets), request);
        }
        self.after(Who::Shard(key));
    }

    fn history(&mut self, ask: HistoryAsk, done: oneshot::Sender<HistoryAnswer>) {
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

    fn feed_history(&mut self, n: u64, input: HistoryInput) {
        let now = self.now;
        if let Some(seat) = self.histories.get_mut(&n)
            && seat.feed(&mut env!(self, now), n, input)
        {
            self.histories.remove(&n);
        }
        self.after(Who::History(n));
    }

    fn answered(&mut self, answered: Answered) {
        let Answered { asked, reply } = answered;
        let Asked {
            who,
            op,
            wrote,
            stream,
        } = asked;
        if let Some(next) = stream.and_then(|stream| self.window.answered(&stream)) {
            self.begin(next);
        }
        match (&reply, wrote) {
            (Outcome::Done(StoreDone::Published(Ack { sequence, .. })), Some(partition)) => {
                self.facts.high_water.raise(partition, *sequence);
            }
            (Outcome::Unknown, _) => self.counters.store_unknown += 1,
            (Outcome::Done(_) | Outcome::Refused(_), _) => {}
        }
        let now = self.now;
        match who {
            Who::Space => {
                if let Some(space) = &mut self.space {
                    space.stored(&mut env!(self, now), op, reply);
                }
                self.after(who);
            }
            Who::Shard(key) => {
                if let Some(seat) = self.seats.get_mut(&key) {
                    seat.feed(&mut env!(self, now), Input::Stored { op, reply });
                }
                self.after(who);
            }
            Who::History(n) => self.feed_history(n, HistoryInput::Stored { op, reply }),
        }
    }

    fn tick_due(&mut self) {
        for _ in 0..BATCH_MAX {
            let now = self.now;
            let who = match self.timers.first() {
                Some((at, who)) if at <= now => who,
                Some(_) | None => return,
            };
            let deadline = self.deadline_of(who);
            if deadline.is_none_or(|at| at > now) {
                self.timers.looked(who, deadline);
                continue;
            }
            match who {
                Who::Space => {
                    if let Some(space) = &mut self.space {
                        space.tick(&mut env!(self, now));
                    }
                    self.after(who);
                }
                Who::Shard(key) => {
                    if let Some(seat) = self.seats.get_mut(&key) {
                        seat.feed(&mut env!(self, now), Input::Tick);
                    }
                    self.after(who);
                }
                Who::History(n) => self.feed_history(n, HistoryInput::Tick),
            }
            let deadline = self.deadline_of(who);
            self.timers.looked(who, deadline);
            // A deadline that a tick left in the past waits for the next turn.
            if deadline.is_some_and(|at| at <= now) {
                return;
            }
        }
    }

    /// Has forgotten what does not fit into memory.
    fn make_room(&mut self) {
        while let Some(other) = self.cache.excess() {
            let now = self.now;
            let Some(seat) = self.seats.get_mut(&other) else {
                return;
            };
            seat.feed(&mut env!(self, now), Input::Evict);
            match seat.new_stock() {
                Some(stock) => self.cache.set(other, stock),
                // A machine that halted keeps what it has.
                None => return,
            }
        }
    }

    /// After a machine was stepped: begins its requests, notes its deadline, and tells the cache
    /// what it keeps.
    fn after(&mut self, who: Who) {
        let deadline = match who {
            Who::Shard(key) => self.seats.get_mut(&key).and_then(|seat| {
                if let Some(stock) = seat.new_stock() {
                    self.cache.set(key, stock);
                }
                seat.next_deadline().map(|deadline| deadline.at)
            }),
            Who::Space | Who::History(_) => self.deadline_of(who),
        };
        self.timers.note(who, deadline);
        self.make_room();
        self.facts.admission.set(self.index, self.waiting());
        let mut stores = std::mem::take(&mut self.stores);
        for (who, op, request) in stores.drain(..) {
            self.ask(who, op, request);
        }
        self.stores = stores;
    }

    /// A request to the store: it is begun when there is room for it among those in flight.
    fn ask(&mut self, who: Who, op: OpId, request: StoreRequest) {
        self.counters.store_requests += 1;
        let now = match (who, request.stream().cloned()) {
            (Who::Shard(_) | Who::History(_), Some(stream)) => {
                self.window.offer(&stream, (who, op, request))
            }
            // The namespace's own requests are few, and everything waits for them.
            (Who::Space, _) | (Who::Shard(_) | Who::History(_), None) => Some((who, op, request)),
        };
        if let Some(asked) = now {
            self.begin(asked);
        }
    }

    /// The event stream that a request of a shard writes to; what goes to the stream of snapshots
    /// has sequences of its own.
    fn wrote(&self, who: Who, request: &StoreRequest) -> Option<Partition> {
        match (who, &self.layout) {
            (Who::Shard(key), Some(layout)) if request.writes() => {
                let seat = self.seats.get(&key)?;
                let events = request.stream() == Some(seat.stream());
                events.then(|| layout.stream_of(key.shard))
            }
            (Who::Shard(_) | Who::Space | Who::History(_), _) => None,
        }
    }

    fn deadline_of(&self, who: Who) -> Option<Time> {
        let deadline = match who {
            Who::Space => self.space.as_ref().and_then(SpaceSeat::next_deadline),
            Who::Shard(key) => self.seats.get(&key).and_then(Seat::next_deadline),
            Who::History(n) => self.histories.get(&n).and_then(HistorySeat::next_deadline),
        };
        deadline.map(|deadline| deadline.at)
    }

    /// Requests that were taken in and not answered.
    fn waiting(&self) -> usize {
        let waiting = self.counters.requests - self.counters.answers;
        usize::try_from(waiting).unwrap_or(usize::MAX)
    }

    /// Hands a request to the shell.
    fn begin(&mut self, (who, op, request): (Who, OpId, StoreRequest)) {
        let wrote = self.wrote(who, &request);
        let stream = match who {
            Who::Shard(_) | Who::History(_) => request.stream().cloned(),
            Who::Space => None,
        };
        let asked = Asked {
            who,
            op,
            wrote,
            stream,
        };
        let done = Completion::new(asked, &self.answers);
        self.submitted += 1;
        if let Err((request, done)) = self.shell.submit(request, done) {
            let shell = self.shell.clone();
            self.ops.push(Box::pin(async move {
                done.tell(shell.store(request).await);
            }));
        }
    }

    fn wake_at(&self) -> Option<Time> {
        let timer = self
            .timers
            .first()
            .map(|(at, _)| at.max(self.shell.now() + SLEEP_MIN));
        match (timer, self.stop_at) {
            (Some(timer), Some(stop)) => Some(timer.min(stop)),
            (one, None) | (None, one) => one,
        }
    }
}

async fn receive(inbox: &mut Option<mpsc::Receiver<Inbound>>) -> Option<Inbound> {
    match inbox {
        Some(inbox) => inbox.recv().await,
        None => std::future::pending().await,
    }
}
