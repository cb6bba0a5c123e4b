//! A world before its first event: streams, anchors, entities, nodes, and the first events.

use super::event::{Event, Part, Place};
use super::network::Network;
use super::node::{Node, Running};
use super::queue::Queue;
use super::slow::Pace;
use super::stored::Stored;
use super::{World, wire};
use crate::bodies::Bodies;
use crate::clock::Clock;
use crate::draw::{Draws, What};
use crate::history::{Entity, History};
use crate::host::{Host, Reader};
use crate::ledger::Ledger;
use crate::lives::Lives;
use crate::oracle;
use crate::profile::Plan;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
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
/// The kinds of each class: what is stored of an entity tells its kind, not its class.
const KINDS: [[&str; 2]; 2] = [["plain", "pictured"], ["held", "heldpictured"]];

pub(super) fn world(plan: Plan) -> World {
    let namespace = Namespace::new("sim").expect("a legal name");
    let classes = if plan.cluster.is_some() { 2 } else { 1 };
    let shards = u16::try_from(plan.shards.len() / classes).expect("a small number");
    let layout = Layout::new(LAYOUT, LAYOUT_KEY, WallTime(0), shards, plan.streams);
    let mut store = store(&plan);
    let replicas = if plan.replicated { 3 } else { 1 };
    let mut streams = Vec::new();
    for partition in layout.partitions() {
        let name = namespace.event_stream(partition);
        let subjects = namespace.event_stream_subjects(&layout, partition);
        let mut settings = StreamSettings::event_log(name.clone(), subjects, replicas);
        if plan.cluster.is_some() {
            settings.republish = Some(namespace.ownership_notices());
        }
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
    if plan.cluster.is_some() {
        let subjects = namespace.member_stream_subjects();
        let mut members = StreamSettings::members(namespace.member_stream(), subjects, replicas);
        members.republish = Some(namespace.member_notices());
        must(store.apply(WallTime(0), &StoreRequest::CreateStream(members)));
    }
    let ownership = |index: usize| {
        let (class, shard) = (class_of(&layout, index), number_of(&layout, index));
        namespace.ownership_subject(class, shard)
    };
    let ownerships = (0..plan.shards.len()).map(ownership).collect();
    let entities = entities(&plan, &layout, &namespace);
    let mut world = World {
        draws: Draws::new(plan.seed),
        now: 0,
        ordinal: 0,
        happened: 0,
        queue: Queue::default(),
        layout: LAYOUT,
        layout_record: Arc::new(layout),
        ownerships,
        entities,
        ledger: Ledger::new(namespace.clone()),
        bodies: Bodies::default(),
        reader: Reader::new(),
        snapshots: namespace.snapshot_stream(),
        namespace,
        streams,
        store: Stored::new(store),
        wire: wire::Wire::default(),
        network: Network::default(),
        lives: Lives::default(),
        away: BTreeSet::new(),
        given_up: BTreeSet::new(),
        suspended: BTreeSet::new(),
        nodes: Vec::new(),
        owners: vec![None; plan.shards.len()],
        history: History::default(),
        oracles: oracle::all(LAYOUT_KEY),
        probe: CountingProbe::default(),
        next_ticket: 1,
        stored_count: 0,
        underway: BTreeMap::new(),
        expired_messages: false,
        wall_max: WallTime(0),
        healed: false,
        members_lost: false,
        leased_void: false,
        tail_lost: false,
        unfenced: BTreeSet::new(),
        store_skew_ms: 0,
        removed: None,
        skew_ms: plan.skew_ms.clone(),
        corruption: None,
        until: None,
        story: super::Story::Untold,
        event: 0,
        cause: 0,
        plan,
    };
    for node in 0..world.plan.nodes {
        world.nodes.push(Node {
            life: 0,
            alive: false,
            linked: false,
            stopped_until: None,
            waiting: VecDeque::new(),
            pace: Pace::default(),
            clock: Clock::new(0, 0),
            shards: Vec::new(),
            seats: None,
            marks: BTreeMap::new(),
            cache: Cache::new(&world.plan.limits, 0, 1),
            stocks: Vec::new(),
        });
        if world
            .plan
            .cluster
            .as_ref()
            .is_none_or(|it| node < it.started)
        {
            world.at(Span::ZERO, Event::Restart { node });
        } else {
            world.away.insert(node);
        }
    }
    for client in 0..world.plan.clients {
        let number = 1;
        world.at(Span::from_millis(1), Event::Ask { client, number });
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
        let shards: Vec<_> = (0..self.plan.shards.len())
            .map(|shard| {
                let config = self.shard_config(shard, node, incarnation);
                let dice = Dice::new(key).fork(shard as u64);
                let host = Host::new(build, self.reader.clone());
                Running::new(Shard::new(config, self.plan.limits), dice, host)
            })
            .collect();
        let clock = self.clock_of(node);
        let revived = &mut self.nodes[node];
        revived.life = life;
        revived.alive = true;
        revived.linked = false;
        revived.stopped_until = None;
        revived.waiting.clear();
        revived.pace = Pace::default();
        revived.clock = clock;
        revived.cache = Cache::new(&self.plan.limits, 0, 1);
        let cache = &mut revived.cache;
        revived.stocks = (0..shards.len()).map(|shard| cache.enter(shard)).collect();
        revived.shards = shards;
        revived.marks.clear();
        if self.plan.cluster.is_some() {
            let seats = self.seats(node, incarnation, Dice::new(key));
            self.lives.begin(incarnation, (node, life), self.now);
            self.nodes[node].seats = Some(seats);
        }
        for shard in 0..self.plan.shards.len() {
            let part = Part::Log(shard);
            let place = Place { node, life, part };
            for kind in 0..KINDS[0].len() {
                let input = Input::Kind(self.kind_config(kind, shard));
                self.deliver_after(Span::ZERO, place, input);
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
        let class = class_of(&self.layout_record, shard);
        let id = number_of(&self.layout_record, shard);
        ShardConfig {
            namespace: self.namespace.clone(),
            layout: self.layout,
            key: LAYOUT_KEY,
            shard: id,
            stream: self.layout_record.stream_of(id),
            class,
            mode: self.plan.shards[shard],
            later: self.plan.later && self.plan.shards[shard] == WriteMode::Owned,
            incarnation,
            node: format!("n{node}"),
        }
    }

    fn kind_config(&self, kind: usize, shard: usize) -> KindConfig {
        let class = class_of(&self.layout_record, shard);
        let number = kind_number(class, kind);
        KindConfig {
            record: KindRecord {
                id: KindId(number as u128 + 1),
                layout: self.layout,
                name: kind_name(class, kind),
                mode: self.plan.shards[shard],
                class,
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

fn class_of(layout: &Layout, shard: usize) -> TakeOver {
    if shard < usize::from(layout.shards()) {
        TakeOver::Fenced
    } else {
        TakeOver::Leased
    }
}

fn number_of(layout: &Layout, shard: usize) -> ShardId {
    let number = shard % usize::from(layout.shards());
    ShardId(u16::try_from(number).expect("a small number"))
}

fn kind_number(class: TakeOver, kind: usize) -> usize {
    match class {
        TakeOver::Fenced => kind,
        TakeOver::Leased => KINDS[0].len() + kind,
    }
}

/// The name of an entity's kind.
pub(super) fn kind_text(entity: &Entity) -> &'static str {
    let class = match entity.class {
        TakeOver::Fenced => 0,
        TakeOver::Leased => 1,
    };
    KINDS[class][usize::from(entity.kind.0)]
}

fn kind_name(class: TakeOver, kind: usize) -> KindName {
    let names = KINDS.concat();
    KindName::new(names[kind_number(class, kind)]).expect("a legal name")
}

fn entities(plan: &Plan, layout: &Layout, namespace: &Namespace) -> Vec<Entity> {
    let mut entities = Vec::new();
    for (shard, mode) in plan.shards.iter().enumerate() {
        let (class, shard_id) = (class_of(layout, shard), number_of(layout, shard));
        for number in 0..plan.entities {
            let kind = u16::try_from(number % 2).expect("a remainder");
            let name = kind_name(class, usize::from(kind));
            let id = EntityId::new(&format!("e {shard}.{number}")).expect("a legal id");
            entities.push(Entity {
                shard,
                class,
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
