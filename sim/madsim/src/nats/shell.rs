//! The shell of one life of a node: the production shell on NATS, with the clocks of the run.

use crate::cluster::Cluster;
use bytes::Bytes;
use madsim::runtime::NodeHandle;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use tenure_core::driver::{Completion, Ear, Inbound, LinkNumber, Shell, TaskHandle};
use tenure_core::id::{OpId, WallTime};
use tenure_core::port::{Delivery, SendRefused, StoreReply, StoreRequest, Subject};
use tenure_core::step::Time;
use tenure_nats::NatsShell;
use tokio::sync::mpsc;

/// The shell of one life of a node.
#[derive(Clone)]
pub(super) struct NodeShell {
    cluster: Arc<Cluster>,
    node: usize,
    /// Where this life's tasks run: nowhere once it is over.
    tasks: NodeHandle,
    nats: NatsShell,
}

impl NodeShell {
    pub(super) fn new(
        cluster: &Arc<Cluster>,
        node: usize,
        tasks: NodeHandle,
        nats: NatsShell,
    ) -> Self {
        Self {
            cluster: Arc::clone(cluster),
            node,
            tasks,
            nats,
        }
    }
}

impl fmt::Debug for NodeShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeShell")
            .field("node", &self.node)
            .finish_non_exhaustive()
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
            nats: self.nats.during(link),
            ..self.clone()
        }
    }

    fn store(&self, request: StoreRequest) -> impl Future<Output = StoreReply> + Send {
        self.nats.store(request)
    }

    fn submit(
        &self,
        request: StoreRequest,
        done: Completion,
    ) -> Result<(), (StoreRequest, Completion)> {
        self.nats.submit(request, done)
    }

    fn inbox(&self) -> mpsc::Receiver<Inbound> {
        self.nats.inbox()
    }

    fn send(
        &self,
        op: OpId,
        to: &Subject,
        from: &Subject,
        frame: Bytes,
    ) -> Result<(), SendRefused> {
        self.nats.send(op, to, from, frame)
    }

    fn listen(&self, at: Subject) -> mpsc::Receiver<Delivery> {
        self.nats.listen(at)
    }

    fn overhear(&self, filter: Subject, ear: Ear) {
        let ear = self.cluster.overhears(self.node, &filter, ear);
        self.nats.overhear(filter, ear);
    }

    fn cast(&self, to: &Subject, payload: Bytes) -> Result<(), SendRefused> {
        self.nats.cast(to, payload)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        let task = self.tasks.spawn(task).abort_handle();
        TaskHandle::new(move || task.abort())
    }
}
