//! The builders of messages: each ends in an await.

use super::caller::{self, Desk, Waits};
use super::handle::Aim;
use super::job::Carried;
use super::reply::{ActorReply, Asked, Awaiting, InFlight};
use super::told::NoReply;
use super::{Actor, ActorError, Handle};
use crate::api::{Message, Served};
use crate::driver::Sent;
use crate::driver::actors::host::{ActorRequest, Caller, Content, Mail, Recipient, Waiter};
use crate::format::{Codec, Metadata};
use crate::step::Span;
use futures_util::future::Either;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A message whose reply is waited for when it is awaited.
///
/// # Cancel safety
///
/// Dropping the future withdraws the message: it is not run if its turn has not come, and a handler
/// that runs can see it ([`ActorCx::caller_has_gone`](super::ActorCx::caller_has_gone)).
#[must_use = "a message is sent when it is awaited"]
pub struct ActorAsk<A: Actor, M>(Sending<A, M>);

/// A message whose reply nobody wants; awaited until it is in the mailbox.
///
/// # Cancel safety
///
/// Dropping the future gives up knowing, not the message; before its node has room to take it in, the
/// message too.
#[must_use = "a message is sent when it is awaited"]
pub struct ActorTell<A: Actor, M>(Sending<A, M>);

/// A message whose caller wants to know what stands behind the reply, as [`Served`].
#[must_use = "a message is sent when it is awaited"]
pub struct ActorAskServed<A: Actor, M>(ActorAsk<A, M>);

struct Sending<A: Actor, M> {
    to: Arc<Aim>,
    said: Said<M>,
    actor: PhantomData<fn() -> A>,
}

/// What is said, and how.
pub(super) struct Said<M> {
    message: M,
    timeout: Option<Span>,
    metadata: Option<Arc<Metadata>>,
}

impl<A: Actor, M> Sending<A, M> {
    fn new(to: Arc<Aim>, message: M) -> Self {
        let said = Said {
            metadata: to.metadata.clone(),
            message,
            timeout: None,
        };
        let actor = PhantomData;
        Self { to, said, actor }
    }

    fn timeout(&mut self, timeout: Duration) {
        self.said.timeout = Some(timeout.into());
    }

    fn metadata(&mut self, metadata: Metadata) {
        self.said.metadata = (!metadata.is_empty()).then(|| Arc::new(metadata));
    }
}

impl<M: Message> Said<M> {
    /// Hands the message over, for a caller who sits at a desk; its end comes back.
    fn send<E, T: Send + 'static>(
        self,
        to: &Aim,
        answered: bool,
        desk: impl FnOnce(Codec) -> (Arc<Desk<T>>, Waits<T>),
    ) -> Result<(Sent<'static>, Waits<T>), NoReply<E>> {
        let Self {
            message,
            timeout,
            metadata,
        } = self;
        let kind = to.kind.clone().ok_or(NoReply::UnknownKind)?;
        let key = match &to.key {
            Ok(key) => key.clone(),
            Err(why) => return Err(NoReply::Misdirected(why.clone())),
        };
        let own = to.asker.now() + timeout.unwrap_or(to.timeout);
        let (desk, told) = desk(kind.codec);
        let trail = answered.then(|| to.trail.clone());
        let sent = to.asker.ask(ActorRequest {
            kind,
            key,
            node: to.node.clone(),
            deadline: to.deadline.map_or(own, |outer| own.min(outer)),
            answered,
            mail: Mail {
                content: Content::Typed(Box::new(Carried(message))),
                metadata,
                trail: trail.unwrap_or_default(),
            },
            caller: Recipient::Here(Caller::new(desk)),
        });
        Ok((sent, told))
    }

    /// Sends the message; what is to be waited for. `served`: whether its caller wants to know who served it.
    pub(super) fn ask<A: Handle<M>>(self, to: &Aim, served: bool) -> Asked<A::Reply, A::Error> {
        let awaited = to.awaited();
        let (sent, told) = self.send(to, true, |codec| {
            let within = Waiter::within(to.within.clone());
            Desk::new((codec, served), caller::reply::<A::Reply, A::Error>, within)
        })?;
        let room = match sent {
            Either::Left(sent) => {
                sent.into_inner().map_err(NoReply::NotSent)?;
                None
            }
            Either::Right(room) => Some(room),
        };
        Ok(InFlight {
            room,
            told,
            _awaited: awaited,
        })
    }

    /// Ends when it is in the mailbox.
    async fn tell<A: Handle<M>>(self, to: &Aim) -> Result<(), NoReply<A::Error>> {
        let (sent, told) = self.send(to, false, |codec| {
            let told = caller::receipt::<A::Error>;
            Desk::new((codec, false), told, Waiter::default())
        })?;
        sent.await.map_err(NoReply::NotSent)?;
        told.await.unwrap_or(Err(NoReply::Lost))
    }
}

impl<A: Handle<M>, M: Message> ActorAsk<A, M> {
    pub(super) fn new(to: Arc<Aim>, message: M) -> Self {
        Self(Sending::new(to, message))
    }

    /// How long to wait for the reply; the node's `timeout` when it is not set, and never longer than
    /// the caller of the turn that asks.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout(timeout);
        self
    }

    /// What the message says of itself beside its content. From within a turn it is the turn's
    /// correlation and trace when this is not set.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.0.metadata(metadata);
        self
    }

    /// Asks for the reply together with the node, shard and epoch that gave it, as [`Served`].
    pub fn served(self) -> ActorAskServed<A, M> {
        ActorAskServed(self)
    }
}

impl<A: Handle<M>, M: Message> ActorAskServed<A, M> {
    async fn run(self) -> Result<Served<A::Reply>, ActorError<A::Error>> {
        let Sending { to, said, .. } = self.0.0;
        let mut reply = Awaiting::<A, M>::new(to, said, true);
        let told = (&mut reply).await;
        let to = &reply.to;
        let (answer, node, epoch) = told.map_err(|why| why.of::<A>(to))?;
        Ok(Served {
            answer,
            node: node.unwrap_or_else(|| to.asker.node().to_owned()),
            shard: to.place().map(|place| place.shard),
            epoch,
        })
    }
}

impl<A: Handle<M>, M: Message> ActorTell<A, M> {
    pub(super) fn new(to: Arc<Aim>, message: M) -> Self {
        Self(Sending::new(to, message))
    }

    /// How long to wait until the message is in the mailbox; the node's `timeout` when it is not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout(timeout);
        self
    }

    /// What the message says of itself beside its content.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.0.metadata(metadata);
        self
    }

    async fn run(self) -> Result<(), ActorError<A::Error>> {
        let Sending { to, said, .. } = self.0;
        said.tell::<A>(&to).await.map_err(|why| why.of::<A>(&to))
    }
}

impl<A: Handle<M>, M: Message> IntoFuture for ActorAsk<A, M> {
    type Output = Result<A::Reply, ActorError<A::Error>>;
    type IntoFuture = ActorReply<A, M>;

    fn into_future(self) -> Self::IntoFuture {
        let Sending { to, said, .. } = self.0;
        ActorReply::new(to, said)
    }
}

impl<A: Handle<M>, M: Message> IntoFuture for ActorAskServed<A, M> {
    type Output = Result<Served<A::Reply>, ActorError<A::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<A: Handle<M>, M: Message> IntoFuture for ActorTell<A, M> {
    type Output = Result<(), ActorError<A::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<A: Actor, M> fmt::Debug for ActorAsk<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActorAsk").field(&self.0.to.key).finish()
    }
}

impl<A: Actor, M> fmt::Debug for ActorAskServed<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActorAskServed").field(&self.0).finish()
    }
}

impl<A: Actor, M> fmt::Debug for ActorTell<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActorTell").field(&self.0.to.key).finish()
    }
}
