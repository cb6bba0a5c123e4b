//! What all nodes of a run share: true time, the store, the network, and each node's state. Shells
//! reach it through a lock that is never held while a task runs.

use super::beliefs::Beliefs;
use super::event::Event;
use super::executor::{Ready, TaskId, Work};
use super::network::Network;
use super::plan::{Plan, REMOVED_MAX};
use super::store::Wire;
use super::trace::Trace;
use super::written::Written;
use crate::clock::Clock;
use crate::deviation::Fault;
use crate::draw::{Draws, What};
use crate::oracle::{Class, Violation};
use crate::voids::Voids;
use crate::world::{Kind, Lane};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use tenure_core::api::Tenure;
use tenure_core::driver::{Inbound, LinkNumber};
use tenure_core::id::WallTime;
use tenure_core::name::Namespace;
use tenure_core::step::{CountingProbe, Span, Time};
use tenure_mem::store::{Store, StoreConfig};
use tokio::sync::{mpsc, watch};

/// What wall clocks show when a run starts.
const WALL_START: WallTime = WallTime(1_700_000_000_000);

/// More pieces of work than any run has that makes progress, and than any has at one moment of simulated
/// time.
const POLLS_MAX: u64 = 20_000_000;
const POLLS_AT_ONCE_MAX: u64 = 500_000;

/// One life of a node: a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Home {
    pub(super) node: usize,
    pub(super) life: u32,
}

impl Home {
    /// Whoever tests: it is on no node, and nothing befalls it.
    pub(super) const TESTER: Self = Self {
        node: usize::MAX,
        life: 0,
    };
}

impl From<Home> for Lane {
    fn from(home: Home) -> Self {
        match home {
            Home::TESTER => Self::Callers,
            Home { node, .. } => Self::Node(node),
        }
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TESTER => f.write_str("test"),
            Self { node, life } => write!(f, "n{node}.{life}"),
        }
    }
}

/// Nothing is ready, and nothing will ever come.
pub(super) struct Stuck;

impl From<Stuck> for Violation {
    fn from(_: Stuck) -> Self {
        Self {
            class: Class::Liveness,
            oracle: "progress",
            what: "all tasks wait for something that never comes".into(),
        }
    }
}

/// A sleep.
pub(super) struct Timer {
    pub(super) waker: Waker,
    /// What happened when it began, where that is told: of whoever tests.
    pub(super) cause: u64,
}

/// One node.
pub(super) struct Node {
    pub(super) life: u32,
    pub(super) alive: bool,
    pub(super) linked: bool,
    /// The link that it has, or had last.
    pub(super) link: LinkNumber,
    pub(super) clock: Clock,
    /// Each sleep by when it ends, on the node's clock.
    pub(super) timers: BTreeMap<(Time, u64), Timer>,
    /// What its wall clock is ahead by, in milliseconds.
    pub(super) skew_ms: u64,
    /// Until when it does nothing, in true nanoseconds: it works, or stands still.
    pub(super) busy_until: u64,
    /// Until when it stands still, in true nanoseconds.
    pub(super) still_until: u64,
    /// When it stood still, in all of its lives.
    pub(super) stood_still: Vec<Range<u64>>,
    /// Until when all that it does takes long, in true nanoseconds.
    pub(super) slow_until: u64,
    pub(super) inboxes: Vec<mpsc::Sender<Inbound>>,
    /// Its running program's handle.
    pub(super) tenure: Option<Tenure>,
    /// It is not meant to come back.
    pub(super) given_up: bool,
    /// Its link is gone when it goes on after a suspension.
    pub(super) suspended: bool,
    /// What it believes, and until when its lease lasts, where somebody reads of it.
    pub(super) beliefs: Beliefs,
    pub(super) lease_until: Option<u64>,
}

/// A task that is new.
pub(super) struct Spawned {
    pub(super) id: TaskId,
    pub(super) home: Home,
    pub(super) work: Work,
}

/// What the executor has to take in.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) spawned: Vec<Spawned>,
    pub(super) aborted: Vec<TaskId>,
    pub(super) died: BTreeSet<Home>,
    /// Dropped where the world is not locked.
    pub(super) trash: Vec<Box<dyn Any + Send>>,
}

impl Changes {
    pub(super) fn is_none(&self) -> bool {
        self.spawned.is_empty()
            && self.aborted.is_empty()
            && self.died.is_empty()
            && self.trash.is_empty()
    }
}

/// What runs on a node from its start on.
pub(super) type Program = Arc<dyn Fn(super::shell::SimShell) -> Work + Send + Sync>;

/// The world of a run, behind its lock.
pub(super) struct World {
    state: Mutex<State>,
    pub(super) ready: Arc<Ready>,
    /// Rises whenever a node's program is up, or is not any more.
    pub(super) ups: watch::Sender<u64>,
}

impl World {
    pub(super) fn new(plan: Plan, program: Program, trace: Trace) -> Arc<Self> {
        let (ups, _) = watch::channel(0);
        let ready = Arc::<Ready>::default();
        Arc::new_cyclic(|world| Self {
            state: Mutex::new(State::new(
                plan,
                program,
                trace,
                (world.clone(), Arc::clone(&ready)),
            )),
            ready,
            ups,
        })
    }

    /// Locks it. A panic elsewhere ends the run in any case.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all nodes of a run share.
pub(super) struct State {
    pub(super) plan: Plan,
    pub(super) draws: Draws,
    /// True time, in nanoseconds.
    pub(super) now: u64,
    ordinal: u64,
    polls: u64,
    /// When the last piece of work began, and how many did then.
    at_once: (u64, u64),
    /// What happens of itself, each with what led to it.
    queue: BTreeMap<(u64, u64), (u64, Event)>,
    pub(super) nodes: Vec<Node>,
    pub(super) tester: Node,
    pub(super) namespace: Namespace,
    pub(super) store: Store,
    /// By how many milliseconds the store's wall clock is ahead.
    pub(super) store_skew_ms: u64,
    pub(super) wire: Wire,
    pub(super) network: Network,
    /// What was stored, what is there no more among it.
    pub(super) written: Written,
    next_task: TaskId,
    changes: Changes,
    pub(super) program: Program,
    pub(super) world: std::sync::Weak<World>,
    ready: Arc<Ready>,
    pub(super) healed: bool,
    pub(super) probe: CountingProbe,
    pub(super) trace: Trace,
    /// Of what nothing is promised any more, beside the leased class.
    pub(super) voids: Voids,
    pub(super) broken: Option<Violation>,
}

impl State {
    fn new(
        plan: Plan,
        program: Program,
        trace: Trace,
        (world, ready): (std::sync::Weak<World>, Arc<Ready>),
    ) -> Self {
        let mut config = match plan.servers() {
            1 => StoreConfig::default(),
            servers => StoreConfig::clustered(servers),
        };
        config.removed_max = REMOVED_MAX;
        let nodes = (0..plan.nodes)
            .map(|node| Node::away(plan.skew_ms[node]))
            .collect();
        let namespace = Namespace::new(&plan.namespace).expect("a name that was checked");
        let written = Written::new(&plan, &namespace);
        let mut trace = trace;
        trace.has_shards(plan.shards);
        let mut tester = Node::away(0);
        tester.alive = true;
        let mut draws = Draws::new(plan.seed);
        for fault in &plan.without {
            draws.deviations.leave_out(*fault);
        }
        if let Some(only) = &plan.only {
            draws.deviations.restrict(only.clone());
        }
        Self {
            draws,
            now: 0,
            ordinal: 0,
            polls: 0,
            at_once: (0, 0),
            queue: BTreeMap::new(),
            nodes,
            tester,
            namespace,
            store: Store::new(config),
            store_skew_ms: 0,
            wire: Wire::default(),
            network: Network::default(),
            written,
            next_task: 1,
            changes: Changes::default(),
            program,
            world,
            ready,
            healed: false,
            probe: CountingProbe::default(),
            trace,
            voids: Voids::default(),
            broken: None,
            plan,
        }
    }

    /// Goes on to a true time: what is due happens.
    pub(super) fn advance(&mut self, to: u64) -> Result<(), Violation> {
        self.now = self.now.max(to);
        self.draws.deviations.clock(self.now);
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (cause, event) = entry.remove();
            let event = match self.network.clogs.is_empty() {
                true => Some(event),
                false => self.held_up(cause, event),
            };
            if let Some(event) = event {
                self.begins(cause);
                self.event(event);
            }
        }
        if self.now > self.plan.within.as_nanos() {
            self.broken.get_or_insert_with(|| self.plan.unending());
        }
        self.fire_timers();
        match self.broken.take() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }

    /// When something happens next of itself.
    pub(super) fn next_due(&self) -> Option<u64> {
        let event = self.queue.first_key_value().map(|((at, _), _)| *at);
        let timers = self.nodes.iter().chain([&self.tester]);
        let timers = timers.filter_map(|node| {
            let ((at, _), _) = node.timers.first_key_value()?;
            node.clock.when(*at)
        });
        timers.chain(event).min()
    }

    fn fire_timers(&mut self) {
        let now = self.now;
        // What a timer wakes was led to by nobody, but for what a test waits for: that goes on from there.
        let (trace, ready) = (&mut self.trace, &self.ready);
        let mut began = None;
        for node in self.nodes.iter_mut().chain([&mut self.tester]) {
            let shown = node.clock.at(now);
            while let Some(timer) = node.timers.first_entry() {
                if timer.key().0 > shown {
                    break;
                }
                let timer = timer.remove();
                if began.replace(timer.cause) != Some(timer.cause) {
                    ready.begins(trace.begins(timer.cause));
                }
                timer.waker.wake();
            }
        }
    }

    /// From when on a home does something.
    pub(super) fn free_at(&self, home: Home) -> u64 {
        self.node(home).map_or(0, |node| node.busy_until)
    }

    /// Draws one of so many.
    pub(super) fn pick(&mut self, count: usize) -> Option<usize> {
        match count {
            0 => None,
            1 => Some(0),
            count => {
                let index = self.draws.below(What::Pick, 0, count as u64);
                Some(usize::try_from(index).expect("an index fits"))
            }
        }
    }

    /// Something begins that another event led to.
    pub(super) fn begins(&mut self, cause: u64) {
        self.ready.begins(self.trace.begins(cause));
    }

    /// A piece of a task begins; it takes its time.
    pub(super) fn begin(&mut self, task: TaskId, home: Home, cause: u64) {
        self.polls += 1;
        self.begins(cause);
        self.trace.note(1, &[self.now, task]);
        self.at_once = match self.at_once {
            (at, count) if at == self.now => (at, count + 1),
            _ => (self.now, 1),
        };
        if self.polls > POLLS_MAX {
            self.stands(format!("more than {POLLS_MAX} pieces of work"));
        }
        if self.at_once.1 > POLLS_AT_ONCE_MAX {
            let what = "no simulated time passes in more than";
            self.stands(format!("{what} {POLLS_AT_ONCE_MAX} pieces of work: something waits by asking again and again"));
        }
        if home == Home::TESTER {
            self.trace.tests();
            return;
        }
        let now = self.now;
        let slow = self.nodes[home.node].slow_until > now;
        let longest = match slow {
            false => Span::from_micros(4),
            true => Span::from_millis(2),
        };
        let row = home.node as u64;
        let work = self
            .draws
            .span(What::Piece, row, Span::from_nanos(200), longest);
        let node = &mut self.nodes[home.node];
        node.busy_until = node.busy_until.max(now + work.as_nanos());
    }

    /// The run makes no progress: it is told as soon as the next event comes.
    fn stands(&mut self, what: String) {
        self.broken.get_or_insert(Violation {
            class: Class::Liveness,
            oracle: "progress",
            what,
        });
        self.at(Span::ZERO, Event::Look);
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Tells what happened, where somebody reads it.
    pub(super) fn tell(
        &mut self,
        lane: impl Into<Lane>,
        kind: Kind,
        text: impl FnOnce() -> String,
    ) {
        self.trace.tell(self.now, lane.into(), kind, text);
    }

    /// Whether a fault comes.
    pub(super) fn strikes(&mut self, fault: Fault, row: (What, u64), per_mille: u64) -> bool {
        !self.healed && self.draws.strikes(fault, row, per_mille)
    }

    pub(super) fn spawn(&mut self, home: Home, work: Work) -> TaskId {
        let id = self.next_task;
        self.next_task += 1;
        if self.lives(home) {
            self.changes.spawned.push(Spawned { id, home, work });
        } else {
            self.trash(work);
        }
        id
    }

    pub(super) fn abort(&mut self, id: TaskId) {
        self.changes.aborted.push(id);
    }

    pub(super) fn trash(&mut self, it: impl Any + Send) {
        self.changes.trash.push(Box::new(it));
    }

    pub(super) fn died(&mut self, home: Home) {
        self.changes.died.insert(home);
    }

    pub(super) fn at(&mut self, after: Span, event: Event) {
        self.ordinal += 1;
        let at = self.now + after.as_nanos();
        let cause = self.trace.event();
        self.queue.insert((at, self.ordinal), (cause, event));
    }

    pub(super) fn lives(&self, home: Home) -> bool {
        self.node(home).is_some()
    }

    /// A home while it lives.
    pub(super) fn node(&self, home: Home) -> Option<&Node> {
        if home == Home::TESTER {
            return Some(&self.tester);
        }
        let node = self.nodes.get(home.node)?;
        (node.alive && node.life == home.life).then_some(node)
    }

    pub(super) fn node_mut(&mut self, home: Home) -> Option<&mut Node> {
        if home == Home::TESTER {
            return Some(&mut self.tester);
        }
        let node = self.nodes.get_mut(home.node)?;
        (node.alive && node.life == home.life).then_some(node)
    }

    /// The clock of a home; of one that ended the tester's.
    pub(super) fn clock(&self, home: Home) -> Clock {
        self.node(home).unwrap_or(&self.tester).clock
    }

    pub(super) fn wall(&self, home: Home) -> WallTime {
        let skew = self.node(home).map_or(0, |node| node.skew_ms);
        WallTime(WALL_START.0 + self.now / 1_000_000 + skew)
    }

    pub(super) fn store_wall(&self) -> WallTime {
        WallTime(WALL_START.0 + self.now / 1_000_000 + self.store_skew_ms)
    }

    /// How long something travels.
    pub(super) fn travel(&mut self, row: u64) -> Span {
        let (least, most) = (Span::from_micros(50), Span::from_millis(2));
        self.draws.span(What::Travel, row, least, most)
    }

    /// Ends every life.
    pub(super) fn end_all(&mut self) {
        self.queue.clear();
        let lasted = self.trace.lasted();
        for node in 0..self.nodes.len() {
            if self.nodes[node].alive {
                self.dies(node);
            }
        }
        // That the run is over befell nobody.
        self.trace.forget(lasted);
        let flights = std::mem::take(&mut self.wire);
        self.trash(flights);
        let network = std::mem::take(&mut self.network);
        self.trash(network);
    }
}

impl Node {
    fn away(skew_ms: u64) -> Self {
        Self {
            life: 0,
            alive: false,
            linked: true,
            link: LinkNumber(0),
            clock: Clock::new(0, 0),
            timers: BTreeMap::new(),
            skew_ms,
            busy_until: 0,
            still_until: 0,
            stood_still: Vec::new(),
            slow_until: 0,
            inboxes: Vec::new(),
            tenure: None,
            given_up: false,
            suspended: false,
            beliefs: Beliefs::default(),
            lease_until: None,
        }
    }
}
