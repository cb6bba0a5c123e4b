//! The store as the shell in memory behind an address of madsim's: its server, the nodes' links to it, and
//! what both tell each other.

mod link;
mod server;
mod shell;
mod wire;

use crate::cluster::{Cluster, Place, in_cluster, lock, started};
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use server::Proposals;
use shell::NodeShell;
use std::sync::{Arc, Mutex, Weak};
use tenure_core::api::Tenure;
use tenure_core::id::OpId;
use tenure_core::port::Subject;
use tenure_mem::MemShell;
use tenure_mem::store::{Store, StoreConfig};
use tenure_sim::stage::{REMOVED_MAX, Setting};
use tenure_sim::{Kind, Lane};

/// The store and its server.
pub(crate) struct Model {
    /// The store's own node.
    pub(crate) server: NodeId,
    /// The store, as its server's disk keeps it.
    pub(crate) store: MemShell,
    proposals: Mutex<Proposals>,
}

impl Model {
    /// An empty store, and its server.
    pub(crate) fn new(handle: &Handle, cluster: &Weak<Cluster>, setting: &Setting) -> Self {
        let mut config = match setting.servers() {
            1 => StoreConfig::default(),
            servers => StoreConfig::clustered(servers),
        };
        config.removed_max = REMOVED_MAX;
        let server = handle
            .create_node()
            .name("store")
            .ip([10, 0, 0, 1].into())
            .init(in_cluster(cluster, server::serve))
            .build();
        Self {
            server: server.id(),
            store: MemShell::on(Store::new(config)),
            proposals: Mutex::default(),
        }
    }

    /// The server is killed; what it stored is kept.
    pub(crate) fn kills_server(&self, handle: &Handle) {
        // What waited while it stood still is dropped with the rest.
        handle.resume(self.server);
        handle.kill(self.server);
        // Whoever was to commit them is gone.
        lock(&self.proposals).clear();
        self.store.with_store(Store::drop_proposals);
    }
}

impl Cluster {
    /// The store of a cluster that has it so.
    fn model(&self) -> &Model {
        match &self.store {
            Place::Model(model) => model,
            Place::Nats(_) => unreachable!("servers that speak NATS have no links of this kind"),
        }
    }

    /// A node hands a frame over; where the story tells of it.
    fn sends(&self, node: usize, op: OpId, to: &Subject, frame: &[u8]) -> u64 {
        let mut setting = self.setting();
        setting.note(4, &[node as u64, op.0]);
        setting.bytes(frame);
        setting.tells((Lane::Node(node), Kind::Does), 0, || {
            format!("n{node} sends {op:?} to {to}")
        })
    }
}

/// Starts a life of a node.
pub(crate) async fn starts(
    cluster: &Arc<Cluster>,
    node: usize,
    life: u64,
    tasks: NodeHandle,
) -> Tenure {
    let shell = NodeShell::new(cluster, node, life, tasks);
    let ends = shell.clone();
    cluster.ends_with(node, move || ends.end());
    let held = cluster.held(node);
    shell.tasks.spawn(link::keep(shell.clone(), held));
    started(cluster, node, || std::future::ready(Ok(shell.clone()))).await
}
