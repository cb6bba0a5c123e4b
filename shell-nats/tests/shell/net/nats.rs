//! What only a real server can show.

use super::{Nats, Pair, connected, delivery, disconnected, frame, listen, send, settled, within};
use bytes::Bytes;
use std::time::Duration;
use tenure_core::driver::Shell;
use tenure_core::id::OpId;
use tenure_core::port::{Delivery, SendRefused, Subject};
use tenure_core::step::Span;
use tenure_nats::{NatsOptions, NatsShell};
use tenure_nats_server::NatsServer;

#[tokio::test]
async fn a_dropped_receiver_leaves_no_subscription() {
    let pair = Nats::start().await;
    let subscriptions = || pair.server.monitor("/subsz").unwrap()["num_subscriptions"].clone();
    settled(pair.one()).await;
    settled(pair.two()).await;
    let before = subscriptions();
    let receivers = (
        listen(pair.one(), "net.one").await,
        pair.one().hear("s.rep.>".into()),
    );
    settled(pair.one()).await;
    assert_ne!(subscriptions(), before);
    drop(receivers);
    within("the end of the subscriptions", async {
        while subscriptions() != before {
            settled(pair.one()).await;
        }
    })
    .await;
}

/// Frames that the client could not write end with their connection (S8).
#[tokio::test]
async fn a_frame_that_waits_for_a_frozen_server_is_not_sent_on_the_next_connection() {
    const FRAMES: u64 = 1_000;
    const BYTES: usize = 100_000;
    let server = NatsServer::start().unwrap();
    let options = || NatsOptions::new(server.url()).store_timeout(Span::from_secs(2));
    let one = NatsShell::connect(options()).await.unwrap();
    let mut inbox = one.inbox();
    connected(&mut inbox).await;
    let mut here = listen(&one, "net.one").await;

    server.pause().unwrap();
    let body = Bytes::from(vec![b'x'; BYTES]);
    let (to, from) = (Subject::from("net.one"), Subject::from("net.one"));
    let mut handed = 0;
    for op in 0..FRAMES {
        handed += u64::from(one.send(OpId(op), &to, &from, body.clone()).is_ok());
        tokio::task::yield_now().await;
    }
    // Far more than the sockets' buffers take.
    assert!(handed > FRAMES / 2, "{handed}");
    disconnected(&mut inbox).await;
    let refused = one.send(OpId(1), &to, &from, Bytes::new());
    assert_eq!(refused, Err(SendRefused::NotConnected));
    server.resume().unwrap();
    connected(&mut inbox).await;
    // The old connection's bytes are the operating system's; wait until the server has read them.
    within("one connection", async {
        while server.monitor("/connz").unwrap()["num_connections"] != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    send(&one, 2, ("net.one", "net.one"), "next");
    let mut late = 0;
    within("the next frame", async {
        while delivery(&mut here).await != frame("next") {
            late += 1;
        }
    })
    .await;
    assert!(late < FRAMES / 2, "{late} of {handed} were sent late");
}

#[tokio::test]
async fn a_lent_client_listens_and_hears_over_its_own_reconnects() {
    let server = NatsServer::start().unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let lent = NatsShell::with_client(client.clone(), Span::from_secs(5))
        .await
        .unwrap();
    let other = NatsShell::connect(server.url()).await.unwrap();
    let (mut inbox, mut others) = (lent.inbox(), other.inbox());
    connected(&mut inbox).await;
    connected(&mut others).await;
    let mut there = listen(&lent, "net.lent").await;
    for round in 0..2 {
        send(&other, round, ("net.lent", "net.other"), "taken");
        assert_eq!(delivery(&mut there).await, frame("taken"));
        send(&lent, round, ("net.nobody", "net.lent"), "lost");
        let told = delivery(&mut there).await;
        assert_eq!(told, Delivery::NoResponders(OpId(round)));
        server.kill().unwrap();
        disconnected(&mut inbox).await;
        disconnected(&mut others).await;
        let (to, from) = ("net.other".into(), "net.lent".into());
        let refused = lent.send(OpId(9), &to, &from, Bytes::new());
        assert_eq!(refused, Err(SendRefused::NotConnected));
        server.restart().unwrap();
        connected(&mut inbox).await;
        connected(&mut others).await;
        settled(&lent).await;
    }
    // It was subscribed once only.
    send(&other, 2, ("net.lent", "net.other"), "once");
    send(&other, 3, ("net.lent", "net.other"), "then");
    assert_eq!(delivery(&mut there).await, frame("once"));
    assert_eq!(delivery(&mut there).await, frame("then"));
    drop(lent);
    assert_eq!(within("the end", there.recv()).await, None);
    client.flush().await.unwrap();
}
