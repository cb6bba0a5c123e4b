//! The handle of one actor, wherever it is.

use super::{Actor, ActorAsk, ActorId, ActorTell, Handle};
use crate::actor::{Hop, Trail};
use crate::api::Message;
use crate::driver::actors::host::{ActorEntry, Pace, PaceRequest, Presence};
use crate::driver::actors::stage::Asker;
use crate::driver::actors::waiting::{Awaited, Waiting};
use crate::format::{Metadata, Placement};
use crate::id::ShardId;
use crate::name::{EntityId, NameError};
use crate::shard::Place;
use crate::step::{Span, Time};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Why whom a message is for cannot be asked.
#[derive(Clone, Debug)]
pub(crate) enum Misdirected {
    /// The key cannot be one.
    Name(NameError),
    /// Its kind does not belong to shards, or to nodes.
    Placed { whose: &'static str },
    /// There is no such shard.
    NoShard { shard: ShardId, shards: u16 },
}

/// One actor, wherever it is. It is made when it is asked something.
pub struct ActorHandle<A: Actor> {
    /// A handle, its clones and the messages on their way have it together: what many threads take
    /// from the node at once is taken once for each handle, and not for each of those.
    pub(super) aim: Arc<Aim>,
    actor: PhantomData<fn() -> A>,
}

/// Whom a handle is for, how it is reached, and what goes along.
#[derive(Clone)]
pub(super) struct Aim {
    pub(super) asker: Arc<dyn Asker>,
    /// `None`: this process does not know the kind.
    pub(super) kind: Option<Arc<ActorEntry>>,
    pub(super) key: Result<EntityId, Misdirected>,
    /// The node that it belongs to, for a kind that is on each node.
    pub(super) node: Option<Arc<str>>,
    /// Who waits, when it is asked from within a turn.
    pub(super) trail: Trail,
    /// Where it is noted whom they wait for.
    pub(super) waiting: Option<Arc<Waiting>>,
    /// When they give up.
    pub(super) deadline: Option<Time>,
    /// Whether they are there still.
    pub(super) within: Option<Arc<dyn Presence>>,
    pub(super) metadata: Option<Arc<Metadata>>,
    pub(super) timeout: Span,
}

impl Aim {
    /// Of a program.
    pub(super) fn new<A: Actor>(asker: Arc<dyn Asker>, key: &str, timeout: Span) -> Self {
        Self {
            kind: asker.kind(A::KIND),
            asker,
            key: EntityId::new(key).map_err(Misdirected::Name),
            node: None,
            trail: Trail::default(),
            waiting: None,
            deadline: None,
            within: None,
            metadata: None,
            timeout,
        }
    }

    fn placed(&self, wanted: Placement, whose: &'static str) -> Result<(), Misdirected> {
        match &self.kind {
            Some(kind) if kind.placement != wanted => Err(Misdirected::Placed { whose }),
            // Of a kind that is not known it is said when it is asked.
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn place(&self) -> Option<Place> {
        let key = self.key.as_ref().ok()?;
        self.asker.place(self.kind.as_ref()?, key)
    }

    /// Which actor it is, for an error; `None` when it can be none.
    pub(super) fn id(&self) -> Option<ActorId> {
        let kind = self.kind.as_ref()?.name().clone();
        let key = self.key.as_ref().ok()?.clone();
        let shard = self.place().map(|place| place.shard);
        Some(ActorId { kind, key, shard })
    }

    /// Notes that the turn from which it is asked waits for it.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        let (waiting, who) = self.waiting.as_ref().zip(self.trail.hops().last())?;
        let (kind, key) = self.kind.as_ref().zip(self.key.as_ref().ok())?;
        let (kind, key) = (kind.name().clone(), key.clone());
        Some(waiting.begin(who.clone(), Hop { kind, key }))
    }
}

impl<A: Actor> ActorHandle<A> {
    /// A handle for a program; from within a turn it is [`ActorCx::actor`](super::ActorCx::actor).
    pub(crate) fn new(asker: Arc<dyn Asker>, key: &str, timeout: Span) -> Self {
        Self::aimed(Aim::new::<A>(asker, key, timeout))
    }

    pub(super) fn aimed(aim: Aim) -> Self {
        Self {
            aim: Arc::new(aim),
            actor: PhantomData,
        }
    }

    /// The kind's actor of one shard.
    pub(crate) fn of_shard(self, shard: ShardId) -> Self {
        let mut aim = Arc::unwrap_or_clone(self.aim);
        let (key, shards) = (aim.placed(Placement::Shard, "shard"), aim.asker.shards());
        aim.key = key.and_then(|()| match shard.0 < shards {
            true => EntityId::new(&shard.0.to_string()).map_err(Misdirected::Name),
            false => Err(Misdirected::NoShard { shard, shards }),
        });
        Self::aimed(aim)
    }

    /// The kind's actor of one node.
    pub(crate) fn of_node(self, node: &str) -> Self {
        let mut aim = Arc::unwrap_or_clone(self.aim);
        let key = aim.placed(Placement::Node, "node");
        aim.key = key.and_then(|()| EntityId::new(node).map_err(Misdirected::Name));
        aim.node = Some(node.into());
        Self::aimed(aim)
    }

    /// Where the key belongs: its shard. `None` when this process does not know the kind, the key
    /// cannot be one, or the actor belongs to a node.
    ///
    /// ```
    /// # use tenure_core::api::{Tenure, actor::Actor};
    /// # fn example<Counter: Actor>(tenure: &Tenure) {
    /// let counter = tenure.actor::<Counter>("page-1");
    /// let owner = counter.place().zip(tenure.cluster()).and_then(|(place, cluster)| {
    ///     let view = cluster.view();
    ///     view.owner(place).map(|(node, _)| node.name.to_owned())
    /// });
    /// println!("page-1 is on {owner:?}");
    /// # }
    /// ```
    pub fn place(&self) -> Option<Place> {
        self.aim.place()
    }

    /// Sends a message whose reply is wanted.
    ///
    /// From within a turn ([`ActorCx::actor`](super::ActorCx::actor)) the turn waits, and its actor takes
    /// no other message meanwhile. An actor that would wait for itself is refused
    /// [`ActorError::Cycle`](super::ActorError::Cycle): along one chain of asks wherever its actors are;
    /// where chains cross, two actors that ask each other wherever they are, and longer ways where those
    /// between are on one node. Longer ways over several nodes end at the deadline. An ask from a task
    /// of an actor that no turn waits for ([`detached`](Self::detached)) closes no cycle.
    pub fn ask<M: Message>(&self, message: M) -> ActorAsk<A, M>
    where
        A: Handle<M>,
    {
        ActorAsk::new(Arc::clone(&self.aim), message)
    }

    /// Sends a message whose reply nobody wants. It was taken by the actor's owner when this ends
    /// well, and runs unless that node loses the actor before its turn.
    pub fn tell<M: Message>(&self, message: M) -> ActorTell<A, M>
    where
        A: Handle<M>,
    {
        ActorTell::new(Arc::clone(&self.aim), message)
    }

    /// For tests: from now on the actor takes no turns, as far as it is on this node. What it is
    /// asked waits. False when the node has stopped, or does not know the kind.
    pub async fn pause(&self) -> bool {
        self.pace(Pace::Pause).await
    }

    /// For tests: a paused actor takes one turn.
    pub async fn step(&self) -> bool {
        self.pace(Pace::Step).await
    }

    /// For tests: a paused actor goes on.
    pub async fn resume(&self) -> bool {
        self.pace(Pace::Resume).await
    }

    async fn pace(&self, pace: Pace) -> bool {
        let aim = &self.aim;
        let (Some(kind), Ok(key)) = (aim.kind.clone(), aim.key.clone()) else {
            return false;
        };
        let (done, told) = oneshot::channel();
        let request = PaceRequest {
            kind,
            key,
            pace,
            done,
        };
        aim.asker.pace(request).await.is_ok() && told.await.is_ok()
    }

    /// The same actor for whom no turn waits: to ask it from a task. Without this what a task asks
    /// counts as asked by the turn that made the handle, with its deadline.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self::aimed(Aim {
            trail: Trail::default(),
            waiting: None,
            deadline: None,
            within: None,
            ..Aim::clone(&self.aim)
        })
    }
}

impl<A: Actor> Clone for ActorHandle<A> {
    fn clone(&self) -> Self {
        Self {
            aim: Arc::clone(&self.aim),
            actor: PhantomData,
        }
    }
}

impl<A: Actor> fmt::Debug for ActorHandle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorHandle")
            .field("kind", &A::KIND)
            .field("key", &self.aim.key)
            .finish_non_exhaustive()
    }
}
