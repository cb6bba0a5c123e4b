//! Nodes that run a group of consumers on one store: each has the group's machine and the consumers of its
//! partitions. Who is in the cluster, and who holds its lease, is said from outside.

#![allow(dead_code, reason = "each test uses a part")]

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tenure_core::consumer::group::{Effect, Group, GroupConfig, GroupOrder, Input, part_of};
use tenure_core::consumer::{
    self, Command, Config, Consumer, Definition, Filter, Handled, Keeping, Order, Pace, Source,
    Start,
};
use tenure_core::format::{
    Checkpoint, Commit, EventRecord, Layout, LayoutKey, Placement, Position, Unknown,
};
use tenure_core::id::{
    CommitId, GroupPart, Incarnation, KindId, LayoutId, OpId, Sequence, Ticket, Version, WallTime,
};
use tenure_core::name::{ConsumerName, EntityId, KindName, Namespace, NodeName};
use tenure_core::node::{About, Peer, PeerState, Role, Standing, View};
use tenure_core::port::{
    Expect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, StreamSettings, Subject,
};
use tenure_core::space::SpaceWish;
use tenure_core::step::{CountingProbe, Outcome};
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Span, Time};
use tenure_mem::store::{Store, StoreConfig};

/// When it begins, on all wall clocks.
const BEGIN_MS: u64 = 1_764_000_000_000;

/// How long a lease is told to hold.
pub(crate) const LEASE: Span = Span::from_secs(3);

/// Nodes that run a group.
pub(crate) struct Circle {
    pub(crate) store: Store,
    pub(crate) layout: Layout,
    pub(crate) limits: Limits,
    pub(crate) now: Time,
    pub(crate) lines: Vec<String>,
    pub(crate) nodes: BTreeMap<String, Node>,
    revision: u64,
    /// The revision that all nodes were told.
    told: u64,
    listed: u64,
    over: BTreeSet<Incarnation>,
    commits: u64,
    runs: u128,
    /// Handed over, in order: by which node, of which entity, where.
    pub(crate) handled: Vec<(String, String, Sequence)>,
    /// Where a new group begins.
    pub(crate) start: Start,
}

/// One node.
pub(crate) struct Node {
    pub(crate) run: Incarnation,
    pub(crate) group: Group,
    definition: Definition,
    probe: CountingProbe,
    dice: Dice,
    pub(crate) asked: VecDeque<Asked>,
    parts: BTreeMap<GroupPart, Part>,
    pub(crate) serves: bool,
    pub(crate) standing: Standing,
    /// Its lease is renewed.
    pub(crate) leased: bool,
    pub(crate) lease: Option<Time>,
    /// Its process is gone.
    pub(crate) dead: bool,
    /// Its handlers keep what they get.
    pub(crate) holds: bool,
    /// Nothing that it asks of the store is answered; its writes may arrive.
    pub(crate) deaf: bool,
    pub(crate) over: bool,
    /// What becomes of its next requests of a name.
    pub(crate) fates: BTreeMap<String, VecDeque<Fate>>,
    /// Writes that were given up, and may arrive.
    pub(crate) late: Vec<StoreRequest>,
    /// Answers that are on their way.
    slow: Vec<(Asked, StoreReply)>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done, and its answer is lost.
    Unknown,
    /// It is lost.
    Lost,
    /// It is given up, and arrives when it is let through.
    Late,
    /// It is done, and its answer comes.
    Done,
    /// It is done, and its answer comes when it is let through.
    Slow,
    /// It is refused for good.
    Forbidden,
}

/// A request that was not answered yet.
pub(crate) struct Asked {
    whose: Whose,
    op: OpId,
    pub(crate) request: StoreRequest,
    at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Group,
    /// Of a partition's consumer, by its run.
    Part(GroupPart, Incarnation),
}

struct Part {
    run: Incarnation,
    consumer: Consumer,
    batches: VecDeque<(OpId, consumer::Batch)>,
    ending: bool,
    over: bool,
}

impl Node {
    /// Whether its handlers are polled.
    fn may_act(&self, now: Time) -> bool {
        !self.dead && self.lease.is_some_and(|end| now < end)
    }
}

impl Circle {
    pub(crate) fn new(shards: u16) -> Self {
        let layout = Layout::new(LayoutId(7), LayoutKey(9), WallTime(BEGIN_MS), shards, 1);
        let mut config = StoreConfig::default();
        // What a lost tail had replaced is there again.
        config.removed_max = 100;
        let mut this = Self {
            store: Store::new(config),
            layout,
            limits: Limits::default(),
            now: Time::ZERO,
            lines: Vec::new(),
            nodes: BTreeMap::new(),
            revision: 0,
            told: 0,
            listed: 0,
            over: BTreeSet::new(),
            commits: 0,
            runs: 0,
            handled: Vec::new(),
            start: Start::Beginning,
        };
        let ns = namespace();
        for partition in this.layout.partitions() {
            let subjects = ns.event_stream_subjects(&this.layout, partition);
            let settings = StreamSettings::event_log(ns.event_stream(partition), subjects, 1);
            this.apply(&StoreRequest::CreateStream(settings));
        }
        this
    }

    fn wall(&self) -> WallTime {
        WallTime(BEGIN_MS + self.now.as_nanos() / 1_000_000)
    }

    fn line(&mut self, text: impl AsRef<str>) {
        self.lines.push(format!("{} {}", self.now, text.as_ref()));
    }

    pub(crate) fn apply(&mut self, request: &StoreRequest) -> StoreReply {
        let wall = self.wall();
        self.store.expire(wall);
        self.store.apply(wall, request)
    }

    /// Stores a commit of one event.
    pub(crate) fn commit(&mut self, id: &str) {
        let (kind, id) = (
            KindName::new("account").unwrap(),
            EntityId::new(id).unwrap(),
        );
        let shard = self.layout.shard_of(Placement::Whole, &id);
        let subject = namespace().event_subject(shard, &kind, &id);
        self.commits += 1;
        let last = Version(self.commits);
        let commit = Commit {
            id: CommitId(u128::from(self.commits)),
            layout: self.layout.id,
            kind: KindId(1),
            entity: id,
            epoch: None,
            time: self.wall(),
            before: Version(last.0 - 1),
            last,
            earlier: Vec::new().into(),
            snapshot: None,
            horizon: WallTime(0),
            commands: Vec::new(),
            events: vec![EventRecord {
                version: last,
                name: "moved".to_owned().into(),
                schema: 1,
                data: Bytes::from_static(b"\xa0"),
            }],
            tombstone: false,
            metadata: Vec::new(),
            later: None,
            unknown: Unknown::default(),
        };
        let stream = namespace().event_stream(self.layout.stream_of(shard));
        let reply = self.apply(&StoreRequest::Publish(Publish {
            stream,
            subject,
            expect: Expect::Nothing,
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: commit.encode(),
        }));
        assert!(matches!(reply, Outcome::Done(_)), "{reply:?}");
    }

    /// A node runs the group; its store is there, and its lease holds. Why not, if it cannot.
    pub(crate) fn start(&mut self, name: &str, partitions: u16, id: Option<&str>) {
        self.runs += 1;
        let run = Incarnation(self.runs);
        let mut filter = Filter::default();
        filter.ids.extend(id.map(|id| EntityId::new(id).unwrap()));
        let definition = Definition {
            name: group(),
            source: Source::Log,
            filter,
            order: Order::PerEntity { handlers_max: 4 },
            start: self.start.clone(),
            keeping: Keeping::Stored,
        };
        let config = GroupConfig {
            wish: SpaceWish::new(namespace()),
            layout: self.layout.clone(),
            node: NodeName::new(name).unwrap(),
            incarnation: run,
            definition: definition.clone(),
            partitions,
        };
        let group = match Group::new(config, self.limits) {
            Ok(group) => group,
            Err(fault) => return self.line(format!("{name} does not begin: {fault}")),
        };
        let node = Node {
            run,
            group,
            definition,
            probe: CountingProbe::default(),
            dice: Dice::new(run.0),
            asked: VecDeque::new(),
            parts: BTreeMap::new(),
            serves: false,
            standing: Standing::Living,
            leased: true,
            lease: None,
            dead: false,
            holds: false,
            deaf: false,
            over: false,
            fates: BTreeMap::new(),
            late: Vec::new(),
            slow: Vec::new(),
        };
        self.nodes.insert(name.to_owned(), node);
        self.renew(name);
        self.step(name, Input::Up);
        self.tell_view();
    }

    /// A node's lease is renewed, if it is to be.
    fn renew(&mut self, name: &str) {
        let until = self.now + LEASE;
        let node = self.node(name);
        if !node.dead && !node.over && node.leased {
            node.lease = Some(until);
            self.step(name, Input::Lease(Some(until)));
        }
    }

    pub(crate) fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.get_mut(name).expect("a node")
    }

    /// Who is in the cluster now.
    fn view(&self) -> Arc<View> {
        let mut view = View {
            revision: self.revision,
            listed: self.listed,
            ..View::default()
        };
        for (name, node) in &self.nodes {
            if node.standing == Standing::Over {
                continue;
            }
            let mut about = About::new(Role::Owner);
            about.groups.extend(node.serves.then(group));
            let peer = Peer {
                incarnation: node.run,
                about,
                state: PeerState::Up,
                standing: node.standing,
            };
            view.peers.insert(NodeName::new(name).unwrap(), peer);
        }
        view.lingering
            .extend(self.over.iter().map(|run| (*run, Standing::Over)));
        Arc::new(view)
    }

    /// All nodes hear who is in the cluster.
    pub(crate) fn tell_view(&mut self) {
        self.revision += 1;
        self.told = self.revision;
        self.listed += 1;
        let view = self.view();
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        for name in names {
            self.step(&name, Input::View(Arc::clone(&view)));
        }
    }

    /// How the others see a node.
    pub(crate) fn stands(&mut self, name: &str, standing: Standing) {
        let node = self.node(name);
        node.standing = standing;
        if standing == Standing::Over {
            let run = node.run;
            self.over.insert(run);
        }
        self.tell_view();
    }

    /// Steps the group of a node.
    pub(crate) fn step(&mut self, name: &str, input: Input) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else {
            return;
        };
        if node.dead || node.over {
            return;
        }
        let mut out = Effects::new(100_000);
        let mut cx = Cx {
            now,
            dice: node.dice,
            probe: &mut node.probe,
        };
        node.group.step(&mut cx, input, &mut out);
        for effect in out.drain() {
            self.effect(name, effect);
        }
        self.check();
    }

    /// P3: of each partition at most one node acts. A node whose lease is over polls no handler,
    /// however late its machines hear of it.
    fn check(&self) {
        let mut acting = BTreeMap::new();
        for (name, node) in &self.nodes {
            for part in node.parts.keys().filter(|_| node.may_act(self.now)) {
                let before = acting.insert(*part, name);
                assert_eq!(before, None, "partition {part} runs on {name} as well");
            }
        }
    }

    fn effect(&mut self, name: &str, effect: Effect) {
        match effect {
            Effect::Store { op, request } => {
                let asked = Asked {
                    whose: Whose::Group,
                    op,
                    request,
                    at: self.now,
                };
                self.node(name).asked.push_back(asked);
            }
            Effect::Serve(serves) => {
                self.node(name).serves = serves;
                self.revision += 1;
                self.line(format!(
                    "! {name} {} partitions",
                    if serves { "takes" } else { "takes no more" }
                ));
            }
            // Lists come with each view.
            Effect::Look => {}
            Effect::Begin {
                share,
                shards,
                start,
                paused,
            } => {
                let (part, at, run) = (share.part, share.at, share.record.run);
                let from = &share.record.positions;
                self.line(format!(
                    "> {name} runs {part} at {from:?} by its claim #{at}"
                ));
                let node = self.nodes.get_mut(name).expect("a node");
                let mut definition = node.definition.clone();
                (definition.filter.shards, definition.start) = (shards, start);
                let config = Config {
                    wish: SpaceWish::new(namespace()),
                    layout: self.layout.clone(),
                    run,
                    node: name.to_owned(),
                    definition,
                    pace: Pace {
                        checkpoint_within: Span::from_millis(100),
                        ..Pace::default()
                    },
                    reset: None,
                };
                let consumer = Consumer::of_group(config, *share, self.limits).unwrap();
                let part_seat = Part {
                    run,
                    consumer,
                    batches: VecDeque::new(),
                    ending: false,
                    over: false,
                };
                let before = node.parts.insert(part, part_seat);
                assert!(before.is_none(), "{name} runs {part} twice");
                if paused.is_some() {
                    self.pause(name, part, paused);
                }
                self.step_part(name, part, consumer::Input::Up);
            }
            Effect::Pause { part, by } => self.pause(name, part, by),
            Effect::Answer { told, .. } => self.line(match told {
                Ok(life) => format!("= {name} told the group, in life {life}"),
                Err(refusal) => format!("= {name} did not tell the group: {refusal}"),
            }),
            Effect::End { part, until } => {
                self.line(format!("> {name} lets {part} end"));
                let seat = self.node(name).parts.get_mut(&part).expect("it runs");
                seat.ending = true;
                match seat.over {
                    true => self.part_gone(name, part),
                    false => {
                        let stop = Command::Stop { until };
                        self.step_part(name, part, consumer::Input::Order(stop));
                    }
                }
            }
            Effect::Drop { part } => {
                self.line(format!("> {name} drops {part}"));
                if let Some(seat) = self.node(name).parts.get_mut(&part) {
                    seat.ending = true;
                }
                self.part_gone(name, part);
            }
            Effect::Notice(notice) => self.line(format!("! {name} {notice:?}")),
            Effect::Ended { fault } => {
                self.node(name).over = true;
                self.line(match fault {
                    None => format!("= {name} is out of the group"),
                    Some(fault) => format!("= {name} is out of the group: {fault}"),
                });
            }
            Effect::Halt(reason) => panic!("{name} halts: {reason}"),
        }
    }

    /// Has a partition's consumer hand over nothing, or go on.
    fn pause(&mut self, name: &str, part: GroupPart, by: Option<String>) {
        let ticket = Ticket(0);
        let command = match by {
            Some(by) => {
                self.line(format!("> {name} pauses {part} for {by}"));
                Command::Pause { ticket, by }
            }
            None => {
                self.line(format!("> {name} resumes {part}"));
                Command::Resume { ticket }
            }
        };
        self.step_part(name, part, consumer::Input::Order(command));
    }

    /// A node tells the group something.
    pub(crate) fn order(&mut self, name: &str, order: GroupOrder) {
        let ticket = Ticket(1);
        self.step(name, Input::Order { ticket, order });
    }

    /// Time passes, and nobody does anything.
    pub(crate) fn stand_still(&mut self, by: Span) {
        self.now = self.now + by;
    }

    /// Nothing of a partition acts any more.
    pub(crate) fn part_gone(&mut self, name: &str, part: GroupPart) {
        let seat = self.node(name).parts.remove(&part);
        match seat {
            Some(seat) if !seat.ending => {
                let lost = true;
                self.step(name, Input::Faulted { part, lost });
            }
            Some(_) | None => self.step(name, Input::Ended { part }),
        }
    }

    fn step_part(&mut self, name: &str, part: GroupPart, input: consumer::Input) {
        let now = self.now;
        let node = self.nodes.get_mut(name).expect("a node");
        let Some(seat) = node.parts.get_mut(&part).filter(|seat| !seat.over) else {
            return;
        };
        let mut out = Effects::new(100_000);
        let mut cx = Cx {
            now,
            // Two runs with the same draws would read by the same consumer of the store.
            dice: Dice::new(seat.run.0),
            probe: &mut node.probe,
        };
        seat.consumer.step(&mut cx, input, &mut out);
        if let Some(rule) = seat.consumer.broken() {
            panic!("{name} {part}: {rule}");
        }
        let run = seat.run;
        for effect in out.drain() {
            self.part_effect(name, (part, run), effect);
        }
    }

    fn part_effect(
        &mut self,
        name: &str,
        (part, run): (GroupPart, Incarnation),
        effect: consumer::Effect,
    ) {
        match effect {
            consumer::Effect::Store { op, request } => {
                let asked = Asked {
                    whose: Whose::Part(part, run),
                    op,
                    request,
                    at: self.now,
                };
                self.node(name).asked.push_back(asked);
            }
            consumer::Effect::Handle { op, batch } => {
                if !self.nodes[name].may_act(self.now) {
                    return;
                }
                for given in &batch.events {
                    let (id, at) = (given.subject.id.to_string(), given.place.sequence);
                    self.line(format!("> {name} {part} handles {id} #{at}"));
                    self.handled.push((name.to_owned(), id, at));
                }
                let node = self.node(name);
                if let Some(seat) = node.parts.get_mut(&part) {
                    seat.batches.push_back((op, batch));
                }
            }
            consumer::Effect::Notice(consumer::Notice::Checkpointed { positions }) => {
                self.line(format!("! {name} {part} stands at {positions:?}"));
            }
            consumer::Effect::Notice(_) | consumer::Effect::Answer { .. } => {}
            consumer::Effect::Ended { fault, .. } => {
                if let Some(fault) = &fault {
                    self.line(format!("= {name} {part} ended: {fault}"));
                }
                let lost = fault.is_some_and(|fault| fault.loses_partition());
                let Some(seat) = self.node(name).parts.get_mut(&part) else {
                    return;
                };
                seat.over = true;
                if seat.ending || lost {
                    self.part_gone(name, part);
                }
            }
            consumer::Effect::Halt(reason) => panic!("{name} {part} halts: {reason}"),
        }
    }

    /// Answers a node's oldest request; one that waits goes to the end. Whether anything came of it.
    pub(crate) fn answer(&mut self, name: &str) -> bool {
        let node = self.node(name);
        let Some(asked) = node.asked.pop_front() else {
            return false;
        };
        if node.dead {
            return false;
        }
        let fates = node.fates.get_mut(asked.request.name());
        let fate = fates.and_then(VecDeque::pop_front);
        let deaf = node.deaf.then(|| match asked.request.writes() {
            true => Fate::Late,
            false => Fate::Lost,
        });
        let fate = fate.or(deaf);
        let reply = match fate {
            Some(Fate::Forbidden) => Outcome::Refused(Refused::Forbidden),
            None | Some(Fate::Done) => {
                let reply = self.apply(&asked.request);
                if let (StoreRequest::Fetch { wait, .. }, Outcome::Done(StoreDone::Fetched(it))) =
                    (&asked.request, &reply)
                    && it.messages.is_empty()
                    && self.now < asked.at + *wait
                {
                    self.node(name).asked.push_back(asked);
                    return false;
                }
                reply
            }
            Some(Fate::Slow) => {
                let reply = self.apply(&asked.request);
                self.node(name).slow.push((asked, reply));
                return true;
            }
            Some(Fate::Unknown) => {
                self.apply(&asked.request);
                Outcome::Unknown
            }
            Some(Fate::Lost) => Outcome::Unknown,
            Some(Fate::Late) => {
                let request = asked.request.clone();
                self.node(name).late.push(request);
                Outcome::Unknown
            }
        };
        let fate = fate.filter(|fate| *fate != Fate::Done);
        if let (Some(fate), StoreRequest::Publish(publish)) = (fate, &asked.request) {
            self.line(format!(
                "~ {name}'s write of {} is {fate:?}",
                publish.subject
            ));
        }
        self.hear(name, &asked, reply);
        true
    }

    fn hear(&mut self, name: &str, asked: &Asked, reply: StoreReply) {
        let (op, wall) = (asked.op, self.wall());
        match asked.whose {
            Whose::Group => self.step(name, Input::Stored { op, reply, wall }),
            Whose::Part(part, run) => {
                let of = self.node(name).parts.get(&part);
                if of.is_some_and(|seat| seat.run == run) {
                    self.step_part(name, part, consumer::Input::Stored { op, reply, wall });
                }
            }
        }
    }

    /// A write that was given up arrives, and answers that were on their way do.
    pub(crate) fn arrive(&mut self, name: &str) {
        for (asked, reply) in std::mem::take(&mut self.node(name).slow) {
            self.line(format!("~ {name} hears of its {}", asked.request.name()));
            self.hear(name, &asked, reply);
        }
        let late = std::mem::take(&mut self.node(name).late);
        for request in late {
            let reply = self.apply(&request);
            let told = match &reply {
                Outcome::Done(_) => "stored".to_owned(),
                Outcome::Refused(refused) => format!("refused: {refused}"),
                Outcome::Unknown => "lost".to_owned(),
            };
            self.line(format!("~ {name}'s late write is {told}"));
        }
    }

    /// The handlers of a node end what they have.
    pub(crate) fn end_batches(&mut self, name: &str) -> bool {
        let parts = &mut self.node(name).parts;
        let batches = parts
            .iter_mut()
            .flat_map(|(part, seat)| seat.batches.drain(..).map(|(op, _)| (*part, op)));
        let batches: Vec<_> = batches.collect();
        for (part, op) in &batches {
            let handled = Handled::Done;
            let input = consumer::Input::Handled { op: *op, handled };
            self.step_part(name, *part, input);
        }
        !batches.is_empty()
    }

    fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// Answers and ends batches until nothing can be done now.
    pub(crate) fn run(&mut self) {
        loop {
            let mut quiet = true;
            for name in self.names() {
                for _ in 0..self.node(&name).asked.len() {
                    quiet &= !self.answer(&name);
                }
                if !self.node(&name).holds {
                    quiet &= !self.end_batches(&name);
                }
            }
            if self.told != self.revision {
                self.tell_view();
                quiet = false;
            }
            if quiet {
                return;
            }
        }
    }

    /// Steps what is due now.
    pub(crate) fn tick(&mut self) {
        let (now, wall) = (self.now, self.wall());
        for name in self.names() {
            let node = self.node(&name);
            if node.dead || node.over {
                continue;
            }
            let due = |at: Option<tenure_core::step::Deadline>| at.is_some_and(|due| due.at <= now);
            if due(node.group.next_deadline()) {
                self.step(&name, Input::Tick { wall });
            }
            let parts: Vec<GroupPart> = self.node(&name).parts.keys().copied().collect();
            for part in parts {
                let seat = self.node(&name).parts.get(&part);
                if seat.is_some_and(|seat| due(seat.consumer.next_deadline())) {
                    self.step_part(&name, part, consumer::Input::Tick { wall });
                }
            }
        }
    }

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<Time> {
        let living = self.nodes.values().filter(|node| !node.dead && !node.over);
        living
            .flat_map(|node| {
                let parts = node.parts.values().filter(|seat| !seat.over);
                let parts = parts.filter_map(|seat| seat.consumer.next_deadline());
                let fetches = node.asked.iter().filter_map(|asked| {
                    let wait = asked.request.patience();
                    (wait > Span::ZERO).then_some(asked.at + wait)
                });
                let deadlines = node.group.next_deadline().into_iter().chain(parts);
                let renewed = node.lease.filter(|_| node.leased);
                let renewed =
                    renewed.map(|end| Time::from_nanos(end.as_nanos() - LEASE.as_nanos() / 2));
                deadlines.map(|due| due.at).chain(fetches).chain(renewed)
            })
            .min()
    }

    /// Lets time pass, with what is due then.
    pub(crate) fn advance(&mut self, to: Time) {
        self.run();
        let mut steps = 0_u32;
        while self.now < to {
            steps += 1;
            assert!(steps < 200_000, "something is due again and again");
            let next = self.next_due().unwrap_or(to).min(to);
            self.now = next.max(self.now);
            self.renew_due();
            self.tick();
            self.run();
        }
    }

    /// Leases that are renewed are, at half of their time.
    pub(crate) fn renew_due(&mut self) {
        let half = Span::from_nanos(LEASE.as_nanos() / 2);
        for name in self.names() {
            let node = self.node(&name);
            if node.leased && node.lease.is_none_or(|end| end <= self.now + half) {
                self.renew(&name);
            }
        }
    }

    /// The stored record of a partition.
    pub(crate) fn record(&self, part: u16) -> Option<(Sequence, Checkpoint)> {
        let ns = namespace();
        let subject: Subject = ns.partition_subject(&group(), GroupPart(part));
        let last = self.store.last_of(&ns.consumer_stream(), &subject)?;
        Some((last.sequence, Checkpoint::decode(&last.payload).unwrap()))
    }

    /// The partitions that a node runs.
    pub(crate) fn runs(&self, name: &str) -> Vec<u16> {
        let node = self.nodes.get(name).expect("a node");
        node.parts.keys().map(|part| part.0).collect()
    }

    /// The partition of an entity.
    pub(crate) fn part_of(&self, id: &str, partitions: u16) -> GroupPart {
        let id = EntityId::new(id).unwrap();
        part_of(self.layout.shard_of(Placement::Whole, &id), partitions)
    }
}

pub(crate) fn namespace() -> Namespace {
    Namespace::new("bank").unwrap()
}

pub(crate) fn group() -> ConsumerName {
    ConsumerName::new("mailer").unwrap()
}

/// Where a record stands in the one stream.
pub(crate) fn position(record: &Checkpoint) -> Position {
    record.positions.first().copied().unwrap_or(Position::START)
}
