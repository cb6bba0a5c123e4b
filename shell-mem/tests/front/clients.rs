//! Programs of ordinary clients against both servers.

use crate::server::same;
use async_nats::jetstream::{self, consumer, kv, stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use std::time::Duration;

async fn context(url: &str) -> jetstream::Context {
    jetstream::new(async_nats::connect(url).await.expect("it connects"))
}

#[tokio::test]
async fn a_program_with_keys_and_values() {
    same(async |url| {
        let js = context(url).await;
        let mut told = Vec::new();
        let config = kv::Config {
            bucket: "b".into(),
            history: 3,
            limit_markers: Some(Duration::from_secs(1)),
            ..kv::Config::default()
        };
        let bucket = js.create_key_value(config).await.expect("a bucket");
        let mut watch = bucket.watch_with_history(">").await.expect("a watch");
        told.push(format!("{:?}", bucket.put("k", "1".into()).await));
        told.push(format!(
            "{:?}",
            bucket.create("k", "2".into()).await.map_err(|e| e.kind())
        ));
        told.push(format!("{:?}", bucket.update("k", "3".into(), 1).await));
        told.push(format!(
            "{:?}",
            bucket
                .update("k", "4".into(), 1)
                .await
                .map_err(|e| e.kind())
        ));
        told.push(format!("{:?}", bucket.get("k").await));
        told.push(format!("{:?}", bucket.get("none").await));
        told.push(format!("{:?}", bucket.delete("k").await));
        told.push(format!("{:?}", bucket.get("k").await));
        told.push(format!("{:?}", bucket.create("k", "5".into()).await));
        told.push(format!("{:?}", bucket.purge("k").await));
        let ttl = Duration::from_secs(1);
        told.push(format!(
            "{:?}",
            bucket.create_with_ttl("t", "6".into(), ttl).await
        ));
        told.push(format!("{:?}", bucket.put("z", "7".into()).await));
        for _ in 0..8 {
            let entry = watch.next().await.expect("an entry").expect("it is read");
            let (key, value) = (entry.key, entry.value);
            told.push(format!(
                "{key} {value:?} {} {:?}",
                entry.revision, entry.operation
            ));
        }
        let mut keys: Vec<String> = bucket
            .keys()
            .await
            .expect("keys")
            .try_collect()
            .await
            .expect("keys");
        keys.sort();
        told.push(format!("{keys:?}"));
        let status = bucket.status().await.expect("a status");
        told.push(format!(
            "{} {} {}",
            status.values(),
            status.history(),
            status.bucket()
        ));
        told.push(format!("{:?}", js.delete_key_value("b").await.is_ok()));
        told
    })
    .await;
}

#[tokio::test]
async fn a_program_that_reads_in_order() {
    same(async |url| {
        let js = context(url).await;
        let mut told = Vec::new();
        let config = stream::Config {
            name: "S".into(),
            subjects: vec!["s.>".into()],
            ..stream::Config::default()
        };
        let stream = js.create_stream(config).await.expect("a stream");
        for n in 0..500 {
            let ack = js
                .publish(format!("s.{}", n % 5), "body".into())
                .await
                .expect("sent");
            if n % 100 == 0 {
                told.push(format!("{:?}", ack.await.expect("stored")));
            }
        }
        let ordered = consumer::pull::OrderedConfig {
            filter_subject: "s.1".into(),
            ..consumer::pull::OrderedConfig::default()
        };
        let pull = stream.create_consumer(ordered).await.expect("a consumer");
        let mut messages = pull.messages().await.expect("messages");
        for _ in 0..100 {
            let message = messages
                .next()
                .await
                .expect("one more")
                .expect("it is read");
            let info = message.info().expect("it says where it was");
            told.push(format!(
                "{} {} {}",
                info.stream_sequence, info.consumer_sequence, info.pending
            ));
        }
        let push = consumer::push::OrderedConfig {
            deliver_subject: "to.me".into(),
            ..consumer::push::OrderedConfig::default()
        };
        let push = stream.create_consumer(push).await.expect("a consumer");
        let mut messages = push.messages().await.expect("messages");
        for _ in 0..500 {
            let message = messages
                .next()
                .await
                .expect("one more")
                .expect("it is read");
            let info = message.info().expect("it says where it was");
            told.push(format!("{} {}", info.stream_sequence, info.pending));
        }
        told
    })
    .await;
}

#[tokio::test]
async fn a_program_that_works_through_a_queue() {
    same(async |url| {
        let js = context(url).await;
        let config = stream::Config {
            name: "W".into(),
            subjects: vec!["w.>".into()],
            retention: stream::RetentionPolicy::WorkQueue,
            ..stream::Config::default()
        };
        let mut stream = js.create_stream(config).await.expect("a stream");
        for n in 0..50 {
            js.publish("w.x", format!("{n}").into())
                .await
                .expect("sent")
                .await
                .expect("stored");
        }
        let durable = consumer::pull::Config {
            durable_name: Some("worker".into()),
            ..consumer::pull::Config::default()
        };
        let worker = stream.create_consumer(durable).await.expect("a consumer");
        let mut told = Vec::new();
        for _ in 0..5 {
            let mut batch = worker
                .fetch()
                .max_messages(10)
                .messages()
                .await
                .expect("a batch");
            while let Some(message) = batch.next().await {
                let message = message.expect("it is read");
                told.push(format!("{:?}", message.payload));
                message.double_ack().await.expect("it is acknowledged");
            }
        }
        let state = &stream.info().await.expect("a description").state;
        told.push(format!(
            "{} {} {}",
            state.messages, state.first_sequence, state.last_sequence
        ));
        told
    })
    .await;
}
