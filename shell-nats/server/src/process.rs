//! One server process and the signals it gets. It dies with its owner, however that one dies.

use crate::{PATIENCE, ServerError, Trying};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process and the watchdog that kills it when this one is gone.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    watchdog: Option<Child>,
}

impl Process {
    pub(crate) fn spawn(binary: &Path, config: &Path, errors: &Path) -> Result<Self, ServerError> {
        let errors = std::fs::File::create(errors)
            .trying(|| format!("cannot create {}", errors.display()))?;
        let child = Command::new(binary)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .trying(|| format!("cannot start {}", binary.display()))?;
        let watchdog = watchdog(child.id());
        Ok(Self { child, watchdog })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Sends a signal by name, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) -> Result<(), ServerError> {
        let pid = self.id().to_string();
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid])
            .stderr(Stdio::null())
            .status()
            .trying(|| format!("cannot send SIG{name} to process {pid}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(ServerError::NotRunning)
        }
    }

    /// Waits until the process has ended.
    pub(crate) fn join(mut self) -> Result<(), ServerError> {
        until(
            || self.ended().then_some(()),
            || ServerError::NotReady {
                last: "it does not end".into(),
                log: String::new(),
            },
        )
    }

    /// Waits until every thread of the process is stopped, where the system tells (Linux).
    pub(crate) fn stopped(&self) -> Result<(), ServerError> {
        let tasks = format!("/proc/{}/task", self.id());
        if !Path::new(&tasks).is_dir() {
            return Ok(());
        }
        let all_stopped = || {
            let tasks = std::fs::read_dir(&tasks).ok()?;
            let stopped = |task: std::io::Result<std::fs::DirEntry>| {
                let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
                // The state follows the command's name, which ends at the last parenthesis.
                stat.rsplit_once(')')
                    .map(|(_, rest)| rest.trim_start().starts_with('T'))
            };
            tasks
                .map(stopped)
                .all(|task| task.unwrap_or(true))
                .then_some(())
        };
        until(all_stopped, || ServerError::NotReady {
            last: "it does not stop".into(),
            log: String::new(),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watchdog goes first: afterwards it could meet another process under the same id.
        if let Some(mut watchdog) = self.watchdog.take() {
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A shell that waits for the end of its input, which comes when this process ends in any way, and
/// then kills the server: `Drop` does not run after a SIGKILL, an abort, or in a static.
fn watchdog(pid: u32) -> Option<Child> {
    Command::new("sh")
        .args([
            "-c",
            "trap '' INT TERM HUP; read -r _; kill -s KILL \"$1\"",
            "sh",
        ])
        .arg(pid.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

/// Asks again and again until there is an answer or [`PATIENCE`] is over.
#[allow(
    clippy::disallowed_methods,
    reason = "another process's state can only be polled, and this crate is blocking"
)]
pub(crate) fn until<T>(
    mut ask: impl FnMut() -> Option<T>,
    late: impl FnOnce() -> ServerError,
) -> Result<T, ServerError> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() > end {
            return Err(late());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
