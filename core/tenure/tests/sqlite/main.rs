//! Projections in SQLite: rows and mark in one transaction, on both shells.
#![cfg(feature = "sqlite")]

mod failures;
mod versions;

use crate::common::{Account, AccountEvent, Move, World, on_both_shells};
use std::path::PathBuf;
use std::time::Duration;
use tenure::consumer::{Consumed, Policy, Then};
use tenure::prelude::*;
use tenure::projection::{Projection, ProjectionBuilder, RebuildError};
use tenure::sqlite::rusqlite::{Connection, params};
use tenure::sqlite::{Sqlite, Transaction};

on_both_shells!(
    rows_are_what_the_log_holds_over_restarts,
    a_fold_that_fails_takes_its_writes_back,
    the_database_may_be_locked_and_gone_and_comes_back,
    a_run_that_was_taken_over_writes_nothing_more,
    it_is_built_anew_beside_itself_and_changed_in_one_step,
    a_failed_rebuild_leaves_the_old_tables,
    what_is_wrong_for_good_ends_it,
    another_namespace_is_refused,
);

const SOON: Duration = Duration::from_secs(30);

const TABLES: &str = "CREATE TABLE balances (
    id TEXT PRIMARY KEY, cents INTEGER NOT NULL, moves INTEGER NOT NULL)";

/// A folder that goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("tenure-sqlite-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn db(&self) -> PathBuf {
        self.0.join("balances.db")
    }

    fn life(&self, n: u32) -> PathBuf {
        self.0.join(format!("balances.db.{n}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn write(
    tx: &mut Transaction,
    event: &Consumed<AccountEvent>,
) -> Result<(), tenure::sqlite::rusqlite::Error> {
    let AccountEvent::Moved { cents } = event.event else {
        return Ok(());
    };
    let sql = "INSERT INTO balances VALUES (?1, ?2, 1)
        ON CONFLICT DO UPDATE SET cents = cents + ?2, moves = moves + 1";
    let mut statement = tx.prepare_cached(sql)?;
    statement
        .execute(params![event.id().as_str(), cents])
        .map(drop)
}

fn balances(node: &Tenure, folder: &Folder) -> ProjectionBuilder<Sqlite> {
    node.projection("balances", Sqlite::new(folder.db(), TABLES))
        .failing(brief(5))
        .pace(|pace| pace.batch_events_max = 7)
        .fold::<Account>(write)
}

fn brief(retries_max: u32) -> Policy {
    Policy {
        retries_max,
        delay_min: tenure::Span::from_millis(1),
        delay_max: tenure::Span::from_millis(5),
        then: Then::Stop,
    }
}

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

async fn row(projection: &Projection<Sqlite>, id: &'static str) -> (i64, u32) {
    let sql = "SELECT cents, moves FROM balances WHERE id = ?1";
    let read = move |db: &Connection| db.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)));
    projection.store().query(read).await.unwrap()
}

async fn held(accounts: &Repository<Account>, id: &str) -> (i64, u32) {
    let account = accounts.load(id).await.unwrap().state;
    (account.cents, account.moves)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, what).await {
        Ok(came) => came,
        Err(_) => panic!("it does not come"),
    }
}

async fn rows_are_what_the_log_holds_over_restarts(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    for run in 1..=4_u32 {
        moved(&accounts, "alice", 1..=25).await;
        // Another node each time; every second run is not stopped, as after a crash.
        let projection = balances(&world.node().await, &folder)
            .start()
            .await
            .unwrap();
        soon(projection.live()).await.unwrap();
        assert_eq!(
            row(&projection, "alice").await,
            held(&accounts, "alice").await
        );
        assert_eq!(projection.status().consumer.handled, 25, "run {run}");
        if run % 2 == 0 {
            projection.stop().await.unwrap();
        }
    }
}

/// The write is made, and then the fold fails or panics: it is not there twice.
async fn a_fold_that_fails_takes_its_writes_back(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=20).await;
    let left = std::sync::atomic::AtomicU32::new(4);
    let projection = node
        .projection("balances", Sqlite::new(folder.db(), TABLES))
        .failing(brief(5))
        .fold::<Account>(
            move |tx: &mut Transaction, event: &Consumed<AccountEvent>| {
                write(tx, event).map_err(|error| error.to_string())?;
                let order = std::sync::atomic::Ordering::Relaxed;
                let next = |left: u32| left.checked_sub(1);
                if event.version == Version(9) {
                    match left.fetch_update(order, order, next) {
                        Ok(3) => panic!("it panics once"),
                        Ok(_) => return Err("it fails".to_owned()),
                        Err(_) => {}
                    }
                }
                Ok(())
            },
        )
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    assert_eq!(
        row(&projection, "alice").await,
        held(&accounts, "alice").await
    );
    assert!(projection.status().consumer.failures >= 4);
    projection.stop().await.unwrap();
}

async fn the_database_may_be_locked_and_gone_and_comes_back(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    let projection = balances(&node, &folder).start().await.unwrap();
    soon(projection.live()).await.unwrap();
    let away = async || {
        while projection.status().away.is_none() {
            tokio::task::yield_now().await;
        }
        projection.status().away.unwrap().to_string()
    };
    // Somebody else writes, and takes long.
    let other = Connection::open(folder.life(1)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let last = moved(&accounts, "alice", 1..=3).await;
    let text = soon(away()).await;
    assert!(text.contains("database is locked"), "{text}");
    other.execute_batch("COMMIT").unwrap();
    drop(other);
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    // The disk goes, and is mounted again.
    let elsewhere = folder.0.join("elsewhere");
    std::fs::rename(folder.life(1), &elsewhere).unwrap();
    let last = moved(&accounts, "alice", 4..=6).await;
    let text = soon(away()).await;
    assert!(
        text.contains("balances.db.1 is gone") || text.contains("unable to open"),
        "{text}"
    );
    std::fs::rename(&elsewhere, folder.life(1)).unwrap();
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    assert_eq!(
        row(&projection, "alice").await,
        held(&accounts, "alice").await
    );
    let status = projection.status();
    assert!(
        status.away.is_none() && status.consumer.failures == 0,
        "{status:?}"
    );
    projection.stop().await.unwrap();
}

async fn a_run_that_was_taken_over_writes_nothing_more(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    let stale = balances(&node, &folder).start().await.unwrap();
    let successor = balances(&world.node().await, &folder)
        .start()
        .await
        .unwrap();
    let last = moved(&accounts, "alice", 1..=20).await;
    let error = soon(stale.ended()).await.unwrap_err().to_string();
    assert!(
        error.contains("was taken over by another run on node"),
        "{error}"
    );
    successor
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    assert_eq!(
        row(&successor, "alice").await,
        held(&accounts, "alice").await
    );
    successor.stop().await.unwrap();
}

async fn it_is_built_anew_beside_itself_and_changed_in_one_step(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=40).await;
    let projection = balances(&node, &folder).start().await.unwrap();
    soon(projection.live()).await.unwrap();
    // Somebody spoiled the table.
    let other = Connection::open(folder.life(1)).unwrap();
    other
        .execute_batch("UPDATE balances SET cents = 0")
        .unwrap();
    drop(other);
    let rebuilding = tokio::spawn({
        let projection = projection.clone();
        async move { projection.rebuild().await }
    });
    let mut seen = Vec::new();
    while !rebuilding.is_finished() {
        // Whole and old, or whole and new; a query that comes to a table that goes is asked again.
        let sql = "SELECT cents, moves FROM balances WHERE id = 'alice'";
        let read =
            move |db: &Connection| db.query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?)));
        if let Ok(row) = projection.store().query::<(i64, u32)>(read).await {
            seen.push(row);
        }
    }
    rebuilding.await.unwrap().unwrap();
    assert!(
        seen.iter().all(|row| [(0, 40), (820, 40)].contains(row)),
        "{seen:?}"
    );
    assert_eq!(
        row(&projection, "alice").await,
        held(&accounts, "alice").await
    );
    assert!(!folder.life(1).exists() && folder.life(2).exists());
    let last = moved(&accounts, "alice", [1]).await;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    projection.stop().await.unwrap();
    let next = balances(&world.node().await, &folder)
        .start()
        .await
        .unwrap();
    soon(next.live()).await.unwrap();
    assert_eq!(
        next.status().consumer.handled,
        0,
        "the next start finds the new one"
    );
    assert_eq!(row(&next, "alice").await, held(&accounts, "alice").await);
    next.stop().await.unwrap();
}

async fn a_failed_rebuild_leaves_the_old_tables(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=10).await;
    let projection = balances(&node, &folder).start_timeout(Duration::from_secs(2));
    let projection = projection.start().await.unwrap();
    soon(projection.live()).await.unwrap();
    // Nothing can be made where the next file is to be.
    std::fs::create_dir(folder.life(2)).unwrap();
    std::fs::write(folder.life(2).join("in the way"), "").unwrap();
    let rebuilding = projection.rebuild();
    // It waits for what may pass, as long as a start may take.
    let (rebuilt, stopped) = soon(async {
        tokio::join!(rebuilding, async {
            let last = moved(&accounts, "alice", [1]).await;
            projection
                .seen::<Account>("alice", last, SOON)
                .await
                .unwrap();
            assert_eq!(
                row(&projection, "alice").await,
                held(&accounts, "alice").await
            );
            projection.stop().await
        })
    })
    .await;
    stopped.unwrap();
    assert!(
        matches!(rebuilt, Err(RebuildError::Green(_))),
        "{rebuilt:?}"
    );
    assert!(folder.life(1).exists());
}

async fn what_is_wrong_for_good_ends_it(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let wrong = node.projection("balances", Sqlite::new(folder.db(), "CREATE NONSENSE"));
    let error = wrong
        .fold::<Account>(write)
        .start()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("near \"NONSENSE\": syntax error"), "{error}");
    std::fs::write(
        folder.0.join("text.db"),
        "this is no database, it is a text of some length",
    )
    .unwrap();
    let wrong = node.projection("texts", Sqlite::new(folder.0.join("text.db"), TABLES));
    let error = wrong
        .fold::<Account>(write)
        .start()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("file is not a database"), "{error}");
}

async fn another_namespace_is_refused(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let first = balances(&node, &folder).start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    let other = world.start(Tenure::builder().namespace("vault")).await;
    let error = balances(&other, &folder)
        .start()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("it was copied or restored from elsewhere"),
        "{error}"
    );
}
