//! The nodes of a run, each a node of madsim, beside one for the store's server; and the cluster as
//! its callers see it.

use crate::server::Proposals;
use crate::shell::NodeShell;
use crate::{link, server};
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use madsim::time::TimeHandle;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tenure_core::api::{Tenure, start_with};
use tenure_core::driver::Shell as _;
use tenure_core::id::{OpId, WallTime};
use tenure_core::port::{Message, Subject};
use tenure_core::step::Span;
use tenure_mem::MemShell;
use tenure_mem::store::{Store, StoreConfig};
use tenure_sim::stage::{REMOVED_MAX, Setting};
use tenure_sim::{Kind, Lane};
use tokio::sync::watch;
use tokio::time::sleep;

/// The nodes of a run, and what they share.
pub(crate) struct Cluster {
    pub(crate) handle: Handle,
    time: TimeHandle,
    /// The node that nothing befalls: callers, and what brings trouble.
    callers: NodeHandle,
    setting: Mutex<Setting>,
    nodes: Mutex<Vec<Node>>,
    /// The store's own node.
    pub(crate) server: NodeId,
    /// The store, as its server's disk keeps it.
    pub(crate) store: MemShell,
    pub(crate) proposals: Mutex<Proposals>,
    ups: watch::Sender<u64>,
    /// Changes whenever a clock goes otherwise than before.
    clocks: watch::Sender<u64>,
}

/// One node.
struct Node {
    id: NodeId,
    life: u64,
    /// Its program runs.
    runs: bool,
    shell: Option<NodeShell>,
    /// The handle of its program, once it is up.
    tenure: Option<Tenure>,
    /// For how many reasons it does nothing.
    still: u32,
    /// Until when its link is held down, in true nanoseconds.
    held: watch::Sender<u64>,
}

impl Cluster {
    /// The nodes of a setting, and the store's. Within a runtime of madsim.
    pub(crate) fn new(setting: Setting) -> Arc<Self> {
        let handle = Handle::current();
        let count = setting.nodes();
        let mut config = match setting.servers() {
            1 => StoreConfig::default(),
            servers => StoreConfig::clustered(servers),
        };
        config.removed_max = REMOVED_MAX;
        Arc::new_cyclic(|cluster: &std::sync::Weak<Self>| {
            let serves = cluster.clone();
            let server = handle
                .create_node()
                .name("store")
                .ip([10, 0, 0, 1].into())
                .init(move || {
                    let serves = serves.clone();
                    async move {
                        if let Some(cluster) = serves.upgrade() {
                            server::serve(cluster).await;
                        }
                    }
                })
                .build();
            let node = |number: usize| {
                let last = u8::try_from(number + 1).expect("few nodes");
                let runs = cluster.clone();
                let node = handle
                    .create_node()
                    .name(format!("n{number}"))
                    .ip([10, 0, 1, last].into())
                    .init(move || {
                        let runs = runs.clone();
                        async move {
                            if let Some(cluster) = runs.upgrade() {
                                program(cluster, number).await;
                            }
                        }
                    })
                    .build();
                Node {
                    id: node.id(),
                    life: 0,
                    runs: true,
                    shell: None,
                    tenure: None,
                    still: 0,
                    held: watch::Sender::new(0),
                }
            };
            Self {
                nodes: Mutex::new((0..count).map(node).collect()),
                server: server.id(),
                time: TimeHandle::current(),
                callers: handle.create_node().name("callers").build(),
                store: MemShell::on(Store::new(config)),
                setting: Mutex::new(setting),
                proposals: Mutex::default(),
                ups: watch::Sender::new(0),
                clocks: watch::Sender::new(0),
                handle: handle.clone(),
            }
        })
    }

    /// True time since the start of the run, in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.time.elapsed().as_nanos()).expect("a time of one run")
    }

    /// The setting as of now.
    pub(crate) fn setting(&self) -> MutexGuard<'_, Setting> {
        let mut setting = lock(&self.setting);
        setting.at(self.now());
        setting
    }

    fn state(&self) -> MutexGuard<'_, Vec<Node>> {
        lock(&self.nodes)
    }

    /// A node hands a frame over; where the story tells of it.
    pub(crate) fn sends(&self, node: usize, op: OpId, to: &Subject, frame: &[u8]) -> u64 {
        let mut setting = self.setting();
        setting.note(4, &[node as u64, op.0]);
        setting.bytes(frame);
        setting.tells((Lane::Node(node), Kind::Does), 0, || {
            format!("n{node} sends {op:?} to {to}")
        })
    }

    /// Changes whenever a program is up, or is not any more.
    pub(crate) fn ups(&self) -> watch::Receiver<u64> {
        self.ups.subscribe()
    }

    /// Changes whenever a clock goes otherwise than before.
    pub(crate) fn clocks(&self) -> watch::Receiver<u64> {
        self.clocks.subscribe()
    }

    /// A clock goes otherwise than before: who waits for a time looks again.
    pub(crate) fn clock_changed(&self) {
        self.clocks.send_modify(|changes| *changes += 1);
    }

    /// What the store's wall clock shows.
    pub(crate) fn store_wall(&self) -> WallTime {
        let skew_ms = self.setting().store_skew_ms();
        WallTime(self.store.wall().0 + skew_ms)
    }

    /// Which programs run.
    pub(crate) fn lives(&self) -> Vec<bool> {
        self.state()
            .iter()
            .map(|node| node.shell.is_some())
            .collect()
    }

    /// A node's name in madsim.
    pub(crate) fn id(&self, node: usize) -> NodeId {
        self.state()[node].id
    }

    /// A node's link breaks, and it gets no other before a true time.
    pub(crate) fn hold_link(&self, node: usize, until: u64) {
        self.state()[node].held.send_replace(until);
    }

    /// Runs something beside the nodes.
    pub(crate) fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.callers.spawn(work);
    }

    /// Runs something beside the nodes after a time.
    pub(crate) fn after(
        self: &Arc<Self>,
        time: Span,
        work: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) {
        let cluster = Arc::clone(self);
        self.beside(async move {
            sleep(time.into()).await;
            work(&cluster);
        });
    }

    fn begins(self: &Arc<Self>, node: usize) -> (NodeShell, watch::Receiver<u64>) {
        let mut state = self.state();
        let begins = &mut state[node];
        begins.life += 1;
        // It runs: what made an earlier life stand still is over.
        begins.still = 0;
        let tasks: NodeHandle = self.handle.get_node(begins.id).expect("a node of this run");
        let shell = NodeShell::new(self, node, begins.life, tasks);
        begins.shell = Some(shell.clone());
        let held = begins.held.subscribe();
        let life = begins.life;
        drop(state);
        let mut setting = self.setting();
        setting.boots(node);
        setting.tell(node, || format!("n{node}.{life} starts"));
        (shell, held)
    }

    fn is_up(&self, node: usize, tenure: Tenure) {
        self.state()[node].tenure = Some(tenure);
        self.setting().tell(node, || format!("n{node} is up"));
        self.ups.send_modify(|ups| *ups += 1);
    }

    /// Nothing is left of a node's present life. With `again` its program is started after a time.
    pub(crate) fn ends(self: &Arc<Self>, node: usize, life: u64, again: Option<Span>) {
        let mut state = self.state();
        let dead = &mut state[node];
        if dead.life != life || !dead.runs {
            return;
        }
        dead.runs = false;
        dead.still = 0;
        let (id, shell, tenure) = (dead.id, dead.shell.take(), dead.tenure.take());
        drop(state);
        if let Some(shell) = shell {
            shell.end();
        }
        drop(tenure);
        // What waited while it stood still is dropped with the rest.
        self.handle.resume(id);
        self.handle.kill(id);
        let mut setting = self.setting();
        setting.note(8, &[node as u64]);
        setting.tell(node, || format!("n{node}.{life} ends"));
        drop(setting);
        self.ups.send_modify(|ups| *ups += 1);
        if let Some(again) = again {
            self.after(again, move |cluster| cluster.starts(node));
        }
    }

    /// A node's program is started, unless it runs or is not meant to.
    pub(crate) fn starts(&self, node: usize) {
        if !self.setting().is_meant_to_be(node) {
            return;
        }
        let mut state = self.state();
        if std::mem::replace(&mut state[node].runs, true) {
            return;
        }
        let id = state[node].id;
        drop(state);
        self.handle.restart(id);
    }

    /// The store's server is killed; what it stored is kept.
    pub(crate) fn kills_server(&self) {
        // What waited while it stood still is dropped with the rest.
        self.handle.resume(self.server);
        self.handle.kill(self.server);
        // Whoever was to commit them is gone.
        lock(&self.proposals).clear();
        self.store.with_store(Store::drop_proposals);
    }

    /// The store's server goes on, or is started again where it was killed: one that runs would lose
    /// its address by that.
    pub(crate) fn server_is_back(&self) {
        self.handle.resume(self.server);
        if self.handle.is_exit(self.server) {
            self.handle.restart(self.server);
        }
    }

    /// The present life of a node.
    pub(crate) fn life(&self, node: usize) -> u64 {
        self.state()[node].life
    }

    pub(crate) fn tenure(&self, node: usize) -> Option<Tenure> {
        self.state().get(node)?.tenure.clone()
    }

    /// Where a node's tasks run in its present life.
    pub(crate) fn tasks(&self, node: usize) -> Option<NodeHandle> {
        self.handle.get_node(self.id(node))
    }

    /// A node does nothing until it [goes on](Self::goes_on); which life that is of.
    pub(crate) fn stops(&self, node: usize) -> u64 {
        let mut state = self.state();
        let stops = &mut state[node];
        stops.still += 1;
        let (id, life) = (stops.id, stops.life);
        drop(state);
        self.handle.pause(id);
        life
    }

    /// There is one reason less for that life of a node to do nothing.
    pub(crate) fn goes_on(&self, node: usize, life: u64) {
        let mut state = self.state();
        let still = &mut state[node];
        if still.life != life || still.still == 0 {
            return;
        }
        still.still -= 1;
        if still.still == 0 {
            let id = still.id;
            drop(state);
            self.handle.resume(id);
        }
    }

    /// A node is well again: it does what it does at once, if its program runs.
    pub(crate) fn is_well(&self, node: usize) {
        let mut state = self.state();
        state[node].still = 0;
        let id = state[node].id;
        drop(state);
        self.handle.resume(id);
    }

    /// A node stands still for a time.
    pub(crate) fn stands_still(self: &Arc<Self>, node: usize, length: Span, suspended: bool) {
        let life = self.stops(node);
        self.after(length, move |cluster| {
            if suspended && cluster.life(node) == life {
                let until = cluster.now() + Span::from_millis(100).as_nanos();
                cluster.hold_link(node, until);
            }
            cluster.goes_on(node, life);
        });
    }

    /// All that a node does takes long for a time: it works a third of it, in short pieces.
    pub(crate) fn slows(self: &Arc<Self>, node: usize, length: Span) {
        let (cluster, until) = (Arc::clone(self), self.now() + length.as_nanos());
        self.beside(async move {
            while cluster.now() < until && !cluster.setting().is_healed() {
                let life = cluster.stops(node);
                sleep(Duration::from_millis(2)).await;
                cluster.goes_on(node, life);
                sleep(Duration::from_millis(1)).await;
            }
        });
    }

    /// All messages of the event streams, as they are stored now.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let streams = self.setting().event_streams();
        self.store.with_store(|store| {
            let messages = streams.iter().flat_map(|it| store.messages(it));
            messages.cloned().collect()
        })
    }
}

/// What runs on each node: it starts as a member of the cluster, and again when that fails.
async fn program(cluster: Arc<Cluster>, node: usize) {
    if cluster.life(node) == 0 {
        let wait = cluster.setting().first_boot(node);
        sleep(wait.into()).await;
    }
    let (shell, held) = cluster.begins(node);
    let life = shell.life;
    shell.tasks.spawn(link::keep(shell.clone(), held));
    let options = cluster.setting().options(node);
    let tenure = loop {
        match start_with(shell.clone(), options.clone()).await {
            Ok(tenure) => break tenure,
            Err(error) => {
                let told = error.to_string();
                cluster
                    .setting()
                    .tell(node, || format!("n{node} does not start: {told}"));
            }
        }
        sleep(Duration::from_millis(100)).await;
    };
    cluster.is_up(node, tenure.clone());
    let mut members = tenure.cluster().expect("a node of a cluster");
    while members.changed().await.is_some() {}
    // It is no member any more, and will not be: its supervisor starts it anew.
    let counted = tenure.counters().await;
    cluster.setting().counted(node, &counted);
    drop(tenure);
    cluster.ends(node, life, Some(Span::from_millis(500)));
}

/// A panic elsewhere ends the run in any case.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
