//! A client that the program lends.

use crate::scene::{Asks, connected, events, listen, message, next, within};
use std::time::Duration;
use tenure_core::driver::{Inbound, Shell};
use tenure_core::port::{Refused, StoreRequest};
use tenure_core::step::{Outcome, Span};
use tenure_nats::{ConnectError, NatsShell};
use tenure_nats_server::NatsServer;

const TIMEOUT: Span = Span::from_secs(5);

#[tokio::test]
async fn a_lent_client_is_used_lost_and_found_again() {
    let server = NatsServer::start().unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let shell = NatsShell::with_client(client.clone(), TIMEOUT)
        .await
        .unwrap();
    let mut inbox = shell.inbox();
    connected(&mut inbox).await;
    shell.created(events("S", "s.>")).await;
    shell.published(message("s.a", "x")).await;

    let _quiet = listen(&server, "quiet.>").await;
    let write = {
        let shell = shell.clone();
        let write = StoreRequest::Publish(message("quiet.a", "x"));
        tokio::spawn(async move { shell.store(write).await })
    };
    within("the ask", async {
        while shell.waiting() != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    server.kill().unwrap();
    assert_eq!(within("the write", write).await.unwrap(), Outcome::Unknown);
    assert_eq!(next(&mut inbox).await, Inbound::Disconnected);
    let refused = shell.publish(message("s.b", "x")).await;
    assert_eq!(refused, Outcome::Refused(Refused::NotConnected));

    server.restart().unwrap();
    connected(&mut inbox).await;
    shell.published(message("s.b", "x")).await;
    // The client is the program's: it lives on without the shell.
    drop(shell);
    assert_eq!(within("the end", inbox.recv()).await, None);
    client.flush().await.unwrap();
}

#[tokio::test]
async fn a_lent_client_without_jetstream_is_told() {
    let server = NatsServer::builder().without_jetstream().start().unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let error = NatsShell::with_client(client, TIMEOUT).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::NoJetStream { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_lent_client_that_is_not_connected_is_told() {
    let client = async_nats::ConnectOptions::new()
        .retry_on_initial_connect()
        .connect("nats://127.0.0.1:1")
        .await
        .unwrap();
    let error = NatsShell::with_client(client, TIMEOUT).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?}"
    );
}
