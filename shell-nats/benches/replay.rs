//! How fast a stream is read from its beginning to its end: our fetches beside the bare client's
//! consumers, on the same server in alternating turns of one run.
//!
//! `cargo bench -p tenure-nats --bench replay -- [messages] [turns] [messages of a fetch]`
#![allow(
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a benchmark reads the clock, and fails on what it does not expect"
)]

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull, push};
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::{self, stream::Stream};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tenure_core::driver::Shell as _;
use tenure_core::id::Sequence;
use tenure_core::port::{
    ConsumerName, ConsumerSettings, Start, StoreDone, StoreReply, StoreRequest, StreamSettings,
};
use tenure_core::step::{Outcome, Span};
use tenure_nats::NatsShell;
use tenure_nats_server::NatsServer;
use tokio::task::coop::unconstrained;

const STREAM: &str = "replay";
const SUBJECTS: u64 = 1_000;
/// As large as a commit with one event.
const PAYLOAD: Bytes = Bytes::from_static(&[b'x'; 256]);
const OUTSTANDING_MAX: usize = 4_096;

/// What is measured.
#[derive(Clone, Copy, Debug)]
struct Run {
    messages: u64,
    turns: u64,
    fetch: u32,
}

/// One way to read the stream, and how long each turn took on the clock and on the processor.
struct Way {
    name: &'static str,
    took: Vec<Duration>,
    computed: Vec<Duration>,
}

fn main() {
    // `cargo bench` passes `--bench`.
    let mut numbers = std::env::args().filter_map(|text| text.parse::<u64>().ok());
    let run = Run {
        messages: numbers.next().unwrap_or(1_000_000),
        turns: numbers.next().unwrap_or(5),
        fetch: u32::try_from(numbers.next().unwrap_or(5_000)).expect("a small number"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(unconstrained(measure(run)));
}

async fn measure(run: Run) {
    let server = NatsServer::start().expect("a server");
    let shell = NatsShell::connect(server.url()).await.expect("it is there");
    let settings = StreamSettings::event_log(STREAM.into(), vec!["r.>".into()], 1);
    let created = shell.store(StoreRequest::CreateStream(settings)).await;
    assert!(matches!(created, Outcome::Done(_)), "{created:?}");
    let client = async_nats::ConnectOptions::new()
        .subscription_capacity(1 << 20)
        .connect(server.url())
        .await
        .expect("it is there");
    let context = jetstream::new(client);
    fill(&context, run.messages).await;
    let stream = context.get_stream(STREAM).await.expect("it was created");
    let mut ways = ["fetches", "ordered push", "pull"].map(|name| Way {
        name,
        took: Vec::new(),
        computed: Vec::new(),
    });
    for turn in 0..run.turns {
        for way in &mut ways {
            let (begin, computed) = (Instant::now(), computed());
            match way.name {
                "fetches" => fetches(&shell, run, turn).await,
                "ordered push" => ordered_push(&stream, run).await,
                _ => pulls(&stream, run).await,
            }
            way.took.push(begin.elapsed());
            way.computed.push(self::computed().saturating_sub(computed));
        }
    }
    tell(run, &mut ways);
}

async fn fill(context: &jetstream::Context, messages: u64) {
    let mut outstanding: VecDeque<PublishAckFuture> = VecDeque::new();
    for n in 0..messages {
        let subject = format!("r.{}", n % SUBJECTS);
        let sent = context.publish(subject, PAYLOAD).await.expect("it is sent");
        outstanding.push_back(sent);
        while outstanding.len() >= OUTSTANDING_MAX || n + 1 == messages {
            let Some(sent) = outstanding.pop_front() else {
                break;
            };
            sent.await.expect("it is stored");
        }
    }
}

async fn fetches(shell: &NatsShell, run: Run, turn: u64) {
    let name = ConsumerName::from(format!("turn{turn}"));
    let settings = ConsumerSettings {
        stream: STREAM.into(),
        name: name.clone(),
        filters: vec!["r.>".into()],
        from: Start::Sequence(Sequence(1)),
        idle: Span::from_secs(60),
    };
    done(shell.store(StoreRequest::OpenConsumer(settings)).await);
    let mut number = 0;
    while number < run.messages {
        let fetch = StoreRequest::Fetch {
            stream: STREAM.into(),
            consumer: name.clone(),
            messages_max: run.fetch,
            bytes_max: 8 << 20,
            wait: Span::from_secs(10),
        };
        let StoreDone::Fetched(fetched) = done(shell.store(fetch).await) else {
            panic!("nothing was fetched");
        };
        for delivered in &fetched.messages {
            number += 1;
            assert_eq!(delivered.number, number, "one is missing");
            assert_eq!(delivered.message.payload.len(), PAYLOAD.len());
        }
    }
    let (stream, consumer) = (STREAM.into(), name);
    done(
        shell
            .store(StoreRequest::CloseConsumer { stream, consumer })
            .await,
    );
}

fn done(reply: StoreReply) -> StoreDone {
    match reply {
        Outcome::Done(done) => done,
        other => panic!("{other:?}"),
    }
}

async fn ordered_push(stream: &Stream, run: Run) {
    let config = push::OrderedConfig {
        deliver_subject: format!("deliver.{}", run.turns),
        ..push::OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await.expect("it is created");
    let mut messages = consumer.messages().await.expect("it delivers");
    for number in 1..=run.messages {
        let message = messages.next().await.expect("one more").expect("a message");
        assert_eq!(message.info().expect("a place").stream_sequence, number);
        assert_eq!(message.payload.len(), PAYLOAD.len());
    }
}

async fn pulls(stream: &Stream, run: Run) {
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        deliver_policy: DeliverPolicy::All,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: Duration::from_secs(60),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.expect("it is created");
    let mut messages = consumer
        .stream()
        .max_messages_per_batch(run.fetch as usize)
        .messages()
        .await
        .expect("it delivers");
    for number in 1..=run.messages {
        let message = messages.next().await.expect("one more").expect("a message");
        assert_eq!(message.info().expect("a place").stream_sequence, number);
        assert_eq!(message.payload.len(), PAYLOAD.len());
    }
}

fn tell(run: Run, ways: &mut [Way; 3]) {
    let messages = run.messages as f64;
    let mut rates = [0.0; 3];
    for (way, rate) in ways.iter_mut().zip(&mut rates) {
        way.took.sort_unstable();
        way.computed.sort_unstable();
        let median = |times: &[Duration]| times[times.len() / 2].as_secs_f64();
        *rate = messages / median(&way.took);
        println!(
            "{:<13} {:>9.0} messages/s, {:>5.0} ns of this process's computing each",
            way.name,
            rate,
            median(&way.computed) * 1e9 / messages,
        );
    }
    let [ours, push, pull] = rates;
    println!(
        "ratio to the faster of the bare client's: {:.2}",
        ours / push.max(pull)
    );
}

/// What this process computed so far: its user and system time, in ticks of a hundredth of a second.
fn computed() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}
