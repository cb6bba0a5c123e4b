//! The program `nats_front`: how it is started and ended, and that its memory does not grow under load.

use crate::line::{Came, Line};
use crate::started::Program;
use async_nats::jetstream::{self, stream};
use futures_util::{StreamExt as _, stream as futures};
use std::net::TcpListener;
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn it_serves_at_a_port() {
    let program = Program::start();
    assert!(program.url.starts_with("nats://127.0.0.1:"));
    has_an_account(&program).await;
}

#[tokio::test]
async fn it_serves_at_a_name_and_at_an_address_of_either_kind() {
    has_an_account(&Program::at("localhost")).await;
    if TcpListener::bind("[::1]:0").is_err() {
        println!("this machine has no IPv6");
        return;
    }
    for host in ["::1", "[::1]"] {
        let program = Program::at(host);
        assert!(program.url.starts_with("nats://[::1]:"), "{}", program.url);
        has_an_account(&program).await;
    }
}

async fn has_an_account(program: &Program) {
    let client = async_nats::connect(&program.url)
        .await
        .expect("it connects");
    let js = jetstream::new(client);
    let account = js.query_account().await.expect("an account");
    assert_eq!(account.streams, 0);
}

#[test]
fn it_tells_how_it_is_used() {
    for word in ["--help", "-h"] {
        let output = Command::new(env!("CARGO_BIN_EXE_nats_front"))
            .args(["--port", "0", word])
            .output();
        let output = output.expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", output.status);
        for told in ["usage: ", "--port", "--host", "--seed", "SIGTERM"] {
            assert!(text.contains(told), "{told}: {text}");
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn it_tells_its_clients_that_it_ends_and_waits_for_them() {
    let mut program = Program::start();
    let mut line = Line::connect(&program.url).await;
    ask_to_end(&program);
    let Came::Line(info) = line.next().await else {
        panic!("it tells of its end")
    };
    assert!(
        info.starts_with("INFO {") && info.contains("\"ldm\":true"),
        "{info}"
    );
    // Who is there is served on.
    line.flush().await;
    assert_eq!(program.child.try_wait().expect("it is known"), None);
    drop(line);
    assert!(ended(&mut program).await.success());
}

#[cfg(unix)]
#[tokio::test]
async fn it_ends_at_once_without_clients_and_when_it_is_asked_again() {
    let mut alone = Program::start();
    ask_to_end(&alone);
    assert!(ended(&mut alone).await.success());
    let mut program = Program::start();
    let mut line = Line::connect(&program.url).await;
    ask_to_end(&program);
    assert!(matches!(line.next().await, Came::Line(_)));
    ask_to_end(&program);
    assert!(ended(&mut program).await.success());
    assert!(line.until_end().await.is_empty());
}

#[cfg(unix)]
fn ask_to_end(program: &Program) {
    let id = program.child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("a signal is sent").success());
}

#[cfg(unix)]
async fn ended(program: &mut Program) -> ExitStatus {
    let ends = async {
        loop {
            if let Some(status) = program.child.try_wait().expect("it is known") {
                return status;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, ends).await.expect("it ends in time")
}

#[test]
fn what_it_is_told_wrong_is_told_back() {
    for (words, told) in [
        (&["--port"][..], "--port needs a value"),
        (&["--port", "x"], "--port \"x\" is not a number that fits"),
        (&["--nonsense"], "\"--nonsense\" is unknown"),
        (&["--host", "no where"], "--host \"no where\" is no address"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_nats_front"))
            .args(words)
            .output();
        let output = output.expect("it starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && text.starts_with(told),
            "{words:?}: {text}"
        );
        assert!(text.contains("usage: "), "{text}");
    }
}

/// Stores so many messages in a stream that keeps few of them.
async fn store(js: &jetstream::Context, count: usize) {
    let body = vec![b'x'; 256];
    let all = futures::iter(0..count)
        .map(|_| async {
            let sent = js.publish("s.a", body.clone().into()).await;
            sent.expect("it is sent").await.expect("it is stored");
        })
        .buffer_unordered(256);
    all.for_each(|()| async {}).await;
}

#[tokio::test]
async fn what_it_holds_does_not_grow_with_what_it_took() {
    let program = Program::start();
    let client = async_nats::connect(&program.url).await;
    let js = jetstream::new(client.expect("it connects"));
    let config = stream::Config {
        name: "S".into(),
        subjects: vec!["s.>".into()],
        storage: stream::StorageType::Memory,
        max_messages: 1_000,
        ..stream::Config::default()
    };
    js.create_stream(config).await.expect("a stream");
    store(&js, 5_000).await;
    let before = program.memory_kib();
    // Of 256 bytes: if it kept them they were five times what it may grow by.
    store(&js, 40_000).await;
    let after = program.memory_kib();
    assert!(after < before + 2 * 1_024, "{before} KiB, then {after} KiB");
}
