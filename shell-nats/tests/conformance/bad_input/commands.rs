//! Commands and appends that cannot be: said no to, at the wrong version, too large, out of time.

use super::Page;
use crate::counter::{ByNothing, Increment, counters_of, incremented, one};
use crate::world::World;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::time::Duration;
use tenure::prelude::*;
use tenure::{AppendError, RawEvent, WallTime};

super::scenes! {
    both: [
        what_the_domain_refuses,
        an_expectation_that_does_not_hold,
        a_version_in_the_past,
        a_commit_above_the_limit_of_the_server,
        a_reply_above_its_limit,
        code_that_panics,
        a_command_id_out_of_time,
        a_node_that_has_stopped,
    ],
    nats: [],
}

async fn what_the_domain_refuses(world: &World, page: &mut Page) {
    let counters = counters_of::<0>(&world.node().await).await;
    counters.create("a", one()).await.unwrap();
    let by_nothing = counters.execute("a", Increment { by: 0 });
    let error = page.refused(world, "a rejected command", by_nothing).await;
    assert!(error.rejected().is_some(), "{error:?}");
}

async fn an_expectation_that_does_not_hold(world: &World, page: &mut Page) {
    let tenure = world.node().await;
    let counters = counters_of::<0>(&tenure).await;
    let log = tenure.log("counter").await.unwrap();
    counters.create("a", Increment { by: 3 }).await.unwrap();

    let stale = counters.execute("a", one()).expected(Version(2));
    let error = page
        .refused(world, "execute at an old version", stale)
        .await;
    let conflict = |expected, actual| (Version(expected), Version(actual));
    assert!(
        matches!(error, ExecuteError::Conflict { expected, actual, .. }
            if (expected, actual) == conflict(2, 3)),
        "{error:?}"
    );
    let ahead = counters.execute("a", one()).expected(Version(9));
    let error = page
        .refused(world, "execute at a version to come", ahead)
        .await;
    assert!(matches!(error, ExecuteError::Conflict { .. }), "{error:?}");
    let stale = log.append("a", [incremented(1)]).expected(Version(1));
    let error = page.refused(world, "append at an old version", stale).await;
    assert!(
        matches!(error, AppendError::Conflict { expected, actual, .. }
            if (expected, actual) == conflict(1, 3)),
        "{error:?}"
    );
    let new = log.append("a", [incremented(1)]).expected_none();
    let error = page.refused(world, "append to none", new).await;
    assert!(matches!(error, AppendError::Conflict { .. }), "{error:?}");
    let create = counters.create("a", one());
    let error = page.refused(world, "create what exists", create).await;
    assert!(
        matches!(error, ExecuteError::AlreadyExists { .. }),
        "{error:?}"
    );
    let existing = counters.execute("b", one()).existing();
    let error = page
        .refused(world, "execute on what does not exist", existing)
        .await;
    assert!(matches!(error, ExecuteError::NotFound { .. }), "{error:?}");
    let error = page
        .refused(
            world,
            "load what does not exist",
            Box::pin(counters.load("b")),
        )
        .await;
    assert!(matches!(error, LoadError::NotFound { .. }), "{error:?}");
    let ahead = Box::pin(counters.load_at("a", Version(4)));
    let error = page
        .refused(world, "load at a version to come", ahead)
        .await;
    assert!(matches!(error, LoadError::Ahead { .. }), "{error:?}");
}

async fn a_version_in_the_past(world: &World, page: &mut Page) {
    let log = world.node().await.log("counter").await.unwrap();
    let at = |version| incremented(1).at(Version(version));
    log.append("a", [at(5)]).await.unwrap();
    for (events, tried) in [
        (vec![at(5)], "the last version again"),
        (vec![at(3)], "a version in the past"),
        (vec![at(7), at(6)], "a version behind the one before it"),
    ] {
        let error = page.refused(world, tried, log.append("a", events)).await;
        assert!(
            matches!(error, AppendError::VersionNotRising { .. }),
            "{error:?}"
        );
    }
    let error = page
        .refused(world, "no event at all", log.append("a", []))
        .await;
    assert!(matches!(error, AppendError::Empty), "{error:?}");
}

/// A text of any length, and a reply of any length.
#[derive(Clone, Debug, Default)]
struct Note {
    bytes: usize,
}

#[derive(Debug, Event)]
enum Noted {
    #[event(name = "written", version = 1)]
    Written { text: String },
}

impl Aggregate for Note {
    type Event = Noted;
    const KIND: &'static str = "note";

    fn evolve(&mut self, event: &Noted) {
        let Noted::Written { text } = event;
        self.bytes += text.len();
    }
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "write", version = 1)]
struct Write {
    bytes: usize,
    reply_bytes: usize,
}

impl Decide<Write> for Note {
    type Reply = String;
    type Error = ByNothing;

    fn decide(&self, write: &Write, _: &DecideCx<'_>) -> Result<Decision<Self, String>, ByNothing> {
        let text = "x".repeat(write.bytes);
        Ok(Decision::event(Noted::Written { text }).reply("y".repeat(write.reply_bytes)))
    }
}

async fn a_commit_above_the_limit_of_the_server(world: &World, page: &mut Page) {
    let small = world.with_max_payload(65_536);
    let tenure = small.node().await;
    let notes: Repository<Note> = tenure.repository().await.unwrap();
    let write = |bytes| Write {
        bytes,
        reply_bytes: 0,
    };
    let large = notes.execute("a", write(65_536));
    let error = page.refused(&small, "one event of 64 KiB", large).await;
    assert!(
        matches!(error, ExecuteError::TooLarge { bytes, bytes_max: 65_536 } if bytes > 65_536),
        "{error:?}"
    );
    let log = tenure.log("note").await.unwrap();
    let events = (0..10).map(|_| RawEvent::new("written", 1, vec![b'x'; 7_000]));
    let error = page
        .refused(&small, "ten events of 7,000 bytes", log.append("b", events))
        .await;
    assert!(
        matches!(error, AppendError::Execute(ExecuteError::TooLarge { .. })),
        "{error:?}"
    );
    // The connection, its neighbours and the entity are well, and what fits is stored.
    let bytes = [60_000, 100].map(|bytes| notes.execute("a", write(bytes)).into_future());
    for result in futures_util::future::join_all(bytes).await {
        result.unwrap();
    }
    assert_eq!(notes.load("a").await.unwrap().state.bytes, 60_100);
}

async fn a_reply_above_its_limit(world: &World, page: &mut Page) {
    let notes: Repository<Note> = world.node().await.repository().await.unwrap();
    let write = Write {
        bytes: 1,
        reply_bytes: 5_000,
    };
    let error = page
        .refused(world, "a reply of 5,000 bytes", notes.execute("a", write))
        .await;
    assert!(
        matches!(error, ExecuteError::ReplyTooLarge { .. }),
        "{error:?}"
    );
}

async fn code_that_panics(world: &World, page: &mut Page) {
    let counters = counters_of::<0>(&world.node().await).await;
    let panics = counters.transact("a", |_| -> Result<Decision<_, ()>, Infallible> {
        panic!("no such account")
    });
    let error = page.refused(world, "a decision that panics", panics).await;
    assert!(matches!(error, ExecuteError::Failed(_)), "{error:?}");
    assert_eq!(counters.execute("a", one()).await.unwrap(), 1);
}

async fn a_command_id_out_of_time(world: &World, page: &mut Page) {
    let mut limits = tenure::Limits::default();
    (limits.command_ids_max, limits.command_ids_min) = (4, 2);
    let node = world.start(world.builder().limits(limits)).await.unwrap();
    let counters = counters_of::<0>(&node).await;
    let first = node.command_id();
    for _ in 0..8 {
        // Each id has a time of its own.
        let before = node.command_id().time();
        crate::world::until("the next millisecond", || async {
            node.command_id().time() > before
        })
        .await;
        counters.execute("a", one()).await.unwrap();
    }
    let late = counters.execute("a", one()).id(first);
    let error = page.refused(world, "an id that is too old", late).await;
    assert!(matches!(error, ExecuteError::Expired { .. }), "{error:?}");
    let tomorrow = WallTime(node.command_id().time().0 + 86_400_000);
    let early = CommandId::new(tomorrow, 1);
    let early = counters.execute("a", one()).id(early);
    let error = page.refused(world, "an id of tomorrow", early).await;
    assert!(matches!(error, ExecuteError::Ahead { .. }), "{error:?}");
    let late = counters.execute("a", one()).timeout(Duration::ZERO);
    let error = page.refused(world, "no time at all", late).await;
    assert!(matches!(error, ExecuteError::Deadline), "{error:?}");
}

async fn a_node_that_has_stopped(world: &World, page: &mut Page) {
    let tenure = world.node().await;
    let counters = counters_of::<0>(&tenure).await;
    tenure.stop().await;
    let error = page
        .refused(world, "execute", counters.execute("a", one()))
        .await;
    assert!(matches!(error, ExecuteError::Stopped), "{error:?}");
    let error = page
        .refused(world, "load", Box::pin(counters.load("a")))
        .await;
    assert!(matches!(error, LoadError::Stopped), "{error:?}");
    let error = page
        .refused(world, "use a kind", Box::pin(tenure.log("other")))
        .await;
    assert!(matches!(error, tenure::KindError::Stopped), "{error:?}");
}
