//! One entity, wherever its owner is.

use super::{Answer, Ask, Entity, Read, Tell};
use crate::api::{Decide, Message, Tenure};
use crate::name::{EntityId, NameError};
use crate::shard::Place;
use std::fmt;
use std::marker::PhantomData;

/// One entity, wherever its owner is: what it is asked goes there, and its answer comes back.
///
/// Get one with [`Tenure::entity`](crate::api::Tenure::entity). On a node without a cluster, which
/// becomes the owner of each shard that it uses, nothing leaves the process; on one of a cluster a
/// request for a shard of its own does not either.
pub struct EntityRef<A: Entity> {
    tenure: Tenure,
    entity: Result<EntityId, NameError>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Entity> EntityRef<A> {
    pub(crate) fn new(tenure: Tenure, id: &str) -> Self {
        Self {
            tenure,
            entity: EntityId::new(id),
            aggregate: PhantomData,
        }
    }

    /// Where it belongs: its shard, of its kind's class.
    ///
    /// # Errors
    ///
    /// When the id cannot be one.
    pub fn place(&self) -> Result<Place, NameError> {
        let entity = self.entity.as_ref().map_err(Clone::clone)?;
        Ok(self.tenure.place_of::<A>(entity))
    }

    /// Asks it a command. Await the ask for the reply; before that it takes an [id](Ask::id), a
    /// [timeout](Ask::timeout), an [expected version](Ask::expected), and can give a
    /// [receipt](Ask::receipt).
    ///
    /// # Errors
    ///
    /// [`AskError`](super::AskError), when it is awaited.
    pub fn ask<C: Message>(&self, command: C) -> Ask<A, C>
    where
        A: Decide<C>,
    {
        Ask::new(self.tenure.clone(), self.entity.clone(), command)
    }

    /// Sends it a command whose reply nobody waits for. It takes effect at most once, and perhaps
    /// not at all: nobody is told.
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
        Read::new(self.tenure.clone(), self.entity.clone(), query)
    }
}

impl<A: Entity> Clone for EntityRef<A> {
    fn clone(&self) -> Self {
        Self {
            tenure: self.tenure.clone(),
            entity: self.entity.clone(),
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
