//! Servers that speak NATS, each a node of madsim, and nodes that reach them with the production shell and
//! its client.
//!
//! What the servers know is in one front: whichever of them a node is connected to, it sees the same streams
//! and hears the same messages, as in a cluster of servers. A server that is killed takes its connections
//! with it, and what was stored stays.

mod connection;
mod shell;

pub(crate) use connection::Way;

use crate::cluster::{Cluster, Kept, Place, in_cluster, lock, started};
use bytes::{Bytes, BytesMut};
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use shell::NodeShell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;
use tenure_core::api::Tenure;
use tenure_core::id::WallTime;
use tenure_mem::nats::{ConnectionId, Front, FrontConfig, Input, Outgoing};
use tenure_mem::store::{Store, StoreConfig};
use tenure_nats::{NatsOptions, NatsShell};
use tenure_sim::stage::{REMOVED_MAX, WirePlan};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

/// Where all servers listen, each at its own address.
const PORT: u16 = 4_222;

/// How long nothing is looked at where nothing is due.
const IDLE: Duration = Duration::from_secs(60);

/// How often a server asks a silent client whether it lives, in milliseconds.
const PING_EVERY_MS: u64 = 2_000;

/// How many replicas a stream of a cluster has.
const REPLICAS: u32 = 3;

/// What a client says first that only brings bytes which were on their way.
const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";

/// The servers of a run.
pub(crate) struct Servers {
    state: Mutex<State>,
    /// The nodes that they are.
    pub(crate) nodes: Vec<NodeId>,
    /// Something is due sooner than it was.
    sooner: Notify,
}

struct State {
    front: Front,
    open: BTreeMap<ConnectionId, Open>,
    /// The half-open ones whose clients have not found out, each with its server and node.
    half_open: BTreeMap<ConnectionId, (usize, usize)>,
    names: u64,
    /// When the front is woken, as far as that is known.
    due: Option<WallTime>,
}

/// A connection of a node to a server.
struct Open {
    server: usize,
    node: usize,
    /// Tells that there is something for it.
    ready: Arc<Notify>,
    way: watch::Sender<Way>,
}

/// What a connection is told by the others.
struct Opened {
    id: ConnectionId,
    ready: Arc<Notify>,
    way: watch::Receiver<Way>,
}

impl Servers {
    /// Servers without streams.
    pub(crate) fn new(handle: &Handle, cluster: &Weak<Cluster>, plan: WirePlan) -> Self {
        let server = |number: usize| {
            let node = handle
                .create_node()
                .name(format!("nats{number}"))
                .ip(address(number).into())
                .init(in_cluster(cluster, move |cluster| {
                    connection::serve(cluster, number)
                }))
                .build();
            node.id()
        };
        let mut config = FrontConfig::default();
        config.seed = madsim::rand::random();
        config.ping_interval_ms = PING_EVERY_MS;
        config.pending_bytes_max = plan.pending_bytes_max;
        if plan.clustered {
            config.store = StoreConfig::clustered(REPLICAS);
        }
        // A tail that is lost brings back what it had removed.
        config.store.removed_max = REMOVED_MAX;
        Self {
            state: Mutex::new(State {
                front: Front::new(config),
                open: BTreeMap::new(),
                half_open: BTreeMap::new(),
                names: 0,
                due: None,
            }),
            nodes: (0..plan.servers).map(server).collect(),
            sooner: Notify::new(),
        }
    }

    /// Looks at the store, or damages it.
    pub(crate) fn with_store<T>(&self, look: impl FnOnce(&mut Store) -> T) -> T {
        look(self.state().front.store_mut())
    }

    /// The servers forget the consumers of a stream.
    pub(crate) fn forget_consumers_of(&self, stream: &str) {
        self.state().front.forget_consumers_of(stream);
    }

    /// All servers are killed. What they stored is kept, and what they have in memory alone by those that
    /// are left: there is always one that the others start again from.
    pub(crate) fn kill_all(&self, cluster: &Cluster) {
        for server in 0..self.nodes.len() {
            self.kill(cluster, server);
        }
    }

    /// One server is killed, and its connections end.
    pub(crate) fn kill(&self, cluster: &Cluster, server: usize) {
        let node = self.nodes[server];
        // What waited while it stood still is dropped with the rest.
        cluster.handle.resume(node);
        cluster.handle.kill(node);
        let of_server = |open: &Open| open.server == server;
        for id in self.connections(of_server) {
            self.close(cluster, id);
        }
        let mut state = self.state();
        state.half_open.retain(|_, (of, _)| *of != server);
    }

    /// All servers are killed, and none of them kept what it had in memory alone.
    pub(crate) fn restart(&self, cluster: &Cluster) {
        self.kill_all(cluster);
        self.state().front.forget_memory();
    }

    /// The ways of a node's connections are so from now on.
    pub(crate) fn turn(&self, node: usize, way: Way) {
        for open in self.state().open.values().filter(|open| open.node == node) {
            open.way.send_replace(way);
        }
    }

    /// A connection is half open, until its client finds out.
    fn half_opens(&self, id: ConnectionId) {
        let mut state = self.state();
        if let Some(Open { server, node, .. }) = state.open.get(&id) {
            let ends = (*server, *node);
            state.half_open.insert(id, ends);
        }
    }

    fn found_out(&self, id: ConnectionId) {
        self.state().half_open.remove(&id);
    }

    /// The connections that are half open, each with its node.
    pub(crate) fn half_open(&self) -> Vec<(ConnectionId, usize)> {
        let state = self.state();
        let open = state.half_open.iter();
        open.map(|(id, (_, node))| (*id, *node)).collect()
    }

    /// All connections end at once.
    pub(crate) fn end_all(&self) {
        for open in self.state().open.values() {
            open.way.send_replace(Way::Ended);
        }
    }

    fn connections(&self, which: impl Fn(&Open) -> bool) -> Vec<ConnectionId> {
        let state = self.state();
        let found = state.open.iter().filter(|(_, open)| which(open));
        found.map(|(id, _)| *id).collect()
    }

    fn open(&self, cluster: &Cluster, server: usize, node: usize) -> Opened {
        let mut state = self.state();
        state.names += 1;
        let (id, ready) = (ConnectionId(state.names), Arc::new(Notify::new()));
        let (way, turns) = watch::channel(Way::Open);
        let open = Open {
            server,
            node,
            ready: Arc::clone(&ready),
            way,
        };
        state.open.insert(id, open);
        drop(state);
        self.step(cluster, Input::Opened(id));
        Opened {
            id,
            ready,
            way: turns,
        }
    }

    fn close(&self, cluster: &Cluster, id: ConnectionId) {
        if self.state().open.remove(&id).is_some() {
            self.step(cluster, Input::Closed(id));
        }
    }

    fn take(&self, id: ConnectionId) -> Outgoing {
        self.state().front.take(id)
    }

    /// Bytes come of a connection. With `refuses` the servers have nobody to answer them, as while they
    /// elect.
    fn receive(&self, cluster: &Cluster, id: ConnectionId, bytes: BytesMut, refuses: bool) {
        let there = |jetstream| {
            let mut state = self.state();
            let store = state.front.store_mut().config_mut();
            store.capabilities.jetstream = jetstream;
        };
        if refuses {
            there(false);
        }
        self.step(cluster, Input::Received(id, bytes));
        if refuses {
            there(true);
        }
    }

    /// Bytes come that were on their way for long: over a connection of their own, as theirs may be over.
    fn comes_late(&self, cluster: &Cluster, bytes: &Bytes) {
        let id = {
            let mut state = self.state();
            state.names += 1;
            ConnectionId(state.names)
        };
        let mut said = BytesMut::from(CONNECT);
        said.extend_from_slice(bytes);
        self.step(cluster, Input::Opened(id));
        self.step(cluster, Input::Received(id, said));
        self.step(cluster, Input::Closed(id));
    }

    fn step(&self, cluster: &Cluster, input: Input) {
        let at = cluster.store_wall();
        let mut state = self.state();
        let state = &mut *state;
        state.front.step(at, input);
        cluster.setting().writes_down(&Kept(state.front.store()));
        while let Some(ready) = state.front.next_ready() {
            if let Some(open) = state.open.get(&ready) {
                open.ready.notify_one();
            }
        }
        let due = state.front.next_wake();
        if due.is_some_and(|due| state.due.is_none_or(|before| due < before)) {
            state.due = due;
            self.sooner.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Cluster {
    /// The servers of a cluster that has them.
    pub(crate) fn nats(&self) -> &Servers {
        match &self.store {
            Place::Nats(servers) => servers,
            Place::Model(_) => unreachable!("only servers that speak NATS have such connections"),
        }
    }
}

/// Wakes the servers when something is due.
pub(crate) async fn wake(cluster: Arc<Cluster>) {
    let servers = cluster.nats();
    loop {
        let due = {
            let mut state = servers.state();
            state.due = state.front.next_wake();
            state.due
        };
        let now = cluster.store_wall();
        let wait = due.map_or(IDLE, |due| {
            Duration::from_millis(due.0.saturating_sub(now.0)).min(IDLE)
        });
        tokio::select! {
            biased;
            () = servers.sooner.notified() => {}
            () = sleep(wait) => servers.step(&cluster, Input::Woken),
        }
    }
}

/// Starts a life of a node.
pub(crate) async fn starts(cluster: &Arc<Cluster>, node: usize, tasks: NodeHandle) -> Tenure {
    let servers = cluster.nats().nodes.len();
    // Each begins with another server.
    let addresses = (0..servers).map(|number| {
        let [a, b, c, d] = address((node + number) % servers);
        format!("nats://{a}.{b}.{c}.{d}:{PORT}")
    });
    let addresses = addresses.collect::<Vec<_>>().join(",");
    let store_timeout = cluster.setting().store_timeout();
    started(cluster, node, || {
        let options = NatsOptions::new(addresses.clone())
            .name(format!("n{node}"))
            .store_timeout(store_timeout)
            .connect_timeout(store_timeout.into());
        let (cluster, tasks) = (Arc::clone(cluster), tasks.clone());
        async move {
            let nats = NatsShell::connect(options).await;
            let nats = nats.map_err(|error| error.to_string())?;
            Ok(NodeShell::new(&cluster, node, tasks, nats))
        }
    })
    .await
}

/// Where a server is.
fn address(server: usize) -> [u8; 4] {
    [10, 0, 0, u8::try_from(server + 1).expect("few servers")]
}
