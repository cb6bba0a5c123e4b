//! The bucket from outside: what clients of NATS KV see and write there, and what a crash leaves.

use super::kv::{Balance, Balances, balances};
use super::{SOON, moved, soon};
use crate::common::{Account, AccountEvent, Fate, FaultyShell, World, on_both_shells};
use tenure::consumer::Consumed;
use tenure::prelude::*;
use tenure::projection::Kv;
use tenure::{Bytes, MemShell};
use tenure_core::driver::Shell;
use tenure_core::port::{Expect, Publish, Rollup, StoreRequest};

on_both_shells!(
    a_value_that_somebody_else_wrote_ends_it,
    a_reset_replaces_what_somebody_else_wrote
);

fn put(subject: &str, payload: &'static str) -> StoreRequest {
    StoreRequest::Publish(Publish {
        stream: "KV_bank".into(),
        subject: subject.into(),
        expect: Expect::Nothing,
        rollup: Rollup::No,
        dedup: None,
        ttl_s: None,
        payload: Bytes::from_static(payload.as_bytes()),
    })
}

/// As `nats kv put bank balances.alice hello` does.
async fn spoil(world: &World) {
    match world.place().strip_prefix("mem:") {
        Some(name) => {
            let shell = MemShell::named(name);
            let _ = shell.store(put("$KV.bank.balances.alice", "hello")).await;
        }
        #[cfg(feature = "nats")]
        None => {
            let bucket = bucket(world).await;
            let hello = Bytes::from_static(b"hello");
            bucket.put("balances.alice", hello).await.unwrap();
        }
        #[cfg(not(feature = "nats"))]
        None => unreachable!("it is in memory"),
    }
}

/// The mark goes; the bucket stays.
pub(super) async fn lose_mark(world: &World) {
    let mark = "bank.chk.balances.mark";
    match world.place().strip_prefix("mem:") {
        Some(name) => MemShell::named(name).with_store(|store| {
            let at = store.last_of("bank_con", mark).unwrap().sequence;
            assert!(store.delete("bank_con", at));
        }),
        #[cfg(feature = "nats")]
        None => {
            let client = async_nats::connect(world.place()).await.unwrap();
            let stream = async_nats::jetstream::new(client);
            let stream = stream.get_stream("bank_con").await.unwrap();
            stream.purge().filter(mark).await.unwrap();
        }
        #[cfg(not(feature = "nats"))]
        None => unreachable!("it is in memory"),
    }
}

async fn a_value_that_somebody_else_wrote_ends_it(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let projection = balances(&node).start().await.unwrap();
    let last = moved(&accounts, "alice", 1..=5).await;
    let seen = projection.seen::<Account>("alice", last, SOON).await;
    seen.unwrap();
    spoil(world).await;
    let last = moved(&accounts, "bob", 1..=5).await;
    let seen = projection.seen::<Account>("bob", last, SOON).await;
    seen.expect("another key is none of its business");
    moved(&accounts, "alice", [6]).await;
    let error = soon(projection.ended()).await.unwrap_err().to_string();
    assert!(
        error.contains("the value of key \"alice\" was written by somebody else"),
        "{error}"
    );
    assert!(error.contains("with a reset"), "{error}");
}

async fn a_reset_replaces_what_somebody_else_wrote(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=5).await;
    let projection = balances(&node).start().await.unwrap();
    soon(projection.live()).await.unwrap();
    projection.stop().await.unwrap();
    spoil(world).await;
    let reset = balances(&node).reset().start().await.unwrap();
    soon(reset.live()).await.unwrap();
    let value = reset.store().get("alice").await.unwrap();
    assert_eq!(value.map(|value: Balance| value.moves), Some(5));
    reset.stop().await.unwrap();
}

fn is_on(request: &StoreRequest, subject: &str) -> bool {
    matches!(request, StoreRequest::Publish(it) if it.subject.ends_with(subject))
}

/// A crash after values and before their mark: all of it comes again, and each event is in them once.
#[tokio::test]
async fn a_crash_between_values_and_mark_changes_nothing() {
    let shell = FaultyShell::new();
    let builder = || Tenure::builder().namespace("bank");
    let node = builder().start_with(shell.clone()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    let first = balances(&node).start().await.unwrap();
    soon(first.live()).await.unwrap();
    shell.set(|request| is_on(request, ".mark").then_some(Fate::Silence));
    let last = moved(&accounts, "alice", 1..=20).await;
    let seen = first.seen::<Account>("alice", last, SOON).await;
    seen.unwrap();
    let other = builder().start_with(shell.healthy()).await.unwrap();
    let second = balances(&other).start().await.unwrap();
    soon(second.live()).await.unwrap();
    assert_eq!(second.status().consumer.handled, 20, "it all comes again");
    let value = second.store().get("alice").await.unwrap().unwrap();
    assert_eq!(
        value,
        Balance {
            cents: 210,
            moves: 20
        }
    );
    second.stop().await.unwrap();
}

/// The run that another one takes over from writes its mark once more before the other one's: that goes on from
/// there.
#[tokio::test]
async fn the_older_run_may_write_its_mark_while_it_is_taken_over() {
    let shell = FaultyShell::new();
    let builder = || Tenure::builder().namespace("bank");
    let node = builder().start_with(shell.healthy()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    let first = balances(&node).start().await.unwrap();
    moved(&accounts, "alice", 1..=20).await;
    soon(first.live()).await.unwrap();
    let healthy = shell.healthy();
    let mut writes = 0_u32;
    shell.set(move |request| {
        if !is_on(request, ".mark") {
            return None;
        }
        writes += 1;
        if writes == 1 {
            healthy.with_store(|store| {
                let mark = store.last_of("bank_con", "bank.chk.balances.mark").unwrap();
                let again = StoreRequest::Publish(Publish {
                    stream: "bank_con".into(),
                    subject: "bank.chk.balances.mark".into(),
                    expect: Expect::OwnLast(mark.sequence),
                    rollup: Rollup::Subject,
                    dedup: None,
                    ttl_s: None,
                    payload: mark.payload.clone(),
                });
                let again = store.apply(mark.stored, &again);
                assert!(matches!(again, tenure_core::step::Outcome::Done(_)));
            });
        }
        None
    });
    let other = builder().start_with(shell).await.unwrap();
    let second = balances(&other).start().await.unwrap();
    soon(second.live()).await.unwrap();
    let value = second.store().get("alice").await.unwrap().unwrap();
    assert_eq!(
        value,
        Balance {
            cents: 210,
            moves: 20
        }
    );
    second.stop().await.unwrap();
}

/// The answer to each second value is lost, whether it was stored or not.
#[tokio::test]
async fn the_answers_to_values_may_be_lost() {
    let shell = FaultyShell::new();
    let node = Tenure::builder().namespace("bank");
    let node = node.start_with(shell.clone()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    let projection = balances(&node).start().await.unwrap();
    let mut count = 0_u32;
    shell.set(move |request| {
        if !is_on(request, ".balances.alice") {
            return None;
        }
        count += 1;
        let unknown = tenure_core::step::Outcome::Unknown;
        match count % 4 {
            1 => Some(Fate::Instead(unknown)),
            3 => Some(Fate::Answer(unknown)),
            _ => None,
        }
    });
    let last = moved(&accounts, "alice", 1..=40).await;
    let seen = projection.seen::<Account>("alice", last, SOON).await;
    seen.unwrap();
    let value = projection.store().get("alice").await.unwrap().unwrap();
    assert_eq!(
        value,
        Balance {
            cents: 820,
            moves: 40
        }
    );
    projection.stop().await.unwrap();
}

/// A run that ends while it puts another life in the place of one leaves values of both: the next start
/// builds all of them anew.
#[tokio::test]
async fn a_crash_within_the_switch_is_built_anew() {
    let shell = FaultyShell::new();
    let builder = || Tenure::builder().namespace("bank");
    let node = builder().start_with(shell.clone()).await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    for id in ["alice", "bob", "carol"] {
        moved(&accounts, id, 1..=5).await;
    }
    let first = balances(&node).start().await.unwrap();
    soon(first.live()).await.unwrap();
    shell.set(|request| is_on(request, ".balances.bob").then_some(Fate::Silence));
    let rebuilding = tokio::spawn(async move { first.rebuild().await });
    let bucket = shell.healthy();
    soon(async {
        while !bucket.with_store(|store| {
            let carol = store.last_of("KV_bank", "$KV.bank.balances.carol");
            carol.is_some_and(|it| it.payload.windows(8).any(|it| it == b"\"life\":2"))
        }) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let other = builder().start_with(shell.healthy()).await.unwrap();
    let second = balances(&other).start().await.unwrap();
    soon(second.live()).await.unwrap();
    assert_eq!(second.status().mark.generation, 3);
    for id in ["alice", "bob", "carol"] {
        let value = second.store().get(id).await.unwrap().unwrap();
        assert_eq!(
            value,
            Balance {
                cents: 15,
                moves: 5
            }
        );
    }
    second.stop().await.unwrap();
    rebuilding.abort();
}

#[cfg(feature = "nats")]
async fn bucket(world: &World) -> async_nats::jetstream::kv::Store {
    let client = async_nats::connect(world.place()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    context.get_key_value("bank").await.unwrap()
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn clients_of_nats_kv_read_the_values() {
    use async_nats::jetstream::kv::Operation;
    let world = World::nats();
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let projection = node.projection("balances", Kv::<Balance>::new());
    let projection =
        projection.fold::<Account>(|balances: &mut Balances, event: &Consumed<AccountEvent>| {
            super::kv::balance(balances, event)
        });
    let projection = projection.start().await.unwrap();
    moved(&accounts, "alice@example.org", [5]).await;
    let last = moved(&accounts, "bob", [5, -5]).await;
    let seen = projection.seen::<Account>("bob", last, SOON).await;
    seen.unwrap();
    let bucket = bucket(&world).await;
    let alice = bucket.get("balances.alice=40example.org").await.unwrap();
    let alice = String::from_utf8(alice.unwrap().to_vec()).unwrap();
    assert!(
        alice.starts_with(r#"{"value":{"cents":5,"moves":1},"v":1,"life":1,"at":[[0,"#),
        "{alice}"
    );
    assert_eq!(bucket.get("balances.bob").await.unwrap(), None);
    let bob = bucket.entry("balances.bob").await.unwrap().unwrap();
    assert_eq!(bob.operation, Operation::Purge);
    let status = bucket.status().await.unwrap();
    assert_eq!((status.history(), status.values()), (1, 2));
    projection.stop().await.unwrap();
}
