//! The nodes that are processes of their own.

use crate::options::Options;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tenure_examples::Failure;
use tenure_examples::counters::Plan;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

/// How long a process takes at most to hand over and end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Processes of this program, with one node in each. They end with this value.
#[derive(Debug, Default)]
pub(crate) struct Processes(Vec<Process>);

#[derive(Debug)]
struct Process {
    name: String,
    /// It ends when this is closed.
    input: Option<ChildStdin>,
    /// Tells of its end.
    ended: JoinHandle<std::io::Result<ExitStatus>>,
}

impl Processes {
    /// Starts one for each name.
    pub(crate) fn start(
        options: &Options,
        plan: &Plan,
        names: Vec<String>,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        let mut processes = Self::default();
        for name in names {
            let queue = options.queue.map(|queue| format!("--queue={queue}"));
            let mut child = Command::new(&program)
                .args(["--name", &name, "--http", "off", "--metrics", "off"])
                .args(["--shell", "nats", "--nats", &plan.place])
                .args(["--namespace", &plan.namespace])
                .args(["--shards", &plan.shards.to_string()])
                .args(["--kind", &options.kind_name()])
                .args(["--threads", &options.threads.to_string()])
                .args(queue)
                .arg("--until-input-ends")
                .stdin(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let pid = child.id().unwrap_or_default();
            println!("{name} is process {pid}");
            let input = child.stdin.take();
            let ended = tokio::spawn(until_ended(name.clone(), child));
            processes.0.push(Process { name, input, ended });
        }
        Ok(processes)
    }

    /// Lets them hand over and end; those that do not are killed, which is told.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        for process in &mut self.0 {
            drop(process.input.take());
        }
        let mut late = Vec::new();
        for Process {
            name, mut ended, ..
        } in self.0
        {
            if tokio::time::timeout(PATIENCE, &mut ended).await.is_err() {
                ended.abort();
                late.push(name);
            }
        }
        if late.is_empty() {
            return Ok(());
        }
        let late = late.join(", ");
        Err(format!("{late} did not end within {PATIENCE:?} and were killed").into())
    }
}

async fn until_ended(name: String, mut child: Child) -> std::io::Result<ExitStatus> {
    let status = child.wait().await?;
    if status.success() {
        println!("{name} has ended");
    } else {
        eprintln!("{name} has ended: {status}");
    }
    Ok(status)
}
