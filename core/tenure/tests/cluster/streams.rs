//! What a cluster makes on a real server: the stream of membership records, as the server tells it.

use crate::cluster::nodes::cluster;
use crate::common::World;
use async_nats::jetstream;
use async_nats::jetstream::stream::{DiscardPolicy, RetentionPolicy, StorageType};

#[tokio::test]
async fn the_stream_of_members_keeps_the_last_record_of_each_and_tells_it_on() {
    let world = World::nats();
    let _nodes = cluster(&world, &["a", "b"]).await;
    let client = async_nats::connect(world.place()).await.expect("a client");
    let context = jetstream::new(client);
    let mut stream = context.get_stream("bank_mem").await.expect("a stream");
    let info = stream.info().await.expect("what it is").clone();
    let config = info.config;
    assert_eq!(config.subjects, ["bank.mem.*"]);
    // Of each name the last record, until its own time is over and not before (S16, P3).
    assert_eq!(config.max_messages_per_subject, 1);
    assert!(config.allow_message_ttl);
    assert_eq!(config.max_age.as_nanos(), 0);
    assert_eq!((config.max_messages, config.max_bytes), (-1, -1));
    assert_eq!(config.discard, DiscardPolicy::New);
    assert_eq!(config.retention, RetentionPolicy::Limits);
    assert_eq!(config.storage, StorageType::File);
    assert_eq!(config.num_replicas, 1);
    // Nobody takes a record away by hand.
    assert!(config.deny_purge && config.deny_delete && !config.allow_rollup);
    // Reads by subject, and the record as it is stored to whoever listens.
    assert!(config.allow_direct);
    let republish = config.republish.expect("it is told on");
    assert_eq!(republish.source, "bank.mem.>");
    assert_eq!(republish.destination, "bank.hb.>");
    assert!(!republish.headers_only);
    // One record for each of them.
    assert_eq!(info.state.messages, 2);
}
