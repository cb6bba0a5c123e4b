//! Servers that cannot be used: without JetStream, too old, behind credentials and rights that are
//! missing, not there, or gone.

use super::Page;
use crate::counter::{counters_of, one};
use crate::world::{World, until};
use std::time::Duration;
use tenure::prelude::*;
use tenure::{ConnectError, KindError, SpaceError, StartError, StoreRefused, TenureError};
use tenure_core::port::ServerVersion;
use tenure_nats_server::NatsServer;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

super::scenes! {
    both: [a_server_without_jetstream, a_server_that_is_too_old],
    nats: [
        an_account_without_jetstream,
        credentials_that_are_wrong,
        rights_that_are_missing,
        a_server_that_is_not_there,
        a_server_that_goes_away,
    ],
}

/// Why there is no connection.
fn connect(error: &TenureError) -> &ConnectError {
    match error {
        TenureError::Connect(error) => error.downcast_ref().expect("the NATS shell's error"),
        other => panic!("{other:?}"),
    }
}

async fn a_server_without_jetstream(world: &World, page: &mut Page) {
    if world.on_nats() {
        let world = World::alone(NatsServer::builder().without_jetstream());
        let start = Box::pin(world.start(world.builder()));
        let error = page.fails(&world, "start", start).await;
        assert!(matches!(connect(&error), ConnectError::NoJetStream { .. }));
    } else {
        let world = World::mem_with(|capabilities| capabilities.jetstream = false);
        let start = Box::pin(world.start(world.builder()));
        let error = page.refused(&world, "start", start).await;
        assert!(
            matches!(
                error,
                TenureError::Start(StartError::Space(SpaceError::NoJetStream))
            ),
            "{error:?}"
        );
    }
}

async fn a_server_that_is_too_old(world: &World, page: &mut Page) {
    for version in ["2.10.29", "2.12.13", "2.14.3"] {
        if world.on_nats() {
            let old = old_server(version).await;
            let start = Box::pin(world.builder().start(&old));
            let error = page.fails(world, version, start).await;
            assert!(
                matches!(connect(&error), ConnectError::TooOld { version: found, .. }
                    if found.to_string() == version),
                "{error:?}"
            );
        } else {
            let found = ServerVersion::parse(version).unwrap();
            let world = World::mem_with(|capabilities| capabilities.version = found);
            let start = Box::pin(world.start(world.builder()));
            let error = page.refused(&world, version, start).await;
            assert!(
                matches!(&error, TenureError::Start(StartError::Space(
                    SpaceError::ServerTooOld { found })) if found.to_string() == version),
                "{error:?}"
            );
        }
    }
}

/// A server that greets as an old one does, and answers pings; its address.
async fn old_server(version: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let info = format!(
        "INFO {{\"server_id\":\"OLD\",\"server_name\":\"old\",\"version\":\"{version}\",\
         \"proto\":1,\"host\":\"127.0.0.1\",\"port\":{},\"headers\":true,\
         \"max_payload\":1048576,\"jetstream\":true,\"client_id\":1}}\r\n",
        address.port()
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (read, mut write) = stream.split();
            write.write_all(info.as_bytes()).await.unwrap();
            let mut lines = BufReader::new(read).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with("PING") {
                    // Whoever has read the greeting may be gone already.
                    let _ = write.write_all(b"PONG\r\n").await;
                }
            }
        }
    });
    format!("nats://{address}")
}

/// A server of which whoever says nothing may do everything.
fn guarded(users: &str) -> World {
    let admin = "{ user: admin, password: p }";
    World::alone(NatsServer::builder().config(format!(
        "accounts {{
            A {{ jetstream: enabled, users: [ {admin}, {users} ] }}
            B {{ users: [ {{ user: nojs, password: p }} ] }}
        }}
        no_auth_user: admin"
    )))
}

/// Starts a node as a user.
async fn start_as(world: &World, credentials: &str) -> Result<Tenure, TenureError> {
    let place = world
        .place()
        .replace("nats://", &format!("nats://{credentials}@"));
    world.builder().start(&place).await
}

async fn an_account_without_jetstream(_: &World, page: &mut Page) {
    let world = guarded("");
    let start = Box::pin(start_as(&world, "nojs:p"));
    let error = page.refused(&world, "start", start).await;
    assert!(
        matches!(connect(&error), ConnectError::NoJetStream { .. }),
        "{error:?}"
    );
}

async fn credentials_that_are_wrong(_: &World, page: &mut Page) {
    let world = guarded("{ user: orders, password: secret }");
    for (credentials, tried) in [
        ("orders:guess", "a wrong password"),
        ("nobody:secret", "an unknown user"),
        ("t0ken", "a token"),
    ] {
        let start = Box::pin(start_as(&world, credentials));
        let error = page.refused(&world, tried, start).await;
        assert!(
            matches!(connect(&error), ConnectError::WrongCredentials { .. }),
            "{error:?}"
        );
        let told = error.to_string();
        assert!(!told.contains("guess") && !told.contains("t0ken"), "{told}");
    }
}

async fn rights_that_are_missing(_: &World, page: &mut Page) {
    let user = |name: &str, deny: &str| {
        format!("{{ user: {name}, password: p, permissions: {{ publish: {{ deny: [{deny}] }} }} }}")
    };
    let world = guarded(
        &[
            user("noask", "\"$JS.API.>\""),
            user("nocreate", "\"$JS.API.STREAM.CREATE.>\""),
            user("norecord", "\"*.ctl.>\""),
            user("nowrite", "\"*.ev.>\""),
            user("noread", "\"$JS.API.DIRECT.GET.>\""),
        ]
        .join(", "),
    );
    let start = Box::pin(start_as(&world, "noask:p"));
    let error = page.refused(&world, "to ask JetStream", start).await;
    assert!(
        matches!(connect(&error), ConnectError::Denied { .. }),
        "{error:?}"
    );

    let start = Box::pin(start_as(&world, "nocreate:p"));
    let error = page.refused(&world, "to create streams", start).await;
    assert!(
        matches!(
            error,
            TenureError::Start(StartError::Space(SpaceError::StreamMissing { .. }))
        ),
        "{error:?}"
    );
    // One shard, so that the subject of an entity is known.
    let node = world.start(world.builder().shards(1)).await.unwrap();
    let counters = counters_of::<0>(&node).await;
    counters.execute("a", one()).await.unwrap();
    let start = Box::pin(start_as(&world, "noread:p"));
    let error = page.refused(&world, "to read", start).await;
    assert!(
        matches!(
            error,
            TenureError::Start(StartError::Space(SpaceError::Denied { .. }))
        ),
        "{error:?}"
    );
    // Where the streams are, nobody has to create them.
    let tenure = start_as(&world, "nocreate:p").await.unwrap();
    let counters = counters_of::<0>(&tenure).await;
    assert_eq!(counters.execute("a", one()).await.unwrap(), 2);

    let tenure = start_as(&world, "norecord:p").await.unwrap();
    let kind = Box::pin(tenure.log("other"));
    let error = page.refused(&world, "to record a kind", kind).await;
    assert!(
        matches!(error, KindError::Space(SpaceError::Denied { .. })),
        "{error:?}"
    );
    let tenure = start_as(&world, "nowrite:p").await.unwrap();
    let counters = counters_of::<0>(&tenure).await;
    let error = page
        .refused(&world, "to write events", counters.execute("a", one()))
        .await;
    assert!(
        matches!(error, ExecuteError::Store(StoreRefused::Denied(_))),
        "{error:?}"
    );
    assert_eq!(counters.load("a").await.unwrap().state.count, 2);
}

async fn a_server_that_is_not_there(_: &World, page: &mut Page) {
    let world = World::alone(NatsServer::builder());
    world.server().kill().unwrap();
    let start = Box::pin(world.start(world.builder()));
    let error = page.fails(&world, "start", start).await;
    assert!(
        matches!(connect(&error), ConnectError::Unreachable { .. }),
        "{error:?}"
    );
}

async fn a_server_that_goes_away(_: &World, page: &mut Page) {
    let world = World::alone(NatsServer::builder());
    let node = world.builder().timeout(Duration::from_secs(3));
    let tenure = world.start(node).await.unwrap();
    let counters = counters_of::<0>(&tenure).await;
    counters.create("a", one()).await.unwrap();
    let (short, long) = (Duration::from_millis(500), Duration::from_secs(20));

    // It takes the command and says nothing more: it may have happened.
    world.server().pause().unwrap();
    let command = counters.execute("a", one()).timeout(short);
    let error = page
        .fails(&world, "in the middle of a command", command)
        .await;
    assert!(error.is_unknown() && error.is_retryable(), "{error:?}");
    let ExecuteError::Unknown { id } = error else {
        panic!("{error:?}");
    };
    world.server().kill().unwrap();
    until("the node knows", || async { !tenure.is_connected() }).await;

    // Nothing is sent to a server that is not there: it has not happened.
    let command = counters.execute("a", one()).timeout(short);
    let error = page.fails(&world, "before a command", command).await;
    assert!(!error.is_unknown() && error.is_retryable(), "{error:?}");
    let load = Box::pin(counters.load("b"));
    let error = page.fails(&world, "before a load", load).await;
    assert!(error.is_retryable(), "{error:?}");
    let kind = Box::pin(tenure.log("other"));
    let error = page
        .fails(&world, "before the first use of a kind", kind)
        .await;
    let late = matches!(error, KindError::Space(SpaceError::Timeout { .. }));
    assert!(late, "{error:?}");

    world.server().restart().unwrap();
    let again = || counters.execute("a", one()).id(id).timeout(long).receipt();
    let first = again().await.unwrap();
    assert_eq!((first.reply, first.version), (2, Version(2)));
    let twice = again().await.unwrap();
    assert!(twice.duplicate);
    assert_eq!((twice.reply, twice.version), (2, Version(2)));
    assert_eq!(world.commits("counter").await.len(), 2);
}
