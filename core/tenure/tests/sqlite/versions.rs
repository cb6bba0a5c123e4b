//! Another version: built beside the tables of the one before it, which are read until it has caught up.

use super::{Folder, TABLES, balances, brief, moved, soon, write};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tenure::consumer::{Consumed, SeenError};
use tenure::prelude::*;
use tenure::projection::{Projection, ProjectionBuilder, RebuildError};
use tenure::sqlite::rusqlite::Connection;
use tenure::sqlite::{Sqlite, Transaction};

on_both_shells!(
    another_version_has_tables_of_its_own,
    the_old_tables_are_read_until_the_new_ones_have_caught_up,
    what_was_built_of_a_version_is_not_built_again,
);

const COUNTS: &str = "CREATE TABLE counts (id TEXT PRIMARY KEY, moves INTEGER NOT NULL)";

/// Version 2, which counts. It does not get past the tenth event of an account before it is let through.
fn counts(node: &Tenure, folder: &Folder, through: &Arc<AtomicBool>) -> ProjectionBuilder<Sqlite> {
    let through = Arc::clone(through);
    node.projection("balances", Sqlite::new(folder.db(), COUNTS))
        .version(2)
        .failing(brief(u32::MAX))
        .pace(|pace| pace.batch_events_max = 4)
        .fold::<Account>(
            move |tx: &mut Transaction, event: &Consumed<AccountEvent>| {
                if event.version == Version(10) && !through.load(Ordering::Relaxed) {
                    return Err("not yet".to_owned());
                }
                let sql =
                    "INSERT INTO counts VALUES (?1, 1) ON CONFLICT DO UPDATE SET moves = moves + 1";
                let counted = tx.execute(sql, [event.id().as_str()]);
                counted.map(drop).map_err(|error| error.to_string())
            },
        )
}

async fn number(projection: &Projection<Sqlite>, sql: &'static str) -> u32 {
    let read = move |db: &Connection| db.query_row(sql, (), |row| row.get(0));
    projection.store().query(read).await.unwrap()
}

/// Which file readers in other programs are told.
fn named(folder: &Folder) -> String {
    let pointer = Connection::open(folder.db()).unwrap();
    let sql = "SELECT file FROM tenure_current";
    pointer.query_row(sql, (), |row| row.get(0)).unwrap()
}

async fn another_version_has_tables_of_its_own(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=10).await;
    let first = balances(&node, &folder).start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    let through = Arc::new(AtomicBool::new(true));
    let second = counts(&node, &folder, &through).start().await.unwrap();
    soon(second.live()).await.unwrap();
    assert_eq!(number(&second, "SELECT moves FROM counts").await, 10);
    assert!(!folder.life(1).exists(), "the old tables are gone");
    second.stop().await.unwrap();
    let error = balances(&node, &folder)
        .start()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is of version 2, and this program's is 1"),
        "{error}"
    );
}

async fn the_old_tables_are_read_until_the_new_ones_have_caught_up(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    let last = moved(&accounts, "alice", 1..=12).await;
    let first = balances(&node, &folder).start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    let through = Arc::new(AtomicBool::new(false));
    let second = counts(&node, &folder, &through).start().await.unwrap();
    let waits = |status: &tenure::consumer::Status| status.failures > 0;
    soon(second.until_status(waits)).await.unwrap();
    assert_eq!(number(&second, "SELECT moves FROM balances").await, 12);
    assert_eq!(named(&folder), "balances.db.1");
    assert!(second.status().rebuilding);
    let brief = Duration::from_millis(20);
    let seen = second.seen::<Account>("alice", last, brief).await;
    assert!(matches!(seen, Err(SeenError::Deadline)), "{seen:?}");
    let rebuilt = second.rebuild().await;
    assert!(matches!(rebuilt, Err(RebuildError::UnderWay { .. })));
    through.store(true, Ordering::Relaxed);
    let last = moved(&accounts, "alice", [13]).await;
    soon(second.seen::<Account>("alice", last, super::SOON))
        .await
        .unwrap();
    assert_eq!(number(&second, "SELECT moves FROM counts").await, 13);
    assert_eq!(named(&folder), "balances.db.2");
    assert!(!second.status().rebuilding);
    soon(second.live()).await.unwrap();
    second.stop().await.unwrap();
}

/// A start that ends before the new tables have caught up leaves what it has to the next one.
async fn what_was_built_of_a_version_is_not_built_again(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=12).await;
    let first = balances(&node, &folder).start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    let through = Arc::new(AtomicBool::new(false));
    let second = counts(&node, &folder, &through).start().await.unwrap();
    let nine = |status: &tenure::consumer::Status| status.handled == 9 && status.failures > 0;
    soon(second.until_status(nine)).await.unwrap();
    second.stop().await.unwrap();
    assert_eq!(named(&folder), "balances.db.1", "the old ones serve on");
    through.store(true, Ordering::Relaxed);
    let third = counts(&node, &folder, &through).start().await.unwrap();
    soon(third.live()).await.unwrap();
    assert_eq!(third.status().consumer.handled, 3);
    assert_eq!(number(&third, "SELECT moves FROM counts").await, 12);
    third.stop().await.unwrap();
    // The old build finds that it is the older one, and leaves it alone.
    let tables = Sqlite::new(folder.db(), TABLES);
    let old = node.projection("balances", tables).fold::<Account>(write);
    let error = old.start().await.unwrap_err().to_string();
    assert!(error.contains("is of version 2"), "{error}");
}
