//! Entities that are asked from any node of a cluster: what they are asked, and how.

mod ask;
mod error;
mod messages;
mod one;
mod read;
mod routed;
mod serve;

pub use ask::{Ask, AskServed, Tell};
pub use error::{AskError, ReadError, RouteError};
pub use messages::Messages;
pub use one::EntityRef;
pub use read::{Read, ReadReply, ReadServed};

pub(crate) use one::Within;
pub(crate) use serve::{ServedEntity, ServedHead, Serving};

use super::{Aggregate, AnswerCx, Message};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An aggregate whose entities are asked from any node: each is decided by the owner of its shard.
///
/// It lists the commands and queries that the owner takes. What another build sends that is not
/// among them is answered [`Denial::UnknownMessage`](crate::format::Denial::UnknownMessage); so
/// builds of different ages work in one cluster, and a message's new version stands beside the old
/// one until no node sends that any more.
///
/// Its kind is written by the owners of its shards: its [settings](Aggregate::settings) say
/// [`owned`](super::KindSettings::owned) or [`leased`](super::KindSettings::leased).
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use tenure_core::api::*;
/// # #[derive(Clone, Debug, Default)] struct Account { cents: i64 }
/// # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
/// # enum AccountEvent { #[event(name = "deposited", version = 1)] Deposited { cents: i64 } }
/// # impl Aggregate for Account {
/// #     type Event = AccountEvent;
/// #     const KIND: &'static str = "account";
/// #     fn evolve(&mut self, event: &AccountEvent) {
/// #         let AccountEvent::Deposited { cents } = event;
/// #         self.cents += cents;
/// #     }
/// #     fn settings() -> KindSettings { KindSettings::default().owned() }
/// # }
/// # #[derive(Serialize, Deserialize, tenure_macros::Message)]
/// # #[message(name = "deposit", version = 1, crate = "tenure_core::api")]
/// # struct Deposit { cents: i64 }
/// # impl Decide<Deposit> for Account {
/// #     type Reply = i64;
/// #     type Error = Never;
/// #     fn decide(&self, c: &Deposit, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, Never> {
/// #         Ok(Decision::event(AccountEvent::Deposited { cents: c.cents }).reply(self.cents + c.cents))
/// #     }
/// # }
/// #[derive(Serialize, Deserialize, tenure_macros::Message)]
/// #[message(name = "balance", version = 1, crate = "tenure_core::api")]
/// struct Balance;
///
/// impl Answer<Balance> for Account {
///     type Reply = i64;
///
///     fn answer(&self, _: &Balance, _: &AnswerCx<'_>) -> i64 {
///         self.cents
///     }
/// }
///
/// impl Entity for Account {
///     fn messages() -> Messages<Self> {
///         Messages::new().command::<Deposit>().query::<Balance>()
///     }
/// }
///
/// # async fn example(tenure: &Tenure) -> Result<(), Box<dyn std::error::Error>> {
/// let alice = tenure.entity::<Account>("alice");
/// let balance = alice.ask(Deposit { cents: 100 }).await?;
/// assert_eq!(alice.read(Balance).await?, balance);
/// # Ok(()) }
/// ```
pub trait Entity: Aggregate {
    /// What its entities are asked.
    fn messages() -> Messages<Self>;
}

/// How an aggregate answers one query.
pub trait Answer<Q: Message>: Aggregate {
    /// The answer.
    type Reply: Serialize + DeserializeOwned + Send + 'static;

    /// Answers a query from a committed state. Pure and bounded.
    fn answer(&self, query: &Q, cx: &AnswerCx<'_>) -> Self::Reply;
}
