//! Stopping answers everyone, and a stopped node says so.

use crate::common::{Account, Fate, FaultyShell, Move, World, on_both_shells};
use futures_util::FutureExt;
use std::time::Duration;
use tenure::StoreRequest;
use tenure::prelude::*;

on_both_shells!(
    what_is_under_way_ends_and_what_comes_after_is_refused,
    a_node_lives_as_long_as_its_last_handle,
);

async fn what_is_under_way_ends_and_what_comes_after_is_refused(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let commands: Vec<_> = (0..200)
        .map(|n| {
            let accounts = accounts.clone();
            tokio::spawn(async move {
                let id = format!("account-{}", n % 20);
                accounts.execute(id, Move { cents: 1 }).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    node.stop().await;
    let (mut done, mut stopped) = (0, 0);
    for command in commands {
        match command.await.unwrap() {
            Ok(_) => done += 1,
            Err(ExecuteError::Stopped) => stopped += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(done + stopped, 200);
    let accounts_after = world.accounts().await;
    let mut sum = 0;
    for n in 0..20 {
        let account = accounts_after
            .load_or_create(format!("account-{n}"))
            .await
            .unwrap();
        sum += account.state.cents;
    }
    assert_eq!(sum, done, "what was answered is stored, and nothing else");

    let late = accounts.execute("alice", Move { cents: 1 }).await;
    assert!(matches!(late, Err(ExecuteError::Stopped)), "{late:?}");
    assert!(matches!(
        accounts.load("alice").await,
        Err(LoadError::Stopped)
    ));
    let history = accounts.history("alice").unwrap().next().await;
    assert!(matches!(history, Err(LoadError::Stopped)), "{history:?}");
    let kind = node.log("raw").await;
    assert!(matches!(kind, Err(tenure::KindError::Stopped)), "{kind:?}");
    node.stop().await;
}

async fn a_node_lives_as_long_as_its_last_handle(world: &World) {
    let accounts = world.node().await.repository::<Account>().await.unwrap();
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    let mut abandoned = accounts.execute("alice", Move { cents: 1 }).into_future();
    // Polled once, it is with the lane; then the last handles go.
    assert!((&mut abandoned).now_or_never().is_none());
    drop(abandoned);
    drop(accounts);
    let elsewhere = world.accounts().await;
    let patience = tokio::time::Instant::now() + Duration::from_secs(10);
    while elsewhere.version("alice").await.unwrap() != Version(2) {
        assert!(
            tokio::time::Instant::now() < patience,
            "what was under way still ends"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_ends_though_the_store_is_silent() {
    let shell = FaultyShell::new();
    let builder = Tenure::builder()
        .namespace("bank")
        .timeout(Duration::from_secs(600))
        .stop_timeout(Duration::from_millis(50));
    let node = builder.start_with(shell.clone()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    shell.set(|request| {
        let silent = matches!(
            request,
            StoreRequest::Publish(_) | StoreRequest::Scan { .. }
        );
        silent.then_some(Fate::Silence)
    });
    let command = tokio::spawn(accounts.execute("alice", Move { cents: 1 }).into_future());
    let history = {
        let mut history = accounts.history("alice").unwrap();
        tokio::spawn(async move { history.next().await })
    };
    // Both are with the lane when a later question was answered.
    assert!(!accounts.exists("bob").await.unwrap());
    node.stop().await;
    let command = command.await.unwrap();
    let Err(ExecuteError::Unknown { .. }) = &command else {
        panic!("{command:?}");
    };
    let history = history.await.unwrap();
    assert!(
        matches!(history, Err(LoadError::Stopped) | Ok(None)),
        "{history:?}"
    );
}
