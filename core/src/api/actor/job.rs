//! A message on its way to its handler, and what the handler came to.

use super::cx::ActorCx;
use super::handlers::RawMessage;
use super::residents::{Resident, finish};
use super::{Actor, Handle, HandleOther};
use crate::actor::Ending;
use crate::api::{CodecError, Message};
use crate::driver::actors::host::{Carry, Content, Finished, Outcome, Told};
use crate::driver::host::panic_text;
use crate::format::Codec;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::any::Any;
use std::panic::AssertUnwindSafe;

/// A message that an actor of this type takes.
pub(crate) trait Job<A: Actor>: Send {
    /// Runs it. A panic of the handler is caught, and leaves the actor as it is.
    fn run(
        self: Box<Self>,
        resident: Box<Resident<A>>,
        cx: ActorCx<A>,
    ) -> BoxFuture<'static, Finished>;

    /// What it was, when it does not run.
    fn content(self: Box<Self>) -> Content;
}

/// A typed message.
pub(crate) struct Carried<M>(pub(crate) M);

/// A message without a type.
pub(crate) struct Other(pub(crate) RawMessage);

/// What a handler came to.
pub(crate) struct Came<R, E>(pub(crate) Result<R, E>);

/// What a handler of other messages came to.
pub(crate) struct CameRaw(pub(crate) Result<Bytes, RawMessage>);

impl<M: Message> Carry for Carried<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn version(&self) -> u16 {
        M::VERSION
    }

    fn encode(&self, codec: Codec) -> Result<Bytes, CodecError> {
        codec.encode(&self.0)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

impl<A: Handle<M>, M: Message> Job<A> for Carried<M> {
    fn run(
        self: Box<Self>,
        mut resident: Box<Resident<A>>,
        mut cx: ActorCx<A>,
    ) -> BoxFuture<'static, Finished> {
        Box::pin(async move {
            let actor = &mut resident.actor;
            let handled = async { actor.handle(self.0, &mut cx).await };
            let came = AssertUnwindSafe(handled).catch_unwind().await;
            let (ending, outcome) = match came {
                Ok(came) => (Ending::Ok, Some(Box::new(Came(came)) as Box<dyn Outcome>)),
                Err(panic) => (Ending::Panicked(panic_text(panic)), None),
            };
            finish(resident, cx, ending, outcome)
        })
    }

    fn content(self: Box<Self>) -> Content {
        Content::Typed(self)
    }
}

impl<A: HandleOther> Job<A> for Other {
    fn run(
        self: Box<Self>,
        mut resident: Box<Resident<A>>,
        mut cx: ActorCx<A>,
    ) -> BoxFuture<'static, Finished> {
        Box::pin(async move {
            let actor = &mut resident.actor;
            let handled = async { actor.handle_other(self.0, &mut cx).await };
            let came = AssertUnwindSafe(handled).catch_unwind().await;
            let (ending, outcome) = match came {
                Ok(came) => (
                    Ending::Ok,
                    Some(Box::new(CameRaw(came)) as Box<dyn Outcome>),
                ),
                Err(panic) => (Ending::Panicked(panic_text(panic)), None),
            };
            finish(resident, cx, ending, outcome)
        })
    }

    fn content(self: Box<Self>) -> Content {
        let RawMessage {
            name,
            version,
            data,
        } = self.0;
        Content::Wire {
            name: name.into(),
            version,
            data,
        }
    }
}

impl<R, E> Outcome for Came<R, E>
where
    R: Serialize + Send + 'static,
    E: Serialize + Send + 'static,
{
    fn encode(&self, codec: Codec) -> Result<Told, CodecError> {
        match &self.0 {
            Ok(reply) => codec.encode(reply).map(Told::Reply),
            Err(error) => codec.encode(error).map(Told::Rejected),
        }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

impl CameRaw {
    pub(super) fn told(&self) -> Told {
        match &self.0 {
            Ok(reply) => Told::Reply(reply.clone()),
            Err(RawMessage { name, version, .. }) => Told::Unknown {
                name: name.clone(),
                version: *version,
            },
        }
    }
}

impl Outcome for CameRaw {
    fn encode(&self, _: Codec) -> Result<Told, CodecError> {
        Ok(self.told())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
