//! Too much for the owner: whoever asks another node is told so as what it is, and nothing is dropped
//! without a word.

use crate::cluster::nodes::{PATIENCE, node, wait};
use crate::common::{Count, Put, Till, World, on_both_shells};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tenure::actor::{Actor, ActorCx, ActorError, ActorSettings, Handle, Handlers};
use tenure::actor::{InitError, Overflow};
use tenure::prelude::*;
use tenure::{Cluster, Limits, TakeOver};

on_both_shells!(
    a_full_mailbox_at_another_node_is_told_as_overload,
    a_full_mailbox_that_waits_has_room_again,
    a_full_queue_of_an_entity_at_another_node_is_told_as_overload,
);

/// So many messages wait for one.
const MAILBOX: usize = 4;

/// Counts, and has little room.
#[derive(Debug, Default)]
struct Narrow(usize);

/// The same, but whoever comes to a full mailbox waits.
#[derive(Debug, Default)]
struct Patient(usize);

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "bump", version = 1)]
struct Bump;

macro_rules! narrow {
    ($name:ident, $kind:literal, $overflow:expr) => {
        impl Actor for $name {
            const KIND: &'static str = $kind;

            fn settings() -> ActorSettings {
                ActorSettings::default()
                    .mailbox_max(MAILBOX)
                    .overflow($overflow)
            }

            async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
                Ok(Self::default())
            }

            fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
                handlers.on::<Bump>()
            }
        }

        impl Handle<Bump> for $name {
            type Reply = usize;
            type Error = Never;

            async fn handle(&mut self, _: Bump, _: &mut ActorCx<Self>) -> Result<usize, Never> {
                self.0 += 1;
                Ok(self.0)
            }
        }
    };
}

narrow!(Narrow, "narrow", Overflow::Reject);
narrow!(Patient, "patient", Overflow::Wait);

async fn a_full_mailbox_at_another_node_is_told_as_overload(world: &World) {
    let owner = node(Cluster::named("a")).actor::<Narrow>();
    let owner = world.start(owner).await;
    let client = node(Cluster::named("b").client()).actor::<Narrow>();
    let client = world.start(client).await;
    wait(&client, |view| view.is_served(TakeOver::Leased)).await;
    let there = client.actor::<Narrow>("one");
    assert_eq!(there.ask(Bump).await, Ok(1));
    let here = owner.actor::<Narrow>("one");
    assert!(here.pause().await);
    let asks = (0..3 * MAILBOX).map(|_| there.ask(Bump).timeout(PATIENCE));
    let asks = tokio::spawn(join_all(asks.map(IntoFuture::into_future)));
    let full = async {
        while owner.counters().await.actor_letters < MAILBOX as u64 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, full)
        .await
        .expect("it fills");
    let refused = there.ask(Bump).await;
    assert!(matches!(refused, Err(ActorError::Overloaded(_))));
    let told = refused.unwrap_err();
    assert!(told.is_retryable() && !told.has_begun(), "{told}");
    assert!(told.to_string().contains("ask again later"), "{told}");
    assert!(here.resume().await);
    let answers = tokio::time::timeout(PATIENCE, asks).await;
    let answers = answers.expect("all are answered").unwrap();
    let ran: Vec<usize> = answers.iter().filter_map(|it| it.clone().ok()).collect();
    assert_eq!(ran, [2, 3, 4, 5], "in the order in which they came");
    let refused = answers
        .iter()
        .filter(|it| matches!(it, Err(ActorError::Overloaded(_))));
    assert_eq!(refused.count(), 2 * MAILBOX, "{answers:?}");
    assert_eq!(there.ask(Bump).await, Ok(6), "there is room again");
}

async fn a_full_mailbox_that_waits_has_room_again(world: &World) {
    let owner = world
        .start(node(Cluster::named("a")).actor::<Patient>())
        .await;
    let client = node(Cluster::named("b").client()).actor::<Patient>();
    let client = world.start(client).await;
    wait(&client, |view| view.is_served(TakeOver::Leased)).await;
    let there = client.actor::<Patient>("one");
    assert_eq!(there.ask(Bump).await, Ok(1));
    let here = owner.actor::<Patient>("one");
    assert!(here.pause().await);
    let served = owner.counters().await.served;
    let asks = (0..3 * MAILBOX).map(|_| there.ask(Bump).timeout(PATIENCE));
    let asks = tokio::spawn(join_all(asks.map(IntoFuture::into_future)));
    let all = async {
        while owner.counters().await.served < served + 3 * MAILBOX as u64 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("all come");
    assert!(here.resume().await);
    let answers = tokio::time::timeout(PATIENCE, asks).await;
    let answers = answers.expect("all are answered").unwrap();
    let ran: Vec<usize> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(ran, (2..2 + 3 * MAILBOX).collect::<Vec<_>>());
}

async fn a_full_queue_of_an_entity_at_another_node_is_told_as_overload(world: &World) {
    let mut limits = Limits::default();
    limits.entity_queue_max = 2;
    let owner = node(Cluster::named("a")).serve::<Till>().limits(limits);
    let _owner = world.start(owner).await;
    let client = world.start(node(Cluster::named("b").client())).await;
    wait(&client, |view| view.is_served(TakeOver::Fenced)).await;
    let till = client.entity::<Till>("front");
    let (mut put, mut refused) = (0, 0);
    let late = tokio::time::Instant::now() + PATIENCE;
    // How many of a burst are in hand at once is the machine's to say.
    while refused == 0 {
        assert!(
            tokio::time::Instant::now() < late,
            "{put} puts, none too many"
        );
        let burst = (0..64).map(|_| till.ask(Put { cents: 1 }).timeout(PATIENCE).into_future());
        for answer in join_all(burst).await {
            let Err(told) = answer else {
                put += 1;
                continue;
            };
            assert!(
                matches!(told, AskError::Execute(ExecuteError::Overloaded)),
                "{told:?}"
            );
            assert!(told.is_retryable() && !told.is_unknown(), "{told}");
            refused += 1;
        }
    }
    assert_eq!(
        till.read(Count).await.unwrap().0,
        put,
        "none was refused and done"
    );
}
