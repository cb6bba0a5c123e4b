//! The lag of a consumer that stands still grows with the log.

use super::{Notes, moved, noting, soon};
use crate::common::{Account, World, on_both_shells};
use std::time::Duration;
use tenure::consumer::{Lag, Status};

on_both_shells!(the_lag_of_a_consumer_that_holds_all_it_may_grows);

async fn the_lag_of_a_consumer_that_holds_all_it_may_grows(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let notes = Notes::default();
    let consumer = noting(&node, "paused", &notes).pace(|pace| {
        pace.prefetch_commits_max = 2;
        pace.look_every = tenure::Span::from_millis(50);
    });
    let consumer = consumer.start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    consumer.pause("ann").await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    soon(consumer.until_status(|status| status.lag.events == 2))
        .await
        .unwrap();
    let before = consumer.status().lag;
    // Nothing is fetched any more. What comes before it looks at the end first may be in no count.
    let mut all = 3;
    let grows = async {
        while consumer.status().lag.commits < before.commits + 6 {
            all += 1;
            moved(&accounts, "alice", [all]).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(grows).await;
    let lag = consumer.status().lag;
    assert_eq!(lag.events, 2);
    assert_eq!(lag.oldest, before.oldest);
    let aged = consumer.until_status(|status| status.lag.age > lag.age);
    soon(aged).await.unwrap();
    let counters = node.counters().await;
    assert!(counters.consumer_lag_commits >= lag.commits);
    assert!(counters.consumer_lag_ms > lag.age.as_millis());
    consumer.resume().await.unwrap();
    let done = |status: &Status| status.handled == all as u64 && status.lag == Lag::default();
    soon(consumer.until_status(done)).await.unwrap();
    assert_eq!(notes.cents(), (1..=all).collect::<Vec<_>>());
    consumer.stop().await.unwrap();
}
