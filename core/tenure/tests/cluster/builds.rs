//! Two versions of the program in one cluster: what only the newer one knows is refused by name where
//! the older one owns, and what both know goes on.

use crate::common::{Count, Polish, Put, Till, World, on_both_shells};
use crate::nodes::{node, wait};
use serde::{Deserialize, Serialize};
use tenure::actor::{Actor, ActorCx, AskError as ActorError, Handle, Handlers, InitError};
use tenure::prelude::*;
use tenure::{Cluster, Denial, RouteError, TakeOver, Tenure};

on_both_shells!(
    a_newer_builds_command_is_refused_where_an_older_one_owns,
    a_newer_builds_message_to_an_actor_is_refused_where_an_older_one_owns,
);

/// The till as the next version of the program has it.
#[derive(Clone, Debug, Default)]
struct NextTill(Till);

impl Aggregate for NextTill {
    type Event = <Till as Aggregate>::Event;
    const KIND: &'static str = Till::KIND;

    fn evolve(&mut self, event: &Self::Event) {
        self.0.evolve(event);
    }

    fn settings() -> KindSettings {
        Till::settings()
    }
}

impl Decide<Put> for NextTill {
    type Reply = i64;
    type Error = Never;

    fn decide(&self, put: &Put, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, Never> {
        let cents = put.cents;
        let moved = crate::common::TillEvent::Moved { cents };
        Ok(Decision::event(moved).reply(self.0.cents + cents))
    }
}

impl Decide<Polish> for NextTill {
    type Reply = ();
    type Error = Never;

    fn decide(&self, _: &Polish, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        Ok(Decision::nothing(()))
    }
}

impl Answer<Count> for NextTill {
    type Reply = (i64, Version);

    fn answer(&self, _: &Count, cx: &AnswerCx<'_>) -> (i64, Version) {
        (self.0.cents, cx.version())
    }
}

impl Entity for NextTill {
    fn messages() -> Messages<Self> {
        Messages::new()
            .command::<Put>()
            .command::<Polish>()
            .query::<Count>()
    }
}

async fn both_own(nodes: &[Tenure], class: TakeOver) {
    for node in nodes {
        wait(node, |view| {
            view.is_served(class) && view.owned(class).len() == 2
        })
        .await;
    }
}

async fn a_newer_builds_command_is_refused_where_an_older_one_owns(world: &World) {
    let older = node(Cluster::named("a").program("1.0")).serve::<Till>();
    let older = world.start(older).await;
    let newer = node(Cluster::named("b").program("1.1")).serve::<NextTill>();
    let newer = world.start(newer).await;
    let nodes = [older, newer];
    both_own(&nodes, TakeOver::Fenced).await;
    let (mut refused, mut done) = (0, 0);
    for n in 0..40 {
        let id = format!("till-{n}");
        let till = nodes[1].entity::<NextTill>(&id);
        let served = till.ask(Put { cents: 1 }).served().await.unwrap();
        match till.ask(Polish).await {
            Ok(()) => {
                assert_eq!(served.node, "b", "{id}");
                done += 1;
            }
            Err(AskError::Route(RouteError::Denied(denial))) => {
                assert_eq!(served.node, "a", "{id}: {denial:?}");
                let Denial::UnknownMessage {
                    kind,
                    message,
                    schema: 7,
                } = &*denial
                else {
                    panic!("{denial:?}");
                };
                assert_eq!((kind.as_str(), message.as_str()), ("till", "polish"));
                refused += 1;
            }
            Err(error) => panic!("{id}: {error}"),
        }
        // The older one's callers do not notice.
        let till = nodes[0].entity::<Till>(&id);
        assert_eq!(till.ask(Put { cents: 1 }).await.unwrap(), 2);
        assert_eq!(till.read(Count).await.unwrap(), (2, Version(2)));
    }
    assert!(refused > 0 && done > 0, "{refused} and {done}");
    let view = wait(&nodes[0], |view| view.node("b").is_some()).await;
    assert_eq!(view.node("b").map(|b| b.program), Some("1.1"));
}

/// A lamp, in this version and the next one.
#[derive(Debug)]
struct Lamp;

#[derive(Debug)]
struct NextLamp;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "where", version = 1)]
struct Where;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "dim", version = 1)]
struct Dim;

macro_rules! lamp {
    ($name:ident, $($more:ident)?) => {
        impl Actor for $name {
            const KIND: &'static str = "lamp";

            async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
                Ok(Self)
            }

            fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
                handlers.on::<Where>()$(.on::<$more>())?
            }
        }

        impl Handle<Where> for $name {
            type Reply = String;
            type Error = Never;

            async fn handle(&mut self, _: Where, cx: &mut ActorCx<Self>) -> Result<String, Never> {
                Ok(cx.node().to_owned())
            }
        }
    };
}

lamp!(Lamp,);
lamp!(NextLamp, Dim);

impl Handle<Dim> for NextLamp {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: Dim, _: &mut ActorCx<Self>) -> Result<(), Never> {
        Ok(())
    }
}

async fn a_newer_builds_message_to_an_actor_is_refused_where_an_older_one_owns(world: &World) {
    let older = world.start(node(Cluster::named("a")).actor::<Lamp>()).await;
    let newer = world
        .start(node(Cluster::named("b")).actor::<NextLamp>())
        .await;
    let nodes = [older, newer];
    both_own(&nodes, TakeOver::Leased).await;
    let (mut refused, mut done) = (0, 0);
    for n in 0..40 {
        let lamp = nodes[1].actor::<NextLamp>(format!("lamp-{n}"));
        let owner = lamp.ask(Where).await.unwrap();
        match lamp.ask(Dim).await {
            Ok(()) => {
                assert_eq!(owner, "b");
                done += 1;
            }
            Err(ActorError::UnknownMessage { name, version: 1 }) => {
                assert_eq!((owner.as_str(), name.as_str()), ("a", "dim"));
                refused += 1;
            }
            Err(error) => panic!("lamp {n}: {error}"),
        }
    }
    assert!(refused > 0 && done > 0, "{refused} and {done}");
}
