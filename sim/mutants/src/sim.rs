//! The simulator and the mutants that it has to find: how many seeds it takes, and to how few deviations
//! the run that failed comes down.

use crate::list::Mutant;
use crate::plant::CHOICE;
use crate::run::Lab;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The mutant that any run finds: a hunt that does not find it finds nothing.
pub(crate) const CANARY: &str = "protocol:canary";

/// Seeds of each profile that have to be green without a mutant.
const CALM_SEEDS: u32 = 40;

/// A smaller run is looked for in so many runs.
const RUNS_MAX: u32 = 600;

/// What became of one mutant.
struct Caught {
    name: String,
    profile: String,
    /// Seeds that were run until it was found, over all profiles that were tried.
    seeds: u64,
    oracle: String,
    deviations: u64,
    questions: u64,
}

/// The simulator with all mutants in it.
struct Simulator {
    program: PathBuf,
    repros: PathBuf,
}

/// Looks for all of them; whether each was found.
pub(crate) fn hunt(
    lab: &Lab,
    canary: &Mutant,
    mutants: &[&Mutant],
    seeds_max: u32,
    as_json: bool,
) -> Result<bool, String> {
    let simulator = Simulator {
        program: lab.simulator()?,
        repros: lab.folder(),
    };
    let profiles: BTreeSet<&str> = mutants
        .iter()
        .flat_map(|mutant| mutant.profiles())
        .map(|(profile, _)| profile)
        .collect();
    for profile in profiles {
        let calm = simulator.swarm(None, profile, CALM_SEEDS)?;
        if calm["failed"] != 0 {
            return Err(format!(
                "{profile} fails without a mutant: {}",
                calm["failures"]
            ));
        }
        println!("{profile}: {CALM_SEEDS} seeds without a mutant, none failed");
    }
    let Some(sings) = simulator.catch(canary, seeds_max)? else {
        return Err(format!(
            "{CANARY} was not found: no mutant is in this build"
        ));
    };
    println!("{CANARY}: found by {}", sings.oracle);
    let mut caught = Vec::new();
    let mut left = Vec::new();
    for mutant in mutants.iter().filter(|mutant| mutant.name != CANARY) {
        match simulator.catch(mutant, seeds_max)? {
            Some(one) => {
                println!(
                    "{}: found by {} in {} ({} seeds), {} deviations and {} questions",
                    one.name, one.oracle, one.profile, one.seeds, one.deviations, one.questions
                );
                caught.push(one);
            }
            None => {
                println!("{}: LEFT, {}", mutant.name, mutant.says);
                left.push(mutant.name.as_str());
            }
        }
    }
    let (planted, killed) = (caught.len() + left.len(), caught.len());
    let median_seeds = median(caught.iter().map(|one| one.seeds));
    let median_deviations = median(caught.iter().map(|one| one.deviations));
    println!(
        "{planted} mutants, {killed} found, median of {median_seeds} seeds and {median_deviations} deviations"
    );
    if as_json {
        let mutants = caught.iter().map(|one| {
            json!({
                "name": one.name,
                "profile": one.profile,
                "seeds": one.seeds,
                "oracle": one.oracle,
                "deviations": one.deviations,
                "questions": one.questions,
            })
        });
        let told = json!({
            "planted": planted,
            "killed": killed,
            "left": left,
            "canary": true,
            "median_seeds": median_seeds,
            "median_deviations": median_deviations,
            "mutants": mutants.collect::<Vec<_>>(),
        });
        println!("{told}");
    }
    Ok(left.is_empty())
}

fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or(0)
}

impl Simulator {
    /// Tries a mutant's profiles until one finds it.
    fn catch(&self, mutant: &Mutant, seeds_max: u32) -> Result<Option<Caught>, String> {
        let mut seeds = 0;
        for (profile, most) in mutant.profiles() {
            let swarm = self.swarm(Some(mutant), profile, most.min(seeds_max))?;
            seeds += swarm["seeds"].as_u64().unwrap_or(0);
            let failures = swarm["failures"].as_array();
            let told = |failure: &&Value| {
                let oracle = failure["oracle"].as_str().unwrap_or_default();
                mutant.oracles.is_empty() || mutant.oracles.iter().any(|name| name == oracle)
            };
            let Some(failure) = failures.and_then(|all| all.iter().find(told)) else {
                continue;
            };
            let repro = failure["repro"].as_str().unwrap_or_default();
            let smaller = self.minimize(mutant, Path::new(repro))?;
            return Ok(Some(Caught {
                name: mutant.name.clone(),
                profile: profile.to_owned(),
                seeds,
                oracle: failure["oracle"].as_str().unwrap_or_default().to_owned(),
                deviations: smaller["deviations"].as_u64().unwrap_or(u64::MAX),
                questions: smaller["questions"].as_u64().unwrap_or(u64::MAX),
            }));
        }
        Ok(None)
    }

    fn swarm(&self, mutant: Option<&Mutant>, profile: &str, seeds: u32) -> Result<Value, String> {
        let seeds = seeds.to_string();
        let repros = self.repros.display().to_string();
        self.run(
            mutant,
            &[
                "swarm",
                "--profile",
                profile,
                "--seeds",
                &seeds,
                "--failures-max",
                "1",
                "--twice-every",
                "0",
                "--repros",
                &repros,
                "--json",
            ],
        )
    }

    fn minimize(&self, mutant: &Mutant, repro: &Path) -> Result<Value, String> {
        let (repro, runs) = (repro.display().to_string(), RUNS_MAX.to_string());
        self.run(
            Some(mutant),
            &["minimize", &repro, "--runs", &runs, "--json"],
        )
    }

    /// Runs it with a mutant; the last line is JSON.
    fn run(&self, mutant: Option<&Mutant>, args: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .env_remove(CHOICE)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null());
        if let Some(mutant) = mutant {
            command.env(CHOICE, &mutant.name);
        }
        let output = command
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        let told = String::from_utf8_lossy(&output.stdout);
        let last = told.lines().last().unwrap_or_default();
        serde_json::from_str(last).map_err(|_| {
            let name = mutant.map_or("no mutant", |mutant| &mutant.name);
            let errors = String::from_utf8_lossy(&output.stderr);
            format!("{name}: {}: {errors}", args.join(" "))
        })
    }
}
