//! Actors: state in memory under a key, with async handlers.
//!
//! An [`Actor`] is made when its key is first asked something, has one message at a time, and goes
//! when it rests for long. Its state is gone then: what must last is an
//! [`Aggregate`](super::Aggregate)'s. At most one node has the actor of a key (P3, leased class).
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use tenure_core::api::Never;
//! use tenure_core::api::actor::{Actor, ActorCx, Handle, Handlers, InitError};
//!
//! #[derive(Debug, Serialize, Deserialize, tenure_macros::Message)]
//! # #[message(crate = "tenure_core::api")]
//! #[message(name = "increment", version = 1)]
//! struct Increment {
//!     by: u64,
//! }
//!
//! struct Counter {
//!     count: u64,
//! }
//!
//! impl Actor for Counter {
//!     const KIND: &'static str = "counter";
//!
//!     async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
//!         Ok(Self { count: 0 })
//!     }
//!
//!     fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
//!         handlers.on::<Increment>()
//!     }
//! }
//!
//! impl Handle<Increment> for Counter {
//!     type Reply = u64;
//!     type Error = Never;
//!
//!     async fn handle(&mut self, message: Increment, _: &mut ActorCx<Self>) -> Result<u64, Never> {
//!         self.count += message.by;
//!         Ok(self.count)
//!     }
//! }
//! ```

mod ask;
mod background;
mod caller;
mod cx;
mod error;
mod handle;
mod handlers;
mod job;
mod kind;
mod reply;
mod residents;
mod settings;
mod told;

pub use ask::{ActorAsk, ActorAskServed, ActorTell};
pub use background::{TooManyTasks, WatchId};
pub use cx::{ActorClock, ActorCx, TooManyTimers};
pub use error::{ActorError, ActorId, InitError, LateAnswer};
pub use handle::ActorHandle;
pub use handlers::{Handlers, RawMessage};
pub use kind::{ActorKindError, Watched};
pub use reply::ActorReply;
pub use settings::ActorSettings;

pub use crate::actor::{Ended, OnPanic, OnStuck, Overflow, Why};

pub(crate) use kind::entry_of;

use super::Message;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;

/// State in memory under a key, with async handlers.
///
/// Handlers take time, sleep and randomness from their [`ActorCx`], so that they can be simulated.
///
/// # Cancel safety
///
/// When this node loses the actor's place the future of what runs is dropped at its next await, and
/// the actor with it; [`stop`](Self::stop) does not run then.
pub trait Actor: Sized + Send + 'static {
    /// The stable name of the kind.
    const KIND: &'static str;

    /// How the kind is kept and supervised. Codec and placement are fixed at the kind's first use in
    /// a namespace.
    fn settings() -> ActorSettings {
        ActorSettings::default()
    }

    /// Makes the actor of a key, at its first message.
    ///
    /// # Errors
    ///
    /// When it cannot be made: who waits is told [`ActorError::Init`], and it is not tried again for a
    /// while.
    fn init(cx: &mut ActorCx<Self>) -> impl Future<Output = Result<Self, InitError>> + Send;

    /// Runs before the actor goes: because it rests, asked for it, or its node hands it over or
    /// stops. Not after a panic, and not when the node lost its place.
    fn stop(&mut self, why: Why, cx: &mut ActorCx<Self>) -> impl Future<Output = ()> + Send {
        let _ = (why, cx);
        async {}
    }

    /// What the actor watches ([`ActorCx::watch`]) has ended.
    fn ended(&mut self, whom: Watched, cx: &mut ActorCx<Self>) -> impl Future<Output = ()> + Send {
        let _ = (whom, cx);
        async {}
    }

    /// Names the messages that the kind takes.
    fn handlers(handlers: Handlers<Self>) -> Handlers<Self>;
}

/// How an actor handles one message.
pub trait Handle<M: Message>: Actor {
    /// What the caller is told.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// The domain's no.
    type Error: Serialize + DeserializeOwned + Send + 'static;

    /// Handles a message. The actor's next one waits until this one has ended.
    ///
    /// # Errors
    ///
    /// The domain's no, which the caller is told as it is.
    fn handle(
        &mut self,
        message: M,
        cx: &mut ActorCx<Self>,
    ) -> impl Future<Output = Result<Self::Reply, Self::Error>> + Send;
}

/// How an actor handles messages that it has no [`Handle`] for; see [`Handlers::otherwise`].
pub trait HandleOther: Actor {
    /// Handles a message by its name and bytes; the reply's bytes are in the kind's codec.
    ///
    /// # Errors
    ///
    /// When it cannot: the caller is told that the message is unknown.
    fn handle_other(
        &mut self,
        message: RawMessage,
        cx: &mut ActorCx<Self>,
    ) -> impl Future<Output = Result<Bytes, RawMessage>> + Send;
}
