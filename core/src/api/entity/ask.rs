//! The builders of commands that go to their entity's owner.

use super::error::{AskError, RouteError};
use super::routed::{Back, CommandWish, Head, Request, command_result, expired};
use super::{Entity, Within};
use crate::api::call::{Aim, IDS_MAX, Receipt};
use crate::api::contexts::Said;
use crate::api::{Decide, ExecuteError, Message, Served, Tenure};
use crate::format::Metadata;
use crate::id::{CommandId, Version, WallTime};
use crate::log::Expected;
use crate::name::{EntityId, NameError};
use crate::route::Repeat;
use crate::step::{Span, Time};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A command that is sent to its entity's owner when it is awaited.
///
/// It is sent again by itself as long as it surely did not begin, and also after that, because it
/// has an id: it takes effect at most once.
///
/// # Cancel safety
///
/// Dropping the future gives up the answer, not the command: it may still take effect. Sent again
/// with the same [`id`](Self::id) it takes effect at most once.
#[must_use = "a command is sent when it is awaited"]
pub struct Ask<A: Entity, C: Message> {
    tenure: Option<Tenure>,
    entity: Result<EntityId, NameError>,
    command: C,
    id: Option<CommandId>,
    expected: Expected,
    create: bool,
    metadata: Option<Arc<Metadata>>,
    timeout: Option<Span>,
    /// When the caller of the turn that asks gives up.
    deadline: Option<Time>,
    answered: bool,
    aggregate: std::marker::PhantomData<fn() -> A>,
}

impl<A: Entity + Decide<C>, C: Message> Ask<A, C> {
    pub(super) fn new(
        (tenure, from): (Option<Tenure>, &Within),
        entity: Result<EntityId, NameError>,
        command: C,
    ) -> Self {
        Self {
            tenure,
            entity,
            command,
            id: None,
            expected: Expected::Any,
            create: false,
            metadata: from.metadata.clone(),
            timeout: None,
            deadline: from.deadline,
            answered: true,
            aggregate: std::marker::PhantomData,
        }
    }

    /// The command's id. Without one a fresh id is made; an
    /// [`Unknown`](ExecuteError::Unknown) names it.
    pub fn id(mut self, id: CommandId) -> Self {
        self.id = Some(id);
        self
    }

    /// How long to wait for the answer; the node's `timeout` when it is not set. It goes with the
    /// command: the owner does not begin what nobody waits for.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// The entity must not exist; otherwise [`AlreadyExists`](ExecuteError::AlreadyExists).
    pub fn creating(mut self) -> Self {
        self.create = true;
        self.expected = Expected::Exactly(Version::ABSENT);
        self
    }

    /// The entity must exist; otherwise [`NotFound`](ExecuteError::NotFound).
    pub fn existing(mut self) -> Self {
        self.create = false;
        self.expected = Expected::Present;
        self
    }

    /// The entity must be at this version; otherwise [`Conflict`](ExecuteError::Conflict).
    pub fn expected(mut self, version: Version) -> Self {
        self.create = false;
        self.expected = Expected::Exactly(version);
        self
    }

    /// What the command says of itself beside its content: it is stored with its events, and told
    /// with them. Of a command that took effect before the first one stays.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = (!metadata.is_empty()).then(|| Arc::new(metadata));
        self
    }

    /// Asks for the reply together with the version, the sequence, whether it is the answer of an
    /// earlier attempt, and the node, shard and epoch that gave it, as [`Served`].
    pub fn served(self) -> AskServed<A, C> {
        AskServed(self)
    }

    async fn run(self) -> Result<Served<Receipt<A::Reply>>, AskError<A::Error>> {
        match self.send().await? {
            Sent::Answered(served) => Ok(served),
            // It was to be answered, and its lane is gone.
            Sent::HandedOver(id) => Err(ExecuteError::Unknown { id }.into()),
        }
    }

    async fn send(self) -> Result<Sent<A::Reply>, AskError<A::Error>> {
        let Self {
            tenure,
            entity,
            mut command,
            id: given,
            expected,
            create,
            metadata,
            timeout,
            deadline,
            answered,
            aggregate: _,
        } = self;
        let tenure = tenure.ok_or(ExecuteError::Stopped)?;
        let entity = entity?;
        let (entry, facts) = tenure.owned_kind::<A>().await.map_err(RouteError::from)?;
        let handle = &tenure.inner.handle;
        let head = Head {
            shard: handle.shard_of(&entry, &entity),
            entry,
            facts,
            entity,
            deadline: tenure.deadline(timeout, deadline),
        };
        let aim = Aim {
            entry: &head.entry,
            entity: &head.entity,
            expected,
            create,
        };
        let mut wall = handle.wall();
        let mut id = given.unwrap_or_else(|| handle.command_id_of(wall));
        for _ in 1..IDS_MAX {
            let left = head.deadline.since(handle.now());
            let said = Said::new(wall, left, metadata.clone());
            let wish = CommandWish::<A, C>::new(id, expected, command);
            let sending = (Repeat::ById, answered);
            let (request, told) = Request::sent(head.clone(), (said, wish), sending);
            handle.ask(request).await?;
            // No timer of its own: its lane answers by the deadline, or drops what it holds when it
            // ends; then nobody knows.
            let back = told.await.map_err(|_| ExecuteError::Unknown { id })?;
            match (expired(&back.ended), given, back.wish) {
                (None, _, None) => return Ok(Sent::HandedOver(id)),
                // Nobody knows the id and it was not run, so another one is as good.
                (Some(horizon), None, Some(again)) => {
                    wall = handle.wall();
                    let later = WallTime(horizon.0.saturating_add(1));
                    id = handle.command_id_of(wall.max(later));
                    command = again.into_command();
                }
                (Some(_) | None, _, wish) => {
                    let back = Back { wish, ..back };
                    let by = tenure.served_by(&head, &back.ended);
                    let receipt = command_result::<A, C>(&head, &aim, id, back)?;
                    return Ok(Sent::Answered(by.of(receipt)));
                }
            }
        }
        Err(ExecuteError::Contended { tries: IDS_MAX }.into())
    }
}

/// What became of a command that was sent.
enum Sent<R> {
    Answered(Served<Receipt<R>>),
    /// Nobody was to answer it.
    HandedOver(CommandId),
}

impl<A: Entity, C: Message> fmt::Debug for Ask<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("kind", &A::KIND)
            .field("entity", &self.entity)
            .field("command", &C::NAME)
            .field("id", &self.id)
            .field("expected", &self.expected)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<A: Entity + Decide<C>, C: Message> IntoFuture for Ask<A, C> {
    type Output = Result<A::Reply, AskError<A::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run().await.map(|served| served.answer.reply) })
    }
}

/// A command whose caller wants to know what stands behind the reply, as [`Served`].
#[must_use = "a command is sent when it is awaited"]
pub struct AskServed<A: Entity, C: Message>(Ask<A, C>);

impl<A: Entity, C: Message> fmt::Debug for AskServed<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AskServed").field(&self.0).finish()
    }
}

impl<A: Entity + Decide<C>, C: Message> IntoFuture for AskServed<A, C> {
    type Output = Result<Served<Receipt<A::Reply>>, AskError<A::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.0.run())
    }
}

/// A command whose reply nobody waits for.
///
/// Await it to send it; it is told only what kept it from being sent. Its id says, when its entity
/// is asked with it later, whether it took effect.
///
/// # Cancel safety
///
/// Dropping the future may send it or not.
#[must_use = "a command is sent when it is awaited"]
pub struct Tell<A: Entity, C: Message>(pub(super) Ask<A, C>);

impl<A: Entity + Decide<C>, C: Message> Tell<A, C> {
    /// The command's id. Without one a fresh id is made.
    pub fn id(mut self, id: CommandId) -> Self {
        self.0 = self.0.id(id);
        self
    }

    /// How long it may wait to be sent, and to be begun by its owner; the node's `timeout` when it
    /// is not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0 = self.0.timeout(timeout);
        self
    }

    /// What the command says of itself beside its content.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.0 = self.0.metadata(metadata);
        self
    }
}

impl<A: Entity, C: Message> fmt::Debug for Tell<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tell").field(&self.0).finish()
    }
}

impl<A: Entity + Decide<C>, C: Message> IntoFuture for Tell<A, C> {
    /// The command's id.
    type Output = Result<CommandId, AskError<A::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(mut self) -> Self::IntoFuture {
        self.0.answered = false;
        Box::pin(async move {
            Ok(match self.0.send().await? {
                Sent::HandedOver(id) => id,
                Sent::Answered(served) => served.answer.id,
            })
        })
    }
}
