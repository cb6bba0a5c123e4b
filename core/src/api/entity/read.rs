//! The builder of queries that go to their entity's owner.

use super::error::ReadError;
use super::routed::{Head, QueryAsk, query_result};
use super::{Answer, Entity};
use crate::api::{LoadError, Message, Tenure};
use crate::driver::cluster::{AskRequest, Courier};
use crate::log::Freshness;
use crate::name::{EntityId, NameError};
use crate::route::Repeat;
use crate::step::Span;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::oneshot;

/// A query that is sent to its entity's owner when it is awaited.
///
/// Cancel safe.
#[must_use = "a query is sent when it is awaited"]
pub struct Read<A: Entity, Q: Message> {
    tenure: Tenure,
    entity: Result<EntityId, NameError>,
    query: Q,
    freshness: Freshness,
    timeout: Span,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Entity + Answer<Q>, Q: Message> Read<A, Q> {
    pub(super) fn new(tenure: Tenure, entity: Result<EntityId, NameError>, query: Q) -> Self {
        let timeout = tenure.inner.timeout;
        Self {
            tenure,
            entity,
            query,
            freshness: Freshness::Linearizable,
            timeout,
            aggregate: PhantomData,
        }
    }

    /// How fresh the state has to be that the answer is given from (P5).
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// How long to wait for the answer; the node's `timeout` when it is not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.into();
        self
    }

    async fn run(self) -> Result<A::Reply, ReadError> {
        let Self {
            tenure,
            entity,
            query,
            freshness,
            timeout,
            aggregate,
        } = self;
        let entity = entity.map_err(LoadError::Name)?;
        let kind = tenure.owned_kind::<A>().await;
        let (entry, facts) = kind.map_err(super::RouteError::from)?;
        let handle = &tenure.inner.handle;
        let head = Head {
            shard: handle.shard_of(&entry, &entity),
            entry,
            facts,
            entity,
            deadline: handle.now() + timeout,
        };
        let (done, told) = oneshot::channel();
        let ask = QueryAsk::<A, Q> {
            head: head.clone(),
            freshness,
            query,
            courier: Courier::Alone,
            replied: None,
            aggregate,
            done,
        };
        let request = AskRequest {
            target: head.target(),
            deadline: head.deadline,
            key: head.key(),
            repeat: Repeat::Reads,
            answered: true,
            ask: Box::new(ask),
        };
        handle.ask(request).await?;
        // Without an answer the lane is gone.
        let ended = told.await.map_err(|_| LoadError::Stopped)?;
        query_result::<A, Q>(&head, ended)
    }
}

impl<A: Entity, Q: Message> fmt::Debug for Read<A, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read")
            .field("kind", &A::KIND)
            .field("entity", &self.entity)
            .field("query", &Q::NAME)
            .field("freshness", &self.freshness)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<A: Entity + Answer<Q>, Q: Message> IntoFuture for Read<A, Q> {
    type Output = Result<A::Reply, ReadError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
