//! Those who publish: live or durably, on few topics, by whichever node; a durable one of which nobody knows
//! whether it is stored is published again under its id.

use super::super::super::sim::{Sim, Turn};
use super::ledger::{Ledger, Told};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure_core::id::PublicationId;
use tenure_core::step::Time;

/// How many topics there are.
const TOPICS: u64 = 3;

/// How often one is published again at most.
const AGAIN_MAX: u64 = 3;

/// An event; who publishes it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "news", version = 1, crate = "tenure_core::api")]
pub(super) struct News {
    client: u64,
}

/// Publishes until a time.
pub(super) async fn publishes((sim, client): (Sim, u64), until: Time, ledger: Ledger) {
    let mut number = 0;
    while sim.now() < until {
        number += 1;
        let turn = sim.turn(client, number);
        let wait = Duration::from_millis(20 + turn.random(250));
        sim.sleep(wait).await;
        let topic = format!("news.{}", turn.random(TOPICS));
        let id = u128::from(client) << 64 | u128::from(number);
        let (id, durable) = (PublicationId(id), turn.random(2) == 0);
        if !turn.is_asked() {
            continue;
        }
        ledger.publishes(id, &topic, durable);
        match durable {
            true => stores(&turn, (id, &topic), &ledger).await,
            false => {
                let bus = turn.tenure().await.bus();
                // Who hears it, if anyone, is not known.
                let _ = bus.publish(&topic, &News { client }).id(id).await;
            }
        }
    }
}

async fn stores(turn: &Turn, (id, topic): (PublicationId, &str), ledger: &Ledger) {
    let client = turn.client();
    for _ in 0..AGAIN_MAX {
        let bus = turn.tenure().await.bus();
        let published = bus.publish(topic, &News { client }).id(id).durable();
        let published = published.timeout(Duration::from_millis(1_500)).await;
        let told = match &published {
            Ok((_, at)) => Told::Stored(*at),
            Err(error) if error.may_be_published() => Told::Unknown,
            Err(_) => Told::Not,
        };
        ledger.is_told(id, told);
        // One that is stored is published again, too.
        if !matches!(told, Told::Unknown) && turn.random(4) > 0 {
            return;
        }
    }
}
