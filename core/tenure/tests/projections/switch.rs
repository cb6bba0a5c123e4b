//! The switch of a rebuild: asked until its end is known, taken back as a whole, and stopped with the
//! projection.

use super::{Balances, SOON, balance, balances, brief, moved, replayed, soon, state};
use crate::common::{Account, World, on_both_shells};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tenure::consumer::Then;
use tenure::prelude::*;
use tenure::projection::{
    Claim, FoldBatch, Mark, Projection, ProjectionStore, RebuildError, Standing, StoreError,
};
use tokio::sync::watch;

on_both_shells!(
    a_switch_that_is_away_is_asked_again,
    a_switch_that_fails_has_the_old_one_go_on,
    a_projection_that_was_paused_stays_so,
    a_stop_during_the_switch_leaves_nothing_running,
    a_start_that_nobody_waits_for_goes_on,
);

/// A table that can be built anew, and does with the switch as it is told.
#[derive(Clone, Default)]
struct Twin {
    rows: Arc<Mutex<(Balances, Option<Mark>)>>,
    told: Arc<Told>,
    beside: bool,
}

#[derive(Default)]
struct Told {
    /// So often the switch is made and then said to be away.
    away: AtomicU32,
    /// It cannot be made.
    fails: AtomicU32,
    switched: AtomicU32,
    discarded: AtomicU32,
    opens: Gate,
    switches: Gate,
}

/// Where the test has it wait.
#[derive(Default)]
struct Gate {
    held: watch::Sender<bool>,
    asked: watch::Sender<bool>,
}

impl Gate {
    async fn pass(&self) {
        self.asked.send_replace(true);
        let mut held = self.held.subscribe();
        // A test that has ended holds nothing.
        let _ = held.wait_for(|held| !*held).await;
    }

    async fn is_asked(&self) {
        let mut asked = self.asked.subscribe();
        soon(asked.wait_for(|asked| *asked)).await.unwrap();
    }
}

impl Twin {
    fn balances(&self) -> Balances {
        self.rows.lock().unwrap().0.clone()
    }
}

impl ProjectionStore for Twin {
    type State = Balances;

    async fn open(&self, claim: &Claim) -> Result<Option<Mark>, StoreError> {
        self.told.opens.pass().await;
        let mut rows = self.rows.lock().unwrap();
        let mark = match claim.judge(rows.1.as_ref())? {
            Standing::Goes(mark) => mark,
            Standing::Begins(mark) => {
                rows.0 = Balances::default();
                mark
            }
        };
        rows.1 = Some(mark.clone());
        Ok(Some(mark))
    }

    async fn store(&self, batch: FoldBatch<Balances>) -> Result<(), StoreError> {
        let mut rows = self.rows.lock().unwrap();
        if batch.judge(rows.1.as_ref())? {
            let mut balances = rows.0.clone();
            batch.fold(&mut balances)?;
            *rows = (balances, Some(batch.mark().clone()));
        }
        Ok(())
    }

    async fn green(&self) -> Result<Self, StoreError> {
        Ok(Self {
            rows: Arc::default(),
            told: Arc::clone(&self.told),
            beside: true,
        })
    }

    fn is_beside(&self) -> bool {
        self.beside
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.told.switches.pass().await;
        if self.told.fails.load(Ordering::Relaxed) > 0 {
            return Err(StoreError::failed("no switch today"));
        }
        self.told.switched.fetch_add(1, Ordering::Relaxed);
        let next = |left: u32| left.checked_sub(1);
        let order = Ordering::Relaxed;
        match self.told.away.fetch_update(order, order, next) {
            Ok(_) => Err(StoreError::away("the answer was lost")),
            Err(_) => Ok(()),
        }
    }

    async fn discard(&self) {
        self.told.discarded.fetch_add(1, Ordering::Relaxed);
    }
}

async fn begun(node: &Tenure, twin: &Twin) -> Projection<Twin> {
    let projection = node.projection("balances", twin.clone());
    let projection = projection.failing(brief(3, Then::Stop));
    let projection = projection.fold::<Account>(balance).start().await.unwrap();
    soon(projection.live()).await.unwrap();
    projection
}

async fn a_switch_that_is_away_is_asked_again(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=5).await;
    let twin = Twin::default();
    let projection = begun(&node, &twin).await;
    twin.told.away.store(2, Ordering::Relaxed);
    soon(projection.rebuild()).await.unwrap();
    assert_eq!(twin.told.switched.load(Ordering::Relaxed), 3);
    let last = moved(&accounts, "alice", [6]).await;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    let all = replayed(&accounts, &["alice"]).await;
    assert_eq!(projection.store().balances(), all, "the new one serves");
    assert_ne!(twin.balances(), all);
    projection.stop().await.unwrap();
}

async fn a_switch_that_fails_has_the_old_one_go_on(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=5).await;
    let twin = Twin::default();
    let projection = begun(&node, &twin).await;
    twin.told.fails.store(1, Ordering::Relaxed);
    let error = soon(projection.rebuild()).await.unwrap_err();
    assert!(matches!(error, RebuildError::Green(_)), "{error:?}");
    assert!(error.to_string().contains("no switch today"), "{error}");
    assert_eq!(twin.told.discarded.load(Ordering::Relaxed), 1);
    let last = moved(&accounts, "alice", [6]).await;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    assert_eq!(twin.balances(), replayed(&accounts, &["alice"]).await);
    projection.stop().await.unwrap();
}

async fn a_projection_that_was_paused_stays_so(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=5).await;
    let projection = balances(&node, "balances").start().await.unwrap();
    soon(projection.live()).await.unwrap();
    projection.consumer().pause("the test").await.unwrap();
    soon(projection.rebuild()).await.unwrap();
    let paused = projection.status().consumer.paused;
    assert_eq!(paused.as_deref(), Some("the test"));
    let last = moved(&accounts, "alice", [6]).await;
    let brief = std::time::Duration::from_millis(20);
    let seen = projection.seen::<Account>("alice", last, brief).await;
    assert!(seen.is_err(), "it is paused");
    projection.consumer().resume().await.unwrap();
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    assert_eq!(state(&projection), replayed(&accounts, &["alice"]).await);
    projection.stop().await.unwrap();
}

async fn a_stop_during_the_switch_leaves_nothing_running(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=5).await;
    let twin = Twin::default();
    let projection = begun(&node, &twin).await;
    twin.told.switches.held.send_replace(true);
    let rebuilding = tokio::spawn({
        let projection = projection.clone();
        async move { projection.rebuild().await }
    });
    twin.told.switches.is_asked().await;
    soon(projection.stop()).await.unwrap();
    twin.told.switches.held.send_replace(false);
    let rebuilt = soon(rebuilding).await.unwrap();
    assert!(matches!(rebuilt, Err(RebuildError::Blue(_))), "{rebuilt:?}");
    assert_eq!(node.counters().await.consumers, 0);
    // Nobody knows what the store has as its own now.
    assert_eq!(twin.told.discarded.load(Ordering::Relaxed), 0);
}

async fn a_start_that_nobody_waits_for_goes_on(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let twin = Twin::default();
    twin.told.opens.held.send_replace(true);
    let projection = node.projection("balances", twin.clone());
    let starting = projection.fold::<Account>(balance).start();
    tokio::select! {
        biased;
        started = starting => panic!("it starts: {started:?}"),
        () = twin.told.opens.is_asked() => {}
    }
    twin.told.opens.held.send_replace(false);
    moved(&accounts, "alice", 1..=5).await;
    let all = replayed(&accounts, &["alice"]).await;
    soon(async {
        while twin.balances() != all {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
