//! What goes wrong around the tables and is no event's fault: a full disk, a file that was replaced or is
//! damaged, a query that panics, a switch whose end is not known.

use super::{Folder, SOON, TABLES, balances, brief, held, moved, row, soon, write};
use crate::common::{Account, World, on_both_shells};
use tenure::sqlite::rusqlite::{Connection, Error};
use tenure::sqlite::{QueryError, Sqlite, Transaction};

on_both_shells!(
    a_full_disk_blames_no_event,
    a_fold_that_ends_its_transaction_ends_the_projection,
    a_run_whose_file_was_replaced_is_told_by_whom,
    a_damaged_file_is_replaced_by_a_reset,
    a_query_that_panics_leaves_the_projection_alone,
    a_switch_whose_end_is_not_known_is_tried_again,
);

async fn a_full_disk_blames_no_event(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    // One try; and what it needs the room for is more than the file may have.
    let projection = node
        .projection("balances", Sqlite::new(folder.db(), TABLES))
        .failing(brief(0))
        .fold::<Account>(|tx: &mut Transaction, event: &_| {
            write(tx, event)?;
            tx.execute_batch(
                "CREATE TABLE IF NOT EXISTS fill (it BLOB);
                 INSERT INTO fill VALUES (zeroblob(200000))",
            )
        })
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    let full = |db: &Connection| {
        let pages: u32 = db.query_row("PRAGMA page_count", (), |row| row.get(0))?;
        let sql = format!("PRAGMA max_page_count = {}", pages + 2);
        db.query_row(&sql, (), |row| row.get::<_, u32>(0))
    };
    projection.store().query(full).await.unwrap();
    let last = moved(&accounts, "alice", 1..=3).await;
    // The file is opened anew, without the limit: the disk has room again.
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    assert_eq!(
        row(&projection, "alice").await,
        held(&accounts, "alice").await
    );
    assert_eq!(projection.status().consumer.failures, 0);
    projection.stop().await.unwrap();
}

/// What is written behind the transaction would be there without its mark, and twice after the next start.
async fn a_fold_that_ends_its_transaction_ends_the_projection(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let projection = node
        .projection("balances", Sqlite::new(folder.db(), TABLES))
        .fold::<Account>(|tx: &mut Transaction, _: &_| tx.execute_batch("ROLLBACK"))
        .start()
        .await
        .unwrap();
    let error = soon(projection.ended()).await.unwrap_err().to_string();
    assert!(error.contains("a fold ended its transaction"), "{error}");
}

async fn a_run_whose_file_was_replaced_is_told_by_whom(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    let stale = balances(&node, &folder).start().await.unwrap();
    soon(stale.live()).await.unwrap();
    let other = world.node().await;
    let reset = balances(&other, &folder).reset().start().await.unwrap();
    let last = moved(&accounts, "alice", 1..=5).await;
    let error = soon(stale.ended()).await.unwrap_err().to_string();
    let run = reset.status().mark.run;
    assert!(
        error.contains("was taken over by another run on node") && error.contains(&run.to_string()),
        "{error}"
    );
    reset.seen::<Account>("alice", last, SOON).await.unwrap();
    assert_eq!(row(&reset, "alice").await, held(&accounts, "alice").await);
    reset.stop().await.unwrap();
}

async fn a_damaged_file_is_replaced_by_a_reset(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=5).await;
    let first = balances(&node, &folder).start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    // Another file under its name: what the first run had open tells nothing of it.
    for suffix in ["", "-wal", "-shm"] {
        let mut name = folder.life(1).into_os_string();
        name.push(suffix);
        // SQLite has taken what is beside it along, perhaps.
        let _ = std::fs::remove_file(name);
    }
    std::fs::write(folder.life(1), "no database any more".repeat(500)).unwrap();
    let error = balances(&node, &folder).start().await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("not a database"), "{error}");
    let reset = balances(&node, &folder).reset().start().await.unwrap();
    soon(reset.live()).await.unwrap();
    assert_eq!(row(&reset, "alice").await, held(&accounts, "alice").await);
    assert!(!folder.life(1).exists());
    reset.stop().await.unwrap();
}

async fn a_query_that_panics_leaves_the_projection_alone(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    let projection = balances(&node, &folder).start().await.unwrap();
    soon(projection.live()).await.unwrap();
    let panics = |_: &Connection| -> Result<(), Error> { panic!("no such thing") };
    let error = projection.store().query(panics).await.unwrap_err();
    assert!(matches!(&error, QueryError::Panicked { .. }), "{error:?}");
    assert_eq!(error.to_string(), "the query panicked: no such thing");
    // Nor does one that leaves a transaction open.
    let begins = |db: &Connection| db.execute_batch("BEGIN");
    projection.store().query(begins).await.unwrap();
    let last = moved(&accounts, "alice", 1..=3).await;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    assert_eq!(
        row(&projection, "alice").await,
        held(&accounts, "alice").await
    );
    projection.stop().await.unwrap();
}

async fn a_switch_whose_end_is_not_known_is_tried_again(world: &World) {
    let (node, folder) = (world.node().await, Folder::new());
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=10).await;
    let projection = balances(&node, &folder).start().await.unwrap();
    soon(projection.live()).await.unwrap();
    // Somebody holds the database that names the file.
    let other = Connection::open(folder.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let rebuilding = tokio::spawn({
        let projection = projection.clone();
        async move { projection.rebuild().await }
    });
    let text = soon(async {
        loop {
            match projection.status().unsettled {
                Some(error) => return error.to_string(),
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert!(text.contains("database is locked"), "{text}");
    assert_eq!(
        row(&projection, "alice").await,
        held(&accounts, "alice").await
    );
    other.execute_batch("COMMIT").unwrap();
    soon(rebuilding).await.unwrap().unwrap();
    assert!(!folder.life(1).exists() && folder.life(2).exists());
    let last = moved(&accounts, "alice", [1]).await;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    assert_eq!(
        row(&projection, "alice").await,
        held(&accounts, "alice").await
    );
    projection.stop().await.unwrap();
}
