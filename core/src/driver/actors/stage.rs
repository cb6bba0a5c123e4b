//! What all actors of a lane have in common: the world they run in, and where they report.

use super::host::{ActorEntry, ActorRequest, Finished, PaceRequest, WatchRequest};
use super::tasks::Tasks;
use super::waiting::Waiting;
use crate::actor::Ended;
use crate::api::Inner;
use crate::driver::handle::Sent;
use crate::driver::lease::{LeaseEnd, Permit};
use crate::driver::shell::{Shell, TaskHandle};
use crate::id::{OpId, Slot, WallTime};
use crate::name::EntityId;
use crate::shard::Place;
use crate::step::{Dice, Limits, Span, Time};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;

/// A shell, without its type, as far as users' code may use it.
pub(crate) trait World: Send + Sync {
    fn now(&self) -> Time;
    fn wall(&self) -> WallTime;
    fn sleep_until(&self, at: Time) -> BoxFuture<'static, ()>;
    fn spawn(&self, task: BoxFuture<'static, ()>) -> TaskHandle;
}

impl<S: Shell> World for S {
    fn now(&self) -> Time {
        Shell::now(self)
    }

    fn wall(&self) -> WallTime {
        Shell::wall(self)
    }

    fn sleep_until(&self, at: Time) -> BoxFuture<'static, ()> {
        let shell = self.clone();
        Box::pin(async move { Shell::sleep_until(&shell, at).await })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> TaskHandle {
        Shell::spawn(self, task)
    }
}

/// How an actor reaches other ones: routing, wherever they are.
pub(crate) trait Asker: Send + Sync {
    /// The node's clock, from which what is asked has its deadline.
    fn now(&self) -> Time;

    /// The kind that this process knows under a name.
    fn kind(&self, name: &str) -> Option<Arc<ActorEntry>>;

    /// The place of a key; `None` for a kind that is on each node.
    fn place(&self, kind: &ActorEntry, key: &EntityId) -> Option<Place>;

    /// How many shards there are.
    fn shards(&self) -> u16;

    /// The name of this node.
    fn node(&self) -> &str;

    /// Hands a message to the lane that routes it.
    fn ask(&self, request: ActorRequest) -> Sent<'static>;

    /// Hands a wish to be told of an end to the lane that routes it.
    fn watch(&self, request: WatchRequest) -> Sent<'static>;

    /// Hands a wish for a pace to the lane of its place on this node.
    fn pace(&self, request: PaceRequest) -> Sent<'static>;
}

/// What all actors of a lane have in common.
pub(crate) struct Stage {
    pub(crate) node: String,
    pub(crate) limits: Limits,
    /// How long what actors ask waits, unless they say otherwise.
    pub(crate) timeout: Span,
    /// The node, for what actors ask of others; it is gone when nobody has a handle of it.
    pub(crate) home: Weak<Inner>,
    pub(crate) dice: Dice,
    pub(crate) world: Arc<dyn World>,
    pub(crate) asker: Arc<dyn Asker>,
    pub(crate) reports: mpsc::UnboundedSender<Report>,
    /// Until when this node may act in the places that it owns.
    pub(crate) lease: Arc<LeaseEnd>,
    /// What turns of this node wait for.
    pub(crate) waiting: Arc<Waiting>,
    /// What runs for actors beside their turns.
    pub(crate) tasks: Tasks,
}

impl Stage {
    /// Whether what began under a lease, or what belongs to the node alone, may act now.
    pub(crate) fn allows(&self, permit: Option<Permit>) -> bool {
        permit.is_none_or(|permit| self.lease.allows(permit, self.world.now()))
    }
}

/// What comes back to the lane from what runs outside it. There is at most one report of each
/// operation, task and watch under way, and those have limits.
pub(crate) enum Report {
    /// An operation has ended, or was dropped.
    Ended {
        slot: Slot,
        op: OpId,
        finished: Option<Finished>,
    },
    /// A task has ended; so many tasks and watches run still.
    Task {
        slot: Slot,
        background: u32,
        panicked: Option<String>,
    },
    /// What an actor watches has ended.
    Notice {
        slot: Slot,
        watch: u32,
        ended: Ended,
    },
}
