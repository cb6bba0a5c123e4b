//! Losing the server and finding it again.

use crate::scene::{Asks, Scene, acknowledged, connected, events, listen, message, next, within};
use bytes::Bytes;
use std::time::Duration;
use tenure_core::driver::{Inbound, Shell};
use tenure_core::port::{Publish, Refused, Source, StoreDone, StoreRequest};
use tenure_core::step::{Outcome, Span};
use tenure_nats::{NatsOptions, NatsShell};
use tenure_nats_server::{Cluster, NatsServer};

async fn in_flight(shell: &NatsShell, count: usize) {
    within("asks in flight", async {
        while shell.waiting() != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_in_flight_when_the_server_dies_is_unknown_at_once() {
    let server = NatsServer::start().unwrap();
    let long = |options: NatsOptions| options.store_timeout(Span::from_secs(120));
    let Scene { shell, server } = Scene::on(server, long).await;
    let mut inbox = shell.inbox();
    assert!(matches!(next(&mut inbox).await, Inbound::Connected(..)));
    let _quiet = listen(&server, "quiet.>").await;
    let ask = |request: StoreRequest| {
        let shell = shell.clone();
        tokio::spawn(async move { shell.store(request).await })
    };
    let write = ask(StoreRequest::Publish(message("quiet.a", "x")));
    in_flight(&shell, 1).await;
    // A read that stays in flight: a stream's name that the quiet one listens to.
    let _reads = listen(&server, "$JS.API.DIRECT.GET.Q").await;
    let read = ask(StoreRequest::Latest {
        stream: "Q".into(),
        subjects: vec!["q".into()],
    });
    in_flight(&shell, 2).await;

    server.kill().unwrap();
    assert_eq!(within("the write", write).await.unwrap(), Outcome::Unknown);
    assert_eq!(within("the read", read).await.unwrap(), Outcome::Unknown);
    assert_eq!(next(&mut inbox).await, Inbound::Disconnected);
    let not_connected = Outcome::Refused(Refused::NotConnected);
    assert_eq!(shell.publish(message("s.a", "x")).await, not_connected);
    assert_eq!(shell.get(1, Source::Replica).await, not_connected);
    // Who listens only now hears of the present state.
    assert_eq!(next(&mut shell.inbox()).await, Inbound::Disconnected);

    server.restart().unwrap();
    assert!(connected(&mut inbox).await.jetstream);
    shell.created(events("S", "s.>")).await;
    shell.published(message("s.a", "x")).await;
    assert_eq!(shell.waiting(), 0);
}

#[tokio::test]
async fn what_is_for_one_connection_does_not_go_over_the_next() {
    let server = NatsServer::start().unwrap();
    let Scene { shell, server } = Scene::on(server, |options| options).await;
    shell.created(events("S", "s.>")).await;
    let mut inbox = shell.inbox();
    let Inbound::Connected(_, first) = next(&mut inbox).await else {
        panic!("it is connected from the start");
    };
    let during = shell.during(first);
    during.published(message("s.a", "x")).await;
    server.kill().unwrap();
    assert_eq!(next(&mut inbox).await, Inbound::Disconnected);
    server.restart().unwrap();
    let Inbound::Connected(_, second) = next(&mut inbox).await else {
        panic!("it is connected again");
    };
    assert!(second > first);
    let not_connected = Outcome::Refused(Refused::NotConnected);
    assert_eq!(during.publish(message("s.b", "x")).await, not_connected);
    assert_eq!(during.get(1, Source::Leader).await, not_connected);
    let during = shell.during(second);
    during.published(message("s.c", "x")).await;
}

#[tokio::test]
async fn a_frozen_server_leaves_unknown_and_is_found_again() {
    let server = NatsServer::start().unwrap();
    let short = |options: NatsOptions| options.store_timeout(Span::from_secs(2));
    let Scene { shell, server } = Scene::on(server, short).await;
    shell.created(events("S", "s.>")).await;
    let mut inbox = shell.inbox();
    connected(&mut inbox).await;

    server.pause().unwrap();
    let write = within("the write", shell.publish(message("s.a", "late"))).await;
    assert_eq!(write, Outcome::Unknown);
    assert_eq!(next(&mut inbox).await, Inbound::Disconnected);
    let refused = shell.publish(message("s.b", "x")).await;
    assert_eq!(refused, Outcome::Refused(Refused::NotConnected));

    server.resume().unwrap();
    connected(&mut inbox).await;
    shell.published(message("s.c", "x")).await;
}

#[tokio::test]
async fn what_the_client_could_not_write_is_not_sent_after_the_next_connect() {
    const WRITES: u64 = 1_000;
    const BYTES: usize = 100_000;
    let server = NatsServer::start().unwrap();
    let short = |options: NatsOptions| options.store_timeout(Span::from_secs(2));
    let Scene { shell, server } = Scene::on(server, short).await;
    shell.created(events("S", "s.>")).await;
    let mut inbox = shell.inbox();
    connected(&mut inbox).await;

    // Far more than the sockets' buffers take, and all of it handed to the client.
    server.pause().unwrap();
    let body = Bytes::from(vec![b'x'; BYTES]);
    let writes: Vec<_> = (0..WRITES)
        .map(|n| {
            let payload = body.clone();
            let write = Publish {
                payload,
                ..message(&format!("s.{n}"), "")
            };
            let shell = shell.clone();
            tokio::spawn(async move { shell.store(StoreRequest::Publish(write)).await })
        })
        .collect();
    for write in writes {
        assert_eq!(within("a write", write).await.unwrap(), Outcome::Unknown);
    }
    assert_eq!(next(&mut inbox).await, Inbound::Disconnected);

    server.resume().unwrap();
    connected(&mut inbox).await;
    // The old connection's bytes are the operating system's; wait until the server has read them.
    within("one connection", async {
        while server.monitor("/connz").unwrap()["num_connections"] != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // An acknowledged write stands behind them in the stream.
    shell.published(message("s.end", "x")).await;
    let info = shell
        .ask(StoreRequest::StreamInfo { stream: "S".into() })
        .await;
    let Outcome::Done(StoreDone::Stream(info)) = info else {
        panic!("{info:?}")
    };
    assert!(
        info.messages < WRITES / 2,
        "{} of {WRITES} were sent late",
        info.messages
    );
}

#[tokio::test]
async fn a_batch_is_stored_after_a_reconnect_as_before() {
    let Scene { shell, server } = Scene::with_stream().await;
    let mut inbox = shell.inbox();
    connected(&mut inbox).await;
    for round in 0..3_u64 {
        let messages = vec![message("s.a", "1"), message("s.b", "2")];
        let id = tenure_core::id::BatchId(u128::from(round));
        let reply = shell.ask(StoreRequest::Batch { id, messages }).await;
        assert_eq!(acknowledged(reply).0, 2 * round + 2);
        server.restart().unwrap();
        assert_eq!(next(&mut inbox).await, Inbound::Disconnected);
        connected(&mut inbox).await;
    }
}

#[tokio::test]
async fn the_connection_ends_with_the_last_shell() {
    let Scene { shell, server } = Scene::start().await;
    let mut inbox = shell.inbox();
    connected(&mut inbox).await;
    let other = shell.clone();
    drop(shell);
    assert!(matches!(
        other.ask(StoreRequest::Capabilities).await,
        Outcome::Done(_)
    ));
    drop(other);
    assert_eq!(within("the end", inbox.recv()).await, None);
    within("no connection", async {
        while server.monitor("/connz").unwrap()["num_connections"] != 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_shell_moves_to_another_server_of_the_cluster() {
    let cluster = Cluster::start(3).unwrap();
    let here = &cluster.servers()[0];
    // It is given one address and learns the others.
    let shell = NatsShell::connect(here.url()).await.unwrap();
    let mut inbox = shell.inbox();
    assert!(connected(&mut inbox).await.clustered);
    let mut settings = events("S", "s.>");
    settings.replicas = 3;
    assert_eq!(*shell.created(settings.clone()).await.settings, settings);
    shell.published(message("s.a", "x")).await;

    assert!(cluster.stream_leader("S").unwrap() < 3);
    here.kill().unwrap();
    assert_eq!(next(&mut inbox).await, Inbound::Disconnected);
    connected(&mut inbox).await;
    within("a leader", async {
        while !matches!(shell.publish(message("s.b", "x")).await, Outcome::Done(_)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
