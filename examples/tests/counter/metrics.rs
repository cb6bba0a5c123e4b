//! What the example tells of itself: every line of it moves, whether its nodes are in one process or in
//! several.

use crate::harness::{Counter, ids, until};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use tenure_nats_server::NatsServer;

/// What says that something is wrong with the program, or that a node does not keep up: a run in which all goes well
/// leaves them at 0.
const ALARMS: [&str; 3] = [
    "tenure_halts_total",
    "tenure_actor_panics_total",
    "tenure_inbound_lost_total",
];

/// The highest sum over its labels that each metric was seen at.
#[derive(Debug, Default)]
struct Seen(BTreeMap<String, f64>);

impl Seen {
    fn look(&mut self, counter: &Counter) {
        let text = counter.metrics();
        let mut sums = BTreeMap::new();
        let heads = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for head in heads {
            let (name, kind) = head.split_once(' ').expect("a name and a type");
            let doubled = sums.insert(name.to_owned(), 0.0);
            assert!(doubled.is_none(), "{name} is told twice:\n{text}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{head}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            let (name, _) = name.split_once('{').expect("labels");
            let name = name
                .trim_end_matches("_bucket")
                .trim_end_matches("_sum")
                .trim_end_matches("_count");
            let sum = sums.get_mut(name).expect("a metric with a type");
            *sum += value.parse::<f64>().expect("a number");
        }
        for (name, sum) in sums {
            let seen = self.0.entry(name).or_default();
            *seen = seen.max(sum);
        }
    }

    fn at(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// What has not moved, but for the alarms.
    fn still(&self) -> Vec<&str> {
        let still = self.0.iter().filter(|(_, seen)| **seen == 0.0);
        let still = still.map(|(name, _)| &**name);
        still.filter(|name| !ALARMS.contains(name)).collect()
    }
}

/// Asks one hot counter and many others from several threads until it is told to end. What is refused
/// meanwhile is no matter here.
fn load(counter: &Counter, ends: &AtomicBool) {
    let ids = ids(200);
    std::thread::scope(|scope| {
        for first in 0..12 {
            let ids = &ids;
            scope.spawn(move || {
                for turn in first.. {
                    if ends.load(Ordering::Relaxed) {
                        break;
                    }
                    let other = &*ids[turn * 7 % ids.len()];
                    let id = if turn % 4 == 0 { other } else { "hot" };
                    counter.increment(id, "");
                }
            });
        }
    });
}

/// Sends what is no frame to an address at which a lane listens.
fn garbles(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        use futures_util::StreamExt as _;
        let client = async_nats::connect(url).await.expect("a client");
        let mut heard = client.subscribe("counter.node.>").await.expect("frames");
        let frame = heard.next().await.expect("a frame");
        let garbled = client.publish(frame.subject, "no frame".into()).await;
        garbled.expect("it is taken");
        client.flush().await.expect("it is sent");
    });
}

/// Ends the load with the block in which it is, also by a failure.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Further nodes of a cluster.
struct Joins<'a> {
    cluster: &'a [&'a str],
    count: usize,
}

impl Joins<'_> {
    fn one(&mut self) -> Counter {
        self.count += 1;
        let name = format!("late-{}", self.count);
        let joined = Counter::start(&[&["--name", &name], self.cluster].concat());
        until("it is handed some", || {
            joined.metric("tenure_shards_owned") > 0.0
        });
        joined
    }
}

/// Lets a process stand still until it is taken for over: one of several, or the only one, by the eyes
/// of another node.
fn stands_still(counter: &Counter, is_one_process: bool, other: &Counter) {
    // Two that own, one that asks, and the other one.
    until("all see each other", || {
        other.metric("tenure_members") == 4.0
    });
    let signal = |signal| match is_one_process {
        true => counter.running.signal(signal),
        false => counter.running.signal_after("node-1 is process ", signal),
    };
    signal(Signal::STOP);
    until("it is taken for over", || {
        other.metric("tenure_members") < 4.0
    });
    signal(Signal::CONT);
}

/// Joins and drains nodes under load until all has moved that moves by that.
fn until_all_moved(seen: &mut Seen, counter: &Counter, joins: &mut Joins<'_>) {
    const RESTS: &str = "tenure_actor_passivations_total";
    for _ in 0..20 {
        for _ in 0..50 {
            seen.look(counter);
            if seen.still().into_iter().all(|name| name == RESTS) {
                return;
            }
        }
        let drained = joins.one();
        seen.look(counter);
        assert_eq!(drained.running.terminate().code, Some(0));
    }
    panic!("not moved: {:?}", seen.still());
}

fn every_line_moves(kind: &[&str], mode: &[&str]) {
    let server = NatsServer::start().expect("a nats-server");
    let url = server.url();
    let cluster = ["--shards", "16", "--shell", "nats", "--nats", &url];
    let cluster = [&cluster[..], kind].concat();
    let own = ["--nodes", "2", "--queue", "1"];
    let counter = Counter::start(&[&own[..], mode, &cluster].concat());
    let (cluster, count) = (&*cluster, 0);
    let mut joins = Joins { cluster, count };
    let mut seen = Seen::default();
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ends = Ends(&ends);
        scope.spawn(|| load(&counter, ends.0));
        garbles(&url);
        // One that joins is handed some, and hands them back as it ends.
        let drained = joins.one();
        assert_eq!(drained.running.terminate().code, Some(0));
        until("what was handed back is adopted", || {
            counter.metric("tenure_adopted_total") > 0.0
        });
        // What a killed one owned is taken over.
        drop(joins.one());
        until("it is taken over", || {
            counter.metric("tenure_take_overs_total") > 0.0
        });
        seen.look(&counter);
        let other = joins.one();
        stands_still(&counter, mode.is_empty(), &other);
        until("it joins again", || {
            counter.metric("tenure_rejoins_total") > 0.0
        });
        assert_eq!(other.running.terminate().code, Some(0));
        until_all_moved(&mut seen, &counter, &mut joins);
        drop(ends);
    });
    until("what nobody asks for goes", || {
        seen.look(&counter);
        seen.still().is_empty()
    });
    for alarm in ALARMS {
        assert_eq!(seen.at(alarm), 0.0, "{alarm}");
    }
    let ended = counter.running.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

const MEMORY: [&str; 2] = ["--idle-after-ms", "300"];
const ENTITY: [&str; 2] = ["--kind", "entity"];

#[test]
fn every_line_moves_for_counters_in_memory() {
    every_line_moves(&MEMORY, &[]);
}

#[test]
fn every_line_moves_for_counters_by_events() {
    every_line_moves(&ENTITY, &[]);
}

#[test]
fn every_line_moves_for_counters_in_memory_of_several_processes() {
    every_line_moves(&MEMORY, &["--processes"]);
}

#[test]
fn every_line_moves_for_counters_by_events_of_several_processes() {
    every_line_moves(&ENTITY, &["--processes"]);
}
