//! The tally of the tests: an actor that counts, and says where it is.

use serde::{Deserialize, Serialize};
use tenure::actor::{Actor, ActorCx, Handle, Handlers, InitError};
use tenure::prelude::*;

/// Counts.
#[derive(Debug)]
pub struct Tally {
    count: u64,
}

/// Adds to it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "add", version = 1)]
pub struct Add(pub u64);

/// Asks another tally to add, and waits for it.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "pass", version = 1)]
pub struct Pass {
    /// Whom.
    pub to: String,
}

/// What a tally tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The count after it.
    pub count: u64,
    /// The sequence of the epoch under which it was counted; 0 where there is none.
    pub epoch: u64,
}

/// The domain's no.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum No {
    /// 13 is not added.
    #[error("not that number, at {count}")]
    Unlucky {
        /// The count.
        count: u64,
    },
    /// The other one could not be asked.
    #[error("{0}")]
    Other(String),
}

impl Actor for Tally {
    const KIND: &'static str = "tally";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self { count: 0 })
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Add>().on::<Pass>()
    }
}

impl Handle<Add> for Tally {
    type Reply = Told;
    type Error = No;

    async fn handle(&mut self, Add(n): Add, cx: &mut ActorCx<Self>) -> Result<Told, No> {
        assert_ne!(n, 99, "not a hundred");
        if n == 13 {
            return Err(No::Unlucky { count: self.count });
        }
        self.count += n;
        Ok(Told {
            count: self.count,
            epoch: cx.epoch().map_or(0, |epoch| epoch.sequence.0),
        })
    }
}

impl Handle<Pass> for Tally {
    type Reply = u64;
    type Error = No;

    async fn handle(&mut self, pass: Pass, cx: &mut ActorCx<Self>) -> Result<u64, No> {
        let other = cx.actor::<Self>(&pass.to);
        match other.ask(Add(1)).await {
            Ok(told) => Ok(told.count),
            Err(error) => Err(No::Other(error.to_string())),
        }
    }
}

/// A message that no tally takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "reset", version = 3)]
pub struct Reset;

impl Handle<Reset> for Tally {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: Reset, _: &mut ActorCx<Self>) -> Result<(), Never> {
        Ok(())
    }
}
