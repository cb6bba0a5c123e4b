//! What is asked: counters that are stored (fenced class), and counters in memory (leased class). Each
//! answer says as much of itself as it knows, for the history.

use serde::{Deserialize, Serialize};
use tenure::actor::{Actor, ActorCx, Handle, Handlers, InitError};
use tenure::{
    Aggregate, Answer, AnswerCx, Decide, DecideCx, Decision, Entity, Event, KindSettings, Message,
    Messages, Never,
};

/// A counter that is stored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    count: u64,
}

/// What can happen to it.
#[derive(Debug, Event)]
pub(crate) enum TallyEvent {
    /// It was added to.
    #[event(name = "added", version = 1)]
    Added { amount: u64 },
}

/// Adds to a counter.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "add", version = 1)]
pub(crate) struct Add {
    pub(crate) amount: u64,
}

/// Asks what a counter is at.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "look", version = 1)]
pub(crate) struct Look;

/// What a stored counter is at.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) count: u64,
    pub(crate) version: u64,
}

impl Aggregate for Tally {
    type Event = TallyEvent;
    const KIND: &'static str = "tally";

    fn evolve(&mut self, event: &TallyEvent) {
        let TallyEvent::Added { amount } = event;
        self.count += amount;
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

impl Decide<Add> for Tally {
    type Reply = u64;
    type Error = Never;

    fn decide(&self, add: &Add, _: &DecideCx<'_>) -> Result<Decision<Self, u64>, Never> {
        let amount = add.amount;
        Ok(Decision::event(TallyEvent::Added { amount }).reply(self.count + amount))
    }
}

impl Answer<Look> for Tally {
    type Reply = Seen;

    fn answer(&self, _: &Look, cx: &AnswerCx<'_>) -> Seen {
        Seen {
            count: self.count,
            version: cx.version().0,
        }
    }
}

impl Entity for Tally {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Add>().query::<Look>()
    }
}

/// A counter in memory, which ends with its life.
#[derive(Debug)]
pub(crate) struct Live {
    count: u64,
    turns: u64,
    life: u64,
}

/// What a counter in memory is at, and where it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Acted {
    pub(crate) count: u64,
    /// How many messages it has had in this life, this one with them.
    pub(crate) turns: u64,
    /// Which life it is.
    pub(crate) life: u64,
    pub(crate) shard: u16,
    pub(crate) node: String,
    pub(crate) epoch: u64,
}

impl Live {
    fn act(&mut self, amount: u64, cx: &ActorCx<Self>) -> Acted {
        self.turns += 1;
        self.count += amount;
        Acted {
            count: self.count,
            turns: self.turns,
            life: self.life,
            shard: cx.shard().map_or(u16::MAX, |shard| shard.0),
            node: cx.node().to_owned(),
            epoch: cx.epoch().map_or(0, |epoch| epoch.sequence.0),
        }
    }
}

impl Actor for Live {
    const KIND: &'static str = "live";

    async fn init(cx: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self {
            count: 0,
            turns: 0,
            life: cx.random(),
        })
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Add>().on::<Look>()
    }
}

impl Handle<Add> for Live {
    type Reply = Acted;
    type Error = Never;

    async fn handle(&mut self, add: Add, cx: &mut ActorCx<Self>) -> Result<Acted, Never> {
        Ok(self.act(add.amount, cx))
    }
}

impl Handle<Look> for Live {
    type Reply = Acted;
    type Error = Never;

    async fn handle(&mut self, _: Look, cx: &mut ActorCx<Self>) -> Result<Acted, Never> {
        Ok(self.act(0, cx))
    }
}
