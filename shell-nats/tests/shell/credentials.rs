//! Who may connect: user, token, nkey, creds; and what the others are told.

use crate::operator::Operator;
use crate::scene::{Asks, PATIENCE, events, message, within};
use tenure_nats::{ConnectError, NatsOptions, NatsShell};
use tenure_nats_server::NatsServer;

fn server(config: &str) -> NatsServer {
    NatsServer::builder().config(config).start().unwrap()
}

async fn works(options: NatsOptions) {
    let shell = within("connect", NatsShell::connect(options))
        .await
        .unwrap();
    shell.created(events("S", "s.>")).await;
    shell.published(message("s.a", "x")).await;
}

async fn refused(options: NatsOptions) -> ConnectError {
    let error = within("connect", NatsShell::connect(options))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    error
}

fn with(server: &NatsServer, credentials: &str) -> String {
    server
        .url()
        .replace("nats://", &format!("nats://{credentials}@"))
}

#[tokio::test]
async fn a_user_connects_with_name_and_password() {
    let server = server("authorization { user: orders, password: \"p@ss:1\" }");
    works(NatsOptions::new(server.url()).user("orders", "p@ss:1")).await;
    works(NatsOptions::new(with(&server, "orders:p%40ss:1"))).await;

    let wrong = refused(NatsOptions::new(server.url()).user("orders", "guess")).await;
    assert!(
        matches!(wrong, ConnectError::WrongCredentials { .. }),
        "{wrong:?}"
    );
    assert!(!wrong.to_string().contains("guess"), "{wrong}");
    let none = refused(NatsOptions::new(server.url())).await;
    assert!(
        matches!(none, ConnectError::WrongCredentials { .. }),
        "{none:?}"
    );
}

#[tokio::test]
async fn a_client_connects_with_a_token() {
    let server = server("authorization { token: \"t0ken\" }");
    works(NatsOptions::new(server.url()).token("t0ken")).await;
    works(NatsOptions::new(with(&server, "t0ken"))).await;
    let wrong = refused(NatsOptions::new(server.url()).token("other")).await;
    assert!(
        matches!(wrong, ConnectError::WrongCredentials { .. }),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn a_client_connects_with_an_nkey() {
    let (known, stranger) = (nkeys::KeyPair::new_user(), nkeys::KeyPair::new_user());
    let server = server(&format!(
        "authorization {{ users: [ {{ nkey: {} }} ] }}",
        known.public_key()
    ));
    works(NatsOptions::new(server.url()).nkey_seed(known.seed().unwrap())).await;
    let wrong = refused(NatsOptions::new(server.url()).nkey_seed(stranger.seed().unwrap())).await;
    assert!(
        matches!(wrong, ConnectError::WrongCredentials { .. }),
        "{wrong:?}"
    );
    let broken = NatsShell::connect(NatsOptions::new(server.url()).nkey_seed("SUBROKEN"));
    let broken = within("connect", broken).await.unwrap_err();
    assert!(
        matches!(broken, ConnectError::BadCredentials { .. }),
        "{broken:?}"
    );
}

#[tokio::test]
async fn a_client_connects_with_creds() {
    let operator = Operator::new();
    let server = server(&operator.config());
    let creds = operator.creds();
    works(NatsOptions::new(server.url()).creds(&creds)).await;
    let path = server.folder("creds").unwrap().join("user.creds");
    std::fs::write(&path, &creds).unwrap();
    works(NatsOptions::new(server.url()).creds_file(&path)).await;

    let stranger = NatsOptions::new(server.url()).creds(Operator::new().creds());
    let stranger = refused(stranger).await;
    assert!(
        matches!(stranger, ConnectError::WrongCredentials { .. }),
        "{stranger:?}"
    );
    let missing = path.with_file_name("missing.creds");
    let missing = NatsShell::connect(NatsOptions::new(server.url()).creds_file(missing));
    let missing = within("connect", missing).await.unwrap_err();
    assert!(
        matches!(missing, ConnectError::BadCredentials { .. }),
        "{missing:?}"
    );
    assert!(missing.to_string().contains("missing.creds"), "{missing}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let server = NatsServer::start().unwrap();
    server.kill().unwrap();
    let gone = refused(NatsOptions::new(server.url())).await;
    assert!(matches!(gone, ConnectError::Unreachable { .. }), "{gone:?}");
    assert!(
        gone.to_string().contains(&server.port().to_string()),
        "{gone}"
    );
}

#[tokio::test]
async fn the_second_of_two_addresses_will_do() {
    let (gone, there) = (NatsServer::start().unwrap(), NatsServer::start().unwrap());
    gone.kill().unwrap();
    works(NatsOptions::new(format!("{}, {}", gone.url(), there.url()))).await;
}

#[tokio::test]
async fn a_server_that_does_not_speak_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", silent.local_addr().unwrap());
    let options = NatsOptions::new(url).connect_timeout(std::time::Duration::from_millis(300));
    let error = refused(options).await;
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?} in {PATIENCE:?}"
    );
}

#[tokio::test]
async fn an_address_that_is_none_is_told_at_once() {
    let error = NatsShell::connect("http://127.0.0.1:1").await.unwrap_err();
    assert!(matches!(error, ConnectError::BadUrl { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_without_jetstream_is_told() {
    let server = NatsServer::builder().without_jetstream().start().unwrap();
    let error = refused(NatsOptions::new(server.url())).await;
    assert!(
        matches!(error, ConnectError::NoJetStream { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_account_without_jetstream_is_told() {
    let accounts = "accounts {
        HAS { jetstream: enabled, users: [ { user: has, password: p } ] }
        HAS_NOT { users: [ { user: hasnot, password: p } ] }
    }";
    let server = server(accounts);
    works(NatsOptions::new(server.url()).user("has", "p")).await;
    let error = refused(NatsOptions::new(server.url()).user("hasnot", "p")).await;
    assert!(
        matches!(error, ConnectError::NoJetStream { .. }),
        "{error:?}"
    );
}
