//! Watches of actors over nodes: whoever watches is told how an actor ended, wherever it was.

use crate::cluster::nodes::{PATIENCE, node, wait};
use crate::common::{World, on_both_shells};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::actor::{Actor, ActorCx, ActorSettings, Ended, Handle, Handlers, InitError, Watched};
use tenure::prelude::*;
use tenure::{Builder, Cluster, MemShell, Span, TakeOver, Tenure, Terms};

on_both_shells!(
    who_watches_is_told_that_an_actor_rests,
    who_watches_is_told_that_its_node_stops,
    who_watches_is_told_that_its_node_is_gone_though_it_lives_again,
);

/// What is watched: it says where it is, and goes when it is asked to.
#[derive(Debug)]
struct Mark;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "touch", version = 1)]
struct Touch;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "go", version = 1)]
struct Go;

impl Actor for Mark {
    const KIND: &'static str = "mark";

    fn settings() -> ActorSettings {
        ActorSettings::default().stay()
    }

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Touch>().on::<Go>()
    }
}

impl Handle<Touch> for Mark {
    type Reply = String;
    type Error = Never;

    async fn handle(&mut self, _: Touch, cx: &mut ActorCx<Self>) -> Result<String, Never> {
        Ok(cx.node().to_owned())
    }
}

impl Handle<Go> for Mark {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: Go, cx: &mut ActorCx<Self>) -> Result<(), Never> {
        cx.passivate();
        Ok(())
    }
}

/// Who watches.
#[derive(Debug, Default)]
struct Guard {
    told: Vec<Ended>,
}

#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "watch", version = 1)]
struct Watch(String);

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "told", version = 1)]
struct WhatWasTold;

impl Actor for Guard {
    const KIND: &'static str = "guard";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self::default())
    }

    async fn ended(&mut self, whom: Watched, _: &mut ActorCx<Self>) {
        self.told.push(whom.ended);
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Touch>().on::<Watch>().on::<WhatWasTold>()
    }
}

impl Handle<Touch> for Guard {
    type Reply = String;
    type Error = Never;

    async fn handle(&mut self, _: Touch, cx: &mut ActorCx<Self>) -> Result<String, Never> {
        Ok(cx.node().to_owned())
    }
}

impl Handle<Watch> for Guard {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, Watch(key): Watch, cx: &mut ActorCx<Self>) -> Result<(), Never> {
        let mark = cx.actor::<Mark>(&key);
        cx.watch(&mark).expect("few watches");
        Ok(())
    }
}

impl Handle<WhatWasTold> for Guard {
    type Reply = Vec<Ended>;
    type Error = Never;

    async fn handle(&mut self, _: WhatWasTold, _: &mut ActorCx<Self>) -> Result<Vec<Ended>, Never> {
        Ok(self.told.clone())
    }
}

/// Two nodes, a guard on the first, and a mark on the second that it watches.
struct Scene {
    nodes: Vec<Tenure>,
    guard: String,
    mark: String,
}

fn builder(name: &str) -> Builder {
    let cluster = Cluster::named(name).terms(Terms::of_ttl(Span::from_millis(1_500)));
    node(cluster).actor::<Mark>().actor::<Guard>()
}

async fn scene(world: &World) -> Scene {
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        nodes.push(world.start(builder(name)).await);
    }
    scene_of(nodes).await
}

async fn scene_of(nodes: Vec<Tenure>) -> Scene {
    for node in &nodes {
        wait(node, |view| {
            view.is_served(TakeOver::Leased) && view.owned(TakeOver::Leased).len() == 2
        })
        .await;
    }
    let (mut guard, mut mark) = (None, None);
    for n in 0..100 {
        let key = format!("key-{n}");
        if nodes[0].actor::<Guard>(&key).ask(Touch).await.unwrap() == "a" {
            guard = Some(key);
        } else {
            mark = Some(key);
        }
    }
    let (guard, mark) = (guard.expect("one on a"), mark.expect("one on b"));
    assert_eq!(nodes[0].actor::<Mark>(&mark).ask(Touch).await.unwrap(), "b");
    let served = nodes[1].counters().await.served;
    let watch = Watch(mark.clone());
    nodes[0].actor::<Guard>(&guard).ask(watch).await.unwrap();
    let watched = async {
        // Who is there, and then its end.
        while nodes[1].counters().await.served < served + 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let watched = tokio::time::timeout(PATIENCE, watched).await;
    watched.expect("the watch gets there");
    Scene { nodes, guard, mark }
}

impl Scene {
    /// What the guard is told, when it has been told so often.
    async fn told(&self, times: usize) -> Vec<Ended> {
        let guard = self.nodes[0].actor::<Guard>(&self.guard);
        let told = async {
            loop {
                let told = guard.ask(WhatWasTold).await.unwrap();
                if told.len() >= times {
                    return told;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        told.expect("the guard is told")
    }
}

async fn who_watches_is_told_that_an_actor_rests(world: &World) {
    let scene = scene(world).await;
    let mark = scene.nodes[0].actor::<Mark>(&scene.mark);
    mark.ask(Go).await.unwrap();
    assert_eq!(scene.told(1).await, [Ended::Stopped]);
    // There is nobody now, and a watch says so.
    let guard = scene.nodes[0].actor::<Guard>(&scene.guard);
    guard.ask(Watch(scene.mark.clone())).await.unwrap();
    assert_eq!(scene.told(2).await, [Ended::Stopped, Ended::Absent]);
}

async fn who_watches_is_told_that_its_node_stops(world: &World) {
    let scene = scene(world).await;
    scene.nodes[1].stop().await;
    assert_eq!(scene.told(1).await, [Ended::Stopped]);
}

async fn who_watches_is_told_that_its_node_is_gone_though_it_lives_again(world: &World) {
    let mut scene = scene(world).await;
    // Somebody asks without end, so that it lives again as soon as its shard has an owner.
    let mark = scene.nodes[0].actor::<Mark>(&scene.mark);
    let asks = (0..8).map(|_| {
        let mark = mark.clone();
        tokio::spawn(async move {
            // Until it is elsewhere: what is lost on the way is no matter.
            while mark.ask(Touch).await.ok().as_deref() != Some("a") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    });
    let asks: Vec<_> = asks.collect();
    // Its lanes end without leaving.
    drop(scene.nodes.pop());
    assert_eq!(scene.told(1).await, [Ended::Lost]);
    for ask in asks {
        let elsewhere = tokio::time::timeout(PATIENCE, ask).await;
        elsewhere.expect("it is owned again").unwrap();
    }
}

/// The guard's node is out of reach while what it watches ends, and lives again before that is over.
async fn unseen(nodes: Vec<Tenure>, cut: impl FnOnce(), heal: impl FnOnce()) {
    let scene = scene_of(nodes).await;
    cut();
    let mark = scene.nodes[1].actor::<Mark>(&scene.mark);
    mark.ask(Go).await.unwrap();
    assert_eq!(mark.ask(Touch).await.unwrap(), "b");
    heal();
    assert_eq!(scene.told(1).await, [Ended::Lost]);
}

#[tokio::test]
async fn an_end_that_nobody_saw_counts_as_a_loss_in_memory() {
    let shell = MemShell::fresh();
    let far = shell.beside();
    let a = builder("a").start_with(far.clone()).await.unwrap();
    let b = builder("b").start_with(shell.beside()).await.unwrap();
    unseen(vec![a, b], || far.cut(true), || far.cut(false)).await;
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn an_end_that_nobody_saw_counts_as_a_loss_on_nats() {
    let world = World::nats();
    let server = world.server().expect("a server");
    let a = world.start(builder("a")).await;
    let b = world.start(builder("b")).await;
    let cut = || server.kill().expect("it is killed");
    let heal = || server.restart().expect("it is started again");
    unseen(vec![a, b], cut, heal).await;
}
