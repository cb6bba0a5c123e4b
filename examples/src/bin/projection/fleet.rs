//! The process that is killed, as its parent has it: started, killed with SIGKILL, started again.

use crate::options::Options;
use crate::victim::Told;
use std::path::Path;
use std::process::Stdio;
use tenure_examples::Failure;
use tenure_examples::load::Where;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

#[derive(Debug)]
pub(crate) struct Victim {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Victim {
    /// Starts one, and waits until its projections run.
    pub(crate) async fn start(
        options: &Options,
        place: &Where,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--nats", &place.url, "--namespace", &place.namespace]);
        command.args(["--threads", &options.threads.to_string(), "--victim"]);
        command
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let out = child.stdout.take().ok_or("a child without an output")?;
        let lines = BufReader::new(out).lines();
        let mut this = Self { child, lines };
        match this.lines.next_line().await? {
            Some(line) if line == "started" => Ok(this),
            other => Err(format!("the process began with {other:?}").into()),
        }
    }

    /// kill -9.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }

    /// Tells it up to where to fold; what that comes to.
    pub(crate) async fn finish(mut self, upto: &[u64]) -> Result<Told, Failure> {
        let mut input = self.child.stdin.take().ok_or("a child without an input")?;
        let line: Vec<String> = upto.iter().map(u64::to_string).collect();
        input
            .write_all(format!("{}\n", line.join(" ")).as_bytes())
            .await?;
        let told = self.lines.next_line().await?;
        let status = self.child.wait().await?;
        match told {
            Some(told) if status.success() => Ok(serde_json::from_str(&told)?),
            _ => Err(format!("the process did not finish ({status})").into()),
        }
    }
}
