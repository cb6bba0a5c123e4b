//! Which events are handed over, in which order, and who waits for whom.

use super::{Notes, SOON, moved, noting, soon};
use crate::common::{Account, AccountEvent, Move, World, on_both_shells_and_the_front};
use std::sync::Arc;
use std::time::Duration;
use tenure::consumer::{Consumed, ConsumerError, Fault, SeenError, Start, State};
use tenure::prelude::*;
use tenure::{RawEvent, Sequence, WallTime};
use tokio::sync::Semaphore;

on_both_shells_and_the_front!(
    events_of_an_entity_come_in_order_and_those_of_many_at_once,
    defect_12_any_id_is_delivered,
    a_filter_lets_through_what_it_says,
    raw_events_are_as_they_are_stored,
    defect_35_a_slow_consumer_holds_no_other_up,
    it_begins_where_it_is_told,
    it_begins_at_a_time_in_the_middle_of_a_log,
    a_caller_waits_until_its_commit_was_seen,
    many_events_come_each_once_and_in_order,
    several_streams_are_read_at_once,
    a_name_belongs_to_one_definition,
    mistakes_are_told_before_anything_runs,
    a_node_that_stops_ends_its_consumers,
);

async fn events_of_an_entity_come_in_order_and_those_of_many_at_once(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let notes = Notes::default();
    let (noted, held) = (notes.clone(), Arc::clone(&gate));
    let consumer = node
        .consumer("noted")
        .handlers(4)
        .kind::<Account>(move |event: Consumed<AccountEvent>| {
            let (noted, held) = (noted.clone(), Arc::clone(&held));
            async move {
                held.acquire().await.unwrap().forget();
                noted.note(&event);
            }
        })
        .start()
        .await
        .unwrap();
    for id in ["a", "b", "c"] {
        moved(&accounts, id, 1..=3).await;
    }
    soon(consumer.until_status(|status| status.running == 3))
        .await
        .unwrap();
    gate.add_permits(9);
    soon(consumer.until_status(|status| status.handled == 9))
        .await
        .unwrap();
    for id in ["a", "b", "c"] {
        assert_eq!(notes.of(id), [1, 2, 3]);
    }
    consumer.stop().await.unwrap();
}

/// What had a dot in its id was never delivered.
async fn defect_12_any_id_is_delivered(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let ids = ["user.1", "*", ">", "a b", "ü", "%2E"];
    for id in ids {
        moved(&accounts, id, [1]).await;
    }
    let notes = Notes::default();
    let consumer = noting(&node, "noted", &notes).start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    let mut seen: Vec<String> = notes.all().into_iter().map(|seen| seen.id).collect();
    seen.sort();
    let mut wanted = ids.map(str::to_owned).to_vec();
    wanted.sort();
    assert_eq!(seen, wanted);
    consumer.stop().await.unwrap();
    let one = Notes::default();
    let consumer = noting(&node, "one", &one).of_id("user.1").start();
    let consumer = consumer.await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(one.all().len(), 1);
    consumer.stop().await.unwrap();
}

async fn a_filter_lets_through_what_it_says(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let log = node.log("order").await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let by = Metadata::new().header("user", "zoe");
    accounts
        .execute("alice", Move { cents: 2 })
        .metadata(by)
        .await
        .unwrap();
    moved(&accounts, "bob", [3]).await;
    log.append("o-1", [RawEvent::new("placed", 1, &b"\xa0"[..])])
        .await
        .unwrap();
    type Change = fn(tenure::consumer::ConsumerBuilder) -> tenure::consumer::ConsumerBuilder;
    let filters: [(&str, Change, &[i64]); 5] = [
        ("all", |it| it, &[1, 2, 3]),
        ("alice", |it| it.of_id("alice"), &[1, 2]),
        ("zoe", |it| it.with_header_of("user", "zoe"), &[2]),
        ("headed", |it| it.with_header("user"), &[2]),
        ("closed", |it| it.named("closed"), &[]),
    ];
    for (name, change, wanted) in filters {
        let notes = Notes::default();
        let consumer = change(noting(&node, name, &notes)).start().await.unwrap();
        soon(consumer.live()).await.unwrap();
        let mut cents = notes.cents();
        cents.sort_unstable();
        assert_eq!(cents, wanted, "{name}");
        // A name that no event has is told of, whether the store knows of it or not.
        let nothing = consumer.status().matches_nothing;
        assert_eq!(nothing, wanted.is_empty(), "{name}");
        consumer.stop().await.unwrap();
    }
}

async fn raw_events_are_as_they_are_stored(world: &World) {
    let node = world.node().await;
    let log = node.log("order").await.unwrap();
    let event = RawEvent::new("placed", 3, &b"\xa1\x61a\x01"[..]);
    log.append("o-1", [event.clone()]).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let notes = Notes::default();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let consumer = noting(&node, "noted", &notes)
        .raw(move |event: Consumed<RawEvent>| {
            let _ = told.send((event.kind().to_string(), event.event.clone()));
            async {}
        })
        .start()
        .await
        .unwrap();
    soon(consumer.live()).await.unwrap();
    // What has a handler of its kind goes there, all else here.
    assert_eq!(notes.cents(), [1]);
    let (kind, raw) = heard.try_recv().unwrap();
    assert_eq!((kind.as_str(), raw), ("order", event.at(Version(1))));
    assert!(heard.try_recv().is_err());
    consumer.stop().await.unwrap();
}

/// One slow subscriber held all others up, and who wrote too.
async fn defect_35_a_slow_consumer_holds_no_other_up(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let slow = node
        .consumer("slow")
        .kind::<Account>(|_: Consumed<AccountEvent>| std::future::pending::<()>())
        .start()
        .await
        .unwrap();
    let notes = Notes::default();
    let quick = noting(&node, "quick", &notes).start().await.unwrap();
    moved(&accounts, "alice", 1..=50).await;
    soon(quick.until_status(|status| status.handled == 50))
        .await
        .unwrap();
    soon(slow.until_status(|status| status.running == 1))
        .await
        .unwrap();
    assert_eq!(slow.status().handled, 0);
    quick.stop().await.unwrap();
    node.stop().await;
}

async fn it_begins_where_it_is_told(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let notes = Notes::default();
    let new = noting(&node, "new", &notes).from(Start::New).start().await;
    let new = new.unwrap();
    moved(&accounts, "alice", [4]).await;
    soon(new.until_status(|status| status.handled == 1))
        .await
        .unwrap();
    assert_eq!(notes.cents(), [4]);
    new.stop().await.unwrap();
    let beyond = tenure::consumer::Position::whole(Sequence(1_000));
    let refused = noting(&node, "beyond", &notes)
        .from(Start::After(vec![beyond]))
        .start()
        .await;
    assert!(
        matches!(refused, Err(ConsumerError::Fault(Fault::BadStart { .. }))),
        "{refused:?}"
    );
}

async fn it_begins_at_a_time_in_the_middle_of_a_log(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    // The first one that was stored in a later millisecond than these.
    let (first, at) = loop {
        let past = accounts.history("alice").unwrap().collect().await.unwrap();
        let [.., last] = past.as_slice() else {
            panic!("{past:?}");
        };
        if last.stored > past[2].stored {
            break (last.version.0 as i64, last.stored);
        }
        moved(&accounts, "alice", [past.len() as i64 + 1]).await;
    };
    moved(&accounts, "alice", [first + 1]).await;
    let notes = Notes::default();
    let consumer = noting(&node, "timed", &notes).from(Start::At(at));
    let consumer = consumer.start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(notes.cents(), [first, first + 1]);
    consumer.rewind(Start::At(at)).await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(notes.cents(), [first, first + 1, first, first + 1]);
    // Nothing was stored so late: it begins with what is new.
    let late = WallTime(at.0 + 3_600_000);
    consumer.rewind(Start::At(late)).await.unwrap();
    moved(&accounts, "alice", [first + 2]).await;
    soon(consumer.until_status(|status| status.handled == 5))
        .await
        .unwrap();
    assert_eq!(notes.cents().last(), Some(&(first + 2)));
    consumer.stop().await.unwrap();
}

async fn a_caller_waits_until_its_commit_was_seen(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let consumer = node
        .consumer("reads")
        .kind::<Account>(move |_: Consumed<AccountEvent>| {
            let held = Arc::clone(&held);
            async move { held.acquire().await.unwrap().forget() }
        })
        .start()
        .await
        .unwrap();
    let receipt = accounts
        .execute("alice", Move { cents: 1 })
        .receipt()
        .await
        .unwrap();
    let at = receipt.sequence.unwrap();
    let early = consumer.seen::<Account>("alice", at, Duration::from_millis(20));
    assert!(matches!(early.await, Err(SeenError::Deadline)));
    gate.add_permits(1);
    consumer.seen::<Account>("alice", at, SOON).await.unwrap();
    assert_eq!(consumer.status().handled, 1);
    consumer.stop().await.unwrap();
    let ended = consumer.seen::<Account>("alice", Sequence(99), SOON).await;
    assert!(matches!(
        ended,
        Err(SeenError::Consumer(ConsumerError::Stopped))
    ));
}

async fn many_events_come_each_once_and_in_order(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let notes = Notes::default();
    let consumer = noting(&node, "noted", &notes)
        .pace(|pace| {
            pace.prefetch_commits_max = 16;
            pace.batch_events_max = 4;
            pace.checkpoint_every = 50;
        })
        .start()
        .await
        .unwrap();
    let ids: Vec<String> = (0..20).map(|n| format!("account-{n}")).collect();
    let writes = ids.iter().map(|id| moved(&accounts, id, 1..=25));
    futures_util::future::join_all(writes).await;
    soon(consumer.until_status(|status| status.handled >= 500))
        .await
        .unwrap();
    for id in &ids {
        assert_eq!(notes.of(id), (1..=25).collect::<Vec<i64>>(), "{id}");
    }
    assert_eq!(node.counters().await.consumer_events, 500);
    consumer.stop().await.unwrap();
}

async fn several_streams_are_read_at_once(world: &World) {
    let node = world
        .start(Tenure::builder().namespace("wide").shards(16).streams(4))
        .await;
    let accounts = node.repository::<Account>().await.unwrap();
    let ids: Vec<String> = (0..24).map(|n| format!("account-{n}")).collect();
    for id in &ids {
        moved(&accounts, id, 1..=3).await;
    }
    let notes = Notes::default();
    let consumer = noting(&node, "noted", &notes).start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(consumer.status().positions.len(), 4);
    consumer.stop().await.unwrap();
    for id in &ids {
        moved(&accounts, id, [4]).await;
    }
    let consumer = noting(&node, "noted", &notes).start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(consumer.status().handled, 24);
    for id in &ids {
        assert_eq!(notes.of(id), [1, 2, 3, 4]);
    }
    consumer.stop().await.unwrap();
}

async fn a_name_belongs_to_one_definition(world: &World) {
    let node = world.node().await;
    let notes = Notes::default();
    let consumer = noting(&node, "noted", &notes).start().await.unwrap();
    consumer.stop().await.unwrap();
    let other = noting(&node, "noted", &notes).of_id("alice");
    let refused = other.start().await;
    assert!(
        matches!(
            refused,
            Err(ConsumerError::Fault(Fault::OtherDefinition { .. }))
        ),
        "{refused:?}"
    );
    let reset = noting(&node, "noted", &notes).of_id("alice");
    let consumer = reset.reset(Start::Beginning).start().await.unwrap();
    consumer.stop().await.unwrap();
}

async fn mistakes_are_told_before_anything_runs(world: &World) {
    let node = world.node().await;
    let none = node.consumer("idle").start().await;
    assert!(matches!(none, Err(ConsumerError::NoHandler { .. })));
    let notes = Notes::default();
    let name = noting(&node, "Big Name", &notes).start().await;
    assert!(matches!(name, Err(ConsumerError::Name(_))));
    let kind = noting(&node, "fine", &notes).of_kind("no.kind").start();
    assert!(matches!(kind.await, Err(ConsumerError::Name(_))));
    let both = noting(&node, "both", &notes)
        .batches(None, |_: tenure::consumer::EventBatch| async {})
        .start();
    assert!(matches!(both.await, Err(ConsumerError::TwoHandlers { .. })));
    let deaf = noting(&node, "deaf", &notes).of_kind("order").start().await;
    assert!(matches!(deaf, Err(ConsumerError::NoHandlerOf { .. })));
    let twice = noting(&node, "twice", &notes)
        .kind::<Account>(|_: Consumed<AccountEvent>| async {})
        .start();
    assert!(matches!(
        twice.await,
        Err(ConsumerError::HandlerTwice { .. })
    ));
}

async fn a_node_that_stops_ends_its_consumers(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let notes = Notes::default();
    let consumer = noting(&node, "noted", &notes).start().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    soon(consumer.until_status(|status| status.handled == 1))
        .await
        .unwrap();
    node.stop().await;
    consumer.ended().await.unwrap();
    let status = consumer.status();
    assert_eq!(status.state, State::Over);
    assert_eq!(status.saved, status.positions, "its checkpoint is stored");
    assert!(consumer.pause("ann").await.is_err());
}
