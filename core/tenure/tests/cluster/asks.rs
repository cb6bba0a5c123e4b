//! What is asked of any node reaches the owner.

use crate::cluster::nodes::{cluster, fill};
use crate::common::{Count, Put, Till, TooLittle, World, on_both_shells};
use std::collections::BTreeSet;
use tenure::Version;

on_both_shells!(each_node_reaches_every_owner,);

async fn each_node_reaches_every_owner(world: &World) {
    let nodes = cluster(world, &["a", "b", "c"]).await;
    for node in &nodes {
        fill(node, 40).await;
    }
    let mut servers = BTreeSet::new();
    for n in 0..40 {
        let till = nodes[n % 3].entity::<Till>(format!("till-{n}"));
        assert_eq!(till.read(Count).await.unwrap(), (3, Version(3)));
        let served = till.ask(Put { cents: 1 }).served().await.unwrap();
        assert_eq!(served.answer.version, Version(4));
        assert!(served.epoch.is_some());
        servers.insert(served.node);
        let refused = till.ask(Put { cents: -50 }).await.unwrap_err();
        assert_eq!(refused.rejected(), Some(&TooLittle::Has { cents: 4 }));
    }
    assert_eq!(servers.len(), 3, "{servers:?}");
    for node in &nodes {
        node.stop().await;
    }
}
