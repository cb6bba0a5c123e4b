//! The bus: who hears what is published, what becomes of what has no room, and who comes later.

mod bad_input;
mod durable;
mod live;
#[cfg(feature = "nats")]
mod permissions;

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::bus::{BusEvent, Next, Subscription};
use tenure::prelude::*;

/// How long a test waits for what must come.
const SOON: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "paid", version = 1)]
struct Paid {
    cents: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "shipped", version = 2)]
struct Shipped {
    parcels: u32,
}

/// Waits for something that must come.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, what).await {
        Ok(came) => came,
        Err(_) => panic!("it does not come"),
    }
}

/// Says nothing but that a subscription is heard of where events go.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "probe", version = 1)]
struct Probe;

/// The next event that is no probe; there is no gap before it.
async fn next(subscription: &mut Subscription) -> BusEvent {
    loop {
        match soon(subscription.next()).await {
            Some(Next::Event(event)) if event.name() == "probe" => {}
            Some(Next::Event(event)) => return event,
            other => panic!("{other:?} came"),
        }
    }
}

/// Waits until a subscription is heard of where events go: what another node publishes reaches it.
async fn reached(from: &Tenure, by: &mut Subscription, topic: &str) {
    soon(async {
        loop {
            from.bus().publish(topic, &Probe).await.unwrap();
            let wait = Duration::from_millis(20);
            if tokio::time::timeout(wait, by.next()).await.is_ok() {
                return;
            }
        }
    })
    .await;
}
