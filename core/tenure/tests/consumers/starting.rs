//! A start that takes long: who waits for it is told what it waits for.

use super::{Notes, moved, noting, soon};
use crate::common::{Account, Fate, FaultyShell, Move};
use std::time::Duration;
use tenure::consumer::{Consumed, ConsumerError, Group, StallReason, State};
use tenure::prelude::*;
use tenure::{RawEvent, StoreRequest};
use tenure_core::port::Refused;
use tenure_core::step::Outcome;

/// As a server refuses whose account has too many consumers.
fn too_many() -> Refused {
    Refused::Other {
        code: 10_026,
        text: "maximum consumers limit reached".into(),
    }
}

/// A node whose store refuses some requests in this way.
async fn node(refused: impl Fn(&StoreRequest) -> bool + Send + 'static) -> (FaultyShell, Tenure) {
    let shell = FaultyShell::new();
    let cluster = Cluster::named("a").settle(Duration::from_millis(20));
    let node = Tenure::builder().namespace("bank").cluster(cluster);
    let node = node.start_with(shell.clone()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    shell.set(move |request| {
        let refuse = refused(request);
        refuse.then(|| Fate::Answer(Outcome::Refused(too_many())))
    });
    (shell, node)
}

fn opens(request: &StoreRequest) -> bool {
    matches!(request, StoreRequest::OpenConsumer(_))
}

#[tokio::test]
async fn a_consumer_that_does_not_start_in_time_says_what_it_waited_for() {
    let (_shell, node) = node(opens).await;
    let start = noting(&node, "second", &Notes::default());
    let start = start.start_timeout(Duration::from_millis(300)).start();
    let error = soon(start).await.unwrap_err();
    let text = error.to_string();
    let ConsumerError::Timeout { name, waits_for } = error else {
        panic!("{error:?}");
    };
    assert_eq!(name, "second");
    let StallReason::Store { refused, tries, .. } = waits_for else {
        panic!("{waits_for:?}");
    };
    assert_eq!(refused, Some(too_many()));
    assert!(tries > 0, "{tries}");
    for part in [
        "second",
        "open event stream 0",
        "maximum consumers limit reached",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test]
async fn a_consumer_that_starts_without_a_connection_says_so() {
    let (shell, node) = node(|_| false).await;
    let accounts = node.repository::<Account>().await.unwrap();
    shell.disconnect();
    let command = || accounts.execute("alice", Move { cents: 1 });
    // Until the loss is known.
    while command().timeout(Duration::from_millis(20)).await.is_ok() {}
    // Of no kind, which it would wait for first.
    let start = node
        .consumer("second")
        .raw(|_: Consumed<RawEvent>| async {});
    let start = start.start_timeout(Duration::from_millis(50)).start();
    let text = soon(start).await.unwrap_err().to_string();
    assert!(text.contains("there is no connection"), "{text}");
}

/// Its start is over when the node takes part; each partition starts after that, and may hang.
#[tokio::test]
async fn a_partition_that_does_not_start_is_stalled() {
    let (shell, node) = node(opens).await;
    let group = noting(&node, "readers", &Notes::default())
        .pace(|pace| pace.stall_after = tenure::Span::from_millis(100))
        .grouped(Group::partitions(1));
    let group = soon(group.start()).await.unwrap();
    let stalled = group.until_status(|status| {
        let here = status.partitions[0].here.as_ref();
        here.is_some_and(|here| here.stalled.is_some())
    });
    soon(stalled).await.unwrap();
    let here = group.status().partitions.remove(0).here.unwrap();
    assert_eq!(here.state, State::Starting);
    let why = here.stalled.unwrap().reason.to_string();
    assert!(why.contains("maximum consumers limit reached"), "{why}");
    assert_eq!(node.counters().await.consumers_stalled, 1);
    shell.set(|_| None);
    soon(group.live()).await.unwrap();
    let here = group.status().partitions.remove(0).here.unwrap();
    assert_eq!((here.stalled, here.waits_for), (None, None));
}

#[tokio::test]
async fn a_group_that_does_not_start_in_time_says_what_it_waited_for() {
    let names = |request: &StoreRequest| matches!(request, StoreRequest::Latest { stream, .. } if stream.as_str() == "bank_con");
    let (_shell, node) = node(names).await;
    let start = noting(&node, "readers", &Notes::default())
        .start_timeout(Duration::from_millis(300))
        .grouped(Group::partitions(1));
    let text = soon(start.start()).await.unwrap_err().to_string();
    for part in [
        "readers",
        "the group's record",
        "maximum consumers limit reached",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
