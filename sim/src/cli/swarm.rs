//! Many seeds.

use super::options::{Swarm as Options, Which};
use super::told;
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tenure_sim::{Swarm, Tally, Watch};

/// How often it says how far it is.
const TOLD_EVERY: Duration = Duration::from_millis(500);

/// Runs them, one profile after another.
pub(super) fn run(options: &Options) -> Result<u8, String> {
    let Options {
        seeds, time, which, ..
    } = options;
    let profiles = options
        .profile
        .map_or_else(|| which.world.profiles().to_vec(), |it| vec![it]);
    println!("{}", again(options));
    told::check(which, options.profile)?;
    let mut worst = 0;
    let mut all = Tally::default();
    let begin = now();
    let share = time.map(|time| time / u32::try_from(profiles.len()).unwrap_or(u32::MAX));
    for profile in profiles {
        let swarm = Swarm {
            world: which.world,
            corruption: which.corrupt,
            from: options.from,
            threads: options.threads,
            twice_every: options.twice_every,
            failures_max: options.failures_max,
            ..Swarm::new(profile, seeds.unwrap_or(u64::MAX - options.from))
        };
        let begin = now();
        let tally = watched(&swarm, share);
        let seconds = begin.elapsed().as_secs_f64();
        if options.sites {
            told::sites(&tally.probe);
        }
        worst = worst.max(failures(&tally, which)?);
        println!("{profile}: {}", sum(&tally, seconds));
        all.absorb(tally);
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("all: {}", sum(&all, seconds));
    if which.json {
        println!("{}", of_swarm(which, &all, seconds));
    }
    Ok(worst)
}

fn again(options: &Options) -> String {
    let Options {
        seeds,
        time,
        from,
        profile,
        which,
        ..
    } = options;
    let count = match (seeds, time) {
        (Some(seeds), _) => format!("--seeds {seeds}"),
        (None, Some(time)) => format!("--for {}s", time.as_secs()),
        (None, None) => String::new(),
    };
    let profile = profile.map(|it| format!(" --profile {it}"));
    let corrupt = which.corrupt.map(|it| format!(" --corrupt {it}"));
    let (profile, corrupt) = (profile.unwrap_or_default(), corrupt.unwrap_or_default());
    let world = told::world(which);
    format!("cargo sim swarm{world} {count} --from {from}{profile}{corrupt}")
}

/// Runs a swarm, for so long at most, and says how far it is where people look on.
fn watched(swarm: &Swarm, time: Option<Duration>) -> Tally {
    let watch = Watch::default();
    let begin = now();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| swarm.run_watched(&watch));
        let looked_at = std::io::stderr().is_terminal();
        while !run.is_finished() {
            std::thread::park_timeout(if time.is_some() || looked_at {
                TOLD_EVERY
            } else {
                Duration::from_millis(20)
            });
            let past = begin.elapsed();
            if time.is_some_and(|time| past >= time) {
                watch.stop.store(true, Ordering::Relaxed);
            }
            if looked_at {
                let seeds = watch.seeds.load(Ordering::Relaxed);
                let rate = per_second(seeds, past.as_secs_f64());
                let profile = swarm.profile;
                eprint!("\r{profile}: {seeds} seeds, {rate:.1} seeds/s ");
                let _ = std::io::stderr().flush();
            }
        }
        if looked_at {
            eprint!("\r\x1b[K");
        }
        run.join().expect("a swarm that catches panics")
    })
}

/// Tells and writes down what failed; the worst exit code.
fn failures(tally: &Tally, which: &Which) -> Result<u8, String> {
    let mut worst = 0;
    for failure in &tally.failures {
        let (case, broken) = (&failure.case, &failure.broken);
        let path = told::write_repro(&which.repros, case, broken)?;
        println!("FAILED seed {}: {broken}\n  {}", case.seed, path.display());
        worst = worst.max(broken.ending.code());
    }
    Ok(worst)
}

fn sum(tally: &Tally, seconds: f64) -> String {
    format!(
        "{} seeds ({} twice), {} failed, {} events, {} questions, {} commits, {:.1} seeds/s, {:.0} \
         simulated s/s",
        tally.seeds,
        tally.compared,
        tally.failures.len(),
        tally.events,
        tally.asked,
        tally.commits,
        per_second(tally.seeds, seconds),
        told::seconds(tally.simulated) / seconds,
    )
}

fn of_swarm(which: &Which, tally: &Tally, seconds: f64) -> serde_json::Value {
    let endings = |name: &str| {
        let failures = tally.failures.iter();
        failures
            .filter(|it| it.broken.ending.name() == name)
            .count()
    };
    json!({
        "world": which.world.name(),
        "seeds": tally.seeds,
        "compared": tally.compared,
        "failed": tally.failures.len(),
        "safety": endings("safety"),
        "liveness": endings("liveness"),
        "differed": endings("differed"),
        "panic": endings("panic"),
        "events": tally.events,
        "questions": tally.asked,
        "commits": tally.commits,
        "sites": tally.probe.counts().count(),
        "simulated_s": told::seconds(tally.simulated),
        "seconds": seconds,
        "seeds_per_s": per_second(tally.seeds, seconds),
    })
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a rate is rounded for people anyway"
)]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

#[allow(
    clippy::disallowed_methods,
    reason = "measures how fast the simulator is, outside of any simulated world"
)]
fn now() -> Instant {
    Instant::now()
}
