//! The nodes' processes: started, killed, stopped and ended. They end with the run.

use crate::node::JOINED;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tenure_examples::Failure;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a process takes at most to join, or to hand over and end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a state of the system is looked at that cannot be waited for.
const LOOK: Duration = Duration::from_millis(20);

/// What a node's process is started with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) program: PathBuf,
    pub(crate) nats: String,
    pub(crate) namespace: String,
    pub(crate) shards: u16,
}

/// A node that was asked to end.
#[derive(Debug)]
pub(crate) struct Leaving {
    name: String,
    process: Process,
}

impl Leaving {
    /// Waits until it has handed over and ended well.
    pub(crate) async fn ended(mut self) -> Result<(), Failure> {
        let name = self.name;
        let status = timeout(PATIENCE, self.process.child.wait()).await;
        let status = status.map_err(|_| format!("{name} did not end within {PATIENCE:?}"))??;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{name} did not end well: {status}").into())
        }
    }
}

/// All nodes, by name.
#[derive(Debug)]
pub(crate) struct Fleet {
    start: Start,
    nodes: BTreeMap<String, Process>,
    /// How many were ever named.
    named: usize,
    /// What ended without being asked to, and was started again.
    pub(crate) ended: Vec<String>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// It ends when this is closed.
    _input: Option<ChildStdin>,
}

impl Process {
    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let pid = self.child.id().ok_or("the process has ended")?;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or("a process without a number")?, signal)?;
        Ok(())
    }

    /// Whether every thread of it is stopped, where the system tells (Linux).
    fn is_stopped(&self) -> bool {
        let Some(pid) = self.child.id() else {
            return false;
        };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            return !std::path::Path::new("/proc/self/stat").exists();
        };
        // The state follows the command's name, which ends at the last parenthesis.
        let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        state.is_some_and(|state| state.starts_with('T'))
    }
}

impl Fleet {
    pub(crate) fn new(start: Start) -> Self {
        Self {
            start,
            nodes: BTreeMap::new(),
            named: 0,
            ended: Vec::new(),
        }
    }

    /// Those that run.
    pub(crate) fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// Starts nodes under new names, all at once.
    pub(crate) async fn grow(&mut self, nodes: usize) -> Result<Vec<String>, Failure> {
        let first = self.named + 1;
        self.named += nodes;
        let names: Vec<String> = (first..=self.named).map(|n| format!("node-{n}")).collect();
        let joins = names.iter().map(|name| self.join(name));
        let joined = futures_util::future::try_join_all(joins).await?;
        self.nodes.extend(names.iter().cloned().zip(joined));
        Ok(names)
    }

    /// Starts a node under its old name.
    pub(crate) async fn restart(&mut self, name: &str) -> Result<(), Failure> {
        let process = self.join(name).await?;
        self.nodes.insert(name.to_owned(), process);
        Ok(())
    }

    async fn join(&self, name: &str) -> Result<Process, Failure> {
        let Start {
            program,
            nats,
            namespace,
            shards,
        } = &self.start;
        let mut child = Command::new(program)
            .args(["node", "--name", name, "--server", nats])
            .args(["--namespace", namespace])
            .args(["--space-shards", &shards.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("a process without output")?;
        let line = timeout(PATIENCE, BufReader::new(output).lines().next_line()).await;
        let line = line.map_err(|_| format!("{name} did not join within {PATIENCE:?}"))??;
        if line.as_deref() != Some(JOINED) {
            let status = child.wait().await?;
            return Err(format!("{name} ended before it joined: {status}").into());
        }
        Ok(Process {
            child,
            _input: input,
        })
    }

    fn process(&mut self, name: &str) -> Result<&mut Process, Failure> {
        let process = self.nodes.get_mut(name);
        Ok(process.ok_or_else(|| format!("{name} does not run"))?)
    }

    /// Kills a node as `kill -9` does; it is gone when this returns.
    pub(crate) async fn kill(&mut self, name: &str) -> Result<(), Failure> {
        let mut process = self.nodes.remove(name).ok_or("the node does not run")?;
        process.signal(Signal::KILL)?;
        let status = process.child.wait().await?;
        match status.signal() {
            Some(9) => Ok(()),
            Some(_) | None => Err(format!("{name} ended before it was killed: {status}").into()),
        }
    }

    /// Stops a node; it is when this returns.
    pub(crate) async fn stop(&mut self, name: &str) -> Result<(), Failure> {
        let process = self.process(name)?;
        process.signal(Signal::STOP)?;
        let late = Instant::now() + PATIENCE;
        while !process.is_stopped() {
            if Instant::now() > late {
                return Err(format!("{name} did not stop").into());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Whether it is stopped still.
    pub(crate) fn is_stopped(&mut self, name: &str) -> bool {
        self.process(name).is_ok_and(|process| process.is_stopped())
    }

    /// Lets it go on.
    pub(crate) fn go_on(&mut self, name: &str) -> Result<(), Failure> {
        self.process(name)?.signal(Signal::CONT)
    }

    /// Asks a node to end.
    pub(crate) fn ask_to_end(&mut self, name: &str) -> Result<Leaving, Failure> {
        let process = self.nodes.remove(name).ok_or("the node does not run")?;
        process.signal(Signal::TERM)?;
        let name = name.to_owned();
        Ok(Leaving { name, process })
    }

    /// Starts again what ended without being asked to, as a supervisor of processes does.
    pub(crate) async fn revive(&mut self) -> Result<(), Failure> {
        let mut gone = Vec::new();
        for (name, process) in &mut self.nodes {
            if let Some(status) = process.child.try_wait()? {
                gone.push((name.clone(), status));
            }
        }
        for (name, status) in gone {
            self.ended.push(format!("{name}: {status}"));
            self.nodes.remove(&name);
            self.restart(&name).await?;
        }
        Ok(())
    }

    /// Asks all to end, and waits until they have.
    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        for name in self.names() {
            self.ask_to_end(&name)?.ended().await?;
        }
        Ok(())
    }
}
