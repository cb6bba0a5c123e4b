//! What a command says of itself: it comes back with its events and with nobody else's, from any
//! process, and what is too much is refused before anything is sent.

use crate::counter::{Counted, counters_of, incremented, one};
use crate::world::World;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use tenure::prelude::*;
use tenure::{AppendError, Limits, MetadataError, Past};

on_both_shells![
    metadata_comes_back_with_its_events,
    callers_of_one_commit_keep_theirs_apart,
    a_repetition_keeps_what_the_first_said,
    too_much_is_refused_before_anything_is_sent,
    a_decision_knows_what_its_command_says,
    what_leads_to_what_can_be_followed,
];

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn everything() -> Metadata {
    Metadata::new()
        .correlation("bestellung-ß-Ω-🦀")
        .causation("\u{0}\r\n\"'")
        .traceparent(PARENT)
        .unwrap()
        .tracestate("vendor=t61rcWkgMzE,other@system=1")
        .unwrap()
        .header("user", "Zoë 𝔘nicode")
        .header("Пользователь", "")
        .header("long", "x".repeat(4_000))
}

async fn metadata_comes_back_with_its_events(world: &World) {
    let tenure = world.node().await;
    let counters = counters_of::<2>(&tenure).await;
    let three = crate::counter::Increment { by: 3 };
    counters
        .execute("a", three)
        .metadata(everything())
        .await
        .unwrap();
    counters.execute("a", one()).await.unwrap();
    let transaction = counters.transact("a", |_| {
        let event = Counted::Incremented { by: 1 };
        Ok::<_, Infallible>(Decision::event(event))
    });
    let said = Metadata::new().header("by", "transaction");
    transaction.metadata(said.clone()).await.unwrap();
    let log = tenure.log("counter").await.unwrap();
    let appended = log.append("a", [incremented(1)]).metadata(everything());
    appended.await.unwrap();
    let expected = [
        everything(),
        everything(),
        everything(),
        Metadata::new(),
        said,
        everything(),
    ];
    // Of a process that was there and of one that was not, past a snapshot, typed and as stored.
    for node in [tenure, world.node().await] {
        let counters = counters_of::<2>(&node).await;
        assert_eq!(counters.load("a").await.unwrap().state.count, 6);
        let past = counters.history("a").unwrap().collect().await.unwrap();
        assert!(past.iter().map(Past::metadata).eq(&expected), "{past:?}");
        let log = node.log("counter").await.unwrap();
        let past = log
            .history("a")
            .unwrap()
            .backward()
            .collect()
            .await
            .unwrap();
        assert!(
            past.iter().rev().map(Past::metadata).eq(&expected),
            "{past:?}"
        );
    }
}

async fn callers_of_one_commit_keep_theirs_apart(world: &World) {
    let tenure = world.node().await;
    let counters = counters_of::<0>(&tenure).await;
    let metadata = |n: u64| match n % 4 {
        0 => Metadata::new(),
        1 => Metadata::new().correlation(n),
        2 => Metadata::new().header("n", n.to_string()),
        _ => everything().header("n", n.to_string()),
    };
    let mut ids = BTreeMap::new();
    let commands = (0..60).map(|n| {
        let id = tenure.command_id();
        ids.insert(id, n);
        let by = crate::counter::Increment { by: n % 3 };
        let command = counters.execute("a", by).id(id).metadata(metadata(n));
        async move { command.await.is_ok() }
    });
    let commands: Vec<_> = commands.collect();
    let accepted = join_all(commands).await.into_iter().filter(|ok| *ok);
    assert_eq!(
        accepted.count(),
        40,
        "each third counts by nothing and is refused"
    );
    let fresh = counters_of::<0>(&world.node().await).await;
    let past = fresh.history("a").unwrap().collect().await.unwrap();
    assert_eq!(past.len(), 60);
    let mut commits = BTreeSet::new();
    for past in &past {
        let n = ids[&past.command.unwrap()];
        assert_eq!(*past.metadata(), metadata(n), "of command {n}");
        commits.insert(past.commit);
    }
    assert!(
        commits.len() < 20,
        "{} commits are hardly shared",
        commits.len()
    );
}

async fn a_repetition_keeps_what_the_first_said(world: &World) {
    let tenure = world.node().await;
    let counters = counters_of::<0>(&tenure).await;
    let id = tenure.command_id();
    for said in ["first", "second"] {
        let command = counters.execute("a", one()).id(id);
        command
            .metadata(Metadata::new().correlation(said))
            .await
            .unwrap();
    }
    let past = counters.history("a").unwrap().collect().await.unwrap();
    assert_eq!(past.len(), 1);
    assert_eq!(past[0].metadata().correlation_id(), Some("first"));
}

async fn too_much_is_refused_before_anything_is_sent(world: &World) {
    let mut limits = Limits::default();
    limits.metadata_headers_max = 2;
    limits.metadata_bytes_max = 12;
    let tenure = world.start(world.builder().limits(limits)).await.unwrap();
    let counters = counters_of::<0>(&tenure).await;
    let log = tenure.log("counter").await.unwrap();
    let just = Metadata::new().header("a", "12345").header("b", "12345");
    counters
        .execute("a", one())
        .metadata(just.clone())
        .await
        .unwrap();
    let stored = world.extents().await;
    let (headers, headers_max) = (3, 2);
    let (bytes, bytes_max) = (13, 12);
    for (metadata, expected) in [
        (
            just.clone().header("c", ""),
            MetadataError::TooManyHeaders {
                headers,
                headers_max,
            },
        ),
        (
            just.correlation("x"),
            MetadataError::TooLarge { bytes, bytes_max },
        ),
        (Metadata::new().header("", "x"), MetadataError::NoName),
    ] {
        let refused = counters
            .execute("a", one())
            .metadata(metadata.clone())
            .await;
        let Err(error @ ExecuteError::Metadata(found)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(found, expected);
        assert!(!error.is_unknown() && !error.is_retryable());
        let refused = log.append("a", [incremented(1)]).metadata(metadata).await;
        assert!(
            matches!(&refused, Err(AppendError::Execute(ExecuteError::Metadata(found))) if *found == expected),
            "{refused:?}"
        );
    }
    assert_eq!(world.extents().await, stored);
    assert_eq!(counters.version("a").await.unwrap(), Version(1));
}

/// Who wrote what, by a header.
#[derive(Clone, Debug, Default)]
struct Page(Vec<String>);

#[derive(Debug, Event)]
#[event(name = "written", version = 1)]
struct Written {
    by: String,
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "write", version = 1)]
struct Write;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("nobody said who writes")]
struct Anonymous;

impl Aggregate for Page {
    type Event = Written;
    const KIND: &'static str = "page";

    fn evolve(&mut self, written: &Written) {
        self.0.push(written.by.clone());
    }
}

impl Decide<Write> for Page {
    type Reply = ();
    type Error = Anonymous;

    fn decide(&self, _: &Write, cx: &DecideCx<'_>) -> Result<Decision<Self, ()>, Anonymous> {
        let by = cx.metadata().header_value("user").ok_or(Anonymous)?;
        Ok(Decision::event(Written { by: by.to_owned() }))
    }
}

async fn a_decision_knows_what_its_command_says(world: &World) {
    let tenure = world.node().await;
    let pages = tenure.repository::<Page>().await.unwrap();
    let refused = pages.execute("a", Write).await;
    assert!(
        matches!(refused, Err(ExecuteError::Rejected(Anonymous))),
        "{refused:?}"
    );
    let writes = ["ann", "bob", "carl"].map(|user| {
        let said = Metadata::new().header("user", user);
        pages.execute("a", Write).metadata(said).into_future()
    });
    for written in join_all(writes).await {
        written.unwrap();
    }
    let mut by = pages.load("a").await.unwrap().state.0;
    by.sort_unstable();
    assert_eq!(by, ["ann", "bob", "carl"]);
}

async fn what_leads_to_what_can_be_followed(world: &World) {
    let tenure = world.node().await;
    let counters = counters_of::<0>(&tenure).await;
    let root = tenure.command_id();
    let said = Metadata::new()
        .header("user", "ann")
        .traceparent(PARENT)
        .unwrap();
    counters
        .execute("a", one())
        .id(root)
        .metadata(said)
        .await
        .unwrap();
    counters.execute("a", one()).await.unwrap();
    let mut causes = vec![root];
    for _ in 0..3 {
        let last = counters
            .history("a")
            .unwrap()
            .command(causes[causes.len() - 1]);
        let past = last.collect().await.unwrap();
        let follow_up = Metadata::caused_by(&past[0]);
        assert_eq!(follow_up.correlation_id(), Some(&*root.to_string()));
        assert_eq!(
            follow_up.causation_id(),
            past[0].command.map(|id| id.to_string()).as_deref()
        );
        assert_eq!(
            follow_up.trace().map(ToString::to_string).as_deref(),
            Some(PARENT)
        );
        assert_eq!(follow_up.headers().count(), 0);
        let id = tenure.command_id();
        counters
            .execute("a", one())
            .id(id)
            .metadata(follow_up)
            .await
            .unwrap();
        causes.push(id);
    }
    // The command that began it has no correlation id, and is of the same work.
    let work = counters.history("a").unwrap().correlation(root);
    let work = work.collect().await.unwrap();
    let commands: Vec<_> = work.iter().filter_map(|past| past.command).collect();
    assert_eq!(commands, causes);
}
