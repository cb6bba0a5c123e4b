//! What blocks came to, for people and as fields of JSON.

use super::Tally;
use serde_json::{Map, Value, json};
use std::time::Duration;

const PERCENTILES: [(&str, f64); 3] = [("p50", 50.0), ("p99", 99.0), ("p999", 99.9)];

/// Memory of this process, in bytes, where the system tells (Linux).
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What it uses.
    pub now: Option<u64>,
    /// The most that it used.
    pub peak: Option<u64>,
}

impl Memory {
    /// As of now.
    pub fn read() -> Self {
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

impl Tally {
    /// Prints one line, or two.
    pub fn print(&self, name: &str) {
        let latencies = self.latencies();
        let micros = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64() * 1e6;
        let [p50, p99, p999] = PERCENTILES.map(|(_, at)| micros(latencies.value_at_percentile(at)));
        println!(
            "{name}: {:.0} ops/s; p50 {p50:.1} µs, p99 {p99:.1} µs, p99.9 {p999:.1} µs, max {:.1} µs",
            self.ops_per_s(),
            micros(latencies.max()),
        );
        if let Some(cpu) = self.cpu_us() {
            println!("  {cpu:.1} µs of computing in this process for each operation");
        }
    }

    /// Adds its figures, each name behind the prefix.
    pub fn tell(&self, fields: &mut Map<String, Value>, prefix: &str) {
        let latencies = self.latencies();
        let micros = |nanos: u64| round(Duration::from_nanos(nanos).as_secs_f64() * 1e6, 1);
        let mut field =
            |name: String, value: f64| fields.insert(format!("{prefix}{name}"), json!(value));
        field("ops_per_s".into(), round(self.ops_per_s(), 1));
        for (name, at) in PERCENTILES {
            field(
                format!("{name}_us"),
                micros(latencies.value_at_percentile(at)),
            );
        }
        field("max_us".into(), micros(latencies.max()));
        if let Some(cpu) = self.cpu_us() {
            field("cpu_us".into(), round(cpu, 2));
        }
    }
}

/// Total operations by total time, ours by the raw peer's; and the median of the blocks'.
pub fn ratios(ours: &Tally, raw: &Tally) -> (f64, f64) {
    let blocks = ours.rates.iter().zip(&raw.rates);
    let mut ratios: Vec<f64> = blocks.map(|(ours, raw)| ours / raw).collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
    (ours.ops_per_s() / raw.ops_per_s(), median)
}

/// Rounds to so many digits after the point.
pub fn round(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}
