//! Missing rights: each is told by its name, and as promptly as any answer.

use crate::scene::{Asks, Scene, events, message, refused, within};
use tenure_core::id::Sequence;
use tenure_core::port::{Refused, Source, StoreRequest};
use tenure_core::step::Span;
use tenure_nats::{ConnectError, NatsOptions, NatsShell};
use tenure_nats_server::NatsServer;

fn server(permissions: &str) -> NatsServer {
    let user = format!("{{ user: u, password: p, permissions: {{ {permissions} }} }}");
    let admin = "{ user: admin, password: p }";
    let config = format!("accounts {{ A {{ jetstream: enabled, users: [ {admin}, {user} ] }} }}");
    NatsServer::builder().config(config).start().unwrap()
}

/// A time-out longer than the test's patience: what is told is told by the server.
fn as_user(options: NatsOptions) -> NatsOptions {
    options.user("u", "p").store_timeout(Span::from_secs(120))
}

#[tokio::test]
async fn a_publish_that_is_not_allowed_is_denied_by_its_subject() {
    let Scene { shell, server } =
        Scene::on(server("publish: { deny: [\"s.secret.>\"] }"), as_user).await;
    shell.created(events("S", "s.>")).await;
    let denied = within("the denial", shell.publish(message("s.secret.a", "x"))).await;
    let Refused::Denied(text) = refused(denied) else {
        panic!("not denied")
    };
    assert!(text.contains("s.secret.a"), "{text}");
    // The connection and its neighbours are well.
    assert_eq!(shell.published(message("s.open", "x")).await, Sequence(1));
    drop(server);
}

#[tokio::test]
async fn a_request_that_is_not_allowed_is_denied_by_its_subject() {
    let deny = "publish: { deny: [\"$JS.API.STREAM.CREATE.>\", \"$JS.API.STREAM.MSG.GET.>\"] }";
    let Scene {
        shell,
        server: _server,
    } = Scene::on(server(deny), as_user).await;
    let create = shell.ask(StoreRequest::CreateStream(events("S", "s.>")));
    let Refused::Denied(text) = refused(within("the denial", create).await) else {
        panic!("not denied")
    };
    assert!(text.contains("$JS.API.STREAM.CREATE.S"), "{text}");
    let get = within("the denial", shell.get(1, Source::Leader)).await;
    assert!(matches!(refused(get), Refused::Denied(_)));
}

#[tokio::test]
async fn a_user_who_may_not_ask_is_told_at_the_start() {
    for permissions in [
        "publish: { deny: [\"$JS.API.INFO\"] }",
        "subscribe: { deny: [\"_INBOX.>\"] }",
    ] {
        let server = server(permissions);
        let connect = NatsShell::connect(as_user(NatsOptions::new(server.url())));
        let error = within("connect", connect).await.unwrap_err();
        assert!(
            matches!(error, ConnectError::Denied { .. }),
            "{permissions}: {error:?}"
        );
        assert!(error.to_string().contains("$JS.API.>"), "{error}");
    }
}

#[tokio::test]
async fn a_user_may_have_an_inbox_of_its_own() {
    let server = server("subscribe: { allow: [\"mine.>\"] }");
    let with = |options| as_user(options).inbox_prefix("mine.inbox");
    let Scene {
        shell,
        server: _server,
    } = Scene::on(server, with).await;
    shell.created(events("S", "s.>")).await;
}
