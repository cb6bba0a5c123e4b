//! Callers of a place that is handed over while one of its actors has a long turn.

use crate::cluster::nodes::{PATIENCE, node, wait};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::actor::{Actor, ActorCx, ActorError, Handle, Handlers, InitError};
use tenure::prelude::*;
use tenure::{Builder, Cluster, Limits, MemShell, TakeOver, Tenure};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// For longer nobody waits for an owner that is not there.
const PATIENCE_FOR_AN_OWNER: Duration = Duration::from_secs(4);

/// What the long turns of each test wait for.
static GO_ON: [Semaphore; 3] = [const { Semaphore::const_new(0) }; 3];

/// The notes that came.
static NOTED: Semaphore = Semaphore::const_new(0);

struct Clerk;

/// Says on which shard and node it is; a long one when it is let go on, by its test.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "serve", version = 1)]
struct Serve {
    long: Option<usize>,
}

/// Is told, and counted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "note", version = 1)]
struct Note;

impl Actor for Clerk {
    const KIND: &'static str = "clerk";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Serve>().on::<Note>()
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
        if let Some(test) = long {
            let permit = GO_ON[test].acquire().await;
            drop(permit);
        }
        let shard = cx.shard().map_or(0, |shard| shard.0);
        Ok((shard, cx.node().to_owned()))
    }
}

impl Handle<Note> for Clerk {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: Note, _: &mut ActorCx<Self>) -> Result<(), Never> {
        NOTED.add_permits(1);
        Ok(())
    }
}

fn builder(name: &str, patience: Duration) -> Builder {
    let mut limits = Limits::default();
    limits.hand_over_patience = patience.into();
    node(Cluster::named(name))
        .actor::<Clerk>()
        .limits(limits)
        .stop_timeout(PATIENCE)
}

/// Two keys of one shard that a node owns.
async fn two_keys_on(asker: &Tenure, name: &str) -> [String; 2] {
    let mut first = None;
    for n in 0..1_000 {
        let key = format!("key-{n}");
        let asked = asker.actor::<Clerk>(&key).ask(Serve { long: None });
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

/// Two nodes of which the first drains while one of its actors has a long turn: that turn, the drain, and
/// another key of its shard.
struct Scene {
    a: Tenure,
    b: Tenure,
    long: Asked,
    other: String,
    drains: JoinHandle<Result<(), String>>,
}

type Asked = JoinHandle<Result<(u16, String), ActorError<Never>>>;

fn ask(from: &Tenure, key: &str, long: Option<usize>) -> Asked {
    let handle = from.actor::<Clerk>(key);
    tokio::spawn(async move { handle.ask(Serve { long }).timeout(PATIENCE).await })
}

async fn scene(patience: Duration, test: usize) -> Scene {
    let shell = MemShell::fresh();
    let start = |name| builder(name, patience).start_with(shell.beside());
    let a = start("a").await.unwrap();
    let b = start("b").await.unwrap();
    for node in [&a, &b] {
        wait(node, |view| {
            view.is_served(TakeOver::Leased) && view.owned(TakeOver::Leased).len() == 2
        })
        .await;
    }
    let [slow, other] = two_keys_on(&b, "a").await;
    let long = ask(&a, &slow, Some(test));
    while a.counters().await.actor_tasks == 0 {
        tokio::task::yield_now().await;
    }
    let drains = tokio::spawn({
        let a = a.clone();
        async move {
            let drained = a.cluster().unwrap().drain().await;
            drained.map_err(|e| e.to_string())
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
    Scene {
        a,
        b,
        long,
        other,
        drains,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_wait_for_the_turn_and_are_served_by_the_successor() {
    let scene = scene(PATIENCE, 0).await;
    let mut asked = [&scene.a, &scene.b].map(|from| ask(from, &scene.other, None));
    for asked in &mut asked {
        let waits = tokio::time::timeout(PATIENCE_FOR_AN_OWNER, asked).await;
        assert!(waits.is_err(), "{waits:?}");
    }
    GO_ON[0].add_permits(1);
    assert_eq!(scene.long.await.unwrap().unwrap().1, "a");
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap().1, "b");
    }
    assert_eq!(scene.drains.await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_served_where_they_are_when_the_turn_takes_too_long() {
    let scene = scene(Duration::from_millis(100), 1).await;
    let asked = [&scene.a, &scene.b].map(|from| ask(from, &scene.other, None));
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap().1, "a");
    }
    assert!(!scene.drains.is_finished(), "its turn goes on");
    GO_ON[1].add_permits(1);
    assert_eq!(scene.long.await.unwrap().unwrap().1, "a");
    // It is tried again.
    assert_eq!(scene.drains.await.unwrap(), Ok(()));
    let asked = ask(&scene.a, &scene.other, None).await.unwrap();
    assert_eq!(asked.unwrap().1, "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_arrives_though_nobody_waits_to_know() {
    let scene = scene(PATIENCE, 2).await;
    let other = scene.a.actor::<Clerk>(&scene.other);
    // It is sent when it is polled first.
    let told = tokio::time::timeout(Duration::ZERO, other.tell(Note)).await;
    assert!(told.is_err(), "{told:?}");
    GO_ON[2].add_permits(1);
    let asked = ask(&scene.a, &scene.other, None).await.unwrap();
    assert_eq!(asked.unwrap().1, "b");
    let noted = tokio::time::timeout(PATIENCE, NOTED.acquire()).await;
    drop(noted.expect("it arrives").unwrap());
    assert_eq!(scene.long.await.unwrap().unwrap().1, "a");
    assert_eq!(scene.drains.await.unwrap(), Ok(()));
}
