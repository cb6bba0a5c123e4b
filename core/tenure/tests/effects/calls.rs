//! Handlers of effects: at least once with one key, tried again, put aside, replayed.

use super::until;
use crate::cluster::nodes::{self, wait};
use crate::common::{World, on_both_shells_and_the_front};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::effect::{EffectCall, EffectPolicy};
use tenure::prelude::*;
use tenure::{Builder, Cluster};

on_both_shells_and_the_front!(
    an_effect_is_called_with_a_key_that_says_whose_it_is,
    what_fails_is_tried_again_with_the_same_key,
    what_fails_for_the_last_time_is_put_aside_and_can_be_replayed,
    a_replayed_effect_is_of_its_first_piece_of_work_and_trace,
    a_call_that_panics_or_does_not_end_has_failed,
    effects_of_a_node_that_died_are_done_by_who_takes_over,
);

/// What an order wants done outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "charge", version = 1)]
pub(crate) struct Charge {
    pub(crate) cents: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    placed: u64,
}

#[derive(Clone, Debug, PartialEq, Event)]
#[event(name = "placed", version = 1)]
pub(crate) struct Placed {
    cents: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "place", version = 1)]
pub(crate) struct Place {
    pub(crate) cents: u64,
}

impl Aggregate for Order {
    type Event = Placed;
    const KIND: &'static str = "order";

    fn evolve(&mut self, placed: &Placed) {
        self.placed += placed.cents;
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

impl Decide<Place> for Order {
    type Reply = ();
    type Error = Never;

    fn decide(&self, place: &Place, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let cents = place.cents;
        Ok(Decision::event(Placed { cents }).effect(Charge { cents }))
    }
}

impl Entity for Order {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Place>()
    }
}

/// What the outside was told: how often each key came, with what.
#[derive(Clone, Debug, Default)]
struct Outside(Arc<Mutex<BTreeMap<String, (u64, u32)>>>);

impl Outside {
    fn note(&self, call: &EffectCall<Charge>) {
        let mut told = self.0.lock().unwrap();
        let (cents, times) = told.entry(call.key()).or_default();
        *cents = call.effect.cents;
        *times += 1;
    }

    fn keys(&self) -> Vec<(u64, u32)> {
        self.0.lock().unwrap().values().copied().collect()
    }
}

/// A node that takes orders, of a cluster or alone.
fn ordering(name: &str) -> Builder {
    nodes::node(Cluster::named(name)).serve::<Order>()
}

/// A node whose charges are noted.
fn noting(name: &str, outside: &Outside) -> Builder {
    let outside = outside.clone();
    ordering(name).effect(EffectPolicy::default(), move |call: EffectCall<Charge>| {
        outside.note(&call);
        async {}
    })
}

async fn an_effect_is_called_with_a_key_that_says_whose_it_is(world: &World) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = Arc::clone(&seen);
    let builder = ordering("a").effect(EffectPolicy::default(), move |call: EffectCall<Charge>| {
        let (kind, id) = (call.kind().to_string(), call.id().as_str().to_owned());
        let work = call.metadata().correlation_id().map(str::to_owned);
        sees.lock()
            .unwrap()
            .push((kind, id, work, call.effect.cents, call.attempt()));
        async move { call.sleep(Duration::from_millis(1)).await }
    });
    let node = world.start(builder).await;
    let order = node.entity::<Order>("17");
    let place = order.ask(Place { cents: 900 }).timeout(super::SOON);
    place
        .metadata(Metadata::new().correlation("work"))
        .await
        .unwrap();
    until("the call", || async { !seen.lock().unwrap().is_empty() }).await;
    let expected = (
        "order".to_owned(),
        "17".to_owned(),
        Some("work".to_owned()),
        900,
        1,
    );
    assert_eq!(*seen.lock().unwrap(), [expected]);
    until("the end of the message", || async {
        node.counters().await.intents_done == 1
    })
    .await;
    assert_eq!(node.counters().await.effects_called, 1);
    assert!(
        node.dead_effects::<Charge>()
            .all()
            .await
            .unwrap()
            .is_empty()
    );
}

async fn what_fails_is_tried_again_with_the_same_key(world: &World) {
    let outside = Outside::default();
    let notes = outside.clone();
    let builder = ordering("a").effect(EffectPolicy::default(), move |call: EffectCall<Charge>| {
        notes.note(&call);
        let fails = call.attempt() < 4;
        async move {
            if fails {
                Err("the bank is closed")
            } else {
                Ok(())
            }
        }
    });
    let node = world.start(builder).await;
    let order = node.entity::<Order>("17");
    for cents in [5, 7] {
        order
            .ask(Place { cents })
            .timeout(super::SOON)
            .await
            .unwrap();
    }
    until("the last tries", || async {
        node.counters().await.intents_done == 2
    })
    .await;
    let mut told = outside.keys();
    told.sort_unstable();
    assert_eq!(told, [(5, 4), (7, 4)]);
    let counted = node.counters().await;
    assert_eq!((counted.effects_called, counted.effects_failed), (8, 6));
}

async fn what_fails_for_the_last_time_is_put_aside_and_can_be_replayed(world: &World) {
    let (outside, works) = (Outside::default(), Arc::new(AtomicBool::new(false)));
    let (notes, now) = (outside.clone(), Arc::clone(&works));
    let policy = EffectPolicy::default().tries_max(3);
    let builder = ordering("a").effect(policy, move |call: EffectCall<Charge>| {
        notes.note(&call);
        let works = now.load(Ordering::Relaxed);
        async move { if works { Ok(()) } else { Err("no such card") } }
    });
    let node = world.start(builder).await;
    for (id, cents) in [("17", 5), ("18", 7), ("19", 9)] {
        let order = node.entity::<Order>(id);
        order
            .ask(Place { cents })
            .timeout(super::SOON)
            .await
            .unwrap();
    }
    until("what is put aside", || async {
        node.counters().await.effects_aside == 3
    })
    .await;
    let dead = node.dead_effects::<Charge>();
    let letters = dead.all().await.unwrap();
    assert_eq!(letters.len(), 3, "{letters:?}");
    let letter = letters.iter().find(|letter| letter.id == "18").unwrap();
    assert_eq!((letter.kind.as_str(), letter.tries), ("order", 3));
    assert_eq!(letter.text, "no such card");
    assert_eq!(letter.decode::<Charge>().unwrap(), Charge { cents: 7 });
    // One that fails again is put aside again, under the same key.
    assert!(dead.replay(&letter.key).await.unwrap());
    until("the second time", || async {
        node.counters().await.effects_aside == 4
    })
    .await;
    let again = dead.all().await.unwrap();
    let same = again.iter().find(|other| other.key == letter.key);
    let same = same.map(|same| (same.kind.as_str(), same.id.as_str(), &same.text));
    assert_eq!(same, Some(("order", "18", &letter.text)), "{again:?}");
    let removed = letters.iter().find(|letter| letter.id == "19").unwrap();
    assert!(dead.remove(&removed.key).await.unwrap());
    assert!(!dead.remove(&removed.key).await.unwrap());
    works.store(true, Ordering::Relaxed);
    assert_eq!(dead.replay_all().await.unwrap(), 2);
    until("the replays", || async {
        dead.all().await.unwrap().is_empty()
    })
    .await;
    until("their calls", || async {
        let mut told = outside.keys();
        told.sort_unstable();
        told == [(5, 4), (7, 7), (9, 3)]
    })
    .await;
    assert!(!dead.replay("none").await.unwrap());
}

async fn a_replayed_effect_is_of_its_first_piece_of_work_and_trace(world: &World) {
    let (seen, works) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(AtomicBool::new(false)),
    );
    let (sees, now) = (Arc::clone(&seen), Arc::clone(&works));
    let policy = EffectPolicy::default().tries_max(1);
    let builder = ordering("a").effect(policy, move |call: EffectCall<Charge>| {
        sees.lock().unwrap().push(call.metadata().clone());
        let works = now.load(Ordering::Relaxed);
        async move { if works { Ok(()) } else { Err("no such card") } }
    });
    let node = world.start(builder).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let said = Metadata::new().correlation("basket-4");
    let said = said.traceparent(parent).unwrap().tracestate("shop=till-2");
    let order = node.entity::<Order>("17");
    let place = order.ask(Place { cents: 5 }).metadata(said.unwrap());
    place.timeout(super::SOON).await.unwrap();
    let dead = node.dead_effects::<Charge>();
    // Twice put aside, so that what is kept of it goes through a replay as well.
    for times in 1..3 {
        until("what is put aside", || async {
            node.counters().await.effects_aside == times
        })
        .await;
        let letters = dead.all().await.unwrap();
        let kept = letters[0].metadata();
        assert_eq!(kept.correlation_id(), Some("basket-4"));
        assert_eq!(kept.trace().unwrap().to_string(), parent);
        works.store(times == 2, Ordering::Relaxed);
        assert!(dead.replay(&letters[0].key).await.unwrap());
    }
    until("the calls", || async { seen.lock().unwrap().len() == 3 }).await;
    let seen = seen.lock().unwrap();
    for call in seen.iter() {
        assert_eq!(call.correlation_id(), Some("basket-4"));
        assert_eq!(call.causation_id(), seen[0].causation_id());
        let trace = call.trace().unwrap();
        assert_eq!(
            (trace.to_string().as_str(), trace.state()),
            (parent, "shop=till-2")
        );
    }
}

async fn a_call_that_panics_or_does_not_end_has_failed(world: &World) {
    let policy = EffectPolicy::default();
    let policy = policy.tries_max(2).timeout(Duration::from_millis(20));
    let builder = ordering("a").effect(policy, |call: EffectCall<Charge>| {
        assert_ne!(call.effect.cents, 3, "before it is a future");
        async move {
            match call.effect.cents {
                1 => panic!("it cannot be charged"),
                _ => std::future::pending::<()>().await,
            }
        }
    });
    let node = world.start(builder).await;
    for (id, cents) in [("17", 1), ("18", 2), ("19", 3)] {
        let order = node.entity::<Order>(id);
        order
            .ask(Place { cents })
            .timeout(super::SOON)
            .await
            .unwrap();
    }
    until("what is put aside", || async {
        node.counters().await.effects_aside == 3
    })
    .await;
    let letters = node.dead_effects::<Charge>().all().await.unwrap();
    let text = |id| &letters.iter().find(|letter| letter.id == id).unwrap().text;
    assert_eq!(text("17"), "it panicked: it cannot be charged");
    assert!(
        text("19").starts_with("it panicked: ") && text("19").contains("before it is a future"),
        "{}",
        text("19")
    );
    assert_eq!(text("18"), "it did not end within 20ms");
}

async fn effects_of_a_node_that_died_are_done_by_who_takes_over(world: &World) {
    // The first node never gets through to the outside.
    let policy = EffectPolicy::default();
    let deaf = ordering("a").effect(policy, |_: EffectCall<Charge>| async { Err("no way out") });
    let outside = Outside::default();
    let first = world.start(deaf).await;
    wait(&first, |view| nodes::is_spread(view, &["a"])).await;
    for n in 0..12 {
        let order = first.entity::<Order>(format!("order-{n}"));
        order
            .ask(Place { cents: n })
            .timeout(super::SOON)
            .await
            .unwrap();
    }
    // Without a stop it does not leave.
    drop(first);
    let second = world.start(noting("b", &outside)).await;
    wait(&second, |view| nodes::is_spread(view, &["b"])).await;
    until("all of them", || async { outside.keys().len() == 12 }).await;
    let cents: u64 = outside.keys().iter().map(|(cents, _)| cents).sum();
    assert_eq!(cents, 66);
}
