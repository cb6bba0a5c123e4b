//! One of several processes that contend for one entity, and keep a history of what came of each
//! operation. `tests/contention.rs` starts it; its histories are held against the stream there.
//!
//! It says `ready` on its standard output when it is connected, begins at the first line of its
//! standard input, and with `--until-end` goes on until that input ends.

use clap::Parser;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tenure::{
    Aggregate, CommandId, Counters, Decision, Event, ExecuteError, Limits, Repository, Tenure,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Contends for one entity.
#[derive(Parser)]
struct Options {
    /// The nats-server.
    #[arg(long)]
    nats: String,
    /// The namespace.
    #[arg(long)]
    namespace: String,
    /// The entity's id.
    #[arg(long)]
    entity: String,
    /// What the names of this worker's operations begin with.
    #[arg(long)]
    worker: String,
    /// How many users there are at once, each with one operation at a time.
    #[arg(long)]
    users: usize,
    /// Users go on until standard input ends; without it each has one operation.
    #[arg(long)]
    until_end: bool,
    /// How long a user waits between two operations, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
    /// How many operations of this process one commit may take.
    #[arg(long)]
    commit_commands: Option<usize>,
    /// The file that the history is appended to.
    #[arg(long)]
    history: PathBuf,
}

/// What is contended for: how many operations took effect.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    count: u64,
}

#[derive(Debug, Event)]
enum TallyEvent {
    /// Says which operation it comes of, and which one in the order of all it is.
    #[event(name = "counted", version = 1)]
    Counted { op: String, count: u64 },
}

impl Aggregate for Tally {
    type Event = TallyEvent;
    const KIND: &'static str = "tally";

    fn evolve(&mut self, event: &TallyEvent) {
        let TallyEvent::Counted { count, .. } = event;
        self.count = *count;
    }
}

/// What happened to an operation, as its worker knows it.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Entry {
    Invoked,
    Ok {
        version: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
        command: String,
        duplicate: bool,
    },
    Unknown,
    Refused {
        error: String,
    },
}

/// A line of the history.
#[derive(Serialize)]
struct Line<'a> {
    op: &'a str,
    #[serde(flatten)]
    entry: Entry,
}

/// What all users of this process share.
struct Worker {
    options: Options,
    tallies: Repository<Tally>,
    tenure: Tenure,
    history: Mutex<File>,
    over: AtomicBool,
}

/// A closure has no domain error here: it accepts.
#[derive(Debug, Serialize, Deserialize)]
enum Never {}

impl std::fmt::Display for Never {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

impl Worker {
    /// Writes a line at once, so that it is there whatever becomes of this process.
    fn note(&self, op: &str, entry: Entry) -> Result<(), std::io::Error> {
        let mut line = serde_json::to_string(&Line { op, entry })?;
        line.push('\n');
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.write_all(line.as_bytes())
    }

    /// One user, who has one operation after the other. With `--until-end` some are impatient, so
    /// that they see an `Unknown` where others wait for the server to come back; and half of those
    /// leave it at that, where the others send the operation again until they know.
    async fn user(self: Arc<Self>, user: usize) -> Result<(), std::io::Error> {
        let impatient = self.options.until_end && user % 2 == 1;
        let timeout = Duration::from_millis(if impatient { 100 } else { 300_000 });
        let sends_again = user % 4 == 1;
        for n in 0.. {
            let op = format!("{}-{user}-{n}", self.options.worker);
            self.operation(&op, timeout, sends_again).await?;
            if !self.options.until_end || self.over.load(Ordering::Relaxed) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(self.options.pause_ms)).await;
        }
        Ok(())
    }

    async fn operation(
        &self,
        op: &str,
        timeout: Duration,
        sends_again: bool,
    ) -> Result<(), std::io::Error> {
        let id = self.tenure.command_id();
        self.note(op, Entry::Invoked)?;
        let mut unknown = false;
        loop {
            match self.transact(op, id, timeout).await {
                Ok(entry) => return self.note(op, entry),
                Err(error) if error.is_unknown() => {
                    unknown = true;
                    self.note(op, Entry::Unknown)?;
                }
                // What came of the first attempt is still unknown.
                Err(error) if unknown && error.is_retryable() => {}
                Err(_) if unknown => return Ok(()),
                Err(error) => {
                    let error = error.to_string();
                    return self.note(op, Entry::Refused { error });
                }
            }
            if !sends_again || self.over.load(Ordering::Relaxed) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(self.options.pause_ms)).await;
        }
    }

    async fn transact(
        &self,
        op: &str,
        id: CommandId,
        timeout: Duration,
    ) -> Result<Entry, ExecuteError<Never>> {
        let name = op.to_owned();
        let counted = move |tally: &Tally| -> Result<Decision<Tally, u64>, Never> {
            let (op, count) = (name.clone(), tally.count + 1);
            Ok(Decision::event(TallyEvent::Counted { op, count }).reply(count))
        };
        let transaction = self.tallies.transact(&self.options.entity, counted);
        let receipt = transaction.id(id).timeout(timeout).receipt().await?;
        Ok(Entry::Ok {
            version: receipt.version.0,
            sequence: receipt.sequence.map(|sequence| sequence.0),
            command: format!("{:032x}", receipt.id.0),
            duplicate: receipt.duplicate,
        })
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let history = File::options()
        .create(true)
        .append(true)
        .open(&options.history)?;
    let mut limits = Limits::default();
    if let Some(commands) = options.commit_commands {
        limits.commit_commands_max = commands;
    }
    let tenure = Tenure::builder()
        .namespace(&options.namespace)
        .node(&options.worker)
        .limits(limits)
        .start(&options.nats)
        .await?;
    let worker = Arc::new(Worker {
        tallies: tenure.repository().await?,
        tenure: tenure.clone(),
        history: Mutex::new(history),
        over: AtomicBool::new(false),
        options,
    });
    println!("ready");
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    input.next_line().await?;
    let mut users = tokio::task::JoinSet::new();
    for user in 0..worker.options.users {
        users.spawn(Arc::clone(&worker).user(user));
    }
    if worker.options.until_end {
        while input.next_line().await?.is_some() {}
        worker.over.store(true, Ordering::Relaxed);
    }
    while let Some(ended) = users.join_next().await {
        ended??;
    }
    println!("{}", summary(&tenure.counters().await));
    tenure.stop().await;
    Ok(())
}

/// Requests to the store, those without an answer, and commits that came after another's.
fn summary(counters: &Counters) -> String {
    // The site is passed at each conflict; it asks whether the commit had been in doubt.
    let conflicts: u64 = counters
        .probes
        .counts()
        .filter(|(site, _, _)| site.name == "direct: an unknown commit was overtaken")
        .map(|(_, held, failed)| held + failed)
        .sum();
    let Counters {
        store_requests,
        store_unknown,
        ..
    } = counters;
    format!("{store_requests} {store_unknown} {conflicts}")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
