//! What cannot be imported or exported is refused, with what to do about it.

use crate::common::{Fate, FaultyShell, Move, World, on_both_shells, open};
use crate::transfer::resumed::is_commit;
use crate::transfer::{FORMATS, Scratch, export, fill, import};
use tenure::TenureError;
use tenure::prelude::*;
use tenure::transfer::{
    ExportFormat, ExportOptions, ImportOptions, TransferError, TransferFault, VerifyOptions,
};
use tenure_core::Outcome;
use tenure_core::api::transfer::import_with;
use tenure_core::port::Refused;

on_both_shells!(
    a_namespace_in_use_is_not_imported_into,
    another_export_does_not_go_on_with_an_import,
    a_namespace_that_was_written_to_since_differs,
    a_namespace_that_is_not_there_is_not_exported,
);

async fn a_namespace_in_use_is_not_imported_into(world: &World) {
    fill(world).await;
    let file = Scratch::new();
    export(world, &file, ExportFormat::JsonLines).await;
    let error = import(world, ImportOptions::new("bank"), &file)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "namespace bank is in use: import into a new one"
    );
    // It is as it was.
    let accounts = world.accounts().await;
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
}

async fn another_export_does_not_go_on_with_an_import(world: &World) {
    fill(world).await;
    let [one, other] = [Scratch::new(), Scratch::new()];
    export(world, &one, ExportFormat::JsonLines).await;
    export(world, &other, ExportFormat::JsonLines).await;
    let done = import(world, ImportOptions::new("bank-2"), &one).await;
    done.unwrap();
    let error = import(world, ImportOptions::new("bank-2"), &one)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
    let error = import(world, ImportOptions::new("bank-2"), &other)
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with("another export of bank"),
        "{error}"
    );
}

async fn a_namespace_that_was_written_to_since_differs(world: &World) {
    fill(world).await;
    let file = Scratch::new();
    export(world, &file, ExportFormat::JsonLines).await;
    let accounts = world.accounts().await;
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    let verified = Tenure::verify(world.place(), VerifyOptions::new("bank"), file.path()).await;
    assert!(
        matches!(
            verified,
            Err(TenureError::Transfer(TransferError::Fault(
                TransferFault::Mismatch { .. }
            )))
        ),
        "{verified:?}"
    );
}

async fn a_namespace_that_is_not_there_is_not_exported(world: &World) {
    let file = Scratch::new();
    let options = ExportOptions::new("nowhere");
    let error = Tenure::export(world.place(), options, file.path())
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            TenureError::Transfer(TransferError::NoNamespace { namespace }) if namespace == "nowhere"
        ),
        "{error}"
    );
    assert!(!file.path().exists());
}

/// A namespace that is not whole yet is open to nobody else.
#[tokio::test]
async fn nobody_opens_a_namespace_that_is_being_imported() {
    let world = World::mem();
    fill(&world).await;
    let shell = FaultyShell::new();
    let file = Scratch::new();
    export(&world, &file, ExportFormat::JsonLines).await;
    shell.set(|request| {
        let refused = || Fate::Answer(Outcome::Refused(Refused::NoSpace));
        is_commit(request).then(refused)
    });
    let options = ImportOptions::new("bank-2");
    import_with(shell.clone(), options, file.path())
        .await
        .unwrap_err();
    let node = || {
        Tenure::builder()
            .namespace("bank-2")
            .start_with(shell.healthy())
    };
    let error = node().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "namespace bank-2 is being filled from an export of bank: run that import to its end first"
    );
    shell.set(|_| None);
    let options = ImportOptions::new("bank-2");
    import_with(shell.clone(), options, file.path())
        .await
        .unwrap();
    node().await.unwrap();
}

async fn refused(file: &Scratch) -> String {
    let world = World::mem();
    let error = import(&world, ImportOptions::new("bank"), file)
        .await
        .unwrap_err();
    // Nothing was made: the name is free.
    world.node().await;
    error.to_string()
}

#[tokio::test]
async fn a_file_that_is_cut_or_altered_is_refused_with_its_record() {
    let world = World::mem();
    fill(&world).await;
    for format in FORMATS {
        let file = Scratch::new();
        let exported = export(&world, &file, format).await;
        let whole = file.bytes();
        file.write(&whole[..whole.len() - 3]);
        let records = exported.totals.commits + 1;
        let error = refused(&file).await;
        assert!(
            error.contains(&format!("ends after record {records},")),
            "{error}"
        );
        let mut altered = whole.clone();
        // An amount within an event.
        let needle: &[u8] = if format == ExportFormat::JsonLines {
            b"\"cents\":7"
        } else {
            b"\x65cents\x07"
        };
        let at = altered
            .windows(needle.len())
            .position(|part| part == needle)
            .unwrap();
        altered[at + needle.len() - 1] += 1;
        file.write(&altered);
        let error = refused(&file).await;
        assert!(
            error.contains(" was altered, or does not follow"),
            "{error}"
        );
        file.write(b"alice has 100 cents\n");
        assert!(refused(&file).await.contains("it is no export"));
    }
}

#[tokio::test]
async fn a_line_that_is_missing_or_moved_is_found() {
    let world = World::mem();
    fill(&world).await;
    let file = Scratch::new();
    export(&world, &file, ExportFormat::JsonLines).await;
    let text = String::from_utf8(file.bytes()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let without: String = lines[..4].iter().chain(&lines[5..]).copied().collect();
    file.write(without.as_bytes());
    assert!(
        refused(&file)
            .await
            .contains("record 5 was altered, or does not follow")
    );
    let mut moved = lines.clone();
    moved.swap(6, 7);
    file.write(moved.concat().as_bytes());
    assert!(
        refused(&file)
            .await
            .contains("record 7 was altered, or does not follow")
    );
    let newer = text.replacen("\"version\":1", "\"version\":2,\"new\":true", 1);
    file.write(newer.as_bytes());
    let error = refused(&file).await;
    assert!(
        error.contains("the export has format version 2, this program reads 1: upgrade it"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_of_another_kind_is_never_written_over() {
    let world = World::mem();
    fill(&world).await;
    let file = Scratch::new();
    for text in [
        "alice has 100 cents\n",
        "{\"alice\": 100",
        "{\"alice\": 100}\n",
    ] {
        file.write(text.as_bytes());
        let options = ExportOptions::new("bank");
        let exported = Tenure::export(world.place(), options, file.path()).await;
        assert!(matches!(
            exported,
            Err(TenureError::Transfer(TransferError::File { .. }))
        ));
        assert_eq!(file.bytes(), text.as_bytes());
    }
    // A whole one is not either, nor one of another namespace.
    let file = Scratch::new();
    export(&world, &file, ExportFormat::JsonLines).await;
    let whole = file.bytes();
    let again = Tenure::export(world.place(), ExportOptions::new("bank"), file.path()).await;
    assert!(
        again
            .unwrap_err()
            .to_string()
            .ends_with("choose another file, or remove it")
    );
    file.write(&whole[..whole.len() - 1]);
    let part = ExportOptions::new("bank").kind("account").unwrap();
    let error = Tenure::export(world.place(), part, file.path())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains(", kind account: choose another file"),
        "{error}"
    );
    assert_eq!(file.bytes().len(), whole.len() - 1);
}

/// What a server does not take is found before it is sent, and named.
#[tokio::test]
async fn a_commit_that_is_too_large_for_the_server_is_named() {
    let world = World::mem();
    let accounts = world.accounts().await;
    let owner = "A".repeat(100_000);
    accounts.create("alice", open(&owner, 1)).await.unwrap();
    let file = Scratch::new();
    export(&world, &file, ExportFormat::JsonLines).await;
    let small = FaultyShell::taking(65_536);
    let error = import_with(small, ImportOptions::new("bank-2"), file.path())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("account \"alice\": the commit of version 2 takes 100"),
        "{text}"
    );
    assert!(text.ends_with("raise its max_payload"), "{text}");
}
