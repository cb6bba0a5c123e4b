//! What cannot be published or subscribed to says so, before anything is sent.

use super::Paid;
use crate::common::{World, on_both_shells};
use serde::{Deserialize, Serialize};
use tenure::bus::{BusError, DurableError, Published, TopicError};
use tenure::prelude::*;

on_both_shells!(
    wrong_topics_and_patterns_are_refused,
    what_is_too_large_is_refused,
    another_namespace_needs_a_right,
    a_time_to_keep_is_whole_seconds,
    a_node_that_stopped_publishes_nothing,
);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "scan", version = 1)]
struct Scan {
    #[serde(with = "serde_bytes_as_seq")]
    pages: Vec<u8>,
}

mod serde_bytes_as_seq {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        Vec::deserialize(d)
    }
}

async fn wrong_topics_and_patterns_are_refused(world: &World) {
    let node = world.node().await;
    let bus = node.bus();
    let paid = Paid { cents: 1 };
    for (topic, text) in [
        ("orders.*", "publish on one topic"),
        ("orders..eu", "empty token"),
        ("", "empty token"),
        ("orders eu", "the character ' '"),
    ] {
        let error = bus.publish(topic, &paid).await.unwrap_err();
        assert!(matches!(error, BusError::Topic(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
        let error = bus.publish(topic, &paid).durable().await.unwrap_err();
        assert!(matches!(error, BusError::Topic(_)), "{error:?}");
    }
    let error = bus.subscribe("a.>.b").start().unwrap_err();
    let misplaced = matches!(error, BusError::Topic(TopicError::MisplacedWildcard { .. }));
    assert!(misplaced, "{error:?}");
    let error = bus.durable("d", "a*").start(|_: Published| async {}).await;
    assert!(matches!(error, Err(DurableError::Bus(BusError::Topic(_)))));
    let error = bus
        .durable("Not a name", "a")
        .start(|_: Published| async {})
        .await;
    assert!(matches!(error, Err(DurableError::Consumer(_))));
    assert_eq!(node.counters().await.bus_cast, 0);
}

async fn what_is_too_large_is_refused(world: &World) {
    let node = world.node().await;
    let scan = Scan {
        pages: vec![7; 1 << 20],
    };
    let error = node.bus().publish("a", &scan).await.unwrap_err();
    assert!(
        matches!(error, BusError::TooLarge { bytes, .. } if bytes > 1 << 20),
        "{error:?}"
    );
    let error = node.bus().publish("a", &scan).durable().await.unwrap_err();
    assert!(!error.may_be_published(), "{error:?}");
    assert!(error.to_string().contains("larger"), "{error}");
    // The connection is as good as before.
    node.bus()
        .publish("a", &Paid { cents: 1 })
        .durable()
        .await
        .unwrap();
}

async fn another_namespace_needs_a_right(world: &World) {
    let node = world.node().await;
    let error = node.bus_of("shop").unwrap_err();
    assert!(matches!(error, BusError::NamespaceNotAllowed { .. }));
    assert!(error.to_string().contains("bus_namespaces"), "{error}");
    assert!(matches!(
        node.bus_of_all(),
        Err(BusError::AllNotAllowed { .. })
    ));
    assert!(matches!(node.bus_of("No Name"), Err(BusError::Name(_))));
    assert!(node.bus_of("bank").is_ok(), "its own is its own");
    let builder = Tenure::builder().namespace("audit");
    let audit = world.start(builder.bus_namespaces(["*"])).await;
    let all = audit.bus_of_all().unwrap();
    let paid = Paid { cents: 1 };
    assert!(matches!(
        all.publish("a", &paid).await,
        Err(BusError::OneNamespace)
    ));
    let other = audit.bus_of("bank").unwrap();
    let error = other.publish("a", &paid).durable().await.unwrap_err();
    assert!(
        matches!(error, BusError::DurableElsewhere { .. }),
        "{error:?}"
    );
    let error = other.durable("d", "a").start(|_: Published| async {}).await;
    assert!(matches!(
        error,
        Err(DurableError::Bus(BusError::DurableElsewhere { .. }))
    ));
}

async fn a_time_to_keep_is_whole_seconds(world: &World) {
    let node = world.node().await;
    for wrong in [
        std::time::Duration::ZERO,
        std::time::Duration::from_millis(1_500),
        std::time::Duration::MAX,
    ] {
        let paid = Paid { cents: 1 };
        let error = node.bus().publish("a", &paid).durable_for(wrong).await;
        assert!(matches!(error, Err(BusError::Keep)), "{wrong:?}");
    }
}

async fn a_node_that_stopped_publishes_nothing(world: &World) {
    let node = world.node().await;
    let bus = node.bus();
    node.stop().await;
    let error = bus.publish("a", &Paid { cents: 1 }).durable().await;
    assert!(matches!(error, Err(BusError::NodeStopped)), "{error:?}");
}
