//! What callers and handlers may do wrong beside what `refusals` and `overload` have, and the clear
//! error that each gets.

use crate::cluster::nodes::{PATIENCE, builder, cluster, node, wait};
use crate::common::{Add, Count, Put, Tally, Till, World, on_both_shells};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::actor::{self, Actor, ActorCx, ActorSettings, Handle, Handlers, InitError};
use tenure::prelude::*;
use tenure::{AskError, Cluster, RouteError, TakeOver, Tenure, WaitError};

on_both_shells!(
    a_key_that_is_too_long_is_told_before_anything_is_sent,
    a_handler_that_never_returns_holds_up_nobody_but_its_own_key,
    what_is_asked_after_a_stop_is_told_so,
);

async fn a_key_that_is_too_long_is_told_before_anything_is_sent(world: &World) {
    let _owner = world.start(builder("a").actor::<Tally>()).await;
    let client = node(Cluster::named("b").client()).actor::<Tally>();
    let client = world.start(client).await;
    wait(&client, |view| view.is_served(TakeOver::Fenced)).await;
    let long = "k".repeat(1_025);
    let before = client.counters().await.forwarded;
    let till = client.entity::<Till>(&long);
    let asked = till.ask(Put { cents: 1 }).await.unwrap_err().to_string();
    assert!(asked.contains("1024"), "{asked}");
    let told = till.tell(Put { cents: 1 }).await.unwrap_err().to_string();
    assert_eq!(told, asked);
    let read = till.read(Count).await.unwrap_err().to_string();
    assert_eq!(read, asked);
    let tally = client.actor::<Tally>(&long);
    let asked = tally.ask(Add(1)).await.unwrap_err();
    assert!(matches!(asked, actor::ActorError::Name(_)), "{asked}");
    assert!(asked.to_string().contains("1024"), "{asked}");
    assert_eq!(client.counters().await.forwarded, before);
    let longest = client.entity::<Till>("k".repeat(1_024));
    assert_eq!(longest.ask(Put { cents: 1 }).await.unwrap(), 1);
}

/// Waits for ever when it is asked to.
#[derive(Debug)]
struct Sloth;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "sleep", version = 1)]
struct Sleep;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "nod", version = 1)]
struct Nod;

impl Actor for Sloth {
    const KIND: &'static str = "sloth";

    fn settings() -> ActorSettings {
        let aborts = actor::OnStuck::Abort;
        ActorSettings::default().patience(Duration::from_millis(700), aborts)
    }

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Sleep>().on::<Nod>()
    }
}

impl Handle<Sleep> for Sloth {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: Sleep, _: &mut ActorCx<Self>) -> Result<(), Never> {
        std::future::pending().await
    }
}

impl Handle<Nod> for Sloth {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: Nod, _: &mut ActorCx<Self>) -> Result<(), Never> {
        Ok(())
    }
}

async fn a_handler_that_never_returns_holds_up_nobody_but_its_own_key(world: &World) {
    let owner = node(Cluster::named("a")).actor::<Sloth>();
    let owner = world.start(owner).await;
    let client = node(Cluster::named("b").client()).actor::<Sloth>();
    let client = world.start(client).await;
    wait(&client, |view| view.is_served(TakeOver::Leased)).await;
    for asker in [&owner, &client] {
        let sloth = asker.actor::<Sloth>("one");
        let asleep = sloth.ask(Sleep).timeout(Duration::from_millis(100)).await;
        let Err(error @ actor::ActorError::Unknown { .. }) = asleep else {
            panic!("{asleep:?}");
        };
        assert!(error.to_string().contains("it may have run"), "{error}");
        let behind = sloth.ask(Nod).timeout(Duration::from_millis(100)).await;
        assert!(matches!(
            behind,
            Err(actor::ActorError::Deadline(_) | actor::ActorError::Unknown { .. })
        ));
        let beside = asker.actor::<Sloth>("another");
        assert_eq!(beside.ask(Nod).await, Ok(()));
        // Its patience ends the turn, and the actor begins anew.
        assert_eq!(sloth.ask(Nod).timeout(PATIENCE).await, Ok(()));
    }
    assert!(owner.counters().await.actor_stuck >= 2);
}

async fn what_is_asked_after_a_stop_is_told_so(world: &World) {
    let nodes = cluster(world, &["a"]).await;
    let second = node(Cluster::named("b")).serve::<Till>().actor::<Tally>();
    let second: Tenure = world.start(second).await;
    let (till, tally) = (second.entity::<Till>("t"), second.actor::<Tally>("t"));
    let (handle, place) = (second.cluster().unwrap(), nodes[0].cluster().unwrap());
    second.stop().await;
    let asked = till.ask(Put { cents: 1 }).await.unwrap_err();
    let stopped = matches!(asked, AskError::Execute(ExecuteError::Stopped));
    assert!(stopped, "{asked:?}");
    assert!(asked.to_string().contains("stopped"), "{asked}");
    assert!(!asked.is_unknown());
    let told = till.tell(Put { cents: 1 }).await.unwrap_err();
    assert_eq!(told.to_string(), asked.to_string());
    let read = till.read(Count).await.unwrap_err();
    assert!(read.to_string().contains("stopped"), "{read}");
    assert!(matches!(
        tally.ask(Add(1)).await,
        Err(actor::ActorError::Stopped(_))
    ));
    let info = second.node("a").info().await;
    assert!(matches!(info, Err(RouteError::Stopped)), "{info:?}");
    let drained = handle.drain().await;
    assert!(matches!(drained, Err(WaitError::Gone(_))), "{drained:?}");
    assert_eq!(handle.view().state(), "left");
    wait(&nodes[0], |view| view.node("b").is_none()).await;
    assert_eq!(place.view().state(), "joined");
}
