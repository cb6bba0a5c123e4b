//! One run: a case on standard input, a report at the end.

use crate::cluster::{Cluster, Kept, lock};
use crate::stage::Seen;
use crate::trouble;
use madsim::runtime::Runtime;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure_sim::process::{WALL_MAX, read_order, told};
use tenure_sim::stage::{Keep, Setting, Stage, callers};
use tenure_sim::{Case, Class, Report, Violation};

/// How a run ended: with how many questions; `None`: it was cut.
type Ended = Result<Option<usize>, Violation>;

/// The cluster of a run, from when it is built until its run is told.
type There = Arc<Mutex<Option<Arc<Cluster>>>>;

/// Runs the case that it is told.
pub(crate) fn run() -> ExitCode {
    match ordered().and_then(|(case, keep)| in_time(case, keep)) {
        Ok(report) => {
            println!("{}", told(&report));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs a case; what came of it, or of as much as was done in time.
fn in_time(case: Case, keep: Keep) -> Result<Report, String> {
    let there = There::default();
    let (tell, told) = channel();
    let built = Arc::clone(&there);
    // In a thread of its own: what libraries draw for a thread is drawn from madsim's seed.
    std::thread::spawn(move || {
        // Nobody hears of one that was told before its end.
        let _ = tell.send(run_one(&case, keep, &built));
    });
    let ran = match told.recv_timeout(WALL_MAX) {
        Ok(ran) => return ran,
        Err(RecvTimeoutError::Timeout) => lock(&there).take(),
        Err(RecvTimeoutError::Disconnected) => None,
    };
    match ran {
        Some(cluster) => Ok(report(&cluster, Ok(Err(unending())))),
        // It has ended just now, or not begun.
        None => told.recv().map_err(|error| error.to_string())?,
    }
}

fn unending() -> Violation {
    let seconds = WALL_MAX.as_secs();
    Violation {
        class: Class::Liveness,
        oracle: "progress",
        what: format!("the run has not ended after {seconds} s of wall time"),
    }
}

fn ordered() -> Result<(Case, Keep), String> {
    let mut order = String::new();
    let read = std::io::stdin().read_to_string(&mut order);
    read.map_err(|error| format!("standard input: {error}"))?;
    read_order(&order)
}

/// Runs a case; what came of it.
fn run_one(case: &Case, keep: Keep, there: &There) -> Result<Report, String> {
    let setting = Setting::new(case, keep)?;
    let runtime = Runtime::with_seed_and_config(case.seed, madsim::Config::default());
    let built = Arc::clone(there);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async move {
            let mut setting = setting;
            trouble::set_weather(setting.weather(case.profile));
            if let Some(bytes) = setting.wire().and_then(|wire| wire.piece_max) {
                tokio::net::set_piece_max(bytes);
            }
            let (until, within) = (setting.until(), setting.within());
            let cluster = Cluster::new(setting);
            *lock(&built) = Some(Arc::clone(&cluster));
            trouble::begin(&cluster);
            let stage: Arc<dyn Stage> = Arc::new(Seen(Arc::clone(&cluster)));
            let cut = async {
                match until {
                    Some(until) => tokio::time::sleep(Duration::from_nanos(until)).await,
                    None => std::future::pending().await,
                }
            };
            let ended = async {
                let asked = callers(stage).await?;
                trouble::is_over(&cluster).await;
                Ok(Some(asked))
            };
            tokio::select! {
                biased;
                () = cut => Ok(None),
                () = tokio::time::sleep(within.into()) => Err(cluster.setting().unending()),
                ended = ended => ended,
            }
        })
    }));
    // Nothing of it runs any more, and nothing needs an orderly end.
    std::mem::forget(runtime);
    let cluster = lock(there).take();
    let cluster = cluster.ok_or("the run was told before its end")?;
    Ok(report(&cluster, ended))
}

/// What came of a run: as it ended, or panicked.
fn report(cluster: &Cluster, ended: std::thread::Result<Ended>) -> Report {
    cluster.with_store(|store| cluster.setting().report(ended, &Kept(store)))
}
