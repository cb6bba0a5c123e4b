//! Messages and effects that cannot be delivered as things are: listed, looked into, sent again and discarded.

use super::calls::{Charge, Order, Place};
use super::{SOON, until};
use crate::cluster::nodes::{self, wait};
use crate::common::{World, on_both_shells};
use tenure::Cluster;
use tenure::bus::DecodeError;
use tenure::effect::{EffectCall, EffectPolicy, FailedMessage};
use tenure::prelude::*;

on_both_shells!(
    an_effect_that_no_handler_takes_is_listed_and_looked_into,
    what_is_sent_again_fails_again_or_is_done,
    what_is_discarded_is_never_done,
    only_the_owner_of_its_shard_sends_it_again,
);

async fn place(node: &Tenure, order: &str, cents: u64) {
    let asked = node.entity::<Order>(order).ask(Place { cents });
    asked.timeout(SOON).await.unwrap();
}

/// A node without a handler of charges.
async fn deaf(world: &World, name: &str) -> Tenure {
    let node = nodes::node(Cluster::named(name)).serve::<Order>();
    world.start(node).await
}

/// Waits until so many are listed.
async fn listed(node: &Tenure, count: usize) -> Vec<FailedMessage> {
    let last = std::sync::Mutex::new(Vec::new());
    until("the list of what failed", || async {
        let Ok(all) = node.failed_messages().all().await else {
            return false;
        };
        let there = all.len() == count;
        *last.lock().unwrap() = all;
        there
    })
    .await;
    last.into_inner().unwrap()
}

async fn an_effect_that_no_handler_takes_is_listed_and_looked_into(world: &World) {
    let node = deaf(world, "a").await;
    assert_eq!(node.failed_messages().all().await.unwrap(), []);
    place(&node, "17", 5).await;
    place(&node, "18", 7).await;
    let all = listed(&node, 2).await;
    let one = all.iter().find(|it| it.id == "17").unwrap();
    assert_eq!((one.kind.as_str(), one.is_effect), ("order", true));
    assert_eq!(
        (one.to_kind.as_str(), one.name.as_str()),
        ("charge", "charge")
    );
    assert!(one.cause.contains("effect-charge"), "{}", one.cause);
    assert_eq!(one.decode::<Charge>().unwrap(), Charge { cents: 5 });
    let other = one.decode::<Place>();
    assert!(matches!(other, Err(DecodeError::Other { .. })));
}

async fn what_is_sent_again_fails_again_or_is_done(world: &World) {
    let first = deaf(world, "a").await;
    wait(&first, |view| nodes::is_spread(view, &["a"])).await;
    place(&first, "17", 5).await;
    let failed = listed(&first, 1).await.remove(0);
    assert_eq!(first.counters().await.intents_failed, 1);
    // Nothing has changed.
    assert!(first.failed_messages().retry(failed.place).await.unwrap());
    until("that it fails again", || async {
        first.counters().await.intents_failed == 2
    })
    .await;
    assert_eq!(first.failed_messages().retry_all().await.unwrap(), 1);
    until("that it fails once more", || async {
        first.counters().await.intents_failed == 3
    })
    .await;
    assert_eq!(listed(&first, 1).await[0].place, failed.place);
    // Who takes over has a handler.
    let done = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let does = std::sync::Arc::clone(&done);
    let builder = nodes::node(Cluster::named("b")).serve::<Order>();
    let builder = builder.effect(EffectPolicy::default(), move |call: EffectCall<Charge>| {
        does.lock().unwrap().push(call.effect.cents);
        async {}
    });
    let second = world.start(builder).await;
    first.stop().await;
    until("the charge", || async { *done.lock().unwrap() == [5] }).await;
    listed(&second, 0).await;
}

async fn what_is_discarded_is_never_done(world: &World) {
    let node = deaf(world, "a").await;
    wait(&node, |view| nodes::is_spread(view, &["a"])).await;
    place(&node, "17", 5).await;
    place(&node, "18", 7).await;
    let all = listed(&node, 2).await;
    let one = all.iter().find(|it| it.id == "17").unwrap();
    assert!(node.failed_messages().discard(one.place).await.unwrap());
    assert!(!node.failed_messages().discard(one.place).await.unwrap());
    assert!(!node.failed_messages().retry(one.place).await.unwrap());
    let left = listed(&node, 1).await;
    assert_eq!(left[0].id, "18");
    assert_eq!(node.counters().await.intents_kept, 1);
    // Nor by who takes over.
    let done = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let does = std::sync::Arc::clone(&done);
    let builder = nodes::node(Cluster::named("b")).serve::<Order>();
    let builder = builder.effect(EffectPolicy::default(), move |call: EffectCall<Charge>| {
        does.lock().unwrap().push(call.effect.cents);
        async {}
    });
    let second = world.start(builder).await;
    node.stop().await;
    until("the other charge", || async {
        !done.lock().unwrap().is_empty()
    })
    .await;
    listed(&second, 0).await;
    assert_eq!(*done.lock().unwrap(), [7]);
}

async fn only_the_owner_of_its_shard_sends_it_again(world: &World) {
    let (a, b) = (deaf(world, "a").await, deaf(world, "b").await);
    for node in [&a, &b] {
        wait(node, |view| nodes::is_spread(view, &["a", "b"])).await;
    }
    for n in 0..8 {
        place(&a, &format!("order-{n}"), n).await;
    }
    let all = listed(&b, 8).await;
    for message in &all {
        let (here, there) = (a.failed_messages(), b.failed_messages());
        let here = here.retry(message.place).await.unwrap();
        let there = there.retry(message.place).await.unwrap();
        assert!(here != there, "{message:?}");
    }
    // By all of them it is asked of each node.
    until("that all have failed again", || async {
        let counts = [a.counters().await, b.counters().await];
        counts.iter().map(|it| it.intents_kept).sum::<u64>() == 8
    })
    .await;
    let (here, there) = (a.failed_messages(), b.failed_messages());
    let retried = here.retry_all().await.unwrap() + there.retry_all().await.unwrap();
    assert_eq!(retried, 8);
}
