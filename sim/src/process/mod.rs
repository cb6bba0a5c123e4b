//! The worlds on madsim: a program of this workspace, built with `--cfg madsim` into a folder of its own, of
//! which each run is a process. It is told a case as a line of JSON, and tells a report as one.

mod wire;

pub use wire::{order, read_order, told};

use crate::case::Case;
use crate::driver::Keep;
use crate::oracle::{Class, Violation};
use crate::world::{Kept, Report};
use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;
use tenure_core::step::CountingProbe;

/// How long a run may take in wall time, a hundred times as long as one that ends on a machine of its own: one
/// in which no simulated time passes is ended then, and has failed.
pub const WALL_MAX: Duration = Duration::from_secs(300);

/// How long its process has after that to tell what happened until then.
const TELLING_MAX: Duration = Duration::from_secs(30);

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

/// Runs a case in a process of its own. One that cannot be started or ends without a word is a panic; one
/// that does not end is ended, and something good did not happen.
pub(crate) fn run(case: &Case, keep: Keep) -> Report {
    let ran = match built() {
        Ok(program) => program.run(case, keep),
        Err(error) => Err(untold(Class::Panic, error.clone())),
    };
    ran.unwrap_or_else(|violation| Report {
        violation: Some(violation),
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

    fn run(&self, case: &Case, keep: Keep) -> Result<Report, Violation> {
        let child = Command::new(&self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(match keep {
                Keep::Printed => Stdio::inherit(),
                Keep::Nothing | Keep::Story => Stdio::piped(),
            })
            .spawn();
        let order = order(case, keep);
        let ran = child.map(|child| heard(child, &order, WALL_MAX + TELLING_MAX));
        ran.unwrap_or_else(|error| Err(failed(&error)))
            .map_err(|violation| Violation {
                what: format!("{}: {}", self.path.display(), violation.what),
                ..violation
            })
    }
}

/// Gives a process its order, and hears it to its end, or for so long.
fn heard(mut child: Child, order: &str, patience: Duration) -> Result<Report, Violation> {
    let mut stdin = child.stdin.take().expect("a pipe to it");
    let stdout = child.stdout.take().expect("a pipe from it");
    // What it says when it panics is read beside its story: it waits for neither.
    let errors = child.stderr.take().map(|mut errors| {
        thread::spawn(move || {
            let mut text = String::new();
            // What cannot be read is not told.
            let _ = errors.read_to_string(&mut text);
            text
        })
    });
    let child = Mutex::new(child);
    let (told, is_late) = thread::scope(|scope| {
        let (ended, ends) = channel::<()>();
        let child = &child;
        let watch = scope.spawn(move || {
            let is_late = ends.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
            if is_late {
                // It may have ended by itself meanwhile.
                let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
            }
            is_late
        });
        let told = stdin.write_all(order.as_bytes());
        drop(stdin);
        let told = told.map_err(|error| failed(&error));
        let told = told.and_then(|()| report_in(stdout));
        drop(ended);
        (told, watch.join().expect("it waits, and does no more"))
    });
    let child = child.into_inner();
    let status = child.unwrap_or_else(PoisonError::into_inner).wait();
    let said = errors.map(|errors| errors.join().unwrap_or_default());
    match (told, is_late, status) {
        (Ok(Some(report)), ..) => Ok(report),
        (_, true, _) => {
            let seconds = patience.as_secs();
            let what = format!("it had not ended after {seconds} s, told nothing, and was ended");
            Err(untold(Class::Liveness, what))
        }
        (Err(violation), false, _) => Err(violation),
        (Ok(None), false, Err(error)) => Err(failed(&error)),
        (Ok(None), false, Ok(status)) => {
            let said = said.unwrap_or_default();
            let said = said.trim().replace('\n', " ");
            let what = format!("it ended with {status} and without a report: {said}");
            Err(untold(Class::Panic, what))
        }
    }
}

/// Prints what a process tells until its end, but for its report.
fn report_in(stdout: impl io::Read) -> Result<Option<Report>, Violation> {
    let mut report = None;
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|error| failed(&error))?;
        match line.strip_prefix(REPORT) {
            Some(told) => {
                report = Some(wire::heard(told).map_err(|error| untold(Class::Panic, error))?);
            }
            None => println!("{line}"),
        }
    }
    Ok(report)
}

fn failed(error: &io::Error) -> Violation {
    untold(Class::Panic, error.to_string())
}

/// A run of which its process told nothing.
fn untold(class: Class, what: String) -> Violation {
    Violation {
        class,
        oracle: "process",
        what,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::{heard, told};
    use crate::case::Case;
    use crate::oracle::{Class, Violation};
    use crate::profile::Profile;
    use crate::world::Report;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(100_000);

    fn ended(program: &str, argument: &str, patience: Duration) -> Result<Report, Violation> {
        let child = Command::new(program)
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a program of every system");
        heard(child, "", patience)
    }

    fn broken(program: &str, argument: &str, patience: Duration) -> (Class, String) {
        let violation = ended(program, argument, patience).map(|_| ()).unwrap_err();
        assert_eq!(violation.oracle, "process");
        (violation.class, violation.what)
    }

    #[test]
    fn a_process_that_does_not_end_is_ended_and_something_good_did_not_happen() {
        let (class, what) = broken("sleep", "100000", Duration::from_millis(10));
        assert_eq!(class, Class::Liveness, "{what}");
    }

    #[test]
    fn a_process_that_tells_no_report_is_a_panic() {
        let (class, what) = broken("cat", "/no/such/file", LONG);
        assert_eq!(class, Class::Panic, "{what}");
        assert!(what.contains("without a report"), "{what}");
    }

    #[test]
    fn a_report_is_heard_among_what_else_a_process_tells() {
        let report = Case::new(3, Profile::Calm).run();
        let name = format!("tenure-sim-report-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, format!("its story\n{}\n", told(&report))).unwrap();
        let heard = ended("cat", file.to_str().unwrap(), LONG);
        std::fs::remove_file(&file).unwrap();
        let heard = heard.expect("a report");
        assert_eq!(heard.events, report.events);
        assert_eq!(heard.violation, None);
    }
}
