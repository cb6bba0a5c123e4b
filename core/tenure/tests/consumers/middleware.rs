//! What each middleware does, and where none stands.

use super::{brief, ending, moved, noting, soon};
use crate::common::{Account, AccountEvent, Heard, World, on_both_shells};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::consumer::{
    Consumed, ConsumerBuilder, ConsumerError, EventBatch, EventInfo, HandlerError, Logged,
    Measured, Middleware, Next, Retried, Then, TimedOut, Traced,
};
use tenure::prelude::*;

on_both_shells!(
    a_handler_that_takes_too_long_is_dropped_and_has_failed,
    a_handler_is_tried_again_before_its_policy,
    what_fails_each_time_is_left_to_the_policy,
    what_is_handled_and_what_fails_is_counted,
    what_is_handled_and_what_fails_is_logged,
    a_handler_runs_in_the_span_of_its_event,
    the_first_one_is_the_outermost,
    there_is_none_around_batches,
);

/// A consumer whose first tries fail.
fn failing(node: &Tenure, tries: u32) -> (ConsumerBuilder, Arc<AtomicU32>) {
    let tried = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tried);
    let consumer = node
        .consumer("failing")
        .failing(brief(10, Then::Stop))
        .kind::<Account>(move |_: Consumed<AccountEvent>| {
            let fails = count.fetch_add(1, Ordering::Relaxed) < tries;
            async move { if fails { Err("not yet") } else { Ok(()) } }
        });
    (consumer, tried)
}

/// Runs a consumer until it has caught up.
async fn run(consumer: ConsumerBuilder) -> tenure::consumer::Status {
    let consumer = consumer.start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    consumer.stop().await.unwrap();
    consumer.status()
}

async fn a_handler_that_takes_too_long_is_dropped_and_has_failed(world: &World) {
    struct Dropped(Arc<AtomicU32>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let dropped = Arc::new(AtomicU32::new(0));
    let drops = Arc::clone(&dropped);
    let consumer = node
        .consumer("slow")
        .failing(brief(1, Then::DeadLetter))
        .with(TimedOut(Duration::from_millis(5)))
        .kind::<Account>(move |_: Consumed<AccountEvent>| {
            let held = Dropped(Arc::clone(&drops));
            async move {
                std::future::pending::<()>().await;
                drop(held);
            }
        })
        .start()
        .await
        .unwrap();
    soon(consumer.live()).await.unwrap();
    let letters = consumer.dead_letters().all().await.unwrap();
    assert_eq!(letters[0].text, "it took longer than 5ms");
    assert_eq!((letters[0].tries, dropped.load(Ordering::Relaxed)), (2, 2));
    consumer.stop().await.unwrap();
}

async fn a_handler_is_tried_again_before_its_policy(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let retried = Retried {
        times: 2,
        after: Duration::from_millis(1),
    };
    let (consumer, tried) = failing(&node, 2);
    let status = run(consumer.with(retried)).await;
    assert_eq!((status.handled, status.failures), (1, 0));
    assert_eq!(tried.load(Ordering::Relaxed), 3);
}

async fn what_fails_each_time_is_left_to_the_policy(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let retried = Retried {
        times: 1,
        after: Duration::from_millis(1),
    };
    let (consumer, tried) = failing(&node, 3);
    let status = run(consumer.with(retried)).await;
    assert_eq!((status.handled, status.failures), (1, 1));
    assert_eq!(tried.load(Ordering::Relaxed), 4);
}

async fn what_is_handled_and_what_fails_is_counted(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1, 2]).await;
    let measured = Measured::default();
    let (consumer, _) = failing(&node, 3);
    let consumer = consumer.with(measured.clone()).start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    moved(&accounts, "alice", [3]).await;
    soon(consumer.until_status(|status| status.handled == 3))
        .await
        .unwrap();
    consumer.stop().await.unwrap();
    let measures = measured.all()["moved"];
    assert_eq!((measures.handled, measures.failed), (3, 3));
    assert_eq!(measures.live, 1);
    assert!(measures.longest <= measures.time, "{measures:?}");
}

async fn what_is_handled_and_what_fails_is_logged(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let (heard, _guard) = Heard::begin();
    let (consumer, _) = failing(&node, 1);
    run(consumer.with(Logged)).await;
    let of_alice = "name=\"moved\" id=alice";
    let failed = heard.with(&["event_failed", "consumer=\"failing\"", of_alice]);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].contains("error=not yet"), "{failed:?}");
    let handled = heard.with(&["event_handled", "consumer=\"failing\"", of_alice]);
    assert_eq!(handled.len(), 1, "{handled:?}");
}

async fn a_handler_runs_in_the_span_of_its_event(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let (heard, _guard) = Heard::begin();
    let consumer =
        node.consumer("traced")
            .with(Traced)
            .kind::<Account>(|_: Consumed<AccountEvent>| async {
                tokio::task::yield_now().await;
                tracing::info!("in the handler");
            });
    run(consumer).await;
    let told = heard.with(&["in the handler"]);
    assert_eq!(told.len(), 1, "{told:?}");
    let span = "event{consumer=\"traced\" name=\"moved\" id=alice";
    assert!(told[0].starts_with(span), "{told:?}");
}

/// Says when it begins and ends.
struct Says(&'static str, Arc<Mutex<Vec<String>>>);

impl Middleware for Says {
    async fn around(&self, event: &EventInfo<'_>, next: Next<'_>) -> Result<(), HandlerError> {
        let say = |what| {
            let line = format!("{} {what} {}", self.0, event.place.index);
            self.1.lock().unwrap().push(line);
        };
        say("begins");
        let handled = next.run().await;
        say("ends");
        handled
    }
}

async fn the_first_one_is_the_outermost(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let said = Arc::new(Mutex::new(Vec::new()));
    let (outer, inner) = (Says("a", said.clone()), Says("b", said.clone()));
    let consumer = noting(&node, "noted", &super::Notes::default());
    run(consumer.with(outer).with(inner)).await;
    let said = said.lock().unwrap().clone();
    assert_eq!(said, ["a begins 0", "b begins 0", "b ends 0", "a ends 0"]);
}

async fn there_is_none_around_batches(world: &World) {
    let node = world.node().await;
    let consumer = node
        .consumer("sums")
        .with(Logged)
        .batches(None, |_: EventBatch| async {});
    let error = ending(consumer).await;
    assert!(
        matches!(error, ConsumerError::BatchMiddleware { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("around which none stands"));
}
