//! What a whole command costs in memory: from the call through the driver, the machine and the model
//! store to the reply, in one thread.

#[path = "../../benches/machines/allocations.rs"]
mod allocations;

use allocations::{Measured, measure};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tenure::prelude::*;
use tokio::runtime::Runtime;

#[derive(Clone, Default)]
struct Account {
    cents: u64,
}

#[derive(Event)]
enum AccountEvent {
    #[event(name = "deposited", version = 1)]
    Deposited { cents: u64 },
}

impl Aggregate for Account {
    type Event = AccountEvent;
    const KIND: &'static str = "account";

    fn evolve(&mut self, event: &AccountEvent) {
        let AccountEvent::Deposited { cents } = event;
        self.cents += cents;
    }
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "deposit", version = 1)]
struct Deposit {
    cents: u64,
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[error("an amount is positive")]
struct NotPositive;

impl Decide<Deposit> for Account {
    type Reply = u64;
    type Error = NotPositive;

    fn decide(
        &self,
        deposit: &Deposit,
        _: &DecideCx<'_>,
    ) -> Result<Decision<Self, u64>, NotPositive> {
        let Deposit { cents } = *deposit;
        if cents == 0 {
            return Err(NotPositive);
        }
        Ok(Decision::event(AccountEvent::Deposited { cents }).reply(self.cents + cents))
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
}

async fn accounts() -> Repository<Account> {
    let tenure = Tenure::builder().namespace("bench").start("mem:").await;
    let accounts = tenure.expect("a node").repository().await;
    accounts.expect("the kind")
}

async fn deposit(accounts: &Repository<Account>, user: usize) {
    let done = accounts
        .execute(format!("user-{user}"), Deposit { cents: 1 })
        .await;
    done.expect("a deposit");
}

fn commands(c: &mut Criterion) {
    let runtime = runtime();
    for (name, at_once) in [("command/one at a time", 1), ("command/64 at once", 64)] {
        let accounts = runtime.block_on(accounts());
        let round =
            || runtime.block_on(join_all((0..at_once).map(|user| deposit(&accounts, user))));
        // Entities that are written for some time: their lists of earlier commits are full.
        (0..100).for_each(|_| drop(round()));
        let elements = at_once as u64;
        measure(c, Measured { name, elements }, || (), |()| round());
    }
    let accounts = runtime.block_on(accounts());
    runtime.block_on(deposit(&accounts, 0));
    let load = Measured {
        name: "load/in memory",
        elements: 1,
    };
    measure(
        c,
        load,
        || (),
        |()| {
            runtime
                .block_on(accounts.load("user-0"))
                .expect("an account")
                .version
        },
    );
}

criterion_group!(whole, commands);
criterion_main!(whole);
