//! What stands around folds sees each one once, wherever the state is, and changes nothing of it.

use super::kv::{Balance, balance as kv_balance};
use super::{Balances, balance, brief, moved, replayed, soon, state};
use crate::common::{Account, AccountEvent, Heard, World, on_both_shells};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tenure::consumer::{Consumed, EventInfo, Logged, Measured, Then, Traced};
use tenure::prelude::*;
use tenure::projection::{FoldMiddleware, FoldOutcome, FoldRun, Kv, KvEntries, Memory};

on_both_shells!(
    folds_in_memory_are_counted_logged_and_traced_once,
    folds_of_values_are_counted_once,
    a_middleware_that_panics_leaves_no_trace_in_the_state,
);

/// Fails at the first tries of an event, after it has changed something.
fn fails(left: &AtomicU32, event: &Consumed<AccountEvent>) -> Result<(), &'static str> {
    let next = |left: u32| left.checked_sub(1);
    let order = Ordering::Relaxed;
    match event.version == Version(2) && left.fetch_update(order, order, next).is_ok() {
        true => Err("not yet"),
        false => Ok(()),
    }
}

async fn folds_in_memory_are_counted_logged_and_traced_once(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let measured = Measured::default();
    let (heard, _guard) = Heard::begin();
    let left = AtomicU32::new(2);
    let projection = node
        .projection("balances", Memory::<Balances>::default())
        .failing(brief(5, Then::Stop))
        .pace(|pace| pace.batch_events_max = 1)
        .with(Logged)
        .with(measured.clone())
        .with(Traced)
        .fold::<Account>(
            move |balances: &mut Balances, event: &Consumed<AccountEvent>| {
                balance(balances, event);
                tracing::info!("in the fold");
                fails(&left, event)
            },
        )
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    moved(&accounts, "alice", [4]).await;
    soon(projection.until_status(|status| status.handled == 4))
        .await
        .unwrap();
    projection.stop().await.unwrap();
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
    let measures = measured.all()["moved"];
    assert_eq!((measures.handled, measures.failed), (4, 2));
    assert_eq!(measures.live, 1);
    let of = "consumer=\"balances\" name=\"moved\" id=alice";
    assert_eq!(heard.with(&["event_handled", of]).len(), 4);
    assert_eq!(heard.with(&["event_failed", of, "error=not yet"]).len(), 2);
    let traced = heard.with(&["in the fold", "event{consumer=\"balances\""]);
    assert_eq!(traced.len(), 6, "{traced:?}");
}

/// Which values a batch needs is found out by folding it, of which nobody is told.
async fn folds_of_values_are_counted_once(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let measured = Measured::default();
    let left = AtomicU32::new(2);
    let projection = node
        .projection("balances", Kv::<Balance>::new())
        .failing(brief(5, Then::Stop))
        .pace(|pace| pace.batch_events_max = 1)
        .with(measured.clone())
        .fold::<Account>(
            move |balances: &mut KvEntries<Balance>, event: &Consumed<AccountEvent>| {
                let AccountEvent::Moved { .. } = event.event else {
                    return Ok(());
                };
                let mut changed = Ok(());
                balances.change(event.id().as_str(), |_| changed = fails(&left, event))?;
                changed?;
                kv_balance(balances, event)
            },
        )
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    let alice = projection.store().get("alice").await.unwrap().unwrap();
    assert_eq!((alice.cents, alice.moves), (6, 3));
    let measures = measured.all()["moved"];
    assert_eq!((measures.handled, measures.failed), (3, 1));
    projection.stop().await.unwrap();
}

/// Panics after the fold of an event, the first time.
struct Brittle(Arc<AtomicU32>);

impl FoldMiddleware for Brittle {
    fn around(&self, event: &EventInfo<'_>, fold: FoldRun<'_>) -> FoldOutcome {
        let outcome = fold.run();
        let again = event.attempt > 1;
        assert!(again || event.place.index > 0, "the first time");
        self.0.fetch_add(1, Ordering::Relaxed);
        outcome
    }
}

async fn a_middleware_that_panics_leaves_no_trace_in_the_state(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let seen = Arc::new(AtomicU32::new(0));
    let projection = node
        .projection("balances", Memory::<Balances>::default())
        .failing(brief(5, Then::Stop))
        .with(Brittle(Arc::clone(&seen)))
        .fold::<Account>(balance)
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
    assert_eq!(seen.load(Ordering::Relaxed), 3);
    assert!(projection.status().consumer.failures >= 3);
    projection.stop().await.unwrap();
}
