//! The program `nats_front`: how it is started, how fast it is beside the real server, and how much memory it
//! takes under load.

use async_nats::jetstream::{self, stream};
use futures_util::{StreamExt as _, stream as futures};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tenure_nats_server::NatsServer;
use tokio::time::Instant;

/// How many requests are under way at once.
const WINDOW: usize = 256;
/// How many are measured.
const COUNT: usize = 20_000;

/// The program, which ends with this.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_nats_front"))
            .args(["--port", &port.to_string()])
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("it starts");
        let told = child.stdout.take().expect("what it tells");
        let mut line = String::new();
        BufReader::new(told).read_line(&mut line).expect("a line");
        let url = line.trim_start_matches("listening at ").trim().to_owned();
        assert_eq!(url, format!("nats://127.0.0.1:{port}"));
        Self { child, url }
    }

    /// How much memory it has, in KiB, where the operating system tells.
    fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.unwrap_or(0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn it_serves_at_a_port() {
    let program = Program::start();
    let client = async_nats::connect(&program.url)
        .await
        .expect("it connects");
    let js = jetstream::new(client);
    let account = js.query_account().await.expect("an account");
    assert_eq!(account.streams, 0);
}

#[test]
fn what_it_is_told_wrong_is_told_back() {
    for (words, told) in [
        (&["--port"][..], "--port needs a value"),
        (&["--port", "x"], "--port \"x\" is not a number that fits"),
        (&["--nonsense"], "\"--nonsense\" is unknown"),
        (&["--host", "nowhere"], "\"nowhere:4222\" is not an address"),
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

/// Requests and their answers, in a second.
async fn asks(url: &str) -> f64 {
    let server = async_nats::connect(url).await.expect("it connects");
    let mut asked = server.subscribe("ask").await.expect("it listens");
    server.flush().await.expect("the server knows it");
    let answering = tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            if let Some(reply) = message.reply {
                server
                    .publish(reply, message.payload)
                    .await
                    .expect("it is connected");
            }
        }
    });
    let client = async_nats::connect(url).await.expect("it connects");
    let rate = rate(|| async {
        client.request("ask", "x".into()).await.expect("an answer");
    })
    .await;
    answering.abort();
    rate
}

/// Messages that were stored and acknowledged, in a second.
async fn publishes(url: &str) -> f64 {
    let js = jetstream::new(async_nats::connect(url).await.expect("it connects"));
    let config = stream::Config {
        name: "S".into(),
        subjects: vec!["s.>".into()],
        storage: stream::StorageType::Memory,
        max_messages: 1_000,
        ..stream::Config::default()
    };
    js.get_or_create_stream(config).await.expect("a stream");
    let body = vec![b'x'; 256];
    rate(|| async {
        let sent = js
            .publish("s.a", body.clone().into())
            .await
            .expect("it is sent");
        sent.await.expect("it is stored");
    })
    .await
}

/// How often something is done in a second, so many at once.
async fn rate<F: Future<Output = ()>>(act: impl Fn() -> F) -> f64 {
    #[allow(clippy::disallowed_methods, reason = "it is measured")]
    let began = Instant::now();
    let all = futures::iter(0..COUNT)
        .map(|_| act())
        .buffer_unordered(WINDOW);
    all.for_each(|()| async {}).await;
    COUNT as f64 / began.elapsed().max(Duration::from_micros(1)).as_secs_f64()
}

#[tokio::test]
#[ignore = "it prints figures: run it with --release --ignored --nocapture"]
async fn it_is_measured_beside_the_server() {
    let server = NatsServer::start().expect("a nats-server");
    let program = Program::start();
    for round in 1..=3 {
        for (name, url) in [("server", server.url()), ("front", program.url.clone())] {
            let (asks, publishes) = (asks(&url).await, publishes(&url).await);
            println!("round {round}, {name}: {asks:.0} requests/s, {publishes:.0} publishes/s");
        }
        println!("the front has {} KiB", program.memory_kib());
    }
    // What it holds does not grow with what it took: the stream keeps 1,000 messages.
    let before = program.memory_kib();
    for _ in 0..5 {
        publishes(&program.url).await;
    }
    let after = program.memory_kib();
    println!("after {} more messages it has {after} KiB", 5 * COUNT);
    assert!(after < before + 8 * 1_024, "{before} KiB, then {after} KiB");
}
