//! The namespace refuses a snapshot, or is slow with it.

use super::{SOON, balances, balances_in, moved, soon};
use crate::common::{Account, Fate, FaultyShell};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::Bytes;
use tenure::prelude::*;
use tenure::projection::{Mark, Memory, ProjectionError, Snapshots};
use tenure_core::port::{Refused, StoreRequest};
use tenure_core::step::Outcome;
use tokio::sync::watch;

/// The bytes of a mark that is being stored.
fn mark(request: &StoreRequest) -> Option<&Bytes> {
    let StoreRequest::Publish(publish) = request else {
        return None;
    };
    publish
        .subject
        .ends_with(".mark")
        .then_some(&publish.payload)
}

#[tokio::test]
async fn a_stop_whose_last_snapshot_failed_says_so() {
    let shell = FaultyShell::new();
    let node = Tenure::builder().namespace("bank");
    let node = node.start_with(shell.clone()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    let projection = balances(&node, "balances").start().await.unwrap();
    soon(projection.live()).await.unwrap();
    shell.set(|request| mark(request).map(|_| Fate::Answer(Outcome::Refused(Refused::Forbidden))));
    let last = moved(&accounts, "alice", 1..=5).await;
    projection
        .seen::<Account>("alice", last, SOON)
        .await
        .unwrap();
    let error = soon(projection.stop()).await.unwrap_err();
    assert!(
        matches!(&error, ProjectionError::NotSettled { .. }),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains("could not settle") && text.contains("folds again"),
        "{text}"
    );
}

/// What is folded while a snapshot is stored waits for its own time, from then on.
#[tokio::test]
async fn what_comes_during_a_snapshot_waits_for_its_time() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let shell = FaultyShell::new();
    let node = Tenure::builder().namespace("bank");
    let node = node.start_with(shell.clone()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    let memory = Memory::with(Snapshots {
        every: 2,
        within: HOUR,
    });
    let projection = balances_in(&node, "balances", memory)
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    // It was opened long ago.
    let ahead = u64::try_from((2 * HOUR).as_nanos()).unwrap();
    let clock = shell.ahead();
    clock.store(ahead, std::sync::atomic::Ordering::Relaxed);
    let (release, released) = watch::channel(false);
    let stored: Arc<Mutex<Vec<Mark>>> = Arc::default();
    shell.set({
        let stored = Arc::clone(&stored);
        move |request| {
            let mark = Mark::decode(mark(request)?).unwrap();
            let mut stored = stored.lock().unwrap();
            stored.push(mark);
            (stored.len() == 1).then(|| Fate::Held(released.clone()))
        }
    });
    moved(&accounts, "alice", 1..=2).await;
    soon(async {
        while stored.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let during = moved(&accounts, "alice", [3]).await;
    projection
        .seen::<Account>("alice", during, SOON)
        .await
        .unwrap();
    release.send(true).unwrap();
    let last = moved(&accounts, "alice", [4]).await;
    soon(async {
        while stored.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let positions = |n: usize| stored.lock().unwrap()[n].positions[0].sequence;
    assert!(positions(0) < during);
    assert_eq!(positions(1), last, "the one by count, and none before it");
    projection.stop().await.unwrap();
}
