//! What every user has: a counter, kept as events.

use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use tenure::{
    Aggregate, Answer, AnswerCx, Bytes, Codec, CodecError, Decide, DecideCx, Decision, Entity,
    Event, KindSettings, Message, Messages,
};

/// How the kind is written in this run; an aggregate's settings are its type's, not a value's.
pub static SETTINGS: OnceLock<KindSettings> = OnceLock::new();

/// The state.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Counter {
    count: u64,
}

/// What can happen to a counter.
#[derive(Debug, Event)]
pub enum CounterEvent {
    /// It was added to.
    #[event(name = "added", version = 1)]
    Added {
        /// How much.
        amount: u64,
    },
}

/// Adds to the counter, and is answered with what it comes to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "add", version = 1)]
pub struct Add {
    /// How much.
    pub amount: u64,
}

/// Asks what the counter is at.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "count", version = 1)]
pub struct Count;

impl Answer<Count> for Counter {
    type Reply = u64;

    fn answer(&self, _: &Count, _: &AnswerCx<'_>) -> u64 {
        self.count
    }
}

impl Entity for Counter {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Add>().query::<Count>()
    }
}

impl Aggregate for Counter {
    type Event = CounterEvent;
    const KIND: &'static str = "counter";

    fn evolve(&mut self, event: &CounterEvent) {
        let CounterEvent::Added { amount } = event;
        self.count += amount;
    }

    fn settings() -> KindSettings {
        SETTINGS.get().copied().unwrap_or_default()
    }

    fn snapshot(&self, codec: Codec) -> Option<Result<Bytes, CodecError>> {
        Some(codec.encode(self))
    }

    fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
        Some(codec.decode(state))
    }
}

/// A counter says no to nothing.
#[derive(Clone, Copy, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum Never {}

impl Decide<Add> for Counter {
    type Reply = u64;
    type Error = Never;

    fn decide(&self, add: &Add, _: &DecideCx<'_>) -> Result<Decision<Self, u64>, Never> {
        let amount = add.amount;
        Ok(Decision::event(CounterEvent::Added { amount }).reply(self.count + amount))
    }
}
