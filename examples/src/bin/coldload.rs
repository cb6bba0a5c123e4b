//! How long it takes to load an entity that is not in memory, out of a stream with a million messages
//! of others, in round trips of the bare client measured in the same run.

use async_nats::jetstream::context::{Context, PublishAckFuture};
use bytes::Bytes;
use clap::Parser;
use serde_json::json;
use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;
use tenure::{KindSettings, Limits, Repository, SnapshotPolicy, Tenure, Version};
use tenure_examples::cli::{failed, first_paragraph};
use tenure_examples::counter::{Add, Counter, SETTINGS};
use tenure_examples::{Failure, bare, delay};
use tenure_nats_server::NatsServer;
use tokio::time::Instant;

/// Loads one entity, again and again, out of a large stream.
///
/// The entity's commits lie evenly among the messages of other entities, which the bare client
/// stores. Then a node that keeps nothing in memory loads the entity, and the bare client reads one
/// message of it (a direct get by its sequence), in turns. What is printed are the medians.
#[derive(Debug, Parser)]
#[command(name = "coldload")]
struct Options {
    /// Messages of other entities
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(..=COUNT_MAX))]
    messages: u64,
    /// Commits of the entity
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=COUNT_MAX))]
    commits: u64,
    /// After how many commits a snapshot is taken; without it there are none
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    snapshots: Option<u32>,
    /// How many command ids the entity remembers at most. What is written within two minutes, as
    /// here, is remembered up to 8,192 ids, and the snapshot holds them all; 64 are what is left of
    /// them in an entity that was written over days
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    command_ids: Option<u64>,
    /// How often it is loaded
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    loads: u64,
    /// How much later everything arrives, in each direction, as between machines; on loopback a
    /// round trip costs less than the server's work
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Print one line of JSON at the end
    #[arg(long)]
    json: bool,
}

/// So many that nobody waits for them; the product of two such counts is a number still.
const COUNT_MAX: u64 = 1 << 31;

const NAMESPACE: &str = "cold";
const ENTITY: &str = "user-000001";
/// How many other entities there are.
const OTHERS: u64 = 10_000;
/// As large as the commits of a load test.
const PAYLOAD: Bytes = Bytes::from_static(&[0; 190]);
const OUTSTANDING_MAX: usize = 4_096;

/// Stores messages of other entities, many at once.
struct Filler {
    context: Context,
    stored: u64,
    outstanding: VecDeque<PublishAckFuture>,
}

impl Filler {
    async fn fill(&mut self, until: u64) -> Result<(), Failure> {
        while self.stored < until {
            let other = self.stored % OTHERS;
            let subject = format!("{NAMESPACE}.ev.{}.counter.other-{other:06}", other % 256);
            let sent = self.context.publish(subject, PAYLOAD).await?;
            self.outstanding.push_back(sent);
            self.stored += 1;
            self.wait_below(OUTSTANDING_MAX).await?;
        }
        Ok(())
    }

    async fn wait_below(&mut self, count: usize) -> Result<(), Failure> {
        while self.outstanding.len() >= count.max(1) {
            if let Some(sent) = self.outstanding.pop_front() {
                sent.await?;
            }
        }
        Ok(())
    }
}

async fn run(options: Options) -> Result<(), Failure> {
    let server = NatsServer::start()?;
    let url = server.url();
    let writer = node(&url, &options, None).await?;
    let counters = writer.repository::<Counter>().await?;
    let context = bare::connect(&url).await?;
    let mut filler = Filler {
        context: context.clone(),
        stored: 0,
        outstanding: VecDeque::new(),
    };
    for commit in 1..=options.commits {
        filler
            .fill(options.messages * commit / options.commits)
            .await?;
        counters.execute(ENTITY, Add { amount: 1 }).await?;
    }
    filler.wait_below(0).await?;
    writer.stop().await;

    let url = match options.delay_ms {
        0 => url,
        delay_ms => {
            let delay = Duration::from_millis(delay_ms);
            let port = delay::proxy(server.port(), delay).await?;
            format!("nats://127.0.0.1:{port}")
        }
    };
    let context = bare::connect(&url).await?;
    let streams = bare::event_streams(&context, NAMESPACE).await?;
    let stream = streams.first().ok_or("there is no event stream")?;
    let state = stream.get_info().await?.state;
    println!(
        "{} messages in the stream, {} commits of the entity among them",
        state.messages, options.commits
    );
    let reader = node(&url, &options, Some(0)).await?;
    let counters = reader.repository::<Counter>().await?;
    let (mut loads, mut round_trips) = (Vec::new(), Vec::new());
    load(&counters, options.commits).await?;
    let before = reader.counters().await.store_requests;
    for _ in 0..options.loads {
        let begin = Instant::now();
        stream.direct_get(state.last_sequence).await?;
        round_trips.push(begin.elapsed());
        let begin = Instant::now();
        load(&counters, options.commits).await?;
        loads.push(begin.elapsed());
    }
    let requests = (reader.counters().await.store_requests - before) / options.loads;
    reader.stop().await;
    tell(
        &options,
        state.messages,
        requests,
        median(loads),
        median(round_trips),
    );
    Ok(())
}

async fn load(counters: &Repository<Counter>, commits: u64) -> Result<(), Failure> {
    let version = counters.load(ENTITY).await?.version;
    if version == Version(commits) {
        return Ok(());
    }
    Err(format!("{commits} commits were stored, the entity is at {version}").into())
}

async fn node(url: &str, options: &Options, cache: Option<usize>) -> Result<Tenure, Failure> {
    let mut limits = Limits::default();
    if let Some(ids) = options.command_ids {
        limits.command_ids_max = usize::try_from(ids)?;
        limits.command_ids_min = limits.command_ids_min.min(limits.command_ids_max);
    }
    let mut builder = Tenure::builder().namespace(NAMESPACE).limits(limits);
    if let Some(entities) = cache {
        builder = builder.cache(entities);
    }
    Ok(builder.start(url).await?)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn tell(options: &Options, messages: u64, requests: u64, load: Duration, round_trip: Duration) {
    let ratio = load.as_secs_f64() / round_trip.as_secs_f64();
    println!(
        "loaded in {load:?} by {requests} requests; a raw round trip is {round_trip:?}: {ratio:.2} \
         round trips"
    );
    if options.json {
        let line = json!({
            "messages": messages,
            "commits": options.commits,
            "snapshots": options.snapshots,
            "command_ids": options.command_ids,
            "delay_ms": options.delay_ms,
            "requests": requests,
            "load_us": load.as_micros(),
            "round_trip_us": round_trip.as_micros(),
            "round_trips": ratio,
        });
        println!("{line}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        // `--help` is among them, and is no error.
        Err(told) if !told.use_stderr() => told.exit(),
        Err(told) => return failed(&first_paragraph(&told.to_string())),
    };
    let mut settings = KindSettings::default();
    if let Some(commits) = options.snapshots {
        settings = settings.snapshots(SnapshotPolicy::every(commits));
    }
    // Nobody else sets them.
    let _ = SETTINGS.set(settings);
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("error: {error}")),
    }
}
