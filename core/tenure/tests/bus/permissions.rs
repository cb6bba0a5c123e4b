//! What a user of the bus must be granted.

use super::{Paid, next, soon};
use tenure::bus::Published;
use tenure::prelude::*;
use tenure_nats_server::NatsServer;

/// The README's permissions are enough for what is live and what is durable.
#[tokio::test]
async fn the_permissions_in_the_readme_are_enough_for_the_bus() {
    let readme = include_str!("../../../../README.md");
    let mut parts = readme.split("```conf\n").skip(1);
    for part in [parts.next(), parts.next()] {
        let (permissions, _) = part.and_then(|it| it.split_once("```")).expect("settings");
        let server = NatsServer::builder().config(permissions).start();
        let server = server.expect("a nats-server");
        let url = server.url().replace("nats://", "nats://bank:secret@");
        let node = Tenure::builder().namespace("bank").start(&url).await;
        let node = node.expect("a node");
        let mut hears = node.bus().subscribe("a.*").start().unwrap();
        node.bus().publish("a.b", &Paid { cents: 1 }).await.unwrap();
        assert!(!next(&mut hears).await.is_durable());
        let publish = node.bus().publish("a.b", &Paid { cents: 2 }).durable();
        publish.await.unwrap();
        assert!(next(&mut hears).await.is_durable());
        let consumer = node.bus().durable("d", ">").start(|_: Published| async {});
        let consumer = soon(consumer).await.unwrap();
        soon(consumer.live()).await.unwrap();
        assert_eq!(consumer.status().handled, 1);
        consumer.stop().await.unwrap();
        node.stop().await;
    }
}
