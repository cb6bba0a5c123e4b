//! What is published durably, and who comes later.

use super::{Paid, SOON, Shipped, next, soon};
use crate::common::{World, on_both_shells_and_the_front};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use tenure::bus::{Bus, DurableError, Published};
use tenure::consumer::{
    Cause, ConsumerError, ConsumerHandle, Fault, Measured, Policy, Start, Then,
};
use tenure::{Message, Metadata};

on_both_shells_and_the_front!(
    who_comes_later_gets_what_was_stored_and_goes_on_where_it_stood,
    who_listens_hears_what_is_durable_when_it_is_stored,
    the_same_id_is_stored_once,
    a_handler_that_fails_leaves_a_dead_letter_that_can_be_replayed,
    a_name_belongs_to_one_pattern,
    what_expired_is_told_of,
    an_event_of_another_type_goes_by_its_own_policy,
    a_reset_begins_where_it_says,
    only_events_with_a_header_come,
    a_middleware_stands_around_its_handler,
);

type Notes = Arc<Mutex<Vec<(String, u64)>>>;

/// A durable subscription that notes what it is given.
async fn noting(bus: &Bus, name: &str, pattern: &str, notes: &Notes) -> ConsumerHandle {
    let notes = Arc::clone(notes);
    let durable = bus.durable(name, pattern).named("paid");
    let started = durable.start(move |event: Published| {
        let topic = event.topic().to_string();
        let paid = event.decode::<Paid>();
        let notes = Arc::clone(&notes);
        async move {
            notes.lock().unwrap().push((topic, paid?.cents));
            Ok::<_, tenure::bus::DecodeError>(())
        }
    });
    soon(started).await.unwrap()
}

async fn store(bus: &Bus, topic: &str, cents: u64) -> tenure::Sequence {
    let publish = bus.publish(topic, &Paid { cents }).durable().timeout(SOON);
    publish.await.unwrap().1.expect("it is stored")
}

fn noted(notes: &Notes, topic: &str) -> Vec<u64> {
    let notes = notes.lock().unwrap();
    let of = notes.iter().filter(|(of, _)| of == topic);
    of.map(|(_, cents)| *cents).collect()
}

async fn seen(consumer: &ConsumerHandle, last: tenure::Sequence) {
    let seen = consumer.seen_at(tenure::consumer::Partition(0), last, SOON);
    seen.await.unwrap();
}

async fn who_comes_later_gets_what_was_stored_and_goes_on_where_it_stood(world: &World) {
    let node = world.node().await;
    let bus = node.bus();
    for cents in 1..=3 {
        store(&bus, "orders.eu", cents).await;
    }
    let other = bus.publish("orders.eu", &Shipped { parcels: 1 }).durable();
    other.await.unwrap();
    store(&bus, "stock", 99).await;
    let notes = Notes::default();
    let consumer = noting(&bus, "billing", "orders.*", &notes).await;
    soon(consumer.live()).await.unwrap();
    let last = store(&bus, "orders.us", 4).await;
    seen(&consumer, last).await;
    assert_eq!(noted(&notes, "orders.eu"), [1, 2, 3]);
    assert_eq!(noted(&notes, "orders.us"), [4]);
    assert!(noted(&notes, "stock").is_empty());
    consumer.stop().await.unwrap();
    node.stop().await;
    // On another node it goes on, and nothing comes twice that was in the checkpoint.
    let node = world.node().await;
    store(&node.bus(), "orders.eu", 5).await;
    notes.lock().unwrap().clear();
    let consumer = noting(&node.bus(), "billing", "orders.*", &notes).await;
    soon(consumer.live()).await.unwrap();
    assert_eq!(*notes.lock().unwrap(), [("orders.eu".to_owned(), 5)]);
    consumer.rewind(Start::Beginning).await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(noted(&notes, "orders.eu"), [5, 1, 2, 3, 5]);
    consumer.stop().await.unwrap();
}

async fn who_listens_hears_what_is_durable_when_it_is_stored(world: &World) {
    let (here, there) = (world.node().await, world.node().await);
    let mut hears = there.bus().subscribe("orders.>").start().unwrap();
    super::reached(&here, &mut hears, "orders.probe").await;
    let paid = Paid { cents: 5 };
    let (id, _) = here
        .bus()
        .publish("orders.eu", &paid)
        .durable()
        .await
        .unwrap();
    let event = next(&mut hears).await;
    assert_eq!((event.id(), event.is_durable()), (id, true));
    assert_eq!(event.decode::<Paid>().unwrap(), paid);
}

async fn the_same_id_is_stored_once(world: &World) {
    let node = world.node().await;
    let bus = node.bus();
    let (id, first) = bus
        .publish("a", &Paid { cents: 1 })
        .durable()
        .await
        .unwrap();
    let again = bus.publish("a", &Paid { cents: 1 }).durable().id(id);
    assert_eq!(again.await.unwrap(), (id, first));
    let notes = Notes::default();
    let consumer = noting(&bus, "once", "a", &notes).await;
    soon(consumer.live()).await.unwrap();
    assert_eq!(noted(&notes, "a"), [1]);
}

async fn a_handler_that_fails_leaves_a_dead_letter_that_can_be_replayed(world: &World) {
    let node = world.node().await;
    let bus = node.bus();
    store(&bus, "a.b", 1).await;
    let works = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let now = Arc::clone(&works);
    let durable = bus.durable("picky", ">");
    let durable = durable.failing(brief(1, Then::DeadLetter));
    let consumer = durable.start(move |_: Published| {
        let works = now.load(std::sync::atomic::Ordering::Relaxed);
        async move { if works { Ok(()) } else { Err("no") } }
    });
    let consumer = soon(consumer).await.unwrap();
    let aside = consumer.until_status(|status| status.dead_lettered == 1);
    soon(aside).await.unwrap();
    let letters = consumer.dead_letters().all().await.unwrap();
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}");
    };
    assert_eq!((letter.entity.as_str(), &*letter.event), ("a.b", "paid"));
    assert_eq!((&*letter.text, letter.tries), ("no", 2));
    let event = consumer.dead_letters().look(letter.place).await.unwrap();
    assert_eq!(event.event.name, "paid");
    works.store(true, std::sync::atomic::Ordering::Relaxed);
    let (handled, failed) = consumer.dead_letters().replay_all().await.unwrap();
    assert_eq!((handled, failed.len()), (1, 0));
}

async fn a_name_belongs_to_one_pattern(world: &World) {
    let node = world.node().await;
    let notes = Notes::default();
    let consumer = noting(&node.bus(), "one", "a.*", &notes).await;
    consumer.stop().await.unwrap();
    let other = node.bus().durable("one", "b.*");
    let refused = soon(other.start(|_: Published| async {})).await;
    let refused = match refused {
        Err(DurableError::Consumer(refused)) => refused,
        Err(other) => panic!("{other:?}"),
        Ok(consumer) => soon(consumer.ended()).await.unwrap_err(),
    };
    let other = |error: &ConsumerError| {
        matches!(error, ConsumerError::Fault(Fault::OtherDefinition { .. }))
    };
    assert!(other(&refused), "{refused:?}");
}

async fn what_expired_is_told_of(world: &World) {
    let node = world.node().await;
    let bus = node.bus();
    store(&bus, "a", 1).await;
    let notes = Notes::default();
    let consumer = noting(&bus, "late", "a", &notes).await;
    soon(consumer.live()).await.unwrap();
    consumer.stop().await.unwrap();
    let short = std::time::Duration::from_secs(1);
    for cents in 2..=4 {
        let publish = bus.publish("a", &Paid { cents }).durable_for(short);
        publish.await.unwrap();
    }
    store(&bus, "a", 5).await;
    // The short ones go, and are told of; which of them went before it looks is not known.
    let told = async {
        loop {
            let consumer = noting(&bus, "late", "a", &notes).await;
            soon(consumer.live()).await.unwrap();
            let expired = consumer.status().expired;
            consumer.stop().await.unwrap();
            if expired > 0 || noted(&notes, "a").contains(&2) {
                return expired;
            }
        }
    };
    soon(told).await;
    assert_eq!(noted(&notes, "a").last(), Some(&5));
}

#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "paid", version = 2)]
struct PaidInEuros {
    euros: u64,
}

/// A policy without long waits.
fn brief(retries_max: u32, then: Then) -> Policy {
    Policy {
        retries_max,
        delay_min: tenure::Span::from_millis(1),
        delay_max: tenure::Span::from_millis(1),
        then,
    }
}

async fn an_event_of_another_type_goes_by_its_own_policy(world: &World) {
    let node = world.node().await;
    let bus = node.bus();
    let shipped = bus.publish("orders.eu", &Shipped { parcels: 1 }).durable();
    shipped.await.unwrap();
    let newer = bus.publish("orders.eu", &PaidInEuros { euros: 1 });
    newer.durable().await.unwrap();
    store(&bus, "orders.eu", 2).await;
    let notes = Notes::default();
    let noted_in = Arc::clone(&notes);
    let durable = bus.durable("typed", "orders.*");
    let durable = durable.undecodable(brief(0, Then::DeadLetter));
    let consumer = durable.start_of(move |paid: Paid, event: Published| {
        let name = event.name().to_owned();
        noted_in.lock().unwrap().push((name, paid.cents));
        async {}
    });
    let consumer = soon(consumer).await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(noted(&notes, "paid"), [2]);
    let letters = consumer.dead_letters().all().await.unwrap();
    let told: Vec<_> = letters.iter().map(|it| (it.cause, it.tries)).collect();
    assert_eq!(told, [(Cause::Undecodable, 1)]);
    assert!(letters[0].text.contains("paid"), "{letters:?}");
    consumer.stop().await.unwrap();
}

async fn a_reset_begins_where_it_says(world: &World) {
    let node = world.node().await;
    let bus = node.bus();
    store(&bus, "orders.eu", 1).await;
    let notes = Notes::default();
    let consumer = noting(&bus, "billing", "orders.*", &notes).await;
    soon(consumer.live()).await.unwrap();
    consumer.stop().await.unwrap();
    let again = Arc::clone(&notes);
    // Another pattern under the name, too.
    let durable = bus.durable("billing", "orders.>").reset(Start::Beginning);
    let consumer = durable.start(move |event: Published| {
        let topic = event.topic().to_string();
        again.lock().unwrap().push((topic, 0));
        async {}
    });
    let consumer = soon(consumer).await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(noted(&notes, "orders.eu"), [1, 0]);
    consumer.stop().await.unwrap();
}

async fn only_events_with_a_header_come(world: &World) {
    let node = world.node().await;
    let bus = node.bus();
    for (cents, of) in [(1, "alice"), (2, "bob"), (3, "alice")] {
        let said = Metadata::new().header("of", of);
        let publish = bus.publish("orders.eu", &Paid { cents }).metadata(said);
        publish.durable().await.unwrap();
    }
    store(&bus, "orders.eu", 4).await;
    for (name, value, wanted) in [
        ("one", Some("alice"), vec![1, 3]),
        ("any", None, vec![1, 2, 3]),
    ] {
        let notes = Notes::default();
        let noted_in = Arc::clone(&notes);
        let durable = bus.durable(name, "orders.*").serial().handlers(1);
        let durable = match value {
            Some(value) => durable.with_header_of("of", value),
            None => durable.with_header("of"),
        };
        let consumer = durable.start(move |event: Published| {
            let paid = event.decode::<Paid>().unwrap();
            noted_in.lock().unwrap().push((String::new(), paid.cents));
            async {}
        });
        let consumer = soon(consumer).await.unwrap();
        soon(consumer.live()).await.unwrap();
        assert_eq!(noted(&notes, ""), wanted);
        consumer.stop().await.unwrap();
    }
}

async fn a_middleware_stands_around_its_handler(world: &World) {
    let node = world.node().await;
    let bus = node.bus();
    store(&bus, "orders.eu", 1).await;
    let measured = Measured::default();
    let durable = bus.durable("measured", "orders.*").with(measured.clone());
    let durable = durable.start_timeout(SOON);
    let consumer = soon(durable.start(|_: Published| async {})).await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(measured.all()["paid"].handled, 1);
    consumer.stop().await.unwrap();
}
