//! The nodes of a run, each a node of madsim, beside one for the store's server; and the cluster as
//! its callers see it.

use crate::shell::NodeShell;
use crate::{link, server};
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use madsim::time::TimeHandle;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tenure_core::api::{Tenure, start_with};
use tenure_core::port::Message;
use tenure_core::step::Span;
use tenure_mem::MemShell;
use tenure_sim::stage::Setting;
use tokio::sync::watch;
use tokio::time::sleep;

/// How the store breaks its word behind the oracles' back: their own test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Corruption {
    /// When expectations are not checked.
    Unchecked,
}

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
    ups: watch::Sender<u64>,
    pub(crate) corruption: Option<Corruption>,
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
    /// Until when its link is held down, in true nanoseconds.
    held: watch::Sender<u64>,
}

impl Cluster {
    /// The nodes of a setting, and the store's. Within a runtime of madsim.
    pub(crate) fn new(setting: Setting, corruption: Option<Corruption>) -> Arc<Self> {
        let handle = Handle::current();
        let count = setting.nodes();
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
                    held: watch::Sender::new(0),
                }
            };
            Self {
                nodes: Mutex::new((0..count).map(node).collect()),
                server: server.id(),
                time: TimeHandle::current(),
                callers: handle.create_node().name("callers").build(),
                setting: Mutex::new(setting),
                store: MemShell::fresh(),
                ups: watch::Sender::new(0),
                corruption,
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

    /// A node hands a frame over.
    pub(crate) fn sends(&self, node: usize, op: tenure_core::id::OpId, frame: &[u8]) {
        let mut setting = self.setting();
        setting.note(4, &[node as u64, op.0]);
        setting.bytes(frame);
    }

    /// Changes whenever a program is up, or is not any more.
    pub(crate) fn ups(&self) -> watch::Receiver<u64> {
        self.ups.subscribe()
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

    /// A node stands still for a time.
    pub(crate) fn stands_still(self: &Arc<Self>, node: usize, length: Span, suspended: bool) {
        let (id, life) = (self.id(node), self.life(node));
        self.handle.pause(id);
        self.after(length, move |cluster| {
            if cluster.life(node) != life {
                return;
            }
            if suspended {
                let until = cluster.now() + Span::from_millis(100).as_nanos();
                cluster.hold_link(node, until);
            }
            cluster.handle.resume(id);
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
