//! A receiver that is away for long holds up nobody else of its shard.

use super::{SOON, until};
use crate::cluster::nodes::{self, wait};
use crate::common::{World, on_both_shells};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::effect::{EffectCall, EffectPolicy};
use tenure::prelude::*;
use tenure::{Builder, Cluster, Limits};

on_both_shells!(
    effects_that_cannot_be_done_hold_up_no_others_and_no_reminders,
    who_takes_over_does_what_was_left_for_a_receiver_that_was_away,
);

#[derive(Clone, Debug, Default)]
struct Parcel {
    called_for: bool,
}

#[derive(Clone, Debug, PartialEq, Event)]
enum ParcelEvent {
    #[event(name = "shipped", version = 1)]
    Shipped,
    #[event(name = "called-for", version = 1)]
    CalledFor,
}

macro_rules! message {
    ($name:ident $body:tt, $wire:literal) => {
        #[derive(Clone, Debug, Serialize, Deserialize, Message)]
        #[message(name = $wire, version = 1)]
        struct $name $body
    };
}
// Commands.
message!(Ship {}, "ship");
message!(Announce {}, "announce");
message!(CallFor {}, "call-for");
message!(IsCalledFor {}, "is-called-for");
// Effects.
message!(Label {}, "label");
message!(Note {}, "note");

impl Aggregate for Parcel {
    type Event = ParcelEvent;
    const KIND: &'static str = "parcel";

    fn evolve(&mut self, event: &ParcelEvent) {
        self.called_for |= *event == ParcelEvent::CalledFor;
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

type Decided = Result<Decision<Parcel, ()>, Never>;

impl Decide<Ship> for Parcel {
    type Reply = ();
    type Error = Never;

    fn decide(&self, _: &Ship, _: &DecideCx<'_>) -> Decided {
        Ok(Decision::event(ParcelEvent::Shipped).effect(Label {}))
    }
}

impl Decide<Announce> for Parcel {
    type Reply = ();
    type Error = Never;

    fn decide(&self, _: &Announce, _: &DecideCx<'_>) -> Decided {
        let announced = Decision::nothing(()).effect(Note {});
        Ok(announced.remind("call for", Duration::from_millis(1), CallFor {}))
    }
}

impl Decide<CallFor> for Parcel {
    type Reply = ();
    type Error = Never;

    fn decide(&self, _: &CallFor, _: &DecideCx<'_>) -> Decided {
        Ok(Decision::event(ParcelEvent::CalledFor))
    }
}

impl Answer<IsCalledFor> for Parcel {
    type Reply = bool;

    fn answer(&self, _: &IsCalledFor, _: &AnswerCx<'_>) -> bool {
        self.called_for
    }
}

impl Entity for Parcel {
    fn messages() -> Messages<Self> {
        let commands = Messages::new().command::<Ship>().command::<Announce>();
        commands.command::<CallFor>().query::<IsCalledFor>()
    }
}

/// What is done outside: labels while the printer works, and notes.
#[derive(Clone, Default)]
struct Outside {
    works: Arc<AtomicBool>,
    /// How often the label of each key was printed.
    labels: Arc<Mutex<BTreeMap<String, u32>>>,
    notes: Arc<Mutex<u32>>,
}

impl Outside {
    fn labels(&self) -> Vec<u32> {
        self.labels.lock().unwrap().values().copied().collect()
    }

    /// A node of one shard, with room for few messages that are not done.
    fn node(&self, name: &str) -> Builder {
        let mut limits = Limits::default();
        limits.undone_max = 8;
        limits.receiver_undone_max = 4;
        limits.index_page = 5;
        limits.later_delay_max = Duration::from_millis(200).into();
        let builder = nodes::node(Cluster::named(name)).shards(1).limits(limits);
        let (printer, post) = (self.clone(), self.clone());
        let policy = EffectPolicy::default().tries_max(u32::MAX);
        let builder = builder.effect(policy, move |call: EffectCall<Label>| {
            let works = printer.works.load(Ordering::Relaxed);
            if works {
                let mut labels = printer.labels.lock().unwrap();
                *labels.entry(call.key()).or_default() += 1;
            }
            async move { if works { Ok(()) } else { Err("no paper") } }
        });
        let builder = builder.effect(policy, move |_: EffectCall<Note>| {
            *post.notes.lock().unwrap() += 1;
            async {}
        });
        builder.serve::<Parcel>()
    }
}

async fn ship(node: &Tenure, parcels: std::ops::Range<u32>) {
    for n in parcels {
        let parcel = node.entity::<Parcel>(format!("parcel-{n}"));
        parcel.ask(Ship {}).timeout(SOON).await.unwrap();
    }
}

async fn effects_that_cannot_be_done_hold_up_no_others_and_no_reminders(world: &World) {
    let outside = Outside::default();
    let node = world.start(outside.node("a")).await;
    // The first few fail before the rest comes, so it is known that the printer is away.
    ship(&node, 0..4).await;
    until("a call that fails", || async {
        node.counters().await.effects_failed >= 4
    })
    .await;
    ship(&node, 4..60).await;
    let parcel = node.entity::<Parcel>("parcel-0");
    parcel.ask(Announce {}).timeout(SOON).await.unwrap();
    until("a note and a reminder", || async {
        let noted = *outside.notes.lock().unwrap() == 1;
        noted && parcel.read(IsCalledFor {}).await.unwrap()
    })
    .await;
    assert_eq!(node.counters().await.receivers_shelved, 1);
    assert!(outside.labels().is_empty());
    outside.works.store(true, Ordering::Relaxed);
    until("all labels", || async {
        let counters = node.counters().await;
        outside.labels().len() == 60 && counters.intents_undone == 0
    })
    .await;
    assert_eq!(outside.labels(), [1; 60]);
    assert_eq!(node.counters().await.receivers_shelved, 0);
}

async fn who_takes_over_does_what_was_left_for_a_receiver_that_was_away(world: &World) {
    let (broken, outside) = (Outside::default(), Outside::default());
    outside.works.store(true, Ordering::Relaxed);
    let first = world.start(broken.node("a")).await;
    wait(&first, |view| nodes::is_spread(view, &["a"])).await;
    ship(&first, 0..4).await;
    until("a call that fails", || async {
        first.counters().await.effects_failed >= 4
    })
    .await;
    ship(&first, 4..40).await;
    until("what is left in the log", || async {
        first.counters().await.receivers_shelved == 1
    })
    .await;
    // A planned hand-over writes the index, in which the printer is shelved.
    let second = world.start(outside.node("b")).await;
    first.stop().await;
    wait(&second, |view| nodes::is_spread(view, &["b"])).await;
    ship(&second, 40..50).await;
    until("all labels", || async { outside.labels().len() == 50 }).await;
    assert_eq!(outside.labels(), [1; 50]);
    let parcel = second.entity::<Parcel>("parcel-0");
    parcel.ask(Announce {}).timeout(SOON).await.unwrap();
    until("a note", || async { *outside.notes.lock().unwrap() == 1 }).await;
    assert_eq!(outside.labels(), [1; 50]);
}
