//! One run from the first node to the verdict.

use crate::asks::{Asks, What};
use crate::faults::Scene;
use crate::fleet::{Fleet, Start};
use crate::history::{Class, History, Outcome};
use crate::kinds::Live;
use crate::load::{Load, Loaded};
use crate::options::Options;
use crate::report::{Report, Wait};
use crate::schedule::{Planned, plan};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tenure::{Cluster, Tenure};
use tenure_examples::Failure;
use tenure_nats_server::NatsServer;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// The namespace; the server is the run's own.
const NAMESPACE: &str = "chaos";

/// How many nodes ask, so that one reads what another one wrote.
const CLIENTS: usize = 2;

/// How many keys are asked at once before and after the load.
const AT_ONCE: usize = 128;

/// How long a counter is read again and again at the end, until there is an answer.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// How long the run's own nodes take at most to end.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// Runs, and tells what it came to.
pub(crate) async fn run(options: Options, seed: u64) -> Result<Report, Failure> {
    let program = std::env::current_exe()?;
    let check = checker(&program)?;
    let planned = plan(seed, options.asked())?;
    options.check_load()?;
    let history = History::begin(
        &options.history,
        seed,
        options.nodes,
        options.shards,
        options.keys,
    );
    let history = history.map_err(|error| format!("{}: {error}", options.history.display()))?;
    if !options.json {
        println!("seed {seed}");
        for Planned {
            at, fault, second, ..
        } in &planned
        {
            let second = second.map_or_else(String::new, |second| {
                let after = second.after.as_millis();
                format!(", then {} after {after} ms", second.fault.name())
            });
            let (at, fault) = (at.as_millis(), fault.name());
            println!("{at:>7} ms  {fault} at the earliest{second}");
        }
    }
    let server = Arc::new(NatsServer::start()?);
    let mut fleet = Fleet::new(Start {
        program,
        nats: server.url(),
        namespace: NAMESPACE.to_owned(),
        shards: options.shards,
    });
    fleet.grow(options.nodes).await?;
    let mut clients = Vec::new();
    for number in 1..=CLIENTS {
        clients.push(client(&server.url(), number).await?);
    }
    let mut asks = Asks::new(clients, history, options.timeout());
    served(&asks.clients).await?;
    asks.shards = places(&asks, options.keys).await?;
    let mut scene = Scene {
        asks: Arc::new(asks),
        fleet,
        server,
        stop: Duration::from_secs(options.stop_seconds),
        done: Vec::new(),
        waits: std::collections::BTreeMap::new(),
        failures: Vec::new(),
    };
    let report = loaded(&options, seed, &planned, &mut scene).await;
    let Scene {
        asks,
        fleet,
        server,
        ..
    } = scene;
    let ended = fleet.end().await;
    for client in &asks.clients {
        // The server goes on without them whether they left or not.
        let _ = timeout(STOPPED_WITHIN, client.stop()).await;
    }
    drop(server);
    let mut report = report?;
    if let Err(error) = ended {
        report.failures.push(format!("at the end {error}"));
    }
    report.check = checked(&check, &options.history).await?;
    if report.check["passed"] != true {
        let broken = &report.check["broken"];
        report
            .failures
            .push(format!("the history breaks promises: {broken}"));
    }
    Ok(report)
}

async fn loaded(
    options: &Options,
    seed: u64,
    planned: &[Planned],
    scene: &mut Scene,
) -> Result<Report, Failure> {
    let asks = Arc::clone(&scene.asks);
    let begin = Instant::now();
    let (end, over) = watch::channel(false);
    let load = Load {
        rate: options.rate,
        seed,
    };
    let load = tokio::spawn(load.run(Arc::clone(&asks), over));
    scene.run(planned, options.json).await;
    tokio::time::sleep_until(begin + Duration::from_secs(options.seconds)).await;
    end.send_replace(true);
    let seconds = begin.elapsed().as_secs_f64();
    let loaded = load.await?;
    read_all(&asks).await;
    asks.history.end()?;
    let mut failures = std::mem::take(&mut scene.failures);
    // A load that was not made is not answered either.
    let due = loaded.due.max(options.rate * options.seconds);
    failures.extend(Loaded { due, ..loaded }.too_thin(options.floor));
    let ended = scene.fleet.ended.iter();
    failures.extend(ended.map(|node| format!("a node ended without being asked to: {node}")));
    let take_over = Wait::all(&scene.waits, options.bounds);
    let slow: Vec<String> = take_over.iter().filter_map(Wait::too_long).collect();
    if !options.bounds.report_only {
        failures.extend(slow.iter().cloned());
    }
    Ok(Report {
        seed,
        nodes: options.nodes,
        keys: options.keys,
        shards: options.shards,
        seconds,
        load_due: loaded.due,
        load_ok: loaded.ok,
        asks: asks.history.counts(),
        faults: scene.done.clone(),
        take_over,
        slow,
        ended: scene.fleet.ended.clone(),
        history: options.history.clone(),
        check: Value::Null,
        failures,
    })
}

async fn client(url: &str, number: usize) -> Result<Tenure, Failure> {
    let client = Tenure::builder()
        .namespace(NAMESPACE)
        .cluster(Cluster::named(format!("client-{number}")).client())
        .actor::<Live>()
        .start(url)
        .await?;
    Ok(client)
}

async fn served(clients: &[Tenure]) -> Result<(), Failure> {
    for client in clients {
        let cluster = client
            .cluster()
            .ok_or("the run's own node is in no cluster")?;
        let all =
            |view: &tenure::ClusterView| Class::ALL.iter().all(|class| view.is_served(class.of()));
        cluster.wait_until(READ_WITHIN, all).await?;
    }
    Ok(())
}

/// The shard of each key: its actor knows it, and an entity of the same name is in the shard of the
/// same number.
async fn places(asks: &Asks, keys: usize) -> Result<Vec<u16>, Failure> {
    let places = stream::iter(0..keys).map(|number| asks.place(number));
    Ok(places.buffered(AT_ONCE).try_collect().await?)
}

/// Reads all stored counters, each until there is an answer; one that has none is found by `check`.
async fn read_all(asks: &Asks) {
    let late = Instant::now() + READ_WITHIN;
    let reads = stream::iter(0..asks.shards.len()).map(|number| async move {
        let what = What::Look {
            local: false,
            is_final: true,
        };
        loop {
            let outcome = asks.ask(Class::Fenced, number, what).await.outcome;
            if matches!(outcome, Outcome::Ok(_)) || Instant::now() > late {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    });
    reads.buffer_unordered(AT_ONCE).collect::<()>().await;
}

/// The program that judges, which is built beside this one.
fn checker(program: &Path) -> Result<PathBuf, Failure> {
    let check = program.with_file_name("check");
    if check.is_file() {
        return Ok(check);
    }
    let there = check.display();
    Err(
        format!("no {there}, which judges the history: cargo build -p tenure-examples --bins")
            .into(),
    )
}

async fn checked(check: &Path, history: &Path) -> Result<Value, Failure> {
    let output = Command::new(check)
        .arg(history)
        .arg("--json")
        .output()
        .await?;
    let told = serde_json::from_slice(&output.stdout);
    told.map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        format!("check says nothing: {errors}").into()
    })
}
