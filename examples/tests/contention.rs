//! Eight processes contend for one entity on a real nats-server: no acknowledged operation is lost
//! or doubled (P1, P4), also while the server is killed and restarted. Their histories are held
//! against the stream by `checker.py`, which shares no code with them.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tenure_nats_server::NatsServer;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

const WORKERS: usize = 8;
const USERS: usize = 125;
const RESTARTS: u32 = 10;
/// When something hangs, the test fails after this long; nothing is timed by it.
const PATIENCE: Duration = Duration::from_secs(120);

/// One process of `src/bin/contender.rs`. It is killed when this value is dropped.
struct Worker {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    history: History,
}

/// What a worker has written so far, counted.
struct History {
    path: PathBuf,
    file: File,
    /// The beginning of a line whose end is not there yet.
    partial: Vec<u8>,
}

/// How many ends of operations were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ends {
    ok: usize,
    unknown: usize,
    refused: usize,
}

impl History {
    fn new(folder: &Path, worker: usize) -> Self {
        let path = folder.join(format!("worker-{worker}.jsonl"));
        File::create(&path).expect("an empty history");
        let file = File::open(&path).expect("the history");
        Self {
            path,
            file,
            partial: Vec::new(),
        }
    }

    /// Counts what was written since the last time.
    fn count(&mut self, ends: &mut Ends) {
        self.file
            .read_to_end(&mut self.partial)
            .expect("the history can be read");
        let whole = self
            .partial
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.partial.drain(..whole).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            if line.contains(r#""event":"ok""#) {
                ends.ok += 1;
            } else if line.contains(r#""event":"unknown""#) {
                ends.unknown += 1;
            } else if line.contains(r#""event":"refused""#) {
                ends.refused += 1;
            }
        }
    }
}

impl Worker {
    fn start(server: &NatsServer, folder: &Path, worker: usize, more: &[&str]) -> Self {
        let history = History::new(folder, worker);
        let mut process = Command::new(env!("CARGO_BIN_EXE_contender"))
            .args([
                "--nats",
                &server.url(),
                "--namespace",
                "contention",
                "--entity",
                "one",
            ])
            .args([
                "--worker",
                &format!("w{worker}"),
                "--users",
                &USERS.to_string(),
            ])
            .arg("--history")
            .arg(&history.path)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a worker starts");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Self {
            process,
            input,
            output,
            history,
        }
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        let line = line
            .expect("the worker hangs")
            .expect("its output can be read");
        line.expect("the worker ended early; its error is above")
    }

    async fn begin(&mut self) {
        let input = self.input.as_mut().expect("it was not ended");
        input.write_all(b"go\n").await.expect("the worker listens");
    }

    /// Waits for its end; its input is closed.
    async fn end(&mut self) -> Vec<u64> {
        let line = self.line().await;
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        let status = ended.expect("the worker hangs").expect("it is ours");
        assert!(status.success(), "{status}");
        line.split(' ')
            .map(|word| word.parse().expect("a number"))
            .collect()
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    async fn kill(&mut self) {
        self.process.kill().await.expect("it runs");
    }
}

struct Contention<'a> {
    server: &'a NatsServer,
    folder: PathBuf,
    more: &'a [&'a str],
    workers: Vec<Worker>,
    killed: Vec<Worker>,
    ends: Ends,
}

impl<'a> Contention<'a> {
    /// Starts all workers on a namespace that is not there yet, and lets them begin together.
    async fn begin(server: &'a NatsServer, more: &'a [&'a str]) -> Self {
        let mut this = Self {
            server,
            folder: server.folder("histories").expect("a folder"),
            more,
            workers: Vec::new(),
            killed: Vec::new(),
            ends: Ends::default(),
        };
        for name in 0..WORKERS {
            let worker = Worker::start(server, &this.folder, name, more);
            this.workers.push(worker);
        }
        for worker in &mut this.workers {
            assert_eq!(worker.line().await, "ready");
        }
        for worker in &mut this.workers {
            worker.begin().await;
        }
        this
    }

    /// Waits until the histories say so.
    async fn until(&mut self, what: &str, reached: impl Fn(Ends) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for worker in &mut self.workers {
                worker.history.count(&mut self.ends);
            }
            if reached(self.ends) {
                return;
            }
            let ends = self.ends;
            assert!(Instant::now() < deadline, "no {what} in time: {ends:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until as many operations as one worker has users were acknowledged after now.
    async fn until_acknowledged(&mut self) {
        let before = self.ends.ok;
        self.until("acknowledgement", |ends| ends.ok > before + USERS)
            .await;
    }

    /// Kills one worker and starts another in its place, which opens the namespace amid all this.
    async fn replace_one(&mut self) {
        let mut killed = self.workers.remove(0);
        killed.kill().await;
        self.killed.push(killed);
        let mut fresh = Worker::start(self.server, &self.folder, WORKERS, self.more);
        assert_eq!(fresh.line().await, "ready");
        fresh.begin().await;
        self.workers.push(fresh);
    }

    /// Ends all workers and holds what they say against the stream.
    async fn check(mut self, more: &[&str]) {
        for worker in &mut self.workers {
            worker.input = None;
        }
        let mut sums = vec![0; 3];
        for worker in &mut self.workers {
            let numbers = worker.end().await;
            sums = sums.iter().zip(numbers).map(|(sum, n)| sum + n).collect();
        }
        println!(
            "{} requests to the store, {} without an answer, {} conflicts",
            sums[0], sums[1], sums[2]
        );
        let mut arguments: Vec<String> = ["--namespace", "contention", "--kind", "tally"]
            .into_iter()
            .chain(["--entity", "one", "--port", &self.server.port().to_string()])
            .chain(more.iter().copied())
            .map(str::to_owned)
            .collect();
        for worker in &self.killed {
            arguments.push(format!("--killed={}", worker.history.path.display()));
        }
        for worker in self.workers.iter().chain(&self.killed) {
            arguments.push(worker.history.path.display().to_string());
        }
        checker(&arguments).await;
    }
}

async fn checker(arguments: &[String]) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checker.py");
    let mut python = Command::new("python3");
    let output = python.arg(program).args(arguments).output().await;
    let output = output.expect("python3 runs: the checker is a program in Python, install it");
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
    print!("{printed}");
}

#[tokio::test]
async fn the_checker_finds_what_is_wrong() {
    checker(&["--self-test".to_owned()]).await;
}

/// A thousand transactions at once, all acknowledged.
async fn all_at_once(more: &[&str]) {
    let server = NatsServer::start().expect("a nats-server");
    let begin = Instant::now();
    let mut contention = Contention::begin(&server, more).await;
    contention
        .until("end of all", |ends| {
            ends.ok + ends.unknown + ends.refused >= WORKERS * USERS
        })
        .await;
    println!("{:?} in {:?}", contention.ends, begin.elapsed());
    contention.check(&["--all-acknowledged"]).await;
}

#[tokio::test]
async fn a_thousand_transactions_at_once_are_neither_lost_nor_doubled() {
    all_at_once(&[]).await;
}

/// Without group commit there are a thousand commits, of which one at a time can be first.
#[tokio::test]
async fn a_thousand_commits_at_once_are_neither_lost_nor_doubled() {
    all_at_once(&["--commit-commands", "1"]).await;
}

#[tokio::test]
async fn none_is_lost_or_doubled_while_the_server_is_killed_and_restarted() {
    let server = NatsServer::start().expect("a nats-server");
    let begin = Instant::now();
    let mut contention = Contention::begin(&server, &["--until-end", "--pause-ms", "100"]).await;
    let mut restarts = 0;
    // Each kill comes amid acknowledgements, and the restart when someone has seen it. Without an
    // `Unknown` nothing would be shown of them.
    while restarts < RESTARTS || contention.ends.unknown == 0 {
        contention.until_acknowledged().await;
        server.kill().expect("it runs");
        let failures = |ends: Ends| ends.unknown + ends.refused;
        let before = failures(contention.ends);
        contention
            .until("failure", |ends| failures(ends) > before)
            .await;
        server.restart().expect("it starts again");
        restarts += 1;
        if restarts == RESTARTS / 2 {
            contention.replace_one().await;
        }
    }
    contention.until_acknowledged().await;
    let duration = begin.elapsed();
    println!("{:?}, {restarts} restarts in {duration:?}", contention.ends);
    contention.check(&[]).await;
}
