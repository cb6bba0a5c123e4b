//! Entities with owners: deleted from any node, after their messages, with their reminders.

use super::SOON;
use crate::common::{Count, Put, Till, World, on_both_shells};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::prelude::*;
use tenure::{Cluster, Delete};

on_both_shells!(
    any_node_deletes_and_the_owner_does_it,
    messages_are_delivered_and_reminders_go,
    a_deletion_in_vain_says_what_it_waited_for,
    an_entity_deletes_itself_by_a_reminder,
    an_entity_deletes_another_by_a_message,
    one_that_sends_with_each_command_is_deleted,
    two_that_delete_each_other_are_deleted,
);

async fn any_node_deletes_and_the_owner_does_it(world: &World) {
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        let cluster = Cluster::named(name).settle(Duration::from_millis(50));
        let node = Tenure::builder().namespace("bank").shards(8).streams(1);
        nodes.push(world.start(node.cluster(cluster).serve::<Till>()).await);
    }
    for n in 0..8 {
        let id = format!("till-{n}");
        let tills: Vec<_> = nodes.iter().map(|node| node.entity::<Till>(&id)).collect();
        tills[0].ask(Put { cents: 5 }).timeout(SOON).await.unwrap();
        let id = nodes[1].command_id();
        for till in &tills {
            till.delete().id(id).timeout(SOON).await.unwrap();
            let read = till.read(Count).timeout(SOON).await.unwrap();
            assert_eq!(read, (0, Version::ABSENT));
        }
        let created = tills[1].ask(Put { cents: 2 }).creating();
        assert_eq!(created.timeout(SOON).await.unwrap(), 2);
        let read = tills[0].read(Count).timeout(SOON).await.unwrap();
        assert_eq!(read, (2, Version(3)));
    }
    for node in &nodes {
        assert_eq!(node.counters().await.halts, 0);
    }
}

/// Notes what it is told.
#[derive(Clone, Debug, Default)]
struct Note(u32);

#[derive(Debug, Event)]
#[event(name = "noted", version = 1)]
struct Noted;

impl Aggregate for Note {
    type Event = Noted;
    const KIND: &'static str = "note";

    fn evolve(&mut self, _: &Noted) {
        self.0 += 1;
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

macro_rules! message {
    ($name:ident $body:tt, $wire:literal) => {
        #[derive(Clone, Debug, Serialize, Deserialize, Message)]
        #[message(name = $wire, version = 1)]
        struct $name $body
    };
}

message!(Take { tell: Option<String>, delete: Option<String>, after_ms: u64, then_delete: bool }, "take");
message!(Choke { other: String }, "choke");
message!(Swallow {}, "swallow");
message!(Look {}, "look");

impl Take {
    fn plain() -> Self {
        Self {
            tell: None,
            delete: None,
            after_ms: 0,
            then_delete: false,
        }
    }
}

impl Decide<Take> for Note {
    type Reply = u32;
    type Error = Never;

    fn decide(&self, take: &Take, _: &DecideCx<'_>) -> Result<Decision<Self, u32>, Never> {
        let mut decision = Decision::event(Noted).reply(self.0 + 1);
        if let Some(other) = &take.tell {
            decision = decision.send::<Self>(other, Take::plain());
        }
        if let Some(other) = &take.delete {
            decision = decision.send::<Self>(other, Delete);
        }
        let after = Duration::from_millis(take.after_ms);
        Ok(match (take.after_ms, take.then_delete) {
            (0, _) => decision,
            (_, true) => decision.remind("end", after, Delete),
            (_, false) => decision.remind("again", after, Take::plain()),
        })
    }
}

impl Decide<Choke> for Note {
    type Reply = ();
    type Error = Never;

    fn decide(&self, choke: &Choke, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        Ok(Decision::event(Noted).send::<Self>(&choke.other, Swallow {}))
    }
}

impl Decide<Swallow> for Note {
    type Reply = ();
    type Error = Never;

    fn decide(&self, _: &Swallow, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        panic!("it chokes")
    }
}

impl Answer<Look> for Note {
    type Reply = u32;

    fn answer(&self, _: &Look, _: &AnswerCx<'_>) -> u32 {
        self.0
    }
}

impl Entity for Note {
    fn messages() -> Messages<Self> {
        Messages::new()
            .command::<Take>()
            .command::<Choke>()
            .command::<Swallow>()
            .query::<Look>()
    }
}

async fn notes(world: &World) -> Tenure {
    let builder = Tenure::builder().namespace("bank").serve::<Note>();
    world.start(builder).await
}

/// Waits until an entity has noted so much.
async fn until(node: &Tenure, id: &str, noted: u32) {
    let look = async {
        while node.entity::<Note>(id).read(Look {}).await.unwrap() != noted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let came = tokio::time::timeout(SOON, look).await;
    assert!(came.is_ok(), "{id} never came to {noted}");
}

async fn messages_are_delivered_and_reminders_go(world: &World) {
    let node = notes(world).await;
    let alice = node.entity::<Note>("alice");
    let take = Take {
        tell: Some("bob".into()),
        after_ms: 400,
        ..Take::plain()
    };
    alice.ask(take).await.unwrap();
    alice.delete().timeout(SOON).await.unwrap();
    // The deletion waited for the message.
    until(&node, "bob", 1).await;
    // A later reminder of another entity comes, and the earlier one of the deleted entity does not.
    let later = Take {
        after_ms: 600,
        ..Take::plain()
    };
    node.entity::<Note>("carol").ask(later).await.unwrap();
    until(&node, "carol", 2).await;
    assert_eq!(alice.read(Look {}).await.unwrap(), 0);
    assert_eq!(node.counters().await.halts, 0);
}

async fn a_deletion_in_vain_says_what_it_waited_for(world: &World) {
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        let cluster = Cluster::named(name).settle(Duration::from_millis(50));
        let node = Tenure::builder().namespace("bank").shards(2).streams(1);
        nodes.push(world.start(node.cluster(cluster).serve::<Note>()).await);
    }
    let other = "bob".to_owned();
    let choke = nodes[0].entity::<Note>("alice").ask(Choke { other });
    choke.timeout(SOON).await.unwrap();
    for (noted, node) in (2..).zip(&nodes) {
        let alice = node.entity::<Note>("alice");
        let told = async {
            loop {
                let deleted = alice.delete().timeout(Duration::from_secs(2)).await;
                match deleted.unwrap_err() {
                    AskError::Execute(ExecuteError::Undelivered { undelivered, .. }) => {
                        return undelivered;
                    }
                    // A machine under load may be late.
                    error @ (AskError::Execute(_) | AskError::Route(_) | _) => {
                        assert!(error.is_unknown(), "{error}");
                    }
                }
            }
        };
        // Others pass it.
        let others = async {
            let ask = alice.ask(Take::plain()).timeout(SOON);
            assert_eq!(ask.await.unwrap(), noted);
            until(node, "alice", noted).await;
        };
        let (undelivered, ()) = tokio::join!(told, others);
        assert_eq!((undelivered.messages, &*undelivered.to), (1, "note/bob"));
    }
    assert_eq!(nodes[0].counters().await.halts, 0);
}

async fn an_entity_deletes_itself_by_a_reminder(world: &World) {
    let node = notes(world).await;
    let take = Take {
        after_ms: 20,
        then_delete: true,
        ..Take::plain()
    };
    node.entity::<Note>("alice").ask(take).await.unwrap();
    until(&node, "alice", 0).await;
    let notes = node.repository::<Note>().await.unwrap();
    assert!(!notes.exists("alice").await.unwrap());
    let mut history = notes.history("alice").unwrap();
    assert!(history.next().await.unwrap().is_none());
}

async fn an_entity_deletes_another_by_a_message(world: &World) {
    let node = notes(world).await;
    node.entity::<Note>("bob").ask(Take::plain()).await.unwrap();
    let take = Take {
        delete: Some("bob".into()),
        ..Take::plain()
    };
    node.entity::<Note>("alice").ask(take).await.unwrap();
    until(&node, "bob", 0).await;
}

async fn one_that_sends_with_each_command_is_deleted(world: &World) {
    let node = notes(world).await;
    let alice = node.entity::<Note>("alice");
    let busy = async || {
        loop {
            let take = Take {
                tell: Some("bob".into()),
                ..Take::plain()
            };
            // One that comes behind the deletion waits for it.
            alice.ask(take).timeout(SOON).await.unwrap();
        }
    };
    let deleted = async {
        while node.entity::<Note>("bob").read(Look {}).await.unwrap() < 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        alice.delete().timeout(SOON).await
    };
    tokio::select! {
        () = busy() => {}
        () = busy() => {}
        () = busy() => {}
        () = busy() => {}
        deleted = deleted => deleted.unwrap(),
    }
}

async fn two_that_delete_each_other_are_deleted(world: &World) {
    let node = notes(world).await;
    let (alice, bob) = (node.entity::<Note>("alice"), node.entity::<Note>("bob"));
    let take = |other: &str| Take {
        delete: Some(other.into()),
        ..Take::plain()
    };
    let both = tokio::join!(
        async { alice.ask(take("bob")).timeout(SOON).await },
        async { bob.ask(take("alice")).timeout(SOON).await },
    );
    both.0.unwrap();
    both.1.unwrap();
    until(&node, "alice", 0).await;
    until(&node, "bob", 0).await;
    assert_eq!(node.counters().await.halts, 0);
}

/// Streams of three replicas: a batch in owned mode, a single message in direct mode.
#[cfg(feature = "nats")]
#[tokio::test]
async fn a_replicated_stream_takes_tombstones() {
    use crate::common::{Account, Move, open};
    let servers = tenure_nats_server::Cluster::start(3).expect("three nats-servers");
    let builder = Tenure::builder().namespace("bank").streams(1);
    let node = builder.serve::<Till>().start(servers.url()).await;
    let node = node.expect("a node");
    let till = node.entity::<Till>("front");
    let accounts = node.repository::<Account>().await.unwrap();
    for round in 0..3 {
        till.ask(Put { cents: 7 }).creating().await.unwrap();
        till.ask(Put { cents: 7 }).await.unwrap();
        till.delete().existing().timeout(SOON).await.unwrap();
        assert_eq!(till.read(Count).await.unwrap(), (0, Version::ABSENT));
        let created = accounts.create("alice", open("Alice", round));
        created.await.unwrap();
        accounts.execute("alice", Move { cents: 1 }).await.unwrap();
        accounts.delete("alice").existing().await.unwrap();
        assert!(!accounts.exists("alice").await.unwrap());
    }
    assert_eq!(node.counters().await.halts, 0);
}
