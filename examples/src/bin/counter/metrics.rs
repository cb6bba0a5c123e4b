//! What the example tells of itself, in Prometheus' text format.

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

/// What HTTP was asked and answered, and the nodes of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    nodes: Vec<(String, Tenure)>,
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

/// One figure of a node.
#[derive(Debug)]
struct Figure {
    name: &'static str,
    help: &'static str,
    /// Whether it falls as well as rises.
    falls: bool,
    value: fn(&Counters) -> u64,
}

const fn rising(name: &'static str, help: &'static str, value: fn(&Counters) -> u64) -> Figure {
    let falls = false;
    Figure {
        name,
        help,
        falls,
        value,
    }
}

const fn level(name: &'static str, help: &'static str, value: fn(&Counters) -> u64) -> Figure {
    Figure {
        falls: true,
        ..rising(name, help, value)
    }
}

/// What every node counts; all of it moves in a run in which nodes come and go.
const OF_NODES: &[Figure] = &[
    rising("store_requests_total", "Requests to the store", |node| {
        node.store_requests
    }),
    level("members", "Nodes that a node sees", |node| node.members),
    level("shards_owned", "Shards that a node owns", |node| {
        node.shards_owned
    }),
    rising(
        "take_overs_total",
        "Shards taken over from nodes that are gone",
        |node| node.take_overs,
    ),
    rising("hand_overs_total", "Shards handed over", |node| {
        node.hand_overs
    }),
    rising(
        "adopted_total",
        "Shards that were found to be a node's own",
        |node| node.adopted,
    ),
    rising(
        "rejoins_total",
        "Times that a node was taken for over and joined again",
        |node| node.rejoins,
    ),
    rising("forwarded_total", "Requests sent to other nodes", |node| {
        node.forwarded
    }),
    rising(
        "served_total",
        "Requests of other nodes that ran here",
        |node| node.served,
    ),
    rising(
        "not_owner_total",
        "Requests that came to a node which was no owner",
        |node| node.not_owner,
    ),
    rising(
        "no_responders_total",
        "Frames that nobody took in",
        |node| node.no_responders,
    ),
    rising("frames_sent_total", "Frames sent", |node| node.frames_sent),
    rising("frames_received_total", "Frames received", |node| {
        node.frames_received
    }),
    rising(
        "entries_sent_total",
        "Requests and answers in the frames sent",
        |node| node.entries_sent,
    ),
    rising(
        "entries_received_total",
        "Requests and answers in the frames received",
        |node| node.entries_received,
    ),
    level(
        "asks_waiting",
        "Requests that are with other nodes, or wait for an owner",
        |node| node.asks_waiting,
    ),
];

/// And for counters in memory.
const OF_MEMORY: &[Figure] = &[
    rising("actor_messages_total", "Messages for actors", |node| {
        node.actor_messages
    }),
    rising("actor_answers_total", "Answers of actors", |node| {
        node.actor_answers
    }),
    rising("actor_turns_total", "Turns of actors", |node| {
        node.actor_turns
    }),
    rising("actor_activations_total", "Actors that were made", |node| {
        node.actor_activations
    }),
    rising(
        "actor_passivations_total",
        "Actors that rested for long",
        |node| node.actor_passivations,
    ),
    level("actors_held", "Actors in memory", |node| node.actors_held),
    level(
        "actor_letters",
        "Messages that wait for their actor",
        |node| node.actor_letters,
    ),
];

/// And for counters whose events are stored.
const OF_ENTITIES: &[Figure] = &[
    rising("requests_total", "Commands and questions", |node| {
        node.requests
    }),
    rising("answers_total", "Answers to them", |node| node.answers),
    rising(
        "overloaded_total",
        "Requests refused because too many were under way",
        |node| node.overloaded,
    ),
    rising(
        "cache_hits_total",
        "Requests whose entity was in memory",
        |node| node.cache_hits,
    ),
    rising(
        "cache_misses_total",
        "Requests whose entity was loaded",
        |node| node.cache_misses,
    ),
    level("entities_held", "Entities in memory", |node| {
        node.entities_held
    }),
    level(
        "requests_waiting",
        "Requests that wait for their answer",
        |node| node.requests_waiting,
    ),
];

impl Metrics {
    /// Of a process with these nodes, and these counters on them.
    pub(crate) fn of(nodes: Vec<(String, Tenure)>, kind: Kind) -> Self {
        let of_kind = match kind {
            Kind::Memory => OF_MEMORY,
            Kind::Entity => OF_ENTITIES,
        };
        Self {
            nodes,
            figures: [OF_NODES, of_kind],
            http: Mutex::default(),
        }
    }

    /// Of a process without nodes.
    pub(crate) fn bare() -> Self {
        Self {
            nodes: Vec::new(),
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
            nodes.push((name, node.counters().await));
        }
        let mut text = String::new();
        self.tell_http(&mut text);
        for figure in self.figures.into_iter().flatten() {
            let metric = format!("tenure_{}", figure.name);
            let kind = if figure.falls { "gauge" } else { "counter" };
            head(&mut text, &metric, figure.help, kind);
            for (name, counters) in &nodes {
                let value = (figure.value)(counters);
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{metric}{{node=\"{name}\"}} {value}");
            }
        }
        text
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

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
