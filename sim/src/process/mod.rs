//! The worlds on madsim: a program of this workspace, built with `--cfg madsim` into a folder of its own, of
//! which each run is a process. It is told a case as a line of JSON, and tells a report as one.

mod wire;

pub use wire::{order, read_order, told};

use crate::case::Case;
use crate::driver::Keep;
use crate::oracle::{Class, Violation};
use crate::world::{Kept, Report};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tenure_core::step::CountingProbe;

/// The program, built once in the life of this process.
static BUILT: OnceLock<Result<Process, String>> = OnceLock::new();

/// What a line with a report begins with: no line of a story does.
const REPORT: char = '\u{1e}';

/// The program of the worlds on madsim.
#[derive(Debug)]
pub(crate) struct Process {
    path: PathBuf,
}

/// Builds the program of the worlds on madsim, unless that was done before.
///
/// # Errors
///
/// When it does not build, or the workspace that it is part of is not here.
pub fn ready() -> Result<(), String> {
    built().map(|_| ()).map_err(Clone::clone)
}

/// Runs a case in a process of its own. One that cannot be started or ends without a word is a panic.
pub(crate) fn run(case: &Case, keep: Keep) -> Report {
    let ran = match built() {
        Ok(program) => program.run(case, keep),
        Err(error) => Err(error.clone()),
    };
    ran.unwrap_or_else(|what| Report {
        violation: Some(Violation {
            class: Class::Panic,
            oracle: "process",
            what,
        }),
        probe: CountingProbe::default(),
        ended: 0,
        events: 0,
        commits: 0,
        asked: 0,
        deviations: BTreeMap::new(),
        story: Kept::default(),
    })
}

fn built() -> Result<&'static Process, &'static String> {
    BUILT.get_or_init(Process::build).as_ref()
}

impl Process {
    fn build() -> Result<Self, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        if !here.join("madsim/Cargo.toml").is_file() {
            return Err(
                "the worlds on madsim are built from Tenure's own workspace, which is not here"
                    .into(),
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
            return Err("the worlds on madsim do not build: cargo says why above".into());
        }
        let name = format!("tenure-sim-madsim{}", std::env::consts::EXE_SUFFIX);
        let path = target.join("debug").join(name);
        Ok(Self { path })
    }

    fn run(&self, case: &Case, keep: Keep) -> Result<Report, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let mut child = Command::new(&self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(match keep {
                Keep::Printed => Stdio::inherit(),
                Keep::Nothing | Keep::Story => Stdio::piped(),
            })
            .spawn()
            .map_err(failed)?;
        let order = order(case, keep);
        let mut stdin = child.stdin.take().expect("a pipe to it");
        stdin.write_all(order.as_bytes()).map_err(failed)?;
        drop(stdin);
        // What it says when it panics is read beside its story: it waits for neither.
        let errors = child.stderr.take().map(|mut errors| {
            std::thread::spawn(move || {
                let mut text = String::new();
                // What cannot be read is not told.
                let _ = errors.read_to_string(&mut text);
                text
            })
        });
        let mut report = None;
        let stdout = child.stdout.take().expect("a pipe from it");
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(failed)?;
            match line.strip_prefix(REPORT) {
                Some(told) => report = Some(wire::heard(told)?),
                None => println!("{line}"),
            }
        }
        let status = child.wait().map_err(failed)?;
        let said = errors.map(|errors| errors.join().unwrap_or_default());
        report.ok_or_else(|| {
            let said = said.unwrap_or_default();
            let said = said.trim().replace('\n', " ");
            format!("it ended with {status} and without a report: {said}")
        })
    }
}
