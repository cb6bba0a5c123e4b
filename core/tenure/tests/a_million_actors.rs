//! A million actors in one node, and what each of them takes of the process's memory. It stands alone
//! in its process, whose memory is measured.

use serde::{Deserialize, Serialize};
use tenure::actor::{Actor, ActorCx, Handle, Handlers, InitError};
use tenure::prelude::*;

const ACTORS: u64 = 1_000_000;

/// What one may take, in bytes of resident memory, everything included.
const BYTES_MAX: u64 = 600;

#[derive(Debug, Serialize, Deserialize, Message)]
#[message(name = "bump", version = 1)]
struct Bump;

struct Small(u64);

impl Actor for Small {
    const KIND: &'static str = "small";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self(0))
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Bump>()
    }
}

impl Handle<Bump> for Small {
    type Reply = u64;
    type Error = Never;

    async fn handle(&mut self, _: Bump, _: &mut ActorCx<Self>) -> Result<u64, Never> {
        self.0 += 1;
        Ok(self.0)
    }
}

/// The process's resident memory in bytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[tokio::test]
async fn a_million_actors_fit_their_memory_and_answer_again() {
    let node = Tenure::builder()
        .namespace("small")
        .actor::<Small>()
        .start("mem:")
        .await
        .unwrap();
    let before = resident();
    for round in 1..=2 {
        for n in 0..ACTORS {
            let small = node.actor::<Small>(format!("actor-{n}"));
            assert_eq!(small.ask(Bump).await, Ok(round));
        }
        let counters = node.counters().await;
        assert_eq!(counters.actors_held, ACTORS);
        assert_eq!(counters.actor_passivations, 0, "each is the one of before");
    }
    if let (Some(before), Some(after)) = (before, resident()) {
        let each = (after - before) / ACTORS;
        println!("{ACTORS} actors: {each} bytes each");
        assert!(each <= BYTES_MAX, "{each} bytes each");
    }
}
