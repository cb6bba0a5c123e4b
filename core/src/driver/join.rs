//! How a node has actors and joins a cluster, and what it asks of the cluster then.

use super::actors::host::ActorEntry;
use super::cluster::{
    AskRequest, Enrol, Enrolment, MemberState, Membership, Registry, TIDINGS_MAX,
};
use super::handle::{Handle, NotSent, Sent};
use super::lane::Stagecraft;
use super::port::LanePort;
use super::request::Request;
use crate::api::{Inner, NodeChange};
use crate::id::{Epoch, Incarnation, Sequence};
use crate::name::KindName;
use crate::node::{ConfigError, JoinError, NodeConfig};
use crate::route::Target;
use crate::shard::Place;
use crate::step::{Span, Time};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot, watch};

/// Why a node is in no cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotJoined {
    Refused(JoinError),
    Halted(String),
    /// It was not a member in time.
    Timeout,
    Stopped,
}

impl Handle {
    /// Hands a request for whoever owns something to its lane.
    pub(crate) fn ask(&self, request: AskRequest) -> Sent<'_> {
        let lane = match request.target {
            Target::Place(place) => self.lane_of(place.shard),
            Target::Node(_) => 0,
        };
        let deadline = request.deadline;
        self.send(lane, Request::Ask(request), deadline)
    }

    /// The first run of the node.
    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The node's name.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// The epoch under which an answer of this node was given: of a commit at this sequence the one that
    /// it was stored under, of everything else the present one.
    pub(crate) fn epoch(&self, place: Place, stored: Option<Sequence>) -> Option<Epoch> {
        self.epochs.of(place, stored)
    }

    /// How many lanes it has.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// What lane 0 tells of the cluster, if the node is in one.
    pub(crate) fn cluster(&self) -> Option<&watch::Receiver<Membership>> {
        self.cluster.get()
    }

    /// Serves kinds without a cluster: the node owns all that is theirs.
    pub(crate) async fn serve_alone(&self, registry: Registry, deadline: Time) {
        if registry.kinds.is_empty() {
            return;
        }
        self.outbox.serve(Arc::new(registry));
        for lane in 0..self.lanes.len() {
            // A node that has stopped serves nothing.
            let _ = self.send(lane, Request::ServeAlone, deadline).await;
        }
    }

    /// Becomes a member of a cluster, until a time: all lanes listen, then lane 0 takes the node's
    /// name.
    pub(crate) async fn join(
        &self,
        config: NodeConfig,
        registry: Registry,
        deadline: Time,
    ) -> Result<(), NotJoined> {
        let registry = Arc::new(registry);
        self.outbox.serve(Arc::clone(&registry));
        let (told, membership) = watch::channel(Membership::new(self.incarnation));
        let (reports, reported) = mpsc::unbounded_channel();
        let (tidings, told_of) = mpsc::channel(TIDINGS_MAX);
        let (group_wishes, wished) = mpsc::unbounded_channel();
        let channels = self.lanes.iter().map(|_| mpsc::unbounded_channel());
        let (senders, receivers): (Vec<_>, Vec<_>) = channels.unzip();
        let mut lead = Some(Enrolment {
            config,
            layout: Arc::clone(&self.layout),
            membership: told,
            directions: senders,
            reports: reported,
            tidings: told_of,
            group_wishes: wished,
        });
        // Lane 0 comes last: when it takes the name, every lane listens.
        let mut lanes: Vec<_> = receivers.into_iter().enumerate().collect();
        lanes.reverse();
        for (lane, directions) in lanes {
            let (listening, listens) = oneshot::channel();
            let enrol = Enrol {
                registry: Arc::clone(&registry),
                membership: membership.clone(),
                directions,
                reports: reports.clone(),
                tidings: tidings.clone(),
                group_wishes: group_wishes.clone(),
                lead: if lane == 0 { lead.take() } else { None },
                lanes: u16::try_from(self.lanes.len()).unwrap_or(u16::MAX),
                listening,
            };
            let request = Request::Enrol(Box::new(enrol));
            let sent = self.send(lane, request, deadline).await;
            sent.map_err(|_| NotJoined::Stopped)?;
            listens.await.map_err(|_| NotJoined::Stopped)?;
        }
        let mut joined = membership.clone();
        // It is set once: a node joins when it is started.
        self.port.joined(membership.clone());
        let _ = self.cluster.set(membership);
        let state = tokio::select! {
            biased;
            state = joined.wait_for(|m| !m.state.is_on_its_way()) => {
                state.map_err(|_| NotJoined::Stopped)?.state.clone()
            }
            () = self.clock.sleep_until(deadline) => return Err(NotJoined::Timeout),
        };
        match state {
            MemberState::Refused(error) => Err(NotJoined::Refused(error)),
            MemberState::Halted(reason) => Err(NotJoined::Halted(reason)),
            MemberState::Joining
            | MemberState::Rejoining(_)
            | MemberState::Joined
            | MemberState::Draining
            | MemberState::Drained
            | MemberState::Left => Ok(()),
        }
    }

    /// How actors are reached.
    pub(crate) fn port(&self) -> &Arc<LanePort> {
        &self.port
    }

    /// The node has actors of these kinds from now on.
    pub(crate) async fn stage(
        &self,
        kinds: BTreeMap<KindName, Arc<ActorEntry>>,
        (timeout, home): (Span, Weak<Inner>),
        deadline: Time,
    ) -> Result<(), NotSent> {
        self.port.know(kinds);
        for lane in 0..self.lanes.len() {
            let stagecraft = Stagecraft {
                port: Arc::clone(&self.port),
                timeout,
                home: Weak::clone(&home),
            };
            let request = Request::Stage(Box::new(stagecraft));
            self.send(lane, request, deadline).await?;
        }
        Ok(())
    }

    /// Changes what the node says of itself; `None` when it is no member any more.
    pub(crate) async fn describe(
        &self,
        change: NodeChange,
        deadline: Time,
    ) -> Result<Option<Result<(), ConfigError>>, NotSent> {
        let (done, told) = oneshot::channel();
        self.send(0, Request::Describe(Box::new(change), done), deadline)
            .await?;
        told.await.map_err(|_| NotSent::Stopped)
    }

    /// Hands over what the node owns, and takes nothing more.
    pub(crate) async fn drain(&self, deadline: Time) -> Result<(), NotSent> {
        self.send(0, Request::Drain, deadline).await
    }
}
