//! The copy of the workspace, and what is run in it.

use crate::list::{Killer, Mutant, place};
use crate::plant::{CHOICE, HASHED, MODULE, hashed, packages, planted};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How long a layer may run on a mutant: one that never comes to an end is found.
const PATIENCE_S: &str = "600";

/// What the copy has of the workspace.
const COPIED: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "core",
    "shell-mem",
    "shell-nats",
    "sim",
    "examples",
];

/// What became of a mutant.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// A layer failed.
    Found { by: Killer, seconds: u64 },
    /// All layers that have to find it passed.
    Left,
}

/// Where the copy is.
#[derive(Debug)]
pub(crate) struct Lab {
    copy: PathBuf,
    target: PathBuf,
    /// The layers that were built, and hold without a mutant.
    sound: BTreeSet<Killer>,
}

impl Lab {
    /// Copies what has changed since the last time, with the mutants in it.
    pub(crate) fn prepare(
        root: &Path,
        lab: Option<PathBuf>,
        mutants: &[Mutant],
    ) -> Result<Self, String> {
        let beside =
            std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
        let copy = lab.unwrap_or_else(|| beside.join("mutants"));
        // What runs in it is told where to build.
        let copy = std::path::absolute(copy).map_err(|error| error.to_string())?;
        // Of its own: cargo tells the two workspaces' builds apart by nothing else, and one without
        // mutants must never be taken from here.
        let target = copy.join("target");
        let told = |error: io::Error| format!("{}: {error}", copy.display());
        let mut planted = planted(root, mutants)?;
        let text = match planted.remove(HASHED) {
            Some(text) => text,
            None => fs::read_to_string(root.join(HASHED)).map_err(told)?,
        };
        planted.insert(HASHED.to_owned(), hashed(&text)?);
        let with_mutants = packages(planted.keys()).into_iter().map(str::to_owned);
        for package in with_mutants.collect::<Vec<_>>() {
            let lib = format!("{package}/src/lib.rs");
            let text = match planted.remove(&lib) {
                Some(text) => text,
                None => fs::read_to_string(root.join(&lib)).map_err(told)?,
            };
            planted.insert(lib, format!("{text}\npub mod mutant;\n"));
            planted.insert(format!("{package}/src/mutant.rs"), MODULE.to_owned());
        }
        let files = planted.into_iter();
        let files: BTreeMap<PathBuf, String> =
            files.map(|(file, text)| (copy.join(file), text)).collect();
        for name in COPIED {
            copied(&root.join(name), &copy.join(name), &files).map_err(told)?;
        }
        for (path, text) in &files {
            written(path, text.as_bytes()).map_err(told)?;
        }
        let sound = BTreeSet::new();
        Ok(Self {
            copy,
            target,
            sound,
        })
    }

    /// Builds the simulator; where it is.
    pub(crate) fn simulator(&self) -> Result<PathBuf, String> {
        let mut command = Command::new("cargo");
        command
            .args(["build", "--quiet", "--profile", "sim", "-p", "tenure-sim"])
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove(CHOICE)
            .stdin(Stdio::null());
        let output = command
            .output()
            .map_err(|error| format!("cargo: {error}"))?;
        if !output.status.success() {
            let told = errors(&output.stderr);
            return Err(format!(
                "the simulator cannot be built with the mutants: {told}"
            ));
        }
        // Under a name of its own: the workspace's own build has the other.
        let built = self.target.join("sim/tenure-sim");
        let own = self.target.join("sim/tenure-sim-with-mutants");
        fs::copy(&built, &own).map_err(|error| format!("{}: {error}", built.display()))?;
        Ok(own)
    }

    /// Where cargo builds in the copy.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Where the hunt keeps what it writes.
    pub(crate) fn folder(&self) -> PathBuf {
        self.copy.join("hunt")
    }

    /// Runs what has to find a mutant; each layer has to pass without one first.
    pub(crate) fn hunt(&mut self, mutant: &Mutant) -> Result<Fate, String> {
        for killer in &mutant.killers {
            if !self.sound.contains(killer) {
                if !self.passes(killer, None)? {
                    let copy = self.copy.display();
                    return Err(format!("{killer} fails without a mutant, in {copy}"));
                }
                self.sound.insert(killer.clone());
            }
            #[allow(
                clippy::disallowed_methods,
                reason = "it tells people how long a layer took, and decides nothing"
            )]
            let begin = std::time::Instant::now();
            if !self.passes(killer, Some(&mutant.name))? {
                let (by, seconds) = (killer.clone(), begin.elapsed().as_secs());
                return Ok(Fate::Found { by, seconds });
            }
        }
        Ok(Fate::Left)
    }

    fn passes(&self, killer: &Killer, mutant: Option<&str>) -> Result<bool, String> {
        // A build is no run: only the latter may take too long.
        let build = (!self.sound.contains(killer)).then_some(None);
        for patience in build.into_iter().chain([Some(PATIENCE_S)]) {
            let mut command = match patience {
                None => Command::new("cargo"),
                Some(seconds) => {
                    let mut command = Command::new("timeout");
                    command.args([seconds, "cargo"]);
                    command
                }
            };
            match killer {
                Killer::Test(test) => {
                    command.args(["test", "--quiet", "-p", "tenure-core"]);
                    match test.as_str() {
                        "lib" => command.arg("--lib"),
                        test => command.args(["--test", test]),
                    };
                    if patience.is_none() {
                        command.arg("--no-run");
                    }
                }
                Killer::Sim { profile, seeds } => {
                    let verb = if patience.is_none() { "build" } else { "run" };
                    command.args([verb, "--quiet", "--profile", "sim", "-p", "tenure-sim"]);
                    if patience.is_some() {
                        let (world, profile) = place(profile);
                        command.args(["--", "swarm", "--world", world, "--profile", profile]);
                        command.args(["--seeds", &seeds.to_string()]);
                    }
                }
            }
            command
                .current_dir(&self.copy)
                .env("CARGO_TARGET_DIR", &self.target)
                .env("INSTA_UPDATE", "no")
                .env("RUST_BACKTRACE", "0")
                .env_remove(CHOICE)
                .stdin(Stdio::null());
            if let Some(mutant) = mutant.filter(|_| patience.is_some()) {
                command.env(CHOICE, mutant);
            }
            let output = command
                .output()
                .map_err(|error| format!("cargo: {error}"))?;
            if output.status.success() {
                continue;
            }
            if patience.is_none() {
                let told = errors(&output.stderr);
                return Err(format!("{killer} cannot be built with the mutants: {told}"));
            }
            if mutant.is_none() {
                print!("{}", String::from_utf8_lossy(&output.stdout));
                eprint!("{}", String::from_utf8_lossy(&output.stderr));
            }
            return Ok(false);
        }
        Ok(true)
    }
}

/// What a compiler says, but for its warnings: a planted choice has brackets that most places need not.
fn errors(told: &[u8]) -> String {
    let told = String::from_utf8_lossy(told);
    let errors = told.split("\n\n").filter(|it| !it.starts_with("warning"));
    errors.collect::<Vec<_>>().join("\n\n")
}

/// Copies a file or a folder, but for what is planted there; what is the same stays untouched, so that
/// it is not built again.
fn copied(from: &Path, to: &Path, planted: &BTreeMap<PathBuf, String>) -> io::Result<()> {
    if !from.is_dir() {
        return match planted.contains_key(to) {
            true => Ok(()),
            false => written(to, &fs::read(from)?),
        };
    }
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copied(&from.join(&name), &to.join(&name), planted)?;
    }
    // What has gone here is gone there.
    for entry in fs::read_dir(to)? {
        let there = entry?;
        let gone = !from.join(there.file_name()).exists();
        if gone && !there.path().is_dir() && !planted.contains_key(&there.path()) {
            fs::remove_file(there.path())?;
        }
    }
    Ok(())
}

fn written(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}
