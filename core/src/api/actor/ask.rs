//! The builders of messages: each ends in an await.

use super::caller::{Asking, Gone, ServedReply, Telling};
use super::job::Carried;
use super::told::NoReply;
use super::{Actor, ActorError, ActorHandle, Handle};
use crate::api::{Message, Served};
use crate::driver::actors::host::{ActorCaller, ActorRequest, Content, Mail};
use crate::format::Metadata;
use crate::step::Span;
use std::fmt;
use std::future::{Future, IntoFuture};
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
/// Dropping the future gives up knowing, not the message.
#[must_use = "a message is sent when it is awaited"]
pub struct ActorTell<A: Actor, M>(Sending<A, M>);

/// A message whose caller wants to know what stands behind the reply, as [`Served`].
#[must_use = "a message is sent when it is awaited"]
pub struct ActorAskServed<A: Actor, M>(ActorAsk<A, M>);

struct Sending<A: Actor, M> {
    to: ActorHandle<A>,
    message: M,
    timeout: Option<Span>,
    metadata: Option<Arc<Metadata>>,
}

impl<A: Actor, M> Sending<A, M> {
    fn new(to: ActorHandle<A>, message: M) -> Self {
        Self {
            metadata: to.metadata.clone(),
            to,
            message,
            timeout: None,
        }
    }

    fn metadata(&mut self, metadata: Metadata) {
        self.metadata = (!metadata.is_empty()).then(|| Arc::new(metadata));
    }
}

impl<A: Actor, M: Message> Sending<A, M> {
    /// Hands the message over, for a caller; whom it is for comes back.
    async fn send<E>(
        self,
        answered: bool,
        gone: &Gone,
        caller: impl FnOnce(crate::format::Codec) -> Box<dyn ActorCaller> + Send,
    ) -> (ActorHandle<A>, Result<(), NoReply<E>>) {
        let Self {
            to,
            message,
            timeout,
            metadata,
        } = self;
        let Some(kind) = to.kind.clone() else {
            return (to, Err(NoReply::UnknownKind));
        };
        let key = match &to.key {
            Ok(key) => key.clone(),
            Err(why) => {
                let why = NoReply::Misdirected(why.clone());
                return (to, Err(why));
            }
        };
        let own = to.world.now() + timeout.unwrap_or(to.timeout);
        let caller = caller(kind.codec);
        let trail = answered.then(|| to.trail.clone());
        let request = ActorRequest {
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
            gone: gone.flag(),
            caller,
        };
        let sent = to.asker.ask(request).await.map_err(NoReply::NotSent);
        (to, sent)
    }
}

impl<A: Handle<M>, M: Message> ActorAsk<A, M> {
    pub(super) fn new(to: ActorHandle<A>, message: M) -> Self {
        Self(Sending::new(to, message))
    }

    /// How long to wait for the reply; the node's `timeout` when it is not set, and never longer than
    /// the caller of the turn that asks.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = Some(timeout.into());
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

    /// The reply, and on which other node and under which epoch it was given; and who was asked.
    async fn run(self, served: bool) -> (ActorHandle<A>, ServedReply<A::Reply, A::Error>) {
        let gone = Gone::within(self.0.to.within.clone());
        let mut told = None;
        let asking = |codec| {
            let (asking, receiver) = Asking::<A::Reply, A::Error>::new(codec, served);
            told = Some(receiver);
            Box::new(asking) as Box<dyn ActorCaller>
        };
        let _waits = self.0.to.awaited();
        let (to, sent) = self.0.send(true, &gone, asking).await;
        if let Err(why) = sent {
            return (to, Err(why));
        }
        // No timer of its own: the scheduler, or routing, answers by the deadline (A4).
        let answer = match told {
            Some(told) => told.await.ok(),
            None => None,
        };
        (to, answer.unwrap_or(Err(NoReply::Lost)))
    }
}

impl<A: Handle<M>, M: Message> ActorAskServed<A, M> {
    async fn run(self) -> Result<Served<A::Reply>, ActorError<A::Error>> {
        let (to, reply) = self.0.run(true).await;
        let (answer, node, epoch) = reply.map_err(|why| why.of(&to))?;
        Ok(Served {
            answer,
            node: node.unwrap_or_else(|| to.asker.node().to_owned()),
            shard: to.place().map(|place| place.shard),
            epoch,
        })
    }
}

impl<A: Handle<M>, M: Message> ActorTell<A, M> {
    pub(super) fn new(to: ActorHandle<A>, message: M) -> Self {
        Self(Sending::new(to, message))
    }

    /// How long to wait until the message is in the mailbox; the node's `timeout` when it is not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = Some(timeout.into());
        self
    }

    /// What the message says of itself beside its content.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.0.metadata(metadata);
        self
    }

    async fn run(self) -> Result<(), ActorError<A::Error>> {
        let gone = Gone::default();
        let (telling, told) = Telling::<A::Error>::new();
        let telling = |_| Box::new(telling) as Box<dyn ActorCaller>;
        let (to, sent) = self.0.send(false, &gone, telling).await;
        let told = match sent {
            Ok(()) => told.await.unwrap_or(Err(NoReply::Lost)),
            Err(why) => Err(why),
        };
        told.map_err(|why| why.of(&to))
    }
}

impl<A: Handle<M>, M: Message> IntoFuture for ActorAsk<A, M> {
    type Output = Result<A::Reply, ActorError<A::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (to, reply) = self.run(false).await;
            let reply = reply.map_err(|why| why.of(&to));
            reply.map(|(answer, _, _)| answer)
        })
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
        f.debug_tuple("ActorAsk").field(&self.0.to).finish()
    }
}

impl<A: Actor, M> fmt::Debug for ActorAskServed<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActorAskServed").field(&self.0).finish()
    }
}

impl<A: Actor, M> fmt::Debug for ActorTell<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActorTell").field(&self.0.to).finish()
    }
}
