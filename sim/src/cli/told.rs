//! What commands print, and the files that they write and read.

use super::options::Which;
use super::replay::is_flight;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tenure_core::step::CountingProbe;
use tenure_sim::coverage::given_up;
use tenure_sim::{Broken, Case, Profile, Report, Repro, WorldKind, process, trace_hash};

/// The world on the command line, where it is not the usual one.
pub(super) fn world(world: WorldKind) -> String {
    match world {
        WorldKind::Pure => String::new(),
        WorldKind::Driver | WorldKind::Madsim | WorldKind::Nats => format!(" --world {world}"),
    }
}

/// The line that runs a seed again.
pub(super) fn again(case: &Case) -> String {
    let (world, seed, profile) = (world(case.world), case.seed, case.profile);
    let corrupt = case.corruption.map(|it| format!(" --corrupt {it}"));
    let corrupt = corrupt.unwrap_or_default();
    format!("cargo sim run{world} --seed {seed} --profile {profile}{corrupt}")
}

/// When something begins that is measured: outside of any simulated world.
#[allow(
    clippy::disallowed_methods,
    reason = "measures how fast the simulator is, outside of any simulated world"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// How many a second, however short it took.
#[allow(
    clippy::cast_precision_loss,
    reason = "a rate is rounded for people anyway"
)]
pub(super) fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(0.001)
}

/// Whether the world has what is asked of it.
pub(super) fn check(which: &Which, profile: Option<Profile>) -> Result<(), String> {
    if let Some(corruption) = which.corrupt {
        which.world.check_corruption(corruption)?;
    }
    profile.map_or(Ok(()), |profile| which.world.check(profile))?;
    ready(which.world)
}

/// Builds what a world is run by, where that is another program.
fn ready(world: WorldKind) -> Result<(), String> {
    match world {
        WorldKind::Pure | WorldKind::Driver => Ok(()),
        WorldKind::Madsim | WorldKind::Nats => process::ready(),
    }
}

/// Which places were passed, and how often their condition held.
pub(super) fn sites(probe: &CountingProbe) {
    for (site, held, failed) in probe.counts() {
        println!("  {:>9?} {held:>9} {failed:>9}  {}", site.kind, site.name);
    }
}

/// Where the repro of a run that failed is.
pub(super) fn repro_path(folder: &Path, case: &Case) -> PathBuf {
    let corrupt = case.corruption.map(|it| format!("-{it}"));
    let corrupt = corrupt.unwrap_or_default();
    let world = match case.world {
        WorldKind::Pure => String::new(),
        WorldKind::Driver | WorldKind::Madsim | WorldKind::Nats => format!("{}-", case.world),
    };
    folder.join(format!(
        "{world}{}-{}{corrupt}.repro",
        case.profile, case.seed
    ))
}

/// Writes the repro of a run that failed; where it is.
pub(super) fn write_repro(folder: &Path, case: &Case, broken: &Broken) -> Result<PathBuf, String> {
    let path = repro_path(folder, case);
    let repro = Repro {
        case: case.clone(),
        expect: broken.clone(),
        remarks: Vec::new(),
    };
    write(&path, &repro.to_text())?;
    Ok(path)
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(told)?;
    }
    fs::write(path, text).map_err(told)
}

pub(super) fn read_repro(path: &Path) -> Result<Repro, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if is_flight(&bytes) {
        return Err(format!(
            "{}: it is a flight of a node, and no repro: `cargo sim replay` feeds it to the machines, `cargo sim \
             explain` draws it",
            path.display()
        ));
    }
    let text = String::from_utf8_lossy(&bytes);
    let repro = Repro::from_text(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let Some(test) = &repro.case.test else {
        ready(repro.case.world)?;
        return Ok(repro);
    };
    let file = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let again = test.again(&format!("TENURE_SIM_REPRO={}", file.display()));
    Err(format!(
        "{}: it is of a test of {}, which plays it: {again}; with TENURE_SIM_MINIMIZE=1 before it the \
         run is made smaller and drawn",
        path.display(),
        test.package
    ))
}

/// Prints what came of one run for programs; its story was kept.
pub(super) fn json_of(case: &Case, report: &Report) {
    let hash = trace_hash(case, &report.story.lines);
    println!("{}", of_run(case, hash, report));
}

/// The same of two runs that were not the same.
pub(super) fn json_of_two(case: &Case, broken: &Broken) {
    let told = json!({
        "world": case.world.name(),
        "seed": case.seed,
        "profile": case.profile.to_string(),
        "ending": broken.ending.name(),
        "oracle": broken.oracle,
        "what": broken.what,
    });
    println!("{told}");
}

fn of_run(case: &Case, hash: u64, report: &Report) -> Value {
    let deviations = report.deviations.keys();
    let broken = report.broken();
    json!({
        "world": case.world.name(),
        "seed": case.seed,
        "profile": case.profile.to_string(),
        "trace_hash": format!("{hash:016x}"),
        "events": report.events,
        "questions": report.asked,
        "commits": report.commits,
        "simulated_s": seconds(report.ended),
        "deviations": deviations.filter(|it| it.is_fault_or_time()).count(),
        "given_up": given_up(&report.probe),
        "ending": broken.as_ref().map_or("pass", |it| it.ending.name()),
        "oracle": broken.as_ref().map(|it| it.oracle.clone()),
        "what": broken.map(|it| it.what),
    })
}

#[allow(
    clippy::cast_precision_loss,
    reason = "it is rounded for people and programs that plot it"
)]
pub(super) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
