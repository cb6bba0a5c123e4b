//! A name is a projection's, a consumer's or a group's.

use super::{Balances, balance, balances, ending, moved, soon};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use tenure::consumer::{Consumed, ConsumerError, Fault, Group, Start};
use tenure::prelude::*;
use tenure::projection::Memory;

on_both_shells!(
    the_name_of_a_consumer_is_no_projections,
    the_name_of_a_projection_is_no_consumers,
    a_reset_takes_no_name_from_another,
);

async fn nothing(_: Consumed<AccountEvent>) {}

async fn the_name_of_a_consumer_is_no_projections(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let consumer = node.consumer("balances").kind::<Account>(nothing);
    let consumer = consumer.start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    consumer.stop().await.unwrap();
    let error = ending(balances(&node, "balances")).await;
    assert!(
        error.contains("balances is a consumer that has its checkpoint in the namespace"),
        "{error}"
    );
    assert!(error.contains("another name"), "{error}");
}

async fn the_name_of_a_projection_is_no_consumers(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let projection = balances(&node, "balances").start().await.unwrap();
    soon(projection.live()).await.unwrap();
    projection.stop().await.unwrap();
    let consumer = || node.consumer("balances").kind::<Account>(nothing);
    let error = consumer().start().await.unwrap_err();
    assert!(
        matches!(&error, ConsumerError::Fault(Fault::IsElsewhere { .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("another name"), "{error}");
    // The projection itself goes on under it, by another store, too.
    let again = node.projection("balances", Memory::<Balances>::default());
    let again = again.fold::<Account>(balance).start().await.unwrap();
    soon(again.live()).await.unwrap();
    again.stop().await.unwrap();
}

/// It replaces a checkpoint that cannot be read; what another one has there is none.
async fn a_reset_takes_no_name_from_another(world: &World) {
    let builder = Tenure::builder().namespace("bank").shards(4);
    let cluster = Cluster::named("a").settle(std::time::Duration::from_millis(50));
    let node = world.start(builder.cluster(cluster)).await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let projection = balances(&node, "balances").start().await.unwrap();
    soon(projection.live()).await.unwrap();
    projection.stop().await.unwrap();
    let group = node.consumer("mailer").kind::<Account>(nothing);
    let group = group.grouped(Group::partitions(2)).start().await.unwrap();
    group.stop().await.unwrap();
    for (name, text) in [
        ("balances", "is a projection"),
        ("mailer", "is a group of 2"),
    ] {
        let reset = node.consumer(name).kind::<Account>(nothing);
        let error = reset.reset(Start::Beginning).start().await.unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
    let error = ending(balances(&node, "mailer").reset()).await;
    assert!(error.contains("mailer is a group of 2"), "{error}");
    let group = node.consumer("balances").kind::<Account>(nothing);
    let error = group.grouped(Group::partitions(2)).start().await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("balances is a projection"), "{error}");
}
