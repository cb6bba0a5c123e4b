//! Events that are not handled: panics, what cannot be decoded, and dead letters.

use super::{Notes, brief, ending, moved, noting, soon};
use crate::common::{Account, AccountEvent, World, on_both_shells};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tenure::RawEvent;
use tenure::consumer::{
    Cause, Consumed, ConsumerError, Fault, LetterError, LetterRefusal, Policy, Then,
};
use tenure::prelude::*;

on_both_shells!(
    a_panic_is_a_failure_of_its_event,
    dead_letters_are_listed_looked_into_replayed_and_removed,
    an_event_that_nobody_registered_goes_by_its_own_policy,
    by_default_a_poison_event_ends_the_consumer_and_nothing_is_lost,
    what_is_skipped_is_counted,
);

async fn a_panic_is_a_failure_of_its_event(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let notes = Notes::default();
    let noted = notes.clone();
    let consumer = node
        .consumer("brittle")
        .failing(brief(1, Then::DeadLetter))
        .kind::<Account>(move |event: Consumed<AccountEvent>| {
            noted.note(&event);
            // One panics before the future is made, one in it.
            assert!(event.version != Version(1), "the first");
            async move { assert!(event.version != Version(2), "the second") }
        })
        .start()
        .await
        .unwrap();
    soon(consumer.live()).await.unwrap();
    let letters = consumer.dead_letters().all().await.unwrap();
    let told: Vec<(u64, u32, Cause)> = letters
        .iter()
        .map(|letter| (letter.version.0, letter.tries, letter.cause))
        .collect();
    assert_eq!(told, [(1, 2, Cause::Handler), (2, 2, Cause::Handler)]);
    assert!(letters[0].text.contains("it panicked: the first"));
    assert_eq!(notes.of("alice"), [1, 1, 2, 2, 3]);
    assert_eq!(consumer.status().handled, 1);
    consumer.stop().await.unwrap();
}

async fn dead_letters_are_listed_looked_into_replayed_and_removed(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let notes = Notes::default();
    let noted = notes.clone();
    let consumer = node
        .consumer("mails")
        .failing(brief(0, Then::DeadLetter))
        .kind::<Account>(move |event: Consumed<AccountEvent>| {
            noted.note(&event);
            let broken = is_broken.load(Ordering::Relaxed);
            async move {
                if broken {
                    Err("the mail server is gone")
                } else {
                    Ok(())
                }
            }
        })
        .start()
        .await
        .unwrap();
    moved(&accounts, "alice", 1..=3).await;
    moved(&accounts, "bob", [4]).await;
    soon(consumer.until_status(|status| status.dead_lettered == 4))
        .await
        .unwrap();
    assert_eq!(node.counters().await.consumer_dead_letters, 4);
    let letters = consumer.dead_letters();
    let all = letters.all().await.unwrap();
    assert_eq!(all.len(), 4);
    assert!(
        all.iter()
            .all(|letter| letter.text == "the mail server is gone")
    );
    let first = all
        .iter()
        .find(|letter| letter.version == Version(1))
        .unwrap();
    assert_eq!((first.event.as_str(), first.tries), ("moved", 1));
    let event = letters.look(first.place).await.unwrap();
    assert_eq!(
        (event.event.name.as_str(), event.version),
        ("moved", first.version)
    );
    // It still fails, and stays.
    let failed = letters.replay(first.place).await;
    assert!(
        matches!(
            failed,
            Err(LetterError::Refused(LetterRefusal::Failed { .. }))
        ),
        "{failed:?}"
    );
    assert_eq!(letters.replay_all().await.unwrap().1.len(), 4);
    broken.store(false, Ordering::Relaxed);
    letters.replay(first.place).await.unwrap();
    let again = letters.replay(first.place).await;
    assert!(matches!(
        again,
        Err(LetterError::Refused(LetterRefusal::None { .. }))
    ));
    let bob = all
        .iter()
        .find(|letter| letter.entity.as_str() == "bob")
        .unwrap();
    letters.remove(bob.place).await.unwrap();
    assert_eq!(letters.replay_all().await.unwrap().0, 2);
    assert!(letters.all().await.unwrap().is_empty());
    assert!(
        notes
            .all()
            .iter()
            .filter(|seen| seen.attempt > 1)
            .all(|seen| !seen.live)
    );
    consumer.stop().await.unwrap();
}

async fn an_event_that_nobody_registered_goes_by_its_own_policy(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    // A newer build wrote it.
    let newer = node.log("account").await.unwrap();
    newer
        .append("alice", [RawEvent::new("frozen", 1, &b"\xa0"[..])])
        .await
        .unwrap();
    moved_raw(&newer, "bob").await;
    let notes = Notes::default();
    let fault = ending(noting(&node, "strict", &notes)).await;
    assert!(
        fault.to_string().contains("has no event") && fault.to_string().contains("frozen"),
        "{fault}"
    );
    let consumer = noting(&node, "lenient", &notes)
        .undecodable(Policy {
            then: Then::DeadLetter,
            ..Policy::stop_at_once()
        })
        .start()
        .await
        .unwrap();
    soon(consumer.live()).await.unwrap();
    let letters = consumer.dead_letters().all().await.unwrap();
    let names: Vec<(&str, Cause)> = letters
        .iter()
        .map(|letter| (letter.event.as_str(), letter.cause))
        .collect();
    assert_eq!(names, [("frozen", Cause::Undecodable)]);
    consumer.stop().await.unwrap();
}

async fn moved_raw(log: &tenure::Log, id: &str) {
    let event = RawEvent::new("moved", 1, &b"\xa1\x65cents\x02"[..]);
    log.append(id, [event]).await.unwrap();
}

async fn by_default_a_poison_event_ends_the_consumer_and_nothing_is_lost(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let poisoned = node
        .consumer("stops")
        .failing(brief(2, Then::Stop))
        .kind::<Account>(|event: Consumed<AccountEvent>| async move {
            if event.version == Version(2) {
                return Err("no");
            }
            Ok(())
        });
    let ended = ending(poisoned).await;
    let ConsumerError::Fault(Fault::Poison { failure, .. }) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!((failure.tries, failure.text.as_str()), (3, "no"));
    // It is mended: from the event that failed on.
    let notes = Notes::default();
    let consumer = noting(&node, "stops", &notes).start().await.unwrap();
    soon(consumer.live()).await.unwrap();
    assert_eq!(notes.cents(), [2, 3]);
    consumer.stop().await.unwrap();
}

async fn what_is_skipped_is_counted(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=3).await;
    let consumer = node
        .consumer("skips")
        .failing(brief(0, Then::Skip))
        .kind::<Account>(|event: Consumed<AccountEvent>| async move {
            if event.version == Version(2) {
                Err("no")
            } else {
                Ok(())
            }
        })
        .start()
        .await
        .unwrap();
    soon(consumer.live()).await.unwrap();
    let status = consumer.status();
    assert_eq!((status.handled, status.skipped), (2, 1));
    assert_eq!(node.counters().await.consumer_skipped, 1);
    consumer.stop().await.unwrap();
}
