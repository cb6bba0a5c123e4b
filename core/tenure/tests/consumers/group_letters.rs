//! The dead letters of a group: one that cannot be dealt with keeps nobody from the others.

use super::{brief, moved, soon};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use std::time::Duration;
use tenure::consumer::{Cause, Consumed, DeadLetter, EventPlace, LetterError, LetterRefusal, Then};
use tenure::prelude::*;
use tenure::{Bytes, MemShell};
use tenure_core::driver::Shell;
use tenure_core::format::Unknown;
use tenure_core::id::{LayoutId, Partition, WallTime};
use tenure_core::name::{ConsumerName, EntityId, KindName};
use tenure_core::port::{Expect, Publish, Rollup, StoreRequest};

on_both_shells!(a_letter_of_elsewhere_or_that_cannot_be_read_leaves_the_others);

/// A letter as it is in a namespace that this one was copied from.
fn of_elsewhere(place: EventPlace) -> Bytes {
    let letter = DeadLetter {
        layout: LayoutId(1),
        consumer: ConsumerName::new("mailer").unwrap(),
        place,
        kind: KindName::new("account").unwrap(),
        entity: EntityId::new("alice").unwrap(),
        version: Version(1),
        event: "moved".into(),
        cause: Cause::Handler,
        text: "no".into(),
        tries: 1,
        time: WallTime(1),
        generation: 1,
        unknown: Unknown::default(),
    };
    letter.encode()
}

async fn written(world: &World, place: EventPlace, payload: Bytes) {
    let subject = format!("bank.dlq.mailer.0.{}.0", place.sequence);
    match world.place().strip_prefix("mem:") {
        Some(name) => {
            let put = StoreRequest::Publish(Publish {
                stream: "bank_con".into(),
                subject: subject.as_str().into(),
                expect: Expect::Nothing,
                rollup: Rollup::No,
                dedup: None,
                ttl_s: None,
                payload,
            });
            let _ = MemShell::named(name).store(put).await;
        }
        #[cfg(feature = "nats")]
        None => {
            let client = async_nats::connect(world.place()).await.unwrap();
            let jetstream = async_nats::jetstream::new(client);
            let stored = jetstream.publish(subject, payload).await.unwrap();
            stored.await.unwrap();
        }
        #[cfg(not(feature = "nats"))]
        None => unreachable!("it is in memory"),
    }
}

fn place(sequence: u64) -> EventPlace {
    EventPlace {
        partition: Partition(0),
        sequence: tenure::Sequence(sequence),
        index: 0,
    }
}

async fn a_letter_of_elsewhere_or_that_cannot_be_read_leaves_the_others(world: &World) {
    let node = super::groups::node(world, "a").await;
    let first = |event: Consumed<AccountEvent>| async move {
        match event.attempt() {
            1 => Err("no"),
            _ => Ok(()),
        }
    };
    let group = node
        .consumer("mailer")
        .failing(brief(0, Then::DeadLetter))
        .kind::<Account>(first)
        .single_leader()
        .start()
        .await
        .unwrap();
    let letters = group.dead_letters();
    soon(async {
        while letters.all().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    written(world, place(7_000), of_elsewhere(place(7_000))).await;
    written(world, place(8_000), Bytes::from_static(b"damaged")).await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    soon(async {
        while letters.all().await.unwrap().len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let (handled, left) = letters.replay_all().await.unwrap();
    let left: Vec<_> = left.iter().map(|letter| letter.place).collect();
    assert_eq!((handled, left), (3, vec![place(7_000)]));
    let replayed = letters.replay(place(7_000)).await;
    assert!(
        matches!(
            replayed,
            Err(LetterError::Refused(LetterRefusal::Foreign { .. }))
        ),
        "{replayed:?}"
    );
    let unreadable = letters.unreadable().await.unwrap();
    let places: Vec<_> = unreadable.iter().map(|letter| letter.place).collect();
    assert_eq!(places, [Some(place(8_000))]);
    letters.remove(place(8_000)).await.unwrap();
    assert!(letters.unreadable().await.unwrap().is_empty());
    node.stop().await;
}
