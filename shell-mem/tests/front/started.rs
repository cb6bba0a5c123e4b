//! The program `nats_front`, started for a test or a benchmark.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// The program, which ends with this.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Program {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1")
    }

    /// The program at a host.
    pub(crate) fn at(host: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_nats_front"))
            .args(["--port", "0", "--host", host])
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("it starts");
        let told = child.stdout.take().expect("what it tells");
        let mut line = String::new();
        BufReader::new(told).read_line(&mut line).expect("a line");
        let url = line.trim_start_matches("listening at ").trim().to_owned();
        assert!(
            url.starts_with("nats://") && !url.ends_with(":0"),
            "{line:?}"
        );
        Self { child, url }
    }

    /// How much memory it has, in KiB, where the operating system tells.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.unwrap_or(0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
