//! What handlers are told of where they run and for whom, and callers of who answered.

use crate::cluster::nodes;
use crate::common::{Hasty, Look, Lookout, Seen, Witness, World, on_both_shells, said};
use std::collections::BTreeSet;
use std::time::Duration;
use tenure::prelude::*;
use tenure::{Cluster, Served, Tenure};

on_both_shells!(
    decisions_and_answers_know_where_they_are_and_for_whom,
    actors_know_where_they_are_and_for_whom,
    the_owner_of_an_id_can_be_looked_up,
    a_reply_that_stored_nothing_is_marked_where_its_kind_wants_it_at_once,
    a_node_alone_tells_itself,
);

const TIMEOUT: Duration = Duration::from_secs(20);

async fn cluster(world: &World) -> Vec<Tenure> {
    let builders = ["a", "b", "c"].map(|name| {
        let builder = nodes::node(Cluster::named(name)).serve::<Witness>();
        builder.serve::<Hasty>().actor::<Lookout>()
    });
    nodes::start_of_both(world, builders.into()).await
}

/// What was seen is what was said and is so.
fn check<T>(seen: &Seen, (kind, id): (&str, &str), served: &Served<T>) {
    assert_eq!((seen.kind.as_str(), seen.id.as_str()), (kind, id));
    assert_eq!(seen.node, served.node);
    assert_eq!(seen.shard, served.shard.map(|shard| shard.0));
    let epoch = served.epoch.map(|epoch| epoch.sequence.0);
    assert!(epoch.is_some() && seen.epoch == epoch, "{seen:?} {epoch:?}");
    let left = seen.left_ms.unwrap();
    assert!((1..=20_000).contains(&left), "{left} ms of 20 s");
    assert_eq!(seen.correlation.as_deref(), Some("order-17"));
    assert_eq!(seen.causation.as_deref(), Some("message-4"));
    assert_eq!(seen.user.as_deref(), Some("Zoë"));
    let trace = seen.trace.as_deref();
    assert_eq!(trace, Some("4bf92f3577b34da6a3ce929d0e0e4736"));
}

async fn decisions_and_answers_know_where_they_are_and_for_whom(world: &World) {
    let nodes = cluster(world).await;
    let mut servers = BTreeSet::new();
    for n in 0..12 {
        let id = format!("witness-{n}");
        let witness = nodes[n % 3].entity::<Witness>(&id);
        let asked = witness.ask(Look { keep: true }).metadata(said());
        let served = asked.timeout(TIMEOUT).served().await.unwrap();
        check(&served.answer.reply, ("witness", &id), &served);
        assert_eq!(served.answer.version, Version(1));
        let read = witness.read(Look { keep: false }).metadata(said());
        let served = read.timeout(TIMEOUT).served().await.unwrap();
        check(&served.answer.reply, ("witness", &id), &served);
        assert_eq!(served.answer.version, Version(1));
        assert_eq!(served.answer.freshness, Freshness::Linearizable);
        assert_eq!(served.shard, Some(witness.place().unwrap().shard));
        servers.insert(served.node);
    }
    // Where ids belong is drawn anew for each namespace.
    assert!(servers.len() > 1, "{servers:?}");
}

async fn actors_know_where_they_are_and_for_whom(world: &World) {
    let nodes = cluster(world).await;
    let mut servers = BTreeSet::new();
    for n in 0..12 {
        let key = format!("lookout-{n}");
        let lookout = nodes[n % 3].actor::<Lookout>(&key);
        let asked = lookout.ask(Look { keep: true }).metadata(said());
        let served = asked.timeout(TIMEOUT).served().await.unwrap();
        check(&served.answer, ("lookout", &key), &served);
        assert_eq!(served.shard, lookout.place().map(|place| place.shard));
        servers.insert(served.node);
    }
    // Where ids belong is drawn anew for each namespace.
    assert!(servers.len() > 1, "{servers:?}");
}

async fn the_owner_of_an_id_can_be_looked_up(world: &World) {
    let nodes = cluster(world).await;
    let cluster = nodes[0].cluster().unwrap();
    for n in 0..6 {
        let id = format!("witness-{n}");
        let place = cluster.shard_of::<Witness>(&id).unwrap();
        let view = cluster.view();
        let (owner, epoch) = view.owner(place).unwrap();
        let asked = nodes[1].entity::<Witness>(&id).ask(Look { keep: false });
        let served = asked.served().await.unwrap();
        assert_eq!(
            (served.node.as_str(), served.shard, served.epoch),
            (owner.name, Some(place.shard), Some(epoch))
        );
    }
    let long = "x".repeat(10_000);
    assert!(cluster.shard_of::<Witness>(&long).is_err());
}

async fn a_reply_that_stored_nothing_is_marked_where_its_kind_wants_it_at_once(world: &World) {
    let nodes = cluster(world).await;
    for n in 0..12 {
        let hasty = nodes[n % 3].entity::<Hasty>(format!("hasty-{n}"));
        let stored = hasty.ask(Look { keep: true }).served().await.unwrap();
        assert_eq!(stored.answer.freshness, Freshness::Linearizable);
        let nothing = hasty.ask(Look { keep: false }).served().await.unwrap();
        assert_eq!(nothing.answer.freshness, Freshness::Local);
        assert_eq!(nothing.answer.version, Version(1));
        let proven = nodes[n % 3].entity::<Witness>(format!("witness-{n}"));
        let nothing = proven.ask(Look { keep: false }).served().await.unwrap();
        assert_eq!(nothing.answer.freshness, Freshness::Linearizable);
    }
}

async fn a_node_alone_tells_itself(world: &World) {
    let builder = Tenure::builder().namespace("bank").node("alone");
    let node = world.start(builder.actor::<Lookout>()).await;
    let witness = node.entity::<Witness>("w");
    let served = witness.ask(Look { keep: true }).served().await.unwrap();
    assert_eq!((served.node.as_str(), served.epoch), ("alone", None));
    let seen = served.answer.reply;
    assert_eq!(seen.node, "alone");
    assert!(seen.epoch.is_some(), "a lone process owns what it uses");
    assert_eq!(
        (seen.user, seen.trace, seen.correlation),
        (None, None, None)
    );
    let lookout = node.actor::<Lookout>("l").ask(Look { keep: true });
    let served = lookout.served().await.unwrap();
    assert_eq!((served.node.as_str(), served.epoch), ("alone", None));
    assert_eq!(served.answer.shard, None);
}
