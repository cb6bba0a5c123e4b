//! The simulator with all mutants in it, as a program that is run with one of them.

use crate::list::{Mutant, is_apart, place};
use crate::plant::CHOICE;
use crate::run::Lab;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How long one of its swarms may take, in seconds, with what it has to build first: a mutant that never
/// comes to an end is no result.
const PATIENCE_S: &str = "1800";

/// The program.
#[derive(Debug)]
pub(super) struct Simulator {
    program: PathBuf,
    /// Where it builds the program of the worlds on madsim.
    target: PathBuf,
    repros: PathBuf,
    /// A number that tells it from other builds.
    pub(super) fingerprint: String,
}

/// Seeds of a profile that were run until one failed.
#[derive(Clone, Debug)]
pub(super) struct Swarm {
    /// How many were run.
    pub(super) seeds: u64,
    pub(super) failure: Option<Failure>,
    /// The exit code.
    pub(super) code: u8,
}

/// A seed that failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) oracle: String,
    pub(super) what: String,
    pub(super) repro: PathBuf,
}

/// A failing run made smaller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Smaller {
    pub(super) deviations: u64,
    pub(super) questions: u64,
}

impl Simulator {
    /// Builds what runs of these profiles need.
    pub(super) fn build(lab: &Lab, profiles: &BTreeSet<&str>) -> Result<Self, String> {
        let mut simulator = Self {
            program: lab.simulator()?,
            target: lab.target().to_owned(),
            repros: lab.folder(),
            fingerprint: String::new(),
        };
        let mut hasher = DefaultHasher::new();
        let mut hash = |path: &Path| {
            let read = fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
            read.map(|bytes| bytes.hash(&mut hasher))
        };
        hash(&simulator.program)?;
        let apart = |profile: &&str| is_apart(place(profile).0);
        if let Some(profile) = profiles.iter().copied().find(apart) {
            // It builds that program itself, before its first run.
            simulator.swarm(None, profile, 0, 1)?;
            hash(&simulator.target.join("madsim/debug/tenure-sim-madsim"))?;
        }
        simulator.fingerprint = format!("{:016x}", hasher.finish());
        Ok(simulator)
    }

    /// Runs seeds of a profile until one fails.
    pub(super) fn swarm(
        &self,
        mutant: Option<&Mutant>,
        profile: &str,
        from: u64,
        seeds: u32,
    ) -> Result<Swarm, String> {
        let (from, seeds) = (from.to_string(), seeds.to_string());
        // A folder of its own: another mutant may fail in the same seed meanwhile.
        let folder = mutant.map_or("calm".to_owned(), |mutant| mutant.name.replace(':', "-"));
        let repros = self.repros.join(folder).display().to_string();
        let (world, profile) = place(profile);
        let args = [
            "swarm",
            "--world",
            world,
            "--profile",
            profile,
            "--from",
            &from,
            "--seeds",
            &seeds,
            "--failures-max",
            "1",
            "--twice-every",
            "0",
            "--threads",
            "1",
            "--repros",
            &repros,
            "--json",
        ];
        let (told, code) = self.run(mutant, &args)?;
        let failures = told["failures"].as_array();
        let failure = failures.and_then(|all| all.first());
        let text =
            |failure: &Value, key: &str| failure[key].as_str().unwrap_or_default().to_owned();
        Ok(Swarm {
            seeds: told["seeds"].as_u64().unwrap_or(0),
            failure: failure.map(|failure| Failure {
                seed: failure["seed"].as_u64().unwrap_or(0),
                oracle: text(failure, "oracle"),
                what: text(failure, "what"),
                repro: text(failure, "repro").into(),
            }),
            code,
        })
    }

    /// The hash of a run.
    pub(super) fn hash(&self, mutant: Option<&Mutant>) -> Result<String, String> {
        let repros = self.repros.join("hash").display().to_string();
        let args = [
            "run",
            "--seed",
            "7",
            "--profile",
            "calm",
            "--repros",
            &repros,
            "--json",
        ];
        let (told, _) = self.run(mutant, &args)?;
        let hash = told["trace_hash"].as_str();
        hash.map(str::to_owned)
            .ok_or_else(|| "a run tells no trace_hash".to_owned())
    }

    /// Makes a failing run smaller, in so many runs at most.
    pub(super) fn minimize(
        &self,
        mutant: &Mutant,
        repro: &Path,
        runs_max: u32,
    ) -> Result<Smaller, String> {
        let (repro, runs) = (repro.display().to_string(), runs_max.to_string());
        let args = [
            "minimize",
            &repro,
            "--runs",
            &runs,
            "--keep-questions",
            "--json",
        ];
        let (told, _) = self.run(Some(mutant), &args)?;
        let number = |key: &str| {
            let number = told[key].as_u64();
            number.ok_or_else(|| format!("{}: minimize tells no {key}", mutant.name))
        };
        Ok(Smaller {
            deviations: number("deviations")?,
            questions: number("questions")?,
        })
    }

    /// Runs it with a mutant; the last line is JSON.
    fn run(&self, mutant: Option<&Mutant>, args: &[&str]) -> Result<(Value, u8), String> {
        let mut command = Command::new("timeout");
        command
            .arg(PATIENCE_S)
            .arg(&self.program)
            .args(args)
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove(CHOICE)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null());
        if let Some(mutant) = mutant {
            command.env(CHOICE, &mutant.name);
        }
        let output = command
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        let code = output
            .status
            .code()
            .and_then(|code| u8::try_from(code).ok());
        let told = String::from_utf8_lossy(&output.stdout);
        let last = told.lines().last().unwrap_or_default();
        let told = serde_json::from_str(last).map_err(|_| {
            let name = mutant.map_or("no mutant", |mutant| &mutant.name);
            let errors = String::from_utf8_lossy(&output.stderr);
            let code = code.map_or("no exit code".into(), |code| format!("exit code {code}"));
            format!("{name}: {}: {code}: {errors}", args.join(" "))
        })?;
        Ok((told, code.unwrap_or(1)))
    }
}
