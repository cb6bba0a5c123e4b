//! One run: a case on standard input, a report at the end.

use crate::cluster::{Cluster, Kept};
use crate::stage::Seen;
use crate::trouble;
use madsim::runtime::Runtime;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure_sim::process::{read_order, told};
use tenure_sim::stage::{Keep, Setting, Stage, callers};
use tenure_sim::{Case, Report};

/// Runs the case that it is told.
pub(crate) fn run() -> ExitCode {
    // In a thread of its own: what libraries draw for a thread is drawn from madsim's seed.
    let ran = ordered().and_then(|(case, keep)| {
        std::thread::scope(|scope| {
            let run = scope.spawn(|| run_one(&case, keep));
            run.join().expect("a run that catches panics")
        })
    });
    match ran {
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

fn ordered() -> Result<(Case, Keep), String> {
    let mut order = String::new();
    let read = std::io::stdin().read_to_string(&mut order);
    read.map_err(|error| format!("standard input: {error}"))?;
    read_order(&order)
}

/// Runs a case; what came of it.
fn run_one(case: &Case, keep: Keep) -> Result<Report, String> {
    let setting = Setting::new(case, keep)?;
    let runtime = Runtime::with_seed_and_config(case.seed, madsim::Config::default());
    let there: Arc<Mutex<Option<Arc<Cluster>>>> = Arc::default();
    let built = Arc::clone(&there);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async move {
            let mut setting = setting;
            trouble::set_weather(setting.weather(case.profile));
            if let Some(bytes) = setting.wire().and_then(|wire| wire.piece_max) {
                tokio::net::set_piece_max(bytes);
            }
            let until = setting.until();
            let cluster = Cluster::new(setting);
            *crate::cluster::lock(&built) = Some(Arc::clone(&cluster));
            trouble::begin(&cluster);
            let stage: Arc<dyn Stage> = Arc::new(Seen(Arc::clone(&cluster)));
            let cut = async {
                match until {
                    Some(until) => tokio::time::sleep(Duration::from_nanos(until)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cut => Ok(None),
                asked = callers(stage) => asked.map(Some),
            }
        })
    }));
    let cluster = crate::cluster::lock(&there).take();
    let cluster = cluster.expect("a cluster is built before anything can panic");
    let report = cluster.with_store(|store| cluster.setting().report(ended, &Kept(store)));
    // Nothing of it runs any more, and nothing needs an orderly end.
    std::mem::forget(runtime);
    Ok(report)
}
