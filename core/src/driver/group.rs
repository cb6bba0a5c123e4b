//! The seat of one node's part in a group: its machine, its partitions' consumers, and what it tells of
//! itself.

use super::cluster::MachineSeat;
use super::consumer::{ConsumerHost, Ended, Told};
use super::counters::Counters;
use super::handle::{Handle, NotSent};
use super::lease::Reading;
use super::request::{GroupAnswer, Request};
use crate::consumer::group::{Effect, Group, GroupConfig, GroupOrder, GroupState, GroupStatus};
use crate::consumer::{Definition, Fault, Pace, StallReason};
use crate::id::{GroupPart, OpId, Ticket};
use crate::name::{ConsumerName, NodeName};
use crate::space::SpaceWish;
use crate::step::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// A node's part in a group that is to begin.
pub(crate) struct StartGroup {
    pub(crate) config: Box<GroupConfig>,
    pub(crate) pace: Pace,
    pub(crate) host: Arc<dyn ConsumerHost>,
    pub(crate) told: watch::Sender<GroupTold>,
    /// Who wants to know its number in its lane, or why it has none.
    pub(crate) done: oneshot::Sender<Result<u64, Box<Fault>>>,
}

/// What a node's part in a group says of itself.
#[derive(Clone, Debug)]
pub(crate) struct GroupTold {
    pub(crate) status: GroupStatus,
    /// The partitions that this node runs, or ran until they ended by themselves.
    pub(crate) held: BTreeMap<GroupPart, HeldPart>,
    pub(crate) ended: Option<Ended>,
}

/// A partition's consumer: its number in the lane, and what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct HeldPart {
    pub(crate) number: u64,
    pub(crate) told: watch::Receiver<Told>,
}

/// Why a group was not begun.
pub(crate) enum GroupFailure {
    Fault(Box<Fault>),
    NotSent(NotSent),
    /// The node is in no cluster.
    NoCluster,
}

/// What a lane's groups want of lane 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupWish {
    /// The others are to know whether this node takes partitions of a group.
    Serve(ConsumerName, bool),
    /// Nothing of the group acts on this node any more.
    Gone(ConsumerName),
    /// The members are to be listed again.
    Look,
}

/// One node's part in a group.
pub(crate) struct GroupSeat {
    pub(crate) name: ConsumerName,
    pub(crate) seat: MachineSeat<Group>,
    pub(crate) wanted: Vec<Effect>,
    pub(crate) wish: SpaceWish,
    pub(crate) definition: Definition,
    pub(crate) pace: Pace,
    pub(crate) host: Arc<dyn ConsumerHost>,
    pub(crate) told: watch::Sender<GroupTold>,
    /// The lease as the machine was told last.
    pub(crate) lease: Reading,
    pub(crate) parts: BTreeMap<GroupPart, PartSeat>,
    /// Who waits for what comes of an order.
    pub(crate) waiting: BTreeMap<Ticket, oneshot::Sender<GroupAnswer>>,
}

impl fmt::Debug for GroupSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupSeat")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A partition that this node runs.
#[derive(Debug)]
pub(crate) struct PartSeat {
    pub(crate) held: HeldPart,
    /// Whether its consumer is in the lane.
    pub(crate) runs: bool,
    /// The batches of one that is over whose tasks are not gone yet.
    pub(crate) left: BTreeSet<OpId>,
    /// It was told to end, or to be dropped.
    pub(crate) ending: bool,
}

impl PartSeat {
    /// Whether nothing of it acts any more.
    pub(crate) fn is_gone(&self) -> bool {
        !self.runs && self.left.is_empty()
    }

    /// Whether its consumer ended because its record is another's, or is gone.
    pub(crate) fn is_lost(&self) -> bool {
        match &self.held.told.borrow().ended {
            Some(Ended::Fault(fault)) => fault.loses_partition(),
            Some(Ended::Stopped { .. } | Ended::Halted(_) | Ended::Cut) | None => false,
        }
    }
}

impl GroupSeat {
    pub(crate) fn count_into(&self, counters: &mut Counters) {
        let held = self.seat.machine().acting().count();
        counters.partitions_held += held as u64;
    }

    /// Tells how it stands.
    pub(crate) fn say(&self, ended: Option<Ended>) {
        let status = self.seat.machine().status();
        let held = self.parts.iter();
        let held: BTreeMap<_, _> = held.map(|(part, it)| (*part, it.held.clone())).collect();
        self.told.send_if_modified(|told| {
            let numbers = |held: &BTreeMap<GroupPart, HeldPart>| -> Vec<(GroupPart, u64)> {
                held.iter().map(|(part, it)| (*part, it.number)).collect()
            };
            let changed =
                told.status != status || numbers(&told.held) != numbers(&held) || ended.is_some();
            told.status = status;
            told.held = held;
            told.ended = ended.or(told.ended.take());
            changed
        });
    }
}

impl Handle {
    /// Begins this node's part in a group: its lane, its number there, and what it says of itself.
    pub(crate) async fn group(
        &self,
        (definition, partitions): (Definition, u16),
        pace: Pace,
        host: Arc<dyn ConsumerHost>,
        deadline: Time,
    ) -> Result<(usize, u64, watch::Receiver<GroupTold>), GroupFailure> {
        let membership = self.cluster().ok_or(GroupFailure::NoCluster)?;
        let incarnation = membership.borrow().run;
        // A node in a cluster has the name of one.
        let node = NodeName::new(self.node()).map_err(|_| GroupFailure::NoCluster)?;
        let hash = self.layout.key.hash(definition.name.as_str().as_bytes());
        let lane = usize::try_from(hash % self.lanes() as u64).unwrap_or(0);
        let config = GroupConfig {
            wish: self.wish.clone(),
            layout: (*self.layout).clone(),
            node,
            incarnation,
            definition,
            partitions,
        };
        let status = GroupStatus {
            state: GroupState::Starting,
            members: Vec::new(),
            partitions: Vec::new(),
            paused: None,
            life: 1,
            waits_for: Some(StallReason::unconnected()),
        };
        let (told, tells) = watch::channel(GroupTold {
            status,
            held: BTreeMap::new(),
            ended: None,
        });
        let (done, begun) = oneshot::channel();
        let start = StartGroup {
            config: Box::new(config),
            pace,
            host,
            told,
            done,
        };
        let request = Request::Group(Box::new(start));
        let sent = self.send(lane, request, deadline).await;
        sent.map_err(GroupFailure::NotSent)?;
        match begun.await {
            Ok(Ok(number)) => Ok((lane, number, tells)),
            Ok(Err(fault)) => Err(GroupFailure::Fault(fault)),
            Err(_) => Err(GroupFailure::NotSent(NotSent::Stopped)),
        }
    }

    /// Tells a group something, on all nodes.
    pub(crate) async fn order_group(
        &self,
        (lane, number): (usize, u64),
        order: GroupOrder,
        deadline: Time,
    ) -> Result<GroupAnswer, NotSent> {
        let (done, told) = oneshot::channel();
        let request = Request::OrderGroup(number, Box::new(order), done);
        self.send(lane, request, deadline).await?;
        told.await.map_err(|_| NotSent::Stopped)
    }

    /// Has this node hand over its part in a group, and take no more of it. Its handlers may end what they
    /// have until a time.
    pub(crate) async fn leave_group(
        &self,
        (lane, number): (usize, u64),
        until: Time,
        deadline: Time,
    ) -> Result<(), NotSent> {
        self.send(lane, Request::LeaveGroup(number, until), deadline)
            .await
    }
}
