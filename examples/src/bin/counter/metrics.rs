//! What the example tells of itself, in Prometheus' text format.

use crate::figures::{Figure, OF_ENTITIES, OF_MEMORY, OF_NODES};
use crate::gather::{Gathered, Source};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tenure::{Counters, Tenure};
use tenure_examples::counters::Kind;

/// Upper bounds of the buckets of times, in seconds.
const BOUNDS_S: [f64; 13] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
];

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Route {
    Increment,
    Read,
}

impl Route {
    fn name(self) -> &'static str {
        match self {
            Self::Increment => "increment",
            Self::Read => "read",
        }
    }
}

/// What HTTP was asked and answered, the nodes of this process, and the processes that it started.
#[derive(Debug)]
pub(crate) struct Metrics {
    nodes: Vec<(String, Tenure)>,
    processes: Vec<Source>,
    figures: [&'static [Figure]; 2],
    http: Mutex<BTreeMap<Route, Answered>>,
}

#[derive(Debug, Default)]
struct Answered {
    /// By status.
    answers: BTreeMap<u16, u64>,
    /// How many took no longer than each bound.
    upto: [u64; BOUNDS_S.len()],
    sum: Duration,
    count: u64,
}

impl Metrics {
    /// Of a process with these nodes and those of the processes that it started, and these counters
    /// on them.
    pub(crate) fn of(nodes: Vec<(String, Tenure)>, processes: Vec<Source>, kind: Kind) -> Self {
        let of_kind = match kind {
            Kind::Memory => OF_MEMORY,
            Kind::Entity => OF_ENTITIES,
        };
        Self {
            nodes,
            processes,
            figures: [OF_NODES, of_kind],
            http: Mutex::default(),
        }
    }

    /// Of a process without nodes.
    pub(crate) fn bare() -> Self {
        Self {
            nodes: Vec::new(),
            processes: Vec::new(),
            figures: [&[], &[]],
            http: Mutex::default(),
        }
    }

    /// Counts one answer.
    pub(crate) fn answered(&self, route: Route, status: u16, time: Duration) {
        let mut http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = http.entry(route).or_default();
        *answered.answers.entry(status).or_default() += 1;
        let seconds = time.as_secs_f64();
        for (bound, upto) in BOUNDS_S.iter().zip(&mut answered.upto) {
            *upto += u64::from(seconds <= *bound);
        }
        answered.sum += time;
        answered.count += 1;
    }

    /// All of it at this moment.
    pub(crate) async fn text(&self) -> String {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (name, node) in &self.nodes {
            nodes.push((&**name, node.counters().await));
        }
        let mut text = String::new();
        self.tell_http(&mut text);
        for figure in self.figures.into_iter().flatten() {
            tell_figure(&mut text, figure, &nodes);
        }
        if self.processes.is_empty() {
            return text;
        }
        let told = join_all(self.processes.iter().map(Source::text)).await;
        let name = "counter_process_up";
        head(
            &mut text,
            name,
            "Whether a process told its metrics",
            "gauge",
        );
        for (process, told) in self.processes.iter().zip(&told) {
            let up = u8::from(told.is_some());
            let node = &process.name;
            let _ = writeln!(text, "{name}{{node=\"{node}\"}} {up}");
        }
        let mut gathered = Gathered::default();
        gathered.add(&text);
        for told in told.iter().flatten() {
            gathered.add(told);
        }
        gathered.text()
    }

    fn tell_http(&self, text: &mut String) {
        let http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "counter_http_requests_total";
        head(text, name, "Requests over HTTP, by answer", "counter");
        for (route, Answered { answers, .. }) in &*http {
            for (status, count) in answers {
                let route = route.name();
                let _ = writeln!(
                    text,
                    "{name}{{route=\"{route}\",code=\"{status}\"}} {count}"
                );
            }
        }
        let name = "counter_http_request_seconds";
        head(text, name, "Time from a request to its answer", "histogram");
        for (route, answered) in &*http {
            let (route, count) = (route.name(), answered.count);
            for (bound, upto) in BOUNDS_S.iter().zip(&answered.upto) {
                let _ = writeln!(
                    text,
                    "{name}_bucket{{route=\"{route}\",le=\"{bound}\"}} {upto}"
                );
            }
            let _ = writeln!(
                text,
                "{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {count}"
            );
            let sum = answered.sum.as_secs_f64();
            let _ = writeln!(text, "{name}_sum{{route=\"{route}\"}} {sum}");
            let _ = writeln!(text, "{name}_count{{route=\"{route}\"}} {count}");
        }
    }
}

/// Writes what a figure is at each node.
fn tell_figure(text: &mut String, figure: &Figure, nodes: &[(&str, Counters)]) {
    let metric = format!("tenure_{}", figure.name);
    let kind = if figure.falls { "gauge" } else { "counter" };
    head(text, &metric, figure.help, kind);
    for (name, counters) in nodes {
        let value = (figure.value)(counters);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{metric}{{node=\"{name}\"}} {value}");
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
