//! The builders of commands: each ends in an await.

use super::call::{Closure, Command, Decider, Receipt, Sending};
use super::{Aggregate, ExecuteError, Repository};
use crate::format::Metadata;
use crate::id::{CommandId, Version};
use crate::log::Expected;
use crate::name::{EntityId, NameError};
use crate::step::Span;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A command that is sent when it is awaited.
///
/// # Cancel safety
///
/// Dropping the future gives up the answer, not the command: it may still take effect. Sent again
/// with the same [`id`](Self::id) it takes effect at most once.
#[must_use = "a command is sent when it is awaited"]
pub struct Execute<A: Aggregate, D: Decider<A>> {
    repository: Repository<A>,
    entity: Result<EntityId, NameError>,
    decider: D,
    id: Option<CommandId>,
    expected: Expected,
    create: bool,
    metadata: Option<Arc<Metadata>>,
    timeout: Span,
}

/// A command by its [`Decide`](super::Decide).
pub type ExecuteCommand<A, C> = Execute<A, Command<C>>;

/// A transaction by a closure.
pub type Transact<A, F, R, E> = Execute<A, Closure<F, R, E>>;

impl<A: Aggregate, D: Decider<A>> Execute<A, D> {
    pub(crate) fn new(repository: Repository<A>, id: &str, decider: D) -> Self {
        let timeout = repository.kind.tenure.inner.timeout;
        Self {
            repository,
            entity: EntityId::new(id),
            decider,
            id: None,
            expected: Expected::Any,
            create: false,
            metadata: None,
            timeout,
        }
    }

    pub(crate) fn creating(mut self) -> Self {
        self.create = true;
        self.expected = Expected::Exactly(Version::ABSENT);
        self
    }

    /// The command's id. Without one a fresh id is made; an [`Unknown`](ExecuteError::Unknown)
    /// names it.
    pub fn id(mut self, id: CommandId) -> Self {
        self.id = Some(id);
        self
    }

    /// How long to wait for the answer; the node's `timeout` when it is not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// The entity must be at this version; otherwise [`Conflict`](ExecuteError::Conflict).
    pub fn expected(mut self, version: Version) -> Self {
        self.create = false;
        self.expected = Expected::Exactly(version);
        self
    }

    /// The entity must exist; otherwise [`NotFound`](ExecuteError::NotFound).
    pub fn existing(mut self) -> Self {
        self.create = false;
        self.expected = Expected::Present;
        self
    }

    /// What the command says of itself beside its content: it is stored with its events, and told
    /// with them ([`Past::metadata`](super::Past::metadata)). Of a command that took effect before
    /// the first one stays.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = (!metadata.is_empty()).then(|| Arc::new(metadata));
        self
    }

    /// Asks for the reply together with the version, the sequence, and whether it is the answer
    /// of an earlier attempt.
    pub fn receipt(self) -> ExecuteReceipt<A, D> {
        ExecuteReceipt(self)
    }

    /// One future without others in it that hold the same once more.
    #[allow(
        clippy::manual_async_fn,
        reason = "an `async fn` would hold its arguments twice"
    )]
    fn run<T>(
        self,
        told: impl FnOnce(Receipt<D::Reply>) -> T + Send,
    ) -> impl Future<Output = Result<T, ExecuteError<D::Error>>> + Send {
        async move {
            let Self {
                repository,
                entity,
                decider,
                id,
                expected,
                create,
                metadata,
                timeout,
            } = self;
            let sending = Sending {
                kind: &repository.kind,
                entity: entity?,
                id,
                expected,
                create,
                metadata,
                timeout,
            };
            sending.run(decider).await.map(told)
        }
    }
}

impl<A: Aggregate, D: Decider<A>> fmt::Debug for Execute<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execute")
            .field("kind", &A::KIND)
            .field("entity", &self.entity)
            .field("id", &self.id)
            .field("expected", &self.expected)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<A: Aggregate, D: Decider<A>> IntoFuture for Execute<A, D> {
    type Output = Result<D::Reply, ExecuteError<D::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run(|receipt| receipt.reply))
    }
}

/// A command whose caller wants a [`Receipt`].
#[must_use = "a command is sent when it is awaited"]
pub struct ExecuteReceipt<A: Aggregate, D: Decider<A>>(Execute<A, D>);

impl<A: Aggregate, D: Decider<A>> fmt::Debug for ExecuteReceipt<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExecuteReceipt").field(&self.0).finish()
    }
}

impl<A: Aggregate, D: Decider<A>> IntoFuture for ExecuteReceipt<A, D> {
    type Output = Result<Receipt<D::Reply>, ExecuteError<D::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.0.run(|receipt| receipt))
    }
}
