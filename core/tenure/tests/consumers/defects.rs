//! What other consumers get wrong, each as the test that it would fail.

use super::{Notes, brief, moved, noting, soon};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::consumer::{
    Consumed, ConsumerError, EventBatch, Fault, Logged, Measured, Position, Retried, Then,
    TimedOut, Traced,
};
use tenure::prelude::*;

on_both_shells!(
    defect_06_a_projection_holds_each_event_once_over_failures_and_restarts,
    defect_07_what_is_replayed_is_not_live,
    defect_07_a_retry_after_a_reconnect_is_not_live_twice,
    defect_08_middleware_hides_nothing_of_the_handler,
    defect_09_a_run_goes_on_from_the_checkpoint_and_reads_nothing_before_it,
    defect_10_what_was_not_in_the_checkpoint_comes_again,
    defect_34_a_poison_event_is_tried_ever_so_often_and_leaves_nothing_behind,
    defect_40_a_checkpoint_is_stored_in_catch_up_and_at_the_stop_whatever_else_is_in_the_log,
);

/// A state and where it stands, stored in one step.
#[derive(Debug, Default)]
struct Table {
    cents: i64,
    events: u64,
    upto: Option<Vec<Position>>,
}

/// After an error or a reconnect the projection applied events twice.
async fn defect_06_a_projection_holds_each_event_once_over_failures_and_restarts(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=20).await;
    let table = Arc::new(Mutex::new(Table::default()));
    let tries = Arc::new(AtomicU32::new(0));
    for run in 0..4 {
        moved(&accounts, "bob", 1..=5).await;
        let positions = table.lock().unwrap().upto.clone();
        let (own, tries) = (Arc::clone(&table), Arc::clone(&tries));
        let consumer = node
            .consumer("sums")
            .failing(brief(10, Then::Stop))
            .pace(|pace| pace.batch_events_max = 3)
            .batches(positions, move |batch: EventBatch| {
                // Every third batch fails after it was read, before it is stored.
                let fails = tries.fetch_add(1, Ordering::Relaxed) % 3 == 1;
                let own = Arc::clone(&own);
                async move {
                    if fails {
                        return Err("the database is gone");
                    }
                    let mut own = own.lock().unwrap();
                    for event in &batch.events {
                        assert_eq!(event.event.name, "moved");
                        own.events += 1;
                        let fields: std::collections::BTreeMap<String, i64> =
                            tenure::Codec::Cbor.decode(&event.event.data).unwrap();
                        own.cents += fields["cents"];
                    }
                    own.upto = Some(batch.upto);
                    Ok(())
                }
            })
            .start()
            .await
            .unwrap();
        soon(consumer.live()).await.unwrap();
        consumer.stop().await.unwrap();
        let table = table.lock().unwrap();
        assert_eq!(table.events, 20 + 5 * (run + 1), "run {run}");
        assert_eq!(table.cents, 210 + 15 * (i64::try_from(run).unwrap() + 1));
    }
}

/// What was replayed was told as live, and its side effects happened again.
async fn defect_07_what_is_replayed_is_not_live(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let notes = Notes::default();
    let consumer = noting(&node, "mails", &notes).start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    moved(&accounts, "alice", 4..=5).await;
    let seen = || notes.all().len() == 5;
    soon(consumer.until_status(|_| seen())).await.unwrap();
    let live: Vec<bool> = notes.all().iter().map(|seen| seen.live).collect();
    assert_eq!(live, [false, false, false, true, true]);
    // From the beginning: nothing of it is new.
    consumer.rebuild().await.unwrap();
    soon(consumer.live()).await.unwrap();
    consumer.stop().await.unwrap();
    let live = notes.all().split_off(5);
    assert_eq!(live.len(), 5);
    assert!(live.iter().all(|seen| !seen.live), "{live:?}");
}

/// In the run itself: what failed is tried again as what it was, and what was handled does not
/// come again.
async fn defect_07_a_retry_after_a_reconnect_is_not_live_twice(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let notes = Notes::default();
    let failing = Arc::new(AtomicU32::new(3));
    let (noted, fails) = (notes.clone(), Arc::clone(&failing));
    let consumer = node
        .consumer("mails")
        .failing(brief(10, Then::Stop))
        .kind::<Account>(move |event: Consumed<AccountEvent>| {
            noted.note(&event);
            let fails = event.id().as_str() == "bob"
                && fails
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                        left.checked_sub(1)
                    })
                    .is_ok();
            async move { if fails { Err("no") } else { Ok(()) } }
        })
        .start()
        .await
        .unwrap();
    moved(&accounts, "alice", [1]).await;
    moved(&accounts, "bob", [2]).await;
    soon(consumer.until_status(|status| status.handled == 2))
        .await
        .unwrap();
    let all = notes.all();
    let alice: Vec<_> = all.iter().filter(|seen| seen.id == "alice").collect();
    assert_eq!(alice.len(), 1, "what was handled came again: {all:?}");
    let bob = all.iter().filter(|seen| seen.id == "bob");
    let tries: Vec<(bool, u32)> = bob.map(|seen| (seen.live, seen.attempt)).collect();
    assert_eq!(tries, [(true, 1), (true, 2), (true, 3), (true, 4)]);
    consumer.stop().await.unwrap();
}

/// A middleware hid the handler's checkpoint, so that it began anew each time.
async fn defect_08_middleware_hides_nothing_of_the_handler(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let (notes, measured) = (Notes::default(), Measured::default());
    for run in 1..=3_i64 {
        moved(&accounts, "alice", [run]).await;
        let retried = Retried {
            times: 1,
            after: Duration::from_millis(1),
        };
        let consumer = noting(&node, "noted", &notes)
            .with(Logged)
            .with(Traced)
            .with(measured.clone())
            .with(retried)
            .with(TimedOut(Duration::from_secs(20)))
            .start()
            .await
            .unwrap();
        soon(consumer.live()).await.unwrap();
        consumer.stop().await.unwrap();
    }
    assert_eq!(notes.cents(), [1, 2, 3], "each run goes on");
    let measures = measured.all();
    assert_eq!(measures["moved"].handled, 3);
    assert_eq!(measures["moved"].failed, 0);
}

/// A checkpoint was stored and never used.
async fn defect_09_a_run_goes_on_from_the_checkpoint_and_reads_nothing_before_it(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=40).await;
    let notes = Notes::default();
    let consumer = noting(&node, "noted", &notes).start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    consumer.stop().await.unwrap();
    assert_eq!(notes.cents(), (1..=40).collect::<Vec<i64>>());
    moved(&accounts, "alice", 41..=42).await;
    // Another node, so another memory.
    let other = world.node().await;
    let consumer = noting(&other, "noted", &notes).start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(consumer.status().handled, 2, "it began anew");
    assert_eq!(notes.cents().split_off(40), [41, 42]);
    consumer.stop().await.unwrap();
}

/// At least once was called exactly once. It is said as it is: what was handled after the last
/// checkpoint comes again after a crash.
async fn defect_10_what_was_not_in_the_checkpoint_comes_again(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let notes = Notes::default();
    let consumer = noting(&node, "noted", &notes)
        .pace(|pace| pace.checkpoint_within = tenure::Span::from_secs(3_600))
        .start()
        .await
        .unwrap();
    soon(consumer.live()).await.unwrap();
    moved(&accounts, "alice", [7]).await;
    soon(consumer.until_status(|status| status.handled == 1))
        .await
        .unwrap();
    // The first one is as good as dead: it stores nothing more.
    let other = world.node().await;
    let successor = noting(&other, "noted", &notes).start().await.unwrap();
    soon(successor.live()).await.unwrap();
    assert_eq!(notes.cents(), [7, 7]);
    let ended = soon(consumer.stop()).await;
    assert!(
        matches!(ended, Err(ConsumerError::Fault(Fault::Superseded { .. }))),
        "no checkpoint of a run that was superseded is stored: {ended:?}"
    );
    successor.stop().await.unwrap();
}

/// Each retry of a poison event left something behind, and the waits never grew.
async fn defect_34_a_poison_event_is_tried_ever_so_often_and_leaves_nothing_behind(world: &World) {
    const TRIES: u32 = 200;
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=30).await;
    moved(&accounts, "bob", 1..=30).await;
    let notes = Notes::default();
    let noted = notes.clone();
    let consumer = node
        .consumer("poisoned")
        .failing(brief(TRIES - 1, Then::DeadLetter))
        .pace(|pace| pace.failing.delay_max = tenure::Span::from_millis(1))
        .kind::<Account>(move |event: Consumed<AccountEvent>| {
            noted.note(&event);
            let poison = event.id().as_str() == "alice" && event.version == Version(1);
            async move { if poison { Err("poison") } else { Ok(()) } }
        })
        .start()
        .await
        .unwrap();
    soon(consumer.until_status(|status| {
        assert!(status.running <= 2 && status.lag.events <= 60, "{status:?}");
        status.dead_lettered == 1
    }))
    .await
    .unwrap();
    soon(consumer.live()).await.unwrap();
    let all = notes.all();
    let tries = all
        .iter()
        .filter(|seen| seen.id == "alice" && seen.cents == 1);
    let tries: Vec<u32> = tries.map(|seen| seen.attempt).collect();
    assert_eq!(tries, (1..=TRIES).collect::<Vec<u32>>());
    assert_eq!(notes.of("bob").len(), 30, "others do not wait for it");
    let status = consumer.status();
    assert_eq!((status.failures, status.handled), (u64::from(TRIES), 59));
    assert!(status.lag.is_none(), "{status:?}");
    consumer.stop().await.unwrap();
}

/// Snapshots were taken when the global sequence could be divided by ten, so perhaps never, and
/// neither in catch-up nor at the stop.
async fn defect_40_a_checkpoint_is_stored_in_catch_up_and_at_the_stop_whatever_else_is_in_the_log(
    world: &World,
) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    for n in 1..=60 {
        moved(&accounts, "alice", [n]).await;
        // Nine of ten events are of others.
        moved(&accounts, "bob", [1; 2]).await;
    }
    let notes = Notes::default();
    let consumer = noting(&node, "alices", &notes)
        .of_id("alice")
        .pace(|pace| {
            pace.checkpoint_every = 10;
            pace.batch_events_max = 5;
            pace.prefetch_commits_max = 10;
        })
        .start()
        .await
        .unwrap();
    soon(consumer.live()).await.unwrap();
    let status = consumer.status();
    assert_eq!(status.handled, 60);
    assert!(status.checkpoints > 3, "{status:?}");
    moved(&accounts, "alice", [61]).await;
    soon(consumer.until_status(|status| status.handled == 61))
        .await
        .unwrap();
    consumer.stop().await.unwrap();
    let status = consumer.status();
    assert_eq!(status.saved, status.positions, "the stop stores it");
}
