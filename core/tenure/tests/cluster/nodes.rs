//! Nodes of one cluster in one process.

use crate::common::{Put, Till, World};
use std::num::NonZeroUsize;
use std::time::Duration;
use tenure::{Builder, Cluster, ClusterView, TakeOver, Tenure};

/// How long a cluster may take to be as a test wants it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A builder of a node with few shards, which settles soon.
pub(crate) fn builder(name: &str) -> Builder {
    node(Cluster::named(name)).serve::<Till>()
}

/// The same for a node that serves nothing.
pub(crate) fn node(cluster: Cluster) -> Builder {
    Tenure::builder()
        .namespace("bank")
        .shards(16)
        .lanes(NonZeroUsize::new(2).expect("two"))
        .cluster(cluster.settle(Duration::from_millis(50)))
}

/// Nodes of one cluster, once every shard has an owner and each owns some.
pub(crate) async fn cluster(world: &World, names: &[&str]) -> Vec<Tenure> {
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(world.start(builder(name)).await);
    }
    for node in &nodes {
        wait(node, |view| is_spread(view, names)).await;
    }
    nodes
}

/// Whether all shards have owners, and exactly these own some.
pub(crate) fn is_spread(view: &ClusterView, names: &[&str]) -> bool {
    let owned = view.owned(TakeOver::Fenced);
    view.is_served(TakeOver::Fenced)
        && owned.len() == names.len()
        && names.iter().all(|name| owned.contains_key(name))
}

/// Starts nodes that serve both classes, and waits until each owns some shards of both.
pub(crate) async fn start_of_both(world: &World, builders: Vec<Builder>) -> Vec<Tenure> {
    let mut nodes = Vec::new();
    for builder in builders {
        nodes.push(world.start(builder).await);
    }
    for node in &nodes {
        wait(node, |view| {
            [TakeOver::Fenced, TakeOver::Leased]
                .into_iter()
                .all(|class| view.is_served(class) && view.owned(class).len() == nodes.len())
        })
        .await;
    }
    nodes
}

/// Waits until a node sees its cluster so.
pub(crate) async fn wait(node: &Tenure, is_so: impl Fn(&ClusterView) -> bool) -> ClusterView {
    let cluster = node.cluster().expect("a node of a cluster");
    match cluster.wait_until(PATIENCE, is_so).await {
        Ok(view) => view,
        Err(error) => panic!("{error}"),
    }
}

/// Puts a cent into each of many tills, from one node.
pub(crate) async fn fill(node: &Tenure, tills: usize) {
    for n in 0..tills {
        let till = node.entity::<Till>(format!("till-{n}"));
        if let Err(error) = till.ask(Put { cents: 1 }).await {
            panic!("till {n}: {error}; {:?}", node.cluster());
        }
    }
}
