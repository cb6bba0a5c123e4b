//! Consumers on a real server: where they begin, how they deliver, and how they are lost.

use crate::scene::{Asks, PATIENCE, Scene, connected, message, refused, within};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::time::Duration;
use tenure_core::driver::Shell;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{
    ConsumerInfo, ConsumerSettings, Delivered, Fetched, Publish, Refused, Start, StoreDone,
    StoreReply, StoreRequest,
};
use tenure_core::step::{Outcome, Span};
use tenure_nats::NatsShell;

/// Longer than any test waits: what comes comes before.
const WAIT: Span = Span::from_secs(600);

fn settings(name: &str, filters: &[&str], from: Start) -> ConsumerSettings {
    ConsumerSettings {
        stream: "S".into(),
        name: name.into(),
        filters: filters.iter().map(|filter| (*filter).into()).collect(),
        from,
        idle: Span::from_secs(60),
    }
}

fn fetch(name: &str, messages_max: u32, bytes_max: u32, wait: Span) -> StoreRequest {
    StoreRequest::Fetch {
        stream: "S".into(),
        consumer: name.into(),
        messages_max,
        bytes_max,
        wait,
    }
}

fn fetched(reply: StoreReply) -> Fetched {
    match reply {
        Outcome::Done(StoreDone::Fetched(fetched)) => fetched,
        other => panic!("nothing was fetched: {other:?}"),
    }
}

async fn open(shell: &NatsShell, name: &str, filters: &[&str], from: Start) -> ConsumerInfo {
    let request = StoreRequest::OpenConsumer(settings(name, filters, from));
    match shell.ask(request).await {
        Outcome::Done(StoreDone::Consumer(info)) => info,
        other => panic!("not opened: {other:?}"),
    }
}

async fn close(shell: &NatsShell, name: &str) -> StoreReply {
    let (stream, consumer) = ("S".into(), name.into());
    shell
        .ask(StoreRequest::CloseConsumer { stream, consumer })
        .await
}

/// Fetches until so many came.
async fn take(shell: &NatsShell, name: &str, count: usize) -> Vec<Delivered> {
    let mut all = Vec::new();
    while all.len() < count {
        let fetching = shell.ask(fetch(name, 100, 1 << 20, WAIT));
        let Fetched { messages, .. } = fetched(within("more come", fetching).await);
        assert!(!messages.is_empty(), "{} of {count} came", all.len());
        all.extend(messages);
    }
    all
}

/// `number:sequence` of each.
fn places(messages: &[Delivered]) -> String {
    let one = |it: &Delivered| format!("{}:{}", it.number, it.message.sequence);
    messages.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn is(after: u64, pending: u64) -> ConsumerInfo {
    let after = Sequence(after);
    ConsumerInfo { after, pending }
}

async fn store(shell: &NatsShell, subjects: &[&str]) {
    for subject in subjects {
        shell.published(message(subject, "body")).await;
    }
}

/// The consumers that a server has of stream `S`.
async fn consumers(scene: &Scene) -> Vec<String> {
    let client = async_nats::connect(scene.server.url()).await.unwrap();
    let answer = client
        .request("$JS.API.CONSUMER.NAMES.S", Bytes::new())
        .await
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
    let names = answer["consumers"].as_array().into_iter().flatten();
    names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// Removes a consumer with rights of its own, as an operator may.
async fn remove(scene: &Scene, name: &str) {
    let client = async_nats::connect(scene.server.url()).await.unwrap();
    let subject = format!("$JS.API.CONSUMER.DELETE.S.{name}");
    client.request(subject, Bytes::new()).await.unwrap();
}

#[tokio::test]
async fn a_consumer_begins_where_it_is_asked_to() {
    let Scene {
        server: _server,
        shell,
    } = Scene::with_stream().await;
    let from = |sequence| Start::Sequence(Sequence(sequence));
    assert_eq!(open(&shell, "empty", &[">"], from(0)).await, is(0, 0));
    store(&shell, &["s.a", "s.b"]).await;
    let Outcome::Done(StoreDone::Message(second)) =
        shell.get(2, tenure_core::port::Source::Leader).await
    else {
        panic!("it was stored")
    };
    let later = WallTime(second.stored.0 + 1);
    within("the server's clock goes on", async {
        while shell.wall() <= later {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    store(&shell, &["s.a", "s.a", "s.c"]).await;
    assert_eq!(open(&shell, "all", &["s.>"], from(1)).await, is(0, 5));
    assert_eq!(open(&shell, "three", &["s.>"], from(3)).await, is(2, 3));
    assert_eq!(open(&shell, "beyond", &["s.>"], from(9)).await, is(8, 0));
    let time = Start::Time(later);
    assert_eq!(open(&shell, "then", &["s.>"], time).await, is(2, 3));
    let two = &["s.a", "s.c"];
    assert_eq!(open(&shell, "two", two, from(1)).await, is(0, 4));
    assert_eq!(open(&shell, "none", &["x.>"], from(1)).await, is(0, 0));
    assert_eq!(open(&shell, "new", &["s.>"], Start::New).await, is(5, 0));
    store(&shell, &["s.b", "s.c"]).await;
    let all = take(&shell, "all", 7).await;
    assert_eq!(places(&all), "1:1 2:2 3:3 4:4 5:5 6:6 7:7");
    assert_eq!(places(&take(&shell, "empty", 7).await), places(&all));
    assert_eq!(
        places(&take(&shell, "three", 5).await),
        "1:3 2:4 3:5 4:6 5:7"
    );
    assert_eq!(
        places(&take(&shell, "then", 5).await),
        "1:3 2:4 3:5 4:6 5:7"
    );
    assert_eq!(places(&take(&shell, "two", 5).await), "1:1 2:3 3:4 4:5 5:7");
    assert_eq!(places(&take(&shell, "new", 2).await), "1:6 2:7");
    let bodies = |it: &Delivered| (it.message.subject.to_string(), it.message.payload.clone());
    assert_eq!(bodies(&all[1]), ("s.b".into(), Bytes::from_static(b"body")));
    assert_eq!(all[1].message.stored, second.stored);
    store(&shell, &["s.d", "s.d"]).await;
    assert_eq!(places(&take(&shell, "beyond", 1).await), "1:9");
}

#[tokio::test]
async fn a_fetch_takes_no_more_than_it_asks_for_and_waits_no_longer() {
    let Scene {
        server: _server,
        shell,
    } = Scene::with_stream().await;
    for bytes in [10, 10, 300_000, 0, 10, 10] {
        let payload = Bytes::from(vec![b'x'; bytes]);
        shell
            .published(Publish {
                payload,
                ..message("s.a", "")
            })
            .await;
    }
    open(&shell, "c", &["s.>"], Start::Sequence(Sequence(1))).await;
    let of = async |messages_max, bytes_max| {
        let fetching = shell.ask(fetch("c", messages_max, bytes_max, WAIT));
        let Fetched { messages, pending } = fetched(within("it is answered", fetching).await);
        (places(&messages), pending)
    };
    assert_eq!(of(1, 1 << 20).await, ("1:1".into(), 5));
    assert_eq!(of(9, 100).await, ("2:2".into(), 4));
    assert_eq!(of(9, 100).await, ("3:3".into(), 3), "it is the first one");
    assert_eq!(of(2, 100).await, ("4:4 5:5".into(), 1));
    assert_eq!(of(9, 1).await, ("6:6".into(), 0));
    let before = shell.now();
    assert_eq!(of_nothing(&shell).await, 0);
    assert!(shell.now().since(before) >= Span::from_millis(200));
    let bad = |reply| matches!(refused(reply), Refused::BadRequest(_));
    assert!(bad(shell.ask(fetch("c", 0, 1, WAIT)).await));
    assert!(bad(shell.ask(fetch("c.d", 1, 1, WAIT)).await));
}

async fn of_nothing(shell: &NatsShell) -> usize {
    let reply = shell.ask(fetch("c", 9, 100, Span::from_millis(200))).await;
    fetched(reply).messages.len()
}

/// A message comes to a fetch that waits, also one of those that come after it was answered.
#[tokio::test]
async fn what_is_stored_is_delivered_at_once() {
    let Scene {
        server: _server,
        shell,
    } = Scene::with_stream().await;
    open(&shell, "c", &["s.>"], Start::New).await;
    for round in 0..50_u64 {
        let (reply, ()) = tokio::join!(shell.ask(fetch("c", 10, 1 << 20, WAIT)), async {
            tokio::task::yield_now().await;
            store(&shell, &["s.a"]).await;
        });
        let Fetched { messages, pending } = fetched(reply);
        assert_eq!(places(&messages), format!("{0}:{0}", round + 1));
        assert_eq!(pending, 0);
    }
    assert_eq!(shell.waiting(), 0);
}

#[tokio::test]
async fn two_fetches_of_one_consumer_at_once_are_not_taken() {
    let Scene {
        server: _server,
        shell,
    } = Scene::with_stream().await;
    open(&shell, "c", &["s.>"], Start::New).await;
    let wait = Span::from_millis(300);
    let (one, other) = tokio::join!(
        shell.ask(fetch("c", 1, 1, wait)),
        shell.ask(fetch("c", 1, 1, wait))
    );
    assert!(fetched(one).messages.is_empty());
    assert!(matches!(refused(other), Refused::BadRequest(_)));
}

#[tokio::test]
async fn a_consumer_that_is_removed_is_gone() {
    let scene = Scene::with_stream().await;
    let shell = &scene.shell;
    open(shell, "c", &["s.>"], Start::New).await;
    // While a fetch waits, and before one does.
    let (reply, ()) = tokio::join!(shell.ask(fetch("c", 9, 1, WAIT)), async {
        within("the fetch is asked", async {
            while shell.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        remove(&scene, "c").await;
    });
    assert_eq!(refused(reply), Refused::NoConsumer);
    for _ in 0..2 {
        let reply = shell.ask(fetch("c", 9, 1, WAIT)).await;
        assert_eq!(refused(reply), Refused::NoConsumer);
    }
    // What came before it was removed is fetched first.
    store(shell, &["s.a", "s.a", "s.a"]).await;
    open(shell, "d", &["s.>"], Start::Sequence(Sequence(1))).await;
    let first = fetched(shell.ask(fetch("d", 2, 1 << 20, WAIT)).await);
    assert_eq!(places(&first.messages), "1:1 2:2");
    remove(&scene, "d").await;
    let reply = shell.ask(fetch("d", 2, 1 << 20, WAIT)).await;
    match reply {
        Outcome::Done(StoreDone::Fetched(it)) => assert_eq!(places(&it.messages), "3:3"),
        other => assert_eq!(refused(other), Refused::NoConsumer),
    }
    within("it is gone", async {
        while shell.ask(fetch("d", 2, 1 << 20, WAIT)).await != Outcome::Refused(Refused::NoConsumer)
        {
        }
    })
    .await;
    assert_eq!(shell.waiting(), 0);
}

#[tokio::test]
async fn nothing_is_left_of_a_closed_consumer() {
    let scene = Scene::with_stream().await;
    let shell = &scene.shell;
    store(shell, &["s.a"; 30]).await;
    for name in ["a", "b", "c"] {
        open(shell, name, &["s.>"], Start::Sequence(Sequence(1))).await;
        take(shell, name, 30).await;
    }
    assert_eq!(consumers(&scene).await.len(), 3);
    for name in ["a", "b", "c", "c", "never"] {
        assert_eq!(close(shell, name).await, Outcome::Done(StoreDone::Closed));
    }
    assert!(consumers(&scene).await.is_empty());
    let elsewhere = StoreRequest::CloseConsumer {
        stream: "T".into(),
        consumer: "c".into(),
    };
    assert_eq!(shell.ask(elsewhere).await, Outcome::Done(StoreDone::Closed));
    let reply = shell.ask(fetch("a", 1, 1, WAIT)).await;
    assert_eq!(refused(reply), Refused::NoConsumer);
}

/// One that nobody fetches from goes by itself, as it does when its process has crashed.
#[tokio::test]
async fn an_idle_consumer_goes_by_itself() {
    let scene = Scene::with_stream().await;
    let idle = ConsumerSettings {
        idle: Span::from_millis(200),
        ..settings("c", &["s.>"], Start::New)
    };
    let reply = scene.shell.ask(StoreRequest::OpenConsumer(idle)).await;
    assert!(matches!(reply, Outcome::Done(_)), "{reply:?}");
    within("it goes", async {
        while !consumers(&scene).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_restarts_has_no_consumers() {
    let scene = Scene::with_stream().await;
    let shell = &scene.shell;
    let mut inbox = shell.inbox();
    store(shell, &["s.a", "s.a", "s.a"]).await;
    open(shell, "c", &["s.>"], Start::Sequence(Sequence(1))).await;
    assert_eq!(places(&take(shell, "c", 3).await), "1:1 2:2 3:3");
    connected(&mut inbox).await;
    let (reply, ()) = tokio::join!(shell.ask(fetch("c", 9, 1, WAIT)), async {
        within("the fetch is asked", async {
            while shell.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        scene.server.kill().unwrap();
    });
    assert_eq!(reply, Outcome::Unknown);
    scene.server.restart().unwrap();
    connected(&mut inbox).await;
    let gone = Outcome::Refused(Refused::NoConsumer);
    within("the server says so", async {
        while shell.ask(fetch("c", 9, 1, WAIT)).await != gone {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let again = open(shell, "c2", &["s.>"], Start::Sequence(Sequence(3))).await;
    assert_eq!(again, is(2, 1));
    assert_eq!(places(&take(shell, "c2", 1).await), "1:3");
}

/// A server that is frozen says nothing of its consumers, which is told long before the wait is over.
#[tokio::test]
async fn nothing_heard_of_a_consumer_is_told() {
    let scene = Scene::with_stream().await;
    let shell = &scene.shell;
    open(shell, "c", &["s.>"], Start::New).await;
    assert_eq!(of_nothing(shell).await, 0);
    let wait = Span::from_secs(600);
    let (reply, ()) = tokio::join!(
        async {
            let fetching = shell.ask(fetch("c", 9, 1, wait));
            tokio::time::timeout(PATIENCE, fetching)
                .await
                .expect("told in time")
        },
        async {
            within("the fetch is asked", async {
                while shell.waiting() == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            scene.server.pause().unwrap();
        }
    );
    scene.server.resume().unwrap();
    assert_eq!(reply, Outcome::Unknown);
}

#[tokio::test]
async fn a_hundred_thousand_messages_come_in_order_and_a_slow_taker_holds_few() {
    let Scene {
        server: _server,
        shell,
    } = Scene::with_stream().await;
    const COUNT: u64 = 100_000;
    let payload = Bytes::from(vec![b'x'; 256]);
    let mut under_way = Vec::new();
    for n in 0..COUNT {
        let publish = Publish {
            payload: payload.clone(),
            ..message(&format!("s.{}", n % 100), "")
        };
        let shell = shell.clone();
        under_way.push(async move { shell.published(publish).await });
        if under_way.len() == 1_000 {
            futures_util::future::join_all(under_way.drain(..)).await;
        }
    }
    let opened = open(&shell, "c", &["s.>"], Start::Sequence(Sequence(1))).await;
    assert_eq!(opened, is(0, COUNT));
    let (mut next, mut left) = (1, COUNT);
    let mut slow = 0;
    while left > 0 {
        let Fetched { messages, pending } =
            fetched(within("more come", shell.ask(fetch("c", 2_000, 1 << 20, WAIT))).await);
        for it in &messages {
            assert_eq!((it.number, it.message.sequence.0), (next, next));
            assert_eq!(it.message.subject, format!("s.{}", (next - 1) % 100));
            next += 1;
        }
        left -= messages.len() as u64;
        assert_eq!(pending, left);
        // Who takes nothing for a while is sent no more than was asked for.
        if next > 50_000 && slow < 3 {
            slow += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(shell.lost(), 0);
        }
    }
    assert_eq!(close(&shell, "c").await, Outcome::Done(StoreDone::Closed));
}

/// Has a consumer's next message go to somebody else: to the shell it is as if it were lost on its way.
async fn steal(scene: &Scene, name: &str) {
    let client = async_nats::connect(scene.server.url()).await.unwrap();
    let mut inbox = client.subscribe("thief").await.unwrap();
    let pull = format!("$JS.API.CONSUMER.MSG.NEXT.S.{name}");
    client
        .publish_with_reply(pull, "thief", "1".into())
        .await
        .unwrap();
    within("it comes to the thief", inbox.next()).await.unwrap();
}

#[tokio::test]
async fn a_last_message_that_was_lost_is_told_by_the_next_heartbeat() {
    let scene = Scene::with_stream().await;
    open(&scene.shell, "c", &[">"], Start::Sequence(Sequence(1))).await;
    store(&scene.shell, &["s.a"]).await;
    steal(&scene, "c").await;
    let fetching = scene.shell.ask(fetch("c", 10, 1 << 20, WAIT));
    let told = within("a word about the lost one", fetching).await;
    assert_eq!(told, Outcome::Unknown);
    // Another one that begins after the last that came has it.
    open(&scene.shell, "d", &[">"], Start::Sequence(Sequence(1))).await;
    assert_eq!(places(&take(&scene.shell, "d", 1).await), "1:1");
}
