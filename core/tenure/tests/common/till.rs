//! The till of the tests: a kind that is written by the owners of its shards.

use serde::{Deserialize, Serialize};
use tenure::prelude::*;

/// A till.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Till {
    /// What is in it.
    pub cents: i64,
}

/// What can happen to a till.
#[derive(Clone, Debug, PartialEq, Event)]
pub enum TillEvent {
    /// Its content moved.
    #[event(name = "moved", version = 1)]
    Moved {
        /// By how much.
        cents: i64,
    },
}

/// The domain's no.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum TooLittle {
    /// There is not enough in it.
    #[error("there are {cents} cents in it")]
    Has {
        /// What there is.
        cents: i64,
    },
}

impl Aggregate for Till {
    type Event = TillEvent;
    const KIND: &'static str = "till";

    fn evolve(&mut self, event: &TillEvent) {
        let TillEvent::Moved { cents } = event;
        self.cents += cents;
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

/// Puts something in, or takes something out.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "put", version = 1)]
pub struct Put {
    /// How much.
    pub cents: i64,
}

impl Decide<Put> for Till {
    type Reply = i64;
    type Error = TooLittle;

    fn decide(&self, put: &Put, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, TooLittle> {
        let (cents, after) = (put.cents, self.cents + put.cents);
        if after < 0 {
            return Err(TooLittle::Has { cents: self.cents });
        }
        Ok(match cents {
            0 => Decision::nothing(after),
            cents => Decision::event(TillEvent::Moved { cents }).reply(after),
        })
    }
}

/// A command whose code panics.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "break", version = 1)]
pub struct Break;

impl Decide<Break> for Till {
    type Reply = ();
    type Error = Never;

    fn decide(&self, _: &Break, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        panic!("the drawer is stuck")
    }
}

/// A command that this build sends and does not take.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "polish", version = 7)]
pub struct Polish;

impl Decide<Polish> for Till {
    type Reply = ();
    type Error = Never;

    fn decide(&self, _: &Polish, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        Ok(Decision::nothing(()))
    }
}

/// How much is in it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "count", version = 1)]
pub struct Count;

impl Answer<Count> for Till {
    type Reply = (i64, Version);

    fn answer(&self, _: &Count, cx: &AnswerCx<'_>) -> (i64, Version) {
        assert_eq!(cx.kind().as_str(), Self::KIND);
        (self.cents, cx.version())
    }
}

impl Entity for Till {
    fn messages() -> Messages<Self> {
        Messages::new()
            .command::<Put>()
            .command::<Break>()
            .query::<Count>()
    }
}
