//! The program's own entities on simulated clusters: what holds whatever befalls nodes, store and
//! network, and how a mistake in a program is found.

use std::time::Duration;
use tenure::sim::{Seeds, Sim};
use tenure::{AskError, CommandId, ExecuteError};
use tenure_examples::account::{Account, AccountError, Balance, Deposit, Open};

/// How many deposits of one are made.
const DEPOSITS: u64 = 12;

/// Deposits one, again and again until it is done. It is one deposit as long as it has one id.
async fn deposit(sim: &Sim, ids: impl Fn(CommandId) -> Option<CommandId>) {
    let id = sim.tenure().await.command_id();
    loop {
        // Whichever node runs; the one that was asked may be gone by now.
        let alice = sim.tenure().await.entity::<Account>("alice");
        let mut ask = alice.ask(Deposit { amount: 1 });
        if let Some(id) = ids(id) {
            ask = ask.id(id);
        }
        if ask.timeout(Duration::from_secs(1)).await.is_ok() {
            return;
        }
        sim.sleep(Duration::from_millis(100)).await;
    }
}

async fn open(sim: &Sim) {
    loop {
        let alice = sim.tenure().await.entity::<Account>("alice");
        match alice.ask(Open { balance: 0 }).await {
            // An attempt whose answer was lost may have opened it.
            Ok(_) => return,
            Err(AskError::Execute(ExecuteError::Rejected(AccountError::AlreadyOpen))) => return,
            Err(_) => sim.sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn balance(sim: &Sim) -> u64 {
    loop {
        let alice = sim.tenure().await.entity::<Account>("alice");
        if let Ok(Ok(balance)) = alice.read(Balance).await {
            return balance;
        }
        sim.sleep(Duration::from_millis(100)).await;
    }
}

#[tenure::sim_test(seeds = 12, faults = "storm", nodes = 3, serve(Account))]
async fn deposits_with_their_ids_count_once(sim: Sim) {
    open(&sim).await;
    for _ in 0..DEPOSITS {
        deposit(&sim, Some).await;
    }
    sim.heal();
    assert_eq!(balance(&sim).await, DEPOSITS);
}

/// The mistake: whoever does not know what became of a deposit makes another one.
async fn deposits_without_ids(sim: Sim) {
    open(&sim).await;
    for _ in 0..DEPOSITS {
        deposit(&sim, |_| None).await;
    }
    sim.heal();
    assert_eq!(balance(&sim).await, DEPOSITS);
}

#[test]
fn a_deposit_that_is_repeated_without_its_id_is_found() {
    let name = "simulated::a_deposit_that_is_repeated_without_its_id_is_found";
    let seeds = Seeds::new(name, "tenure-examples");
    let found = seeds.count(100).faults("storm").find(
        |cluster| cluster.nodes(3).serve::<Account>(),
        deposits_without_ids,
    );
    let told = found
        .expect("a seed in which an answer is lost")
        .to_string();
    assert!(told.contains("TENURE_SIM_SEED="), "{told}");
    assert!(told.contains("left == right"), "{told}");
}
