//! What a node says of itself, changed while it runs.

use crate::cluster::nodes::{builder, cluster, fill, is_spread, wait};
use crate::common::{World, on_both_shells};
use tenure::{Cluster, DescribeError, NodeChange, TakeOver};

on_both_shells!(
    labels_and_zones_are_seen_by_the_others,
    a_weight_moves_shards,
    what_is_too_long_is_refused,
);

async fn labels_and_zones_are_seen_by_the_others(world: &World) {
    let first = world.start(builder("a")).await;
    let named = Cluster::named("b").label("disk", "fast").label("rack", "1");
    let second = world
        .start(crate::cluster::nodes::node(named.zone("eu-1")).serve::<crate::common::Till>())
        .await;
    let before = wait(&first, |view| view.node("b").is_some()).await;
    assert_eq!(before.node("b").unwrap().zone, Some("eu-1"));
    let change = NodeChange::new()
        .label("disk", "slow")
        .label("gpu", "none")
        .without_label("rack")
        .zone("eu-2")
        .program("2.1");
    second.cluster().unwrap().describe(change).await.unwrap();
    let after = wait(&first, |view| {
        view.node("b").is_some_and(|b| b.zone == Some("eu-2"))
    })
    .await;
    assert!(after.revision() > before.revision());
    let b = after.node("b").unwrap();
    let labels: Vec<_> = b
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(labels, [("disk", "slow"), ("gpu", "none")]);
    assert_eq!((b.program, b.weight), ("2.1", 100));
    let info = first.node("b").info().await.unwrap();
    assert_eq!(info.zone.as_deref(), Some("eu-2"));
    let change = NodeChange::new().without_zone();
    second.cluster().unwrap().describe(change).await.unwrap();
    wait(&first, |view| {
        view.node("b").is_some_and(|b| b.zone.is_none())
    })
    .await;
}

async fn a_weight_moves_shards(world: &World) {
    let nodes = cluster(world, &["a", "b"]).await;
    fill(&nodes[0], 10).await;
    let light = NodeChange::new().weight(0);
    nodes[1].cluster().unwrap().describe(light).await.unwrap();
    for node in &nodes {
        wait(node, |view| is_spread(view, &["a"])).await;
    }
    fill(&nodes[1], 10).await;
    let heavy = NodeChange::new().weight(400);
    nodes[1].cluster().unwrap().describe(heavy).await.unwrap();
    for node in &nodes {
        let view = wait(node, |view| {
            let owned = view.owned(TakeOver::Fenced);
            view.is_served(TakeOver::Fenced) && owned.get("b") > owned.get("a")
        })
        .await;
        assert_eq!(view.node("b").unwrap().weight, 400);
    }
    fill(&nodes[0], 10).await;
    let moved = nodes[1].counters().await;
    assert!(moved.hand_overs > 0 && moved.take_overs == 0, "{moved:?}");
}

async fn what_is_too_long_is_refused(world: &World) {
    let node = world.start(builder("a")).await;
    let cluster = node.cluster().unwrap();
    let wordy = NodeChange::new().label("text", "x".repeat(100_000));
    let error = cluster.describe(wordy).await.unwrap_err();
    assert!(matches!(error, DescribeError::Config(_)));
    assert!(error.to_string().contains("shorten its labels"), "{error}");
    assert!(cluster.view().node("a").unwrap().labels.is_empty());
    node.stop().await;
    let late = cluster.describe(NodeChange::new().weight(1)).await;
    assert!(matches!(late, Err(DescribeError::Stopped)), "{late:?}");
}
