//! Dead letters of a projection: an event that was put aside is in the state after it was built anew, once
//! and in its place, and no earlier (P6).

use super::kv::{Balance, balance as kv_balance};
use super::{Balances, balance, brief, moved, replayed, soon, state};
use crate::common::{Account, AccountEvent, Move, Seldom, World, on_both_shells};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tenure::consumer::{Consumed, DeadLetter, LetterError, LetterRefusal, Then};
use tenure::prelude::*;
use tenure::projection::{Kv, KvEntries, Memory, Projection, ProjectionBuilder, ProjectionStore};

on_both_shells!(
    what_was_put_aside_is_folded_in_its_place_alone,
    what_was_put_aside_of_a_value_is_folded_in_its_place_alone,
    a_start_with_a_reset_takes_letters_in,
    a_letter_that_is_not_taken_in_stays,
    a_letter_of_the_same_life_stays_over_a_restart,
);

/// Whether the fold is mended.
type Mended = Arc<AtomicBool>;

/// Events of 7 cents cannot be folded before it is mended.
fn fails(mended: &Mended, event: &Consumed<AccountEvent>) -> Result<(), &'static str> {
    match event.event {
        AccountEvent::Moved { cents: 7 } if !mended.load(Ordering::Relaxed) => Err("seven"),
        AccountEvent::Moved { .. } | AccountEvent::Opened { .. } => Ok(()),
    }
}

fn in_memory(node: &Tenure, mended: &Mended) -> ProjectionBuilder<Memory<Balances>> {
    let mended = Arc::clone(mended);
    let fold = move |balances: &mut Balances, event: &Consumed<AccountEvent>| {
        balance(balances, event);
        fails(&mended, event)
    };
    node.projection("balances", Memory::default())
        .failing(brief(0, Then::DeadLetter))
        .fold::<Account>(fold)
}

fn in_bucket(node: &Tenure, mended: &Mended) -> ProjectionBuilder<Kv<Balance>> {
    let mended = Arc::clone(mended);
    let fold = move |balances: &mut KvEntries<Balance>, event: &Consumed<AccountEvent>| {
        kv_balance(balances, event)?;
        fails(&mended, event).map_err(tenure::consumer::HandlerError::from)
    };
    node.projection("balances", Kv::new())
        .failing(brief(0, Then::DeadLetter))
        .fold::<Account>(fold)
}

/// Waits until so many events were put aside, and that has no more to do.
async fn put_aside<St: ProjectionStore>(projection: &Projection<St>, letters: u64) {
    soon(projection.until_status(|status| status.dead_lettered == letters))
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
}

async fn letters<St: ProjectionStore>(projection: &Projection<St>) -> Vec<DeadLetter> {
    projection.consumer().dead_letters().all().await.unwrap()
}

/// The letters stay, whoever wants them to be replayed.
async fn is_not_replayed<St: ProjectionStore>(projection: &Projection<St>) {
    let consumer = projection.consumer();
    let before = letters(projection).await;
    let one = consumer.dead_letters().replay(before[0].place).await;
    let all = consumer.dead_letters().replay_all().await.map(drop);
    for replayed in [one, all] {
        assert!(
            matches!(replayed, Err(LetterError::Refused(LetterRefusal::External))),
            "{replayed:?}"
        );
        let error = replayed.unwrap_err().to_string();
        assert!(error.contains("a projection's rebuild"), "{error}");
    }
    assert_eq!(letters(projection).await, before);
}

async fn what_was_put_aside_is_folded_in_its_place_alone(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let others = node.repository::<Seldom>().await.unwrap();
    let mended = Mended::default();
    let projection = in_memory(&node, &mended).start().await.unwrap();
    // Where it stands is behind the last event, which was put aside, and behind what it does not read.
    moved(&accounts, "alice", [1, 7]).await;
    put_aside(&projection, 1).await;
    mended.store(true, Ordering::Relaxed);
    is_not_replayed(&projection).await;
    others.execute("bob", Move { cents: 1 }).await.unwrap();
    moved(&accounts, "carol", [2]).await;
    soon(projection.live()).await.unwrap();
    is_not_replayed(&projection).await;
    assert_eq!(projection.read(|balances| balances.0["alice"]), (1, 1));
    soon(projection.rebuild()).await.unwrap();
    let all = replayed(&accounts, &["alice", "carol"]).await;
    assert_eq!(state(&projection), all);
    assert_eq!(letters(&projection).await, []);
    // Nobody folds it a second time.
    let again = projection.consumer().dead_letters().replay_all().await;
    assert_eq!(again.unwrap().0, 0);
    assert_eq!(state(&projection), all);
    projection.stop().await.unwrap();
}

async fn what_was_put_aside_of_a_value_is_folded_in_its_place_alone(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let mended = Mended::default();
    let projection = in_bucket(&node, &mended).start().await.unwrap();
    moved(&accounts, "alice", [1, 7]).await;
    put_aside(&projection, 1).await;
    mended.store(true, Ordering::Relaxed);
    is_not_replayed(&projection).await;
    moved(&accounts, "alice", [2]).await;
    soon(projection.live()).await.unwrap();
    is_not_replayed(&projection).await;
    let alice = projection.store().get("alice").await.unwrap().unwrap();
    assert_eq!((alice.cents, alice.moves), (3, 2));
    soon(projection.rebuild()).await.unwrap();
    let alice = projection.store().get("alice").await.unwrap().unwrap();
    assert_eq!((alice.cents, alice.moves), (10, 3));
    assert_eq!(letters(&projection).await, []);
    projection.stop().await.unwrap();
}

async fn a_start_with_a_reset_takes_letters_in(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1, 7, 2]).await;
    let mended = Mended::default();
    let projection = in_memory(&node, &mended).start().await.unwrap();
    put_aside(&projection, 1).await;
    projection.stop().await.unwrap();
    mended.store(true, Ordering::Relaxed);
    let projection = in_memory(&node, &mended).reset().start().await.unwrap();
    soon(async {
        while !letters(&projection).await.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
    projection.stop().await.unwrap();
}

/// One event is mended and another is not.
async fn a_letter_that_is_not_taken_in_stays(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [7, 1]).await;
    moved(&accounts, "bob", [7, 2]).await;
    let mended = Mended::default();
    let fold = {
        let mended = Arc::clone(&mended);
        move |balances: &mut Balances, event: &Consumed<AccountEvent>| {
            balance(balances, event);
            let never = Mended::default();
            match event.id().as_str() {
                "alice" => fails(&mended, event),
                _ => fails(&never, event),
            }
        }
    };
    let projection = node
        .projection("balances", Memory::default())
        .failing(brief(0, Then::DeadLetter))
        .fold::<Account>(fold)
        .start()
        .await
        .unwrap();
    put_aside(&projection, 2).await;
    mended.store(true, Ordering::Relaxed);
    soon(projection.rebuild()).await.unwrap();
    assert_eq!(projection.read(|balances| balances.0["alice"]), (8, 2));
    assert_eq!(projection.read(|balances| balances.0["bob"]), (2, 1));
    let left = letters(&projection).await;
    let left: Vec<_> = left
        .iter()
        .map(|letter| (letter.entity.as_str(), letter.generation))
        .collect();
    assert_eq!(left, [("bob", 2)]);
    projection.stop().await.unwrap();
}

/// The state of that life has not got its event, and comes past it no more.
async fn a_letter_of_the_same_life_stays_over_a_restart(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [7, 1]).await;
    let mended = Mended::default();
    let projection = in_memory(&node, &mended).start().await.unwrap();
    put_aside(&projection, 1).await;
    soon(projection.rebuild()).await.unwrap();
    projection.stop().await.unwrap();
    mended.store(true, Ordering::Relaxed);
    let projection = in_memory(&node, &mended).start().await.unwrap();
    soon(projection.live()).await.unwrap();
    projection.stop().await.unwrap();
    let projection = in_memory(&node, &mended).start().await.unwrap();
    assert_eq!(projection.read(|balances| balances.0["alice"]), (1, 1));
    assert_eq!(letters(&projection).await.len(), 1);
    projection.stop().await.unwrap();
}
