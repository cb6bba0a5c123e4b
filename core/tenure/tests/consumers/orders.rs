//! What a consumer is told: pause, resume, rewind, stop.

use super::{Notes, moved, noting, soon};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use std::sync::Arc;
use tenure::Sequence;
use tenure::consumer::{
    Consumed, ConsumerError, Position, RewindError, RewindRefusal, StallReason, Start,
};
use tenure::prelude::*;
use tokio::sync::Semaphore;

on_both_shells!(
    paused_it_hands_nothing_over_and_says_who_wanted_it,
    it_goes_where_it_is_rewound_to,
    past_the_head_is_no_place_to_go,
    a_stop_waits_for_the_handler,
    a_handler_that_does_not_end_is_told_and_left_at_the_end,
);

async fn paused_it_hands_nothing_over_and_says_who_wanted_it(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let notes = Notes::default();
    let consumer = noting(&node, "noted", &notes)
        .pace(|pace| pace.stall_after = tenure::Span::from_millis(50))
        .start()
        .await
        .unwrap();
    soon(consumer.live()).await.unwrap();
    consumer.pause("ann").await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    soon(consumer.until_status(|status| status.stalled.is_some()))
        .await
        .unwrap();
    let stalled = consumer.status().stalled.unwrap();
    assert_eq!(stalled.reason, StallReason::Paused { by: "ann".into() });
    assert!(notes.cents().is_empty());
    assert_eq!(node.counters().await.consumers_stalled, 1);
    consumer.resume().await.unwrap();
    soon(consumer.until_status(|status| status.handled == 3 && status.stalled.is_none()))
        .await
        .unwrap();
    assert_eq!(notes.cents(), [1, 2, 3]);
    consumer.stop().await.unwrap();
}

async fn it_goes_where_it_is_rewound_to(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let notes = Notes::default();
    let consumer = noting(&node, "noted", &notes).start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    let end = consumer.status().positions[0];
    consumer.rebuild().await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(consumer.status().generation, 2);
    assert_eq!(notes.cents(), [1, 2, 3, 1, 2, 3]);
    let before_last = Position::whole(Sequence(end.sequence.0 - 1));
    let there = consumer.rewind(Start::After(vec![before_last])).await;
    assert_eq!(there.unwrap(), [before_last]);
    soon(consumer.live()).await.unwrap();
    assert_eq!(notes.cents().split_off(6), [3]);
    consumer.rewind(Start::New).await.unwrap();
    moved(&accounts, "alice", [4]).await;
    soon(consumer.until_status(|status| status.handled == 8))
        .await
        .unwrap();
    assert_eq!(notes.cents().split_off(7), [4]);
    // The generation is in the checkpoint.
    consumer.stop().await.unwrap();
    let consumer = noting(&node, "noted", &notes).start().await.unwrap();
    assert_eq!(consumer.status().generation, 4);
    consumer.stop().await.unwrap();
}

async fn past_the_head_is_no_place_to_go(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let notes = Notes::default();
    let consumer = noting(&node, "noted", &notes).start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    let beyond = Position::whole(Sequence(1_000));
    let refused = consumer.rewind(Start::After(vec![beyond])).await;
    assert!(
        matches!(
            refused,
            Err(RewindError::Refused(RewindRefusal::PastHead { .. }))
        ),
        "{refused:?}"
    );
    let many = consumer.rewind(Start::After(vec![beyond; 3])).await;
    assert!(matches!(
        many,
        Err(RewindError::Refused(RewindRefusal::Streams {
            found: 3,
            ..
        }))
    ));
    // It goes on as before.
    moved(&accounts, "alice", [4]).await;
    soon(consumer.until_status(|status| status.handled == 4))
        .await
        .unwrap();
    assert_eq!(notes.cents(), [1, 2, 3, 4]);
    consumer.stop().await.unwrap();
}

async fn a_stop_waits_for_the_handler(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let consumer = node
        .consumer("held")
        .kind::<Account>(move |_: Consumed<AccountEvent>| {
            let held = Arc::clone(&held);
            async move { held.acquire().await.unwrap().forget() }
        })
        .start()
        .await
        .unwrap();
    soon(consumer.until_status(|status| status.running == 1))
        .await
        .unwrap();
    let stopping = tokio::spawn({
        let consumer = consumer.clone();
        async move { consumer.stop().await }
    });
    soon(consumer.until_status(|status| status.state == tenure::consumer::State::Stopping))
        .await
        .unwrap();
    gate.add_permits(1);
    assert_eq!(soon(stopping).await.unwrap().unwrap(), 0);
    let status = consumer.status();
    assert_eq!((status.handled, &status.saved), (1, &status.positions));
    assert!(matches!(consumer.live().await, Err(ConsumerError::Stopped)));
}

async fn a_handler_that_does_not_end_is_told_and_left_at_the_end(world: &World) {
    let patience = std::time::Duration::from_millis(300);
    let builder = Tenure::builder().namespace("bank").stop_timeout(patience);
    let node = world.start(builder).await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let consumer = node
        .consumer("hangs")
        .pace(|pace| pace.stall_after = tenure::Span::from_millis(50))
        .kind::<Account>(|_: Consumed<AccountEvent>| std::future::pending::<()>())
        .start()
        .await
        .unwrap();
    soon(consumer.until_status(|status| status.stalled.is_some()))
        .await
        .unwrap();
    let stalled = consumer.status().stalled.unwrap();
    assert!(
        matches!(stalled.reason, StallReason::Handler { place: Some(_), .. }),
        "{stalled:?}"
    );
    assert_eq!(consumer.stop().await.unwrap(), 1);
    // Its event comes again.
    let notes = Notes::default();
    let consumer = noting(&node, "hangs", &notes).start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(notes.cents(), [1]);
    consumer.stop().await.unwrap();
}
