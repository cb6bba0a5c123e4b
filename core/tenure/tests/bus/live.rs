//! What is published live.

use super::{Paid, Shipped, next, reached, soon};
use crate::common::{World, on_both_shells_and_the_front};
use std::num::NonZeroUsize;
use tenure::bus::{Next, Overflow};
use tenure::prelude::*;

on_both_shells_and_the_front!(
    an_event_reaches_all_who_listen_and_nobody_else,
    a_slow_subscriber_loses_the_oldest_and_is_told_how_many,
    a_slow_subscriber_that_wants_no_gap_loses_the_newest,
    a_slow_subscriber_can_be_disconnected,
    a_slow_subscriber_holds_nobody_up,
    namespaces_are_apart_unless_a_node_may_reach_over,
    a_subscription_ends_with_its_node,
    events_say_who_published_them_and_why,
);

async fn an_event_reaches_all_who_listen_and_nobody_else(world: &World) {
    let (here, there) = (world.node().await, world.node().await);
    let mut exact = there.bus().subscribe("orders.eu.paid").start().unwrap();
    let mut one = there.bus().subscribe("orders.*.paid").start().unwrap();
    let mut rest = here.bus().subscribe("orders.>").start().unwrap();
    let mut other = there.bus().subscribe("stock.>").start().unwrap();
    let shipped = there.bus().subscribe("orders.>").named("shipped");
    let mut shipped = shipped.start().unwrap();
    for subscription in [&mut exact, &mut one, &mut rest] {
        reached(&here, subscription, "orders.eu.paid").await;
    }
    reached(&here, &mut other, "stock.probe").await;
    // The probes of this one are not let through: what its node publishes to itself is heard at once.
    there
        .bus()
        .publish("orders.us", &Shipped { parcels: 1 })
        .await
        .unwrap();
    let first = next(&mut shipped).await.decode::<Shipped>().unwrap();
    assert_eq!(first.parcels, 1);
    let own = next(&mut rest).await.decode::<Shipped>().unwrap();
    assert_eq!(own.parcels, 1);
    let bus = here.bus();
    bus.publish("orders.eu.paid", &Paid { cents: 7 })
        .await
        .unwrap();
    bus.publish("orders.us.paid", &Paid { cents: 8 })
        .await
        .unwrap();
    bus.publish("orders.us", &Shipped { parcels: 2 })
        .await
        .unwrap();
    bus.publish("stock.last", &Paid { cents: 9 }).await.unwrap();
    let cents = |event: tenure::bus::BusEvent| event.decode::<Paid>().unwrap().cents;
    let event = next(&mut exact).await;
    assert_eq!(
        (event.topic().as_str(), event.name()),
        ("orders.eu.paid", "paid")
    );
    assert_eq!(
        (event.namespace().as_str(), event.is_durable()),
        ("bank", false)
    );
    assert_eq!(cents(event), 7);
    assert_eq!(cents(next(&mut one).await), 7);
    assert_eq!(cents(next(&mut one).await), 8);
    assert_eq!(cents(next(&mut rest).await), 7);
    assert_eq!(cents(next(&mut rest).await), 8);
    let event = next(&mut rest).await;
    assert_eq!(event.decode::<Shipped>().unwrap(), Shipped { parcels: 2 });
    let wrong = event.decode::<Paid>().unwrap_err().to_string();
    assert_eq!(wrong, "the event is shipped v2, and paid v1 was asked for");
    assert_eq!(cents(next(&mut other).await), 9);
    let event = next(&mut shipped).await;
    assert_eq!(event.decode::<Shipped>().unwrap().parcels, 2);
    let counted = here.counters().await;
    assert!(
        counted.bus_cast >= 4 && counted.bus_heard >= 3,
        "{counted:?}"
    );
}

/// Publishes so many that a subscriber with room for four has lost the rest, seen by one that reads.
async fn flood(node: &Tenure, topic: &str, events: u64) {
    let mut reader = node.bus().subscribe(topic).start().unwrap();
    for cents in 1..=events {
        node.bus().publish(topic, &Paid { cents }).await.unwrap();
        next(&mut reader).await;
    }
}

async fn a_slow_subscriber_loses_the_oldest_and_is_told_how_many(world: &World) {
    let node = world.node().await;
    let room = NonZeroUsize::new(4).unwrap();
    let mut slow = node.bus().subscribe("a").room(room).start().unwrap();
    flood(&node, "a", 10).await;
    let Some(Next::Gap(gap)) = soon(slow.next()).await else {
        panic!("there is a gap");
    };
    assert_eq!((gap.dropped, gap.unheard), (6, false));
    for cents in 7..=10 {
        assert_eq!(
            next(&mut slow).await.decode::<Paid>().unwrap(),
            Paid { cents }
        );
    }
    assert_eq!(slow.dropped(), 6);
    assert_eq!(node.counters().await.bus_dropped, 6);
}

async fn a_slow_subscriber_that_wants_no_gap_loses_the_newest(world: &World) {
    let node = world.node().await;
    let slow = node
        .bus()
        .subscribe("a")
        .room(NonZeroUsize::new(4).unwrap());
    let mut slow = slow.overflow(Overflow::DropNewest).start().unwrap();
    flood(&node, "a", 10).await;
    for cents in 1..=4 {
        assert_eq!(
            next(&mut slow).await.decode::<Paid>().unwrap(),
            Paid { cents }
        );
    }
    let Some(Next::Gap(gap)) = soon(slow.next()).await else {
        panic!("there is a gap");
    };
    assert_eq!(gap.dropped, 6);
    flood(&node, "a", 1).await;
    assert_eq!(next(&mut slow).await.decode::<Paid>().unwrap().cents, 1);
}

async fn a_slow_subscriber_can_be_disconnected(world: &World) {
    let node = world.node().await;
    let slow = node
        .bus()
        .subscribe("a")
        .room(NonZeroUsize::new(4).unwrap());
    let mut slow = slow.overflow(Overflow::Disconnect).start().unwrap();
    flood(&node, "a", 10).await;
    assert!(slow.is_disconnected());
    for cents in 1..=4 {
        assert_eq!(
            next(&mut slow).await.decode::<Paid>().unwrap(),
            Paid { cents }
        );
    }
    let Some(Next::Gap(gap)) = soon(slow.next()).await else {
        panic!("the gap is told before the end");
    };
    assert_eq!(gap.dropped, 1);
    assert!(soon(slow.next()).await.is_none());
}

/// Commands go on while a subscriber does not read at all.
async fn a_slow_subscriber_holds_nobody_up(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<crate::common::Account>().await.unwrap();
    let _slow = node
        .bus()
        .subscribe("a")
        .room(NonZeroUsize::MIN)
        .start()
        .unwrap();
    for cents in 1..=2_000 {
        node.bus().publish("a", &Paid { cents }).await.unwrap();
        if cents % 100 == 0 {
            let cents = i64::try_from(cents).unwrap();
            let moved = accounts.execute("alice", crate::common::Move { cents });
            soon(moved.into_future()).await.unwrap();
        }
    }
    let dropped = async {
        while node.counters().await.bus_dropped < 1_999 {
            tokio::task::yield_now().await;
        }
    };
    soon(dropped).await;
}

async fn namespaces_are_apart_unless_a_node_may_reach_over(world: &World) {
    let shop = world.start(Tenure::builder().namespace("shop")).await;
    let builder = Tenure::builder().namespace("bank");
    let bank = world.start(builder.bus_namespaces(["shop"])).await;
    let builder = Tenure::builder().namespace("audit");
    let audit = world.start(builder.bus_namespaces(["*"])).await;
    let mut own = bank.bus().subscribe(">").start().unwrap();
    let mut other = bank.bus_of("shop").unwrap().subscribe(">").start().unwrap();
    let mut all = audit.bus_of_all().unwrap().subscribe(">").start().unwrap();
    reached(&shop, &mut other, "probe").await;
    reached(&shop, &mut all, "probe").await;
    reached(&bank, &mut own, "probe").await;
    shop.bus()
        .publish("sold", &Paid { cents: 1 })
        .await
        .unwrap();
    let event = next(&mut other).await;
    assert_eq!(
        (event.namespace().as_str(), event.topic().as_str()),
        ("shop", "sold")
    );
    assert_eq!(next(&mut all).await.namespace().as_str(), "shop");
    bank.bus()
        .publish("booked", &Paid { cents: 2 })
        .await
        .unwrap();
    assert_eq!(next(&mut own).await.topic().as_str(), "booked");
    assert_eq!(next(&mut all).await.namespace().as_str(), "bank");
    // A node that may listen to another namespace may publish there, too.
    let there = bank.bus_of("shop").unwrap();
    let mut asked = shop.bus().subscribe("asked").start().unwrap();
    reached(&shop, &mut asked, "asked").await;
    there.publish("asked", &Paid { cents: 3 }).await.unwrap();
    assert_eq!(next(&mut asked).await.decode::<Paid>().unwrap().cents, 3);
}

async fn a_subscription_ends_with_its_node(world: &World) {
    let node = world.node().await;
    let mut ends = node.bus().subscribe(">").start().unwrap();
    node.bus()
        .publish("last", &Paid { cents: 1 })
        .await
        .unwrap();
    assert_eq!(next(&mut ends).await.topic().as_str(), "last");
    node.stop().await;
    assert!(soon(ends.next()).await.is_none());
}

async fn events_say_who_published_them_and_why(world: &World) {
    let node = world
        .start(Tenure::builder().namespace("bank").node("teller"))
        .await;
    let mut hears = node.bus().subscribe(">").start().unwrap();
    let metadata = Metadata::new()
        .correlation("order-17")
        .header("user", "Zoë");
    let event = Paid { cents: 1 };
    let publish = node.bus().publish("a", &event).metadata(metadata);
    let (id, stored) = publish.await.unwrap();
    let event = next(&mut hears).await;
    assert_eq!((event.id(), stored), (id, None));
    assert_eq!((event.node(), event.version()), ("teller", 1));
    assert_eq!(event.metadata().correlation_id(), Some("order-17"));
    assert_eq!(event.metadata().header_value("user"), Some("Zoë"));
}

/// A lost connection is told in its place, and the subscription comes back by itself.
#[tokio::test]
async fn what_a_lost_connection_cost_is_told_in_memory() {
    let shell = tenure::MemShell::fresh();
    let start = |shell| Tenure::builder().namespace("bank").start_with(shell);
    let (here, link) = (start(shell.clone()).await.unwrap(), shell.beside());
    let there = start(link.clone()).await.unwrap();
    let mut hears = there.bus().subscribe("a").start().unwrap();
    let publish = async |cents| here.bus().publish("a", &Paid { cents }).await.unwrap();
    publish(1).await;
    link.cut(true);
    let refused = there.bus().publish("a", &Paid { cents: 9 }).await;
    assert!(matches!(refused, Err(tenure::bus::BusError::NotConnected)));
    publish(2).await;
    link.cut(false);
    publish(3).await;
    assert_eq!(next(&mut hears).await.decode::<Paid>().unwrap().cents, 1);
    let Some(Next::Gap(gap)) = soon(hears.next()).await else {
        panic!("there is a gap");
    };
    assert_eq!((gap.dropped, gap.unheard), (0, true));
    assert_eq!(next(&mut hears).await.decode::<Paid>().unwrap().cents, 3);
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn what_a_lost_connection_cost_is_told_on_nats() {
    let server = tenure_nats_server::NatsServer::start().expect("a nats-server");
    let node = Tenure::builder()
        .namespace("bank")
        .start(&server.url())
        .await;
    let node = node.expect("a node");
    let mut hears = node.bus().subscribe(">").start().unwrap();
    node.bus().publish("a", &Paid { cents: 1 }).await.unwrap();
    assert_eq!(next(&mut hears).await.topic().as_str(), "a");
    server.restart().expect("it starts again");
    let Some(Next::Gap(gap)) = soon(hears.next()).await else {
        panic!("there is a gap");
    };
    assert!(gap.unheard);
    // It hears again, and what is durable is taken again.
    let again = async {
        while node.bus().publish("b", &Paid { cents: 2 }).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    soon(again).await;
    assert_eq!(next(&mut hears).await.topic().as_str(), "b");
    let publish = node.bus().publish("c", &Paid { cents: 3 }).durable();
    publish.timeout(super::SOON).await.unwrap();
    assert!(next(&mut hears).await.is_durable());
}
