//! A world before its first event: streams, anchors, entities, nodes, and the first events.

use super::event::{Event, Place};
use super::node::{Node, Running};
use super::{World, wire};
use crate::bodies::Bodies;
use crate::draw::{Draws, What};
use crate::history::{Entity, History};
use crate::ledger::Ledger;
use crate::oracle;
use crate::profile::Plan;
use std::collections::{BTreeMap, VecDeque};
use tenure_core::cache::Cache;
use tenure_core::format::{
    Anchor, Codec, KindRecord, Layout, LayoutKey, Placement, TakeOver, Unknown, WriteMode,
};
use tenure_core::id::{Incarnation, KindId, LayoutId, ShardId, WallTime};
use tenure_core::log::{Input, KindConfig, KindIndex, Shape, Shard, ShardConfig};
use tenure_core::name::{EntityId, KindName, Namespace};
use tenure_core::port::{Expect, Publish, Rollup, StoreRequest, StreamSettings};
use tenure_core::step::CountingProbe;
use tenure_core::{Dice, Outcome, Span};
use tenure_mem::store::{Store, StoreConfig};

const LAYOUT: LayoutId = LayoutId(0x1a_u128);
const LAYOUT_KEY: LayoutKey = LayoutKey(7);
const KINDS: [&str; 2] = ["plain", "pictured"];

pub(super) fn world(plan: Plan) -> World {
    let namespace = Namespace::new("sim").expect("a legal name");
    let shards = u16::try_from(plan.shards.len()).expect("a small number");
    let layout = Layout::new(LAYOUT, LAYOUT_KEY, WallTime(0), shards, plan.streams);
    let mut store = store(&plan);
    let replicas = if plan.replicated { 3 } else { 1 };
    let mut streams = Vec::new();
    for partition in layout.partitions() {
        let name = namespace.event_stream(partition);
        let subjects = namespace.event_stream_subjects(&layout, partition);
        let settings = StreamSettings::event_log(name.clone(), subjects, replicas);
        must(store.apply(WallTime(0), &StoreRequest::CreateStream(settings)));
        let anchor = Anchor {
            layout: LAYOUT,
            stream: partition,
            unknown: Unknown::default(),
        };
        let publish = Publish {
            stream: name.clone(),
            subject: namespace.anchor_subject(partition),
            expect: Expect::OwnLast(tenure_core::id::Sequence::NONE),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: anchor.encode(),
        };
        must(store.apply(WallTime(0), &StoreRequest::Publish(publish)));
        streams.push(name);
    }
    let subjects = namespace.snapshot_stream_subjects();
    let snapshots = StreamSettings::snapshots(namespace.snapshot_stream(), subjects, replicas);
    must(store.apply(WallTime(0), &StoreRequest::CreateStream(snapshots)));
    let mut world = World {
        draws: Draws::new(plan.seed),
        now: 0,
        ordinal: 0,
        queue: BTreeMap::new(),
        layout: LAYOUT,
        entities: entities(&plan, &namespace),
        ledger: Ledger::new(namespace.clone()),
        bodies: Bodies::default(),
        namespace,
        streams,
        store,
        wire: wire::Wire::default(),
        nodes: Vec::new(),
        owners: vec![None; plan.shards.len()],
        history: History::default(),
        oracles: oracle::all(LAYOUT_KEY),
        probe: CountingProbe::default(),
        next_ticket: 1,
        stored_count: 0,
        healed: false,
        corruption: None,
        trace: super::Trace::None,
        plan,
    };
    for node in 0..world.plan.nodes {
        world.nodes.push(Node {
            life: 0,
            alive: false,
            linked: false,
            stopped_until: None,
            waiting: VecDeque::new(),
            born: 0,
            shards: Vec::new(),
            marks: BTreeMap::new(),
            cache: Cache::new(&world.plan.limits, 0, 1),
        });
        world.at(Span::ZERO, Event::Restart { node });
    }
    for client in 0..world.plan.clients {
        world.at(Span::from_millis(1), Event::Ask { client });
    }
    world.schedule_faults();
    world
}

impl World {
    /// Gives a node a new life: new machines, new hosts, a new clock and new dice.
    pub(super) fn revive(&mut self, node: usize) {
        let life = self.nodes[node].life + 1;
        let part = (node as u64) << 16 | u64::from(life);
        let key = self.draws.bits(What::NodeKey, part);
        let incarnation = Incarnation(self.draws.bits(What::NodeKey, part));
        // A node that comes up again was upgraded meanwhile.
        let first = self.plan.builds[node];
        let build = (1..life).fold(first, |build, _| build.next());
        let shards = (0..self.plan.shards.len())
            .map(|shard| {
                let config = self.shard_config(shard, node, incarnation);
                let dice = Dice::new(key).fork(shard as u64);
                Running::new(Shard::new(config, self.plan.limits), dice, build)
            })
            .collect();
        let now = self.now;
        let revived = &mut self.nodes[node];
        revived.life = life;
        revived.alive = true;
        revived.linked = false;
        revived.stopped_until = None;
        revived.waiting.clear();
        revived.born = now;
        revived.shards = shards;
        revived.marks.clear();
        revived.cache = Cache::new(&self.plan.limits, 0, 1);
        for shard in 0..self.plan.shards.len() {
            let place = Place { node, life, shard };
            for kind in 0..KINDS.len() {
                let input = Box::new(Input::Kind(self.kind_config(kind, self.plan.shards[shard])));
                self.at(Span::ZERO, Event::Deliver { place, input });
            }
        }
        let wait = self
            .draws
            .span(What::Link, node as u64, Span::ZERO, Span::from_millis(5));
        self.at(wait, Event::LinkUp { node });
    }

    /// What the store is, as a shard is told.
    pub(super) fn shape(&self) -> Shape {
        Shape {
            replicated: self.plan.replicated,
            payload_bytes_max: self.plan.payload_bytes_max,
        }
    }

    fn shard_config(&self, shard: usize, node: usize, incarnation: Incarnation) -> ShardConfig {
        let id = ShardId(u16::try_from(shard).expect("a small number"));
        ShardConfig {
            namespace: self.namespace.clone(),
            layout: self.layout,
            key: LAYOUT_KEY,
            shard: id,
            stream: tenure_core::id::Partition(id.0 % self.plan.streams),
            class: TakeOver::Fenced,
            mode: self.plan.shards[shard],
            incarnation,
            node: format!("n{node}"),
        }
    }

    fn kind_config(&self, kind: usize, mode: WriteMode) -> KindConfig {
        KindConfig {
            record: KindRecord {
                id: KindId(kind as u128 + 1),
                layout: self.layout,
                name: KindName::new(KINDS[kind]).expect("a legal name"),
                mode,
                class: TakeOver::Fenced,
                codec: Codec::Cbor,
                placement: Placement::Whole,
                unknown: Unknown::default(),
            },
            snapshots: self.plan.snapshots[kind],
            snapshot_schema: 1,
            cached: self.plan.cached[kind],
            local_replies: false,
        }
    }
}

fn entities(plan: &Plan, namespace: &Namespace) -> Vec<Entity> {
    let mut entities = Vec::new();
    for (shard, mode) in plan.shards.iter().enumerate() {
        let shard_id = ShardId(u16::try_from(shard).expect("a small number"));
        for number in 0..plan.entities {
            let kind = u16::try_from(number % 2).expect("a remainder");
            let name = KindName::new(KINDS[usize::from(kind)]).expect("a legal name");
            let id = EntityId::new(&format!("e {shard}.{number}")).expect("a legal id");
            entities.push(Entity {
                shard,
                mode: *mode,
                kind: KindIndex(kind),
                subject: namespace.event_subject(shard_id, &name, &id),
                id,
            });
        }
    }
    entities
}

fn store(plan: &Plan) -> Store {
    let mut config = if plan.replicated {
        StoreConfig::clustered(3)
    } else {
        StoreConfig::default()
    };
    config.capabilities.payload_bytes_max = plan.payload_bytes_max;
    config.removed_max = 64;
    Store::new(config)
}

fn must(reply: tenure_core::port::StoreReply) {
    assert!(
        matches!(reply, Outcome::Done(_)),
        "the store is set up: {reply:?}"
    );
}
