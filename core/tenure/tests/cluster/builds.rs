//! Two versions of the program in one cluster: what only the newer one knows is refused by name where
//! the older one owns, and what both know goes on.

use crate::cluster::nodes::{node, wait};
use crate::common::{Count, Polish, Put, Till, World, on_both_shells};
use serde::{Deserialize, Serialize};
use tenure::actor::{Actor, ActorCx, ActorError, Handle, Handlers, InitError};
use tenure::prelude::*;
use tenure::{Cluster, Denial, RouteError, TakeOver, Tenure};

on_both_shells!(
    a_newer_builds_command_is_refused_where_an_older_one_owns,
    a_newer_builds_message_to_an_actor_is_refused_where_an_older_one_owns,
    a_message_in_another_version_is_refused_with_both,
    what_an_older_build_does_not_serve_is_refused_by_name,
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
            Err(ActorError::UnknownMessage {
                name, version: 1, ..
            }) => {
                assert_eq!((owner.as_str(), name.as_str()), ("a", "dim"));
                refused += 1;
            }
            Err(error) => panic!("lamp {n}: {error}"),
        }
    }
    assert!(refused > 0 && done > 0, "{refused} and {done}");
}

/// The lamp's message in its next version, and the till's.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "where", version = 2)]
struct WhereNext;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "put", version = 9)]
struct PutNext;

impl Handle<WhereNext> for Lamp {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: WhereNext, _: &mut ActorCx<Self>) -> Result<(), Never> {
        Ok(())
    }
}

impl Decide<PutNext> for Till {
    type Reply = ();
    type Error = Never;

    fn decide(&self, _: &PutNext, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        Ok(Decision::nothing(()))
    }
}

async fn a_message_in_another_version_is_refused_with_both(world: &World) {
    let serving = |cluster| node(cluster).serve::<Till>().actor::<Lamp>();
    let owner = world.start(serving(Cluster::named("a"))).await;
    let other = world.start(serving(Cluster::named("b").client())).await;
    for node in [&owner, &other] {
        let both = [TakeOver::Fenced, TakeOver::Leased];
        wait(node, |view| both.iter().all(|class| view.is_served(*class))).await;
        let said = node.actor::<Lamp>("one").ask(WhereNext).await;
        let Err(
            error @ ActorError::OtherVersion {
                sent: 2, taken: 1, ..
            },
        ) = &said
        else {
            panic!("{said:?}");
        };
        let text = error.to_string();
        assert!(
            text.contains("takes message where in v1, and was sent v2"),
            "{text}"
        );
        assert!(!error.is_retryable() && !error.has_begun());
    }
    let said = other.entity::<Till>("one").ask(PutNext).await;
    let Err(AskError::Route(RouteError::Denied(denial))) = said else {
        panic!("{said:?}");
    };
    assert_eq!(
        denial.to_string(),
        "message \"put\" was sent in version 9, that node takes it in version 1; deploy the same build on both"
    );
}

/// A kind that the newer build has beyond the older one's.
#[derive(Clone, Debug, Default)]
struct Safe;

impl Aggregate for Safe {
    type Event = <Till as Aggregate>::Event;
    const KIND: &'static str = "safe";

    fn evolve(&mut self, _: &Self::Event) {}

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

impl Decide<Put> for Safe {
    type Reply = ();
    type Error = Never;

    fn decide(&self, put: &Put, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let cents = put.cents;
        Ok(Decision::event(crate::common::TillEvent::Moved { cents }).reply(()))
    }
}

impl Entity for Safe {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Put>()
    }
}

/// The actor of another kind than the older build's lamp.
#[derive(Debug)]
struct Torch;

impl Actor for Torch {
    const KIND: &'static str = "torch";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Where>()
    }
}

impl Handle<Where> for Torch {
    type Reply = String;
    type Error = Never;

    async fn handle(&mut self, _: Where, cx: &mut ActorCx<Self>) -> Result<String, Never> {
        Ok(cx.node().to_owned())
    }
}

async fn what_an_older_build_does_not_serve_is_refused_by_name(world: &World) {
    let older = node(Cluster::named("a")).serve::<Till>().actor::<Lamp>();
    let newer = node(Cluster::named("b")).serve::<Till>().actor::<Lamp>();
    let newer = newer.serve::<Safe>().actor::<Torch>();
    let nodes = [world.start(older).await, world.start(newer).await];
    for class in [TakeOver::Fenced, TakeOver::Leased] {
        both_own(&nodes, class).await;
    }
    let view = nodes[0].cluster().unwrap().view();
    let kinds = |name: &str| {
        let kinds = view.node(name).and_then(|node| node.kinds);
        let kinds = kinds.into_iter().flatten();
        kinds.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(kinds("a"), ["lamp", "till"]);
    assert_eq!(kinds("b"), ["lamp", "safe", "till", "torch"]);
    let info = nodes[0].node("b").info().await.unwrap();
    assert_eq!(info.kinds, kinds("b"));
    let (mut refused, mut done) = ([0, 0], [0, 0]);
    for n in 0..40 {
        let key = format!("it-{n}");
        let asked = nodes[1].entity::<Safe>(&key).ask(Put { cents: 1 }).await;
        match asked {
            Ok(()) => done[0] += 1,
            Err(AskError::Route(error @ RouteError::NotServed { .. })) => {
                let text = error.to_string();
                assert!(text.starts_with("node a owns shard"), "{text}");
                assert!(
                    text.contains("does not serve kind safe: deploy a build"),
                    "{text}"
                );
                assert!(!error.is_retryable());
                refused[0] += 1;
            }
            Err(error) => panic!("{key}: {error}"),
        }
        match nodes[1].actor::<Torch>(&key).ask(Where).await {
            Ok(node) => {
                assert_eq!(node, "b");
                done[1] += 1;
            }
            Err(error @ ActorError::NotServed { .. }) => {
                let text = error.to_string();
                assert!(
                    text.starts_with(&format!("node a owns torch \"{key}\" (shard ")),
                    "{text}"
                );
                assert!(
                    text.contains("does not serve kind torch; it was not run: deploy"),
                    "{text}"
                );
                refused[1] += 1;
            }
            Err(error) => panic!("{key}: {error}"),
        }
    }
    assert!(
        refused.iter().chain(&done).all(|n| *n > 0),
        "{refused:?} and {done:?}"
    );
}
