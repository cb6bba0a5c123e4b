//! Shards that change hands: a node joins, drains, stops or dies.

use crate::cluster::nodes::{builder, cluster, fill, is_spread, node, wait};
use crate::common::{Count, Put, Till, World, on_both_shells};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tenure::{Cluster, TakeOver, Tenure};
use tokio::task::JoinHandle;

on_both_shells!(
    a_read_after_a_take_over_is_linearizable,
    a_second_cluster_of_the_namespace_takes_its_layout,
    a_node_that_joins_takes_its_share_under_load,
    a_node_that_stops_hands_over_what_it_owns_under_load,
    a_node_that_drains_asks_on,
    a_node_that_dies_is_taken_over_from_on_a_hint,
    a_client_owns_nothing_and_reaches_all,
);

/// Asks a node without end, until it is told to stop; each ask has to go well.
struct Load {
    over: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

const TILLS: usize = 24;

impl Load {
    fn on(node: &Tenure) -> Self {
        let (over, asked) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let tasks = (0..TILLS)
            .map(|n| {
                let till = node.entity::<Till>(format!("till-{n}"));
                let (over, asked) = (Arc::clone(&over), Arc::clone(&asked));
                tokio::spawn(async move {
                    while !over.load(Ordering::Relaxed) {
                        let put = till.ask(Put { cents: 1 }).timeout(Duration::from_secs(20));
                        if let Err(error) = put.await {
                            panic!("till {n}: {error}");
                        }
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self { over, asked, tasks }
    }

    /// Waits until so many more asks went well.
    async fn more(&self, asks: u64) {
        let enough = self.asked.load(Ordering::Relaxed) + asks;
        let waited = tokio::time::timeout(Duration::from_secs(30), async {
            while self.asked.load(Ordering::Relaxed) < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        waited.await.expect("the load goes on");
    }

    /// Ends it; what was asked is in the tills.
    async fn end(self, node: &Tenure) {
        self.end_after(node, 0).await;
    }

    /// The same when something was in the tills before.
    async fn end_after(self, node: &Tenure, before: usize) {
        self.over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no ask failed");
        }
        let mut cents = 0;
        for n in 0..TILLS {
            let till = node.entity::<Till>(format!("till-{n}"));
            cents += till.read(Count).await.unwrap().0;
        }
        let asked = self.asked.load(Ordering::Relaxed);
        assert_eq!(u64::try_from(cents).unwrap(), asked + before as u64);
    }
}

async fn a_node_that_joins_takes_its_share_under_load(world: &World) {
    let nodes = cluster(world, &["a", "b"]).await;
    let load = Load::on(&nodes[0]);
    load.more(200).await;
    let joined = world.start(builder("c")).await;
    wait(&nodes[0], |view| is_spread(view, &["a", "b", "c"])).await;
    load.more(200).await;
    load.end(&joined).await;
    let counters = nodes[0].counters().await;
    assert!(counters.forwarded > 0 && counters.frames_sent > 0);
    let handed_over = counters.hand_overs + nodes[1].counters().await.hand_overs;
    assert!(handed_over > 0);
    assert!(joined.counters().await.adopted > 0);
}

async fn a_node_that_stops_hands_over_what_it_owns_under_load(world: &World) {
    let nodes = cluster(world, &["a", "b", "c"]).await;
    let load = Load::on(&nodes[0]);
    load.more(200).await;
    nodes[1].stop().await;
    wait(&nodes[0], |view| is_spread(view, &["a", "c"])).await;
    load.more(200).await;
    load.end(&nodes[2]).await;
    let adopted = nodes[0].counters().await.adopted + nodes[2].counters().await.adopted;
    assert!(adopted > 0, "it named its successors");
}

async fn a_node_that_drains_asks_on(world: &World) {
    let nodes = cluster(world, &["a", "b"]).await;
    fill(&nodes[0], 20).await;
    nodes[0].cluster().unwrap().drain().await.unwrap();
    wait(&nodes[1], |view| is_spread(view, &["b"])).await;
    assert!(
        wait(&nodes[1], |view| view.node("a").is_some_and(|a| a.draining))
            .await
            .is_served(TakeOver::Fenced)
    );
    fill(&nodes[0], 20).await;
    let info = nodes[1].node("a").info().await.unwrap();
    assert!(info.shards.is_empty(), "{info:?}");
}

async fn a_node_that_dies_is_taken_over_from_on_a_hint(world: &World) {
    let mut nodes = cluster(world, &["a", "b", "c"]).await;
    fill(&nodes[0], TILLS).await;
    let load = Load::on(&nodes[0]);
    load.more(200).await;
    // Its lanes end without leaving.
    drop(nodes.remove(2));
    wait(&nodes[0], |view| is_spread(view, &["a", "b"])).await;
    load.more(200).await;
    load.end_after(&nodes[1], TILLS).await;
    let hinted: u64 = nodes[0].counters().await.hints + nodes[1].counters().await.hints;
    assert!(hinted > 0);
}

async fn a_client_owns_nothing_and_reaches_all(world: &World) {
    let _owners = cluster(world, &["a", "b"]).await;
    let client = world.start(node(Cluster::named("gateway").client())).await;
    fill(&client, 20).await;
    let view = wait(&client, |view| is_spread(view, &["a", "b"])).await;
    assert!(view.node("gateway").is_some_and(|node| node.client));
    assert_eq!(client.counters().await.shards_owned, 0);
    assert_eq!(client.counters().await.members, 3);
}

async fn a_read_after_a_take_over_is_linearizable(world: &World) {
    let mut nodes = cluster(world, &["a", "b"]).await;
    fill(&nodes[1], TILLS).await;
    // Its lanes end without leaving.
    drop(nodes.pop());
    for n in 0..TILLS {
        let till = nodes[0].entity::<Till>(format!("till-{n}"));
        let read = till.read(Count).timeout(Duration::from_secs(20));
        assert_eq!(read.await.unwrap().0, 1, "till {n}");
    }
    assert!(nodes[0].counters().await.take_overs > 0);
}

async fn a_second_cluster_of_the_namespace_takes_its_layout(world: &World) {
    let first = cluster(world, &["a"]).await;
    fill(&first[0], 5).await;
    let other = Tenure::builder()
        .namespace("bank")
        .shards(32)
        .cluster(Cluster::named("z"))
        .serve::<Till>()
        .start(world.place())
        .await;
    let Err(error) = other else {
        panic!("a namespace has one number of shards");
    };
    assert!(error.to_string().contains("16"), "{error}");
}
