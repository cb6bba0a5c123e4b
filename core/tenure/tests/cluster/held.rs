//! Callers of a place that is handed over while one of its actors has a long turn.

use crate::nodes::{PATIENCE, node, wait};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::actor::{Actor, ActorCx, Handle, Handlers, InitError};
use tenure::prelude::*;
use tenure::{Builder, Cluster, MemShell, TakeOver, Tenure};
use tokio::sync::Semaphore;

/// For longer nobody waits for an owner that is not there.
const PATIENCE_FOR_AN_OWNER: Duration = Duration::from_secs(4);

/// What a long turn waits for.
static GOES_ON: Semaphore = Semaphore::const_new(0);

struct Clerk;

/// Says on which shard and node it is; a long one when it is let go on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "serve", version = 1)]
struct Serve {
    long: bool,
}

impl Actor for Clerk {
    const KIND: &'static str = "clerk";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Serve>()
    }
}

impl Handle<Serve> for Clerk {
    type Reply = (u16, String);
    type Error = Never;

    async fn handle(
        &mut self,
        Serve { long }: Serve,
        cx: &mut ActorCx<Self>,
    ) -> Result<(u16, String), Never> {
        if long {
            let permit = GOES_ON.acquire().await;
            drop(permit);
        }
        let shard = cx.shard().map_or(0, |shard| shard.0);
        Ok((shard, cx.node().to_owned()))
    }
}

fn builder(name: &str) -> Builder {
    node(Cluster::named(name))
        .actor::<Clerk>()
        .stop_timeout(PATIENCE)
}

/// Two keys of one shard that a node owns.
async fn two_keys_on(asker: &Tenure, name: &str) -> [String; 2] {
    let mut first = None;
    for n in 0..1_000 {
        let key = format!("key-{n}");
        let asked = asker.actor::<Clerk>(&key).ask(Serve { long: false });
        let (shard, node) = asked.await.unwrap();
        if node != name {
            continue;
        }
        match first.take() {
            Some((of, other)) if of == shard => return [other, key],
            Some(kept) => first = Some(kept),
            None => first = Some((shard, key)),
        }
    }
    panic!("{name} owns nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_wait_for_the_turn_and_are_served_by_the_successor() {
    let shell = MemShell::fresh();
    let a = builder("a").start_with(shell.beside()).await.unwrap();
    let b = builder("b").start_with(shell.beside()).await.unwrap();
    for node in [&a, &b] {
        wait(node, |view| {
            view.is_served(TakeOver::Leased) && view.owned(TakeOver::Leased).len() == 2
        })
        .await;
    }
    let [slow, other] = two_keys_on(&b, "a").await;
    let ask = |from: &Tenure, key: &str, long| {
        let handle = from.actor::<Clerk>(key);
        tokio::spawn(async move { handle.ask(Serve { long }).timeout(PATIENCE).await })
    };
    let long = ask(&a, &slow, true);
    while a.counters().await.actor_tasks == 0 {
        tokio::task::yield_now().await;
    }
    let drains = tokio::spawn({
        let a = a.clone();
        async move {
            a.cluster()
                .unwrap()
                .drain()
                .await
                .map_err(|e| e.to_string())
        }
    });
    wait(&b, |view| view.node("a").is_some_and(|a| a.draining)).await;
    // The rest of what it owns is handed over meanwhile, so this place is on its way too.
    wait(&a, |view| {
        view.owned(TakeOver::Leased)
            .get("a")
            .is_none_or(|&n| n <= 1)
    })
    .await;
    let mut asked = [ask(&a, &other, false), ask(&b, &other, false)];
    for asked in &mut asked {
        let waits = tokio::time::timeout(PATIENCE_FOR_AN_OWNER, asked).await;
        assert!(waits.is_err(), "{waits:?}");
    }
    GOES_ON.add_permits(1);
    assert_eq!(long.await.unwrap().unwrap().1, "a");
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap().1, "b");
    }
    assert_eq!(drains.await.unwrap(), Ok(()));
}
