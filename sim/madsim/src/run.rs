//! One run: a seed and a profile on the command line, a line of JSON at the end.

use crate::cluster::{Cluster, Corruption};
use crate::stage::Seen;
use crate::trouble;
use madsim::runtime::Runtime;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use tenure_sim::stage::{Setting, Stage, callers};
use tenure_sim::{Deviation, Profile, Report};

/// What a run is a function of.
struct Options {
    seed: u64,
    profile: Profile,
    trace: bool,
    corruption: Option<Corruption>,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let usage = "give a seed and a profile, and maybe --trace or --corrupt unchecked";
        let (Some(seed), Some(profile)) = (words.next(), words.next()) else {
            return Err(usage.into());
        };
        let mut options = Self {
            seed: seed
                .parse()
                .map_err(|_| format!("{seed:?} is no number from 0 to 2^64-1"))?,
            profile: profile.parse()?,
            trace: false,
            corruption: None,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--trace" => options.trace = true,
                "--corrupt" if words.next().as_deref() == Some("unchecked") => {
                    options.corruption = Some(Corruption::Unchecked);
                }
                _ => return Err(usage.into()),
            }
        }
        Ok(options)
    }
}

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    let options = Options::read(std::env::args().skip(1));
    // In a thread of its own: what libraries draw for a thread is drawn from madsim's seed.
    let ran = options.and_then(|options| {
        std::thread::scope(|scope| {
            let run = scope.spawn(|| run_one(&options));
            run.join().expect("a run that catches panics")
        })
    });
    match ran {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs a seed, and tells what came of it; its exit code.
fn run_one(options: &Options) -> Result<u8, String> {
    let setting = Setting::new(options.seed, options.profile, options.trace)?;
    if options.trace {
        println!("{}", setting.plan());
    }
    let runtime = Runtime::with_seed_and_config(options.seed, madsim::Config::default());
    let there: Arc<Mutex<Option<Arc<Cluster>>>> = Arc::default();
    let built = Arc::clone(&there);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async move {
            let mut setting = setting;
            trouble::set_weather(setting.weather(options.profile));
            let cluster = Cluster::new(setting, options.corruption);
            *crate::cluster::lock(&built) = Some(Arc::clone(&cluster));
            trouble::begin(&cluster);
            let stage: Arc<dyn Stage> = Arc::new(Seen(Arc::clone(&cluster)));
            callers(stage).await
        })
    }));
    let cluster = crate::cluster::lock(&there).take();
    let cluster = cluster.expect("a cluster is built before anything can panic");
    let messages = cluster.messages();
    let mut setting = cluster.setting();
    let report = setting.report(ended, &messages);
    let hash = setting.hash();
    drop(setting);
    println!("{}", told(options, &report, hash));
    // Nothing of it runs any more, and nothing needs an orderly end.
    std::mem::forget(runtime);
    Ok(report.broken().map_or(0, |broken| broken.ending.code()))
}

/// What came of the run, for programs.
fn told(options: &Options, report: &Report, hash: u64) -> Value {
    let broken = report.broken();
    let mut faults: BTreeMap<String, u64> = BTreeMap::new();
    for deviation in report.deviations.keys() {
        if let Deviation::Fault { fault, .. } = deviation {
            *faults.entry(fault.to_string()).or_default() += 1;
        }
    }
    json!({
        "world": "madsim",
        "seed": options.seed,
        "profile": options.profile.to_string(),
        "trace_hash": format!("{hash:016x}"),
        "events": report.events,
        "questions": report.asked,
        "commits": report.commits,
        "simulated_s": simulated_s(report.ended),
        "faults": faults,
        "ending": broken.as_ref().map_or("pass", |it| it.ending.name()),
        "oracle": broken.as_ref().map(|it| it.oracle.clone()),
        "what": broken.map(|it| it.what),
    })
}

#[allow(
    clippy::cast_precision_loss,
    reason = "it is rounded for people and programs that plot it"
)]
fn simulated_s(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
