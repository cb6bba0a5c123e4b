//! The nodes that are processes of their own.

use crate::gather::Source;
use crate::options::Options;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tenure_examples::Failure;
use tenure_examples::counters::Plan;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

/// How long a process takes at most to hand over and end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Processes of this program, with one node in each. They end with this value.
#[derive(Debug, Default)]
pub(crate) struct Processes(Vec<Process>);

#[derive(Debug)]
struct Process {
    metrics: Source,
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
            let idle = options
                .idle_after_ms
                .map(|ms| format!("--idle-after-ms={ms}"));
            // One that is not asked for them here needs no port of its own.
            let metrics = if options.metrics.0.is_some() {
                "0"
            } else {
                "off"
            };
            let mut child = Command::new(&program)
                .args(["--name", &name, "--http", "off", "--metrics", metrics])
                .args(["--shell", "nats", "--nats", &plan.place])
                .args(["--namespace", &plan.namespace])
                .args(["--shards", &plan.shards.to_string()])
                .args(["--kind", &options.kind_name()])
                .args(["--threads", &options.threads.to_string()])
                .args(queue)
                .args(idle)
                .arg("--until-input-ends")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let pid = child.id().unwrap_or_default();
            println!("{name} is process {pid}");
            let input = child.stdin.take();
            let metrics = Source::named(name);
            let ended = tokio::spawn(until_ended(metrics.clone(), child));
            processes.0.push(Process {
                metrics,
                input,
                ended,
            });
        }
        Ok(processes)
    }

    /// Where they tell their metrics.
    pub(crate) fn metrics(&self) -> Vec<Source> {
        let processes = self.0.iter();
        processes.map(|process| process.metrics.clone()).collect()
    }

    /// Lets them hand over and end; those that do not are killed, which is told.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        for process in &mut self.0 {
            drop(process.input.take());
        }
        let mut late = Vec::new();
        for Process {
            metrics,
            mut ended,
            input: _,
        } in self.0
        {
            if tokio::time::timeout(PATIENCE, &mut ended).await.is_err() {
                ended.abort();
                late.push(metrics.name);
            }
        }
        if late.is_empty() {
            return Ok(());
        }
        let late = late.join(", ");
        Err(format!("{late} did not end within {PATIENCE:?} and were killed").into())
    }
}

async fn until_ended(metrics: Source, mut child: Child) -> std::io::Result<ExitStatus> {
    if let Some(output) = child.stdout.take() {
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next_line().await? {
            let at = line.strip_prefix("metrics on http://");
            match at.and_then(|at| at.strip_suffix("/metrics")) {
                Some(at) => metrics.tells_at(at),
                None => println!("{line}"),
            }
        }
    }
    let status = child.wait().await?;
    let name = &metrics.name;
    if status.success() {
        println!("{name} has ended");
    } else {
        eprintln!("{name} has ended: {status}");
    }
    Ok(status)
}
