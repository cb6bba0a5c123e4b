//! Consumers: code of yours that is told what happened, in order per entity, from where it left off.
//!
//! A consumer has a name, a filter and handlers. It hands events over that are in the log, and then those
//! that come; what was handled is in its checkpoint, so that another run goes on from there. An event is
//! handed over at least once: a crash between a handler and the checkpoint has it come again, so handlers
//! are to be idempotent, or to keep the checkpoint with their own state ([`ConsumerBuilder::batches`]).
//!
//! ```
//! use tenure_core::api::consumer::{ConsumerError, Consumed};
//! # use tenure_core::api::*;
//! # #[derive(Clone, Default)] struct Account;
//! # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
//! # enum AccountEvent { #[event(name = "deposited", version = 1)] Deposited { cents: u64 } }
//! # impl Aggregate for Account {
//! #     type Event = AccountEvent;
//! #     const KIND: &'static str = "account";
//! #     fn evolve(&mut self, _: &AccountEvent) {}
//! # }
//! # async fn example(tenure: Tenure) -> Result<(), ConsumerError> {
//! let consumer = tenure
//!     .consumer("greeter")
//!     .kind::<Account>(|event: Consumed<AccountEvent>| async move {
//!         if event.live() {
//!             println!("{}: {:?}", event.id(), event.event);
//!         }
//!     })
//!     .start()
//!     .await?;
//! consumer.live().await?;
//! # Ok(()) }
//! ```

mod builder;
mod consumed;
mod error;
mod group;
mod group_letters;
mod handle;
mod handler;
mod letters;
mod middleware;
mod names;
mod react;
mod route;
mod running;

pub(in crate::api) use route::{NotDecoded, decoded};

pub use builder::ConsumerBuilder;
pub use consumed::{Consumed, EventBatch};
pub use error::{
    ConsumerError, GroupOrderError, HandlerError, LetterError, RewindError, SeenError,
};
pub use group::{Group, GroupBuilder, GroupHandle, GroupStatus, PartitionStatus};
pub use group_letters::GroupLetters;
pub use handle::ConsumerHandle;
pub use handler::{BatchHandler, Handler, HandlerOutcome};
pub use letters::{DeadLetters, LetterEvent};
pub use middleware::{
    EventInfo, Logged, Measured, Measures, Middleware, Next, Retried, TimedOut, Traced,
};
pub use names::{
    ConsumerForm, ConsumerInfo, Consumers, ConsumersError, LettersOfName, NamedLetterError,
    PartitionInfo,
};
pub use react::Reaction;
pub(in crate::api) use running::Running;

pub use crate::consumer::NamesFault;
pub use crate::consumer::group::{GroupOrderRefusal, GroupState};
pub use crate::consumer::{
    Failure, Fault, Lag, LetterRefusal, OrderRefusal, Pace, Policy, RewindRefusal, Stall,
    StallReason, Start, State, Status, Then, UnreadableLetter,
};
pub use crate::format::FormatError;
pub use crate::format::{Cause, DeadLetter, EventPlace, Position};
pub use crate::id::{GroupPart, Partition};
