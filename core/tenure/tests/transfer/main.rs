//! Export and import: what a namespace holds comes out of it, and is the same in another one.

mod later;
mod refused;
mod resumed;

use crate::common::{Account, Move, World, on_both_shells, open};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tenure::prelude::*;
use tenure::transfer::{
    ExportFormat, ExportOptions, ImportOptions, TransferError, TransferReport, VerifyOptions,
};
use tenure::{CommandId, TenureError};

on_both_shells!(
    all_of_it_comes_along_into_other_shards_and_streams,
    both_formats_hold_the_same,
    an_entity_or_a_kind_is_exported_alone,
    an_empty_namespace_is_exported_and_imported,
    what_was_imported_is_exported_again_as_it_was,
);

const FORMATS: [ExportFormat; 2] = [ExportFormat::JsonLines, ExportFormat::CborSequence];

/// More commits than one commit lists.
const MOVES: i64 = 150;

/// A file that goes with its test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tenure-transfer-{}-{n}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.0).expect("a file")
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        std::fs::write(&self.0, bytes).expect("a file");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // One that was never written need not go.
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) async fn export(world: &World, file: &Scratch, format: ExportFormat) -> TransferReport {
    let options = ExportOptions::new("bank").format(format);
    let exported = Tenure::export(world.place(), options, file.path()).await;
    exported.expect("an export")
}

pub(crate) async fn import(
    world: &World,
    options: ImportOptions,
    file: &Scratch,
) -> Result<TransferReport, TenureError> {
    Tenure::import(world.place(), options, file.path()).await
}

/// Some accounts, and the id of one of the commands.
pub(crate) async fn fill(world: &World) -> CommandId {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    for id in ["alice", "böb/1", "c.*>"] {
        let metadata = Metadata::new().correlation("opening").header("by", "test");
        let create = accounts.create(id, open(id, 100)).metadata(metadata);
        create.await.unwrap();
    }
    for _ in 0..MOVES {
        accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    }
    let id = node.command_id();
    let moved = accounts.execute("alice", Move { cents: 7 }).id(id);
    assert_eq!(moved.await.unwrap(), 107 + MOVES);
    node.stop().await;
    id
}

async fn all_of_it_comes_along_into_other_shards_and_streams(world: &World) {
    let id = fill(world).await;
    for (n, format) in FORMATS.into_iter().enumerate() {
        let file = Scratch::new();
        let exported = export(world, &file, format).await;
        assert_eq!(exported.totals.entities, 3);
        assert_eq!(exported.totals.events, 6 + MOVES as u64 + 1);
        let target = format!("bank-{n}");
        let options = ImportOptions::new(&target).shards(7).streams(3);
        let imported = import(world, options, &file).await.unwrap();
        assert_eq!(imported.totals, exported.totals);
        assert_eq!(imported.written, exported.totals.commits);
        let verified = VerifyOptions::new(&target);
        let verified = Tenure::verify(world.place(), verified, file.path()).await;
        assert_eq!(verified.unwrap().totals, exported.totals);

        let node = world.start(Tenure::builder().namespace(&target)).await;
        let accounts = node.repository::<Account>().await.unwrap();
        let alice = accounts.load("alice").await.unwrap();
        assert_eq!(alice.state.cents, 107 + MOVES);
        assert_eq!(accounts.load("böb/1").await.unwrap().state.cents, 100);
        assert_eq!(accounts.load("c.*>").await.unwrap().state.owner, "c.*>");
        // A command that was run before the export is answered, and not run again (P4).
        let again = accounts.execute("alice", Move { cents: 7 }).id(id);
        let again = again.receipt().await.unwrap();
        assert_eq!((again.reply, again.duplicate), (107 + MOVES, true));
        let next = accounts.execute("alice", Move { cents: 1 });
        let next = next.receipt().await.unwrap();
        assert_eq!(next.version, Version(alice.version.0 + 1));
        let history = accounts.history("alice").unwrap();
        let history = history.collect().await.unwrap();
        assert_eq!(history.len(), usize::try_from(MOVES).unwrap() + 4);
        assert_eq!(history[0].metadata().correlation_id(), Some("opening"));
        assert_eq!(history[0].metadata().header_value("by"), Some("test"));
        node.stop().await;
    }
}

async fn both_formats_hold_the_same(world: &World) {
    fill(world).await;
    let [json, cbor] = [Scratch::new(), Scratch::new()];
    let in_json = export(world, &json, ExportFormat::JsonLines).await;
    let in_cbor = export(world, &cbor, ExportFormat::CborSequence).await;
    assert_eq!(in_json.totals, in_cbor.totals);
    let text = String::from_utf8(json.bytes()).unwrap();
    // People and tools can read it.
    assert!(
        text.contains(r#""name":"moved","schema":1,"data":{"cbor":{"cents":7}}"#),
        "{text}"
    );
    assert!(cbor.bytes().len() < text.len() / 2);
}

async fn an_entity_or_a_kind_is_exported_alone(world: &World) {
    fill(world).await;
    for (options, entities) in [
        (
            ExportOptions::new("bank")
                .entity("account", "alice")
                .unwrap(),
            1,
        ),
        (ExportOptions::new("bank").kind("account").unwrap(), 3),
    ] {
        let file = Scratch::new();
        let exported = Tenure::export(world.place(), options, file.path())
            .await
            .unwrap();
        assert_eq!(exported.totals.entities, entities);
        let verified = VerifyOptions::new("bank");
        Tenure::verify(world.place(), verified, file.path())
            .await
            .unwrap();
        let target = format!("bank-{entities}");
        import(world, ImportOptions::new(target), &file)
            .await
            .unwrap();
    }
    let file = Scratch::new();
    let nobody = || ExportOptions::new("bank").entity("account", "nobody");
    for options in [ExportOptions::new("bank").kind("till"), nobody(), nobody()] {
        let exported = Tenure::export(world.place(), options.unwrap(), file.path()).await;
        let Err(TenureError::Transfer(TransferError::Nothing { wanted })) = exported else {
            panic!("{exported:?}");
        };
        assert!(wanted.starts_with("namespace bank (layout "), "{wanted}");
    }
}

async fn an_empty_namespace_is_exported_and_imported(world: &World) {
    world.node().await.stop().await;
    let file = Scratch::new();
    let exported = export(world, &file, ExportFormat::JsonLines).await;
    assert_eq!(exported.totals.commits, 0);
    import(world, ImportOptions::new("bank-2"), &file)
        .await
        .unwrap();
    let node = world.start(Tenure::builder().namespace("bank-2")).await;
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.create("alice", open("Alice", 1)).await.unwrap();
}

async fn what_was_imported_is_exported_again_as_it_was(world: &World) {
    fill(world).await;
    let [first, second] = [Scratch::new(), Scratch::new()];
    let exported = export(world, &first, ExportFormat::CborSequence).await;
    import(world, ImportOptions::new("bank-2").streams(2), &first)
        .await
        .unwrap();
    let options = ExportOptions::new("bank-2");
    let again = Tenure::export(world.place(), options, second.path())
        .await
        .unwrap();
    assert_eq!(again.totals, exported.totals);
}
