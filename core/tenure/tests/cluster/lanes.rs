//! A lane that hangs: its node does not look alive, and others serve what it owned.

use crate::cluster::nodes::{self, PATIENCE, wait};
use crate::common::World;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use tenure::actor::{Actor, ActorCx, Handle, Handlers, InitError};
use tenure::prelude::*;
use tenure::{Builder, Span, TakeOver, Terms};

/// Whether what hangs goes on.
static RELEASED: AtomicBool = AtomicBool::new(false);

/// Says where it is, or holds its lane.
struct Bolt;

/// Where it is: the node and the shard.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "where", version = 1)]
struct Where;

/// Hold the lane.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "hang", version = 1)]
struct Hang;

impl Actor for Bolt {
    const KIND: &'static str = "bolt";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Where>().on::<Hang>()
    }
}

impl Handle<Where> for Bolt {
    type Reply = (String, u16);
    type Error = Never;

    async fn handle(&mut self, _: Where, cx: &mut ActorCx<Self>) -> Result<(String, u16), Never> {
        let shard = cx.shard().map_or(0, |shard| shard.0);
        Ok((cx.node().to_owned(), shard))
    }
}

impl Handle<Hang> for Bolt {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: Hang, _: &mut ActorCx<Self>) -> Result<(), Never> {
        while !RELEASED.load(Ordering::Acquire) {
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        Ok(())
    }
}

fn builder(name: &str) -> Builder {
    let terms = Terms::of_ttl(Span::from_millis(1_500));
    nodes::node(Cluster::named(name).terms(terms)).actor::<Bolt>()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_of_which_a_lane_hangs_does_not_look_alive() {
    let world = World::mem();
    let a = world.start(builder("a")).await;
    let b = world.start(builder("b")).await;
    for node in [&a, &b] {
        wait(node, |view| view.owned(TakeOver::Leased).len() == 2).await;
    }
    // Two actors of one shard on the second lane of a.
    let mut found: Vec<(String, u16)> = Vec::new();
    for n in 0.. {
        let key = format!("bolt-{n}");
        let (node, shard) = b.actor::<Bolt>(&key).ask(Where).await.expect("it is there");
        let fits = found.iter().all(|(_, of)| *of == shard);
        if node == "a" && shard % 2 == 1 && fits {
            found.push((key, shard));
        }
        if found.len() == 2 {
            break;
        }
    }
    a.actor::<Bolt>(&found[0].0)
        .tell(Hang)
        .await
        .expect("it is taken");
    let moved = async {
        loop {
            match b.actor::<Bolt>(&found[1].0).ask(Where).await {
                Ok((node, _)) if node == "b" => return,
                Ok(_) | Err(_) => tokio::time::sleep(PATIENCE / 300).await,
            }
        }
    };
    let moved = tokio::time::timeout(PATIENCE, moved).await;
    RELEASED.store(true, Ordering::Release);
    assert!(moved.is_ok(), "nobody takes over from it");
}
