//! Actors that would wait for each other: one of them is told, and neither waits for its deadline.

use crate::cluster::nodes::{PATIENCE, node, start_of_both};
use crate::common::{World, on_both_shells};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::{Arc, LazyLock, Mutex};
use tenure::actor::{Actor, ActorCx, ActorError, Handle, Handlers, InitError};
use tenure::prelude::*;
use tenure::{Cluster, Tenure};
use tokio::sync::Barrier;

on_both_shells!(
    two_that_ask_each_other_do_not_wait_for_their_deadlines,
    a_ring_on_one_node_is_found,
    a_task_waits_for_nobodys_turn,
);

/// Where turns of a test wait until all of them have begun.
static MEETINGS: LazyLock<Mutex<BTreeMap<String, Arc<Barrier>>>> = LazyLock::new(Mutex::default);

fn meeting(of: &str, count: usize) -> Arc<Barrier> {
    let mut meetings = MEETINGS.lock().unwrap();
    let new = || Arc::new(Barrier::new(count));
    Arc::clone(meetings.entry(of.to_owned()).or_insert_with(new))
}

/// Asks another one, once so many of a meeting are in their turns.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "meet", version = 1)]
struct Meet {
    meeting: String,
    count: usize,
    whom: String,
    /// By a task, which no turn waits for.
    detached: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "hello", version = 1)]
struct Hello;

#[derive(Debug)]
struct Guest;

impl Actor for Guest {
    const KIND: &'static str = "guest";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Meet>().on::<Hello>()
    }
}

impl Handle<Hello> for Guest {
    type Reply = String;
    type Error = String;

    async fn handle(&mut self, _: Hello, cx: &mut ActorCx<Self>) -> Result<String, String> {
        Ok(format!("hello from {}", cx.key()))
    }
}

impl Handle<Meet> for Guest {
    type Reply = String;
    type Error = String;

    async fn handle(&mut self, meet: Meet, cx: &mut ActorCx<Self>) -> Result<String, String> {
        let whom = cx.actor::<Self>(&meet.whom);
        let meeting = meeting(&meet.meeting, meet.count);
        meeting.wait().await;
        if meet.detached {
            let (done, told) = tokio::sync::oneshot::channel();
            let asks = whom.detached().ask(Hello).timeout(PATIENCE).into_future();
            cx.spawn(async move {
                drop(done.send(asks.await));
            })
            .map_err(|error| error.to_string())?;
            drop(told);
            return Ok("on its way".to_owned());
        }
        match whom.ask(Hello).await {
            Ok(hello) => Ok(hello),
            Err(error @ ActorError::Cycle(_)) => Ok(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

async fn guests(world: &World, names: &[&str]) -> Vec<Tenure> {
    let guest = |name: &&str| {
        let till = node(Cluster::named(*name)).serve::<crate::common::Till>();
        till.actor::<Guest>()
    };
    start_of_both(world, names.iter().map(guest).collect()).await
}

/// All of a ring ask the next one at once; what each was told.
async fn meet(world: &World, by: &Tenure, ring: &[String], detached: bool) -> Vec<String> {
    let asks = ring.iter().enumerate().map(|(n, key)| {
        let meet = Meet {
            meeting: format!("{}: {}", world.place(), ring.join(" ")),
            count: ring.len(),
            whom: ring[(n + 1) % ring.len()].clone(),
            detached,
        };
        by.actor::<Guest>(key)
            .ask(meet)
            .timeout(PATIENCE)
            .into_future()
    });
    let told = futures_util::future::join_all(asks).await;
    told.into_iter().map(Result::unwrap).collect()
}

fn is_cycle(told: &str) -> bool {
    told.contains("would wait for itself, since guest \"")
}

async fn two_that_ask_each_other_do_not_wait_for_their_deadlines(world: &World) {
    let nodes = guests(world, &["a", "b"]).await;
    let mut met = [0, 0];
    for n in 0..500 {
        let pair = [format!("x{n}"), format!("y{n}")];
        let place = |key: &String| {
            let place = nodes[0].actor::<Guest>(key).place().expect("a place");
            let view = nodes[0].cluster().expect("a cluster").view();
            let owner = view.owner(place).map(|(node, _)| node.name.to_owned());
            (owner, place.shard.0 % 2)
        };
        let met = &mut met[usize::from(place(&pair[0]) == place(&pair[1]))];
        if *met == 8 {
            continue;
        }
        *met += 1;
        let told = meet(world, &nodes[0], &pair, false).await;
        let cycles = told.iter().filter(|told| is_cycle(told)).count();
        assert!(cycles >= 1, "{told:?}");
        for (told, other) in told.iter().zip(pair.iter().rev()) {
            assert!(is_cycle(told) || *told == format!("hello from {other}"));
        }
    }
    assert_eq!(met, [8, 8], "on several lanes and on one");
}

async fn a_ring_on_one_node_is_found(world: &World) {
    let nodes = guests(world, &["a"]).await;
    for count in [3, 5, 9] {
        let ring: Vec<_> = (0..count).map(|n| format!("{count}-{n}")).collect();
        let told = meet(world, &nodes[0], &ring, false).await;
        assert!(told.iter().any(|told| is_cycle(told)), "{told:?}");
    }
}

async fn a_task_waits_for_nobodys_turn(world: &World) {
    let nodes = guests(world, &["a"]).await;
    let pair = ["p".to_owned(), "q".to_owned()];
    let told = meet(world, &nodes[0], &pair, true).await;
    assert_eq!(told, ["on its way", "on its way"]);
}
