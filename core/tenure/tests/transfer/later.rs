//! Timers that are armed and messages that are not done go along, and those that are done do not come again.

use crate::common::{World, on_both_shells};
use crate::transfer::{FORMATS, Scratch, export, import};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::prelude::*;
use tenure::transfer::ImportOptions;
use tenure::{Builder, EntityRef};

on_both_shells!(
    a_reminder_comes_in_the_namespace_that_it_was_imported_into,
    a_message_that_is_not_done_is_delivered_there_and_others_are_not,
);

const PATIENCE: Duration = Duration::from_secs(30);

macro_rules! message {
    ($name:ident $body:tt, $wire:literal) => {
        #[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
        #[message(name = $wire, version = 1)]
        struct $name $body
    };
}

message!(
    Arm {
        in_ms: u64,
        name: u32
    },
    "arm"
);
message!(Disarm { name: u32 }, "disarm");
message!(Ring {}, "ring");
message!(Tell {}, "tell");
message!(Hear {}, "hear");
message!(Look {}, "look");

/// A bell that rings when it is time, and tells an ear.
#[derive(Clone, Debug, Default)]
struct Bell {
    rung: u32,
}

#[derive(Clone, Debug, PartialEq, Event)]
enum BellEvent {
    #[event(name = "set", version = 1)]
    Set,
    #[event(name = "rung", version = 1)]
    Rung,
}

impl Aggregate for Bell {
    type Event = BellEvent;
    const KIND: &'static str = "bell";

    fn evolve(&mut self, event: &BellEvent) {
        self.rung += u32::from(*event == BellEvent::Rung);
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

/// An ear that counts what it hears.
#[derive(Clone, Debug, Default)]
struct Ear {
    heard: u32,
}

#[derive(Clone, Debug, PartialEq, Event)]
#[event(name = "heard", version = 1)]
struct Heard;

impl Aggregate for Ear {
    type Event = Heard;
    const KIND: &'static str = "ear";

    fn evolve(&mut self, _: &Heard) {
        self.heard += 1;
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

macro_rules! decides {
    ($kind:ident, $command:ident, $what:ident => $decision:expr) => {
        impl Decide<$command> for $kind {
            type Reply = ();
            type Error = Never;

            fn decide(
                &self,
                $what: &$command,
                _: &DecideCx<'_>,
            ) -> Result<Decision<Self, ()>, Never> {
                let _ = $what;
                Ok($decision)
            }
        }
    };
}

decides!(Bell, Arm, arm => {
    let due = Duration::from_millis(arm.in_ms);
    Decision::event(BellEvent::Set).remind(format!("bell-{}", arm.name), due, Ring {})
});
decides!(Bell, Disarm, disarm => {
    Decision::event(BellEvent::Set).cancel(format!("bell-{}", disarm.name))
});
decides!(Bell, Ring, ring => Decision::event(BellEvent::Rung));
decides!(Bell, Tell, tell => Decision::event(BellEvent::Set).send::<Ear>("ear", Hear {}));
decides!(Ear, Hear, hear => Decision::event(Heard));

impl Answer<Look> for Bell {
    type Reply = u32;

    fn answer(&self, _: &Look, _: &AnswerCx<'_>) -> u32 {
        self.rung
    }
}

impl Answer<Look> for Ear {
    type Reply = u32;

    fn answer(&self, _: &Look, _: &AnswerCx<'_>) -> u32 {
        self.heard
    }
}

impl Entity for Bell {
    fn messages() -> Messages<Self> {
        let messages = Messages::new().command::<Arm>().command::<Disarm>();
        messages.command::<Ring>().command::<Tell>().query::<Look>()
    }
}

impl Entity for Ear {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Hear>().query::<Look>()
    }
}

fn bells(namespace: &str) -> Builder {
    Tenure::builder().namespace(namespace).serve::<Bell>()
}

async fn until<A: Entity + Answer<Look, Reply = u32>>(entity: &EntityRef<A>, count: u32) {
    let so = async {
        while entity.read(Look {}).await.ok() != Some(count) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, so).await;
    assert!(waited.is_ok(), "{entity:?} is not at {count}");
}

async fn a_reminder_comes_in_the_namespace_that_it_was_imported_into(world: &World) {
    let node = world.start(bells("bank").shards(4)).await;
    let bell = node.entity::<Bell>("bell");
    // One in a moment, one that is called off, one that is far.
    bell.ask(Arm {
        in_ms: 1_000,
        name: 1,
    })
    .await
    .unwrap();
    bell.ask(Arm {
        in_ms: 1_000,
        name: 2,
    })
    .await
    .unwrap();
    bell.ask(Disarm { name: 2 }).await.unwrap();
    bell.ask(Arm {
        in_ms: 86_400_000,
        name: 3,
    })
    .await
    .unwrap();
    node.stop().await;
    for (n, format) in FORMATS.into_iter().enumerate() {
        let file = Scratch::new();
        export(world, &file, format).await;
        let target = format!("bank-{n}");
        let options = ImportOptions::new(&target).shards(9);
        import(world, options, &file).await.unwrap();
        let node = world.start(bells(&target)).await;
        let bell = node.entity::<Bell>("bell");
        until(&bell, 1).await;
        let counters = node.counters().await;
        assert_eq!((counters.timers_fired, counters.timers_armed), (1, 1));
        node.stop().await;
    }
}

async fn a_message_that_is_not_done_is_delivered_there_and_others_are_not(world: &World) {
    let node = world.start(bells("bank").shards(4).serve::<Ear>()).await;
    node.entity::<Bell>("bell").ask(Tell {}).await.unwrap();
    until(&node.entity::<Ear>("ear"), 1).await;
    node.stop().await;
    // A node that has no ears cannot deliver.
    let node = world.start(bells("bank")).await;
    node.entity::<Bell>("bell").ask(Tell {}).await.unwrap();
    node.entity::<Bell>("other").ask(Tell {}).await.unwrap();
    node.stop().await;
    for (n, format) in FORMATS.into_iter().enumerate() {
        let file = Scratch::new();
        export(world, &file, format).await;
        let target = format!("bank-{n}");
        let options = ImportOptions::new(&target).shards(9);
        import(world, options, &file).await.unwrap();
        let node = world.start(bells(&target).serve::<Ear>()).await;
        for bell in ["bell", "other"] {
            // A lone node owns what it is asked.
            node.entity::<Bell>(bell).read(Look {}).await.unwrap();
        }
        until(&node.entity::<Ear>("ear"), 3).await;
        node.stop().await;
    }
}
