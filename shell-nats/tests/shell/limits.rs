//! Limits: sizes, lengths, time-outs and what they leave behind.

use crate::scene::{Asks, Scene, connected, listen, message, next, refused, within};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tenure_core::driver::{Inbound, Shell};
use tenure_core::id::{BatchId, Sequence};
use tenure_core::port::{Ack, Publish, Refused, StoreDone, StoreRequest};
use tenure_core::step::{Outcome, Span, Time};
use tenure_nats::NatsOptions;
use tenure_nats_server::NatsServer;

#[tokio::test]
async fn asks_that_time_out_or_are_dropped_leave_nothing() {
    let server = NatsServer::start().unwrap();
    let short = |options: NatsOptions| options.store_timeout(Span::from_millis(500));
    let Scene { shell, server } = Scene::on(server, short).await;
    let _quiet = listen(&server, "quiet.>").await;
    let asks: Vec<_> = (0..3_000)
        .map(|n| {
            let shell = shell.clone();
            let ask = message(&format!("quiet.{n}"), "x");
            tokio::spawn(async move { shell.store(StoreRequest::Publish(ask)).await })
        })
        .collect();
    let mut unknown = 0;
    for (place, ask) in asks.into_iter().enumerate() {
        if place % 3 == 0 {
            ask.abort();
            let _ = ask.await;
            continue;
        }
        match within("an ask", ask).await.unwrap() {
            Outcome::Unknown => unknown += 1,
            // It had waited for its place in flight until its deadline, and was never sent.
            Outcome::Refused(Refused::Overloaded) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(unknown >= 500, "{unknown} asks were in flight");
    assert_eq!(shell.waiting(), 0);
}

#[tokio::test]
async fn the_longest_subject_is_published_and_acknowledged() {
    let Scene {
        shell,
        server: _server,
    } = Scene::with_stream().await;
    // 1 KiB of emoji, each byte escaped by three: the longest id (S1).
    let subject = format!("s.{}", "x".repeat(3_200));
    let sequence = shell.published(message(&subject, "long")).await;
    let latest = StoreRequest::Latest {
        stream: "S".into(),
        subjects: vec![subject.as_str().into()],
    };
    let Outcome::Done(StoreDone::Latest(found)) = shell.ask(latest).await else {
        panic!()
    };
    assert_eq!(found.messages[0].subject, subject);
    assert_eq!(found.messages[0].sequence, sequence);

    // One that no control line takes would cost the connection: it is not sent.
    let mut inbox = shell.inbox();
    connected(&mut inbox).await;
    let longer = message(&format!("s.{}", "x".repeat(4_096)), "too long");
    assert!(matches!(
        refused(shell.publish(longer).await),
        Refused::BadRequest(_)
    ));
    shell.published(message("s.a", "x")).await;
    assert!(inbox.is_empty());
}

#[tokio::test]
async fn subjects_are_taken_to_the_last_byte_of_the_control_line() {
    let Scene {
        shell,
        server: _server,
    } = Scene::with_stream().await;
    let mut inbox = shell.inbox();
    connected(&mut inbox).await;
    let mut longest = 0;
    for length in (3_900..4_100).step_by(20) {
        let subject = format!("s.{}", "x".repeat(length));
        match shell.publish(message(&subject, "x")).await {
            Outcome::Done(_) => longest = length,
            Outcome::Refused(Refused::BadRequest(_)) => {}
            other => panic!("{length}: {other:?}"),
        }
    }
    assert!(longest >= 3_900, "{longest}");
    assert!(inbox.is_empty(), "the connection was lost");
}

#[tokio::test]
async fn a_message_above_the_limit_is_not_sent_and_its_neighbour_is_unharmed() {
    let server = NatsServer::builder()
        .config("max_payload: 10000")
        .start()
        .unwrap();
    let Scene { shell, server } = Scene::on(server, |options| options).await;
    let mut inbox = shell.inbox();
    assert_eq!(connected(&mut inbox).await.payload_bytes_max, 10_000);
    shell.created(crate::scene::events("S", "s.>")).await;

    // A neighbour stays in flight until it is answered below.
    let (client, mut asks) = listen(&server, "slow.>").await;
    let neighbour = {
        let shell = shell.clone();
        tokio::spawn(async move {
            shell
                .store(StoreRequest::Publish(message("slow.a", "x")))
                .await
        })
    };
    let ask = within("the neighbour", asks.next()).await.unwrap();

    let large = |bytes| Publish {
        payload: Bytes::from(vec![0; bytes]),
        ..message("s.a", "")
    };
    assert_eq!(
        refused(shell.publish(large(10_000)).await),
        Refused::TooLarge
    );
    let batch = vec![message("s.b", "small"), large(10_000)];
    let batch = StoreRequest::Batch {
        id: BatchId(1),
        messages: batch,
    };
    assert_eq!(refused(shell.ask(batch).await), Refused::TooLarge);
    shell.published(large(9_900)).await;

    let answer = "{\"stream\":\"S\",\"seq\":77}";
    client
        .publish(ask.reply.unwrap(), answer.into())
        .await
        .unwrap();
    let ack = Ack {
        sequence: Sequence(77),
        duplicate: false,
    };
    let answered = within("the neighbour", neighbour).await.unwrap();
    assert_eq!(answered, Outcome::Done(StoreDone::Published(ack)));
    assert!(inbox.is_empty(), "the connection was lost");
}

#[tokio::test]
async fn an_acknowledgement_of_another_stream_proves_nothing() {
    let Scene { shell, server } = Scene::start().await;
    let (client, mut asks) = listen(&server, "other.>").await;
    tokio::spawn(async move {
        while let Some(ask) = asks.next().await {
            let answer = if ask.payload == "json" {
                "{\"stream\":\"T\",\"seq\":1}"
            } else {
                "?"
            };
            client
                .publish(ask.reply.unwrap(), answer.into())
                .await
                .unwrap();
        }
    });
    assert_eq!(
        shell.publish(message("other.a", "json")).await,
        Outcome::Unknown
    );
    assert_eq!(
        shell.publish(message("other.a", "garbage")).await,
        Outcome::Unknown
    );
}

#[tokio::test]
async fn more_than_may_be_in_flight_wait_their_turn() {
    let server = NatsServer::start().unwrap();
    let Scene {
        shell,
        server: _server,
    } = Scene::on(server, |o| o.in_flight_max(4)).await;
    shell.created(crate::scene::events("S", "s.>")).await;
    let writes = (0..200).map(|n| {
        let shell = shell.clone();
        async move { shell.published(message(&format!("s.{n}"), "x")).await }
    });
    let stored = within("the writes", futures_util::future::join_all(writes)).await;
    assert_eq!(stored.len(), 200);
}

#[tokio::test]
async fn the_clock_and_its_sleep_agree() {
    let Scene {
        shell,
        server: _server,
    } = Scene::start().await;
    let at = shell.now() + Span::from_millis(30);
    within("the sleep", shell.sleep_until(at)).await;
    assert!(shell.now() >= at);
    within("the past", shell.sleep_until(Time::ZERO)).await;
    assert_ne!(shell.seed(), shell.seed());
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let task = shell.spawn(async move {
        let _held = sender;
        std::future::pending::<()>().await;
    });
    task.abort();
    let ended: Result<(), _> = within("the task", receiver).await;
    assert!(ended.is_err());
    let mut inbox = shell.inbox();
    assert!(matches!(next(&mut inbox).await, Inbound::Connected(..)));
}
