//! A store that stops answering: the node's memory stays bounded, everyone is told by their
//! deadline, and when the store answers again the node serves.

use crate::common::{Account, Fate, FaultyShell, Move};
use std::num::NonZeroUsize;
use std::time::Duration;
use tenure::prelude::*;
use tenure::{Builder, Counters, Limits};
use tokio::sync::watch;

const TASKS: u64 = 40;
const ROUNDS: u64 = 25;
const AT_ONCE: u64 = 200;
const ENTITIES: u64 = 20_000;
const CACHE: usize = 100;

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.requests_max = 2_000;
    limits.store_in_flight_max = 50;
    limits.store_waiting_max = 1_000;
    limits
}

fn builder() -> Builder {
    Tenure::builder()
        .namespace("bank")
        .limits(limits())
        .cache(CACHE)
        .streams(1)
        .lanes(const { NonZeroUsize::new(2).unwrap() })
}

/// What each of the callers was told.
#[derive(Debug, Default)]
struct Told {
    done: u64,
    overloaded: u64,
    deadline: u64,
    unknown: u64,
}

/// Sends so many commands that each waits but briefly.
async fn flood(accounts: Repository<Account>, task: u64) -> Told {
    let mut told = Told::default();
    for round in 0..ROUNDS {
        let first = (task * ROUNDS + round) * AT_ONCE;
        let callers: Vec<_> = (first..first + AT_ONCE)
            .map(|n| {
                let id = format!("a{}", n * 7 % ENTITIES);
                let command = accounts.execute(id, Move { cents: 1 });
                let caller = command.timeout(Duration::from_millis(200)).into_future();
                tokio::spawn(caller)
            })
            .collect();
        for caller in callers {
            match caller.await.expect("no panic") {
                Ok(_) => told.done += 1,
                Err(ExecuteError::Overloaded) => told.overloaded += 1,
                Err(ExecuteError::Deadline) => told.deadline += 1,
                Err(error) if error.is_unknown() => told.unknown += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    told
}

/// The most that was ever seen under way.
#[derive(Debug, Default)]
struct Peak {
    requests_waiting: u64,
    store_in_flight: u64,
    store_waiting: u64,
    entities_held: u64,
}

impl Peak {
    fn see(&mut self, counters: &Counters) {
        self.requests_waiting = self.requests_waiting.max(counters.requests_waiting);
        self.store_in_flight = self.store_in_flight.max(counters.store_in_flight);
        self.store_waiting = self.store_waiting.max(counters.store_waiting);
        self.entities_held = self.entities_held.max(counters.entities_held);
    }
}

/// Floods a node whose store is silent, and looks how much is under way meanwhile.
async fn flooded(node: &Tenure) -> (Told, Peak) {
    let accounts = node.repository::<Account>().await.unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| tokio::spawn(flood(accounts.clone(), task)))
        .collect();
    let mut peak = Peak::default();
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        peak.see(&node.counters().await);
        tokio::task::yield_now().await;
    }
    let mut told = Told::default();
    for task in tasks {
        let one = task.await.expect("no panic");
        told.done += one.done;
        told.overloaded += one.overloaded;
        told.deadline += one.deadline;
        told.unknown += one.unknown;
    }
    (told, peak)
}

fn check(told: &Told, peak: &Peak) {
    let Told {
        done,
        overloaded,
        deadline,
        unknown,
    } = *told;
    let all = TASKS * ROUNDS * AT_ONCE;
    assert_eq!(done + overloaded + deadline + unknown, all, "{told:?}");
    assert!(overloaded > 0 && deadline > 0, "{told:?}");
    let limits = limits();
    let (lanes, few) = (2, 16);
    // One more for each other lane (F1).
    assert!(
        peak.requests_waiting <= limits.requests_max as u64 + lanes,
        "{peak:?}"
    );
    // The namespace's own requests have no window.
    let in_flight = lanes * limits.store_in_flight_max as u64;
    assert!(peak.store_in_flight <= in_flight + few, "{peak:?}");
    // Each entity that was admitted reads its log, once at a time.
    let waiting = lanes * (limits.store_waiting_max + limits.requests_max) as u64;
    assert!(peak.store_waiting <= waiting, "{peak:?}");
    let held = waiting + in_flight + lanes * limits.requests_max as u64 + CACHE as u64;
    assert!(peak.entities_held <= held, "{peak:?}");
}

/// What was under way has ended, and nothing is left of it.
async fn idle(node: &Tenure) -> Counters {
    let idle = async {
        loop {
            let counters = node.counters().await;
            let busy =
                counters.requests_waiting + counters.store_in_flight + counters.store_waiting;
            if busy == 0 && counters.entities_held <= CACHE as u64 {
                return counters;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(50), idle).await {
        Ok(counters) => counters,
        Err(_) => panic!("not idle: {:?}", node.counters().await),
    }
}

async fn serves(node: &Tenure) {
    let accounts = node.repository::<Account>().await.unwrap();
    for n in 0..50 {
        let id = format!("b{n}");
        assert_eq!(accounts.execute(&id, Move { cents: 1 }).await.unwrap(), 1);
        assert_eq!(accounts.load(&id).await.unwrap().version, Version(1));
    }
    let counters = idle(node).await;
    assert_eq!(counters.requests, counters.answers);
    assert_eq!(counters.halts, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_over_a_silent_store_in_memory_is_bounded() {
    let shell = FaultyShell::new();
    let node = builder().start_with(shell.clone()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.execute("a0", Move { cents: 1 }).await.unwrap();
    let (release, released) = watch::channel(false);
    shell.set(move |_| Some(Fate::Lost(released.clone())));
    let (told, peak) = flooded(&node).await;
    check(&told, &peak);
    assert_eq!(told.done, 0, "{told:?}");
    assert_eq!(node.counters().await.requests_waiting, 0);
    shell.set(|_| None);
    release.send(true).unwrap();
    idle(&node).await;
    serves(&node).await;
    let overloaded = node.counters().await.overloaded;
    assert!(overloaded > 0 && overloaded <= told.overloaded, "{told:?}");
}

#[cfg(feature = "nats")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_over_a_stopped_server_is_bounded() {
    let server = tenure_nats_server::NatsServer::start().expect("a nats-server");
    let mut limits = limits();
    limits.store_timeout = Duration::from_millis(500).into();
    let node = builder().limits(limits).start(server.url()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.execute("a0", Move { cents: 1 }).await.unwrap();
    server.pause().unwrap();
    let (told, peak) = flooded(&node).await;
    check(&told, &peak);
    server.resume().unwrap();
    let connected = async {
        while accounts.execute("b", Move { cents: 1 }).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let connected = tokio::time::timeout(Duration::from_secs(50), connected).await;
    assert!(connected.is_ok(), "the node serves again");
    idle(&node).await;
    serves(&node).await;
}
