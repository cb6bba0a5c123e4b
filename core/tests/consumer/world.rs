//! One consumer over a model store, and what is known of the events that it handled.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::consumer::{
    Answer, Batch, Command, Config, Consumer, Definition, Effect, Fault, Filter, Handled, Input,
    Keeping, Notice, Order, Pace, Policy, Source, Start, State, Then,
};
use tenure_core::format::{
    Cause, Checkpoint, Commit, EventPlace, EventRecord, Layout, LayoutKey, Placement, Position,
    Unknown,
};
use tenure_core::id::{CommitId, Incarnation, KindId, LayoutId, OpId, Ticket, Version, WallTime};
use tenure_core::name::{ConsumerName, EntityId, KindName, Namespace};
use tenure_core::port::{
    Expect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, StreamName,
    StreamSettings,
};
use tenure_core::space::SpaceWish;
use tenure_core::step::{Outcome, SilentProbe};
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Span, Time};
use tenure_mem::store::{Store, StoreConfig};

/// How many entities there are.
const ENTITIES: u16 = 4;

const NAME: &str = "balances";

/// How a world is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) order: Order,
    pub(crate) then: Then,
    pub(crate) streams: u16,
    pub(crate) retries_max: u32,
}

/// One consumer and its store.
pub(crate) struct World {
    setup: Setup,
    store: Store,
    layout: Layout,
    now: Time,
    consumer: Consumer,
    runs: u64,
    asked: BTreeMap<OpId, (Time, StoreRequest)>,
    batches: BTreeMap<OpId, Batch>,
    over: bool,
    /// All events, by their places: whose, and the how manieth of it.
    events: BTreeMap<EventPlace, (EntityId, u64)>,
    versions: BTreeMap<EntityId, u64>,
    /// Events that were handled, or passed over as the policy says.
    done: BTreeSet<EventPlace>,
    /// The last event of each entity that this run was done with.
    last: BTreeMap<EntityId, u64>,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let layout = Layout::new(LayoutId(7), LayoutKey(9), WallTime(1), 8, setup.streams);
        let mut store = Store::new(StoreConfig::default());
        let ns = namespace();
        for partition in layout.partitions() {
            let subjects = ns.event_stream_subjects(&layout, partition);
            let name = ns.event_stream(partition);
            let settings = StreamSettings::event_log(name.clone(), subjects, 1);
            store.apply(WallTime(1), &StoreRequest::CreateStream(settings));
            let anchor = publish(name, ns.anchor_subject(partition), Bytes::from_static(b"a"));
            store.apply(WallTime(1), &anchor);
        }
        let consumer = consumer(&setup, &layout, 1);
        let mut this = Self {
            setup,
            store,
            layout,
            now: Time::ZERO,
            consumer,
            runs: 1,
            asked: BTreeMap::new(),
            batches: BTreeMap::new(),
            over: false,
            events: BTreeMap::new(),
            versions: BTreeMap::new(),
            done: BTreeSet::new(),
            last: BTreeMap::new(),
        };
        this.step(Input::Up);
        this
    }

    fn wall(&self) -> WallTime {
        WallTime(1_000 + self.now.as_nanos() / 1_000_000)
    }

    /// Does one of the things that can be done.
    pub(crate) fn act(&mut self, (what, how): (u8, u16)) {
        match what % 16 {
            0..=5 => self.answer(how),
            6 | 7 => self.lose(how),
            8..=10 => self.end_batch(how),
            11 | 12 => self.commit(how % ENTITIES, u64::from(1 + how / 64 % 3)),
            13 => self.next_deadline(),
            14 if how % 4 == 0 => self.restart(),
            14 => self.reconnect(),
            15 if how % 8 == 0 => self.rewind(),
            _ => self.pass(Span::from_millis(u64::from(how % 64))),
        }
        self.check();
    }

    fn step(&mut self, input: Input) {
        let mut out = Effects::new(100_000);
        let mut probe = SilentProbe;
        let mut cx = Cx {
            now: self.now,
            dice: Dice::new(u128::from(self.runs)),
            probe: &mut probe,
        };
        self.consumer.step(&mut cx, input, &mut out);
        assert_eq!(self.consumer.broken(), None);
        for effect in out.drain() {
            match effect {
                Effect::Store { op, request } => {
                    let before = self.asked.insert(op, (self.now, request));
                    assert!(before.is_none(), "{op:?} is asked twice");
                }
                Effect::Handle { op, batch } => self.handed(op, batch),
                Effect::Notice(Notice::Skipped(failure) | Notice::DeadLettered(failure)) => {
                    self.done_with(failure.place);
                }
                Effect::Notice(_) => {}
                Effect::Answer { answer, .. } => match answer {
                    // It begins anew: what comes is not to follow what was.
                    Answer::Rewound(Ok(positions)) => {
                        assert!(positions.iter().all(|at| *at == Position::START));
                        self.last.clear();
                    }
                    Answer::Rewound(Err(_)) => {}
                    Answer::Obeyed(_)
                    | Answer::Letters(_)
                    | Answer::Looked(_)
                    | Answer::Removed(_) => {
                        panic!("nothing else is asked")
                    }
                },
                Effect::Ended { fault, .. } => {
                    let superseded = matches!(fault.as_deref(), Some(Fault::Superseded { .. }));
                    assert!(fault.is_none() || superseded, "{fault:?}");
                    self.over = true;
                }
                Effect::Halt(reason) => panic!("it halts: {reason}"),
            }
        }
    }

    /// A batch is of one key, follows what was done, and no other of the key is under way.
    fn handed(&mut self, op: OpId, batch: Batch) {
        let serial = self.setup.order == Order::Serial;
        for other in self.batches.values() {
            let same = other.events[0].subject == batch.events[0].subject;
            assert!(!serial && !same, "two batches of one key");
        }
        let mut last = self.last.clone();
        for given in &batch.events {
            let (entity, number) = &self.events[&given.place];
            assert_eq!(*entity, given.subject.id);
            if let Some(last) = last.insert(entity.clone(), *number) {
                assert_eq!(*number, last + 1, "{entity} goes on where it was");
            }
        }
        self.batches.insert(op, batch);
    }

    fn done_with(&mut self, place: EventPlace) {
        let (entity, number) = self.events[&place].clone();
        let before = self
            .events
            .iter()
            .filter(|(_, of)| of.0 == entity && of.1 < number);
        for (place, _) in before {
            assert!(self.done.contains(place), "{place} was left out");
        }
        self.last.insert(entity, number);
        self.done.insert(place);
    }

    /// What can be answered: a fetch without anything waits.
    fn pick(&self, how: u16) -> Option<OpId> {
        let count = self.asked.len();
        let place = usize::from(how) % count.max(1);
        self.asked.keys().nth(place).copied()
    }

    fn answer(&mut self, how: u16) {
        let Some(op) = self.pick(how) else { return };
        let (_, request) = self.asked.remove(&op).unwrap();
        let reply = self.store.apply(self.wall(), &request);
        let wall = self.wall();
        self.step(Input::Stored { op, reply, wall });
    }

    /// An answer is lost, or a request, or it is refused.
    fn lose(&mut self, how: u16) {
        let Some(op) = self.pick(how / 8) else { return };
        let (_, request) = self.asked.remove(&op).unwrap();
        let reply: StoreReply = match how % 8 {
            0..=2 => {
                self.store.apply(self.wall(), &request);
                Outcome::Unknown
            }
            3 | 4 => Outcome::Unknown,
            5 => Outcome::Refused(Refused::NotConnected),
            6 if matches!(request, StoreRequest::Fetch { .. }) => {
                Outcome::Refused(Refused::NoConsumer)
            }
            _ => Outcome::Refused(Refused::NoResponders),
        };
        let wall = self.wall();
        self.step(Input::Stored { op, reply, wall });
    }

    fn end_batch(&mut self, how: u16) {
        let place = usize::from(how) % self.batches.len().max(1);
        let Some(op) = self.batches.keys().nth(place).copied() else {
            return;
        };
        let batch = self.batches.remove(&op).unwrap();
        let events = u16::try_from(batch.events.len()).unwrap();
        let done = match how / 16 % 4 {
            0 => how / 64 % events,
            _ => events,
        };
        for given in batch.events.iter().take(usize::from(done)) {
            self.done_with(given.place);
        }
        let handled = match done == events {
            true => Handled::Done,
            false => Handled::Failed {
                done: u32::from(done),
                cause: Cause::Handler,
                text: "no".into(),
            },
        };
        self.step(Input::Handled { op, handled });
    }

    /// The handler fails with all that it has.
    pub(crate) fn fail_all(&mut self) {
        while let Some((op, _)) = self.batches.pop_first() {
            let handled = Handled::Failed {
                done: 0,
                cause: Cause::Handler,
                text: "no".into(),
            };
            self.step(Input::Handled { op, handled });
        }
    }

    /// An entity gets a commit of so many events.
    pub(crate) fn commit(&mut self, entity: u16, events: u64) {
        let kind = KindName::new("account").unwrap();
        let entity = EntityId::new(&format!("entity-{entity}")).unwrap();
        let shard = self.layout.shard_of(Placement::Whole, &entity);
        let partition = self.layout.stream_of(shard);
        let before = self.versions.get(&entity).copied().unwrap_or(0);
        let event = |n| EventRecord {
            version: Version(before + 1 + n),
            name: "moved".into(),
            schema: 1,
            data: Bytes::new(),
        };
        let commit = Commit {
            id: CommitId(u128::from(before)),
            layout: self.layout.id,
            kind: KindId(1),
            entity: entity.clone(),
            epoch: None,
            time: self.wall(),
            before: Version(before),
            last: Version(before + events),
            earlier: Vec::new().into(),
            snapshot: None,
            horizon: WallTime(0),
            commands: Vec::new(),
            events: (0..events).map(event).collect(),
            tombstone: false,
            metadata: Vec::new(),
            later: None,
            unknown: Unknown::default(),
        };
        let subject = namespace().event_subject(shard, &kind, &entity);
        let stream = namespace().event_stream(partition);
        let stored = publish(stream.clone(), subject, commit.encode());
        let stored = self.store.apply(self.wall(), &stored);
        assert!(matches!(stored, Outcome::Done(_)), "{stored:?}");
        let sequence = self.store.last(&stream);
        for n in 0..events {
            let place = EventPlace {
                partition,
                sequence,
                index: u32::try_from(n).unwrap(),
            };
            self.events.insert(place, (entity.clone(), before + 1 + n));
        }
        self.versions.insert(entity, before + events);
    }

    fn pass(&mut self, span: Span) {
        self.now = self.now + span;
        self.tick();
    }

    fn tick(&mut self) {
        let due = self.consumer.next_deadline();
        if due.is_some_and(|due| due.at <= self.now) {
            let wall = self.wall();
            self.step(Input::Tick { wall });
            let still = self.consumer.next_deadline();
            let stuck = still.filter(|still| !self.over && still.at <= self.now);
            assert!(stuck.is_none(), "a tick leaves {stuck:?} due");
        }
    }

    /// The time comes at which the machine wants to be looked at.
    pub(crate) fn next_deadline(&mut self) {
        let due = self.consumer.next_deadline().map(|due| due.at);
        // A fetch that waits is answered at the end of its wait.
        let waiting = self.asked.values();
        let waiting = waiting.map(|(at, request)| (*at, request.patience()));
        let fetches = waiting.filter(|(_, wait)| *wait > Span::ZERO);
        let fetches = fetches.map(|(at, wait)| at + wait);
        if let Some(at) = due.into_iter().chain(fetches).min() {
            self.now = self.now.max(at);
            self.tick();
        }
    }

    /// All comes again.
    fn rewind(&mut self) {
        let (ticket, to) = (Ticket(1), Start::Beginning);
        self.step(Input::Order(Command::Rewind { ticket, to }));
    }

    pub(crate) fn reconnect(&mut self) {
        self.step(Input::Up);
    }

    /// The run is gone, with all that it knew and asked; what was asked may still happen.
    fn restart(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        for (n, (_, request)) in asked.into_values().enumerate() {
            if n % 2 == 0 {
                self.store.apply(self.wall(), &request);
            }
        }
        self.batches.clear();
        self.last.clear();
        self.runs += 1;
        self.over = false;
        self.consumer = consumer(&self.setup, &self.layout, self.runs);
        self.step(Input::Up);
    }

    /// No stored checkpoint is ahead of what was done.
    fn check(&self) {
        let name = ConsumerName::new(NAME).unwrap();
        let (stream, subject) = (
            namespace().consumer_stream(),
            namespace().checkpoint_subject(&name),
        );
        let Some(message) = self.store.last_of(&stream, &subject) else {
            return;
        };
        let checkpoint = Checkpoint::decode(&message.payload).unwrap();
        for place in self.events.keys() {
            let position = checkpoint.positions[usize::from(place.partition.0)];
            assert!(
                !position.takes_in(place.sequence, place.index) || self.done.contains(place),
                "the checkpoint {position:?} takes in {place}, which was not handled"
            );
        }
    }

    /// Answers all that can be, and ends nothing; a fetch without anything waits.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut quiet = true;
            let ops: Vec<OpId> = self.asked.keys().copied().collect();
            for op in ops {
                let (at, request) = self.asked.remove(&op).unwrap();
                let reply = self.store.apply(self.wall(), &request);
                let nothing = matches!(
                    &reply,
                    Outcome::Done(StoreDone::Fetched(fetched)) if fetched.messages.is_empty()
                );
                if nothing && self.now < at + Span::from_secs(2) {
                    self.asked.insert(op, (at, request));
                    continue;
                }
                quiet = false;
                let wall = self.wall();
                self.step(Input::Stored { op, reply, wall });
            }
            if quiet {
                return;
            }
        }
    }

    /// Nothing fails any more: all is handled, and the checkpoint says so after the stop.
    pub(crate) fn end_well(&mut self) {
        if self.over {
            self.restart();
        }
        for _ in 0..2_000 {
            self.settle();
            while let Some((op, batch)) = self.batches.pop_first() {
                for given in &batch.events {
                    self.done_with(given.place);
                }
                let handled = Handled::Done;
                self.step(Input::Handled { op, handled });
            }
            self.check();
            let status = self.consumer.status();
            if status.state == State::Live && self.done.len() == self.events.len() {
                return self.stop();
            }
            self.next_deadline();
        }
        let left: Vec<_> = self
            .events
            .keys()
            .filter(|at| !self.done.contains(at))
            .collect();
        panic!(
            "it does not come to an end: {:?}, left {left:?}",
            self.consumer.status()
        );
    }

    fn stop(&mut self) {
        let until = self.now + Span::from_secs(60);
        let command = Command::Stop { until };
        self.step(Input::Order(command));
        for _ in 0..100 {
            self.settle();
            if self.over {
                self.check();
                let status = self.consumer.status();
                assert_eq!(status.saved, status.positions);
                return;
            }
            self.next_deadline();
        }
        panic!("it does not stop");
    }

    /// About what the machine holds: its own text, in bytes.
    pub(crate) fn size(&self) -> usize {
        format!("{:?}", self.consumer).len()
    }
}

fn consumer(setup: &Setup, layout: &Layout, run: u64) -> Consumer {
    let failing = Policy {
        retries_max: setup.retries_max,
        delay_min: Span::from_millis(5),
        delay_max: Span::from_millis(50),
        then: setup.then,
    };
    let config = Config {
        wish: SpaceWish::new(namespace()),
        layout: layout.clone(),
        run: Incarnation(u128::from(run)),
        node: "node".into(),
        definition: Definition {
            name: ConsumerName::new(NAME).unwrap(),
            source: Source::Log,
            filter: Filter::default(),
            order: setup.order,
            start: Start::Beginning,
            keeping: Keeping::Stored,
        },
        pace: Pace {
            failing,
            batch_events_max: 3,
            prefetch_commits_max: 8,
            checkpoint_every: 4,
            checkpoint_within: Span::from_millis(100),
            ..Pace::default()
        },
        reset: None,
    };
    Consumer::new(config, Limits::default()).unwrap()
}

fn publish(
    stream: StreamName,
    subject: tenure_core::port::Subject,
    payload: Bytes,
) -> StoreRequest {
    StoreRequest::Publish(Publish {
        stream,
        subject,
        expect: Expect::Nothing,
        rollup: Rollup::No,
        dedup: None,
        ttl_s: None,
        payload,
    })
}

fn namespace() -> Namespace {
    Namespace::new("bank").unwrap()
}
