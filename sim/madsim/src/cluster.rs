//! The nodes of a run, each a node of madsim, beside those of the store's servers; and the cluster as
//! its callers see it.

use crate::model::Model;
use crate::nats::Servers;
use crate::{model, nats};
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use madsim::time::TimeHandle;
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tenure_core::api::{Tenure, start_with};
use tenure_core::driver::{Ear, Shell};
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Message, Subject};
use tenure_core::step::{Span, Time};
use tenure_mem::store::Store;
use tenure_sim::stage::{Hears, Setting, Streams};
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
    /// Where the nodes' store is.
    pub(crate) store: Place,
    ups: watch::Sender<u64>,
    /// Changes whenever a clock goes otherwise than before.
    clocks: watch::Sender<u64>,
}

/// Where the nodes' store is.
pub(crate) enum Place {
    /// The shell in memory behind an address of madsim's.
    Model(Model),
    /// Servers that speak NATS.
    Nats(Box<Servers>),
}

/// What ends with a node's present life.
pub(crate) type End = Box<dyn FnOnce() + Send>;

/// One node.
struct Node {
    id: NodeId,
    life: u64,
    /// Its program runs.
    runs: bool,
    /// What ends with its present life, if it has begun.
    end: Option<End>,
    /// The handle of its program, once it is up.
    tenure: Option<Tenure>,
    /// For how many reasons it does nothing.
    still: u32,
    /// When it stood still for some time, in true nanoseconds.
    stood_still: Vec<Range<u64>>,
    /// Until when its link is held down, in true nanoseconds.
    held: watch::Sender<u64>,
}

impl Cluster {
    /// The nodes of a setting, and the store's. Within a runtime of madsim.
    pub(crate) fn new(setting: Setting) -> Arc<Self> {
        let handle = Handle::current();
        let count = setting.nodes();
        let cluster = Arc::new_cyclic(|cluster: &Weak<Self>| {
            let store = match setting.wire() {
                None => Place::Model(Model::new(&handle, cluster, &setting)),
                Some(wire) => Place::Nats(Box::new(Servers::new(&handle, cluster, wire))),
            };
            let node = |number: usize| {
                let last = u8::try_from(number + 1).expect("few nodes");
                let node = handle
                    .create_node()
                    .name(format!("n{number}"))
                    .ip([10, 0, 1, last].into())
                    .init(in_cluster(cluster, move |cluster| program(cluster, number)))
                    .build();
                Node {
                    id: node.id(),
                    life: 0,
                    runs: true,
                    end: None,
                    tenure: None,
                    still: 0,
                    stood_still: Vec::new(),
                    held: watch::Sender::new(0),
                }
            };
            Self {
                nodes: Mutex::new((0..count).map(node).collect()),
                store,
                time: TimeHandle::current(),
                callers: handle.create_node().name("callers").build(),
                setting: Mutex::new(setting),
                ups: watch::Sender::new(0),
                clocks: watch::Sender::new(0),
                handle: handle.clone(),
            }
        });
        if let Place::Nats(_) = &cluster.store {
            cluster.beside(nats::wake(Arc::clone(&cluster)));
        }
        cluster
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

    /// Changes whenever a program is up, or is not any more.
    pub(crate) fn ups(&self) -> watch::Receiver<u64> {
        self.ups.subscribe()
    }

    /// Changes whenever a clock goes otherwise than before.
    fn clocks(&self) -> watch::Receiver<u64> {
        self.clocks.subscribe()
    }

    /// A clock goes otherwise than before: who waits for a time looks again.
    pub(crate) fn clock_changed(&self) {
        self.clocks.send_modify(|changes| *changes += 1);
    }

    /// What the store's wall clock shows.
    pub(crate) fn store_wall(&self) -> WallTime {
        let skew_ms = self.setting().store_skew_ms();
        WallTime(wall().0 + skew_ms)
    }

    /// What a node's wall clock shows.
    pub(crate) fn wall_of(&self, node: usize) -> WallTime {
        let skew_ms = self.setting().skew_ms(node);
        WallTime(wall().0 + skew_ms)
    }

    /// Ends when a node's clock shows a time.
    pub(crate) async fn sleeps_until(&self, node: usize, at: Time) {
        let mut changes = self.clocks();
        loop {
            changes.borrow_and_update();
            let when = {
                let setting = self.setting();
                if setting.shown(node) >= at {
                    return;
                }
                setting.when(node, at)
            };
            let over = async {
                match when {
                    Some(when) => {
                        let left = when.saturating_sub(self.now()).max(1);
                        sleep(Duration::from_nanos(left)).await;
                    }
                    // It stands still.
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // The cluster has the other end.
                _ = changes.changed() => {}
                () = over => {}
            }
        }
    }

    /// Looks at the store, or changes it.
    pub(crate) fn with_store<T>(&self, look: impl FnOnce(&mut Store) -> T) -> T {
        match &self.store {
            Place::Model(model) => model.store.with_store(look),
            Place::Nats(servers) => servers.with_store(look),
        }
    }

    /// Which programs run.
    pub(crate) fn lives(&self) -> Vec<bool> {
        self.state().iter().map(|node| node.end.is_some()).collect()
    }

    /// A node's name in madsim.
    pub(crate) fn id(&self, node: usize) -> NodeId {
        self.state()[node].id
    }

    /// A node's link breaks, and it gets no other before a true time.
    pub(crate) fn hold_link(&self, node: usize, until: u64) {
        self.state()[node].held.send_replace(until);
    }

    /// Until when a node's link is held down, in true nanoseconds.
    pub(crate) fn held(&self, node: usize) -> watch::Receiver<u64> {
        self.state()[node].held.subscribe()
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

    /// A node's next life begins: which one it is, and where its tasks run.
    pub(crate) fn begins(&self, node: usize) -> (u64, NodeHandle) {
        let mut state = self.state();
        let begins = &mut state[node];
        begins.life += 1;
        // It runs: what made an earlier life stand still is over.
        begins.still = 0;
        begins.end = Some(Box::new(|| {}));
        let tasks = self.handle.get_node(begins.id).expect("a node of this run");
        let life = begins.life;
        drop(state);
        let mut setting = self.setting();
        setting.boots(node);
        setting.tell(node, || format!("n{node}.{life} starts"));
        (life, tasks)
    }

    /// What ends with a node's present life.
    pub(crate) fn ends_with(&self, node: usize, end: impl FnOnce() + Send + 'static) {
        self.state()[node].end = Some(Box::new(end));
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
        let (id, end, tenure) = (dead.id, dead.end.take(), dead.tenure.take());
        drop(state);
        if let Some(end) = end {
            end();
        }
        drop(tenure);
        // What waited while it stood still is dropped with the rest.
        self.handle.resume(id);
        self.handle.kill(id);
        let mut setting = self.setting();
        setting.gives(node, Hears::Ended);
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

    /// The store's servers are killed; what they stored is kept.
    pub(crate) fn kills_servers(&self) {
        match &self.store {
            Place::Model(model) => model.kills_server(&self.handle),
            Place::Nats(servers) => servers.kill_all(self),
        }
    }

    /// The store's servers go on, or are started again where they were killed: one that runs would lose
    /// its address by that.
    pub(crate) fn servers_are_back(&self) {
        for server in self.servers() {
            self.handle.resume(server);
            if self.handle.is_exit(server) {
                self.handle.restart(server);
            }
        }
    }

    /// The nodes that the store's servers are.
    pub(crate) fn servers(&self) -> Vec<NodeId> {
        match &self.store {
            Place::Model(model) => vec![model.server],
            Place::Nats(servers) => servers.nodes.clone(),
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
        let until = self.now() + length.as_nanos();
        self.state()[node].stood_still.push(self.now()..until);
        self.after(length, move |cluster| {
            if suspended && cluster.life(node) == life {
                let until = cluster.now() + Span::from_millis(100).as_nanos();
                cluster.hold_link(node, until);
            }
            cluster.goes_on(node, life);
        });
    }

    /// When a node stood still.
    pub(crate) fn stood_still(&self, node: usize) -> Vec<Range<u64>> {
        let state = self.state();
        let node = state.get(node);
        node.map_or_else(Vec::new, |node| node.stood_still.clone())
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

    /// All messages of a stream, as they are stored now.
    pub(crate) fn messages(&self, stream: &str) -> Vec<Message> {
        self.with_store(|store| store.messages(stream).cloned().collect())
    }

    /// An ear of a node; what one that listens to the bus is given is written down.
    pub(crate) fn overhears(self: &Arc<Self>, node: usize, filter: &Subject, ear: Ear) -> Ear {
        if filter.split('.').nth(1) != Some("cast") {
            return ear;
        }
        let (cluster, there) = (Arc::clone(self), ear.clone());
        ear.tapped(move |heard| {
            if !there.is_closed() {
                let given = heard.map_or(Hears::Missed, |heard| Hears::Event(heard.clone()));
                cluster.setting().gives(node, given);
            }
        })
    }
}

/// The store, as it is judged.
pub(crate) struct Kept<'s>(pub(crate) &'s Store);

impl Streams for Kept<'_> {
    fn last(&self, stream: &str) -> Sequence {
        self.0.last(stream)
    }

    fn message(&self, stream: &str, sequence: Sequence) -> Option<&Message> {
        self.0.message(stream, sequence)
    }

    fn messages<'s>(&'s self, stream: &'s str) -> Box<dyn Iterator<Item = &'s Message> + 's> {
        Box::new(self.0.messages(stream))
    }
}

/// What a node of madsim runs whenever it is started.
pub(crate) fn in_cluster<F: Future<Output = ()> + Send + 'static>(
    cluster: &Weak<Cluster>,
    runs: impl Fn(Arc<Cluster>) -> F + Send + Sync + Clone + 'static,
) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static {
    let cluster = cluster.clone();
    move || {
        let (cluster, runs) = (cluster.clone(), runs.clone());
        Box::pin(async move {
            if let Some(cluster) = cluster.upgrade() {
                runs(cluster).await;
            }
        })
    }
}

/// What runs on each node: it starts as a member of the cluster, and again when that fails.
async fn program(cluster: Arc<Cluster>, node: usize) {
    if cluster.life(node) == 0 {
        let wait = cluster.setting().first_boot(node);
        sleep(wait.into()).await;
    }
    let (life, tasks) = cluster.begins(node);
    let tenure = match &cluster.store {
        Place::Model(_) => model::starts(&cluster, node, life, tasks).await,
        Place::Nats(_) => nats::starts(&cluster, node, tasks).await,
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

/// Starts a node with a shell, and again until that is no failure.
pub(crate) async fn started<S: Shell, F: Future<Output = Result<S, String>> + Send>(
    cluster: &Arc<Cluster>,
    node: usize,
    shell: impl Fn() -> F + Send,
) -> Tenure {
    let options = cluster.setting().options(node);
    loop {
        let started = match shell().await {
            Ok(shell) => start_with(shell, options.clone())
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match started {
            Ok(tenure) => return tenure,
            Err(told) => cluster
                .setting()
                .tell(node, || format!("n{node} does not start: {told}")),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The true wall time.
#[allow(
    clippy::disallowed_methods,
    reason = "the world is where the wall clock is read; it is madsim's"
)]
fn wall() -> WallTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A panic elsewhere ends the run in any case.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
