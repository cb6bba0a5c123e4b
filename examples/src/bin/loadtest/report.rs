//! What a run came to, for people and as one line of JSON.

use crate::block::Tally;
use crate::checker::Log;
use crate::options::{Options, SHARDS};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tenure::Counters;
use tenure_examples::Failure;

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) seed: u64,
    pub(crate) ours: &'a Tally,
    pub(crate) raw: Option<&'a Tally>,
    /// The node's counters over the measured operations.
    pub(crate) counters: Counters,
    /// How often an operation was sent again.
    pub(crate) repeated: u64,
    /// Messages in the event streams, and the mean payload of a commit in bytes, on NATS.
    pub(crate) stored: Option<(u64, usize)>,
    /// Messages that the raw peer stored.
    pub(crate) raw_stored: Option<u64>,
    pub(crate) memory: Memory,
}

/// Memory of this process, in bytes, where the system tells (Linux).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) now: Option<u64>,
    pub(crate) peak: Option<u64>,
}

impl Memory {
    pub(crate) fn read() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let number: u64 = line.split_whitespace().next()?.parse().ok()?;
            Some(number * 1_024)
        };
        Self {
            now: kib("VmRSS:"),
            peak: kib("VmHWM:"),
        }
    }
}

/// What was found after the run.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) acknowledged: u64,
    /// The sum of all versions, as a second node reads them.
    pub(crate) read_back: u64,
    /// The streams' commits, on NATS.
    pub(crate) log: Option<Log>,
    /// The server that was killed.
    pub(crate) leader_killed: Option<String>,
}

impl Verified {
    pub(crate) fn print(&self) {
        let (acknowledged, read_back) = (self.acknowledged, self.read_back);
        println!("{acknowledged} operations acknowledged, {read_back} read back by a second node");
        if let Some(server) = &self.leader_killed {
            println!(
                "server {server}, the leader of an event stream, was killed and started again"
            );
        }
        if let Some(log) = &self.log {
            println!(
                "{} commits on {} shards in the streams, with {} events",
                log.commits,
                log.shards(),
                log.versions(),
            );
        }
    }

    /// Whether what was acknowledged is in the log once, in order; and that on all shards where a
    /// leader was killed.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        let acknowledged = self.acknowledged;
        if self.read_back != acknowledged {
            let read_back = self.read_back;
            return Err(format!(
                "{acknowledged} acknowledged operations are {read_back} in the log"
            )
            .into());
        }
        let Some(log) = &self.log else { return Ok(()) };
        log.verdict()?;
        let shards = log.shards();
        if self.leader_killed.is_some() && shards != SHARDS {
            return Err(format!(
                "a leader was killed with {shards} of {SHARDS} shards at work: give more --users"
            )
            .into());
        }
        Ok(())
    }
}

impl Report<'_> {
    /// Total operations by total time, ours by the raw peer's; and the median of the blocks'.
    fn ratios(&self) -> Option<(f64, f64)> {
        let raw = self.raw?;
        let blocks = self.ours.rates.iter().zip(&raw.rates);
        let mut ratios: Vec<f64> = blocks.map(|(ours, raw)| ours / raw).collect();
        ratios.sort_by(f64::total_cmp);
        let median = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
        Some((self.ours.ops_per_s() / raw.ops_per_s(), median))
    }

    pub(crate) fn print(&self) {
        line("Tenure", self.ours);
        if let Some(raw) = self.raw {
            line("raw", raw);
        }
        if let Some((ratio, median)) = self.ratios() {
            println!("ratio {ratio:.3}, median of the blocks' {median:.3}");
        }
        let Counters {
            store_requests,
            store_unknown,
            conflicts,
            ..
        } = &self.counters;
        println!(
            "{store_requests} requests to the store for {} operations, {store_unknown} without an \
             answer, {conflicts} conflicts, {} operations sent again",
            self.ours.ops, self.repeated
        );
        if let Some((messages, bytes)) = self.stored {
            println!("{messages} messages stored, {bytes} bytes in a commit");
        }
        if let Some(messages) = self.raw_stored {
            println!("{messages} messages stored by the raw peer");
        }
        if let Memory {
            now: Some(now),
            peak: Some(peak),
        } = self.memory
        {
            println!("memory {} MiB, at most {} MiB", now >> 20, peak >> 20);
        }
    }

    pub(crate) fn json(&self, verified: &Verified) -> Value {
        let mut fields = Map::new();
        side(&mut fields, "", self.ours);
        if let Some(raw) = self.raw {
            side(&mut fields, "raw_", raw);
        }
        if let Some((ratio, median)) = self.ratios() {
            fields.insert("ratio".into(), json!(round(ratio, 4)));
            fields.insert("ratio_median".into(), json!(round(median, 4)));
        }
        let more = json!({
            "ops": self.ours.ops,
            "users": self.options.users,
            "concurrency": self.options.concurrency,
            "threads": self.options.threads,
            "seed": self.seed,
            "store_requests": self.counters.store_requests,
            "store_unknown": self.counters.store_unknown,
            "conflicts": self.counters.conflicts,
            "lost_tails": self.counters.lost_tails,
            "halts": self.counters.halts,
            "repeated": self.repeated,
            "messages": self.stored.map(|(messages, _)| messages),
            "commit_bytes": self.stored.map(|(_, bytes)| bytes),
            "raw_messages": self.raw_stored,
            "rss_bytes": self.memory.now,
            "rss_peak_bytes": self.memory.peak,
            "acknowledged": verified.acknowledged,
            "read_back": verified.read_back,
            "commits": verified.log.as_ref().map(|log| log.commits),
            "shards": verified.log.as_ref().map(Log::shards),
            "leader_killed": verified.leader_killed,
        });
        if let Value::Object(more) = more {
            fields.extend(more);
        }
        Value::Object(fields)
    }
}

const PERCENTILES: [(&str, f64); 3] = [("p50", 50.0), ("p99", 99.0), ("p999", 99.9)];

fn line(name: &str, tally: &Tally) {
    let latencies = tally.latencies();
    let micros = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64() * 1e6;
    let [p50, p99, p999] = PERCENTILES.map(|(_, at)| micros(latencies.value_at_percentile(at)));
    println!(
        "{name}: {:.0} ops/s; p50 {p50:.1} µs, p99 {p99:.1} µs, p99.9 {p999:.1} µs, max {:.1} µs",
        tally.ops_per_s(),
        micros(latencies.max()),
    );
    if let Some(cpu) = tally.cpu_us() {
        println!("  {cpu:.1} µs of computing in this process for each operation");
    }
}

fn side(fields: &mut Map<String, Value>, prefix: &str, tally: &Tally) {
    let latencies = tally.latencies();
    let micros = |nanos: u64| round(Duration::from_nanos(nanos).as_secs_f64() * 1e6, 1);
    let mut field =
        |name: String, value: f64| fields.insert(format!("{prefix}{name}"), json!(value));
    field("ops_per_s".into(), round(tally.ops_per_s(), 1));
    for (name, at) in PERCENTILES {
        field(
            format!("{name}_us"),
            micros(latencies.value_at_percentile(at)),
        );
    }
    field("max_us".into(), micros(latencies.max()));
    if let Some(cpu) = tally.cpu_us() {
        field("cpu_us".into(), round(cpu, 2));
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}
