//! What a command comes to: events and a reply.

use super::plans::{CommandOf, Plans, When};
use super::saga::ReplyTo;
use super::{Aggregate, Entity, Message};
use crate::format::{Codec, Intent};
use std::fmt;

/// What a command comes to: the events to store, what its caller is told, and what is to be done
/// later: reminders to the entity itself, and messages to others.
///
/// Reminders and messages are stored in the command's commit, so they are kept exactly when it is:
/// a command that is decided again, or conflicts, leaves none behind. Whoever owns the entity's shard
/// fires its reminders and sends its messages, after any number of crashes. A message is intended
/// once and delivered at least once, under a command id of its own, so that it takes effect once
/// (P4, P7). Kinds whose entities have owners only: a kind in direct mode is refused
/// [`ExecuteError::Unowned`](super::ExecuteError::Unowned).
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
    pub(crate) delete: bool,
    pub(crate) plans: Option<Box<Plans<A>>>,
}

impl<A: Aggregate> Decision<A, ()> {
    /// These events happen, in this order.
    pub fn events(events: impl IntoIterator<Item = A::Event>) -> Self {
        Self {
            events: events.into_iter().collect(),
            reply: (),
            record: false,
            delete: false,
            plans: None,
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
            delete: false,
            plans: None,
        }
    }

    /// What the caller is told.
    pub fn reply<T>(self, reply: T) -> Decision<A, T> {
        Decision {
            events: self.events,
            reply,
            record: self.record,
            delete: self.delete,
            plans: self.plans,
        }
    }

    /// Stores the command and its reply even when nothing happens, so that the same command id
    /// gets the same answer later (P4).
    pub fn record(mut self) -> Self {
        self.record = true;
        self
    }

    /// Deletes the entity: what was stored of it before goes, and what stays is one commit with this
    /// decision's events, or with [`DELETED`](super::DELETED) where it has none. Consumers and projections
    /// get these events last, so they are what tells them to delete what they made of the others.
    ///
    /// Afterwards the entity is absent, as one that never was: its state is the first one, its reminders
    /// and snapshots are gone, and it may be created anew. Its versions go on, so none comes twice. The
    /// ids of recent commands are kept, without what they were answered: one that is sent again is told
    /// [`Deleted`](super::ExecuteError::Deleted). Messages that it sent to others are delivered before: a
    /// deletion waits for them, as long as its caller does, and is decided anew then; meanwhile others are
    /// served, until only what they sent is left to wait for. In vain it is told
    /// [`Undelivered`](super::ExecuteError::Undelivered). Two that delete each other by messages are both
    /// deleted: such a message stays in the log with the deletion. What it sent to itself goes with it. On an absent entity a decision without events comes to nothing.
    ///
    /// What a consumer had not read by then it does not get. What the server has on its disk, in backups
    /// and on replicas goes when the server cleans up.
    pub fn delete(mut self) -> Self {
        self.delete = true;
        self
    }

    /// Has a message come to this entity later, as a command. A reminder has a name of 1 to 128
    /// bytes: arming it again moves it. Its command has no caller; what it rejects is counted, and
    /// ends the reminder.
    ///
    /// The node that owns the entity fires it if it [serves](super::Serves::entity) the kind, also as a
    /// lone node without a cluster. One that only has the kind's [`Repository`](super::Repository) stores
    /// reminders and messages, and neither fires the ones nor delivers the others: they wait until the
    /// shard's owner serves the kind. The message stays listed in [`Entity::messages`] as long as a reminder of it may be armed: one
    /// that a later build does not know is counted as failed and stays armed.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use std::time::Duration;
    /// # use tenure_core::api::*;
    /// # #[derive(Clone, Default)] struct Offer { open: bool }
    /// # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
    /// # enum OfferEvent {
    /// #     #[event(name = "made", version = 1)] Made,
    /// #     #[event(name = "lapsed", version = 1)] Lapsed,
    /// #     #[event(name = "taken", version = 1)] Taken,
    /// # }
    /// # #[derive(Clone, Default)] struct Stock;
    /// # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
    /// # #[event(name = "reserved", version = 1)] struct Reserved;
    /// # impl Aggregate for Stock {
    /// #     type Event = Reserved;
    /// #     const KIND: &'static str = "stock";
    /// #     fn evolve(&mut self, _: &Reserved) {}
    /// #     fn settings() -> KindSettings { KindSettings::default().owned() }
    /// # }
    /// # #[derive(Serialize, Deserialize, tenure_macros::Message)]
    /// # #[message(name = "reserve", version = 1, crate = "tenure_core::api")] struct Reserve;
    /// # impl Decide<Reserve> for Stock {
    /// #     type Reply = ();
    /// #     type Error = Never;
    /// #     fn decide(&self, _: &Reserve, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
    /// #         Ok(Decision::event(Reserved))
    /// #     }
    /// # }
    /// # impl Entity for Stock { fn messages() -> Messages<Self> { Messages::new().command::<Reserve>() } }
    /// # impl Aggregate for Offer {
    /// #     type Event = OfferEvent;
    /// #     const KIND: &'static str = "offer";
    /// #     fn evolve(&mut self, event: &OfferEvent) { self.open = matches!(event, OfferEvent::Made) }
    /// #     fn settings() -> KindSettings { KindSettings::default().owned() }
    /// # }
    /// # impl Entity for Offer {
    /// #     fn messages() -> Messages<Self> { Messages::new().command::<Make>().command::<Take>().command::<Lapse>() }
    /// # }
    /// # macro_rules! message { ($n:ident, $name:literal) => {
    /// #     #[derive(Serialize, Deserialize, tenure_macros::Message)]
    /// #     #[message(name = $name, version = 1, crate = "tenure_core::api")] struct $n;
    /// # } }
    /// # message!(Make, "make"); message!(Take, "take"); message!(Lapse, "lapse");
    /// impl Decide<Make> for Offer {
    /// #     type Reply = ();
    /// #     type Error = Never;
    ///     fn decide(&self, _: &Make, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
    ///         let week = Duration::from_secs(7 * 86_400);
    ///         Ok(Decision::event(OfferEvent::Made).remind("lapse", week, Lapse))
    ///     }
    /// }
    ///
    /// impl Decide<Take> for Offer {
    /// #     type Reply = ();
    /// #     type Error = Never;
    ///     fn decide(&self, _: &Take, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
    ///         Ok(Decision::event(OfferEvent::Taken).cancel("lapse").send::<Stock>("shelf-1", Reserve))
    ///     }
    /// }
    ///
    /// impl Decide<Lapse> for Offer {
    /// #     type Reply = ();
    /// #     type Error = Never;
    ///     fn decide(&self, _: &Lapse, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
    ///         Ok(Decision::event(OfferEvent::Lapsed))
    ///     }
    /// }
    ///
    /// kit::given::<Offer>([])
    ///     .when(Make)
    ///     .then_reminds("lapse", Duration::from_secs(7 * 86_400), &Lapse);
    /// kit::given::<Offer>([OfferEvent::Made])
    ///     .when(Take)
    ///     .then_cancels("lapse")
    ///     .then_sends::<Stock>("shelf-1", &Reserve);
    /// ```
    pub fn remind(
        mut self,
        name: impl Into<String>,
        when: impl Into<When>,
        message: impl CommandOf<A>,
    ) -> Self
    where
        A: Entity,
    {
        self.plans().remind(name.into(), when.into(), &message);
        self
    }

    /// Calls off a reminder; one that is not armed is ignored.
    pub fn cancel(mut self, name: impl Into<String>) -> Self {
        self.plans().cancel(name.into());
        self
    }

    /// Sends a message to an entity, as a command, once the commit is stored. It carries on the
    /// command's correlation and trace, and names the command as its cause. What its receiver rejects
    /// is counted, and not sent again; who must know has the receiver send something back.
    pub fn send<B: Entity>(mut self, id: impl Into<String>, message: impl CommandOf<B>) -> Self {
        self.plans().send::<B, _>(&id.into(), &message);
        self
    }

    /// Has something done outside once the commit is stored, by the code that nodes were built with for
    /// effects of this type ([`EffectHandler`](super::effect::EffectHandler)): at least once, with an
    /// idempotency key. A name of an effect is at most 57 of `a-z`, `0-9`, `-` and `_`.
    pub fn effect<M: Message>(mut self, effect: M) -> Self {
        let data = Codec::Cbor.encode(&effect);
        let data =
            data.map_err(|cause| format!("the effect {} cannot be encoded: {cause}", M::NAME));
        let intent = data.and_then(|data| super::effect::intent(M::NAME, M::VERSION, data));
        self.plans().intent(intent);
        self
    }

    /// Tells a saga what came of one of its steps: it was done or undone, or why it was not.
    pub fn report(mut self, to: &ReplyTo, outcome: Result<(), String>) -> Self {
        self.plans().intent(to.report(outcome));
        self
    }

    /// Has an effect done once more, as that of the entity that wanted it, under its first key: of its
    /// first piece of work and trace, and caused by the command that wanted it.
    pub(crate) fn replayed_effect(
        mut self,
        intent: Intent,
        letter: &super::effect::DeadEffect,
    ) -> Self {
        let metadata = Some(std::sync::Arc::new(super::effect::replayed(letter)));
        self.plans().intent(Ok(Intent { metadata, ..intent }));
        self
    }

    pub(crate) fn plans(&mut self) -> &mut Plans<A> {
        self.plans.get_or_insert_with(|| Box::new(Plans::new()))
    }
}

impl<A: Aggregate, R: fmt::Debug> fmt::Debug for Decision<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("events", &self.events.len())
            .field("reply", &self.reply)
            .field("record", &self.record)
            .field("delete", &self.delete)
            .finish()
    }
}
