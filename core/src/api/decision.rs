//! What a command comes to: events and a reply.

use super::Aggregate;
use std::fmt;

/// What a command comes to: the events to store, and what its caller is told.
///
/// ```
/// # use tenure_core::api::{Aggregate, Decision, Event, CodecError};
/// # #[derive(Clone, Default)] struct Account { cents: i64 }
/// # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
/// # enum AccountEvent { #[event(name = "deposited", version = 1)] Deposited { cents: i64 } }
/// # impl Aggregate for Account {
/// #     type Event = AccountEvent;
/// #     const KIND: &'static str = "account";
/// #     fn evolve(&mut self, event: &AccountEvent) {}
/// # }
/// fn deposit(account: &Account, cents: i64) -> Decision<Account, i64> {
///     Decision::event(AccountEvent::Deposited { cents }).reply(account.cents + cents)
/// }
///
/// fn balance(account: &Account) -> Decision<Account, i64> {
///     Decision::nothing(account.cents)
/// }
/// ```
#[must_use]
pub struct Decision<A: Aggregate, R> {
    pub(crate) events: Vec<A::Event>,
    pub(crate) reply: R,
    pub(crate) record: bool,
}

impl<A: Aggregate> Decision<A, ()> {
    /// These events happen, in this order.
    pub fn events(events: impl IntoIterator<Item = A::Event>) -> Self {
        Self {
            events: events.into_iter().collect(),
            reply: (),
            record: false,
        }
    }

    /// This event happens.
    pub fn event(event: A::Event) -> Self {
        Self::events([event])
    }
}

impl<A: Aggregate, R> Decision<A, R> {
    /// Nothing happens; the caller is told `reply`.
    pub fn nothing(reply: R) -> Self {
        Self {
            events: Vec::new(),
            reply,
            record: false,
        }
    }

    /// What the caller is told.
    pub fn reply<T>(self, reply: T) -> Decision<A, T> {
        Decision {
            events: self.events,
            reply,
            record: self.record,
        }
    }

    /// Stores the command and its reply even when nothing happens, so that the same command id
    /// gets the same answer later (P4).
    pub fn record(mut self) -> Self {
        self.record = true;
        self
    }
}

impl<A: Aggregate, R: fmt::Debug> fmt::Debug for Decision<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("events", &self.events.len())
            .field("reply", &self.reply)
            .field("record", &self.record)
            .finish()
    }
}
