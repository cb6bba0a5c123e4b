//! A few nodes over one model store, with every outcome of an operation left to the caller.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::format::{
    Codec, Commit, KindRecord, LayoutKey, Placement, TakeOver, Unknown, WriteMode,
};
use tenure_core::id::{
    CommandId, Incarnation, KindId, LayoutId, OpId, Partition, Sequence, ShardId, Slot, Ticket,
    Version, WallTime,
};
use tenure_core::log::{
    Base, Decided, Effect, Expected, Freshness, Input, KindConfig, KindIndex, NewEvent,
    Provisional, Ran, Read, Reply, Shape, Shard, ShardConfig, SnapshotPolicy, Submit, Verdict,
    Work,
};
use tenure_core::name::{EntityId, KindName, Namespace};
use tenure_core::port::{Expect, Publish, Rollup, StoreRequest, StreamSettings};
use tenure_core::step::CountingProbe;
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Outcome, Span, Time};
use tenure_mem::store::{Store, StoreConfig};

/// Nodes over one store.
pub(crate) struct Cluster {
    store: Store,
    nodes: Vec<Node>,
    now: Time,
    ticket_next: u64,
    /// Requests whose sender got its answer, but which may yet reach the store.
    late: Vec<StoreRequest>,
    /// What was seen.
    pub(crate) probe: CountingProbe,
}

struct Node {
    shard: Shard,
    dice: Dice,
    states: BTreeMap<Slot, State>,
    asked: Vec<(OpId, StoreRequest)>,
    waiting: BTreeSet<Ticket>,
}

#[derive(Clone, Default)]
struct State {
    committed: u64,
    provisional: u64,
}

const STREAM: &str = "fuzz_ev_0";
const SNAPSHOTS: &str = "fuzz_snap";

impl Cluster {
    /// `count` nodes in one write mode.
    pub(crate) fn new(count: usize, mode: WriteMode, replicated: bool) -> Self {
        let config = if replicated {
            StoreConfig::clustered(3)
        } else {
            StoreConfig::default()
        };
        let replicas = if replicated { 3 } else { 1 };
        let namespace = Namespace::new("fuzz").expect("a good name");
        let mut store = Store::new(config);
        let families = ["ev.>", "own.>", "bar.>", "idx.>", "lay.0"];
        let subjects = families
            .iter()
            .map(|family| format!("fuzz.{family}"))
            .collect();
        let log = StreamSettings::event_log(STREAM.into(), subjects, replicas);
        let snapshots =
            StreamSettings::event_log(SNAPSHOTS.into(), vec!["fuzz.snap.>".into()], replicas);
        store.apply(WallTime(0), &StoreRequest::CreateStream(log));
        store.apply(WallTime(0), &StoreRequest::CreateStream(snapshots));
        let anchor = Publish {
            stream: STREAM.into(),
            subject: namespace.anchor_subject(Partition(0)),
            expect: Expect::Nothing,
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: Bytes::new(),
        };
        store.apply(WallTime(0), &StoreRequest::Publish(anchor));
        let node = |n: usize| Node {
            shard: Shard::new(
                ShardConfig {
                    namespace: namespace.clone(),
                    layout: LayoutId(1),
                    key: LayoutKey(1),
                    shard: ShardId(0),
                    stream: Partition(0),
                    class: TakeOver::Fenced,
                    mode,
                    later: false,
                    incarnation: Incarnation(n as u128),
                    node: format!("node-{n}"),
                },
                Limits::default(),
            ),
            dice: Dice::new(n as u128),
            states: BTreeMap::new(),
            asked: Vec::new(),
            waiting: BTreeSet::new(),
        };
        let nodes = (0..count).map(node).collect();
        let mut cluster = Self {
            store,
            nodes,
            now: Time::ZERO,
            ticket_next: 0,
            late: Vec::new(),
            probe: CountingProbe::default(),
        };
        let record = KindRecord {
            id: KindId(1),
            layout: LayoutId(1),
            name: KindName::new("counter").expect("a good name"),
            mode,
            class: TakeOver::Fenced,
            codec: Codec::Cbor,
            placement: Placement::Whole,
            unknown: Unknown::default(),
        };
        for n in 0..count {
            let kind = KindConfig {
                record: record.clone(),
                snapshots: SnapshotPolicy::every(3).or_after_load(2),
                snapshot_schema: 1,
                cached: true,
                local_replies: false,
            };
            cluster.step(n, Input::Kind(kind));
            cluster.step(
                n,
                Input::Up(Shape {
                    replicated,
                    payload_bytes_max: 1 << 20,
                }),
            );
        }
        cluster
    }

    fn node(&self, n: u8) -> usize {
        usize::from(n) % self.nodes.len()
    }

    /// A command for one of three entities.
    pub(crate) fn submit(&mut self, node: u8, entity: u8, id: Option<u8>, within_ms: u16) {
        let n = self.node(node);
        let ticket = self.ticket();
        let wall = WallTime(1_000);
        self.nodes[n].waiting.insert(ticket);
        let submit = Submit {
            ticket,
            kind: KindIndex(0),
            entity: entity_id(entity),
            id: id.map(|id| CommandId::new(wall, u128::from(id))),
            expected: Expected::Any,
            metadata: None,
            wall,
            at_least: Sequence::NONE,
            deadline: self.now + Span::from_millis(u64::from(within_ms)),
        };
        self.step(n, Input::Submit(submit));
    }

    /// A read of one of three entities.
    pub(crate) fn read(&mut self, node: u8, entity: u8, within_ms: u16) {
        let n = self.node(node);
        let ticket = self.ticket();
        self.nodes[n].waiting.insert(ticket);
        let deadline = self.now + Span::from_millis(u64::from(within_ms));
        let entity = entity_id(entity);
        self.step(
            n,
            Input::Read(Read {
                ticket,
                kind: KindIndex(0),
                entity,
                freshness: Freshness::Linearizable,
                at_least: Sequence::NONE,
                deadline,
            }),
        );
    }

    /// Owned mode: a node takes the shard.
    pub(crate) fn claim(&mut self, node: u8) {
        let n = self.node(node);
        if self.nodes[n].shard.config().mode == WriteMode::Owned {
            self.step(n, Input::Claim);
        }
    }

    /// The store carries out one outstanding request of a node; the answer may get lost.
    pub(crate) fn answer(&mut self, node: u8, nth: u8, lost: bool) {
        if let Some((n, op, request)) = self.take(node, nth) {
            let reply = self.store.apply(WallTime(1_000), &request);
            self.step(
                n,
                Input::Stored {
                    op,
                    reply: if lost { Outcome::Unknown } else { reply },
                },
            );
        }
    }

    /// One outstanding request of a node gets lost, or reaches the store later.
    pub(crate) fn lose(&mut self, node: u8, nth: u8, late: bool) {
        if let Some((n, op, request)) = self.take(node, nth) {
            if late && request.writes() {
                self.late.push(request);
            }
            self.step(
                n,
                Input::Stored {
                    op,
                    reply: Outcome::Unknown,
                },
            );
        }
    }

    /// One outstanding request of a node is refused.
    pub(crate) fn refuse(&mut self, node: u8, nth: u8, refused: tenure_core::port::Refused) {
        if let Some((n, op, _)) = self.take(node, nth) {
            self.step(
                n,
                Input::Stored {
                    op,
                    reply: Outcome::Refused(refused),
                },
            );
        }
    }

    /// Bytes of a write arrive after their sender gave it up.
    pub(crate) fn arrive_late(&mut self, nth: u8) {
        if !self.late.is_empty() {
            let request = self.late.remove(usize::from(nth) % self.late.len());
            self.store.apply(WallTime(1_000), &request);
        }
    }

    /// Time passes for all nodes.
    pub(crate) fn advance(&mut self, ms: u16) {
        self.now = self.now + Span::from_millis(u64::from(ms));
        for n in 0..self.nodes.len() {
            let due = self.nodes[n].shard.next_deadline();
            if due.is_some_and(|deadline| deadline.at <= self.now) {
                self.step(n, Input::Tick);
            }
        }
    }

    /// Everything outstanding is answered until nobody waits.
    ///
    /// # Panics
    ///
    /// When a caller is never answered.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            let busy = (0..self.nodes.len()).find(|n| !self.nodes[*n].asked.is_empty());
            match busy {
                Some(n) => self.answer(u8::try_from(n).expect("few nodes"), 0, false),
                None if self.nodes.iter().all(|node| node.waiting.is_empty()) => return,
                None => self.advance(10),
            }
        }
        panic!("a caller is never answered");
    }

    /// Checks that each stored commit follows the one before it.
    ///
    /// # Panics
    ///
    /// When one does not.
    pub(crate) fn audit(&self) {
        let mut last: BTreeMap<&str, (Sequence, Version)> = BTreeMap::new();
        for message in self.store.messages(STREAM) {
            if message.subject.starts_with("fuzz.ev.") {
                let commit = Commit::decode(&message.payload).expect("a commit");
                let before = last
                    .get(message.subject.as_str())
                    .copied()
                    .unwrap_or_default();
                let named = commit.snapshot.map(|named| named.sequence);
                let listed = commit
                    .earlier
                    .first()
                    .copied()
                    .or(named)
                    .unwrap_or(Sequence::NONE);
                assert_eq!(
                    (listed, commit.before),
                    before,
                    "its predecessor is the one before it"
                );
                last.insert(&message.subject, (message.sequence, commit.last));
            }
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.ticket_next += 1;
        Ticket(self.ticket_next)
    }

    /// A node makes room.
    pub(crate) fn evict(&mut self, node: u8) {
        self.step(self.node(node), Input::Evict);
    }

    fn take(&mut self, node: u8, nth: u8) -> Option<(usize, OpId, StoreRequest)> {
        let n = self.node(node);
        let asked = &mut self.nodes[n].asked;
        if asked.is_empty() {
            return None;
        }
        let (op, request) = asked.remove(usize::from(nth) % asked.len());
        Some((n, op, request))
    }

    fn step(&mut self, n: usize, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let node = &mut self.nodes[n];
            let mut out = Effects::new(65_536);
            let cx = &mut Cx {
                now: self.now,
                dice: node.dice,
                probe: &mut self.probe,
            };
            node.shard.step(cx, input, &mut out);
            for effect in out.drain() {
                match effect {
                    Effect::Store { op, request } => node.asked.push((op, request)),
                    Effect::Run { op, work } => {
                        inputs.push(Input::Ran {
                            op,
                            ran: node.work(work),
                        });
                    }
                    Effect::Reply { ticket, reply } => {
                        assert!(node.waiting.remove(&ticket), "one reply per ticket");
                        if let Reply::Refused(refusal) = reply {
                            let damaged = matches!(refusal, tenure_core::log::Refusal::Damaged(_));
                            assert!(!damaged, "no log is damaged: {refusal:?}");
                        }
                    }
                    Effect::Forget { slot } => drop(node.states.remove(&slot)),
                    Effect::Report(_)
                    | Effect::Note(_)
                    | Effect::AskWall
                    | Effect::Dispatch { .. } => {}
                    Effect::Halt(reason) => panic!("halted: {reason}"),
                }
            }
        }
    }
}

impl Node {
    /// A slot's state, after what was decided last was kept or dropped.
    fn settled(&mut self, slot: Slot, provisional: Provisional) -> &mut State {
        let state = self.states.get_mut(&slot).expect("a slot that was folded");
        match provisional {
            Provisional::Committed => state.committed = state.provisional,
            Provisional::Dropped => state.provisional = state.committed,
        }
        state
    }

    fn work(&mut self, work: Work) -> Ran {
        match work {
            Work::Fold {
                slot,
                base,
                commits,
                ..
            } => {
                let mut value = match base {
                    Base::Nothing => 0,
                    Base::Held(provisional) => self.settled(slot, provisional).committed,
                    Base::Snapshot(snapshot) => number(&snapshot.state),
                };
                for stored in commits {
                    for event in stored.commit.events {
                        assert_eq!(number(&event.data), value, "an event follows its state");
                        value += 1;
                    }
                }
                self.states.insert(
                    slot,
                    State {
                        committed: value,
                        provisional: value,
                    },
                );
                Ran::Folded(Ok(()))
            }
            Work::Decide {
                slot,
                provisional,
                commands,
                ..
            } => {
                let state = self.settled(slot, provisional);
                let decide = |(ticket, _): (Ticket, Expected)| {
                    if ticket.0.is_multiple_of(4) {
                        return Decided {
                            ticket,
                            verdict: Verdict::Rejected,
                        };
                    }
                    let data = Bytes::copy_from_slice(&state.provisional.to_be_bytes());
                    state.provisional += 1;
                    let event = NewEvent {
                        version: None,
                        name: "counted".into(),
                        schema: 1,
                        data,
                    };
                    let outcome = Bytes::from_static(b"ok");
                    let verdict = Verdict::Accepted {
                        events: vec![event],
                        outcome,
                        record: false,
                        later: None,
                        delete: false,
                    };
                    Decided { ticket, verdict }
                };
                Ran::Decided(commands.into_iter().map(decide).collect())
            }
            Work::Fire { .. } => unreachable!("nothing arms a timer"),
            Work::Answer {
                slot, provisional, ..
            } => {
                self.settled(slot, provisional);
                Ran::Answered
            }
            Work::Snapshot { slot, provisional } => {
                let state = self.settled(slot, provisional).committed.to_be_bytes();
                Ran::Snapshotted(Ok(Bytes::copy_from_slice(&state)))
            }
        }
    }
}

fn number(bytes: &Bytes) -> u64 {
    bytes
        .as_ref()
        .try_into()
        .map(u64::from_be_bytes)
        .expect("eight bytes")
}

fn entity_id(n: u8) -> EntityId {
    EntityId::new(["a", "b", "c"][usize::from(n) % 3]).expect("a good id")
}

/// What a store may say to anything.
pub(crate) fn passing(n: u8) -> tenure_core::port::Refused {
    use tenure_core::port::Refused;
    match n % 4 {
        0 => Refused::InProcess,
        1 => Refused::Overloaded,
        2 => Refused::NoResponders,
        _ => Refused::NotConnected,
    }
}
