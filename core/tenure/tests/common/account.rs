//! The account of the tests: opened, moved, closed.

use serde::{Deserialize, Serialize};
use tenure::prelude::*;

/// An account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Whose it is.
    pub owner: String,
    /// Its balance.
    pub cents: i64,
    /// How often it was moved.
    pub moves: u32,
}

/// What can happen to an account.
#[derive(Clone, Debug, PartialEq, Event)]
pub enum AccountEvent {
    /// It was opened.
    #[event(name = "opened", version = 1)]
    Opened {
        /// For whom.
        owner: String,
    },
    /// Its balance moved.
    #[event(name = "moved", version = 1)]
    Moved {
        /// By how much.
        cents: i64,
    },
}

/// The domain's no.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum Refused {
    /// There is not enough.
    #[error("the balance is {balance}")]
    Insufficient {
        /// What there is.
        balance: i64,
    },
}

impl Aggregate for Account {
    type Event = AccountEvent;
    const KIND: &'static str = "account";

    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner.clone_from(owner),
            AccountEvent::Moved { cents } => {
                self.cents += cents;
                self.moves += 1;
            }
        }
    }
}

/// Opens an account.
#[derive(Serialize, Deserialize, Message)]
#[message(name = "open", version = 1)]
pub struct Open {
    /// For whom.
    pub owner: String,
    /// With how much.
    pub cents: i64,
}

impl Decide<Open> for Account {
    type Reply = i64;
    type Error = Refused;

    fn decide(&self, command: &Open, cx: &DecideCx<'_>) -> Result<Decision<Self, i64>, Refused> {
        assert_eq!(cx.kind().as_str(), Self::KIND);
        let owner = command.owner.clone();
        let cents = command.cents;
        let events = [
            AccountEvent::Opened { owner },
            AccountEvent::Moved { cents },
        ];
        Ok(Decision::events(events).reply(cents))
    }
}

/// Moves the balance.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "move", version = 1)]
pub struct Move {
    /// By how much.
    pub cents: i64,
}

impl Decide<Move> for Account {
    type Reply = i64;
    type Error = Refused;

    fn decide(&self, command: &Move, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, Refused> {
        let balance = self.cents + command.cents;
        if balance < 0 {
            return Err(Refused::Insufficient {
                balance: self.cents,
            });
        }
        let cents = command.cents;
        Ok(Decision::event(AccountEvent::Moved { cents }).reply(balance))
    }
}

/// Asks for the balance, and counts the askers if it is asked to be remembered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "balance", version = 1)]
pub struct Balance {
    /// Whether the answer is kept under the command's id.
    pub record: bool,
}

impl Decide<Balance> for Account {
    type Reply = i64;
    type Error = Refused;

    fn decide(&self, command: &Balance, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, Refused> {
        let decision = Decision::nothing(self.cents);
        Ok(if command.record {
            decision.record()
        } else {
            decision
        })
    }
}

/// An opened account.
pub fn open(owner: &str, cents: i64) -> Open {
    Open {
        owner: owner.to_owned(),
        cents,
    }
}

/// The account again, as a kind of other settings.
macro_rules! like_account {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $settings:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name(Account);

        impl Aggregate for $name {
            type Event = AccountEvent;
            const KIND: &'static str = $kind;

            fn evolve(&mut self, event: &AccountEvent) {
                self.0.evolve(event);
            }

            fn settings() -> KindSettings {
                $settings
            }
        }

        impl Decide<Move> for $name {
            type Reply = i64;
            type Error = Refused;

            fn decide(
                &self,
                command: &Move,
                _: &DecideCx<'_>,
            ) -> Result<Decision<Self, i64>, Refused> {
                let (cents, balance) = (command.cents, self.0.cents + command.cents);
                Ok(Decision::event(AccountEvent::Moved { cents }).reply(balance))
            }
        }
    };
}

like_account! {
    /// An account that this process does not keep.
    Seldom, "seldom", KindSettings::default().cached(false)
}

like_account! {
    /// An account that the owner of its shard writes.
    Owned, "owned", KindSettings::default().owned()
}
