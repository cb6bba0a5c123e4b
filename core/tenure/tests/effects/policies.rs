//! Policies: each event leads to its commands, each of which takes effect once.

use super::SOON;
use crate::common::{World, on_both_shells};
use serde::{Deserialize, Serialize};
use tenure::consumer::{Consumed, ConsumerHandle, Policy, Reaction, Then};
use tenure::prelude::*;
use tenure::saga::{Process, Saga, SagaPhase, Start, Status, Step};
use tenure::{Fields, RawEvent};

on_both_shells!(
    what_happened_starts_a_saga_once,
    a_rewind_gives_no_command_again,
    a_command_that_is_not_taken_is_a_failure_of_its_event,
    what_one_event_became_several_of_leads_to_a_command_each,
    two_policies_react_each_for_itself,
);

/// A till: what was put in, and how many commands took effect.
#[derive(Clone, Debug, Default)]
struct Till {
    cents: i64,
    puts: u32,
}

#[derive(Clone, Debug, PartialEq, Event)]
enum TillEvent {
    #[event(name = "put", version = 1)]
    Put { cents: i64 },
}

macro_rules! message {
    ($name:ident $body:tt, $wire:literal) => {
        #[derive(Clone, Debug, Serialize, Deserialize, Message)]
        #[message(name = $wire, version = 1)]
        struct $name $body
    };
}
message!(Put { cents: i64 }, "put");
message!(Look {}, "look");

impl Aggregate for Till {
    type Event = TillEvent;
    const KIND: &'static str = "till";

    fn evolve(&mut self, event: &TillEvent) {
        let TillEvent::Put { cents } = event;
        self.cents += cents;
        self.puts += 1;
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

impl Decide<Put> for Till {
    type Reply = ();
    type Error = String;

    fn decide(&self, Put { cents }: &Put, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, String> {
        match self.cents + cents < 0 {
            true => Err(format!("there are {}", self.cents)),
            false => Ok(Decision::event(TillEvent::Put { cents: *cents })),
        }
    }
}

impl Answer<Look> for Till {
    type Reply = (i64, u32);

    fn answer(&self, _: &Look, _: &AnswerCx<'_>) -> (i64, u32) {
        (self.cents, self.puts)
    }
}

impl Entity for Till {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Put>().query::<Look>()
    }
}

/// What was put into a till once, in a log of its own: two puts were stored as one.
#[derive(Clone, Debug, Default)]
struct Cash;

impl Aggregate for Cash {
    type Event = TillEvent;
    const KIND: &'static str = "cash";

    fn evolve(&mut self, _: &TillEvent) {}

    fn upcasters() -> Upcasters {
        Upcasters::none().split(("put-twice", 1), [("put", 1)], |old: Fields, parts| {
            parts.fields(("put", 1), &old);
            parts.fields(("put", 1), &old);
        })
    }
}

/// Does nothing, as a whole.
struct Rest;

impl Process for Rest {
    const KIND: &'static str = "rest";
    type Input = i64;

    fn steps(_: &str, _: &i64) -> Vec<Step> {
        Vec::new()
    }
}

async fn node(world: &World) -> Tenure {
    let builder = Tenure::builder().namespace("bank").shards(4);
    let builder = builder.serve::<Till>().serve::<Saga<Rest>>();
    world.start(builder).await
}

async fn put(node: &Tenure, till: &str, cents: i64) {
    let asked = node.entity::<Till>(till).ask(Put { cents });
    asked.timeout(SOON).await.unwrap();
}

async fn look(node: &Tenure, till: &str) -> (i64, u32) {
    let look = node.entity::<Till>(till).read(Look {});
    let look = look.freshness(Freshness::Linearizable).timeout(SOON);
    look.await.unwrap()
}

/// Puts a tenth of what is put into a till beside it.
fn tithe(event: &Consumed<TillEvent>) -> Vec<Reaction> {
    let TillEvent::Put { cents } = event.event;
    match event.id().as_str().strip_prefix("till-") {
        Some(n) => {
            let cents = cents / 10;
            vec![Reaction::send::<Till, _>(
                format!("tithe-{n}"),
                Put { cents },
            )]
        }
        None => Vec::new(),
    }
}

async fn handled(consumer: &ConsumerHandle, events: u64) {
    let all = consumer.until_status(|status| status.handled >= events);
    match tokio::time::timeout(SOON, all).await {
        Ok(ended) => ended.unwrap(),
        Err(_) => panic!("{:?}", consumer.status()),
    }
}

async fn what_happened_starts_a_saga_once(world: &World) {
    let node = node(world).await;
    put(&node, "till-1", 100).await;
    put(&node, "till-1", 50).await;
    let consumer = node
        .consumer("rests")
        .react::<Till>(|event: &Consumed<TillEvent>| {
            let TillEvent::Put { cents } = event.event;
            vec![Reaction::send::<Saga<Rest>, _>(
                event.id().as_str(),
                Start(cents),
            )]
        })
        .start()
        .await
        .unwrap();
    handled(&consumer, 2).await;
    let saga = node.entity::<Saga<Rest>>("till-1");
    let status = saga.read(Status).await.unwrap();
    assert_eq!(status.phase, SagaPhase::Completed);
    consumer.stop().await.unwrap();
}

async fn a_rewind_gives_no_command_again(world: &World) {
    let node = node(world).await;
    for cents in [100, 200, 300] {
        put(&node, "till-1", cents).await;
    }
    let consumer = node.consumer("tithes").react::<Till>(tithe);
    let consumer = consumer.start().await.unwrap();
    handled(&consumer, 3).await;
    assert_eq!(look(&node, "tithe-1").await, (60, 3));
    consumer.rebuild().await.unwrap();
    // Those of the till, and of the one beside it.
    handled(&consumer, 9).await;
    assert_eq!(look(&node, "tithe-1").await, (60, 3));
    consumer.stop().await.unwrap();
    // Nor does another run of it that lost its checkpoint.
    node.consumers().forget("tithes").await.unwrap();
    let consumer = node.consumer("tithes").react::<Till>(tithe);
    let consumer = consumer.start().await.unwrap();
    handled(&consumer, 6).await;
    assert_eq!(look(&node, "tithe-1").await, (60, 3));
    consumer.stop().await.unwrap();
}

async fn a_command_that_is_not_taken_is_a_failure_of_its_event(world: &World) {
    let node = node(world).await;
    put(&node, "till-1", 100).await;
    let policy = Policy {
        retries_max: 1,
        delay_min: tenure::Span::from_millis(1),
        delay_max: tenure::Span::from_millis(1),
        then: Then::DeadLetter,
    };
    let consumer = node
        .consumer("takes")
        .failing(policy)
        .react::<Till>(|event: &Consumed<TillEvent>| match event.id().as_str() {
            "till-1" => vec![
                Reaction::send::<Till, _>("first", Put { cents: 1 }),
                Reaction::send::<Till, _>("second", Put { cents: -5 }),
            ],
            _ => Vec::new(),
        })
        .start()
        .await
        .unwrap();
    let aside = consumer.until_status(|status| status.dead_lettered == 1);
    tokio::time::timeout(SOON, aside).await.unwrap().unwrap();
    let letters = consumer.dead_letters();
    let letter = letters.all().await.unwrap().remove(0);
    let text = "till \"second\" did not take put";
    assert!(letter.text.contains(text), "{letter:?}");
    assert!(letter.text.contains("there are 0"), "{letter:?}");
    // Both tries gave the first command, which took effect once; so does a replay when it can.
    assert_eq!(look(&node, "first").await, (1, 1));
    put(&node, "second", 5).await;
    letters.replay(letter.place).await.unwrap();
    assert_eq!(look(&node, "second").await, (0, 2));
    assert_eq!(look(&node, "first").await, (1, 1));
    consumer.stop().await.unwrap();
}

async fn what_one_event_became_several_of_leads_to_a_command_each(world: &World) {
    let node = node(world).await;
    let log = node.log(Cash::KIND).await.unwrap();
    // A command of the same fields.
    let fields = Put { cents: 100 };
    let data = tenure::Codec::Cbor.encode(&fields).unwrap();
    let twice = RawEvent::new("put-twice", 1, data);
    log.append("till-1", [twice]).await.unwrap();
    let consumer = node.consumer("tithes").react::<Cash>(tithe);
    let consumer = consumer.start().await.unwrap();
    handled(&consumer, 1).await;
    assert_eq!(look(&node, "tithe-1").await, (20, 2));
    consumer.stop().await.unwrap();
}

async fn two_policies_react_each_for_itself(world: &World) {
    let node = node(world).await;
    put(&node, "till-1", 100).await;
    for name in ["one", "another"] {
        let consumer = node.consumer(name).react::<Till>(tithe);
        let consumer = consumer.start().await.unwrap();
        handled(&consumer, 1).await;
        consumer.stop().await.unwrap();
    }
    assert_eq!(look(&node, "tithe-1").await, (20, 2));
}
