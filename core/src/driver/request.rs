//! What handles ask of a lane.

use super::actors::host::PaceRequest;
use super::bus::Publishing;
use super::cluster::{AskRequest, Enrol, Unrouted};
use super::consumer::{Consume, Tell};
use super::counters::Counters;
use super::group::StartGroup;
use super::host::{Answer, Caller, KindEntry};
use super::lane::Stagecraft;
use super::recorder::Recording;
use crate::api::NodeChange;
use crate::consumer::group::{GroupOrder, GroupOrderRefusal};
use crate::format::{KindRecord, Metadata, TakeOver};
use crate::id::{CommandId, ShardId, WallTime};
use crate::log::{Expected, FailedOrder, Freshness, HistoryAsk, HistoryPage, HistoryRefusal};
use crate::name::EntityId;
use crate::node::ConfigError;
use crate::port::{StoreReply, StoreRequest};
use crate::space::{KindWish, SpaceError};
use crate::step::Time;
use std::sync::Arc;
use tokio::sync::oneshot;

/// One request to a lane. The large ones are boxed: each is moved through a queue as the largest is.
pub(crate) enum Request {
    /// A command or a question for one entity.
    Entity(EntityRequest),
    /// A page of an entity's history.
    History(Box<HistoryAsk>, oneshot::Sender<HistoryAnswer>),
    /// Run a consumer.
    Consume(Box<Consume>),
    /// Tell a consumer something.
    Consumer(Box<Tell>),
    /// Store what is published.
    Publish(Box<Publishing>),
    /// A request to the store by who keeps a state there.
    Store(Box<StoreRequest>, oneshot::Sender<StoreReply>),
    /// Take part in a group.
    Group(Box<StartGroup>),
    /// Hand over the part in a group; handlers may end what they have until then.
    LeaveGroup(u64, Time),
    /// Tell a group something, by its number in the lane.
    OrderGroup(u64, Box<GroupOrder>, oneshot::Sender<GroupAnswer>),
    /// A kind's record; lane 0 only.
    Kind(Box<KindWish>, oneshot::Sender<KindAnswer>),
    /// A request for whoever owns something, or for a node.
    Ask(AskRequest),
    /// Become part of a cluster.
    Enrol(Box<Enrol>),
    /// Have actors.
    Stage(Box<Stagecraft>),
    /// For tests: have a key take turns at a pace.
    Pace(PaceRequest),
    /// Own all shards of the kinds that the node serves, because it is in no cluster.
    ServeAlone,
    /// Say something else of the node, if it is a member; lane 0 only.
    Describe(
        Box<NodeChange>,
        oneshot::Sender<Option<Result<(), ConfigError>>>,
    ),
    /// Hand over what the node owns, and take nothing more; lane 0 only.
    Drain,
    /// What becomes of messages that failed, of one shard of a class or of all that are owned here; how many
    /// were there.
    Failed(Box<FailedWish>, oneshot::Sender<u64>),
    /// What the lane has counted.
    Counters(oneshot::Sender<Counters>),
    /// What the lane's machines were fed lately.
    Recording(oneshot::Sender<Recording>),
}

/// What becomes of messages that failed.
pub(crate) struct FailedWish {
    /// Of which shard; none: of all that are owned here.
    pub(crate) shard: Option<(TakeOver, ShardId)>,
    pub(crate) order: FailedOrder,
}

/// A command or a question for one entity.
pub(crate) struct EntityRequest {
    pub(crate) kind: Arc<KindEntry>,
    pub(crate) shard: ShardId,
    pub(crate) entity: EntityId,
    pub(crate) deadline: Time,
    pub(crate) what: What,
    pub(crate) caller: Box<dyn Caller>,
}

/// What is wanted of an entity.
pub(crate) enum What {
    Command {
        id: Option<CommandId>,
        expected: Expected,
        metadata: Option<Arc<Metadata>>,
        wall: WallTime,
    },
    /// A question, and how fresh the state must be.
    Question { freshness: Freshness },
}

/// How a request for a page of history ended.
pub(crate) type HistoryAnswer = Result<HistoryPage, HistoryFailure>;

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HistoryFailure {
    Refused(HistoryRefusal),
    Unusable(SpaceError),
    /// Too many are under way.
    Overloaded,
    Halted(String),
    Stopped,
}

/// What came of an order of a group: the life that the group is in.
pub(crate) type GroupAnswer = Result<u64, GroupOrderRefusal>;

/// How a request for a kind's record ended.
pub(crate) type KindAnswer = Result<KindRecord, KindFailure>;

/// Why there is no record of a kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum KindFailure {
    Space(SpaceError),
    Halted(String),
    Stopped,
}

impl Request {
    /// Tells the caller that the node stopped before the request was begun.
    pub(crate) fn stopped(self) {
        // A caller that went away needs no answer.
        match self {
            Self::Entity(request) => request.caller.finish(Answer::Stopped),
            Self::History(_, done) => drop(done.send(Err(HistoryFailure::Stopped))),
            Self::Consume(consume) => drop(consume),
            Self::Consumer(tell) => drop(tell),
            Self::Publish(publishing) => drop(publishing),
            Self::Store(_, done) => drop(done),
            Self::Group(start) => drop(start),
            Self::OrderGroup(_, _, done) => drop(done),
            Self::Kind(_, done) => drop(done.send(Err(KindFailure::Stopped))),
            Self::Ask(request) => request.ask.unrouted(Unrouted::Stopped),
            Self::Enrol(enrol) => drop(enrol),
            Self::Stage(stagecraft) => drop(stagecraft),
            Self::Pace(request) => drop(request),
            Self::Describe(_, done) => drop(done),
            Self::Drain | Self::ServeAlone | Self::LeaveGroup(..) => {}
            Self::Failed(_, done) => drop(done),
            Self::Counters(done) => drop(done),
            Self::Recording(done) => drop(done),
        }
    }
}
