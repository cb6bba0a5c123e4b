//! A store of the user's: state and mark in one step, away and back, taken over, and written by others.

use super::{Balances, SOON, balance, brief, moved, replayed, soon};
use crate::common::{Account, World, on_both_shells};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tenure::consumer::Then;
use tenure::prelude::*;
use tenure::projection::{
    Claim, FoldBatch, Mark, Projection, ProjectionStore, Standing, StoreError,
};

on_both_shells!(
    each_event_is_in_it_once_over_failures_and_restarts,
    a_store_that_is_away_is_waited_for_and_blames_no_event,
    the_answer_of_a_store_may_be_lost,
    a_run_that_was_taken_over_stores_nothing_more,
    a_mark_that_somebody_else_wrote_ends_it,
    it_cannot_be_built_anew_where_it_makes_no_other,
);

/// A table that outlives its projections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    balances: Balances,
    mark: Option<Mark>,
    /// So often it is away, before it looks at the batch and after it has stored it.
    away_before: u32,
    away_after: u32,
    stored: u32,
}

impl Table {
    /// An empty table with a mark.
    pub(crate) fn marked(mark: Mark) -> Self {
        let table = Self::default();
        table.0.lock().unwrap().mark = Some(mark);
        table
    }
}

impl ProjectionStore for Table {
    type State = Balances;

    async fn open(&self, claim: &Claim) -> Result<Option<Mark>, StoreError> {
        let mut rows = self.0.lock().unwrap();
        let mark = match claim.judge(rows.mark.as_ref())? {
            Standing::Goes(mark) => mark,
            Standing::Begins(mark) => {
                rows.balances = Balances::default();
                mark
            }
        };
        rows.mark = Some(mark.clone());
        Ok(Some(mark))
    }

    async fn store(&self, batch: FoldBatch<Balances>) -> Result<(), StoreError> {
        let mut rows = self.0.lock().unwrap();
        if rows.away_before > 0 {
            rows.away_before -= 1;
            return Err(StoreError::away("no connection"));
        }
        if batch.judge(rows.mark.as_ref())? {
            let mut balances = rows.balances.clone();
            batch.fold(&mut balances)?;
            rows.balances = balances;
            rows.mark = Some(batch.mark().clone());
            rows.stored += 1;
        }
        if rows.away_after > 0 {
            rows.away_after -= 1;
            return Err(StoreError::away("the connection broke"));
        }
        Ok(())
    }
}

async fn begun(node: &Tenure, table: &Table) -> Projection<Table> {
    let projection = node.projection("balances", table.clone());
    let projection = projection
        .failing(brief(10, Then::Stop))
        .pace(|pace| pace.batch_events_max = 3)
        .fold::<Account>(balance);
    projection.start().await.unwrap()
}

async fn each_event_is_in_it_once_over_failures_and_restarts(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let table = Table::default();
    let tries = Arc::new(AtomicU32::new(0));
    for _ in 0..4 {
        moved(&accounts, "alice", 1..=10).await;
        let tries = Arc::clone(&tries);
        let projection = node
            .projection("balances", table.clone())
            .failing(brief(10, Then::Stop))
            .pace(|pace| pace.batch_events_max = 4)
            .fold::<Account>(move |balances: &mut Balances, event: &_| {
                balance(balances, event);
                // Each seventh fold fails after it has changed the state.
                match tries.fetch_add(1, Ordering::Relaxed) % 7 {
                    6 => Err("not this time"),
                    _ => Ok(()),
                }
            })
            .start()
            .await
            .unwrap();
        soon(projection.live()).await.unwrap();
        projection.stop().await.unwrap();
        let held = table.0.lock().unwrap().balances.clone();
        assert_eq!(held, replayed(&accounts, &["alice"]).await);
    }
}

async fn a_store_that_is_away_is_waited_for_and_blames_no_event(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let table = Table::default();
    // One try, and what fails is put aside: nothing of this is the events' fault.
    let projection = node
        .projection("balances", table.clone())
        .failing(brief(0, Then::DeadLetter))
        .fold::<Account>(balance)
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    table.0.lock().unwrap().away_before = u32::MAX;
    let last = moved(&accounts, "alice", 1..=3).await;
    soon(async {
        while projection.status().away.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let away = projection.status().away.unwrap().to_string();
    assert_eq!(away, "it is away: no connection");
    table.0.lock().unwrap().away_before = 0;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    let status = projection.status();
    assert!(status.away.is_none());
    assert_eq!(status.consumer.dead_lettered + status.consumer.failures, 0);
    let held = table.0.lock().unwrap().balances.clone();
    assert_eq!(held, replayed(&accounts, &["alice"]).await);
    projection.stop().await.unwrap();
}

async fn the_answer_of_a_store_may_be_lost(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let table = Table::default();
    let projection = begun(&node, &table).await;
    table.0.lock().unwrap().away_after = 3;
    let last = moved(&accounts, "alice", 1..=9).await;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    let held = table.0.lock().unwrap().balances.clone();
    assert_eq!(held, replayed(&accounts, &["alice"]).await);
    assert_eq!(table.0.lock().unwrap().away_after, 0, "answers were lost");
    projection.stop().await.unwrap();
}

async fn a_run_that_was_taken_over_stores_nothing_more(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let table = Table::default();
    let stale = begun(&node, &table).await;
    let other = world.node().await;
    let successor = begun(&other, &table).await;
    let last = moved(&accounts, "alice", 1..=9).await;
    let error = soon(stale.ended()).await.unwrap_err().to_string();
    assert!(
        error.contains("was taken over by another run on node"),
        "{error}"
    );
    successor
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    let held = table.0.lock().unwrap().balances.clone();
    assert_eq!(held, replayed(&accounts, &["alice"]).await);
    successor.stop().await.unwrap();
}

async fn a_mark_that_somebody_else_wrote_ends_it(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let table = Table::default();
    let projection = begun(&node, &table).await;
    let last = moved(&accounts, "alice", [1]).await;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    {
        // As when a backup of it was restored.
        let mut rows = table.0.lock().unwrap();
        let positions = &mut rows.mark.as_mut().unwrap().positions;
        positions.fill(tenure::consumer::Position::START);
    }
    let stored = table.0.lock().unwrap().stored;
    moved(&accounts, "alice", [2]).await;
    let error = soon(projection.ended()).await.unwrap_err().to_string();
    assert!(error.contains("somebody else wrote its mark"), "{error}");
    assert_eq!(table.0.lock().unwrap().stored, stored);
    let error = projection.stop().await.unwrap_err().to_string();
    assert!(error.contains("somebody else wrote its mark"), "{error}");
}

async fn it_cannot_be_built_anew_where_it_makes_no_other(world: &World) {
    let node = world.node().await;
    let table = Table::default();
    let projection = begun(&node, &table).await;
    let error = projection.rebuild().await.unwrap_err().to_string();
    assert!(
        error.contains("start the projection again with a reset"),
        "{error}"
    );
    soon(projection.live()).await.unwrap();
    projection.stop().await.unwrap();
}
