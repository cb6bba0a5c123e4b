//! How long a key is without an owner that answers while its shard is handed over, in round trips: counted
//! in a world in which each message takes its time on a clock that does not run by itself, and nothing
//! else takes any.

use crate::cluster::nodes::{node, wait};
use crate::common::{Far, LEG, Put, Till};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::actor::{Actor, ActorCx, Handle, Handlers, InitError};
use tenure::prelude::*;
use tenure::{Builder, Cluster, MemShell, TakeOver, Tenure};
use tokio::time::{Instant, sleep};

/// A counter in memory.
struct Tick(u64);

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "more", version = 1)]
struct More;

impl Actor for Tick {
    const KIND: &'static str = "tick";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self(0))
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<More>()
    }
}

impl Handle<More> for Tick {
    type Reply = u64;
    type Error = Never;

    async fn handle(&mut self, _: More, _: &mut ActorCx<Self>) -> Result<u64, Never> {
        self.0 += 1;
        Ok(self.0)
    }
}

fn builder(cluster: Cluster) -> Builder {
    node(cluster).serve::<Till>().actor::<Tick>()
}

/// Two nodes that own shards, and one that asks.
async fn scene() -> [Tenure; 3] {
    let store = MemShell::fresh();
    let start = |cluster| builder(cluster).start_with(Far::new(store.beside()));
    let a = start(Cluster::named("a")).await.expect("a node");
    let b = start(Cluster::named("b")).await.expect("a node");
    let asker = start(Cluster::named("c").client()).await.expect("a node");
    for class in [TakeOver::Fenced, TakeOver::Leased] {
        wait(&asker, |view| {
            view.is_served(class) && view.owned(class).len() == 2
        })
        .await;
    }
    [a, b, asker]
}

/// Who answered an ask for a key.
async fn asked(asker: &Tenure, class: TakeOver, key: &str) -> String {
    match class {
        TakeOver::Fenced => {
            let till = asker.entity::<Till>(key).ask(Put { cents: 1 });
            till.served().await.expect("an answer").node
        }
        TakeOver::Leased => {
            let tick = asker.actor::<Tick>(key).ask(More);
            tick.served().await.expect("an answer").node
        }
    }
}

/// Keys of a node, each of which has several messages.
async fn keys_of(asker: &Tenure, class: TakeOver, owner: &str) -> Vec<String> {
    let mut keys = Vec::new();
    // A node may own one place of many, by chance.
    for n in 0..256 {
        let key = format!("key-{n}");
        if asked(asker, class, &key).await == owner {
            for _ in 0..10 {
                asked(asker, class, &key).await;
            }
            keys.push(key);
        }
        if keys.len() >= 4 && n >= 16 {
            break;
        }
    }
    assert!(keys.len() >= 2, "{keys:?}");
    keys
}

/// The longest gap between the last answer of the old owner and the first of the new one, over keys that
/// are asked one time after the other while their node drains; in round trips.
async fn gap(class: TakeOver) -> f64 {
    let [a, _b, asker] = scene().await;
    let keys = keys_of(&asker, class, "a").await;
    let asks = keys.into_iter().map(|key| {
        let asker = asker.clone();
        tokio::spawn(async move {
            let mut last = Instant::now();
            while asked(&asker, class, &key).await == "a" {
                last = Instant::now();
            }
            last.elapsed()
        })
    });
    let asks: Vec<_> = asks.collect();
    sleep(20 * LEG).await;
    a.cluster()
        .expect("a cluster")
        .drain()
        .await
        .expect("it drains");
    let mut longest = Duration::ZERO;
    for gap in asks {
        longest = longest.max(gap.await.expect("a key is asked"));
    }
    longest.as_secs_f64() / (2 * LEG).as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn an_entity_waits_for_seven_round_trips() {
    // An ask that comes too late, while what is in flight ends; the record that names the successor; the
    // way there; a load of two; the commit; and the answer's way.
    let gap = gap(TakeOver::Fenced).await;
    assert!(gap <= 7.05, "{gap} round trips");
}

#[tokio::test(start_paused = true)]
async fn an_actor_waits_for_five_round_trips() {
    // An ask that waits with the actors; the record; its way back, and to the successor; and the answer's.
    let gap = gap(TakeOver::Leased).await;
    assert!(gap <= 5.05, "{gap} round trips");
}
