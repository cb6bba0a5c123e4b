//! A cluster on three servers, one of which leads the stream of membership records and is killed.

use crate::cluster::nodes::{PATIENCE, is_spread, wait};
use crate::common::{Count, Put, Till};
use std::collections::BTreeMap;
use std::time::Duration;
use tenure::{Cluster, ClusterView, Incarnation, Tenure, Terms};

const NAMES: [&str; 3] = ["a", "b", "c"];
const TILLS: usize = 12;

fn runs(view: &ClusterView) -> BTreeMap<String, Incarnation> {
    let nodes = view.nodes();
    nodes.map(|node| (node.name.to_owned(), node.run)).collect()
}

/// Puts a cent into each till from each node in turn, and insists until it is acknowledged.
async fn put(nodes: &[Tenure], round: usize) {
    for n in 0..TILLS {
        let node = &nodes[(n + round) % nodes.len()];
        let (till, id) = (node.entity::<Till>(format!("till-{n}")), node.command_id());
        let insisted = async {
            while let Err(error) = till.ask(Put { cents: 1 }).id(id).await {
                assert!(error.is_unknown() || error.is_retryable(), "{error}");
            }
        };
        let insisted = tokio::time::timeout(PATIENCE, insisted).await;
        assert!(insisted.is_ok(), "till {n}: {:?}", node.cluster());
    }
}

/// Heartbeats go nowhere until the servers have elected: nobody is wrongly called dead for that.
#[tokio::test]
async fn nobody_is_over_because_the_leader_of_the_members_is_killed() {
    let servers = tenure_nats_server::Cluster::start(3).expect("three nats-servers");
    let url = servers.url();
    let mut nodes = Vec::new();
    for name in NAMES {
        let cluster = Cluster::named(name).settle(Duration::from_millis(50));
        let node = Tenure::builder().namespace("bank").shards(8).streams(1);
        let node = node.cluster(cluster).serve::<Till>().start(&url);
        nodes.push(node.await.expect("a node"));
    }
    for node in &nodes {
        wait(node, |view| is_spread(view, &NAMES)).await;
    }
    put(&nodes, 0).await;
    let before = runs(&nodes[0].cluster().expect("a cluster").view());
    let leader = servers.stream_leader("bank_mem").expect("a leader");
    servers.servers()[leader].kill().expect("it runs");

    // For longer than anyone waits who has seen nothing of a node.
    let over = Terms::cluster().watch() + Terms::cluster().margin;
    let over = tokio::time::Instant::now() + Duration::from_nanos(over.as_nanos());
    let mut rounds = 1;
    while tokio::time::Instant::now() < over {
        put(&nodes, rounds).await;
        rounds += 1;
    }
    let next = servers.stream_leader("bank_mem").expect("another leader");
    assert_ne!(next, leader);
    for node in &nodes {
        let view = wait(node, |view| is_spread(view, &NAMES)).await;
        assert_eq!(runs(&view), before, "nobody became another run");
        assert_eq!((view.rejoins(), view.cause()), (0, None));
        assert_eq!(node.counters().await.halts, 0);
    }
    for n in 0..TILLS {
        let till = nodes[n % 3].entity::<Till>(format!("till-{n}"));
        let (cents, _) = till.read(Count).timeout(PATIENCE).await.expect("a count");
        assert_eq!(usize::try_from(cents).unwrap(), rounds, "till {n}");
    }
    // With all servers there again, a node that dies is taken over from as ever.
    servers.servers()[leader]
        .restart()
        .expect("it starts again");
    drop(nodes.pop());
    for node in &nodes {
        wait(node, |view| is_spread(view, &NAMES[..2])).await;
    }
    put(&nodes, rounds).await;
}
