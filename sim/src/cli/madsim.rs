//! The madsim world: a program of this workspace, built with `--cfg madsim` into a folder of its own, of
//! which each run is a process.

use super::options::{Run, Swarm};
use super::told::{now, per_second};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tenure_sim::{Corruption, Ending, Profile, WorldKind};

/// Runs one seed, twice when nothing is printed on the way.
pub(super) fn run(options: &Run) -> Result<u8, String> {
    let Run {
        seed,
        profile,
        trace,
        which,
    } = options;
    println!("{}", again(*seed, *profile, which.corrupt));
    let program = Program::build(which.corrupt)?;
    check(*profile)?;
    if *trace {
        let status = program
            .command(*seed, *profile)
            .arg("--trace")
            .status()
            .map_err(|error| format!("{}: {error}", program.path.display()))?;
        return Ok(code(status.code()));
    }
    let ran = program.run_twice(*seed, *profile)?;
    println!(
        "{} events, {} questions, {} commits, faults {}",
        ran.told["events"], ran.told["questions"], ran.told["commits"], ran.told["faults"]
    );
    if which.json {
        println!("{}", ran.told);
    }
    if ran.code != 0 {
        eprintln!("FAILED {}", ran.story());
    }
    Ok(ran.code)
}

/// Runs many seeds, each in a process of its own.
pub(super) fn swarm(options: &Swarm) -> Result<u8, String> {
    let Swarm {
        seeds,
        time,
        from,
        profile,
        which,
        ..
    } = options;
    let count = match (seeds, time) {
        (Some(seeds), _) => format!("--seeds {seeds}"),
        (None, time) => format!("--for {}s", time.unwrap_or_default().as_secs()),
    };
    let corrupt = corrupted(which.corrupt);
    let named = profile.map(|it| format!(" --profile {it}"));
    let named = named.unwrap_or_default();
    println!("cargo sim swarm --world madsim {count} --from {from}{named}{corrupt}");
    if options.until_covered || options.sites {
        return Err("--until-covered and --sites are of the worlds pure and driver".into());
    }
    let profiles = profile.map_or_else(|| WorldKind::Driver.profiles().to_vec(), |it| vec![it]);
    profiles.iter().try_for_each(|it| check(*it))?;
    let program = Program::build(which.corrupt)?;
    let begin = now();
    let mut tally = Tally::default();
    let share = u32::try_from(profiles.len()).unwrap_or(u32::MAX);
    for profile in profiles {
        let until = time.map(|time| now() + time / share);
        tally.absorb(some(&program, options, profile, until));
    }
    tally.failures.sort_by_key(|failure| failure.seed);
    let seconds = begin.elapsed().as_secs_f64();
    for failure in &tally.failures {
        println!(
            "FAILED seed {}: {}\n  {}",
            failure.seed,
            failure.ran.story(),
            again(failure.seed, failure.profile, which.corrupt)
        );
    }
    println!(
        "all: {} seeds ({} twice), {} failed, {} events, {} questions, {} commits, {:.1} seeds/s",
        tally.seeds,
        tally.compared,
        tally.failures.len(),
        tally.events,
        tally.questions,
        tally.commits,
        per_second(tally.seeds, seconds)
    );
    if which.json {
        println!("{}", tally.told(seconds));
    }
    if let Some(error) = tally.error {
        return Err(error);
    }
    Ok(tally.worst())
}

/// Some seeds of one profile.
fn some(program: &Program, options: &Swarm, profile: Profile, until: Option<Instant>) -> Tally {
    let next = AtomicU64::new(options.from);
    let end = options
        .from
        .saturating_add(options.seeds.unwrap_or(u64::MAX));
    let enough = AtomicBool::new(false);
    let lane = || {
        let mut tally = Tally::default();
        while !enough.load(Ordering::Relaxed) && until.is_none_or(|until| now() < until) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let twice = options.twice_every != 0 && seed.is_multiple_of(options.twice_every);
            let ran = match twice {
                true => program.run_twice(seed, profile),
                false => program.run(seed, profile),
            };
            match ran {
                Ok(ran) => tally.add(seed, profile, ran, twice),
                Err(error) => {
                    tally.error = Some(error);
                    enough.store(true, Ordering::Relaxed);
                }
            }
            if tally.failures.len() >= options.failures_max {
                enough.store(true, Ordering::Relaxed);
            }
        }
        tally
    };
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..options.threads.max(1))
            .map(|_| scope.spawn(lane))
            .collect();
        let mut tally = Tally::default();
        for lane in lanes {
            tally.absorb(lane.join().expect("a lane that waits for processes"));
        }
        tally
    })
}

/// Whether clusters have a profile.
fn check(profile: Profile) -> Result<(), String> {
    WorldKind::Driver
        .check(profile)
        .map_err(|error| error.replace("driver", "madsim"))
}

/// The program of one run.
struct Program {
    path: PathBuf,
    corrupt: Option<Corruption>,
}

/// How a run ended, and what it told.
struct Ran {
    code: u8,
    told: Value,
}

impl Ran {
    fn story(&self) -> String {
        let word = |name| self.told[name].as_str().unwrap_or_default().to_owned();
        format!("{}, {}: {}", word("ending"), word("oracle"), word("what"))
    }
}

impl Program {
    /// Builds it.
    fn build(corrupt: Option<Corruption>) -> Result<Self, String> {
        if let Some(other) = corrupt.filter(|it| *it != Corruption::Unchecked) {
            return Err(format!(
                "--corrupt {other} is for --world pure; --world madsim has --corrupt unchecked"
            ));
        }
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        if !here.join("madsim/Cargo.toml").is_file() {
            return Err(
                "the madsim world is built from Tenure's own workspace, which is not here".into(),
            );
        }
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || here.join("../target"),
            |target| here.join("..").join(target),
        );
        let target = target.join("madsim");
        // The flags are part of what is built, so it has a folder of its own.
        let status = Command::new("cargo")
            .args(["build", "--quiet", "-p", "tenure-sim-madsim"])
            .args(["--config", "build.rustflags=['--cfg','madsim']"])
            .arg("--target-dir")
            .arg(&target)
            .current_dir(here)
            // They would take the place of those of the command line.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .map_err(|error| format!("cargo: {error}"))?;
        if !status.success() {
            return Err("the madsim world does not build: cargo says why above".into());
        }
        let name = format!("tenure-sim-madsim{}", std::env::consts::EXE_SUFFIX);
        let path = target.join("debug").join(name);
        Ok(Self { path, corrupt })
    }

    fn command(&self, seed: u64, profile: Profile) -> Command {
        let mut command = Command::new(&self.path);
        command.arg(seed.to_string()).arg(profile.to_string());
        if let Some(corruption) = self.corrupt {
            command.arg("--corrupt").arg(corruption.to_string());
        }
        command
    }

    /// Runs a seed.
    fn run(&self, seed: u64, profile: Profile) -> Result<Ran, String> {
        let told = |error| format!("{}: {error}", self.path.display());
        let output = self
            .command(seed, profile)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| told(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        match (serde_json::from_str(last), output.status.code()) {
            (Ok(told), status) if status != Some(2) => Ok(Ran {
                code: code(status),
                told,
            }),
            // It ended before it could tell: the line is missing.
            _ => {
                let what = String::from_utf8_lossy(&output.stderr);
                let what = what.trim().replace('\n', " ");
                Ok(Ran {
                    code: Ending::Panic.code(),
                    told: json!({"ending": "panic", "oracle": "process", "what": what}),
                })
            }
        }
    }

    /// Runs a seed in two processes: all that they tell has to be the same.
    fn run_twice(&self, seed: u64, profile: Profile) -> Result<Ran, String> {
        let (one, two) = (self.run(seed, profile)?, self.run(seed, profile)?);
        if one.told == two.told {
            return Ok(one);
        }
        let what = format!("{} or {}", one.told, two.told);
        let told = json!({"ending": "differed", "oracle": "twice", "what": what});
        Ok(Ran {
            code: Ending::Differed.code(),
            told,
        })
    }
}

/// The exit code of a run; of one that was killed that of a panic.
fn code(status: Option<i32>) -> u8 {
    let code = status.and_then(|code| u8::try_from(code).ok());
    code.unwrap_or(Ending::Panic.code())
}

/// The line that gets to a run again.
fn again(seed: u64, profile: Profile, corrupt: Option<Corruption>) -> String {
    let corrupt = corrupted(corrupt);
    format!("cargo sim run --world madsim --seed {seed} --profile {profile}{corrupt}")
}

fn corrupted(corrupt: Option<Corruption>) -> String {
    corrupt
        .map(|it| format!(" --corrupt {it}"))
        .unwrap_or_default()
}

struct Failure {
    seed: u64,
    profile: Profile,
    ran: Ran,
}

/// What many seeds came to.
#[derive(Default)]
struct Tally {
    seeds: u64,
    compared: u64,
    events: u64,
    questions: u64,
    commits: u64,
    simulated_s: f64,
    faults: BTreeMap<String, u64>,
    failures: Vec<Failure>,
    /// A run could not be started.
    error: Option<String>,
}

impl Tally {
    fn add(&mut self, seed: u64, profile: Profile, ran: Ran, twice: bool) {
        let number = |name| ran.told[name].as_u64().unwrap_or(0);
        self.seeds += 1;
        self.compared += u64::from(twice);
        self.events += number("events");
        self.questions += number("questions");
        self.commits += number("commits");
        self.simulated_s += ran.told["simulated_s"].as_f64().unwrap_or(0.0);
        for (fault, count) in ran.told["faults"].as_object().into_iter().flatten() {
            *self.faults.entry(fault.clone()).or_default() += count.as_u64().unwrap_or(0);
        }
        if ran.code != 0 {
            self.failures.push(Failure { seed, profile, ran });
        }
    }

    fn absorb(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.compared += other.compared;
        self.events += other.events;
        self.questions += other.questions;
        self.commits += other.commits;
        self.simulated_s += other.simulated_s;
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        self.failures.extend(other.failures);
        self.error = self.error.take().or(other.error);
    }

    fn worst(&self) -> u8 {
        let codes = self.failures.iter().map(|failure| failure.ran.code);
        codes.max().unwrap_or(0)
    }

    fn told(&self, seconds: f64) -> Value {
        let endings = |ending: Ending| {
            let failures = self.failures.iter();
            failures
                .filter(|it| it.ran.told["ending"] == ending.name())
                .count()
        };
        json!({
            "world": "madsim",
            "seeds": self.seeds,
            "compared": self.compared,
            "failed": self.failures.len(),
            "safety": endings(Ending::Safety),
            "liveness": endings(Ending::Liveness),
            "differed": endings(Ending::Differed),
            "panic": endings(Ending::Panic),
            "events": self.events,
            "questions": self.questions,
            "commits": self.commits,
            "faults": self.faults,
            "failures": self.failures.iter().map(|failure| json!({
                "seed": failure.seed,
                "profile": failure.profile.to_string(),
                "ending": failure.ran.told["ending"],
                "oracle": failure.ran.told["oracle"],
                "what": failure.ran.told["what"],
            })).collect::<Vec<_>>(),
            "simulated_s": self.simulated_s,
            "seconds": seconds,
            "seeds_per_s": per_second(self.seeds, seconds),
        })
    }
}
