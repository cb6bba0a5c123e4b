//! The counters of a cluster beside the same routes without one: both under `wrk`, in turns.

use crate::options::{Compare, Options};
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tenure_examples::Failure;
use tenure_examples::load::round;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

/// How long a server takes at most until it serves, and until it has ended.
const PATIENCE: Duration = Duration::from_secs(90);

/// What wrk is told: which counter each request adds to, and to tell its figures in one line.
const SCRIPT: &str = r#"
local n = 0
request = function()
  n = n + 1
  return wrk.format("POST", "/counter/key-" .. (n * 7919 % 1000) .. "/increment")
end
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    'told {"requests":%d,"failed":%d,"seconds":%.6f,"p50_us":%.1f,"p99_us":%.1f}\n',
    summary.requests, failed, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99)))
end
"#;

/// Runs both and tells how they compare.
pub(crate) async fn run(options: &Options, compare: Compare) -> Result<(), Failure> {
    let script = Script::write()?;
    let (threads, http) = (options.threads.to_string(), ["--http=0", "--metrics=off"]);
    let both = [&["--until-input-ends", "--threads", &threads], &http[..]].concat();
    let kind = options.kind_name();
    let numbers = [options.nodes.to_string(), options.shards.to_string()];
    let ours = [
        "--kind",
        &kind,
        "--nodes",
        &numbers[0],
        "--shards",
        &numbers[1],
    ];
    let shell = options.shell_name();
    let place = options.nats.iter().flat_map(|url| ["--nats", url]);
    let place: Vec<&str> = ["--shell", &shell].into_iter().chain(place).collect();
    let mut bare = Server::start(&[&both[..], &["--bare"]].concat()).await?;
    let mut ours = Server::start(&[&both[..], &ours, &place].concat()).await?;
    // Connections, actors and caches of both are warm when it counts.
    for server in [&bare, &ours] {
        wrk(script.path(), server, &compare, 1).await?;
    }
    let (mut of_bare, mut of_ours) = (Vec::new(), Vec::new());
    for turn in 0..compare.turns {
        let mut sides = [(&bare, &mut of_bare), (&ours, &mut of_ours)];
        // Who is first takes turns, too.
        if turn % 2 == 1 {
            sides.reverse();
        }
        for (server, told) in sides {
            told.push(wrk(script.path(), server, &compare, compare.seconds).await?);
        }
    }
    for server in [&mut bare, &mut ours] {
        server.stop().await?;
    }
    tell(&compare, &Figures::of(&of_ours), &Figures::of(&of_bare));
    Ok(())
}

fn tell(compare: &Compare, ours: &Figures, bare: &Figures) {
    let (ratio, slower) = (ours.per_s / bare.per_s, ours.p99_us / bare.p99_us);
    for (name, figures) in [("ours", ours), ("bare", bare)] {
        println!(
            "{name}: {:.0} requests/s; p50 {:.0} µs, p99 {:.0} µs; {:.1} µs of computing for each; \
             {} failed",
            figures.per_s, figures.p50_us, figures.p99_us, figures.cpu_us, figures.failed
        );
    }
    println!("ratio {ratio:.3}, p99 {slower:.2} x the bare one's");
    if compare.json {
        let told = json!({
            "ratio": round(ratio, 3),
            "p99_ratio": round(slower, 3),
            "requests_per_s": round(ours.per_s, 1),
            "p50_us": ours.p50_us,
            "p99_us": ours.p99_us,
            "cpu_us": round(ours.cpu_us, 2),
            "failed": ours.failed,
            "bare_requests_per_s": round(bare.per_s, 1),
            "bare_p50_us": bare.p50_us,
            "bare_p99_us": bare.p99_us,
            "bare_cpu_us": round(bare.cpu_us, 2),
            "bare_failed": bare.failed,
            "connections": compare.connections,
            "turns": compare.turns,
            "seconds": compare.seconds,
        });
        println!("{told}");
    }
}

/// What wrk measured in one turn.
#[derive(Debug, Deserialize)]
struct Turn {
    requests: u64,
    failed: u64,
    seconds: f64,
    p50_us: f64,
    p99_us: f64,
    /// What the server computed meanwhile.
    #[serde(skip)]
    cpu_us: f64,
}

/// What the turns of one server came to: their sums, and the medians of their percentiles.
#[derive(Debug)]
struct Figures {
    per_s: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
    failed: u64,
}

impl Figures {
    #[allow(
        clippy::cast_precision_loss,
        reason = "a rate is rounded for people anyway"
    )]
    fn of(turns: &[Turn]) -> Self {
        let requests: u64 = turns.iter().map(|turn| turn.requests).sum();
        let seconds: f64 = turns.iter().map(|turn| turn.seconds).sum();
        let cpu_us: f64 = turns.iter().map(|turn| turn.cpu_us).sum();
        let median = |of: fn(&Turn) -> f64| {
            let mut all: Vec<f64> = turns.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied().unwrap_or_default()
        };
        Self {
            per_s: requests as f64 / seconds,
            p50_us: median(|turn| turn.p50_us),
            p99_us: median(|turn| turn.p99_us),
            cpu_us: cpu_us / requests as f64,
            failed: turns.iter().map(|turn| turn.failed).sum(),
        }
    }
}

/// One turn of wrk against a server.
async fn wrk(
    script: &Path,
    server: &Server,
    compare: &Compare,
    seconds: u64,
) -> Result<Turn, Failure> {
    let before = server.cpu();
    let wrk = Command::new("wrk")
        .args(["-t1", "--latency"])
        .arg(format!("-c{}", compare.connections))
        .arg(format!("-d{seconds}s"))
        .arg("-s")
        .arg(script)
        .arg(format!("http://{}", server.at))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = wrk.await.map_err(|error| {
        format!("wrk does not run ({error}): install it, as by `apt install wrk`")
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().find_map(|line| line.strip_prefix("told "));
    let Some(told) = told.filter(|_| output.status.success()) else {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("wrk told nothing ({}): {text}{error}", output.status).into());
    };
    let mut turn: Turn = serde_json::from_str(told)?;
    turn.cpu_us = server.cpu().saturating_sub(before).as_secs_f64() * 1e6;
    Ok(turn)
}

/// A process of this program that serves HTTP.
#[derive(Debug)]
struct Server {
    child: Child,
    /// It ends when this is closed.
    input: Option<ChildStdin>,
    at: String,
}

impl Server {
    async fn start(arguments: &[&str]) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("the output was asked for")?;
        let mut lines = BufReader::new(output).lines();
        let serves = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(at) = line.strip_prefix("serving on http://") {
                    return Ok(at.to_owned());
                }
            }
            Err(Failure::from(
                "a server ended before it served: its error is above",
            ))
        };
        let at = timeout(PATIENCE, serves).await.map_err(|_| {
            let arguments = arguments.join(" ");
            format!("counter {arguments} did not serve within {PATIENCE:?}")
        })??;
        Ok(Self { child, input, at })
    }

    /// What its threads have computed so far, where the system tells (Linux).
    fn cpu(&self) -> Duration {
        let pid = self.child.id().unwrap_or_default();
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
        let nanos = threads.into_iter().flatten().filter_map(|thread| {
            let told = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            told.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    async fn stop(&mut self) -> Result<(), Failure> {
        drop(self.input.take());
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.map_err(|_| format!("a server did not end within {PATIENCE:?}"))??;
        if status.success() {
            Ok(())
        } else {
            Err(format!("a server ended with {status}").into())
        }
    }
}

/// The file of the script, for as long as this value is there.
#[derive(Debug)]
struct Script(PathBuf);

impl Script {
    fn write() -> std::io::Result<Self> {
        let name = format!("counter-{}.lua", std::process::id());
        let script = Self(std::env::temp_dir().join(name));
        std::fs::write(script.path(), SCRIPT)?;
        Ok(script)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // What is left in the folder of temporary files does no harm.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Turn};

    #[test]
    fn turns_come_to_their_sums_and_the_medians_of_their_percentiles() {
        let told = |requests, seconds, p99_us| {
            let text = format!(
                "{{\"requests\":{requests},\"failed\":1,\"seconds\":{seconds},\
                 \"p50_us\":1.0,\"p99_us\":{p99_us}}}"
            );
            serde_json::from_str::<Turn>(&text).expect("what the script writes")
        };
        let figures = Figures::of(&[
            told(100, 1.0, 9.0),
            told(300, 1.0, 500.0),
            told(200, 1.0, 7.0),
        ]);
        assert!((figures.per_s - 200.0).abs() < 1e-9, "{figures:?}");
        assert!((figures.p99_us - 9.0).abs() < 1e-9, "{figures:?}");
        assert_eq!(figures.failed, 3);
    }
}
