//! A deleted entity in a file: exported before, restored after, and exports of what is deleted.

use crate::common::{Account, Move, World, on_both_shells, open};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use tenure::prelude::*;
use tenure::transfer::{ExportOptions, ImportOptions, RestoreError, TransferError};

on_both_shells!(
    what_was_archived_is_restored,
    what_is_more_than_a_message_is_restored_in_parts,
    what_cannot_be_restored_is_refused,
    a_deleted_entity_is_exported_and_imported_as_deleted,
);

/// A file that goes with its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tenure-deletion-{}-{n}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // One that was never written need not go.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Archives an account as it is at a version, and deletes it if it still is.
async fn archive(world: &World, accounts: &Repository<Account>, id: &str, file: &Scratch) {
    let version = accounts.version(id).await.unwrap();
    let entity = ExportOptions::new("bank")
        .entity(Account::KIND, id)
        .unwrap();
    let exported = Tenure::export(world.place(), entity, &file.0).await;
    assert_eq!(exported.unwrap().totals.entities, 1);
    accounts.delete(id).expected(version).await.unwrap();
}

async fn what_was_archived_is_restored(world: &World) {
    let accounts = world.accounts().await;
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    for _ in 0..5 {
        accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    }
    let was = accounts.load("alice").await.unwrap().state;
    let file = Scratch::new();
    archive(world, &accounts, "alice", &file).await;
    assert!(!accounts.exists("alice").await.unwrap());
    let restored = accounts.restore("alice", &file.0).await.unwrap();
    assert_eq!((restored.reply, restored.version), (7, Version(15)));
    assert_eq!(accounts.load("alice").await.unwrap().state, was);
    let elsewhere = world.accounts().await;
    let moved = elsewhere.execute("alice", Move { cents: 1 });
    assert_eq!(moved.await.unwrap(), was.cents + 1);
    // Archived once more it is the second life, and not both.
    let again = Scratch::new();
    archive(world, &accounts, "alice", &again).await;
    let restored = accounts.restore("alice", &again.0).await.unwrap();
    assert_eq!(restored.reply, 8);
    assert_eq!(
        accounts.load("alice").await.unwrap().state.cents,
        was.cents + 1
    );
}

async fn what_is_more_than_a_message_is_restored_in_parts(world: &World) {
    let accounts = world.accounts().await;
    let owner = "x".repeat(300_000);
    for _ in 0..2 {
        accounts.create("alice", open(&owner, 1)).await.unwrap();
        for _ in 0..6 {
            accounts.execute("alice", open(&owner, 1)).await.unwrap();
        }
        accounts.execute("alice", Move { cents: 1 }).await.unwrap();
        let was = accounts.load("alice").await.unwrap().state;
        let file = Scratch::new();
        archive(world, &accounts, "alice", &file).await;
        let restored = accounts.restore("alice", &file.0).await.unwrap();
        assert_eq!(restored.reply, 15);
        let elsewhere = world.accounts().await.load("alice").await.unwrap();
        assert_eq!(elsewhere.state, was);
        assert_eq!(elsewhere.version, restored.version);
        accounts.delete("alice").await.unwrap();
    }
}

async fn what_cannot_be_restored_is_refused(world: &World) {
    let accounts = world.accounts().await;
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    accounts.create("bob", open("Bob", 5)).await.unwrap();
    let file = Scratch::new();
    archive(world, &accounts, "alice", &file).await;
    let other = accounts.restore("bob", &file.0).await.unwrap_err();
    assert!(matches!(other, RestoreError::NotThere { .. }), "{other}");
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    let exists = accounts.restore("alice", &file.0).await.unwrap_err();
    assert!(
        matches!(
            exists,
            RestoreError::Execute(ExecuteError::AlreadyExists { .. })
        ),
        "{exists}"
    );
    accounts.delete("alice").await.unwrap();
    let bytes = std::fs::read(&file.0).unwrap();
    std::fs::write(&file.0, &bytes[..bytes.len() - 3]).unwrap();
    let cut = accounts.restore("alice", &file.0).await.unwrap_err();
    assert!(
        matches!(cut, RestoreError::File(TransferError::File { .. })),
        "{cut}"
    );
    assert!(!accounts.exists("alice").await.unwrap());
}

async fn a_deleted_entity_is_exported_and_imported_as_deleted(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    accounts.create("bob", open("Bob", 5)).await.unwrap();
    let id = node.command_id();
    let moved = accounts.execute("alice", Move { cents: 1 }).id(id);
    moved.await.unwrap();
    accounts.delete("alice").await.unwrap();
    accounts.delete("bob").await.unwrap();
    accounts.execute("bob", Move { cents: 9 }).await.unwrap();
    node.stop().await;
    let file = Scratch::new();
    let all = ExportOptions::new("bank");
    let exported = Tenure::export(world.place(), all, &file.0).await.unwrap();
    assert_eq!(exported.totals.commits, 3, "two tombstones and one commit");
    let into = ImportOptions::new("bank-2").shards(7);
    let imported = Tenure::import(world.place(), into, &file.0).await.unwrap();
    assert_eq!(imported.totals, exported.totals);
    let node = world.start(Tenure::builder().namespace("bank-2")).await;
    let accounts = node.repository::<Account>().await.unwrap();
    assert!(!accounts.exists("alice").await.unwrap());
    let again = accounts.execute("alice", Move { cents: 1 }).id(id).await;
    assert!(
        matches!(again, Err(ExecuteError::Deleted { .. })),
        "{again:?}"
    );
    let bob = accounts.load("bob").await.unwrap();
    assert_eq!((bob.state.cents, bob.version), (9, Version(4)));
}
