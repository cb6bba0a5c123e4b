//! A value for each key in a bucket: each event once in it whatever ends, read by any client of NATS KV.

use super::{SOON, brief, ending, moved, soon};
use crate::common::{Account, AccountEvent, World, on_both_shells_and_the_front};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tenure::consumer::{Consumed, Then};
use tenure::prelude::*;
use tenure::projection::{Kv, KvEntries, Projection, ProjectionBuilder};

on_both_shells_and_the_front!(
    values_are_what_the_log_holds_over_restarts_without_a_stop,
    a_fold_that_fails_leaves_no_trace,
    a_value_that_a_fold_deletes_is_gone_and_comes_again,
    an_event_may_change_several_keys,
    two_runs_that_overlap_store_each_event_once,
    it_is_built_anew_and_keys_that_are_no_more_are_gone,
    another_version_leaves_the_values_until_it_has_caught_up,
    a_bucket_without_its_mark_wants_a_reset,
    a_value_that_is_too_large_is_its_events_fault,
);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Balance {
    pub(crate) cents: i64,
    pub(crate) moves: u32,
}

pub(crate) type Balances = KvEntries<Balance>;

/// An account that comes to 0 is gone.
pub(crate) fn balance(
    balances: &mut Balances,
    event: &Consumed<AccountEvent>,
) -> Result<(), tenure::consumer::HandlerError> {
    let AccountEvent::Moved { cents } = event.event else {
        return Ok(());
    };
    balances.change(event.id().as_str(), |value| {
        let balance = value.get_or_insert_default();
        balance.cents += cents;
        balance.moves += 1;
        if balance.cents == 0 {
            *value = None;
        }
    })
}

pub(crate) fn balances(node: &Tenure) -> ProjectionBuilder<Kv<Balance>> {
    node.projection("balances", Kv::new())
        .failing(brief(10, Then::Stop))
        .pace(|pace| pace.batch_events_max = 7)
        .fold::<Account>(balance)
}

async fn value(projection: &Projection<Kv<Balance>>, key: &str) -> Option<Balance> {
    projection.store().get(key).await.unwrap()
}

/// What it is to be.
async fn held(accounts: &Repository<Account>, id: &str) -> Option<Balance> {
    let account = accounts.load(id).await.unwrap().state;
    Some(Balance {
        cents: account.cents,
        moves: account.moves,
    })
}

async fn seen(projection: &Projection<Kv<Balance>>, id: &str, last: tenure::Sequence) {
    let seen = projection.seen::<Account>(id, last, SOON).await;
    seen.unwrap();
}

/// The mark is behind what is stored when such a run ends: the events come again, and change nothing.
async fn values_are_what_the_log_holds_over_restarts_without_a_stop(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let mut again = 0;
    for run in 1..=4_u32 {
        moved(&accounts, "alice", 1..=12).await;
        moved(&accounts, "bob@example.org", 1..=5).await;
        let projection = balances(&world.node().await).start().await.unwrap();
        soon(projection.live()).await.unwrap();
        again += projection.status().consumer.handled;
        let last = moved(&accounts, "alice", 13..=20).await;
        seen(&projection, "alice", last).await;
        assert_eq!(
            value(&projection, "alice").await,
            held(&accounts, "alice").await
        );
        let bob = value(&projection, "bob@example.org").await;
        assert_eq!(bob, held(&accounts, "bob@example.org").await);
        if run == 3 {
            projection.stop().await.unwrap();
        }
    }
    assert!(again > 4 * 17, "nothing came again");
}

async fn a_fold_that_fails_leaves_no_trace(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=20).await;
    let left = AtomicU32::new(4);
    let projection = node
        .projection("balances", Kv::<Balance>::new())
        .failing(brief(10, Then::Stop))
        .fold::<Account>(
            move |balances: &mut Balances, event: &Consumed<AccountEvent>| {
                balance(balances, event).map_err(|error| error.to_string())?;
                let next = |left: u32| left.checked_sub(1);
                let order = Ordering::Relaxed;
                match event.version == Version(9) && left.fetch_update(order, order, next).is_ok() {
                    true => Err("not now".to_owned()),
                    false => Ok(()),
                }
            },
        )
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    assert_eq!(
        value(&projection, "alice").await,
        held(&accounts, "alice").await
    );
    assert!(projection.status().consumer.failures > 0);
    projection.stop().await.unwrap();
}

async fn a_value_that_a_fold_deletes_is_gone_and_comes_again(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let first = balances(&node).start().await.unwrap();
    let last = moved(&accounts, "alice", [5, -5]).await;
    seen(&first, "alice", last).await;
    assert_eq!(value(&first, "alice").await, None);
    // Without a stop: all of it comes again, and what is gone stays so.
    let second = balances(&world.node().await).start().await.unwrap();
    soon(second.live()).await.unwrap();
    assert_eq!(value(&second, "alice").await, None);
    let last = moved(&accounts, "alice", [7]).await;
    seen(&second, "alice", last).await;
    let anew = Balance { cents: 7, moves: 1 };
    assert_eq!(value(&second, "alice").await, Some(anew));
    second.stop().await.unwrap();
}

async fn an_event_may_change_several_keys(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=5).await;
    let build = |node: &Tenure| {
        node.projection("balances", Kv::<Balance>::new())
            .fold::<Account>(|balances: &mut Balances, event: &Consumed<AccountEvent>| {
                balance(balances, event)?;
                let AccountEvent::Moved { cents } = event.event else {
                    return Ok(());
                };
                balances.change("all.sum", |value| {
                    value.get_or_insert_default().cents += cents;
                })
            })
    };
    let first = build(&node).start().await.unwrap();
    soon(first.live()).await.unwrap();
    moved(&accounts, "bob", 1..=5).await;
    let second = build(&world.node().await).start().await.unwrap();
    soon(second.live()).await.unwrap();
    assert_eq!(
        value(&second, "alice").await,
        held(&accounts, "alice").await
    );
    let sum = value(&second, "all.sum").await.map(|sum| sum.cents);
    assert_eq!(sum, Some(30));
    second.stop().await.unwrap();
}

async fn two_runs_that_overlap_store_each_event_once(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let stale = balances(&node).start().await.unwrap();
    let successor = balances(&world.node().await).start().await.unwrap();
    // Both fold what comes now, until one of them finds that it was taken over.
    let mut last = moved(&accounts, "alice", 1..=20).await;
    let error = soon(async {
        loop {
            tokio::select! {
                biased;
                ended = stale.ended() => return ended.unwrap_err().to_string(),
                moved = moved(&accounts, "alice", [1]) => last = moved,
            }
        }
    })
    .await;
    assert!(
        error.contains("was taken over by another run on node"),
        "{error}"
    );
    last = moved(&accounts, "alice", [1]).await.max(last);
    seen(&successor, "alice", last).await;
    assert_eq!(
        value(&successor, "alice").await,
        held(&accounts, "alice").await
    );
    successor.stop().await.unwrap();
}

async fn it_is_built_anew_and_keys_that_are_no_more_are_gone(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=9).await;
    moved(&accounts, "bob", 1..=9).await;
    let mended = Arc::new(AtomicBool::new(false));
    let projection = node
        .projection("balances", Kv::<Balance>::new())
        .fold::<Account>({
            let mended = Arc::clone(&mended);
            move |balances: &mut Balances, event: &Consumed<AccountEvent>| {
                if !mended.load(Ordering::Relaxed) {
                    balances.change("wrong", |value| {
                        value.get_or_insert_default().moves += 1;
                    })?;
                }
                balance(balances, event)
            }
        })
        .start()
        .await
        .unwrap();
    soon(projection.live()).await.unwrap();
    assert!(value(&projection, "wrong").await.is_some());
    mended.store(true, Ordering::Relaxed);
    soon(projection.rebuild()).await.unwrap();
    assert_eq!(value(&projection, "wrong").await, None);
    let last = moved(&accounts, "bob", [1]).await;
    seen(&projection, "bob", last).await;
    for id in ["alice", "bob"] {
        assert_eq!(value(&projection, id).await, held(&accounts, id).await);
    }
    assert_eq!(projection.status().mark.generation, 2);
    projection.stop().await.unwrap();
    let next = balances(&world.node().await).start().await.unwrap();
    soon(next.live()).await.unwrap();
    assert_eq!(next.status().consumer.handled, 0, "it finds the new ones");
    next.stop().await.unwrap();
}

async fn another_version_leaves_the_values_until_it_has_caught_up(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=9).await;
    let first = balances(&node).start().await.unwrap();
    soon(first.live()).await.unwrap();
    let old = value(&first, "alice").await;
    first.stop().await.unwrap();
    let through = Arc::new(AtomicBool::new(false));
    let second = node
        .projection("balances", Kv::<Balance>::new())
        .version(2)
        .failing(brief(u32::MAX, Then::Stop))
        .fold::<Account>({
            let through = Arc::clone(&through);
            move |balances: &mut Balances, event: &Consumed<AccountEvent>| {
                if event.version == Version(5) && !through.load(Ordering::Relaxed) {
                    return Err("not yet".to_owned());
                }
                let doubled = balances.change(event.id().as_str(), |value| {
                    value.get_or_insert_default().moves += 2;
                });
                doubled.map_err(|error| error.to_string())
            }
        })
        .start()
        .await
        .unwrap();
    let waits = |status: &tenure::consumer::Status| status.handled > 0 && status.failures > 0;
    soon(second.until_status(waits)).await.unwrap();
    assert_eq!(value(&second, "alice").await, old);
    assert!(second.status().rebuilding);
    through.store(true, Ordering::Relaxed);
    soon(second.live()).await.unwrap();
    let last = moved(&accounts, "alice", [1]).await;
    seen(&second, "alice", last).await;
    let moves = value(&second, "alice").await.map(|balance| balance.moves);
    assert_eq!(moves, Some(20));
    second.stop().await.unwrap();
    let error = ending(balances(&node)).await;
    assert!(error.contains("is of version 2"), "{error}");
}

/// What is known of its events is not known any more: nobody guesses.
async fn a_bucket_without_its_mark_wants_a_reset(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", 1..=9).await;
    let first = balances(&node).start().await.unwrap();
    soon(first.live()).await.unwrap();
    first.stop().await.unwrap();
    super::kv_foreign::lose_mark(world).await;
    let error = ending(balances(&world.node().await)).await;
    assert!(
        error.contains("its mark is gone") && error.contains("with a reset"),
        "{error}"
    );
    let reset = balances(&world.node().await).reset().start().await.unwrap();
    soon(reset.live()).await.unwrap();
    assert_eq!(value(&reset, "alice").await, held(&accounts, "alice").await);
    assert_eq!(reset.status().mark.generation, 2);
    reset.stop().await.unwrap();
}

async fn a_value_that_is_too_large_is_its_events_fault(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    moved(&accounts, "alice", [1]).await;
    let large = node
        .projection("texts", Kv::<String>::new())
        .failing(brief(0, Then::Stop));
    let large = large.fold::<Account>(
        |texts: &mut KvEntries<String>, event: &Consumed<AccountEvent>| {
            texts.change(event.id().as_str(), |value| {
                *value = Some("x".repeat(2 << 20))
            })
        },
    );
    let error = ending(large).await;
    assert!(
        error.contains("the value of key \"alice\" cannot be stored")
            && error.contains("account \"alice\""),
        "{error}"
    );
}
