//! The witness of the tests: an entity and an actor that say what their contexts tell.

use serde::{Deserialize, Serialize};
use tenure::actor::{Actor, ActorCx, Handle, Handlers, InitError};
use tenure::prelude::*;

/// What a context told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The kind.
    pub kind: String,
    /// The id or key.
    pub id: String,
    /// The node.
    pub node: String,
    /// The shard.
    pub shard: Option<u16>,
    /// The sequence of the epoch.
    pub epoch: Option<u64>,
    /// How long the caller waits still, in milliseconds.
    pub left_ms: Option<u64>,
    /// The correlation id.
    pub correlation: Option<String>,
    /// The causation id.
    pub causation: Option<String>,
    /// The header `user`.
    pub user: Option<String>,
    /// The trace id.
    pub trace: Option<String>,
}

/// What is said with a command, a query or a message.
pub fn said() -> Metadata {
    Metadata::new()
        .correlation("order-17")
        .causation("message-4")
        .header("user", "Zoë")
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .unwrap()
}

/// Looks around: as a command, a query and a message.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "look", version = 1)]
pub struct Look {
    /// Whether something happens.
    pub keep: bool,
}

/// It saw something.
#[derive(Clone, Debug, PartialEq, Event)]
#[event(name = "saw", version = 1)]
pub struct Saw;

/// What both contexts have.
macro_rules! seen {
    ($cx:ident) => {
        Seen {
            kind: $cx.kind().to_string(),
            id: $cx.id().to_owned(),
            node: $cx.node().to_owned(),
            shard: Some($cx.shard().0),
            epoch: $cx.epoch().map(|epoch| epoch.sequence.0),
            left_ms: $cx.deadline().map(|at| at.0 - $cx.time().0),
            correlation: $cx.metadata().correlation_id().map(str::to_owned),
            causation: $cx.metadata().causation_id().map(str::to_owned),
            user: $cx.header("user").map(str::to_owned),
            trace: $cx
                .trace()
                .map(|trace| format!("{:032x}", trace.trace_id())),
        }
    };
}

macro_rules! witness {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $settings:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name;

        impl Aggregate for $name {
            type Event = Saw;
            const KIND: &'static str = $kind;

            fn evolve(&mut self, _: &Saw) {}

            fn settings() -> KindSettings {
                $settings
            }
        }

        impl Decide<Look> for $name {
            type Reply = Seen;
            type Error = Never;

            fn decide(
                &self,
                look: &Look,
                cx: &DecideCx<'_>,
            ) -> Result<Decision<Self, Seen>, Never> {
                let seen = seen!(cx);
                Ok(match look.keep {
                    true => Decision::event(Saw).reply(seen),
                    false => Decision::nothing(seen),
                })
            }
        }

        impl Answer<Look> for $name {
            type Reply = Seen;

            fn answer(&self, _: &Look, cx: &AnswerCx<'_>) -> Seen {
                seen!(cx)
            }
        }

        impl Entity for $name {
            fn messages() -> Messages<Self> {
                Messages::new().command::<Look>().query::<Look>()
            }
        }
    };
}

witness! {
    /// Of the fenced class.
    Witness, "witness", KindSettings::default().owned()
}

witness! {
    /// Of the leased class.
    Leaseholder, "leaseholder", KindSettings::default().leased()
}

witness! {
    /// Answers what stored nothing without a proof.
    Hasty, "hasty", KindSettings::default().owned().local_replies(true)
}

/// The actor.
#[derive(Debug)]
pub struct Lookout;

impl Actor for Lookout {
    const KIND: &'static str = "lookout";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Look>()
    }
}

impl Handle<Look> for Lookout {
    type Reply = Seen;
    type Error = Never;

    async fn handle(&mut self, _: Look, cx: &mut ActorCx<Self>) -> Result<Seen, Never> {
        let left = cx.time_left().map(|left| left.as_millis());
        Ok(Seen {
            kind: cx.kind().to_string(),
            id: cx.key().to_owned(),
            node: cx.node().to_owned(),
            shard: cx.shard().map(|shard| shard.0),
            epoch: cx.epoch().map(|epoch| epoch.sequence.0),
            left_ms: left.and_then(|left| u64::try_from(left).ok()),
            correlation: cx.metadata().correlation_id().map(str::to_owned),
            causation: cx.metadata().causation_id().map(str::to_owned),
            user: cx.header("user").map(str::to_owned),
            trace: cx.trace().map(|trace| format!("{:032x}", trace.trace_id())),
        })
    }
}
