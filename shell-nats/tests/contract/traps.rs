//! The traps that were found in nats-server 2.15.1 and async-nats 0.51 (`reference/nats.md`, §0), each by its
//! number, so that a version that is without one tells so. Each is sprung on a real server and on the front.
//!
//! Those of queues and time are in `traps_of_time`, that of memory in `traps_of_memory`; which have no test here, and
//! why, is in DESIGN.md.

use crate::front::FrontServer;
use crate::stage::Place;
use async_nats::header::HeaderMap;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, kv, stream};
use async_nats::{Client, ConnectOptions, Event, RequestErrorKind};
use futures_util::StreamExt as _;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tenure_nats_server::NatsServer;
use tokio::time::{sleep, timeout};

/// How long something may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
const LAST: &str = "Nats-Expected-Last-Subject-Sequence";

/// A server or the front.
pub(crate) enum Sprung {
    Server(Box<NatsServer>),
    Front(FrontServer),
}

impl Sprung {
    pub(crate) async fn at(place: Place) -> Self {
        match place {
            Place::Server => Self::Server(Box::new(NatsServer::start().expect("a server"))),
            Place::Front => Self::Front(FrontServer::start().await),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Server(server) => server.url(),
            Self::Front(front) => front.url().into(),
        }
    }

    pub(crate) async fn client(&self) -> Client {
        let client = async_nats::connect(self.url()).await;
        client.expect("it is there")
    }

    pub(crate) fn end(self) {
        match self {
            Self::Server(server) => server.kill().expect("it is killed"),
            Self::Front(front) => drop(front),
        }
    }
}

macro_rules! on_server_and_front {
    ($($name:ident),* $(,)?) => {
        mod server {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name($crate::stage::Place::Server).await;
                }
            )*
        }

        mod front {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name($crate::stage::Place::Front).await;
                }
            )*
        }
    };
}
pub(crate) use on_server_and_front;

on_server_and_front!(
    a_wrong_last_id_is_refused_where_nothing_is_replicated,
    a_key_that_is_created_over_a_marker_lasts,
    a_time_to_live_is_raised_to_that_of_markers,
    a_time_to_live_below_a_second_is_refused,
    an_update_takes_the_time_to_live_away,
    an_expectation_comes_before_an_id_where_nothing_is_replicated,
    a_request_outlives_its_connection,
    who_is_slow_loses_messages,
    a_client_that_was_drained_takes_messages,
    a_refusal_in_a_batch_has_no_kind,
);

/// A stream `S` that takes `s.>`.
pub(crate) async fn stream(client: &Client, more: stream::Config) -> jetstream::Context {
    let js = jetstream::new(client.clone());
    let config = stream::Config {
        name: "S".into(),
        subjects: vec!["s.>".into()],
        ..more
    };
    js.create_stream(config).await.expect("a stream");
    js
}

async fn bucket(js: &jetstream::Context) -> kv::Store {
    let config = kv::Config {
        bucket: "b".into(),
        limit_markers: Some(SECOND),
        ..kv::Config::default()
    };
    js.create_key_value(config).await.expect("a bucket")
}

/// A message with headers, and what it was answered.
pub(crate) async fn publish(
    js: &jetstream::Context,
    headers: &[(&'static str, &str)],
) -> Result<u64, PublishError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    let sent = js.publish_with_headers("s.a", map, "body".into()).await;
    let ack = sent.expect("it is sent").await?;
    Ok(ack.sequence)
}

pub(crate) fn number(error: &PublishError) -> Option<u64> {
    let source = error.source()?.downcast_ref::<jetstream::Error>()?;
    Some(source.error_code().0)
}

/// Whether the last message of a key has a time to live of its own.
async fn ends(js: &jetstream::Context, key: &str) -> bool {
    let stream = js.get_stream("KV_b").await.expect("the bucket's stream");
    let subject = format!("$KV.b.{key}");
    let last = stream.get_last_raw_message_by_subject(&subject).await;
    last.expect("the key").headers.get("Nats-TTL").is_some()
}

/// 1. On a replicated stream it hangs the stream; `disturbed` has that.
async fn a_wrong_last_id_is_refused_where_nothing_is_replicated(place: Place) {
    let at = Sprung::at(place).await;
    let client = at.client().await;
    let js = stream(&client, stream::Config::default()).await;
    let refused = publish(&js, &[("Nats-Expected-Last-Msg-Id", "none")]).await;
    let refused = refused.expect_err("no message has the id");
    assert_eq!(refused.kind(), PublishErrorKind::WrongLastMessageId);
    assert_eq!(publish(&js, &[]).await.expect("it goes on"), 1);
}

/// 2. The client falls back to an update, which has none (5).
async fn a_key_that_is_created_over_a_marker_lasts(place: Place) {
    let at = Sprung::at(place).await;
    let js = jetstream::new(at.client().await);
    let bucket = bucket(&js).await;
    let first = bucket.create_with_ttl("k", "1".into(), SECOND).await;
    first.expect("nobody has it");
    assert!(ends(&js, "k").await);
    let mut keys = bucket.watch_with_history("k").await.expect("a watch");
    let marked = async {
        while let Some(Ok(entry)) = keys.next().await {
            if entry.operation == kv::Operation::Purge {
                return;
            }
        }
        panic!("the watch ended");
    };
    timeout(PATIENCE, marked).await.expect("its time is over");
    let second = bucket.create_with_ttl("k", "2".into(), SECOND).await;
    second.expect("nobody has it");
    assert!(!ends(&js, "k").await);
}

/// 3.
async fn a_time_to_live_is_raised_to_that_of_markers(place: Place) {
    let at = Sprung::at(place).await;
    let config = stream::Config {
        allow_message_ttl: true,
        subject_delete_marker_ttl: Some(Duration::from_secs(60)),
        max_messages_per_subject: 2,
        ..stream::Config::default()
    };
    let js = stream(&at.client().await, config).await;
    let short = publish(&js, &[("Nats-TTL", "1s")]).await;
    assert_eq!(short.expect("it is stored"), 1);
    sleep(Duration::from_millis(1_600)).await;
    let mut stream = js.get_stream("S").await.expect("the stream");
    let state = &stream.info().await.expect("a description").state;
    assert_eq!((state.messages, state.last_sequence), (1, 1));
}

/// 4.
async fn a_time_to_live_below_a_second_is_refused(place: Place) {
    let at = Sprung::at(place).await;
    let config = stream::Config {
        allow_message_ttl: true,
        ..stream::Config::default()
    };
    let js = stream(&at.client().await, config).await;
    let refused = publish(&js, &[("Nats-TTL", "500ms")]).await;
    assert_eq!(number(&refused.expect_err("half a second")), Some(10_165));
    let cut = publish(&js, &[("Nats-TTL", "1500ms")]).await;
    assert_eq!(cut.expect("it is one second"), 1);
}

/// 5.
async fn an_update_takes_the_time_to_live_away(place: Place) {
    let at = Sprung::at(place).await;
    let js = jetstream::new(at.client().await);
    let bucket = bucket(&js).await;
    let ttl = Duration::from_secs(60);
    let revision = bucket.create_with_ttl("k", "1".into(), ttl).await;
    assert!(ends(&js, "k").await);
    let revision = revision.expect("nobody has it");
    let update = bucket.update("k", "2".into(), revision).await;
    update.expect("the revision is right");
    assert!(!ends(&js, "k").await);
}

/// 8.
async fn an_expectation_comes_before_an_id_where_nothing_is_replicated(place: Place) {
    let at = Sprung::at(place).await;
    let js = stream(&at.client().await, stream::Config::default()).await;
    let own = [("Nats-Msg-Id", "one"), (LAST, "0")];
    assert_eq!(publish(&js, &own).await.expect("it is the first"), 1);
    let again = publish(&js, &own).await.expect_err("it is there");
    assert_eq!(again.kind(), PublishErrorKind::WrongLastSequence);
}

/// 9. The client does not fail it when the connection ends.
async fn a_request_outlives_its_connection(place: Place) {
    let at = Sprung::at(place).await;
    let other = at.client().await;
    let mut asked = other.subscribe("ask").await.expect("it listens");
    other.flush().await.expect("the server knows");
    let options = ConnectOptions::new().request_timeout(Some(SECOND));
    let client = options.connect(at.url()).await.expect("it is there");
    let request = tokio::spawn(async move { client.request("ask", "?".into()).await });
    let heard = timeout(PATIENCE, asked.next()).await;
    heard.expect("it is asked in time").expect("it is asked");
    at.end();
    let told = request.await.expect("it ends").expect_err("no answer");
    assert_eq!(told.kind(), RequestErrorKind::TimedOut);
}

/// 11. Only an event of the client says so.
async fn who_is_slow_loses_messages(place: Place) {
    let at = Sprung::at(place).await;
    let told = Arc::new(AtomicBool::new(false));
    let event = Arc::clone(&told);
    let options = ConnectOptions::new().subscription_capacity(8);
    let options = options.event_callback(move |it| {
        let event = Arc::clone(&event);
        async move {
            event.fetch_or(matches!(it, Event::SlowConsumer(_)), Ordering::Relaxed);
        }
    });
    let slow = options.connect(at.url()).await.expect("it is there");
    let mut heard = slow.subscribe("flood").await.expect("it listens");
    slow.flush().await.expect("the server knows");
    let client = at.client().await;
    for n in 0..100 {
        let sent = client.publish("flood", n.to_string().into()).await;
        sent.expect("it is sent");
    }
    client.flush().await.expect("all are sent");
    // What was sent before this answer was there before it.
    slow.request("nobody", "".into())
        .await
        .expect_err("nobody listens");
    let lost = async {
        while !told.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, lost).await.expect("it is told");
    let mut count = 0;
    while timeout(Duration::from_millis(100), heard.next())
        .await
        .is_ok()
    {
        count += 1;
    }
    assert!((1..100).contains(&count), "{count}");
}

/// 18.
async fn a_client_that_was_drained_takes_messages(place: Place) {
    let at = Sprung::at(place).await;
    let client = at.client().await;
    client.drain().await.expect("it is drained");
    assert!(client.publish("a", "lost".into()).await.is_ok());
}

/// 19. The number says what the kind does not.
async fn a_refusal_in_a_batch_has_no_kind(place: Place) {
    let at = Sprung::at(place).await;
    let config = stream::Config {
        allow_atomic_publish: true,
        ..stream::Config::default()
    };
    let client = at.client().await;
    let js = stream(&client, config).await;
    let mut first = HeaderMap::new();
    for (name, value) in [
        ("Nats-Batch-Id", "b"),
        ("Nats-Batch-Sequence", "1"),
        (LAST, "0"),
    ] {
        first.insert(name, value);
    }
    let begun = client.request_with_headers("s.a", first, "1".into()).await;
    assert!(begun.expect("it is begun").payload.is_empty());
    let last = [
        ("Nats-Batch-Id", "b"),
        ("Nats-Batch-Sequence", "2"),
        ("Nats-Batch-Commit", "1"),
        (LAST, "0"),
    ];
    let refused = publish(&js, &last).await.expect_err("one subject twice");
    assert_eq!(refused.kind(), PublishErrorKind::Other);
    assert_eq!(number(&refused), Some(10_164));
}
