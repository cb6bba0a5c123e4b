//! What a consumer's user must be granted.

use super::{brief, moved, soon};
use crate::common::{Account, AccountEvent};
use tenure::consumer::{Consumed, Group, Start, Then};
use tenure::prelude::*;
use tenure_nats_server::NatsServer;

/// A server with the settings of the README that come at a place.
fn server(place: usize) -> (NatsServer, String) {
    let readme = include_str!("../../../../README.md");
    let rest = readme.split("```conf\n").nth(1 + place);
    let rest = rest.expect("some settings");
    let (permissions, _) = rest.split_once("```").expect("their end");
    let server = NatsServer::builder().config(permissions).start();
    let server = server.expect("a nats-server");
    let url = server.url().replace("nats://", "nats://bank:secret@");
    (server, url)
}

/// The README's permissions are enough for a consumer with its checkpoint and its dead letters.
#[tokio::test]
async fn the_permissions_in_the_readme_are_enough_for_a_consumer() {
    let (_server, url) = server(0);
    let node = Tenure::builder().namespace("bank").start(&url).await;
    let node = node.expect("a node");
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let consumer = node
        .consumer("permitted")
        .failing(brief(0, Then::DeadLetter))
        .kind::<Account>(|event: Consumed<AccountEvent>| async move {
            if event.attempt() == 1 {
                Err("no")
            } else {
                Ok(())
            }
        })
        .start()
        .await
        .unwrap();
    soon(consumer.live()).await.unwrap();
    let letters = consumer.dead_letters();
    let (handled, failed) = letters.replay_all().await.unwrap();
    assert_eq!((handled, failed.len()), (3, 0));
    assert!(letters.all().await.unwrap().is_empty());
    consumer.rewind(Start::New).await.unwrap();
    consumer.stop().await.unwrap();
    node.stop().await;
}

/// Those of a cluster are enough for a group.
#[tokio::test]
async fn the_permissions_of_a_cluster_in_the_readme_are_enough_for_a_group() {
    let (_server, url) = server(1);
    let cluster = Cluster::named("a").settle(std::time::Duration::from_millis(50));
    let builder = Tenure::builder().namespace("bank").cluster(cluster);
    let node = builder.start(&url).await.expect("a node");
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let group = node
        .consumer("permitted")
        .failing(brief(0, Then::DeadLetter))
        .kind::<Account>(|event: Consumed<AccountEvent>| async move {
            if event.attempt() == 1 {
                Err("no")
            } else {
                Ok(())
            }
        })
        .grouped(Group::partitions(4))
        .start()
        .await
        .unwrap();
    soon(group.live()).await.unwrap();
    let (handled, left) = group.dead_letters().replay_all().await.unwrap();
    assert_eq!((handled, left.len()), (3, 0));
    soon(group.stop()).await.unwrap();
    node.stop().await;
}
