//! A message whose reply is waited for, on its way.

use super::ask::Said;
use super::caller::{ServedReply, Waits};
use super::handle::Aim;
use super::told::NoReply;
use super::{ActorError, Handle};
use crate::api::Message;
use crate::driver::NotSent;
use crate::driver::actors::waiting::Awaited;
use futures_util::future::BoxFuture;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Waits for an actor's reply: what an [`ActorAsk`](super::ActorAsk) becomes when it is awaited. Its message
/// is sent when it is polled first; it is as cancel safe as the ask.
#[must_use = "a message is sent when it is awaited"]
pub struct ActorReply<A: Handle<M>, M: Message>(Awaiting<A, M>);

/// A message, and then the wait for its reply.
pub(super) struct Awaiting<A: Handle<M>, M: Message> {
    pub(super) to: Arc<Aim>,
    stage: Stage<A::Reply, A::Error, M>,
}

enum Stage<R, E, M> {
    /// It is not sent yet; whether its caller wants to know who served it.
    Said(Said<M>, bool),
    InFlight(InFlight<R, E>),
    Over,
}

/// What is waited for.
pub(super) struct InFlight<R, E> {
    /// It is put in as soon as its lane has room.
    pub(super) room: Option<BoxFuture<'static, Result<(), NotSent>>>,
    pub(super) told: Waits<ServedReply<R, E>>,
    pub(super) _awaited: Option<Awaited>,
}

/// What is waited for, or why there will be no reply.
pub(super) type Asked<R, E> = Result<InFlight<R, E>, NoReply<E>>;

impl<A: Handle<M>, M: Message> ActorReply<A, M> {
    pub(super) fn new(to: Arc<Aim>, said: Said<M>) -> Self {
        Self(Awaiting::new(to, said, false))
    }
}

impl<A: Handle<M>, M: Message> Future for ActorReply<A, M> {
    type Output = Result<A::Reply, ActorError<A::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(match reply {
            Ok((answer, _, _)) => Ok(answer),
            Err(why) => Err(why.of::<A>(&self.0.to)),
        })
    }
}

impl<A: Handle<M>, M: Message> Awaiting<A, M> {
    pub(super) fn new(to: Arc<Aim>, said: Said<M>, served: bool) -> Self {
        let stage = Stage::Said(said, served);
        Self { to, stage }
    }
}

/// Nothing of it is pinned: a message that was not sent is moved, and no future is held in place.
impl<A: Handle<M>, M: Message> Unpin for Awaiting<A, M> {}

impl<A: Handle<M>, M: Message> Future for Awaiting<A, M> {
    type Output = ServedReply<A::Reply, A::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { to, stage } = &mut *self;
        if let Stage::Said(..) = stage
            && let Stage::Said(said, served) = mem::replace(stage, Stage::Over)
        {
            *stage = Stage::InFlight(said.ask::<A>(to, served)?);
        }
        let Stage::InFlight(sent) = stage else {
            panic!("it was polled after its end");
        };
        if let Some(room) = &mut sent.room {
            let put_in = ready!(room.as_mut().poll(cx));
            sent.room = None;
            if let Err(why) = put_in {
                *stage = Stage::Over;
                return Poll::Ready(Err(NoReply::NotSent(why)));
            }
        }
        // No timer of its own: the scheduler, or routing, answers by the deadline (A4).
        let answer = ready!(Pin::new(&mut sent.told).poll(cx));
        *stage = Stage::Over;
        Poll::Ready(answer.unwrap_or(Err(NoReply::Lost)))
    }
}

impl<A: Handle<M>, M: Message> fmt::Debug for ActorReply<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActorReply").field(&self.0.to.key).finish()
    }
}
