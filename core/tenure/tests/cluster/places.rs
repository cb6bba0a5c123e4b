//! Actors of shards and of nodes, and what actors ask of others.

use crate::cluster::nodes::{self, wait};
use crate::common::{
    Broker, Census, Disk, Find, Lookout, Relay, Relayed, Tally, Witness, World, on_both_shells,
    said,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tenure::actor::ActorError;
use tenure::{Cluster, ShardId, ShardPlace, TakeOver, Tenure};

on_both_shells!(
    each_shard_has_an_actor_on_its_owner,
    the_best_of_a_ranking_owns_and_the_next_stands_in,
    each_node_has_an_actor_of_its_own,
    whom_there_is_not_is_said,
    what_an_actor_asks_has_its_callers_deadline_and_trace,
    a_node_alone_is_the_only_one,
    a_node_says_what_it_is_and_owns,
);

async fn cluster(world: &World) -> Vec<Tenure> {
    let builders = ["a", "b", "c"].map(|name| {
        let cluster = Cluster::named(name).program("7.1");
        let builder = nodes::node(cluster).serve::<Witness>().actor::<Lookout>();
        let builder = builder.actor::<Census>().actor::<Disk>();
        builder.actor::<Broker>().actor::<Tally>()
    });
    nodes::start_of_both(world, builders.into()).await
}

async fn each_shard_has_an_actor_on_its_owner(world: &World) {
    let nodes = cluster(world).await;
    let view = nodes[0].cluster().unwrap().view();
    for round in 1..=2 {
        for n in 0..16 {
            let shard = ShardId(n);
            let census = nodes[usize::from(n) % 3].shard::<Census>(shard);
            let served = census.ask(Find).served().await.unwrap();
            let found = served.answer;
            assert_eq!((found.key, found.asked), (n.to_string(), round));
            let class = TakeOver::Leased;
            let (owner, epoch) = view.owner_of(class, shard).unwrap();
            assert_eq!(found.node, owner.name);
            assert_eq!(
                (served.shard, served.epoch),
                (Some(shard), Some(epoch)),
                "{n}"
            );
        }
    }
    let by_key = nodes[0].actor::<Census>("7").ask(Find).await.unwrap();
    assert_eq!((by_key.shard, by_key.asked), (Some(7), 3));
}

async fn the_best_of_a_ranking_owns_and_the_next_stands_in(world: &World) {
    let nodes = cluster(world).await;
    let view = nodes[0].cluster().unwrap().view();
    let places = [TakeOver::Fenced, TakeOver::Leased]
        .into_iter()
        .flat_map(|class| {
            (0..16).map(move |n| ShardPlace {
                class,
                shard: ShardId(n),
            })
        });
    let mut next = BTreeMap::new();
    for place in places {
        let ranked = view.ranked(place, 9);
        let names: Vec<&str> = ranked.iter().map(|node| node.name).collect();
        let sorted = BTreeSet::from_iter(names.iter().copied());
        assert_eq!(sorted, BTreeSet::from(["a", "b", "c"]));
        assert_eq!(view.owner(place).unwrap().0.name, names[0]);
        assert_eq!(view.ranked(place, 1).len(), 1);
        if names[0] == "c" {
            next.insert(place, names[1].to_owned());
        }
    }
    assert!(!next.is_empty());
    nodes[2].stop().await;
    let handle = nodes[0].cluster().unwrap();
    let moved = handle.wait_until(Duration::from_secs(60), |view| {
        let owner = |place| view.owner(place).map(|(node, _)| node.name);
        next.iter()
            .all(|(place, name)| owner(*place) == Some(name.as_str()))
    });
    moved.await.unwrap();
}

async fn each_node_has_an_actor_of_its_own(world: &World) {
    let nodes = cluster(world).await;
    let mut asked = 0;
    for from in &nodes {
        asked += 1;
        for name in ["a", "b", "c"] {
            let disk = from.node(name).actor::<Disk>();
            let served = disk.ask(Find).served().await.unwrap();
            let found = served.answer;
            assert_eq!((found.key.as_str(), found.node.as_str()), (name, name));
            assert_eq!((found.shard, found.asked), (None, asked));
            assert_eq!(served.node, name);
            assert_eq!((served.shard, served.epoch), (None, None));
        }
    }
    nodes[2].stop().await;
    wait(&nodes[0], |view| view.node("c").is_none()).await;
    let gone = nodes[0].node("c").actor::<Disk>().ask(Find).await;
    assert_eq!(gone, Err(ActorError::NoNode("c".to_owned())));
}

async fn whom_there_is_not_is_said(world: &World) {
    let nodes = cluster(world).await;
    let node = &nodes[0];
    let none = node.node("z").actor::<Disk>().ask(Find).await;
    assert_eq!(none, Err(ActorError::NoNode("z".to_owned())));
    let beyond = node.shard::<Census>(ShardId(16)).ask(Find).await;
    let (shard, shards) = (ShardId(16), 16);
    assert_eq!(beyond, Err(ActorError::NoShard { shard, shards }));
    let by_node = node.node("a").actor::<Census>().ask(Find).await;
    let by_shard = node.shard::<Disk>(ShardId(1)).ask(Find).await;
    for (refused, whose) in [(by_node, "node"), (by_shard, "shard")] {
        let Err(ActorError::Placed { whose: told, .. }) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(*told, whose);
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(&format!("per_{whose}()")), "{text}");
    }
}

async fn what_an_actor_asks_has_its_callers_deadline_and_trace(world: &World) {
    let nodes = cluster(world).await;
    // Shorter than what a node waits by itself.
    let timeout = Duration::from_secs(3);
    let mut servers = BTreeSet::new();
    for n in 0..12 {
        let broker = nodes[n % 3].actor::<Broker>(format!("broker-{n}"));
        let relay = async |relay| {
            let asked = broker.ask(relay).metadata(said()).timeout(timeout);
            asked.await.unwrap()
        };
        let id = format!("it-{n}");
        for what in [
            Relay::Entity(id.clone()),
            Relay::Read(id.clone()),
            Relay::Actor(id.clone()),
        ] {
            let Relayed::Seen(seen) = relay(what).await else {
                panic!("another answer");
            };
            assert_eq!(seen.id, id);
            let left = seen.left_ms.unwrap();
            assert!((1..=3_000).contains(&left), "{left} ms of 3 s");
            assert_eq!(seen.correlation.as_deref(), Some("order-17"));
            assert!(seen.trace.is_some());
            assert_eq!(seen.user, None, "headers are for one message");
            servers.insert(seen.node);
        }
        let shard = u16::try_from(n).unwrap();
        let Relayed::Found(found) = relay(Relay::Shard(shard)).await else {
            panic!("another answer");
        };
        assert_eq!(found.shard, Some(shard));
        let Relayed::Found(found) = relay(Relay::Node("b".to_owned())).await else {
            panic!("another answer");
        };
        assert_eq!(found.node, "b");
    }
    // Where ids belong is drawn anew for each namespace.
    assert!(servers.len() > 1, "{servers:?}");
}

async fn a_node_alone_is_the_only_one(world: &World) {
    let builder = Tenure::builder().namespace("bank").node("alone").shards(16);
    let builder = builder.actor::<Census>().actor::<Disk>();
    let node = world.start(builder.actor::<Broker>()).await;
    let found = node.shard::<Census>(ShardId(3)).ask(Find).await.unwrap();
    assert_eq!((found.key.as_str(), found.node.as_str()), ("3", "alone"));
    let found = node.node("alone").actor::<Disk>().ask(Find).await.unwrap();
    assert_eq!(
        (found.key.as_str(), found.node.as_str()),
        ("alone", "alone")
    );
    let other = node.node("b").actor::<Disk>().ask(Find).await;
    assert_eq!(other, Err(ActorError::NoNode("b".to_owned())));
    let relay = Relay::Entity("it".to_owned());
    let asked = node.actor::<Broker>("b").ask(relay).await.unwrap();
    assert!(matches!(asked, Relayed::Seen(seen) if seen.node == "alone"));
}

async fn a_node_says_what_it_is_and_owns(world: &World) {
    let nodes = cluster(world).await;
    let mut shards = 0;
    for name in ["a", "b", "c"] {
        let info = nodes[0].node(name).info().await.unwrap();
        assert_eq!((info.name.as_str(), info.program.as_str()), (name, "7.1"));
        assert!(info.shards.iter().all(|shard| shard.epoch > 0));
        let view = nodes[0].cluster().unwrap().view();
        for shard in &info.shards {
            let (owner, epoch) = view.owner(shard.place()).unwrap();
            assert_eq!((owner.name, epoch), (name, shard.epoch()));
        }
        shards += info.shards.len();
    }
    assert_eq!(shards, 32, "16 of each class");
}
