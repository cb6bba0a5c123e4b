//! The builder of queries that go to their entity's owner.

use super::error::ReadError;
use super::routed::{Head, QueryWish, Request, query_result};
use super::{Answer, Entity, Within};
use crate::api::contexts::Said;
use crate::api::{LoadError, Message, Served, Tenure};
use crate::format::Metadata;
use crate::id::Version;
use crate::log::Freshness;
use crate::name::{EntityId, NameError};
use crate::route::Repeat;
use crate::step::{Span, Time};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A query that is sent to its entity's owner when it is awaited.
///
/// Cancel safe.
#[must_use = "a query is sent when it is awaited"]
pub struct Read<A: Entity, Q: Message> {
    tenure: Option<Tenure>,
    entity: Result<EntityId, NameError>,
    query: Q,
    freshness: Freshness,
    metadata: Option<Arc<Metadata>>,
    timeout: Option<Span>,
    /// When the caller of the turn that asks gives up.
    deadline: Option<Time>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Entity + Answer<Q>, Q: Message> Read<A, Q> {
    pub(super) fn new(
        (tenure, from): (Option<Tenure>, &Within),
        entity: Result<EntityId, NameError>,
        query: Q,
    ) -> Self {
        Self {
            tenure,
            entity,
            query,
            freshness: Freshness::Linearizable,
            metadata: from.metadata.clone(),
            timeout: None,
            deadline: from.deadline,
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
        self.timeout = Some(timeout.into());
        self
    }

    /// What the query says of itself beside its content, for its [context](crate::api::AnswerCx).
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = (!metadata.is_empty()).then(|| Arc::new(metadata));
        self
    }

    /// Asks for the reply together with the version and the freshness of the state behind it, and
    /// the node, shard and epoch that gave it, as [`Served`].
    pub fn served(self) -> ReadServed<A, Q> {
        ReadServed(self)
    }

    async fn run(self) -> Result<Served<ReadReply<A::Reply>>, ReadError> {
        let Self {
            tenure,
            entity,
            query,
            freshness,
            metadata,
            timeout,
            deadline,
            aggregate: _,
        } = self;
        let tenure = tenure.ok_or(LoadError::Stopped)?;
        let entity = entity.map_err(LoadError::Name)?;
        let kind = tenure.owned_kind::<A>().await;
        let (entry, facts) = kind.map_err(super::RouteError::from)?;
        let handle = &tenure.inner.handle;
        let head = Head {
            shard: handle.shard_of(&entry, &entity),
            entry,
            facts,
            entity,
            deadline: tenure.deadline(timeout, deadline),
        };
        let left = head.deadline.since(handle.now());
        let said = Said::new(handle.wall(), left, metadata);
        let wish = QueryWish::<A, Q>::new(freshness, query);
        let (request, told) = Request::sent(head.clone(), (said, wish), (Repeat::Reads, true));
        handle.ask(request).await?;
        // Without an answer the lane is gone.
        let back = told.await.map_err(|_| LoadError::Stopped)?;
        let by = tenure.served_by(&head, &back.ended);
        Ok(by.of(query_result::<A, Q>(&head, back)?))
    }
}

/// What a query was answered, and from which state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadReply<R> {
    /// The reply.
    pub reply: R,
    /// The version of the state that it is given from; [`Version::ABSENT`] when there is none.
    pub version: Version,
    /// What is known of that state: at least as fresh as was asked for.
    pub freshness: Freshness,
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
        Box::pin(async move { self.run().await.map(|served| served.answer.reply) })
    }
}

/// A query whose caller wants to know what stands behind the reply, as [`Served`].
#[must_use = "a query is sent when it is awaited"]
pub struct ReadServed<A: Entity, Q: Message>(Read<A, Q>);

impl<A: Entity, Q: Message> fmt::Debug for ReadServed<A, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadServed").field(&self.0).finish()
    }
}

impl<A: Entity + Answer<Q>, Q: Message> IntoFuture for ReadServed<A, Q> {
    type Output = Result<Served<ReadReply<A::Reply>>, ReadError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.0.run())
    }
}
