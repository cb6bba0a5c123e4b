//! One node of a story about ownership: its `Owners`, the logs of its shards and their hosts.

use super::{Cluster, Part, namespace};
use crate::bank::{Bank, Order as Wish};
use std::collections::BTreeMap;
use std::sync::Arc;
use tenure_core::format::{Codec, KindRecord, Layout, Placement, Unknown, WriteMode};
use tenure_core::id::{Incarnation, KindId, Sequence, Slot, Ticket, WallTime};
use tenure_core::log::{
    self, Freshness, KindConfig, KindIndex, Reply, ShardConfig, SnapshotPolicy,
};
use tenure_core::name::{EntityId, KindName};
use tenure_core::node::{About, View};
use tenure_core::shard::{self, Owners, OwnersConfig, Place, Table};
use tenure_core::step::{CountingProbe, Deadline};
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Time};

pub(crate) struct Node {
    pub(crate) run: Incarnation,
    pub(crate) about: About,
    pub(crate) view: View,
    pub(crate) owners: Owners,
    pub(super) table: Arc<Table>,
    name: String,
    layout: Arc<Layout>,
    logs: BTreeMap<Place, (log::Shard, Bank)>,
    dice: Dice,
}

impl Node {
    pub(super) fn new(
        cluster: &Cluster,
        name: &str,
        run: Incarnation,
        about: About,
        view: View,
    ) -> Self {
        let config = OwnersConfig {
            namespace: namespace(),
            layout: Arc::clone(&cluster.layout),
            name: Cluster::node_name(name),
            incarnation: run,
            classes: about.classes.clone(),
        };
        Self {
            run,
            about,
            view,
            owners: Owners::new(config, cluster.limits),
            table: Arc::default(),
            name: name.to_owned(),
            layout: Arc::clone(&cluster.layout),
            logs: BTreeMap::new(),
            dice: Dice::new(run.0),
        }
    }

    pub(super) fn step_owners(
        &mut self,
        now: Time,
        limits: &Limits,
        probe: &mut CountingProbe,
        input: shard::Input,
    ) -> Vec<shard::Effect> {
        let mut out = Effects::new(limits.effects_max);
        let dice = self.dice;
        self.owners
            .step(&mut Cx { now, dice, probe }, input, &mut out);
        out.drain().collect()
    }

    /// The places whose logs are open.
    pub(super) fn places(&self) -> Vec<Place> {
        self.logs.keys().copied().collect()
    }

    /// Steps the log of a place, which is opened at its first use.
    pub(super) fn step_log(
        &mut self,
        now: Time,
        limits: Limits,
        probe: &mut CountingProbe,
        place: Place,
        input: log::Input,
    ) -> Vec<log::Effect> {
        let mut out = Effects::new(limits.effects_max);
        let dice = self
            .dice
            .fork(u64::from(place.shard.0) << 1 | u64::from(place.class as u8 & 1));
        let mut cx = Cx { now, dice, probe };
        if !self.logs.contains_key(&place) {
            let (mut log, kind) = self.log(limits, place);
            log.step(&mut cx, log::Input::Kind(kind), &mut out);
            let shape = log::Shape {
                replicated: false,
                payload_bytes_max: 1 << 20,
            };
            log.step(&mut cx, log::Input::Up(shape), &mut out);
            self.logs.insert(place, (log, Bank::default()));
        }
        let (log, _) = self.logs.get_mut(&place).expect("a log that was opened");
        log.step(&mut cx, input, &mut out);
        out.drain().collect()
    }

    fn log(&self, limits: Limits, place: Place) -> (log::Shard, KindConfig) {
        let config = ShardConfig {
            namespace: namespace(),
            layout: self.layout.id,
            key: self.layout.key,
            shard: place.shard,
            stream: self.layout.stream_of(place.shard),
            class: place.class,
            mode: WriteMode::Owned,
            later: false,
            incarnation: self.run,
            node: self.name.clone(),
        };
        let record = KindRecord {
            id: KindId(1),
            layout: self.layout.id,
            name: KindName::new("account").expect("a kind's name"),
            mode: WriteMode::Owned,
            class: place.class,
            codec: Codec::Cbor,
            placement: Placement::Whole,
            unknown: Unknown::default(),
        };
        let kind = KindConfig {
            record,
            snapshots: SnapshotPolicy::never(),
            snapshot_schema: 1,
            cached: true,
            local_replies: false,
        };
        (log::Shard::new(config, limits), kind)
    }

    /// A caller's request to the log of a place; all of a place's callers want one entity.
    pub(super) fn request(
        &mut self,
        place: Place,
        ticket: Ticket,
        wish: Wish,
        freshness: Freshness,
        deadline: Time,
    ) -> log::Input {
        let entity = EntityId::new(&super::place_name(place)).expect("an entity's id");
        let reads = wish == Wish::Ask;
        if let Some((_, bank)) = self.logs.get_mut(&place) {
            bank.take(ticket, wish);
        }
        let kind = KindIndex(0);
        if reads {
            log::Input::Read(log::Read {
                ticket,
                kind,
                entity,
                freshness,
                at_least: Sequence::NONE,
                deadline,
            })
        } else {
            log::Input::Submit(log::Submit {
                ticket,
                kind,
                entity,
                id: None,
                expected: log::Expected::Any,
                metadata: None,
                wall: WallTime(1),
                at_least: Sequence::NONE,
                deadline,
            })
        }
    }

    pub(super) fn work(&mut self, place: Place, work: &log::Work) -> log::Ran {
        let (_, bank) = self.logs.get_mut(&place).expect("a log that was opened");
        bank.run(work).0
    }

    pub(super) fn answer(&mut self, place: Place, ticket: Ticket, reply: &Reply) -> Option<String> {
        let (_, bank) = self.logs.get_mut(&place).expect("a log that was opened");
        bank.answer(ticket, reply)
    }

    pub(super) fn forget(&mut self, place: Place, slot: Slot) {
        let (_, bank) = self.logs.get_mut(&place).expect("a log that was opened");
        bank.forget(slot);
    }

    /// Whether the log of a place is its owner.
    #[allow(dead_code, reason = "the properties ask for it, stories do not")]
    pub(crate) fn owns(&self, place: Place) -> bool {
        let log = self.logs.get(&place);
        log.is_some_and(|(log, _)| log.epoch().is_some())
    }

    pub(super) fn next_deadline(&self) -> Option<(Deadline, Part)> {
        let owners = self.owners.next_deadline().map(|at| (at, Part::Owners));
        let logs = self.logs.iter();
        let logs =
            logs.filter_map(|(place, (log, _))| Some((log.next_deadline()?, Part::Log(*place))));
        owners.into_iter().chain(logs).min()
    }
}
