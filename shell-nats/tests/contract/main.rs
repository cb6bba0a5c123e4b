//! T4, the contract test: what the model store allows is what a real nats-server answers.
//!
//! The same random requests go to both, one by one and several at once, to a single server, to a stream with
//! three replicas and to the front, which is one server; scripted scenes reach what random requests cannot,
//! and the traps of servers and client are scenes of their own (`traps` and its neighbours). At the end
//! each pair of a request and a class of its answers was seen, or is listed as impossible with its
//! reason.
//!
//! `TENURE_SEED` repeats a run, as far as the servers' own timing lets it; `TENURE_ROUNDS` makes a
//! run go through at least so many sets of streams.

mod alphabet;
mod bodies;
mod cursor;
mod disturbed;
mod front;
mod history;
mod reach;
mod relation;
mod same;
mod scenes;
mod stage;
mod table;
mod traps;
#[cfg(target_os = "linux")]
mod traps_of_memory;
mod traps_of_time;
mod world;

use table::Table;
use tenure_nats_server::{Cluster, NatsServer};

#[test]
fn the_model_allows_what_a_real_server_answers() {
    let run = Run {
        seed: number("TENURE_SEED").unwrap_or_else(fresh_seed),
        rounds_min: rounds(),
    };
    println!("TENURE_SEED={}", run.seed);
    let single = std::thread::spawn(move || single(run));
    let cluster = std::thread::spawn(move || cluster(run));
    let front = std::thread::spawn(move || of_front(run));
    let mut table = Table::default();
    for world in [single, cluster, front] {
        table.merge(world.join().expect("a world ends well"));
    }
    let (text, wrong) = table.report();
    println!("{text}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn single(run: Run) -> Table {
    let server = NatsServer::start().expect("a server");
    let mut table = world::block_on(world::random(&server.url(), 1, run));
    table.merge(world::block_on(scenes::all(run.seed)));
    table
}

fn cluster(run: Run) -> Table {
    let cluster = Cluster::start(3).expect("a cluster");
    let mut table = world::block_on(world::random(&cluster.url(), 3, run));
    table.merge(world::block_on(disturbed::all(&cluster, run.seed)));
    table
}

fn of_front(run: Run) -> Table {
    let table = world::block_on(async {
        let front = front::FrontServer::start().await;
        let mut table = world::random(front.url(), 1, run).await;
        drop(front);
        table.merge(scenes::all_on_front().await);
        table
    });
    table.of_front()
}

/// How a run of the contract is to be.
#[derive(Clone, Copy, Debug)]
struct Run {
    seed: u64,
    rounds_min: u64,
}

fn rounds() -> u64 {
    number("TENURE_ROUNDS").unwrap_or(3)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}; it must be a number")),
    )
}

#[allow(
    clippy::disallowed_methods,
    reason = "a fresh seed for each run, which is printed"
)]
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.expect("a clock after 1970").as_nanos() % (1 << 48)).expect("48 bits")
}
