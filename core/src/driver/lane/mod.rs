//! One lane: the loop that feeds some of a node's machines and runs their effects.

/// Borrows what machines share, beside the machines themselves.
macro_rules! env {
    ($lane:expr, $now:expr) => {
        Env {
            now: $now,
            probe: &mut $lane.probe,
            recorder: &mut $lane.flight.recorder,
            counters: &mut $lane.counters,
            high_water: &$lane.facts.high_water,
            epochs: &$lane.facts.epochs,
            log_effects: &mut $lane.log_effects,
            stores: &mut $lane.stores,
            reports: &mut $lane.reports,
            errands: &mut $lane.errands,
        }
    };
}

mod actors;
mod bus;
mod changes;
mod consumers;
mod enrol;
mod errands;
mod frames;
mod groups;
mod lead;
mod net;
mod requests;
mod store;
mod turn;
mod way;

pub(crate) use actors::Stagecraft;

use errands::Delivered;
use way::{Queued, Way};

use super::actors::ActorSeat;
use super::actors::stage::Report as ActorReport;
use super::actors::waiting::Waiting;
use super::bus::BusSeat;
use super::cluster::{AskRequest, Net, NetEvent};
use super::completion::{Answered, Answers};
use super::consumer::{ConsumerSeat, Report as ConsumerReport};
use super::counters::Counters;
use super::epochs::Epochs;
use super::flight::{BlackBox, FlightFolder};
use super::group::GroupSeat;
use super::history::HistorySeat;
use super::intake::IntakeEnd;
use super::lease::LeaseEnd;
use super::link::{HighWater, Link};
use super::outbox::Outbox;
use super::pulse::Pulse;
use super::recorder::Recorder;
use super::request::Request;
use super::seat::{Errand, ShardKey};
use super::seats::Seats;
use super::shell::{Inbound, Shell};
use super::space::SpaceSeat;
use super::timers::Timers;
use crate::cache::Cache;
use crate::consumer::{Fault, group};
use crate::flow::{Admission, Window};
use crate::format::Layout;
use crate::id::{GroupPart, Incarnation, OpId};
use crate::log::{Effect, Shape};
use crate::name::Namespace;
use crate::port::{StoreReply, StoreRequest, StreamName};
use crate::shard::{Order, Place, Report};
use crate::space::SpaceError;
use crate::step::{CountingProbe, Dice, Effects, Limits, Span, Time};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::{mpsc, oneshot, watch};

/// How many answers and how many requests one turn of the loop takes before it looks at the
/// timers again.
const BATCH_MAX: usize = 256;

/// How long one turn takes in what comes from one source; then the others have theirs.
const SLICE_MAX: Span = Span::from_millis(5);

/// After so many answers or requests the clock is read again.
const CLOCK_EVERY: usize = 16;

/// So many entries of a frame go through routing together, each of its parts with all of them: one after
/// another they would each fetch all the instructions of the way.
const PASS_MAX: usize = 64;

/// The shortest sleep, so that a machine whose deadline does not move cannot spin the loop.
const SLEEP_MIN: Span = Span::from_micros(100);

/// What a node's lanes have in common.
pub(crate) struct NodeFacts {
    pub(crate) namespace: Namespace,
    pub(crate) node: String,
    /// The first run.
    pub(crate) incarnation: Incarnation,
    pub(crate) limits: Limits,
    pub(crate) dice_key: u128,
    pub(crate) high_water: Arc<HighWater>,
    /// The epochs of its places.
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) outbox: Arc<Outbox>,
    /// Until when this node may act in the places that it owns.
    pub(crate) lease: Arc<LeaseEnd>,
    /// What turns of its actors wait for.
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) pulse: Arc<Pulse>,
    /// Where flights go.
    pub(crate) flights: Arc<FlightFolder>,
    /// How many lanes the node has.
    pub(crate) lanes: usize,
}

impl NodeFacts {
    /// The lane of a shard.
    fn lane_of(&self, shard: u16) -> usize {
        usize::from(shard) % self.lanes
    }
}

/// One machine of a lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Space,
    Shard(ShardKey),
    History(u64),
    Consumer(u64),
    Bus,
    /// Code of this process that keeps a state in the store.
    Keeper(u64),
    Group(u64),
    Router,
    Node,
    Owners,
    Actors,
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Space => f.write_str("space"),
            Self::Shard(key) => write!(f, "log {key:?}"),
            Self::History(n) => write!(f, "history {n}"),
            Self::Consumer(n) => write!(f, "consumer {n}"),
            Self::Bus => f.write_str("bus"),
            Self::Keeper(n) => write!(f, "keeper {n}"),
            Self::Group(n) => write!(f, "group {n}"),
            Self::Router => f.write_str("router"),
            Self::Node => f.write_str("node"),
            Self::Owners => f.write_str("owners"),
            Self::Actors => f.write_str("actors"),
        }
    }
}

/// Which machines were stepped in this turn, of those whose deadline is noted at its end.
#[derive(Clone, Copy, Default)]
struct Stepped {
    router: bool,
    actors: bool,
}

/// Why a lane begins nothing new.
enum Unusable {
    /// The namespace cannot be used.
    Space(SpaceError),
    /// The machine that keeps it verified halted.
    Halted(String),
}

impl Unusable {
    /// As who reads the namespace is told.
    fn fault(&self) -> Fault {
        match self {
            Self::Space(error) => Fault::Space(error.clone()),
            Self::Halted(reason) => Fault::SpaceHalted {
                reason: reason.clone(),
            },
        }
    }
}

/// What machines share while one of them is stepped.
pub(crate) struct Env<'a> {
    pub(crate) now: Time,
    pub(crate) probe: &'a mut CountingProbe,
    pub(crate) recorder: &'a mut Recorder<Who>,
    pub(crate) counters: &'a mut Counters,
    pub(crate) high_water: &'a HighWater,
    /// The epochs of the node's places.
    pub(crate) epochs: &'a Epochs,
    /// The buffer that a log's step pushes into.
    pub(crate) log_effects: &'a mut Effects<Effect>,
    /// Requests to the store that are to be begun.
    pub(crate) stores: &'a mut Vec<(Who, OpId, StoreRequest)>,
    /// What logs report of their epochs, for who orders them.
    pub(crate) reports: &'a mut Vec<(Place, Report)>,
    /// What logs want of the lane.
    pub(crate) errands: &'a mut Vec<(ShardKey, Errand)>,
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
    pub(crate) intake: IntakeEnd,
    pub(crate) link: watch::Receiver<Link>,
    pub(crate) stop: watch::Receiver<Option<Time>>,
    pub(crate) running: Running,
    /// Lane 0 opens the namespace.
    pub(crate) space: Option<SpaceSeat>,
}

/// One lane.
pub(crate) struct Lane<S: Shell> {
    index: usize,
    shell: S,
    facts: Arc<NodeFacts>,
    /// The node's, for the lane's logs.
    limits: Arc<Limits>,
    dice: Dice,

    requests: mpsc::Receiver<Request>,
    /// Whether requests can come still.
    open: bool,
    /// What actors and handles of actors ask comes here.
    intake: IntakeEnd,
    /// What was taken from there.
    asked: VecDeque<AskRequest>,
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
    /// The way to the store over the link of which this lane was told last; and, for lane 0, over the one
    /// on which it looks at the namespace.
    way: Way<S>,
    opening: Way<S>,
    /// Why nothing new can be begun.
    failed: Option<Unusable>,
    space: Option<SpaceSeat>,
    seats: Seats,
    /// Of the seats' streams.
    names: BTreeSet<StreamName>,
    cache: Cache<ShardKey>,
    /// Requests of logs and histories to the store.
    window: Window<StreamName, Queued>,
    histories: BTreeMap<u64, HistorySeat>,
    consumers: BTreeMap<u64, ConsumerSeat>,
    /// Where their handlers' tasks report.
    consumer_reports: (
        mpsc::UnboundedSender<ConsumerReport>,
        mpsc::UnboundedReceiver<ConsumerReport>,
    ),
    /// What stores what is published durably, once something was.
    bus: Option<Box<BusSeat>>,
    /// Who keeps a state in the store and waits for an answer.
    keepers: BTreeMap<u64, oneshot::Sender<StoreReply>>,
    groups: BTreeMap<u64, GroupSeat>,
    /// Of which group and partition a consumer is.
    parts: BTreeMap<u64, (u64, GroupPart)>,
    /// What groups are to be told, and whether one is being told.
    group_inputs: VecDeque<(u64, group::Input)>,
    grouping: bool,
    tickets: u64,
    /// Logs whose hosts have something to do for requests that were taken in.
    working: Vec<ShardKey>,

    timers: Timers<Who>,
    stepped: Stepped,

    probe: CountingProbe,
    flight: BlackBox<Who>,
    counters: Counters,
    log_effects: Effects<Effect>,
    stores: Vec<(Who, OpId, StoreRequest)>,
    reports: Vec<(Place, Report)>,
    errands: Vec<(ShardKey, Errand)>,
    /// Messages of logs that are on their way.
    deliveries: FuturesUnordered<BoxFuture<'static, Delivered>>,

    /// This run of the node.
    run: Incarnation,
    /// When membership is to be looked at.
    member_due: Option<Time>,
    /// The lane's part in a cluster.
    net: Option<Box<Net>>,
    actors: Option<Box<ActorSeat>>,
    /// Whether actors stop, and have.
    actors_stopping: bool,
    actors_stopped: bool,
    /// Places that are left as soon as no actor lives under them.
    leaving: BTreeMap<Place, Order>,
    /// Places that were dropped, until nothing acts in them any more, and what is reported then.
    dropping: BTreeMap<Place, Option<Report>>,
    /// When a node that stops leaves its cluster, whatever it owns still.
    leave_at: Option<Time>,
}

impl<S: Shell> Lane<S> {
    pub(crate) fn new(parts: LaneParts<S>) -> Self {
        let inbox = parts.space.is_some().then(|| parts.shell.inbox());
        let window = Window::new(&parts.facts.limits);
        let cache = Cache::new(&parts.facts.limits, parts.index, parts.lanes);
        let run = parts.facts.incarnation;
        let boot = parts.shell.now();
        let flights = Arc::clone(&parts.facts.flights);
        let flight = BlackBox::new(parts.index, parts.facts.dice_key, boot, flights);
        Self {
            index: parts.index,
            flight,
            now: parts.shell.now(),
            answers: Arc::default(),
            submitted: 0,
            ready: VecDeque::new(),
            dice: Dice::new(parts.facts.dice_key),
            log_effects: Effects::new(parts.facts.limits.effects_max),
            way: Way::new(&parts.shell),
            opening: Way::new(&parts.shell),
            shell: parts.shell,
            limits: Arc::new(parts.facts.limits),
            facts: parts.facts,
            requests: parts.requests,
            open: true,
            intake: parts.intake,
            asked: VecDeque::new(),
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
            seats: Seats::default(),
            names: BTreeSet::new(),
            cache,
            window,
            histories: BTreeMap::new(),
            consumers: BTreeMap::new(),
            consumer_reports: mpsc::unbounded_channel(),
            bus: None,
            keepers: BTreeMap::new(),
            groups: BTreeMap::new(),
            parts: BTreeMap::new(),
            group_inputs: VecDeque::new(),
            grouping: false,
            tickets: 0,
            working: Vec::new(),
            timers: Timers::default(),
            stepped: Stepped::default(),
            probe: CountingProbe::default(),
            counters: Counters::default(),
            stores: Vec::new(),
            reports: Vec::new(),
            errands: Vec::new(),
            deliveries: FuturesUnordered::new(),
            run,
            member_due: None,
            net: None,
            actors: None,
            actors_stopping: false,
            actors_stopped: false,
            leaving: BTreeMap::new(),
            dropping: BTreeMap::new(),
            leave_at: None,
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
                event = net_event(&mut self.net), if self.net.is_some() => {
                    self.now = self.shell.now();
                    self.net_event(event);
                }
                report = actor_report(&mut self.actors), if self.actors.is_some() => {
                    self.now = self.shell.now();
                    self.actor_report(report);
                }
                Some(report) = self.consumer_reports.1.recv(), if self.has_consumers() => {
                    self.now = self.shell.now();
                    self.consumer_handled(report);
                }
                Some(delivered) = self.deliveries.next(), if !self.deliveries.is_empty() => {
                    self.now = self.shell.now();
                    self.intent_delivered(delivered);
                }
                request = self.requests.recv(), if self.open => {
                    self.now = self.shell.now();
                    self.requested(request);
                }
                () = poll_fn(|cx| self.intake.0.poll_arrived(cx)), if self.is_asked() => {}
                () = nap => sleep = None,
                () = std::future::ready(()), if self.has_work() => {}
            }
            self.now = self.shell.now();
            self.take_what_waits();
            self.tick_due();
            self.actors_turn();
            self.settle_net();
            if self.has_company() {
                // Once, and no longer than those take who are ready to run now.
                pass().await;
                self.now = self.shell.now();
                self.take_what_waits();
                self.actors_turn();
                self.settle_net();
            }
            self.flush();
            self.after_turn();
        }
        self.end().await;
    }

    /// Whether there is something to do without anything new.
    fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.asked.is_empty()
            || self.is_routing()
            || self.actors_have_work()
    }

    fn wake_at(&self) -> Option<Time> {
        let timer = self
            .timers
            .first()
            .map(|(at, _)| at.max(self.shell.now() + SLEEP_MIN));
        let stop = self.leave_at.or(self.stop_at);
        let sweep = self.net.as_ref().and_then(|net| net.next_sweep());
        [timer, sweep, stop].into_iter().flatten().min()
    }
}

/// Lets all other tasks have a turn that are ready to run now.
async fn pass() {
    let mut passed = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn actor_report(actors: &mut Option<Box<ActorSeat>>) -> ActorReport {
    match actors {
        Some(actors) => actors.completed().await,
        None => std::future::pending().await,
    }
}

async fn net_event(net: &mut Option<Box<Net>>) -> NetEvent {
    match net {
        Some(net) => net.next().await,
        None => std::future::pending().await,
    }
}

async fn receive(inbox: &mut Option<mpsc::Receiver<Inbound>>) -> Option<Inbound> {
    match inbox {
        Some(inbox) => inbox.recv().await,
        None => std::future::pending().await,
    }
}
