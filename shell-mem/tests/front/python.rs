//! A program of the Python client against both servers. It is taken by pip; without it the test fails, unless
//! `TENURE_SKIP_NATS_PY` is set.

use crate::server::same;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use tokio::task::spawn_blocking;

/// The client's version.
const CLIENT: &str = "nats-py==2.16.0";

/// What is set where pip cannot get the client, and need not.
const SKIP: &str = "TENURE_SKIP_NATS_PY";

/// A Python that has the client; none where pip cannot get it.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nats-py");
    let python = folder.join("bin/python");
    if !python.is_file() {
        let made = Command::new("python3")
            .args(["-m", "venv"])
            .arg(&folder)
            .status();
        made.ok().filter(ExitStatus::success)?;
    }
    let install = ["-m", "pip", "install", "--quiet", CLIENT];
    let installed = Command::new(&python).args(install).status();
    installed.ok().filter(ExitStatus::success)?;
    Some(python)
}

#[tokio::test]
async fn a_python_program_is_told_the_same() {
    if std::env::var_os(SKIP).is_some() {
        println!("skipped: {SKIP} is set");
        return;
    }
    let python = python();
    let python =
        python.unwrap_or_else(|| panic!("pip has no {CLIENT} here; {SKIP}=1 does without"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/front/client.py");
    same(async |url| {
        let mut program = Command::new(&python);
        program.args([script, url]);
        // The front serves on this thread meanwhile.
        let output = spawn_blocking(move || program.output()).await;
        let output = output.expect("it is not cancelled").expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{errors}");
        text.lines().map(str::to_owned).collect()
    })
    .await;
}
