//! The cluster of a story about ownership: nodes with an `Owners` machine and the logs of their
//! shards, one store, one clock. Who is in the cluster, and who holds its lease, the script says.

mod callers;
mod effects;
mod node;
mod play;

use crate::show::Names;
use crate::story::clock;
use crate::world::place::create_streams;
pub(crate) use crate::world::place::{event_stream, namespace};
use callers::Caller;
use node::Node;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tenure_core::format::{Layout, LayoutKey, Ownership, TakeOver};
use tenure_core::id::{Incarnation, LayoutId, OpId, Sequence, ShardId, Ticket, Version, WallTime};
use tenure_core::log;
use tenure_core::name::NodeName;
use tenure_core::node::{About, Peer, PeerState, Role, Standing, View};
use tenure_core::port::{Heard, StoreDone, StoreReply, StoreRequest, Subject};
use tenure_core::shard::{self, Place};
use tenure_core::step::{CountingProbe, Deadline, Outcome};
use tenure_core::{Limits, Span, Time};
use tenure_mem::store::{Store, StoreConfig};

/// More steps than any story needs.
const STEPS_MAX: usize = 100_000;
/// More timers than ring in any span of a story.
const TIMERS_MAX: usize = 20_000;

/// What a request of a node's meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits before the store until it is released.
    Held,
    /// It is carried out, and its answer is lost.
    AnswerLost,
    /// It is given up, and arrives when the script says so.
    Late,
}

/// What requests a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Ownership records being written.
    Claim,
    /// Commits.
    Commit,
    /// Reads of ownership records.
    Owners,
}

/// Which machine of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Owners,
    Log(Place),
}

/// Something that a node is to take in.
#[derive(Clone, Debug)]
enum Task {
    Store(OpId, StoreRequest),
    Answer(OpId, StoreReply),
    Work(OpId, log::Work),
    Order(shard::Order),
    Report(shard::Report),
    Heard(Heard),
}

#[derive(Clone, Debug)]
struct Job {
    node: String,
    /// A run of it that has ended takes nothing in.
    run: Incarnation,
    part: Part,
    task: Task,
    released: bool,
}

pub(crate) struct Cluster {
    pub(crate) limits: Limits,
    pub(crate) names: Names,
    pub(crate) probe: CountingProbe,
    pub(crate) loud: bool,
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) classes: BTreeSet<TakeOver>,
    pub(crate) now: Time,
    store: Store,
    jobs: VecDeque<Job>,
    held: Vec<Job>,
    late: Vec<Job>,
    faults: Vec<(String, Class, Fate)>,
    callers: BTreeMap<Ticket, Caller>,
    /// The latest version of each place's entity that a caller was told of.
    acknowledged: BTreeMap<Place, Version>,
    boots: u64,
    /// Nodes that hear nothing of ownership records.
    pub(crate) deaf: BTreeSet<String>,
    /// Nodes that take no step.
    pub(crate) stopped: BTreeSet<String>,
    lines: Vec<String>,
}

pub(crate) fn place_name(place: Place) -> String {
    format!("{}{}", place.class.letter(), place.shard.0)
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            limits: Limits::default(),
            names: Names::default(),
            probe: CountingProbe::default(),
            loud: true,
            nodes: BTreeMap::new(),
            layout: Arc::new(Layout::new(LayoutId(1), LayoutKey(1), WallTime(0), 1, 1)),
            classes: BTreeSet::from([TakeOver::Fenced]),
            now: Time::ZERO,
            store: Store::new(StoreConfig::default()),
            jobs: VecDeque::new(),
            held: Vec::new(),
            late: Vec::new(),
            faults: Vec::new(),
            callers: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            boots: 0,
            deaf: BTreeSet::new(),
            stopped: BTreeSet::new(),
            lines: Vec::new(),
        }
    }

    /// Creates the stream.
    pub(crate) fn open(&mut self, shards: u16, classes: BTreeSet<TakeOver>) {
        let layout = Layout::new(LayoutId(1), LayoutKey(1), WallTime(0), shards, 1);
        self.layout = Arc::new(layout);
        self.classes = classes;
        let at = self.wall();
        create_streams(&mut self.store, &self.layout, 1, at);
    }

    /// Starts a node, or starts it again with nothing in memory; the others do not know it yet.
    pub(crate) fn boot(&mut self, name: &str, about: About) {
        self.boots += 1;
        let run = Incarnation(u128::from(self.boots));
        let view = match self.nodes.get(name) {
            Some(before) => before.view.clone(),
            None => View::default(),
        };
        let node = Node::new(self, name, run, about, view);
        self.nodes.insert(name.to_owned(), node);
        self.callers.retain(|_, caller| caller.at != name);
        self.step_owners(name, shard::Input::Up);
    }

    pub(crate) fn about(&self) -> About {
        About {
            role: Role::Owner,
            labels: BTreeMap::new(),
            zone: None,
            weight: 100,
            lanes: 1,
            classes: self.classes.clone(),
            kinds: None,
            groups: BTreeSet::new(),
            frames: tenure_core::format::FrameVersions::default(),
            program: String::new(),
        }
    }

    pub(crate) fn wall(&self) -> WallTime {
        WallTime(crate::world::WALL_START_MS + self.now.as_nanos() / 1_000_000)
    }

    pub(crate) fn say(&mut self, node: &str, text: &str) {
        if self.loud {
            self.lines
                .push(format!("{} {node} {text}", clock(self.now)));
        }
    }

    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// Changes how a node sees the cluster.
    pub(crate) fn change_view(&mut self, of: &str, change: impl FnOnce(&mut View)) {
        let Some(node) = self.nodes.get_mut(of) else {
            return;
        };
        change(&mut node.view);
        node.view.revision += 1;
        let view = Arc::new(node.view.clone());
        self.step_owners(of, shard::Input::View(view));
    }

    /// A node as the others see it from now on.
    pub(crate) fn peer(&self, name: &str, state: PeerState) -> Peer {
        let node = &self.nodes[name];
        Peer {
            incarnation: node.run,
            about: node.about.clone(),
            state,
            standing: Standing::Living,
        }
    }

    pub(crate) fn node_name(name: &str) -> NodeName {
        NodeName::new(name).expect("a node's name")
    }

    pub(super) fn named(&self, run: Incarnation) -> String {
        let of = self.nodes.iter().find(|(_, node)| node.run == run);
        of.map_or_else(|| format!("run {}", run.0), |(name, _)| name.clone())
    }

    pub(crate) fn step_owners(&mut self, name: &str, input: shard::Input) {
        if self.stopped.contains(name) {
            return;
        }
        let Some(mut node) = self.nodes.remove(name) else {
            return;
        };
        let effects = node.step_owners(self.now, &self.limits, &mut self.probe, input);
        let run = node.run;
        self.nodes.insert(name.to_owned(), node);
        for effect in effects {
            self.owners_effect(name, run, effect);
        }
    }

    pub(crate) fn step_log(&mut self, name: &str, place: Place, input: log::Input) {
        let Some(mut node) = self.nodes.remove(name) else {
            return;
        };
        let effects = node.step_log(self.now, self.limits, &mut self.probe, place, input);
        let run = node.run;
        self.nodes.insert(name.to_owned(), node);
        for effect in effects {
            self.log_effect(name, run, place, effect);
        }
    }

    fn job(&mut self, node: &str, run: Incarnation, part: Part, task: Task) {
        self.jobs.push_back(Job {
            node: node.to_owned(),
            run,
            part,
            task,
            released: false,
        });
    }

    /// Does everything that is to be done without time passing.
    pub(crate) fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            let place = self
                .jobs
                .iter()
                .position(|job| !self.stopped.contains(&job.node));
            let Some(job) = place.and_then(|place| self.jobs.remove(place)) else {
                return;
            };
            if self
                .nodes
                .get(&job.node)
                .is_some_and(|node| node.run == job.run)
            {
                self.serve(job);
            } else if let Task::Store(_, request) = &job.task {
                // What a node sent before it ended arrives.
                self.apply(request);
            }
        }
        panic!("the cluster does not come to rest");
    }

    fn serve(&mut self, job: Job) {
        let Job {
            node, part, task, ..
        } = &job;
        match task {
            Task::Store(op, request) => {
                let class = class_of(request);
                let fault = self
                    .faults
                    .iter()
                    .position(|(name, of, _)| name == node && Some(*of) == class && !job.released);
                let reply = match fault.map(|place| self.faults.remove(place).2) {
                    None => self.apply(request),
                    Some(Fate::Held) => {
                        let held = Job {
                            released: true,
                            ..job
                        };
                        return self.held.push(held);
                    }
                    Some(Fate::AnswerLost) => {
                        self.apply(request);
                        Outcome::Unknown
                    }
                    Some(Fate::Late) => {
                        self.late.push(job.clone());
                        Outcome::Unknown
                    }
                };
                self.job(node, job.run, *part, Task::Answer(*op, reply));
            }
            Task::Answer(op, reply) => {
                let (op, reply) = (*op, reply.clone());
                match part {
                    Part::Owners => self.step_owners(node, shard::Input::Stored { op, reply }),
                    Part::Log(place) => {
                        self.step_log(node, *place, log::Input::Stored { op, reply });
                    }
                }
            }
            Task::Work(op, work) => {
                let Part::Log(place) = *part else { return };
                let ran = self.nodes.get_mut(node).expect("a node").work(place, work);
                self.step_log(node, place, log::Input::Ran { op: *op, ran });
            }
            Task::Order(order) => {
                let Part::Log(place) = *part else { return };
                self.step_log(node, place, log::Input::Order(order.clone()));
            }
            Task::Report(report) => {
                let (Part::Log(place), report) = (*part, report.clone()) else {
                    return;
                };
                self.step_owners(node, shard::Input::Report { place, report });
            }
            Task::Heard(heard) => self.step_owners(node, shard::Input::Heard(heard.clone())),
        }
    }

    fn apply(&mut self, request: &StoreRequest) -> StoreReply {
        let reply = self.store.apply(self.wall(), request);
        if let (StoreRequest::Publish(publish), Outcome::Done(StoreDone::Published(ack))) =
            (request, &reply)
            && let Some(rest) = publish.subject.strip_prefix("bank.own.")
        {
            let heard = Heard {
                subject: Subject::from(format!("bank.rep.{rest}")),
                sequence: ack.sequence,
                payload: publish.payload.clone(),
            };
            let hearing: Vec<_> = self
                .nodes
                .iter()
                .map(|(n, it)| (n.clone(), it.run))
                .collect();
            for (node, run) in hearing {
                if !self.deaf.contains(&node) {
                    self.job(&node, run, Part::Owners, Task::Heard(heard.clone()));
                }
            }
        }
        reply
    }

    /// Lets time pass, with everything that follows.
    pub(crate) fn advance(&mut self, by: Span) {
        let end = self.now + by;
        let mut count = 0;
        self.run();
        loop {
            let alive = self
                .nodes
                .iter()
                .filter(|(name, _)| !self.stopped.contains(*name));
            let next: Option<(Deadline, String, Part)> = alive
                .filter_map(|(name, node)| {
                    let (deadline, part) = node.next_deadline()?;
                    Some((deadline, name.clone(), part))
                })
                .min();
            let Some((deadline, name, part)) = next.filter(|(next, ..)| next.at <= end) else {
                break;
            };
            count += 1;
            assert!(
                count < TIMERS_MAX,
                "the cluster does not come to rest: {name} {deadline:?}"
            );
            self.now = self.now.max(deadline.at);
            match part {
                Part::Owners => self.step_owners(&name, shard::Input::Tick),
                Part::Log(place) => self.step_log(&name, place, log::Input::Tick),
            }
            self.run();
        }
        self.now = end;
    }

    pub(crate) fn fault(&mut self, node: &str, class: Class, fate: Fate) {
        self.faults.push((node.to_owned(), class, fate));
    }

    /// What was held up goes on.
    pub(crate) fn release(&mut self, node: &str) {
        let (mine, rest) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|job| job.node == node);
        self.held = rest;
        let mine: Vec<Job> = mine;
        self.jobs.extend(mine);
    }

    /// What was late arrives; whoever sent it may be gone.
    pub(crate) fn arrive_late(&mut self) {
        for job in std::mem::take(&mut self.late) {
            if let Task::Store(_, request) = &job.task {
                let reply = self.apply(request);
                let text = self.names.answer(&reply);
                self.say(&job.node, &format!("'s late request arrives: {text}"));
            }
        }
    }

    /// No fault that was ordered meets anything any more.
    #[allow(dead_code, reason = "the properties ask for it, stories do not")]
    pub(crate) fn heal(&mut self) {
        self.faults.clear();
        self.arrive_late();
    }

    pub(crate) fn lose_tail(&mut self, keep_up_to: Sequence) {
        self.store.lose_tail(&event_stream(), keep_up_to);
    }

    /// The latest ownership record of each place: its sequence, and whom it names.
    pub(crate) fn records(&self) -> BTreeMap<Place, (Sequence, Option<Incarnation>)> {
        let mut records = BTreeMap::new();
        for message in self.store.messages(&event_stream()) {
            let Some(rest) = message.subject.strip_prefix("bank.own.") else {
                continue;
            };
            let (class, shard) = rest.split_once('.').expect("a class and a shard");
            let class = match class {
                "f" => TakeOver::Fenced,
                _ => TakeOver::Leased,
            };
            let shard = ShardId(shard.parse().expect("a shard"));
            let record = Ownership::decode(&message.payload).expect("a readable one");
            records.insert(Place { class, shard }, (message.sequence, record.owner));
        }
        records
    }

    pub(crate) fn say_owners(&mut self) {
        let records = self.records().into_iter();
        let told: Vec<_> = records
            .map(|(place, (sequence, owner))| {
                let whose = owner.map_or_else(|| "nobody".to_owned(), |run| self.named(run));
                format!("{} {whose} {sequence:?}", place_name(place))
            })
            .collect();
        self.lines.push(told.join(", "));
    }

    /// What must hold after every story.
    pub(crate) fn check(&mut self) {
        assert_eq!(self.probe.broken(), None, "a probe's claim is broken");
        let waiting: Vec<_> = self.callers.keys().copied().collect();
        if !waiting.is_empty() {
            let waiting = crate::bank::join(&waiting);
            self.lines.push(format!("still waiting: {waiting}"));
        }
    }
}

fn class_of(request: &StoreRequest) -> Option<Class> {
    match request {
        StoreRequest::Publish(publish) if publish.subject.starts_with("bank.own.") => {
            Some(Class::Claim)
        }
        StoreRequest::Publish(publish) if publish.subject.starts_with("bank.ev.") => {
            Some(Class::Commit)
        }
        StoreRequest::Latest { subjects, .. } => {
            let owners = subjects.iter().all(|s| s.starts_with("bank.own."));
            owners.then_some(Class::Owners)
        }
        StoreRequest::Publish(_)
        | StoreRequest::Batch { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => None,
    }
}
