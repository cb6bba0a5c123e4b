//! Entities that are asked, on a node that is in no cluster.

use crate::common::{
    Account, Count, Move, Put, Till, TooLittle, World, on_both_shells_and_the_front,
};
use tenure::prelude::*;
use tenure::{KindError, RouteError};

on_both_shells_and_the_front!(
    what_is_asked_is_decided_and_answered,
    an_id_takes_effect_once_however_it_is_asked,
    what_is_told_takes_effect,
    expectations_are_met_or_refused,
    a_read_is_as_fresh_as_it_is_wanted,
    a_panic_is_told_and_leaves_the_entity_alone,
    after_a_stop_everything_is_refused,
);

async fn what_is_asked_is_decided_and_answered(world: &World) {
    let node = world.node().await;
    let till = node.entity::<Till>("front");
    assert_eq!(till.ask(Put { cents: 150 }).await.unwrap(), 150);
    assert_eq!(till.ask(Put { cents: -30 }).await.unwrap(), 120);
    let refused = till.ask(Put { cents: -500 }).await.unwrap_err();
    assert_eq!(refused.rejected(), Some(&TooLittle::Has { cents: 120 }));
    assert!(!refused.is_unknown());
    assert_eq!(till.read(Count).await.unwrap(), (120, Version(2)));
    let served = till.ask(Put { cents: 5 }).served().await.unwrap();
    assert_eq!(
        (served.answer.reply, served.answer.version),
        (125, Version(3))
    );
    assert_eq!(served.node, "node");
}

async fn an_id_takes_effect_once_however_it_is_asked(world: &World) {
    let node = world.node().await;
    let till = node.entity::<Till>("front");
    let id = node.command_id();
    let first = till.ask(Put { cents: 7 }).id(id).served().await.unwrap();
    assert!(!first.answer.duplicate);
    let again = till.ask(Put { cents: 7 }).id(id).served().await.unwrap();
    assert!(again.answer.duplicate);
    assert_eq!(again.answer.reply, 7);
    let tills = node.repository::<Till>().await.unwrap();
    assert_eq!(
        tills
            .execute("front", Put { cents: 7 })
            .id(id)
            .await
            .unwrap(),
        7
    );
    assert_eq!(till.read(Count).await.unwrap(), (7, Version(1)));
}

async fn what_is_told_takes_effect(world: &World) {
    let node = world.node().await;
    let till = node.entity::<Till>("front");
    let id = till.tell(Put { cents: 9 }).await.unwrap();
    let asked = till.ask(Put { cents: 9 }).id(id).served().await.unwrap();
    assert!(asked.answer.duplicate, "it was told before: {asked:?}");
    assert_eq!(till.read(Count).await.unwrap().0, 9);
}

async fn expectations_are_met_or_refused(world: &World) {
    let node = world.node().await;
    let till = node.entity::<Till>("front");
    let absent = till.ask(Put { cents: 1 }).existing().await;
    assert!(matches!(
        absent,
        Err(AskError::Execute(ExecuteError::NotFound { .. }))
    ));
    till.ask(Put { cents: 1 }).creating().await.unwrap();
    let there = till.ask(Put { cents: 1 }).creating().await;
    assert!(matches!(
        there,
        Err(AskError::Execute(ExecuteError::AlreadyExists { .. }))
    ));
    let stale = till.ask(Put { cents: 1 }).expected(Version(7)).await;
    assert!(matches!(
        stale,
        Err(AskError::Execute(ExecuteError::Conflict { .. }))
    ));
    let named = node.entity::<Till>("").ask(Put { cents: 1 }).await;
    assert!(matches!(
        named,
        Err(AskError::Execute(ExecuteError::Name(_)))
    ));
}

async fn a_read_is_as_fresh_as_it_is_wanted(world: &World) {
    let node = world.node().await;
    let till = node.entity::<Till>("front");
    till.ask(Put { cents: 3 }).await.unwrap();
    for freshness in [Freshness::Local, Freshness::Linearizable] {
        let read = till.read(Count).freshness(freshness).await.unwrap();
        assert_eq!(read, (3, Version(1)), "{freshness:?}");
    }
    let leased = till.read(Count).freshness(Freshness::Leased).await;
    assert!(matches!(leased, Err(ReadError::Load(LoadError::NotLeased))));
}

async fn a_panic_is_told_and_leaves_the_entity_alone(world: &World) {
    let node = world.node().await;
    let till = node.entity::<Till>("front");
    till.ask(Put { cents: 3 }).await.unwrap();
    let broken = till.ask(crate::common::Break).await.unwrap_err();
    assert!(
        broken.to_string().contains("the drawer is stuck"),
        "{broken}"
    );
    assert_eq!(till.ask(Put { cents: 1 }).await.unwrap(), 4);
}

async fn after_a_stop_everything_is_refused(world: &World) {
    let node = world.node().await;
    let till = node.entity::<Till>("front");
    till.ask(Put { cents: 3 }).await.unwrap();
    node.stop().await;
    let asked = till.ask(Put { cents: 1 }).await;
    assert!(matches!(
        asked,
        Err(AskError::Execute(ExecuteError::Stopped))
    ));
    let read = till.read(Count).await;
    assert!(matches!(read, Err(ReadError::Load(LoadError::Stopped))));
    let told = till.tell(Put { cents: 1 }).await;
    assert!(matches!(
        told,
        Err(AskError::Execute(ExecuteError::Stopped))
    ));
}

impl Entity for Account {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Move>()
    }
}

#[tokio::test]
async fn a_kind_without_owners_is_not_asked() {
    let node = World::mem().node().await;
    let asked = node.entity::<Account>("alice").ask(Move { cents: 1 }).await;
    let Err(AskError::Route(RouteError::Kind(error))) = asked else {
        panic!("{asked:?}");
    };
    assert!(matches!(*error, KindError::Direct { .. }));
    assert!(error.to_string().contains("owned()"), "{error}");
}

#[tokio::test]
async fn a_node_without_a_cluster_has_none() {
    let node = World::mem().node().await;
    assert!(node.cluster().is_none());
    let info = node.node("other").info().await;
    assert!(matches!(info, Err(RouteError::NoCluster)));
}
