//! How a world begins: its streams, and its nodes with nothing in memory.

use super::{Node, Setup, World, place};
use crate::bank::Bank;
use tenure_core::Dice;
use tenure_core::cache::Cache;
use tenure_core::id::Incarnation;
use tenure_core::log::{Input, KindConfig, Shape, Shard, ShardConfig};
use tenure_mem::store::StoreConfig;

impl World {
    /// Creates the streams and starts the nodes.
    pub(crate) fn open(&mut self, setup: Setup) {
        let replicas = if setup.replicated { 3 } else { 1 };
        let mut config = match setup.replicated {
            true => StoreConfig::clustered(3),
            false => StoreConfig::default(),
        };
        config.removed_max = 1_000;
        config.capabilities.payload_bytes_max = setup.payload_bytes_max;
        self.store = place::store(config, replicas, self.wall());
        self.setup = setup;
        for name in self.setup.nodes.clone() {
            self.boot(&name);
        }
    }

    /// Starts a node, or starts it again with nothing in memory.
    pub(crate) fn boot(&mut self, name: &str) {
        self.begin(name);
        self.learn(name);
        self.up(name);
    }

    /// Starts a node that knows no kind yet.
    pub(crate) fn begin(&mut self, name: &str) {
        self.boots += 1;
        self.jobs.retain(|job| job.node != name);
        self.held.retain(|job| job.node != name);
        self.slow.retain(|(node, ..)| node != name);
        self.forget_messages(name);
        self.strays.retain(|(node, _)| node != name);
        self.callers.retain(|_, node| node != name);
        let incarnation = Incarnation(u128::from(self.boots));
        let (mode, class) = (self.setup.mode, self.setup.class);
        let config = ShardConfig {
            later: self.setup.later,
            layout: self.setup.layout,
            ..place::shard(mode, class, incarnation, name)
        };
        let mut cache = Cache::new(&self.setup.limits, 0, 1);
        let node = Node {
            shard: Shard::new(config, self.setup.limits),
            bank: Bank::default(),
            stock_at: cache.enter(()),
            cache,
            dice: Dice::new(u128::from(self.boots)),
        };
        self.nodes.insert(name.to_owned(), node);
        self.runs.insert(incarnation, name.to_owned());
    }

    /// A node is told of the kind.
    pub(crate) fn learn(&mut self, name: &str) {
        let (mode, class) = (self.setup.mode, self.setup.class);
        let kind = KindConfig {
            snapshot_schema: self.setup.snapshot_schema,
            cached: self.setup.cached,
            local_replies: self.setup.local_replies,
            ..place::kind(mode, class, self.setup.snapshots)
        };
        self.step(name, Input::Kind(kind));
    }

    pub(crate) fn up(&mut self, name: &str) {
        let shape = Shape {
            replicated: self.setup.replicated,
            payload_bytes_max: self.setup.payload_bytes_max,
        };
        self.step(name, Input::Up(shape));
    }
}
