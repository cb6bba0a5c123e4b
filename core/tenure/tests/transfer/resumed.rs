//! An export and an import that ended in the middle go on where they were.

use crate::common::{Account, Fate, FaultyShell, Move, World, on_both_shells, open};
use crate::transfer::{FORMATS, Scratch, export, fill};
use tenure::prelude::*;
use tenure::transfer::{ExportFormat, ExportOptions, ImportOptions};
use tenure_core::Outcome;
use tenure_core::api::transfer::{TransferError, TransferFault, export_with, import_with};
use tenure_core::port::{Refused, StoreRequest};

on_both_shells!(an_export_goes_on_wherever_its_file_was_cut,);

async fn an_export_goes_on_wherever_its_file_was_cut(world: &World) {
    fill(world).await;
    for format in FORMATS {
        let file = Scratch::new();
        let exported = export(world, &file, format).await;
        let whole = file.bytes();
        // Whole records, torn ones, nothing.
        for len in [whole.len() - 1, whole.len() / 2, whole.len() / 3, 10, 0] {
            file.write(&whole[..len]);
            let again = export(world, &file, format).await;
            assert_eq!(again.totals, exported.totals, "cut at {len}");
            assert!(again.written <= exported.totals.commits);
            if len > whole.len() / 4 {
                assert!(again.written < exported.totals.commits, "cut at {len}");
                assert_eq!(file.bytes(), whole, "cut at {len}");
            }
        }
    }
}

/// What is committed after the beginning of an export is not in it, however often it goes on.
#[tokio::test]
async fn an_export_ends_where_it_was_to_end_when_it_began() {
    let world = World::mem();
    fill(&world).await;
    let file = Scratch::new();
    let exported = export(&world, &file, ExportFormat::JsonLines).await;
    let whole = file.bytes();
    let accounts = world.accounts().await;
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    accounts.create("dora", open("Dora", 1)).await.unwrap();
    file.write(&whole[..whole.len() / 2]);
    let again = export(&world, &file, ExportFormat::JsonLines).await;
    assert_eq!(again.totals, exported.totals);
    assert_eq!(file.bytes(), whole);
}

pub(crate) fn is_commit(request: &StoreRequest) -> bool {
    matches!(request, StoreRequest::Publish(publish) if publish.subject.contains(".ev."))
}

async fn filled() -> (FaultyShell, Scratch, u64) {
    let shell = FaultyShell::new();
    let node = Tenure::builder().namespace("bank").streams(1);
    let node = node.start_with(shell.healthy()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    for n in 0..40 {
        let id = format!("account-{n}");
        accounts.create(&id, open(&id, n)).await.unwrap();
        for _ in 0..n {
            accounts.execute(&id, Move { cents: 1 }).await.unwrap();
        }
    }
    node.stop().await;
    let file = Scratch::new();
    let options = ExportOptions::new("bank");
    let exported = export_with(shell.healthy(), options, file.path())
        .await
        .unwrap();
    (shell, file, exported.totals.commits)
}

#[tokio::test]
async fn an_import_goes_on_where_a_full_store_ended_it() {
    let (shell, file, commits) = filled().await;
    let mut room = 0;
    let mut rounds = 0;
    let mut written = 0;
    loop {
        let mut left = 300;
        shell.set(move |request| {
            if !is_commit(request) {
                return None;
            }
            left -= 1;
            (left < 0).then(|| Fate::Answer(Outcome::Refused(Refused::NoSpace)))
        });
        let options = ImportOptions::new("bank-2").shards(3).window(16);
        match import_with(shell.clone(), options, file.path()).await {
            Ok(imported) => {
                written += imported.written;
                break;
            }
            Err(TransferError::Fault(TransferFault::Refused { refused, .. })) => {
                assert_eq!(refused, Refused::NoSpace);
                room += 300;
                rounds += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(rounds >= 2, "{rounds}");
    // Nothing was written twice.
    assert_eq!(written, commits - room);
}

#[tokio::test]
async fn an_import_outlasts_lost_answers_and_lost_requests() {
    let (shell, file, commits) = filled().await;
    let mut n = 0_u32;
    shell.set(move |request| {
        n += 1;
        match n % 5 {
            // Stored, and nobody heard of it.
            1 if request.writes() => Some(Fate::Instead(Outcome::Unknown)),
            2 => Some(Fate::Answer(Outcome::Unknown)),
            3 => Some(Fate::Answer(Outcome::Refused(Refused::NotConnected))),
            _ => None,
        }
    });
    let options = ImportOptions::new("bank-2").shards(3);
    let imported = import_with(shell.clone(), options, file.path())
        .await
        .unwrap();
    assert_eq!(imported.totals.commits, commits);
}

#[tokio::test]
async fn two_runs_of_an_import_at_once_store_each_commit_once() {
    let (shell, file, commits) = filled().await;
    let run = || {
        let options = ImportOptions::new("bank-2").shards(3).window(8);
        import_with(shell.healthy(), options, file.path())
    };
    let (a, b) = tokio::join!(run(), run());
    for imported in [a, b] {
        match imported {
            Ok(imported) => assert_eq!(imported.totals.commits, commits),
            // The other one was through before this one began.
            Err(error) => assert!(matches!(error, TransferError::Space(_)), "{error}"),
        }
    }
    let node = Tenure::builder().namespace("bank-2");
    let node = node.start_with(shell.healthy()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    for n in 0..40 {
        let account = accounts.load(format!("account-{n}")).await.unwrap();
        assert_eq!(account.state.cents, 2 * n);
    }
}

/// Who gives up says what was in the way, and what was written stays.
#[tokio::test]
async fn a_server_that_stays_away_ends_an_import() {
    let (shell, file, _) = filled().await;
    shell.set(|request| {
        is_commit(request).then(|| Fate::Answer(Outcome::Refused(Refused::NotConnected)))
    });
    let patience = std::time::Duration::from_millis(50);
    let options = ImportOptions::new("bank-2").patience(patience);
    let error = import_with(shell.clone(), options, file.path())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("there is no connection"),
        "{error}"
    );
    shell.set(|_| None);
    let options = ImportOptions::new("bank-2");
    import_with(shell.clone(), options, file.path())
        .await
        .unwrap();
}
