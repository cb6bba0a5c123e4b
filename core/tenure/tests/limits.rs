//! What is too large is refused before anything is sent, and its neighbours do not notice.

use crate::common::{Account, AccountEvent, Move, World, on_both_shells};
use futures_util::future::join_all;
use tenure::prelude::*;
use tenure::{AppendError, Limits, RawEvent};

on_both_shells!(
    a_commit_above_the_servers_limit_is_refused_alone,
    a_reply_that_is_too_large_is_refused_alone,
    too_many_commands_at_once_are_overload,
    too_many_histories_at_once_are_overload,
);

const MEGABYTE: usize = 1 << 20;

async fn a_commit_above_the_servers_limit_is_refused_alone(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let log = node.log("account").await.unwrap();
    let large = |_: &Account| -> Result<_, String> {
        let owner = "x".repeat(MEGABYTE);
        Ok(Decision::event(AccountEvent::Opened { owner }))
    };
    let neighbours: Vec<_> = (0..20)
        .map(|n| {
            let accounts = accounts.clone();
            let id = if n % 2 == 0 {
                "alice".to_owned()
            } else {
                format!("other-{n}")
            };
            tokio::spawn(async move { accounts.execute(id, Move { cents: 1 }).await })
        })
        .collect();
    let refused = accounts.transact("alice", large).await;
    let Err(error @ ExecuteError::TooLarge { bytes, bytes_max }) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        bytes > MEGABYTE && bytes_max <= MEGABYTE,
        "{bytes} of {bytes_max}"
    );
    assert!(!error.is_unknown() && error.to_string().contains("max_payload"));
    let raw = log
        .append("alice", [RawEvent::new("opened", 1, vec![0; MEGABYTE])])
        .await;
    assert!(
        matches!(
            raw,
            Err(AppendError::Execute(ExecuteError::TooLarge { .. }))
        ),
        "{raw:?}"
    );
    for neighbour in neighbours {
        neighbour.await.unwrap().unwrap();
    }
    assert_eq!(accounts.load("alice").await.unwrap().state.cents, 10);
}

async fn a_reply_that_is_too_large_is_refused_alone(world: &World) {
    let accounts = world.accounts().await;
    let answer = |bytes: usize| {
        move |_: &Account| -> Result<_, ()> {
            let event = AccountEvent::Moved { cents: 1 };
            Ok(Decision::event(event).reply("x".repeat(bytes)))
        }
    };
    let (good, bad) = (answer(100), answer(5_000));
    let (before, refused, after) = tokio::join!(
        accounts.transact("alice", good).into_future(),
        accounts.transact("alice", bad).into_future(),
        accounts.transact("alice", good).into_future(),
    );
    assert!(
        matches!(refused, Err(ExecuteError::ReplyTooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!((before.unwrap().len(), after.unwrap().len()), (100, 100));
    assert_eq!(accounts.load("alice").await.unwrap().state.cents, 2);
}

async fn too_many_commands_at_once_are_overload(world: &World) {
    let mut limits = Limits::default();
    limits.entity_queue_max = 2;
    let node = world
        .start(Tenure::builder().namespace("bank").limits(limits))
        .await;
    let accounts = node.repository::<Account>().await.unwrap();
    let commands: Vec<_> = (0..50)
        .map(|_| {
            let accounts = accounts.clone();
            tokio::spawn(async move { accounts.execute("alice", Move { cents: 1 }).await })
        })
        .collect();
    let (mut done, mut overloaded) = (0, 0);
    for command in commands {
        match command.await.unwrap() {
            Ok(_) => done += 1,
            Err(error) => {
                assert!(matches!(error, ExecuteError::Overloaded), "{error:?}");
                assert!(error.is_retryable() && !error.is_unknown());
                overloaded += 1;
            }
        }
    }
    assert!(
        done > 0 && overloaded > 0,
        "{done} done, {overloaded} overloaded"
    );
    assert_eq!(accounts.load("alice").await.unwrap().state.cents, done);
}

async fn too_many_histories_at_once_are_overload(world: &World) {
    let mut limits = Limits::default();
    limits.histories_max = 2;
    let node = world
        .start(Tenure::builder().namespace("bank").limits(limits))
        .await;
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    let read = || accounts.history("alice").unwrap().collect();
    let mut done = 0;
    for result in join_all((0..50).map(|_| read())).await {
        match result {
            Ok(past) => {
                assert_eq!(past.len(), 1);
                done += 1;
            }
            Err(error) => assert!(matches!(error, LoadError::Overloaded), "{error:?}"),
        }
    }
    assert!((2..50).contains(&done), "{done} done");
    assert_eq!(read().await.unwrap().len(), 1);
}
