//! One aggregate, two commands, two accounts, in memory: `cargo run -p tenure --example account`.

use serde::{Deserialize, Serialize};
use tenure::prelude::*;

/// The state, built from events alone.
#[derive(Clone, Debug, Default)]
struct Account {
    owner: String,
    cents: i64,
}

/// What can happen. Names and versions are stored; Rust's names are not.
#[derive(Debug, PartialEq, Event)]
enum AccountEvent {
    #[event(name = "opened", version = 1)]
    Opened { owner: String },
    #[event(name = "moved", version = 1)]
    Moved { cents: i64 },
}

impl Aggregate for Account {
    type Event = AccountEvent;
    const KIND: &'static str = "account";

    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner.clone_from(owner),
            AccountEvent::Moved { cents } => self.cents += cents,
        }
    }
}

/// The domain's no.
#[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
enum Refused {
    #[error("the balance is {balance}")]
    Insufficient { balance: i64 },
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "open", version = 1)]
struct Open {
    owner: String,
    cents: i64,
}

impl Decide<Open> for Account {
    type Reply = ();
    // Whoever opens an account gets one.
    type Error = Never;

    fn decide(&self, command: &Open, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let owner = command.owner.clone();
        let cents = command.cents;
        Ok(Decision::events([
            AccountEvent::Opened { owner },
            AccountEvent::Moved { cents },
        ]))
    }
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "move", version = 1)]
struct Move {
    cents: i64,
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

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tenure = Tenure::builder().namespace("bank").start("mem:").await?;
    let accounts = tenure.repository::<Account>().await?;

    for owner in ["alice", "bob"] {
        let open = Open {
            owner: owner.to_owned(),
            cents: 100,
        };
        accounts.create(owner, open).await?;
    }
    accounts.execute("alice", Move { cents: 50 }).await?;
    accounts.execute("bob", Move { cents: -30 }).await?;
    if let Err(ExecuteError::Rejected(no)) = accounts.execute("bob", Move { cents: -500 }).await {
        println!("bob is refused: {no}");
    }

    for id in ["alice", "bob"] {
        let Loaded { state, version, .. } = accounts.load(id).await?;
        println!("{} {} at version {version}", state.owner, state.cents);
    }
    tenure.stop().await;
    Ok(())
}
