//! The shell of one life of a node: madsim's tasks and clock, and a link to the store's server over
//! madsim's network.

use super::link::Link;
use crate::cluster::{Cluster, lock};
use bytes::Bytes;
use madsim::runtime::NodeHandle;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use tenure_core::driver::{Completion, Ear, Inbound, LinkNumber, Shell, TaskHandle};
use tenure_core::id::{OpId, WallTime};
use tenure_core::port::{Delivery, SendRefused, StoreReply, StoreRequest, Subject};
use tenure_core::step::{Span, Time};
use tokio::sync::mpsc;

/// The shell of one life of a node.
#[derive(Clone)]
pub(crate) struct NodeShell {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) node: usize,
    pub(crate) life: u64,
    /// Where this life's tasks run: nowhere once it is over.
    pub(crate) tasks: Arc<NodeHandle>,
    pub(crate) link: Arc<Mutex<Link>>,
    store_timeout: Span,
    /// The only link over which requests go, if one is named.
    during: Option<LinkNumber>,
}

impl fmt::Debug for NodeShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeShell")
            .field("node", &self.node)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl NodeShell {
    pub(crate) fn new(cluster: &Arc<Cluster>, node: usize, life: u64, tasks: NodeHandle) -> Self {
        let store_timeout = cluster.setting().store_timeout();
        Self {
            cluster: Arc::clone(cluster),
            node,
            life,
            tasks: Arc::new(tasks),
            link: Arc::default(),
            store_timeout,
            during: None,
        }
    }

    /// The life is over: what waits for an answer hears that nobody knows, and nothing comes in.
    pub(crate) fn end(&self) {
        let ended = std::mem::take(&mut *lock(&self.link));
        drop(ended);
    }

    /// An ear whose other end is gone is told of.
    fn deaf_when(&self, ear: u64, closed: impl Future<Output = ()> + Send + 'static) {
        let link = Arc::downgrade(&self.link);
        self.tasks.spawn(async move {
            closed.await;
            if let Some(link) = link.upgrade() {
                lock(&link).deaf(ear);
            }
        });
    }
}

impl Shell for NodeShell {
    fn now(&self) -> Time {
        self.cluster.setting().shown(self.node)
    }

    fn wall(&self) -> WallTime {
        self.cluster.wall_of(self.node)
    }

    fn seed(&self) -> u128 {
        self.cluster.setting().key(self.node)
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send {
        let (cluster, node) = (Arc::clone(&self.cluster), self.node);
        async move { cluster.sleeps_until(node, at).await }
    }

    fn during(&self, link: LinkNumber) -> Self {
        Self {
            during: Some(link),
            ..self.clone()
        }
    }

    async fn store(&self, request: StoreRequest) -> StoreReply {
        let (done, answer) = Completion::alone();
        self.ask(request, done);
        answer.await
    }

    fn submit(
        &self,
        request: StoreRequest,
        done: Completion,
    ) -> Result<(), (StoreRequest, Completion)> {
        // Real shells are of both kinds.
        if self.life.is_multiple_of(2) {
            return Err((request, done));
        }
        self.ask(request, done);
        Ok(())
    }

    fn inbox(&self) -> mpsc::Receiver<Inbound> {
        lock(&self.link).inbox()
    }

    fn send(
        &self,
        op: OpId,
        to: &Subject,
        from: &Subject,
        frame: Bytes,
    ) -> Result<(), SendRefused> {
        let event = self.cluster.sends(self.node, op, to, &frame);
        lock(&self.link).frame(op, (to, from), frame, event)
    }

    fn listen(&self, at: Subject) -> mpsc::Receiver<Delivery> {
        let (ear, to, listening) = lock(&self.link).listen(at);
        self.deaf_when(ear, async move { to.closed().await });
        listening
    }

    fn overhear(&self, filter: Subject, ear: Ear) {
        let closed = ear.closed();
        let ear = self.cluster.overhears(self.node, &filter, ear);
        let ear = lock(&self.link).overhear(filter, ear);
        self.deaf_when(ear, closed);
    }

    fn cast(&self, to: &Subject, payload: Bytes) -> Result<(), SendRefused> {
        lock(&self.link).cast(to, payload)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        let task = self.tasks.spawn(task).abort_handle();
        TaskHandle::new(move || task.abort())
    }
}

impl NodeShell {
    fn ask(&self, request: StoreRequest, done: Completion) {
        let timeout = self.store_timeout + request.patience();
        let Some(ask) = lock(&self.link).ask(request, self.during, done) else {
            return;
        };
        let (shell, late) = (self.clone(), self.now() + timeout);
        self.tasks.spawn(async move {
            shell.sleep_until(late).await;
            // Its completion tells that nobody knows.
            let given_up = lock(&shell.link).give_up(ask);
            drop(given_up);
        });
    }
}
