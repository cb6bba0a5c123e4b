//! Consumers: what they hand over, where they go on, and what becomes of events that fail.

mod defects;
mod gone;
mod group_letters;
mod groups;
mod lag;
mod letters;
mod middleware;
mod names;
mod orders;
#[cfg(feature = "nats")]
mod permissions;
mod reading;
mod starting;

use crate::common::{Account, AccountEvent, Move};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::consumer::{Consumed, ConsumerBuilder, ConsumerError, Policy, Then};
use tenure::prelude::*;

/// How long a test waits for what must come.
const SOON: Duration = Duration::from_secs(30);

/// What a handler was given.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    id: String,
    cents: i64,
    live: bool,
    attempt: u32,
}

/// What handlers were given, in their order.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<Seen>>>);

impl Notes {
    fn note(&self, event: &Consumed<AccountEvent>) {
        let cents = match &event.event {
            AccountEvent::Moved { cents } => *cents,
            AccountEvent::Opened { .. } => 0,
        };
        self.0.lock().unwrap().push(Seen {
            id: event.id().as_str().to_owned(),
            cents,
            live: event.live(),
            attempt: event.attempt(),
        });
    }

    fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    fn cents(&self) -> Vec<i64> {
        self.all().iter().map(|seen| seen.cents).collect()
    }

    fn of(&self, id: &str) -> Vec<i64> {
        let all = self.all();
        let of = all.iter().filter(|seen| seen.id == id);
        of.map(|seen| seen.cents).collect()
    }
}

/// A consumer of accounts that notes what it gets.
fn noting(node: &Tenure, name: &str, notes: &Notes) -> ConsumerBuilder {
    let notes = notes.clone();
    node.consumer(name)
        .kind::<Account>(move |event: Consumed<AccountEvent>| {
            notes.note(&event);
            async {}
        })
}

/// Moves an account by each of these.
async fn moved(accounts: &Repository<Account>, id: &str, cents: impl IntoIterator<Item = i64>) {
    for cents in cents {
        accounts.execute(id, Move { cents }).await.unwrap();
    }
}

/// A policy without long waits.
fn brief(retries_max: u32, then: Then) -> Policy {
    Policy {
        retries_max,
        delay_min: tenure::Span::from_millis(1),
        delay_max: tenure::Span::from_millis(5),
        then,
    }
}

/// How a consumer ends that ends by itself: at once, or after it was started.
async fn ending(builder: ConsumerBuilder) -> ConsumerError {
    match builder.start().await {
        Ok(consumer) => soon(consumer.ended()).await.unwrap_err(),
        Err(error) => error,
    }
}

/// Waits for something that must come.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, what).await {
        Ok(came) => came,
        Err(_) => panic!("it does not come"),
    }
}
