//! The world of a story about the log: one store, some nodes with a shard and a bank each, one
//! clock, and what goes wrong between them.

mod begin;
mod check;
mod drive;
mod later;
pub(crate) mod place;
mod store;

use crate::bank::Bank;
use crate::show::{Class, Names};
use crate::story::clock;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tenure_core::cache::{Cache, StockAt};
use tenure_core::format::{TakeOver, WriteMode};
use tenure_core::id::{CommandId, Incarnation, LayoutId, OpId, Sequence, Ticket, WallTime};
use tenure_core::log::{CacheCounts, Delivery, Dispatch, Reply, Shard, SnapshotPolicy, Work};
use tenure_core::port::{Refused, StoreReply, StoreRequest};
use tenure_core::step::CountingProbe;
use tenure_core::{Dice, Limits, Span, Time};
use tenure_mem::store::{Store, StoreConfig};

/// The wall clock at the world's start.
pub(crate) const WALL_START_MS: u64 = 1_000_000_000;
/// More steps than any story needs.
const STEPS_MAX: usize = 200_000;

/// What a world is.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) nodes: Vec<String>,
    pub(crate) mode: WriteMode,
    pub(crate) replicated: bool,
    pub(crate) limits: Limits,
    pub(crate) snapshots: SnapshotPolicy,
    pub(crate) snapshot_schema: u16,
    pub(crate) cached: bool,
    pub(crate) local_replies: bool,
    pub(crate) class: TakeOver,
    /// Whether entities may have timers and send messages.
    pub(crate) later: bool,
    /// The layout that nodes know which are started now.
    pub(crate) layout: LayoutId,
    pub(crate) payload_bytes_max: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            mode: WriteMode::Direct,
            replicated: false,
            limits: {
                let mut limits = Limits::default();
                // Its own story shows it.
                limits.index_pause = Span::ZERO;
                limits
            },
            snapshots: SnapshotPolicy::never(),
            snapshot_schema: 1,
            cached: true,
            local_replies: false,
            class: TakeOver::Fenced,
            later: false,
            layout: LayoutId(1),
            payload_bytes_max: 1 << 20,
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits before the store until it is released.
    Held,
    /// It is carried out at once, and its answer waits until it is released.
    Slow,
    /// It is carried out, and its answer is lost.
    AnswerLost,
    /// It is lost on the way.
    Lost,
    /// It is given up, and arrives when the script says so.
    Late,
    /// The store says no.
    Refused(Refused),
    /// A leader that is replaced says no, and its successor carries it out.
    Heard(Refused),
    /// It is refused, and its bytes come to the store later.
    LateRefused(Refused),
    /// It is answered by a server that knows the stream up to here only.
    Stale(Sequence),
    /// What it brings has a wrong byte.
    Corrupt,
    /// The host's code for snapshots fails.
    Fails,
}

/// Something that a node waits for.
#[derive(Clone, Debug)]
struct Job {
    node: String,
    op: OpId,
    task: Task,
    /// It was held up once; no further fault meets it.
    released: bool,
}

#[derive(Clone, Debug)]
enum Task {
    Store(StoreRequest),
    Work(Work),
    Wall,
    Dispatch(Box<Dispatch>),
    /// What came of a message is told its sender.
    Delivered(Delivery),
}

struct Node {
    shard: Shard,
    bank: Bank,
    cache: Cache<()>,
    stock_at: StockAt,
    dice: Dice,
}

/// The world of a story.
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) names: Names,
    pub(crate) probe: CountingProbe,
    /// Whether what happens is told.
    pub(crate) loud: bool,
    store: Store,
    now: Time,
    nodes: BTreeMap<String, Node>,
    jobs: VecDeque<Job>,
    held: Vec<Job>,
    slow: Vec<(String, OpId, StoreReply)>,
    late: Vec<Job>,
    faults: Vec<(String, Class, Fate)>,
    /// Sequences that no server finds any more.
    vanished: BTreeSet<Sequence>,
    /// Entities that no message reaches.
    pub(crate) away: BTreeSet<String>,
    /// Who waits for a reply, and at which node.
    callers: BTreeMap<Ticket, String>,
    /// What each caller was told.
    told: BTreeMap<Ticket, Reply>,
    /// Works and messages that nodes sent when they owned the shard before.
    strays: BTreeSet<(String, OpId)>,
    /// Messages that are at their receiver: the sender, and its operation.
    dispatched: BTreeMap<Ticket, (String, OpId)>,
    commands: BTreeMap<String, CommandId>,
    boots: u64,
    /// The node of each run.
    runs: BTreeMap<Incarnation, String>,
    /// The stream was damaged on purpose.
    damaged: bool,
    lines: Vec<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            setup: Setup::default(),
            names: Names::default(),
            probe: CountingProbe::default(),
            loud: true,
            away: BTreeSet::new(),
            store: Store::new(StoreConfig::default()),
            now: Time::ZERO,
            nodes: BTreeMap::new(),
            jobs: VecDeque::new(),
            held: Vec::new(),
            slow: Vec::new(),
            late: Vec::new(),
            faults: Vec::new(),
            vanished: BTreeSet::new(),
            callers: BTreeMap::new(),
            told: BTreeMap::new(),
            strays: BTreeSet::new(),
            dispatched: BTreeMap::new(),
            commands: BTreeMap::new(),
            boots: 0,
            runs: BTreeMap::new(),
            damaged: false,
            lines: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn wall(&self) -> WallTime {
        WallTime(WALL_START_MS + self.now.as_nanos() / 1_000_000)
    }

    pub(crate) fn is_node(&self, name: &str) -> bool {
        self.nodes.contains_key(name)
    }

    /// How many entities a node has in memory, and how often one was there that was asked for.
    #[allow(dead_code, reason = "stories tell which are forgotten")]
    pub(crate) fn cached(&self, node: &str) -> (usize, CacheCounts) {
        let shard = &self.nodes[node].shard;
        (shard.entities_held(), shard.cache_counts())
    }

    /// What a caller was told.
    #[allow(dead_code, reason = "stories read it, the log's properties ask for it")]
    pub(crate) fn told(&self, ticket: Ticket) -> Option<&Reply> {
        self.told.get(&ticket)
    }

    /// A command id that scripts call by a name; made at its first use, so many milliseconds from
    /// then.
    pub(crate) fn command(&mut self, name: &str, offset_ms: i64) -> CommandId {
        let time = WallTime(self.wall().0.saturating_add_signed(offset_ms));
        let next = self.commands.len() as u128 + 1;
        let id = self.commands.entry(name.to_owned());
        *id.or_insert_with(|| CommandId::new(time, next))
    }

    pub(crate) fn say(&mut self, text: String) {
        if self.loud {
            self.lines.push(text);
        }
    }

    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn line(&mut self, node: &str, mark: char, text: &str) {
        let line = format!("{} {node} {mark} {text}", clock(self.now));
        self.say(line);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.lines.join("\n"));
        }
    }
}
