//! The command line.

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use tenure_sim::{Corruption, Profile, WorldKind};

/// Deterministic simulation of Tenure: seeded faults, and every promise judged after every event.
#[derive(Debug, Parser)]
#[command(name = "cargo sim", bin_name = "cargo sim", version, after_help = ENDS)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What the exit code says.
const ENDS: &str = "Exit codes: 0 nothing was broken, 2 the command line or a file is wrong, 10 safety, \
    11 liveness, 12 not deterministic, 13 a panic, 14 not covered";

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Runs one seed
    Run(Run),
    /// Runs many seeds
    Swarm(Swarm),
    /// Makes a failing run smaller: as few faults, free dice and questions as break the same
    Minimize(Minimize),
    /// Runs a failing run without some of its deviations
    WhatIf(WhatIf),
    /// Draws a failing run, or a node's flight: one page that needs nothing else
    Explain(Explain),
    /// Feeds a node's flight to the machines of this build, and tells the first difference
    Replay(Replay),
    /// Measures how fast the simulator is, beside a bare event loop
    Bench(Bench),
    /// Plants mistakes in a copy of the machines, and sees whether the simulator finds them
    Mutants(Mutants),
}

/// What a run is a function of, beside its seed.
#[derive(Clone, Debug, Args)]
pub(crate) struct Which {
    /// In which world: pure (the machines), driver (the real driver and handlers), madsim (the same over
    /// madsim's network, each run in a process of its own), or nats (as madsim, with the shell on NATS and
    /// its client)
    #[arg(long, default_value_t)]
    pub(crate) world: WorldKind,
    /// How the world breaks its word behind the oracles' back, such as `unchecked`: to see them speak
    #[arg(long)]
    pub(crate) corrupt: Option<Corruption>,
    /// The folder for repros of runs that fail
    #[arg(long, value_name = "FOLDER", default_value = "target/sim")]
    pub(crate) repros: PathBuf,
    /// Print one line of JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Run {
    /// The seed
    #[arg(long)]
    pub(crate) seed: u64,
    /// Which faults it may have: calm, direct, owned, replicated (or store), churn, swarm, tail, cluster,
    /// partition, drift (or clock), takeover, kill, storm or, where the driver runs, consume or group
    #[arg(long, default_value = "swarm")]
    pub(crate) profile: Profile,
    /// Print what happens
    #[arg(long)]
    pub(crate) trace: bool,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Swarm {
    /// How many seeds of each profile
    #[arg(long, required_unless_present_any = ["time", "until_covered"], conflicts_with = "time", value_parser = some::<u64>())]
    pub(crate) seeds: Option<u64>,
    /// For how long, such as 60s, 10m or 2h, divided among the profiles
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(crate) time: Option<Duration>,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    pub(crate) from: u64,
    /// Which faults they may have: calm, direct, owned, replicated (or store), churn, swarm, tail, cluster,
    /// partition, drift (or clock), takeover, kill, storm or, where the driver runs,
    /// consume or group, and effect in the driver world; all in turn when not given
    #[arg(long)]
    pub(crate) profile: Option<Profile>,
    /// On how many threads
    #[arg(long, default_value_t = 2, value_parser = some::<u64>())]
    pub(crate) threads: u64,
    /// Each seed that this divides runs twice and is compared event by event; 0 is never
    #[arg(long, default_value_t = 64)]
    pub(crate) twice_every: u64,
    /// After how many failures a thread stops
    #[arg(long, default_value_t = 5, value_parser = some::<usize>())]
    pub(crate) failures_max: usize,
    /// Go on until each place that the world has to come by was passed, in so many seeds of each
    /// profile or so long at most where that is given; some place that was not is exit code 14
    #[arg(long)]
    pub(crate) until_covered: bool,
    /// Print each place that was passed, and how often
    #[arg(long)]
    pub(crate) sites: bool,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Minimize {
    /// The repro of a failing run
    pub(crate) file: PathBuf,
    /// Where the smaller one goes; by default beside it, as FILE.min.repro
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// After how many runs it is small enough
    #[arg(long, default_value_t = 3_000, value_parser = some::<u64>())]
    pub(crate) runs: u64,
    /// Leave out faults and free dice only: most runs are about questions
    #[arg(long)]
    pub(crate) keep_questions: bool,
    /// Print one line of JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct WhatIf {
    /// The repro of a failing run
    pub(crate) file: PathBuf,
    /// Deviations to leave out, by their number in the file's list, from 1
    #[arg(long, value_name = "NUMBER", required = true, num_args = 1..)]
    pub(crate) without: Vec<usize>,
    /// Print what happens
    #[arg(long)]
    pub(crate) trace: bool,
    /// Print one line of JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Replay {
    /// The flight that a node wrote
    pub(crate) file: PathBuf,
    /// The last input of each lane that is fed, by its number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) until: Option<u64>,
    /// Print each input and what it leads to
    #[arg(long)]
    pub(crate) trace: bool,
    /// Print one line of JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Explain {
    /// The repro of a failing run, or the flight that a node wrote
    pub(crate) file: PathBuf,
    /// Where the page goes; by default beside it, as FILE.html
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Bench {
    /// How many seeds
    #[arg(long, default_value_t = 64, value_parser = some::<u64>())]
    pub(crate) seeds: u64,
    /// Which faults they may have: calm, direct, owned, replicated (or store), churn, swarm, tail, cluster,
    /// partition, drift (or clock), takeover, kill or storm
    #[arg(long, default_value = "swarm")]
    pub(crate) profile: Profile,
    /// Print one line of JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Mutants {
    /// Only mutants whose name begins so, such as `protocol:`
    #[arg(long, default_value = "")]
    pub(crate) only: String,
    /// Only those that this world has to find. Without it none of those that only the NATS world finds,
    /// where each run is a process of its own
    #[arg(long)]
    pub(crate) world: Option<WorldKind>,
    /// Name them, and run nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Each has to be found in so many seeds, whatever their profiles
    #[arg(long, default_value_t = 500, value_parser = some::<u32>())]
    pub(crate) seeds: u32,
    /// How many simulators run side by side
    #[arg(long, default_value_t = 2, value_parser = some::<usize>())]
    pub(crate) jobs: usize,
    /// Those that nothing has found yet, which are kept apart
    #[arg(long)]
    pub(crate) open: bool,
    /// Go on where an earlier hunt with the same build was stopped
    #[arg(long)]
    pub(crate) resume: bool,
    /// Half of the runs have to come down to so few deviations, or the exit code is 15
    #[arg(long, value_name = "NUMBER")]
    pub(crate) deviations_max: Option<u64>,
    /// Write what was found into the table of mutants in this file, such as DESIGN.md
    #[arg(long, value_name = "FILE")]
    pub(crate) table: Option<PathBuf>,
    /// Print one line of JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}

/// A number from 1 on.
fn some<T>() -> RangedU64ValueParser<T>
where
    T: TryFrom<u64, Error: Into<Box<dyn Error + Send + Sync>>> + Clone + Send + Sync + 'static,
{
    RangedU64ValueParser::new().range(1..)
}

fn time(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is no time: give seconds, minutes or hours, such as 60s, 10m or 2h");
    let at = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(at.ok_or_else(wrong)?);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit) {
        Some(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        Some(0) | None => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, time};
    use clap::CommandFactory as _;
    use std::time::Duration;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("2h"), Ok(Duration::from_secs(7_200)));
        for wrong in ["", "90", "s", "0s", "1d", "-1s", "99999999999999999999h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
