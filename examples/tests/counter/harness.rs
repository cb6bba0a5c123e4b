//! A counter example that runs, asked over HTTP.

use crate::common::http::{Answer, ask};
use crate::common::running::Running;
use serde_json::Value;
use std::time::{Duration, Instant};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_counter");

/// A running example that has said where it listens.
pub(crate) struct Counter {
    pub(crate) running: Running,
    metrics: String,
    pub(crate) at: String,
}

impl Counter {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let ports = ["--http", "0", "--metrics", "0"];
        let mut running = Running::start(PROGRAM, &[&ports, arguments].concat());
        let metrics = running.line_after("metrics on http://");
        let at = running.line_after("serving on http://");
        let metrics = metrics.trim_end_matches("/metrics").to_owned();
        Self {
            running,
            metrics,
            at,
        }
    }

    pub(crate) fn increment(&self, id: &str, body: &str) -> Answer {
        ask("POST", &self.at, &format!("/counter/{id}/increment"), body)
    }

    pub(crate) fn count(&self, id: &str) -> u64 {
        let answer = ask("GET", &self.at, &format!("/counter/{id}"), "");
        count(&answer)
    }

    /// As one who asks again what is answered 503.
    pub(crate) fn count_patiently(&self, id: &str) -> u64 {
        loop {
            let answer = ask("GET", &self.at, &format!("/counter/{id}"), "");
            if answer.status != 503 {
                return count(&answer);
            }
        }
    }

    pub(crate) fn metrics(&self) -> String {
        ask("GET", &self.metrics, "/metrics", "").body
    }

    /// The sum of a metric over its labels; of one that is not told it is 0.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let of_name = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('{'))
        };
        let values = text.lines().filter(of_name);
        let value = |line: &str| {
            line.rsplit(' ')
                .next()
                .and_then(|value| value.parse::<f64>().ok())
        };
        values.map(|line| value(line).expect("a number")).sum()
    }

    /// Increments from several threads at once, each counter as often as the others.
    pub(crate) fn increment_all(&self, ids: &[String], times: u64) {
        std::thread::scope(|scope| {
            for first in 0..ids.len() {
                scope.spawn(move || {
                    for turn in 0..times {
                        let id = &ids[(first + usize::try_from(turn).unwrap()) % ids.len()];
                        let answer = self.increment(id, "");
                        assert_eq!(answer.status, 200, "{answer:?}");
                    }
                });
            }
        });
    }
}

pub(crate) fn count(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 200, "{answer:?}");
    let told: Value = serde_json::from_str(&answer.body).expect("JSON");
    told["count"].as_u64().expect("a count")
}

pub(crate) fn ids(count: usize) -> Vec<String> {
    (0..count).map(|id| format!("c-{id}")).collect()
}

/// Waits until something of other processes is so.
#[expect(
    clippy::disallowed_methods,
    reason = "it asks processes, which have no way to tell; only its patience is a time"
)]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < deadline, "{what}");
    }
}
