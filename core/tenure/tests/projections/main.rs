//! Projections: each event once in their state, whatever fails, and the same as folding the log again.

mod defects;
mod kv;
mod kv_foreign;
mod letters;
mod memory;
mod middleware;
mod names;
mod own_store;
mod rebuild;
mod settles;
mod snapshots;
mod switch;
mod versions;

use crate::common::{Account, AccountEvent, Move};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tenure::consumer::{Consumed, Policy, Then};
use tenure::prelude::*;
use tenure::projection::{Memory, MemoryState, Projection, ProjectionBuilder, ProjectionStore};

/// How long a test waits for what must come.
const SOON: Duration = Duration::from_secs(30);

/// The balance of each account, and how many events made it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Balances(BTreeMap<String, (i64, u64)>);

fn balance(balances: &mut Balances, event: &Consumed<AccountEvent>) {
    let (cents, moves) = balances
        .0
        .entry(event.id().as_str().to_owned())
        .or_default();
    if let AccountEvent::Moved { cents: by } = event.event {
        *cents += by;
        *moves += 1;
    }
}

/// A projection of balances.
fn balances(node: &Tenure, name: &str) -> ProjectionBuilder<Memory<Balances>> {
    balances_in(node, name, Memory::default())
}

fn balances_in(
    node: &Tenure,
    name: &str,
    memory: Memory<Balances>,
) -> ProjectionBuilder<Memory<Balances>> {
    node.projection(name, memory).fold::<Account>(balance)
}

/// Moves an account by each of these; where the last commit is.
async fn moved(
    accounts: &Repository<Account>,
    id: &str,
    cents: impl IntoIterator<Item = i64>,
) -> tenure::Sequence {
    let mut last = tenure::Sequence::NONE;
    for cents in cents {
        let receipt = accounts
            .execute(id, Move { cents })
            .receipt()
            .await
            .unwrap();
        last = receipt.sequence.unwrap();
    }
    last
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

/// What folding the log again comes to, by another way than the projection's: each entity's history.
async fn replayed(accounts: &Repository<Account>, ids: &[&str]) -> Balances {
    let mut balances = Balances::default();
    for id in ids {
        let account = accounts.load(*id).await.unwrap().state;
        let moves = u64::from(account.moves);
        balances.0.insert((*id).to_owned(), (account.cents, moves));
    }
    balances
}

fn state<S: MemoryState>(projection: &Projection<Memory<S>>) -> S {
    projection.read(Clone::clone)
}

/// How a projection ends that ends by itself: at once, or after it was started.
async fn ending<St: ProjectionStore>(builder: ProjectionBuilder<St>) -> String {
    match builder.start().await {
        Ok(projection) => soon(projection.ended()).await.unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

/// Waits for something that must come.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, what).await {
        Ok(came) => came,
        Err(_) => panic!("it does not come"),
    }
}
