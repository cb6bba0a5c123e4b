//! A counter that is state in memory: an actor.

use crate::counter::{Add, Count, Never};
use std::sync::OnceLock;
use tenure::actor::{Actor, ActorCx, ActorSettings, Handle, Handlers, InitError};

/// How counters are kept in this run; an actor's settings are its type's, not a value's.
pub static LIVE: OnceLock<ActorSettings> = OnceLock::new();

/// The state.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    count: u64,
}

impl Actor for Live {
    const KIND: &'static str = "live-counter";

    fn settings() -> ActorSettings {
        LIVE.get().copied().unwrap_or_default()
    }

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self { count: 0 })
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Add>().on::<Count>()
    }
}

impl Handle<Add> for Live {
    type Reply = u64;
    type Error = Never;

    async fn handle(&mut self, add: Add, _: &mut ActorCx<Self>) -> Result<u64, Never> {
        self.count = self.count.saturating_add(add.amount);
        Ok(self.count)
    }
}

impl Handle<Count> for Live {
    type Reply = u64;
    type Error = Never;

    async fn handle(&mut self, _: Count, _: &mut ActorCx<Self>) -> Result<u64, Never> {
        Ok(self.count)
    }
}
