//! How many requests and acknowledged publishes the front takes in a second, beside a real nats-server, in
//! alternating turns of one run. Printed as ratios to the server as well.
//!
//! `cargo bench -p tenure-mem --features listen --bench front -- [operations] [turns]`
//!
//! `cargo bench -p tenure-mem --features listen --bench front -- --seconds 600` loads the front alone for so long
//! and prints how much memory it has: requests, stored messages and what a consumer is given, each round over
//! connections of its own.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "../tests/front/started.rs"]
mod started;

use async_nats::jetstream::{self, consumer, stream};
use futures_util::{StreamExt as _, stream as futures};
use started::Program;
use std::time::{Duration, Instant};
use tenure_nats_server::NatsServer;

/// How many are under way at once.
const OUTSTANDING: usize = 256;

fn main() {
    // `cargo bench` passes `--bench`.
    let lasts = std::env::args().any(|word| word == "--seconds");
    let mut numbers = std::env::args().filter_map(|text| text.parse::<usize>().ok());
    let count = numbers.next();
    let turns = numbers.next().unwrap_or(3);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match count {
        Some(seconds) if lasts => runtime.block_on(last(Duration::from_secs(seconds as u64))),
        _ => runtime.block_on(measure(count.unwrap_or(20_000), turns)),
    }
}

/// Loads the front for a while, and tells its memory ten times.
async fn last(length: Duration) {
    /// How many of each there are in a round.
    const COUNT: usize = 1_000;
    let front = Program::start();
    let began = Instant::now();
    let (mut rounds, mut told) = (0_u64, 0);
    while told <= 10 {
        asks(&front.url, COUNT).await;
        publishes(&front.url, COUNT).await;
        consumes(&front.url, COUNT).await;
        rounds += 1;
        // The first time is after the first round, when all that it needs is there.
        if began.elapsed() >= length / 10 * told {
            let (seconds, memory) = (began.elapsed().as_secs(), front.memory_kib());
            println!("after {seconds} s and {rounds} rounds the front has {memory} KiB");
            told += 1;
        }
    }
}

async fn measure(count: usize, turns: usize) {
    let server = NatsServer::start().expect("a nats-server");
    let front = Program::start();
    for turn in 1..=turns {
        let real = (
            asks(&server.url(), count).await,
            publishes(&server.url(), count).await,
        );
        let model = (
            asks(&front.url, count).await,
            publishes(&front.url, count).await,
        );
        println!(
            "turn {turn}: requests {:.0} and {:.0} of the server, ratio {:.2}; publishes {:.0} and {:.0}, ratio {:.2}",
            model.0,
            real.0,
            model.0 / real.0,
            model.1,
            real.1,
            model.1 / real.1,
        );
    }
    println!("the front has {} KiB", front.memory_kib());
}

/// Requests and their answers, in a second.
async fn asks(url: &str, count: usize) -> f64 {
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
    let rate = rate(count, || async {
        client.request("ask", "x".into()).await.expect("an answer");
    })
    .await;
    answering.abort();
    rate
}

/// The stream of the load.
fn stored() -> stream::Config {
    stream::Config {
        name: "S".into(),
        subjects: vec!["s.>".into()],
        storage: stream::StorageType::Memory,
        max_messages: 1_000,
        ..stream::Config::default()
    }
}

/// Takes and acknowledges so many messages by a consumer of its own.
async fn consumes(url: &str, count: usize) {
    let js = jetstream::new(async_nats::connect(url).await.expect("it connects"));
    let stream = js.get_or_create_stream(stored()).await.expect("a stream");
    let config = consumer::pull::Config::default();
    let consumer = stream.create_consumer(config).await.expect("a consumer");
    let fetched = consumer.fetch().max_messages(count).messages().await;
    let mut messages = fetched.expect("messages").take(count);
    while let Some(message) = messages.next().await {
        let message = message.expect("it is read");
        message.ack().await.expect("it is acknowledged");
    }
    let name = &consumer.cached_info().name;
    stream.delete_consumer(name).await.expect("it is there");
}

/// Messages that were stored and acknowledged, in a second.
async fn publishes(url: &str, count: usize) -> f64 {
    let js = jetstream::new(async_nats::connect(url).await.expect("it connects"));
    js.get_or_create_stream(stored()).await.expect("a stream");
    let body = vec![b'x'; 256];
    rate(count, || async {
        let sent = js
            .publish("s.a", body.clone().into())
            .await
            .expect("it is sent");
        sent.await.expect("it is stored");
    })
    .await
}

/// How often something is done in a second, so many at once.
async fn rate<F: Future<Output = ()>>(count: usize, act: impl Fn() -> F) -> f64 {
    let began = Instant::now();
    let all = futures::iter(0..count)
        .map(|_| act())
        .buffer_unordered(OUTSTANDING);
    all.for_each(|()| async {}).await;
    count as f64 / began.elapsed().max(Duration::from_micros(1)).as_secs_f64()
}
