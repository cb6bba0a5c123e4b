//! The simulator on the command line; the library's documentation says what it does.

use clap::{Parser, Subcommand};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use tenure_core::step::CountingProbe;
use tenure_sim::{Class, Ending, Plan, Profile, Swarm, World, run_once};

/// Deterministic simulation of Tenure.
#[derive(Parser)]
#[command(name = "sim")]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Runs one seed.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// Which faults it may have.
        #[arg(long, default_value = "swarm")]
        profile: Profile,
        /// Prints what happens.
        #[arg(long)]
        trace: bool,
    },
    /// Runs many seeds.
    Swarm {
        /// How many.
        #[arg(long)]
        seeds: u64,
        /// The first one.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Which faults they may have; all profiles in turn when not given.
        #[arg(long)]
        profile: Option<Profile>,
        /// On how many threads.
        #[arg(long, default_value_t = 2)]
        threads: u64,
        /// Each seed that this divides runs twice and is compared.
        #[arg(long, default_value_t = 32)]
        twice_every: u64,
        /// After how many failures a thread stops.
        #[arg(long, default_value_t = 5)]
        failures_max: usize,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Action::Run {
            seed,
            profile,
            trace,
        } => run(seed, profile, trace),
        Action::Swarm {
            seeds,
            from,
            profile,
            threads,
            twice_every,
            failures_max,
        } => {
            let profiles = profile.map_or_else(|| Profile::ALL.to_vec(), |it| vec![it]);
            let mut worst = 0;
            for profile in profiles {
                let swarm = Swarm {
                    profile,
                    from,
                    seeds,
                    threads,
                    twice_every,
                    failures_max,
                };
                worst = worst.max(run_swarm(&swarm));
            }
            ExitCode::from(worst)
        }
    }
}

fn run(seed: u64, profile: Profile, trace: bool) -> ExitCode {
    println!("cargo sim run --seed {seed} --profile {profile}");
    let plan = Plan::new(seed, profile);
    println!("{plan:#?}");
    if trace {
        // The story comes out even when the run panics.
        let world = World::new(plan).printing();
        return match catch_unwind(AssertUnwindSafe(|| world.run())) {
            Ok(report) => ended(report.violation.map(|violation| violation.class)),
            Err(_) => ExitCode::from(Ending::Panic.code()),
        };
    }
    match run_once(seed, profile, true) {
        Ok(report) => {
            println!(
                "{} events, {} questions, {} commits",
                report.events, report.asked, report.commits
            );
            coverage(&report.probe);
            if let Some(violation) = &report.violation {
                println!("{:?}: {violation}", violation.class);
            }
            ended(report.violation.map(|violation| violation.class))
        }
        Err((ending, what)) => {
            println!("{ending:?}: {what}");
            ExitCode::from(ending.code())
        }
    }
}

fn ended(class: Option<Class>) -> ExitCode {
    match class {
        None => ExitCode::SUCCESS,
        Some(Class::Safety) => ExitCode::from(Ending::Safety.code()),
        Some(Class::Liveness) => ExitCode::from(Ending::Liveness.code()),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "measures how fast the simulator is, outside of any simulated world"
)]
fn run_swarm(swarm: &Swarm) -> u8 {
    let Swarm {
        profile,
        from,
        seeds,
        ..
    } = *swarm;
    println!("cargo sim swarm --seeds {seeds} --from {from} --profile {profile}");
    let start = std::time::Instant::now();
    let tally = swarm.run();
    let seconds = start.elapsed().as_secs_f64();
    coverage(&tally.probe);
    for failure in &tally.failures {
        println!(
            "FAILED {:?}: cargo sim run --seed {} --profile {} --trace\n  {}",
            failure.ending, failure.seed, failure.profile, failure.what
        );
    }
    println!(
        "{profile}: {} seeds, {} failed, {} events, {} questions, {} commits, {:.1} seeds/s",
        tally.seeds,
        tally.failures.len(),
        tally.events,
        tally.asked,
        tally.commits,
        tally.seeds as f64 / seconds
    );
    tally
        .failures
        .iter()
        .map(|failure| failure.ending.code())
        .max()
        .unwrap_or(0)
}

/// Which places were passed, and how often their condition held.
fn coverage(probe: &CountingProbe) {
    for (site, held, failed) in probe.counts() {
        println!("  {:>9?} {held:>9} {failed:>9}  {}", site.kind, site.name);
    }
}
