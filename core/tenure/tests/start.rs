//! Starting: places, names, and errors that say what to do.

use crate::common::{Account, Move, World, on_both_shells};
use std::num::NonZeroUsize;
use std::time::Duration;
use tenure::prelude::*;
use tenure::{NameError, SpaceError, StartError, TenureError};

on_both_shells!(
    namespaces_are_isolated,
    a_layout_is_fixed,
    several_lanes_share_the_shards,
    a_namespace_that_may_not_be_created_says_how_to,
);

async fn namespaces_are_isolated(world: &World) {
    let (bank, shop) = (
        Tenure::builder().namespace("bank"),
        Tenure::builder().namespace("shop"),
    );
    let (bank, shop) = (world.start(bank).await, world.start(shop).await);
    let here = bank.repository::<Account>().await.unwrap();
    let there = shop.repository::<Account>().await.unwrap();
    here.execute("alice", Move { cents: 1 }).await.unwrap();
    assert!(!there.exists("alice").await.unwrap());
    there.execute("alice", Move { cents: 5 }).await.unwrap();
    assert_eq!(here.load("alice").await.unwrap().state.cents, 1);
    assert_eq!(
        here.history("alice")
            .unwrap()
            .collect()
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn a_layout_is_fixed(world: &World) {
    let builder = || Tenure::builder().namespace("bank");
    world.start(builder().shards(16)).await;
    world.start(builder()).await;
    let other = builder().shards(32).start(world.place()).await.unwrap_err();
    let TenureError::Start(StartError::Space(SpaceError::LayoutDiffers { .. })) = &other else {
        panic!("{other:?}");
    };
    assert!(
        other.to_string().contains("16") && other.to_string().contains("32"),
        "{other}"
    );
    let none = builder().shards(0).start(world.place()).await;
    assert!(matches!(
        none,
        Err(TenureError::Start(StartError::Space(
            SpaceError::BadWish { .. }
        )))
    ));
}

async fn several_lanes_share_the_shards(world: &World) {
    let builder = Tenure::builder()
        .namespace("bank")
        .lanes(NonZeroUsize::new(3).unwrap());
    let node = world.start(builder).await;
    let accounts = node.repository::<Account>().await.unwrap();
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let accounts = accounts.clone();
            tokio::spawn(async move {
                let id = format!("account-{n}");
                accounts.execute(&id, Move { cents: n }).await.unwrap();
                assert_eq!(accounts.load(&id).await.unwrap().state.cents, n);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let counters = node.counters().await;
    assert_eq!((counters.requests, counters.answers), (80, 80));
    assert_eq!(counters.halts, 0);
    assert_eq!(node.recordings().await.len(), 3);
    node.stop().await;
}

async fn a_namespace_that_may_not_be_created_says_how_to(world: &World) {
    let builder = Tenure::builder().namespace("bank").create(false);
    let missing = builder.start(world.place()).await.unwrap_err();
    let TenureError::Start(StartError::Space(SpaceError::StreamMissing { .. })) = &missing else {
        panic!("{missing:?}");
    };
    assert!(missing.to_string().contains("nats stream add"), "{missing}");
}

#[tokio::test]
async fn bad_places_and_names_are_refused() {
    let place = |place: &'static str| Tenure::builder().namespace("bank").start(place);
    for unknown in [
        "",
        "bank",
        "redis://localhost",
        "nats:localhost",
        "://",
        "memory:",
    ] {
        let error = place(unknown).await.unwrap_err();
        assert!(
            matches!(error, TenureError::UnknownPlace { .. }),
            "{unknown:?}: {error:?}"
        );
    }
    let error = place("mem:../x").await.unwrap_err();
    assert!(matches!(error, TenureError::StoreName { .. }), "{error:?}");
    let error = Tenure::builder().start("mem:").await.unwrap_err();
    assert!(matches!(error, TenureError::NoNamespace), "{error:?}");
    let name = |name: &str| {
        let builder = Tenure::builder().namespace(name);
        async move {
            let error = builder.start("mem:").await.unwrap_err();
            let TenureError::Start(StartError::Name(error)) = error else {
                panic!("{error:?}");
            };
            error
        }
    };
    assert!(matches!(name("").await, NameError::Empty { .. }));
    assert!(matches!(
        name("a.b").await,
        NameError::Character { character: '.', .. }
    ));
    assert!(matches!(
        name(&"x".repeat(33)).await,
        NameError::TooLong { .. }
    ));
    assert!(matches!(name("tenure").await, NameError::Reserved { .. }));
}

#[cfg(not(feature = "nats"))]
#[tokio::test]
async fn a_place_without_its_feature_says_which() {
    let error = Tenure::builder()
        .namespace("bank")
        .start("nats://u:p@h:1")
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("\"nats\"") && text.contains("Cargo.toml") && !text.contains("u:p"));
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn a_server_that_is_not_there_is_a_clear_error() {
    let error = Tenure::builder()
        .namespace("bank")
        .start("nats://127.0.0.1:1")
        .await
        .unwrap_err();
    assert!(matches!(error, TenureError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn each_fresh_store_is_its_own_and_a_named_one_is_shared() {
    let start = |place: &'static str| async move {
        let node = Tenure::builder()
            .namespace("bank")
            .start(place)
            .await
            .unwrap();
        node.repository::<Account>().await.unwrap()
    };
    let (a, b) = (start("mem:").await, start("mem:").await);
    a.execute("alice", Move { cents: 1 }).await.unwrap();
    assert!(!b.exists("alice").await.unwrap());
    let (a, b) = (start("mem:shared").await, start("mem:shared").await);
    a.execute("alice", Move { cents: 1 }).await.unwrap();
    assert!(b.exists("alice").await.unwrap());
    tenure::MemShell::forget("shared");
    assert!(!start("mem:shared").await.exists("alice").await.unwrap());
}

#[tokio::test]
async fn a_store_that_never_answers_is_a_time_out() {
    let shell = crate::common::FaultyShell::new();
    shell.set(|_| Some(crate::common::Fate::Silence));
    let builder = Tenure::builder()
        .namespace("bank")
        .start_timeout(Duration::from_millis(50));
    let error = builder.start_with(shell).await.unwrap_err();
    let TenureError::Start(StartError::Space(SpaceError::Timeout { .. })) = &error else {
        panic!("{error:?}");
    };
}
