//! Purses that give each other: what one gives is sent in the commit of its giving, and taken by the
//! other once. The sum stays.

use super::super::log::Log;
use super::super::sim::Sim;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure_core::api::{
    Aggregate, Decide, DecideCx, Decision, Entity, Event, KindSettings, Messages, Never,
};
use tenure_core::format::Codec;
use tenure_core::step::Time;

/// What happens to a purse.
#[derive(Clone, Copy, Debug, tenure_macros::Event)]
#[event(crate = "tenure_core::api")]
pub(super) enum PurseEvent {
    #[event(name = "gave", version = 1)]
    Gave { amount: u64 },
    #[event(name = "took", version = 1)]
    Took { amount: u64 },
}

/// Gives another one something.
#[derive(Clone, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "give", version = 1, crate = "tenure_core::api")]
pub(super) struct Give {
    to: String,
    amount: u64,
}

/// Takes what was given.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "take", version = 1, crate = "tenure_core::api")]
pub(super) struct Take {
    amount: u64,
}

/// What is in a purse; it may owe.
#[derive(Clone, Debug, Default)]
pub(super) struct Purse {
    left: i64,
}

impl Aggregate for Purse {
    type Event = PurseEvent;
    const KIND: &'static str = "purse";

    fn evolve(&mut self, event: &PurseEvent) {
        match event {
            PurseEvent::Gave { amount } => self.left -= amount.cast_signed(),
            PurseEvent::Took { amount } => self.left += amount.cast_signed(),
        }
    }

    fn settings() -> KindSettings {
        // Those of one bank are of one shard.
        KindSettings::default().owned().placed_before('/')
    }
}

impl Decide<Give> for Purse {
    type Reply = i64;
    type Error = Never;

    fn decide(&self, give: &Give, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, Never> {
        let amount = give.amount;
        let decision = Decision::event(PurseEvent::Gave { amount });
        let decision = decision.reply(self.left - amount.cast_signed());
        Ok(decision.send::<Self>(give.to.clone(), Take { amount }))
    }
}

impl Decide<Take> for Purse {
    type Reply = ();
    type Error = Never;

    fn decide(&self, take: &Take, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let amount = take.amount;
        Ok(Decision::event(PurseEvent::Took { amount }))
    }
}

impl Entity for Purse {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Give>().command::<Take>()
    }
}

/// Gives from purse to purse until a time.
pub(super) async fn giver((sim, client): (Sim, u64), until: Time, purses: u64) {
    let mut number = 0;
    while sim.now() < until {
        number += 1;
        let turn = sim.turn(client, number);
        sim.sleep(Duration::from_millis(50 + turn.random(300)))
            .await;
        let from = name(turn.random(purses));
        let to = name(turn.random(purses));
        let amount = 1 + turn.random(9);
        if !turn.is_asked() {
            continue;
        }
        let tenure = turn.tenure().await;
        let ask = tenure.entity::<Purse>(from).ask(Give { to, amount });
        // Whether it gave or not, what it gave is taken.
        let _ = ask.timeout(Duration::from_millis(1_500)).await;
    }
}

/// Two purses each are in one bank.
fn name(purse: u64) -> String {
    format!("bank-{}/purse-{purse}", purse / 2)
}

/// How much was given and how much was taken, by the log.
pub(super) fn sums(log: &Log) -> (u64, u64) {
    let (mut gave, mut took) = (0, 0);
    for (subject, commits) in &log.entities {
        if subject.split('.').nth(3) != Some(Purse::KIND) {
            continue;
        }
        for event in commits.iter().flat_map(|(_, commit)| &commit.events) {
            match PurseEvent::decode(&event.name, event.schema, Codec::Cbor, &event.data) {
                Ok(Some(PurseEvent::Gave { amount })) => gave += amount,
                Ok(Some(PurseEvent::Took { amount })) => took += amount,
                Ok(None) | Err(_) => {}
            }
        }
    }
    (gave, took)
}
