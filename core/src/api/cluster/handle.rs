//! The cluster as one of its nodes sees it, and its nodes by name.

use super::change::{DescribeError, NodeChange};
use super::info::{INFO_CODEC, NodeInfo};
use super::view::ClusterView;
use crate::api::actor::{Actor, ActorHandle};
use crate::api::entity::RouteError;
use crate::api::{CodecError, Entity, Tenure};
use crate::driver::NotSent;
use crate::driver::cluster::{
    AskRequest, Courier, Local, MemberState, Membership, Returned, Routed, Unrouted, info_call,
};
use crate::format::{Answered, Call, Denial, Return};
use crate::id::Incarnation;
use crate::name::{EntityId, NameError};
use crate::route::{self, Repeat, Target};
use crate::shard::Place;
use crate::step::Span;
use std::fmt;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// The cluster as this node sees it; what it sees may be old.
///
/// Get one with [`Tenure::cluster`](crate::api::Tenure::cluster).
#[derive(Clone)]
pub struct ClusterHandle {
    tenure: Tenure,
    membership: watch::Receiver<Membership>,
    /// What was seen when a change was waited for last.
    seen: Option<Seen>,
}

/// What of a view tells it from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    state: MemberState,
    run: Incarnation,
    nodes: u64,
    owners: u64,
}

impl Seen {
    fn of(membership: &Membership) -> Self {
        Self {
            state: membership.state.clone(),
            run: membership.run,
            nodes: membership.view.revision,
            owners: membership.table.revision,
        }
    }
}

/// What was waited for did not come.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// Not in time.
    #[error("the cluster was not as it was waited for after {after:?}; it is {view:?}")]
    Timeout {
        /// How long it was waited for.
        after: Duration,
        /// How it was then.
        view: Box<ClusterView>,
    },
    /// This node is no member any more.
    #[error("this node is not in the cluster any more: it is {0}")]
    Gone(String),
}

impl ClusterHandle {
    pub(crate) fn new(tenure: Tenure, membership: watch::Receiver<Membership>) -> Self {
        Self {
            tenure,
            membership,
            seen: None,
        }
    }

    /// The cluster at this moment.
    pub fn view(&self) -> ClusterView {
        ClusterView {
            membership: self.membership.borrow().clone(),
            shards: self.tenure.inner.handle.layout().shards(),
        }
    }

    /// Waits until the cluster is another than when this handle waited last, and looks: other nodes or
    /// otherwise, other owners, another standing of this node. The first call returns at once. `None`
    /// when this node is no member any more.
    ///
    /// Cancel safe.
    pub async fn changed(&mut self) -> Option<ClusterView> {
        loop {
            let view = self.view();
            if view.membership.state.is_final() {
                return None;
            }
            let sees = Seen::of(&view.membership);
            if self.seen.as_ref() != Some(&sees) {
                self.seen = Some(sees);
                return Some(view);
            }
            // Most of what is told is that the lease lasts longer.
            self.membership.changed().await.ok()?;
            self.membership.mark_unchanged();
        }
    }

    /// Waits until the cluster is so, at most for a time; for tests above all.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When it is not so in time, or this node is no member any more.
    pub async fn wait_until(
        &self,
        patience: Duration,
        is_so: impl Fn(&ClusterView) -> bool,
    ) -> Result<ClusterView, WaitError> {
        let handle = &self.tenure.inner.handle;
        let late = handle.sleep_until(handle.now() + Span::from(patience));
        let mut membership = self.membership.clone();
        membership.mark_unchanged();
        let so = async {
            loop {
                let view = self.view();
                if is_so(&view) {
                    return Ok(view);
                }
                if view.membership.state.is_final() || membership.changed().await.is_err() {
                    return Err(WaitError::Gone(view.state().to_owned()));
                }
            }
        };
        tokio::select! {
            biased;
            so = so => so,
            () = late => Err(WaitError::Timeout {
                after: patience,
                view: Box::new(self.view()),
            }),
        }
    }

    /// Hands over everything that this node owns, and takes nothing more; it stays a member and
    /// asks on. It returns when nothing is left, or when the node's `stop_timeout` has passed.
    ///
    /// It cannot be taken back: the node owns nothing more until it is started again. To own less for a
    /// while, [describe](Self::describe) it with a weight of 0, and with its own weight later.
    ///
    /// Cancel safe: the node drains all the same.
    ///
    /// # Errors
    ///
    /// When something is left, or this node is no member any more.
    pub async fn drain(&self) -> Result<(), WaitError> {
        let patience = self.tenure.inner.stop_timeout;
        let handle = &self.tenure.inner.handle;
        let sent = handle.drain(handle.now() + patience).await;
        sent.map_err(|_| WaitError::Gone("stopped".to_owned()))?;
        let drained = |view: &ClusterView| view.membership.state == MemberState::Drained;
        self.wait_until(patience.into(), drained).await.map(|_| ())
    }

    /// The shard of an entity; the [view](Self::view) tells who owns it now.
    ///
    /// ```
    /// # use tenure_core::api::{ClusterHandle, Entity};
    /// # fn example<Account: Entity>(cluster: &ClusterHandle) -> Result<(), Box<dyn std::error::Error>> {
    /// let place = cluster.shard_of::<Account>("alice")?;
    /// if let Some((node, epoch)) = cluster.view().owner(place) {
    ///     println!("alice is in {:?}, which {} owns under {epoch:?}", place.shard, node.name);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the id cannot be one.
    pub fn shard_of<A: Entity>(&self, id: impl AsRef<str>) -> Result<Place, NameError> {
        let entity = EntityId::new(id.as_ref())?;
        Ok(self.tenure.place_of::<A>(&entity))
    }

    /// Changes what this node says of itself: its labels, its zone, its weight. The others see it with
    /// its next heartbeat, which is sent at once; a run that follows after a rejoin says the same. What
    /// a later start says is up to that start.
    ///
    /// ```
    /// use tenure_core::api::{ClusterHandle, DescribeError, NodeChange};
    ///
    /// async fn retire(cluster: &ClusterHandle) -> Result<(), DescribeError> {
    ///     cluster.describe(NodeChange::new().weight(0).label("leaves", "today")).await
    /// }
    /// ```
    ///
    /// Cancel safe: it is changed all the same, or not at all.
    ///
    /// # Errors
    ///
    /// When it would say more than a record may hold, or this node is no member any more.
    pub async fn describe(&self, change: NodeChange) -> Result<(), DescribeError> {
        let handle = &self.tenure.inner.handle;
        let deadline = handle.now() + self.tenure.inner.timeout;
        match handle.describe(change, deadline).await {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(error))) => Err(DescribeError::Config(error)),
            Ok(None) => Err(DescribeError::Gone(self.view().state().to_owned())),
            Err(NotSent::Overloaded) => Err(DescribeError::Overloaded),
            Err(NotSent::Stopped) => Err(DescribeError::Stopped),
        }
    }

    /// One node, by its name.
    pub fn node(&self, name: impl Into<String>) -> NodeRef {
        NodeRef {
            tenure: self.tenure.clone(),
            name: name.into(),
        }
    }

    /// The owner of one shard, whoever it is.
    pub fn shard(&self, place: Place) -> ShardRef {
        ShardRef {
            tenure: self.tenure.clone(),
            place,
        }
    }
}

impl fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClusterHandle").field(&self.view()).finish()
    }
}

/// One node of the cluster, by its name.
#[derive(Clone, Debug)]
pub struct NodeRef {
    tenure: Tenure,
    name: String,
}

/// The owner of one shard.
#[derive(Clone, Debug)]
pub struct ShardRef {
    tenure: Tenure,
    place: Place,
}

impl NodeRef {
    pub(crate) fn new(tenure: Tenure, name: String) -> Self {
        Self { tenure, name }
    }

    /// The node's actor of a kind that is
    /// [`per_node`](crate::api::actor::ActorSettings::per_node). Messages go to the run of the node
    /// that is there when they are sent.
    pub fn actor<A: Actor>(&self) -> ActorHandle<A> {
        self.tenure.actor("-").of_node(&self.name)
    }

    /// Asks the node what it is and owns.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When it is not in the cluster, or does not answer within this node's `timeout`.
    pub async fn info(&self) -> Result<NodeInfo, RouteError> {
        let membership = self.tenure.inner.handle.cluster();
        let membership = membership.ok_or(RouteError::NoCluster)?;
        let run = {
            let membership = membership.borrow();
            let mut peers = membership.view.peers.iter();
            let named = peers.find(|(name, _)| name.as_str() == self.name);
            named.map(|(_, peer)| peer.incarnation)
        };
        let run = run.ok_or_else(|| RouteError::NoNode {
            node: self.name.clone(),
        })?;
        info(&self.tenure, Target::Node(run), &self.name).await
    }
}

impl ShardRef {
    /// Asks the shard's owner what it is and owns.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When nobody owns it, or its owner does not answer within this node's `timeout`.
    pub async fn info(&self) -> Result<NodeInfo, RouteError> {
        if self.tenure.inner.handle.cluster().is_none() {
            return Err(RouteError::NoCluster);
        }
        let whom = format!("that owns {:?}", self.place.shard);
        info(&self.tenure, Target::Place(self.place), &whom).await
    }
}

async fn info(tenure: &Tenure, target: Target, whom: &str) -> Result<NodeInfo, RouteError> {
    let handle = &tenure.inner.handle;
    let (done, told) = oneshot::channel();
    let request = AskRequest {
        target,
        deadline: handle.now() + tenure.inner.timeout,
        key: 0,
        repeat: Repeat::Reads,
        answered: true,
        ask: Box::new(InfoAsk { target, done }),
    };
    let sent = handle.ask(request).await;
    sent.map_err(|not_sent| match not_sent {
        NotSent::Overloaded => RouteError::from(Denial::Overloaded),
        NotSent::Stopped => RouteError::Stopped,
    })?;
    let node = || whom.to_owned();
    match told.await {
        Ok(Ok(Returned { answered, .. })) => match answered {
            Answered::Done { reply, .. } => INFO_CODEC.decode(&reply).map_err(RouteError::Answer),
            Answered::Refused(denial) => Err(RouteError::from(denial)),
            Answered::Rejected { .. } => {
                let cause = CodecError::new("a node said no to a question about itself");
                Err(RouteError::Answer(cause))
            }
        },
        Ok(Err(Unrouted::Route(refusal))) => Err(match refusal {
            route::Refusal::NoOwner(place) => RouteError::Unowned { shard: place.shard },
            route::Refusal::NoNode(_) => RouteError::NoNode { node: node() },
            route::Refusal::NoCommonVersion(_) => RouteError::NoCommonVersion { node: node() },
            route::Refusal::TooLarge { bytes, bytes_max } => {
                RouteError::TooLarge { bytes, bytes_max }
            }
            route::Refusal::Overloaded => RouteError::from(Denial::Overloaded),
            route::Refusal::Deadline | route::Refusal::Unknown(_) => {
                RouteError::Unanswered { node: node() }
            }
        }),
        Ok(Err(Unrouted::Unencodable(cause))) => Err(RouteError::Unencodable(cause)),
        Ok(Err(Unrouted::Halted(_) | Unrouted::Cut)) => {
            Err(RouteError::Unanswered { node: node() })
        }
        Ok(Err(Unrouted::Stopped)) | Err(_) => Err(RouteError::Stopped),
    }
}

/// The question to a node about itself.
struct InfoAsk {
    target: Target,
    done: oneshot::Sender<Result<Returned, Unrouted>>,
}

impl Routed for InfoAsk {
    fn here(self: Box<Self>, _: Courier) -> Local {
        Local::Info(self)
    }

    fn call(&self) -> Result<Call<'_>, CodecError> {
        Ok(info_call(match self.target {
            Target::Place(place) => Some(place),
            Target::Node(_) => None,
        }))
    }

    fn returned(self: Box<Self>, answer: Return<'_>) {
        // A caller that went away needs no answer.
        let _ = self.done.send(Ok(answer.into()));
    }

    fn handed_over(self: Box<Self>) {
        let _ = self.done.send(Err(Unrouted::Cut));
    }

    fn unrouted(self: Box<Self>, why: Unrouted) {
        let _ = self.done.send(Err(why));
    }

    fn is_abandoned(&self) -> bool {
        self.done.is_closed()
    }
}
