//! What a run comes to.

use crate::bounds::Bounds;
use crate::faults::{Did, Waits};
use crate::history::Counts;
use crate::load::Loaded;
use crate::schedule::Fault;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;

/// How long callers had to wait after faults of one kind, over the shards of one class.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Wait {
    fault: &'static str,
    class: &'static str,
    /// From when to when it is counted.
    measure: &'static str,
    /// Whether another fault was there, too; then nothing bounds it but the run's patience.
    overlapped: bool,
    shards: usize,
    p50_ms: f64,
    p99_ms: f64,
    /// What the 99th of a hundred may take at most.
    p99_max_ms: Option<u64>,
    max_ms: f64,
}

/// All of it; an object of JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) keys: usize,
    pub(crate) shards: u16,
    /// For how long there was load.
    pub(crate) seconds: f64,
    pub(crate) load_due: u64,
    pub(crate) load_ok: u64,
    pub(crate) asks: Counts,
    pub(crate) faults: Vec<Did>,
    pub(crate) take_over: Vec<Wait>,
    /// What took longer than it may; failures, too, but where times are only reported.
    pub(crate) slow: Vec<String>,
    /// Nodes that ended without being asked to; they were started again.
    pub(crate) ended: Vec<String>,
    pub(crate) history: PathBuf,
    /// What the program `check` says.
    pub(crate) check: Value,
    /// Why the run failed; empty when it did not.
    pub(crate) failures: Vec<String>,
}

impl Wait {
    /// One for each fault and class, alone and together with another fault.
    pub(crate) fn all(waits: &Waits, bounds: Bounds) -> Vec<Self> {
        let waits = waits.iter().map(|(&(overlapped, fault, class), waits)| {
            let mut waits = waits.clone();
            waits.sort_unstable();
            Self {
                fault: fault.name(),
                class: class.name(),
                measure: match fault {
                    Fault::Kill | Fault::Stop => "from the fault to the new owner's first answer",
                    Fault::Drain | Fault::Join => {
                        "from the old owner's last answer to the new one's first"
                    }
                    Fault::Nats => "from the fault to the first answer to what was asked after it",
                },
                overlapped,
                shards: waits.len(),
                p99_max_ms: (!overlapped).then(|| bounds.p99_ms(fault, class)),
                p50_ms: quantile_ms(&waits, 50),
                p99_ms: quantile_ms(&waits, 99),
                max_ms: quantile_ms(&waits, 100),
            }
        });
        waits.collect()
    }

    /// Why it is too long, if it is.
    #[allow(clippy::cast_precision_loss, reason = "fewer than 2^52 milliseconds")]
    pub(crate) fn too_long(&self) -> Option<String> {
        let Self {
            fault,
            class,
            measure,
            shards,
            p99_ms,
            ..
        } = self;
        let max_ms = self.p99_max_ms.filter(|max_ms| *p99_ms > *max_ms as f64)?;
        Some(format!(
            "{fault}, {class} class: p99 of {shards} shards was {p99_ms:.1} ms {measure}, more than {max_ms} ms"
        ))
    }
}

/// The least of them that so many hundredths do not exceed.
#[allow(
    clippy::cast_precision_loss,
    reason = "it is rounded for people anyway"
)]
fn quantile_ms(sorted_us: &[u64], percent: usize) -> f64 {
    let rank = (sorted_us.len() * percent).div_ceil(100).max(1);
    sorted_us.get(rank - 1).map_or(0.0, |us| *us as f64 / 1e3)
}

impl Loaded {
    /// Why the run shows nothing, if so little was answered well.
    pub(crate) fn too_thin(self, percent: u64) -> Option<String> {
        let Self { due, ok } = self;
        (ok * 100 < due * percent || ok == 0).then(|| {
            format!(
                "the load was too thin: {ok} of {due} asks were answered well, fewer than {percent} of a hundred"
            )
        })
    }
}

impl Report {
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        let Counts {
            asks,
            ok,
            refused,
            unknown,
            ..
        } = self.asks;
        let _ = writeln!(
            text,
            "{asks} asks: {ok} ok, {refused} refused, {unknown} unknown; {} of {} of the load in {:.1} s",
            self.load_ok, self.load_due, self.seconds,
        );
        for Wait {
            fault,
            class,
            shards,
            p50_ms,
            p99_ms,
            p99_max_ms,
            max_ms,
            ..
        } in &self.take_over
        {
            let bound = p99_max_ms.map_or("overlapped".to_owned(), |max| format!("of {max:>6} ms"));
            let _ = writeln!(
                text,
                "{fault:<6} {class:<7} {shards:>4} shards  p50 {p50_ms:>9.1} ms  p99 {p99_ms:>9.1} ms {bound:<12}  max {max_ms:>9.1} ms",
            );
        }
        for slow in &self.slow {
            let _ = writeln!(text, "slow: {slow}");
        }
        for ended in &self.ended {
            let _ = writeln!(text, "ended by itself: {ended}");
        }
        let passed = self.check["passed"] == true;
        let check = if passed { "passed" } else { "FAILED" };
        let _ = writeln!(text, "check of {}: {check}", self.history.display());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Wait, quantile_ms};
    use crate::bounds::Bounds;
    use crate::history::Class;
    use crate::load::Loaded;
    use crate::schedule::Fault;
    use std::collections::BTreeMap;

    #[test]
    fn only_a_fault_alone_can_take_too_long() {
        let bounds = Bounds {
            kill_p99_ms: 1_000,
            beyond_lease_p99_ms: 2_000,
            hand_over_p99_ms: 50,
            report_only: false,
        };
        let told = |overlapped, fault, class, us| {
            let waits = BTreeMap::from([((overlapped, fault, class), vec![us])]);
            Wait::all(&waits, bounds)[0].too_long()
        };
        let kill = (Fault::Kill, Class::Fenced);
        assert_eq!(told(false, kill.0, kill.1, 1_000_000), None);
        let slow = told(false, kill.0, kill.1, 1_000_100).expect("it is too long");
        assert!(slow.ends_with("more than 1000 ms"), "{slow}");
        assert_eq!(told(true, kill.0, kill.1, 30_000_000), None);
        assert_eq!(told(false, kill.0, Class::Leased, 4_900_000), None);
        assert!(told(false, Fault::Drain, Class::Leased, 50_001).is_some());
    }

    #[test]
    fn quantiles_are_of_the_values_themselves() {
        let sorted: Vec<u64> = (1..=200).map(|ms| ms * 1_000).collect();
        let of = |percent| quantile_ms(&sorted, percent);
        assert!((of(50) - 100.0).abs() < 1e-9);
        assert!((of(99) - 198.0).abs() < 1e-9);
        assert!((of(100) - 200.0).abs() < 1e-9);
        assert!(quantile_ms(&[], 50).abs() < 1e-9);
    }

    #[test]
    fn a_load_below_the_floor_shows_nothing() {
        assert!(Loaded { due: 100, ok: 50 }.too_thin(50).is_none());
        assert!(Loaded { due: 100, ok: 49 }.too_thin(50).is_some());
        assert!(Loaded::default().too_thin(50).is_some());
    }
}
