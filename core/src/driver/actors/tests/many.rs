//! A million actors in memory: what each of them takes. Run it alone:
//! `cargo test --release -p tenure-core --features driver --lib a_million -- --ignored --nocapture`.

use super::rig::{Kinds, Rig};
use crate::api::Never;
use crate::api::actor::{Actor, ActorCx, Handle, Handlers, InitError};
use serde::{Deserialize, Serialize};

/// What one may take, in bytes of the process's resident memory, everything included.
const BYTES_MAX: u64 = 600;

const ACTORS: u64 = 1_000_000;

#[derive(Clone, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(crate = "crate::api", name = "bump", version = 1)]
struct Bump {
    by: u64,
}

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

    async fn handle(&mut self, message: Bump, _: &mut ActorCx<Self>) -> Result<u64, Never> {
        self.0 += message.by;
        Ok(self.0)
    }
}

/// The process's resident memory in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse::<u64>().ok());
    pages.expect("a number of pages") * 4_096
}

#[test]
#[ignore = "it takes half a gigabyte, and its figure counts alone in its process"]
fn a_million_actors_fit_their_memory() {
    let mut rig = Rig::placed(Kinds::new().with::<Small>());
    let before = resident();
    for round in 1..=2 {
        for n in 0..ACTORS {
            let small = rig.actor::<Small>(&format!("actor-{n}"));
            assert_eq!(rig.get(small.ask(Bump { by: 1 })), Ok(round));
        }
    }
    let each = (resident() - before) / ACTORS;
    println!("{ACTORS} actors: {each} bytes each");
    assert_eq!(rig.counted().actors_held, ACTORS);
    assert!(each <= BYTES_MAX, "{each} bytes each");
}
