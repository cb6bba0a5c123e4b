//! TLS: who is trusted, and what a handshake that fails is told as.
//!
//! The PEM files were made by `openssl` for these tests alone, and are valid until 2126. The keys
//! of the authorities are gone.

use crate::scene::{Asks, events, message, within};
use std::path::{Path, PathBuf};
use tenure_nats::{ConnectError, NatsOptions, NatsShell};
use tenure_nats_server::NatsServer;

fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/shell/pem")
        .join(name)
}

fn server(more: &str) -> NatsServer {
    let (cert, key, ca) = (pem("server.pem"), pem("server.key"), pem("ca.pem"));
    NatsServer::builder()
        .config(format!(
            "tls {{ cert_file: {cert:?}, key_file: {key:?}, ca_file: {ca:?}\n{more} }}"
        ))
        .start()
        .unwrap()
}

async fn works(options: NatsOptions) {
    let shell = within("connect", NatsShell::connect(options))
        .await
        .unwrap();
    shell.created(events("S", "s.>")).await;
    shell.published(message("s.a", "x")).await;
}

async fn fails(options: NatsOptions) {
    let error = within("connect", NatsShell::connect(options))
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
    assert!(error.to_string().contains("CA file"), "{error}");
}

#[tokio::test]
async fn a_server_is_trusted_by_its_authority() {
    let server = server("");
    let url = server.url();
    works(NatsOptions::new(&url).tls_ca(pem("ca.pem"))).await;
    works(NatsOptions::new(url.replace("nats://", "tls://")).tls_ca(pem("ca.pem"))).await;
    works(NatsOptions::new(format!("localhost:{}", server.port())).tls_ca(pem("ca.pem"))).await;
    fails(NatsOptions::new(&url).tls_ca(pem("other-ca.pem"))).await;
    fails(NatsOptions::new(&url).tls_ca(pem("missing.pem"))).await;
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate() {
    let server = server("verify: true");
    let options = || NatsOptions::new(server.url()).tls_ca(pem("ca.pem"));
    works(options().tls_identity(pem("client.pem"), pem("client.key"))).await;
    fails(options()).await;
}

#[tokio::test]
async fn a_server_may_want_the_handshake_first() {
    let server = server("handshake_first: true");
    works(
        NatsOptions::new(server.url())
            .tls_ca(pem("ca.pem"))
            .tls_first(),
    )
    .await;
}

#[tokio::test]
async fn tls_is_not_given_up_for_a_server_without() {
    let server = NatsServer::start().unwrap();
    fails(
        NatsOptions::new(server.url())
            .tls_ca(pem("ca.pem"))
            .require_tls(),
    )
    .await;
}
