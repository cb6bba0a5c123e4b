//! Another version in memory: the old state is read until the new one has caught up.

use super::{Balances, SOON, balance, balances, brief, moved, replayed, soon, state};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tenure::consumer::{Consumed, SeenError, Status, Then};
use tenure::prelude::*;
use tenure::projection::{Memory, ProjectionBuilder};

on_both_shells!(
    the_old_state_is_read_until_the_new_one_has_caught_up,
    the_old_build_goes_on_until_then,
);

/// Version 2, which does not get past the third event of an account before it is let through.
fn second(node: &Tenure, through: &Arc<AtomicBool>) -> ProjectionBuilder<Memory<Balances>> {
    let through = Arc::clone(through);
    node.projection("balances", Memory::<Balances>::default())
        .version(2)
        .failing(brief(u32::MAX, Then::Stop))
        .pace(|pace| pace.batch_events_max = 1)
        .fold::<Account>(
            move |balances: &mut Balances, event: &Consumed<AccountEvent>| {
                if event.version == Version(3) && !through.load(Ordering::Relaxed) {
                    return Err("not yet");
                }
                balance(balances, event);
                Ok(())
            },
        )
}

async fn the_old_state_is_read_until_the_new_one_has_caught_up(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let last = moved(&accounts, "alice", 1..=5).await;
    let first = balances(&node, "balances").start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    let old = replayed(&accounts, &["alice"]).await;
    let through = Arc::new(AtomicBool::new(false));
    let second = second(&node, &through).start().await.unwrap();
    let waits = |status: &Status| status.handled == 2 && status.failures > 0;
    soon(second.until_status(waits)).await.unwrap();
    assert_eq!(state(&second), old);
    assert!(second.status().rebuilding);
    let brief = Duration::from_millis(20);
    let seen = second.seen::<Account>("alice", last, brief).await;
    assert!(matches!(seen, Err(SeenError::Deadline)), "{seen:?}");
    through.store(true, Ordering::Relaxed);
    let last = moved(&accounts, "alice", [6]).await;
    second.seen::<Account>("alice", last, SOON).await.unwrap();
    assert_eq!(state(&second), replayed(&accounts, &["alice"]).await);
    soon(second.live()).await.unwrap();
    assert!(!second.status().rebuilding);
    second.stop().await.unwrap();
}

/// Before the new version has caught up nothing of it is stored, so a node of the old build may start.
async fn the_old_build_goes_on_until_then(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=5).await;
    let first = balances(&node, "balances").start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    let through = Arc::new(AtomicBool::new(false));
    let second = second(&node, &through).start().await.unwrap();
    let waits = |status: &Status| status.handled == 2 && status.failures > 0;
    soon(second.until_status(waits)).await.unwrap();
    second.stop().await.unwrap();
    let again = balances(&world.node().await, "balances").start().await;
    let again = again.unwrap();
    soon(again.live()).await.unwrap();
    assert!(again.store().status().restored);
    assert_eq!(again.status().consumer.handled, 0);
    again.stop().await.unwrap();
}
