//! The world of a story about the log: one store, some nodes with a shard and a bank each, one
//! clock, and what goes wrong between them.

use crate::bank::{Bank, Order};
use crate::show::{Class, Names, subject};
use crate::story::clock;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tenure_core::cache::Cache;
use tenure_core::format::{
    Anchor, Codec, Commit, KindRecord, Layout, LayoutKey, Metadata, Ownership, Placement, TakeOver,
    Unknown, WriteMode,
};
use tenure_core::id::{
    CommandId, Epoch, Incarnation, KindId, LayoutId, OpId, Partition, Sequence, ShardId, Ticket,
    Version, WallTime,
};
use tenure_core::log::{
    Base, Effect, Expected, FoldError, Freshness, Input, KindConfig, KindIndex, Ran, Read, Reply,
    Shape, Shard, ShardConfig, SnapshotPolicy, Submit, Work,
};
use tenure_core::name::{EntityId, KindName, Namespace};
use tenure_core::port::{
    Expect, Message, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, StreamName,
    StreamSettings, Subject,
};
use tenure_core::shard::Report;
use tenure_core::step::{CountingProbe, Outcome};
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Time};
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
    pub(crate) payload_bytes_max: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            mode: WriteMode::Direct,
            replicated: false,
            limits: Limits::default(),
            snapshots: SnapshotPolicy::never(),
            snapshot_schema: 1,
            cached: true,
            local_replies: false,
            class: TakeOver::Fenced,
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
}

struct Node {
    shard: Shard,
    bank: Bank,
    cache: Cache<()>,
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
    layout: Layout,
    now: Time,
    nodes: BTreeMap<String, Node>,
    jobs: VecDeque<Job>,
    held: Vec<Job>,
    slow: Vec<(String, OpId, StoreReply)>,
    late: Vec<Job>,
    faults: Vec<(String, Class, Fate)>,
    /// Sequences that no server finds any more.
    vanished: BTreeSet<Sequence>,
    /// Who waits for a reply, and at which node.
    callers: BTreeMap<Ticket, String>,
    /// What each caller was told.
    told: BTreeMap<Ticket, Reply>,
    commands: BTreeMap<String, CommandId>,
    boots: u64,
    /// The node of each run.
    runs: BTreeMap<Incarnation, String>,
    /// The stream was damaged on purpose.
    damaged: bool,
    lines: Vec<String>,
}

fn namespace() -> Namespace {
    Namespace::new("bank").expect("a namespace")
}

pub(crate) fn event_stream() -> StreamName {
    namespace().event_stream(Partition(0))
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            setup: Setup::default(),
            names: Names::default(),
            probe: CountingProbe::default(),
            loud: true,
            store: Store::new(StoreConfig::default()),
            layout: Layout::new(LayoutId(1), LayoutKey(1), WallTime(0), 1, 1),
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
            commands: BTreeMap::new(),
            boots: 0,
            runs: BTreeMap::new(),
            damaged: false,
            lines: Vec::new(),
        }
    }

    /// Creates the streams and starts the nodes.
    pub(crate) fn open(&mut self, setup: Setup) {
        let replicas = if setup.replicated { 3 } else { 1 };
        let mut config = match setup.replicated {
            true => StoreConfig::clustered(3),
            false => StoreConfig::default(),
        };
        config.removed_max = 1_000;
        config.capabilities.payload_bytes_max = setup.payload_bytes_max;
        self.store = Store::new(config);
        self.setup = setup;
        let ns = namespace();
        let subjects = ns.event_stream_subjects(&self.layout, Partition(0));
        let events = StreamSettings::event_log(event_stream(), subjects, replicas);
        let subjects = ns.snapshot_stream_subjects();
        let snapshots = StreamSettings::snapshots(ns.snapshot_stream(), subjects, replicas);
        for settings in [events, snapshots] {
            self.must(&StoreRequest::CreateStream(settings));
        }
        let anchor = Anchor {
            layout: self.layout.id,
            stream: Partition(0),
            unknown: Unknown::default(),
        };
        self.must(&StoreRequest::Publish(Publish {
            stream: event_stream(),
            subject: ns.anchor_subject(Partition(0)),
            expect: Expect::OwnLast(Sequence::NONE),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: anchor.encode(),
        }));
        for name in self.setup.nodes.clone() {
            self.boot(&name);
        }
    }

    fn must(&mut self, request: &StoreRequest) {
        let reply = self.store.apply(self.wall(), request);
        assert!(matches!(reply, Outcome::Done(_)), "{request:?}: {reply:?}");
    }

    /// Starts a node, or starts it again with nothing in memory.
    pub(crate) fn boot(&mut self, name: &str) {
        self.boots += 1;
        self.jobs.retain(|job| job.node != name);
        self.held.retain(|job| job.node != name);
        self.slow.retain(|(node, ..)| node != name);
        self.callers.retain(|_, node| node != name);
        let config = ShardConfig {
            namespace: namespace(),
            layout: self.layout.id,
            key: self.layout.key,
            shard: ShardId(0),
            stream: Partition(0),
            class: self.setup.class,
            mode: self.setup.mode,
            incarnation: Incarnation(u128::from(self.boots)),
            node: name.to_owned(),
        };
        let node = Node {
            shard: Shard::new(config, self.setup.limits),
            bank: Bank::default(),
            cache: Cache::new(&self.setup.limits, 0, 1),
            dice: Dice::new(u128::from(self.boots)),
        };
        self.nodes.insert(name.to_owned(), node);
        self.runs
            .insert(Incarnation(u128::from(self.boots)), name.to_owned());
        let record = KindRecord {
            id: KindId(1),
            layout: self.layout.id,
            name: KindName::new("account").expect("a kind's name"),
            mode: self.setup.mode,
            class: self.setup.class,
            codec: Codec::Cbor,
            placement: Placement::Whole,
            unknown: Unknown::default(),
        };
        let kind = KindConfig {
            record,
            snapshots: self.setup.snapshots,
            snapshot_schema: self.setup.snapshot_schema,
            cached: self.setup.cached,
            local_replies: self.setup.local_replies,
        };
        self.step(name, Input::Kind(kind));
        self.up(name);
    }

    pub(crate) fn up(&mut self, name: &str) {
        let shape = Shape {
            replicated: self.setup.replicated,
            payload_bytes_max: self.setup.payload_bytes_max,
        };
        self.step(name, Input::Up(shape));
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

    /// A caller comes with an order.
    #[allow(clippy::too_many_arguments, reason = "the parts of one command")]
    pub(crate) fn submit(
        &mut self,
        node: &str,
        ticket: Ticket,
        entity: &str,
        order: Order,
        id: Option<CommandId>,
        expected: Expected,
        metadata: Option<Metadata>,
        at_least: Sequence,
        deadline: Time,
    ) {
        self.arrive(node, ticket, order);
        let submit = Submit {
            ticket,
            kind: KindIndex(0),
            entity: EntityId::new(entity).expect("an entity's id"),
            id,
            expected,
            metadata: metadata.map(Arc::new),
            wall: self.wall(),
            at_least,
            deadline,
        };
        self.step(node, Input::Submit(submit));
    }

    /// A caller comes with a question.
    pub(crate) fn read(
        &mut self,
        node: &str,
        ticket: Ticket,
        entity: &str,
        freshness: Freshness,
        at_least: Sequence,
        deadline: Time,
    ) {
        self.arrive(node, ticket, Order::Ask);
        let read = Read {
            ticket,
            kind: KindIndex(0),
            entity: EntityId::new(entity).expect("an entity's id"),
            freshness,
            at_least,
            deadline,
        };
        self.step(node, Input::Read(read));
    }

    fn arrive(&mut self, node: &str, ticket: Ticket, order: Order) {
        let fresh = self.callers.insert(ticket, node.to_owned()).is_none()
            && !self.told.contains_key(&ticket);
        assert!(fresh, "{ticket:?} was used before");
        let node = self.nodes.get_mut(node).expect("a node");
        node.bank.take(ticket, order);
    }

    /// Lets a machine take one input, and queues what it wants done.
    pub(crate) fn step(&mut self, name: &str, input: Input) {
        let node = self.nodes.get_mut(name).expect("a node");
        let mut out = Effects::new(self.setup.limits.effects_max);
        let mut cx = Cx {
            now: self.now,
            dice: node.dice,
            probe: &mut self.probe,
        };
        node.shard.step(&mut cx, input, &mut out);
        let stock = node.shard.stock();
        node.cache.set((), stock);
        let excess = node.cache.excess();
        for effect in out.drain() {
            self.effect(name, effect);
        }
        if excess.is_some() {
            self.step(name, Input::Evict);
        }
    }

    fn effect(&mut self, name: &str, effect: Effect) {
        match effect {
            Effect::Store { op, request } => {
                for (n, text) in self.names.request(&request).iter().enumerate() {
                    let text = match n {
                        0 => format!("{op:?} {text}"),
                        _ => text.clone(),
                    };
                    self.line(name, '>', &text);
                }
                self.job(name, op, Task::Store(request));
            }
            Effect::Run { op, work } => self.job(name, op, Task::Work(work)),
            Effect::Reply { ticket, reply } => {
                let waited = self.callers.remove(&ticket).is_some();
                assert!(waited, "{ticket:?} got two replies (L6)");
                let node = self.nodes.get_mut(name).expect("a node");
                let said = node.bank.answer(ticket, &reply);
                let text = self.names.reply(&reply, said);
                self.line(name, '=', &format!("{ticket:?} {text}"));
                self.told.insert(ticket, reply);
            }
            Effect::Forget { slot } => {
                let node = self.nodes.get_mut(name).expect("a node");
                let text = node.bank.forget(slot);
                self.line(name, '.', &text);
            }
            Effect::Report(report) => {
                let text = self.report(&report);
                self.line(name, '!', &text);
            }
            Effect::Note(note) => {
                let text = self.names.note(&note);
                self.line(name, '!', &text);
            }
            Effect::Halt(reason) => panic!("{name} halts: {reason}"),
        }
    }

    fn report(&mut self, report: &Report) -> String {
        let whose = |run: &Incarnation| self.runs.get(run).cloned().unwrap_or_default();
        let to = match report {
            Report::HandedOver { to, .. } => whose(to),
            Report::Owned(_)
            | Report::Rival { .. }
            | Report::Released { .. }
            | Report::Lost { .. }
            | Report::Failed { .. } => String::new(),
        };
        self.names.report(report, &to)
    }

    /// The epoch that an ownership record is.
    pub(crate) fn recorded(&self, sequence: Sequence) -> Result<Epoch, String> {
        let messages = self.messages(&event_stream());
        let record = messages.iter().find(|m| m.sequence == sequence);
        let record = record.and_then(|m| Ownership::decode(&m.payload).ok());
        let claim = record.ok_or("an ownership record")?.claim;
        Ok(Epoch { sequence, claim })
    }

    /// The latest run of a node.
    pub(crate) fn run_of(&self, node: &str) -> Incarnation {
        let of = self.runs.iter().filter(|(_, name)| *name == node);
        let latest = of.map(|(run, _)| *run).next_back();
        latest.expect("a node that was started")
    }

    fn job(&mut self, name: &str, op: OpId, task: Task) {
        let node = name.to_owned();
        let released = false;
        self.jobs.push_back(Job {
            node,
            op,
            task,
            released,
        });
    }

    /// Answers everything, wave by wave, and lets time pass where a machine waits to try again.
    pub(crate) fn run(&mut self, only: Option<&str>) {
        for _ in 0..STEPS_MAX {
            let wave = self.wave(only);
            if !wave.is_empty() {
                for job in wave {
                    self.serve(job);
                }
            } else if !self.pass_to_retry(only) {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// As [`run`](Self::run), told as one line per round trip to the store.
    pub(crate) fn run_by_rounds(&mut self, only: Option<&str>) {
        let mut round = 0;
        loop {
            let wave = self.wave(only);
            if wave.is_empty() {
                return;
            }
            let mut counts: BTreeMap<Class, usize> = BTreeMap::new();
            for job in &wave {
                if let Task::Store(request) = &job.task {
                    *counts.entry(Class::of(request)).or_default() += 1;
                }
            }
            if !counts.is_empty() {
                round += 1;
                let counts = counts.iter();
                let counts: Vec<_> = counts.map(|(c, n)| format!("{n} {}", c.name())).collect();
                self.say(format!("round trip {round}: {}", counts.join(", ")));
            }
            let quiet = self.lines.len();
            for job in wave {
                self.serve(job);
            }
            // Replies and what the host did are told; requests and answers are not.
            let told = self.lines.split_off(quiet);
            let brief = |line: &String| {
                let mark = line.split_whitespace().nth(2);
                !matches!(mark, Some(">" | "<"))
            };
            self.lines.extend(told.into_iter().filter(brief));
        }
    }

    fn wave(&mut self, only: Option<&str>) -> Vec<Job> {
        let mine = |job: &Job| only.is_none_or(|name| job.node == name);
        let jobs = std::mem::take(&mut self.jobs);
        let (wave, rest): (VecDeque<_>, VecDeque<_>) = jobs.into_iter().partition(mine);
        self.jobs = rest;
        wave.into()
    }

    /// Passes to the next repetition of a node; whether there was one.
    fn pass_to_retry(&mut self, only: Option<&str>) -> bool {
        let next = self.nodes.iter();
        let next = next
            .filter(|(name, _)| only.is_none_or(|only| *name == only))
            .filter_map(|(name, node)| Some((node.shard.next_deadline()?, name.clone())))
            .min();
        let Some((deadline, name)) = next.filter(|(d, _)| d.timer != "caller") else {
            return false;
        };
        self.now = self.now.max(deadline.at);
        self.line(&name, '*', &format!("timer: {}", deadline.timer));
        self.step(&name, Input::Tick);
        true
    }

    /// Lets time pass, and nothing else but timers.
    pub(crate) fn advance(&mut self, end: Time) {
        loop {
            let next = self.nodes.iter();
            let next = next
                .filter_map(|(name, node)| Some((node.shard.next_deadline()?, name.clone())))
                .min();
            let Some((deadline, name)) = next.filter(|(d, _)| d.at <= end) else {
                break;
            };
            self.now = self.now.max(deadline.at);
            self.line(&name, '*', &format!("timer: {}", deadline.timer));
            self.step(&name, Input::Tick);
        }
        self.now = end;
    }

    fn serve(&mut self, job: Job) {
        let Job {
            node,
            op,
            task,
            released,
        } = job;
        let class = match &task {
            Task::Store(request) => Class::of(request),
            Task::Work(_) => Class::Host,
        };
        let snapshots = match &task {
            Task::Work(work) => is_of_snapshots(work),
            Task::Store(_) => false,
        };
        let fault = self.faults.iter().position(|(n, c, fate)| {
            (n.as_str(), *c) == (node.as_str(), class)
                && !released
                && (*fate != Fate::Fails || snapshots)
        });
        let fate = fault.map(|place| self.faults.remove(place).2);
        match task {
            Task::Work(work) => match fate {
                None => {
                    let host = self.nodes.get_mut(&node).expect("a node");
                    let (ran, text) = host.bank.run(&work);
                    self.line(&node, '.', &text);
                    self.step(&node, Input::Ran { op, ran });
                }
                Some(Fate::Fails) => {
                    // What failed is the user's code: the host settles its state all the same.
                    if matches!(work, Work::Snapshot { .. }) {
                        let host = self.nodes.get_mut(&node).expect("a node");
                        host.bank.run(&work);
                    }
                    let ran = match work {
                        Work::Fold { .. } => Ran::Folded(Err(FoldError::Snapshot {
                            cause: "restore panicked".to_owned(),
                        })),
                        Work::Snapshot { .. } | Work::Decide { .. } | Work::Answer { .. } => {
                            Ran::Snapshotted(Err("snapshot panicked".to_owned()))
                        }
                    };
                    self.line(&node, 'x', &format!("the host fails at {op:?}"));
                    self.step(&node, Input::Ran { op, ran });
                }
                Some(fate) => {
                    assert_eq!(fate, Fate::Held, "the host can only be slow or fail");
                    self.line(&node, 'x', &format!("the host is slow with {op:?}"));
                    self.held.push(Job {
                        node,
                        op,
                        task: Task::Work(work),
                        released: true,
                    });
                }
            },
            Task::Store(request) => self.store_answers(&node, op, request, fate),
        }
    }

    fn store_answers(&mut self, node: &str, op: OpId, request: StoreRequest, fate: Option<Fate>) {
        let at = self.wall();
        let job = |request| Job {
            node: node.to_owned(),
            op,
            task: Task::Store(request),
            released: true,
        };
        let reply = match fate {
            None => self.apply(&request),
            Some(Fate::Held) => {
                self.line(node, 'x', &format!("{op:?} is held up"));
                self.held.push(job(request));
                return;
            }
            Some(Fate::Slow) => {
                let reply = self.apply(&request);
                let answer = self.names.answer(&reply);
                self.line(node, 'x', &format!("{op:?} {answer}; the answer is slow"));
                self.slow.push((node.to_owned(), op, reply));
                return;
            }
            Some(Fate::AnswerLost) => {
                let answer = self.apply(&request);
                let answer = self.names.answer(&answer);
                self.line(node, 'x', &format!("{op:?} {answer}; the answer is lost"));
                Outcome::Unknown
            }
            Some(Fate::Lost) => {
                self.line(node, 'x', &format!("{op:?} is lost on the way"));
                Outcome::Unknown
            }
            Some(Fate::Late) => {
                self.line(node, 'x', &format!("{op:?} is late and given up"));
                self.late.push(job(request));
                Outcome::Unknown
            }
            Some(Fate::Refused(refused)) => Outcome::Refused(refused),
            Some(Fate::Stale(up_to)) => {
                let text = format!("{op:?} meets a server that knows the stream up to {up_to:?}");
                self.line(node, 'x', &text);
                self.store.answer_as_of(at, up_to, &request)
            }
            Some(Fate::Corrupt) => {
                self.line(node, 'x', &format!("{op:?} brings a wrong byte"));
                corrupted(self.apply(&request))
            }
            Some(Fate::Fails) => panic!("only the host fails"),
        };
        let text = self.names.answer(&reply);
        self.line(node, '<', &format!("{op:?} {text}"));
        self.step(node, Input::Stored { op, reply });
    }

    fn apply(&mut self, request: &StoreRequest) -> StoreReply {
        if let StoreRequest::Get { sequence, .. } = request
            && self.vanished.contains(sequence)
        {
            return Outcome::Refused(Refused::NotFound);
        }
        if self.store.next_expiry().is_some_and(|at| at <= self.wall()) {
            self.store.expire(self.wall());
        }
        self.store.apply(self.wall(), request)
    }

    pub(crate) fn fault(&mut self, node: &str, class: Class, fate: Fate) {
        self.faults.push((node.to_owned(), class, fate));
    }

    /// What was held up goes on.
    pub(crate) fn release(&mut self, node: &str) {
        let held = std::mem::take(&mut self.held);
        let (mine, rest): (Vec<_>, Vec<_>) = held.into_iter().partition(|job| job.node == node);
        self.held = rest;
        self.jobs.extend(mine);
        let slow = std::mem::take(&mut self.slow);
        let (mine, rest): (Vec<_>, Vec<_>) = slow.into_iter().partition(|(name, ..)| name == node);
        self.slow = rest;
        for (_, op, reply) in mine {
            let text = self.names.answer(&reply);
            self.line(node, '<', &format!("{op:?} {text}"));
            self.step(node, Input::Stored { op, reply });
        }
    }

    /// What was late arrives.
    pub(crate) fn arrive_late(&mut self, node: &str) {
        let late = std::mem::take(&mut self.late);
        let (mine, rest): (Vec<_>, Vec<_>) = late.into_iter().partition(|job| job.node == node);
        self.late = rest;
        for job in mine {
            if let Task::Store(request) = &job.task {
                let reply = self.apply(request);
                let text = self.names.answer(&reply);
                self.line(node, 'x', &format!("{:?} arrives at last: {text}", job.op));
            }
        }
    }

    /// What is asked of the store and not answered.
    pub(crate) fn in_flight(&mut self) {
        let jobs: Vec<_> = self.held.iter().chain(&self.jobs).cloned().collect();
        for job in jobs {
            if let Task::Store(request) = &job.task {
                let text = self.names.request(request).join("\n  ");
                self.say(format!("in flight: {} {:?} {text}", job.node, job.op));
            }
        }
    }

    pub(crate) fn lose_tail(&mut self, keep_up_to: Sequence) {
        self.damaged = true;
        self.store.lose_tail(&event_stream(), keep_up_to);
    }

    /// The stream of snapshots is lost.
    pub(crate) fn lose_bodies(&mut self) {
        let stream = namespace().snapshot_stream();
        self.store.lose_tail(&stream, Sequence::NONE);
    }

    /// Says what the stream of snapshots holds.
    pub(crate) fn say_bodies(&mut self) {
        self.store.expire(self.wall());
        let bodies = self.messages(&namespace().snapshot_stream());
        if bodies.is_empty() {
            self.say("no bodies".to_owned());
        }
        for message in bodies {
            let text = self.names.message(&message);
            self.say(text);
        }
    }

    pub(crate) fn vanish(&mut self, sequence: Sequence) {
        self.damaged = true;
        self.vanished.insert(sequence);
    }

    /// The messages of a stream.
    pub(crate) fn messages(&self, stream: &str) -> Vec<Message> {
        self.store.messages(stream).cloned().collect()
    }

    /// Says what the log holds.
    pub(crate) fn say_log(&mut self) {
        for message in self.messages(&event_stream()) {
            let text = self.names.message(&message);
            self.say(text);
        }
    }

    /// The commits of each entity by its subject, in the order of the log.
    pub(crate) fn commits(&self) -> BTreeMap<Subject, Vec<(Sequence, Commit)>> {
        let mut commits: BTreeMap<Subject, Vec<(Sequence, Commit)>> = BTreeMap::new();
        for message in self.messages(&event_stream()) {
            if message.subject.starts_with("bank.ev.") {
                let commit = Commit::decode(&message.payload).expect("a commit");
                let of = commits.entry(message.subject).or_default();
                of.push((message.sequence, commit));
            }
        }
        commits
    }

    /// Checks what must hold after every story: each caller was told, no probe's claim is broken,
    /// and what was acknowledged is in the log, each commit after the one before it (P1).
    pub(crate) fn check(&mut self) {
        assert_eq!(self.probe.broken(), None, "a probe's claim is broken");
        let waiting: Vec<_> = self.callers.keys().copied().collect();
        if !waiting.is_empty() {
            self.say(format!("still waiting: {}", crate::bank::join(&waiting)));
        }
        if self.damaged {
            return;
        }
        let commits = self.commits();
        for (name, commits) in &commits {
            let mut before = (Sequence::NONE, Version::ABSENT);
            for (sequence, commit) in commits {
                let listed = commit.earlier.first().copied();
                let covered = commit.snapshot.map(|named| named.sequence);
                let predecessor = listed.or(covered).unwrap_or(Sequence::NONE);
                assert_eq!(
                    (predecessor, commit.before),
                    before,
                    "{sequence:?} does not follow its predecessor in {}",
                    subject(name)
                );
                before = (*sequence, commit.last);
            }
        }
        let stored: BTreeSet<Sequence> = commits.values().flatten().map(|(s, _)| *s).collect();
        for (ticket, reply) in &self.told {
            if let Reply::Committed { sequence, .. } = reply {
                assert!(stored.contains(sequence), "{ticket:?} is not in the log");
            }
        }
    }
}

/// Whether the user's code for snapshots runs in a work.
fn is_of_snapshots(work: &Work) -> bool {
    match work {
        Work::Snapshot { .. } => true,
        Work::Fold { base, .. } => matches!(base, Base::Snapshot(_)),
        Work::Decide { .. } | Work::Answer { .. } => false,
    }
}

fn corrupted(reply: StoreReply) -> StoreReply {
    let wrong = |message: Message| {
        let mut bytes = message.payload.to_vec();
        if let Some(first) = bytes.first_mut() {
            *first ^= 1;
        }
        Message {
            payload: bytes.into(),
            ..message
        }
    };
    reply.map(|done| match done {
        StoreDone::Message(message) => StoreDone::Message(wrong(message)),
        StoreDone::Latest(mut proof) => {
            proof.messages = proof.messages.into_iter().map(wrong).collect();
            StoreDone::Latest(proof)
        }
        done @ (StoreDone::Published(_)
        | StoreDone::Page(_)
        | StoreDone::Stream(_)
        | StoreDone::Capabilities(_)) => done,
    })
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.lines.join("\n"));
        }
    }
}
