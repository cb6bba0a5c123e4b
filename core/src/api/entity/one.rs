//! One entity, wherever its owner is.

use super::{Answer, Ask, Entity, Read, Tell};
use crate::api::{Decide, Delete, Message, Tenure};
use crate::format::Metadata;
use crate::name::{EntityId, NameError};
use crate::shard::Place;
use crate::step::Time;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Whose turn asks, if one does.
#[derive(Clone, Default)]
pub(crate) struct Within {
    /// When its caller gives up.
    pub(crate) deadline: Option<Time>,
    /// What goes on to what it asks.
    pub(crate) metadata: Option<Arc<Metadata>>,
}

/// One entity, wherever its owner is: what it is asked goes there, and its answer comes back.
///
/// Get one with [`Tenure::entity`](crate::api::Tenure::entity). On a node without a cluster, which
/// becomes the owner of each shard that it uses, nothing leaves the process; on one of a cluster a
/// request for a shard of its own does not either.
pub struct EntityRef<A: Entity> {
    /// `None`: the node is gone.
    tenure: Option<Tenure>,
    entity: Result<EntityId, NameError>,
    from: Within,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Entity> EntityRef<A> {
    pub(crate) fn new(tenure: Tenure, id: &str) -> Self {
        Self {
            tenure: Some(tenure),
            entity: EntityId::new(id),
            from: Within::default(),
            aggregate: PhantomData,
        }
    }

    /// As an actor's turn asks it.
    pub(crate) fn from_turn(tenure: Option<Tenure>, id: &str, from: Within) -> Self {
        Self {
            tenure,
            entity: EntityId::new(id),
            from,
            aggregate: PhantomData,
        }
    }

    /// Where it belongs: its shard, of its kind's class. `None` when the id cannot be one, or the
    /// node that the handle is of is gone.
    pub fn place(&self) -> Option<Place> {
        let entity = self.entity.as_ref().ok()?;
        Some(self.tenure.as_ref()?.place_of::<A>(entity))
    }

    /// Asks it a command. Await the ask for the reply; before that it takes an [id](Ask::id), a
    /// [timeout](Ask::timeout), an [expected version](Ask::expected), and can give a
    /// [receipt](Ask::served).
    ///
    /// # Errors
    ///
    /// [`AskError`](super::AskError), when it is awaited.
    pub fn ask<C: Message>(&self, command: C) -> Ask<A, C>
    where
        A: Decide<C>,
    {
        Ask::new(
            (self.tenure.clone(), &self.from),
            self.entity.clone(),
            command,
        )
    }

    /// Sends it a command whose reply nobody waits for. It takes effect at most once, and perhaps
    /// not at all: nobody is told what came of it. Awaited, a tell ends when the command has an owner
    /// that took it in: where this node owns the entity's shard at once, else when the owner is done
    /// with it, because until then a hand-over may send it on.
    ///
    /// # Errors
    ///
    /// [`AskError`](super::AskError), when it is awaited and cannot be sent.
    pub fn tell<C: Message>(&self, command: C) -> Tell<A, C>
    where
        A: Decide<C>,
    {
        Tell(self.ask(command))
    }

    /// Deletes it: what was stored of it goes, but for a tombstone; see
    /// [`Decision::delete`](crate::api::Decision::delete). One that does not exist stays so. It is sent to
    /// its owner as any command, and takes what [`ask`](Self::ask) takes; its
    /// [timeout](Ask::timeout) is also how long it waits for messages of the entity to be delivered.
    ///
    /// ```
    /// # use tenure_core::api::{Entity, Tenure};
    /// # async fn example<A: Entity>(tenure: &Tenure) -> Result<(), Box<dyn std::error::Error>> {
    /// tenure.entity::<A>("alice").delete().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AskError`](super::AskError), when it is awaited.
    pub fn delete(&self) -> Ask<A, Delete> {
        self.ask(Delete)
    }

    /// Asks it a query, at the [freshness](Read::freshness) that is wanted:
    /// [`Linearizable`](crate::log::Freshness::Linearizable) when nothing is said.
    ///
    /// # Errors
    ///
    /// [`ReadError`](super::ReadError), when it is awaited.
    pub fn read<Q: Message>(&self, query: Q) -> Read<A, Q>
    where
        A: Answer<Q>,
    {
        Read::new(
            (self.tenure.clone(), &self.from),
            self.entity.clone(),
            query,
        )
    }
}

impl<A: Entity> Clone for EntityRef<A> {
    fn clone(&self) -> Self {
        Self {
            tenure: self.tenure.clone(),
            entity: self.entity.clone(),
            from: self.from.clone(),
            aggregate: PhantomData,
        }
    }
}

impl<A: Entity> fmt::Debug for EntityRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntityRef")
            .field("kind", &A::KIND)
            .field("entity", &self.entity)
            .finish_non_exhaustive()
    }
}
