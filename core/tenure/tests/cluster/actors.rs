//! Actors: one of each key, wherever it is asked.

use crate::cluster::nodes::{self, PATIENCE, wait};
use crate::common::{Add, No, Pass, Reset, Tally, Told, World, on_both_shells};
use std::time::Duration;
use tenure::actor::ActorError;
use tenure::{Cluster, TakeOver, Tenure};

on_both_shells!(
    whoever_gives_up_is_told_to_the_owner,
    each_key_has_one_actor_in_the_cluster,
    what_goes_wrong_crosses_the_wire_as_what_it_was,
    a_cycle_over_two_nodes_is_found,
    a_node_that_stops_takes_its_actors_along,
    a_paused_actor_takes_its_turns_when_it_is_told,
    a_node_without_a_cluster_has_actors_of_its_own,
);

async fn cluster(world: &World, names: &[&str]) -> Vec<Tenure> {
    let mut nodes = Vec::new();
    for name in names {
        let builder = nodes::node(Cluster::named(*name)).actor::<Tally>();
        nodes.push(world.start(builder).await);
    }
    for node in &nodes {
        wait(node, |view| {
            view.is_served(TakeOver::Leased) && view.owned(TakeOver::Leased).len() == names.len()
        })
        .await;
    }
    nodes
}

async fn each_key_has_one_actor_in_the_cluster(world: &World) {
    let nodes = cluster(world, &["a", "b", "c"]).await;
    for round in 1..=3 {
        for n in 0..30 {
            let tally = nodes[(n + round) % 3].actor::<Tally>(format!("tally-{n}"));
            let Told { count, epoch } = tally.ask(Add(1)).await.unwrap();
            assert_eq!(count, u64::try_from(round).unwrap());
            assert!(epoch > 0);
        }
    }
    let refused = nodes[0].actor::<Tally>("tally-1").ask(Add(13)).await;
    assert_eq!(refused, Err(ActorError::Rejected(No::Unlucky { count: 3 })));
    let mut held = 0;
    for node in &nodes {
        held += node.counters().await.actors_held;
    }
    assert_eq!(held, 30);
}

async fn what_goes_wrong_crosses_the_wire_as_what_it_was(world: &World) {
    let nodes = cluster(world, &["a", "b"]).await;
    for n in 0..8 {
        let tally = nodes[0].actor::<Tally>(format!("tally-{n}"));
        let panicked = tally.ask(Add(99)).await;
        let Err(ActorError::Panicked { cause: text, .. }) = panicked else {
            panic!("{panicked:?}");
        };
        assert!(text.contains("not a hundred"), "{text}");
        let unknown = tally.ask(Reset).await;
        let unknown = unknown.unwrap_err().to_string();
        let (actor, told) = unknown.split_once(" takes ").expect("whom, and what");
        assert!(
            actor.starts_with(&format!("tally \"tally-{n}\" (shard ")),
            "{unknown}"
        );
        assert!(
            told.starts_with("no message reset v3; it was not run"),
            "{unknown}"
        );
        tally.tell(Add(2)).await.unwrap();
        assert_eq!(tally.ask(Add(1)).await.unwrap().count, 3);
    }
    assert!(nodes[0].counters().await.forwarded > 0);
}

async fn a_cycle_over_two_nodes_is_found(world: &World) {
    let nodes = cluster(world, &["a", "b"]).await;
    for n in 0..8 {
        let (here, there) = (format!("tally-{n}"), format!("tally-{}", n + 100));
        let tally = nodes[0].actor::<Tally>(&here);
        assert_eq!(tally.ask(Pass { to: there }).await, Ok(1));
        let itself = tally.ask(Pass { to: here }).await;
        let Err(ActorError::Rejected(No::Other(text))) = itself else {
            panic!("{itself:?}");
        };
        assert!(text.contains("wait for itself"), "{text}");
    }
}

async fn a_node_that_stops_takes_its_actors_along(world: &World) {
    let nodes = cluster(world, &["a", "b"]).await;
    for n in 0..20 {
        let tally = nodes[0].actor::<Tally>(format!("tally-{n}"));
        tally.ask(Add(5)).await.unwrap();
    }
    nodes[1].stop().await;
    let mut lost = 0;
    for n in 0..20 {
        let tally = nodes[0].actor::<Tally>(format!("tally-{n}"));
        let ask = tally.ask(Add(1)).timeout(Duration::from_secs(20));
        match ask.await.unwrap().count {
            6 => {}
            1 => lost += 1,
            count => panic!("{count}"),
        }
    }
    assert!(lost > 0 && lost < 20, "their state was in memory: {lost}");
    let asked = nodes[1].actor::<Tally>("tally-1").ask(Add(1)).await;
    assert!(matches!(asked, Err(ActorError::Stopped(_))));
}

async fn a_paused_actor_takes_its_turns_when_it_is_told(world: &World) {
    let nodes = cluster(world, &["a"]).await;
    let tally = nodes[0].actor::<Tally>("tally");
    assert!(tally.pause().await);
    tally.tell(Add(1)).await.unwrap();
    tally.tell(Add(1)).await.unwrap();
    let waiting = nodes[0].counters().await.actor_letters;
    assert_eq!(waiting, 2);
    assert!(tally.step().await);
    while nodes[0].counters().await.actor_letters > 1 {
        tokio::task::yield_now().await;
    }
    assert!(tally.resume().await);
    assert_eq!(tally.ask(Add(1)).await.unwrap().count, 3);
}

async fn a_node_without_a_cluster_has_actors_of_its_own(world: &World) {
    let node = world
        .start(Tenure::builder().namespace("bank").actor::<Tally>())
        .await;
    let tally = node.actor::<Tally>("tally");
    let told = tally.ask(Add(4)).await.unwrap();
    assert_eq!(told, Told { count: 4, epoch: 0 });
    node.stop().await;
    assert!(matches!(
        tally.ask(Add(4)).await,
        Err(ActorError::Stopped(_))
    ));
}

async fn whoever_gives_up_is_told_to_the_owner(world: &World) {
    let owners = cluster(world, &["a"]).await;
    let client = world
        .start(nodes::node(Cluster::named("b").client()).actor::<Tally>())
        .await;
    let tally = client.actor::<Tally>("tally");
    assert_eq!(tally.ask(Add(1)).await.unwrap().count, 1);
    let owner = owners[0].actor::<Tally>("tally");
    assert!(owner.pause().await);
    let given_up = tokio::time::timeout(Duration::from_millis(200), async {
        tally.ask(Add(1)).timeout(PATIENCE).await
    });
    assert!(given_up.await.is_err(), "it takes no turns");
    let gone = async {
        while owners[0].counters().await.actor_letters > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, gone).await.is_ok());
    assert!(owner.resume().await);
    assert_eq!(tally.ask(Add(1)).await.unwrap().count, 2, "it never ran");
}
