//! What cannot be done in a cluster, and what it is told.

use crate::cluster::nodes::{builder, cluster, fill, node, wait};
use crate::common::{Break, Count, Polish, Put, Till, TooLittle, World, on_both_shells};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::prelude::*;
use tenure::{Cluster, Denial, JoinError, RouteError, Span, StartError, TenureError, Terms};

on_both_shells!(
    a_name_is_one_nodes_alone,
    terms_are_the_namespaces_own,
    what_the_owner_says_crosses_the_wire_as_what_it_was,
    what_the_owners_program_lacks_is_said_by_name,
    nobody_to_ask_is_said_soon,
    a_repository_is_sent_to_the_owner,
);

async fn a_name_is_one_nodes_alone(world: &World) {
    let first = world.start(builder("a")).await;
    let second = builder("a").start(world.place()).await;
    let Err(TenureError::Start(StartError::Join(error @ JoinError::NameTaken { .. }))) = second
    else {
        panic!("{second:?}");
    };
    assert!(error.to_string().contains("another name"), "{error}");
    first.stop().await;
    let again = world.start(builder("a")).await;
    fill(&again, 3).await;
}

async fn terms_are_the_namespaces_own(world: &World) {
    let _first = world.start(builder("a")).await;
    let other = Cluster::named("b").terms(Terms::of_ttl(Span::from_secs(20)));
    let second = node(other).serve::<Till>().start(world.place()).await;
    assert!(
        matches!(
            second,
            Err(TenureError::Start(StartError::Join(
                JoinError::OtherTerms { .. }
            )))
        ),
        "{second:?}"
    );
    let short = Cluster::named("c").terms(Terms::of_ttl(Span::from_millis(1)));
    let third = node(short).start(world.place()).await;
    assert!(
        matches!(third, Err(TenureError::Start(StartError::Terms(_)))),
        "{third:?}"
    );
}

async fn what_the_owner_says_crosses_the_wire_as_what_it_was(world: &World) {
    let _owner = cluster(world, &["a"]).await;
    let client = world.start(node(Cluster::named("b").client())).await;
    let till = client.entity::<Till>("front");
    till.ask(Put { cents: 5 }).await.unwrap();
    let refused = till.ask(Put { cents: -9 }).await.unwrap_err();
    assert_eq!(refused.rejected(), Some(&TooLittle::Has { cents: 5 }));
    let stale = till.ask(Put { cents: 1 }).expected(Version(9)).await;
    assert!(matches!(
        stale,
        Err(AskError::Execute(ExecuteError::Conflict {
            actual: Version(1),
            ..
        }))
    ));
    let there = till.ask(Put { cents: 1 }).creating().await;
    assert!(matches!(
        there,
        Err(AskError::Execute(ExecuteError::AlreadyExists { .. }))
    ));
    let absent = client
        .entity::<Till>("back")
        .ask(Put { cents: 1 })
        .existing();
    assert!(matches!(
        absent.await,
        Err(AskError::Execute(ExecuteError::NotFound { .. }))
    ));
    let broken = till.ask(Break).await.unwrap_err();
    assert!(
        broken.to_string().contains("the drawer is stuck"),
        "{broken}"
    );
    let id = client.command_id();
    let first = till.ask(Put { cents: 2 }).id(id).served().await.unwrap();
    let again = till.ask(Put { cents: 2 }).id(id).served().await.unwrap();
    assert_eq!((first.node.as_str(), again.node.as_str()), ("a", "a"));
    assert_eq!((again.answer.reply, again.answer.duplicate), (7, true));
    let told = till.tell(Put { cents: 1 }).await.unwrap();
    let found = till.ask(Put { cents: 1 }).id(told).served().await.unwrap();
    assert!(found.answer.duplicate);
    for freshness in [Freshness::Local, Freshness::Linearizable] {
        let read = till.read(Count).freshness(freshness).await.unwrap();
        assert_eq!(read, (8, Version(3)));
    }
    let leased = till.read(Count).freshness(Freshness::Leased).await;
    assert!(matches!(leased, Err(ReadError::Load(LoadError::NotLeased))));
}

/// A kind that only the asking program has.
#[derive(Clone, Debug, Default)]
struct Newer;

#[derive(Debug, Event)]
#[event(name = "begun", version = 1)]
struct Begun;

impl Aggregate for Newer {
    type Event = Begun;
    const KIND: &'static str = "newer";

    fn evolve(&mut self, _: &Begun) {}

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "begin", version = 1)]
struct Begin;

impl Decide<Begin> for Newer {
    type Reply = ();
    type Error = Never;

    fn decide(&self, _: &Begin, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        Ok(Decision::event(Begun))
    }
}

impl Entity for Newer {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Begin>()
    }
}

async fn what_the_owners_program_lacks_is_said_by_name(world: &World) {
    let _owner = cluster(world, &["a"]).await;
    let client = world.start(node(Cluster::named("b").client())).await;
    let till = client.entity::<Till>("front");
    let Err(AskError::Route(RouteError::Denied(denial))) = till.ask(Polish).await else {
        panic!("the owner takes no such message");
    };
    assert!(matches!(
        *denial,
        Denial::UnknownMessage { ref message, schema: 7, .. } if message == "polish"
    ));
    let newer = client.entity::<Newer>("one").ask(Begin).await;
    let Err(AskError::Route(RouteError::NotServed { kind, node, .. })) = newer else {
        panic!("the owner serves no such kind: {newer:?}");
    };
    assert_eq!((kind.as_str(), node.as_str()), ("newer", "a"));
}

async fn nobody_to_ask_is_said_soon(world: &World) {
    let client = world.start(node(Cluster::named("b").client())).await;
    let asked = client.entity::<Till>("front").ask(Put { cents: 1 }).await;
    assert!(
        matches!(asked, Err(AskError::Route(RouteError::NoOwner { .. }))),
        "{asked:?}"
    );
    let soon = client.entity::<Till>("front").ask(Put { cents: 1 });
    let soon = soon.timeout(Duration::from_millis(20)).await.unwrap_err();
    assert!(!soon.is_unknown() && soon.is_retryable(), "{soon}");
    let info = client.node("nobody").info().await;
    assert!(matches!(info, Err(RouteError::NoNode { .. })));
}

async fn a_repository_is_sent_to_the_owner(world: &World) {
    let _owner = cluster(world, &["a"]).await;
    let client = world.start(node(Cluster::named("b").client())).await;
    wait(&client, |view| view.node("a").is_some()).await;
    let tills = client.repository::<Till>().await.unwrap();
    let executed = tills.execute("front", Put { cents: 1 }).await;
    assert!(matches!(executed, Err(ExecuteError::NotOwner)));
}
