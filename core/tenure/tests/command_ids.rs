//! Command ids: a command with an id takes effect at most once, and its outcome can be asked for
//! again, inside the entity's horizon (S19, P4).

use crate::common::{Account, AccountEvent, Balance, Move, World, on_both_shells, open};
use tenure::prelude::*;
use tenure::{Limits, WallTime};

on_both_shells!(
    a_repeated_id_gives_the_same_reply_and_takes_effect_once,
    a_repeated_id_is_found_by_another_node,
    a_recorded_answer_is_kept_though_nothing_happened,
    a_repeated_transaction_is_not_decided_again,
    an_id_older_than_the_horizon_is_refused,
    an_id_ahead_of_the_clock_is_refused,
    commands_without_an_id_never_expire,
    a_stored_reply_that_cannot_be_decoded_says_that_the_command_took_effect,
);

async fn a_repeated_id_gives_the_same_reply_and_takes_effect_once(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    let id = node.command_id();
    let first = accounts
        .execute("alice", Move { cents: 5 })
        .id(id)
        .receipt()
        .await
        .unwrap();
    assert_eq!(
        (first.reply, first.version, first.duplicate),
        (105, Version(3), false)
    );
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    for _ in 0..3 {
        let again = accounts
            .execute("alice", Move { cents: 5 })
            .id(id)
            .receipt()
            .await
            .unwrap();
        assert_eq!(
            (again.reply, again.version, again.duplicate),
            (105, Version(3), true)
        );
        assert_eq!(again.sequence, None);
    }
    assert_eq!(accounts.load("alice").await.unwrap().state.cents, 106);
}

async fn a_repeated_id_is_found_by_another_node(world: &World) {
    let node = world.node().await;
    let id = node.command_id();
    let create = node
        .repository::<Account>()
        .await
        .unwrap()
        .create("alice", open("Alice", 1));
    create.id(id).await.unwrap();
    let elsewhere = world.accounts().await;
    let again = elsewhere
        .create("alice", open("Alice", 1))
        .id(id)
        .receipt()
        .await
        .unwrap();
    assert!(
        again.duplicate,
        "it created the account itself, so it does not exist already"
    );
    assert_eq!(again.version, Version(2));
}

async fn a_recorded_answer_is_kept_though_nothing_happened(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    let (kept, lost) = (node.command_id(), node.command_id());
    let ask = |record, id| {
        accounts
            .execute("alice", Balance { record })
            .id(id)
            .receipt()
    };
    let recorded = ask(true, kept).await.unwrap();
    assert_eq!((recorded.reply, recorded.version), (100, Version(2)));
    assert!(recorded.sequence.is_some(), "an empty commit was stored");
    assert_eq!(ask(false, lost).await.unwrap().sequence, None);
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    assert_eq!(
        ask(true, kept).await.unwrap().reply,
        100,
        "as it was answered then"
    );
    assert_eq!(ask(false, lost).await.unwrap().reply, 101, "decided anew");
}

async fn a_repeated_transaction_is_not_decided_again(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let id = node.command_id();
    let deposit = |account: &Account| -> Result<_, String> {
        let event = AccountEvent::Moved { cents: 1 };
        Ok(Decision::event(event).reply(format!("was {}", account.cents)))
    };
    assert_eq!(
        accounts.transact("alice", deposit).id(id).await.unwrap(),
        "was 0"
    );
    let again = accounts.transact(
        "alice",
        |_: &Account| -> Result<Decision<Account, String>, String> {
            unreachable!("its outcome is stored")
        },
    );
    assert_eq!(again.id(id).await.unwrap(), "was 0");
    assert_eq!(accounts.version("alice").await.unwrap(), Version(1));
}

async fn an_id_older_than_the_horizon_is_refused(world: &World) {
    let mut limits = Limits::default();
    (limits.command_ids_min, limits.command_ids_max) = (2, 2);
    let node = world
        .start(Tenure::builder().namespace("bank").limits(limits))
        .await;
    let accounts = node.repository::<Account>().await.unwrap();
    let now = node.command_id().time().0;
    let of = |age_ms: u64, n| CommandId::new(WallTime(now - age_ms), n);
    for n in 1..=3 {
        accounts
            .execute("alice", Move { cents: 1 })
            .id(of(10_000, n))
            .await
            .unwrap();
    }
    // The first id was forgotten, so an unknown one of its time cannot be told from it.
    let forgotten = accounts
        .execute("alice", Move { cents: 1 })
        .id(of(10_000, 1))
        .await;
    let Err(error @ ExecuteError::Expired { horizon, .. }) = forgotten else {
        panic!("{forgotten:?}");
    };
    assert_eq!(horizon, WallTime(now - 10_000));
    assert!(!error.is_unknown() && !error.is_retryable());
    let known = accounts
        .execute("alice", Move { cents: 1 })
        .id(of(10_000, 3))
        .receipt();
    assert!(known.await.unwrap().duplicate);
    accounts
        .execute("alice", Move { cents: 1 })
        .id(of(9_999, 9))
        .await
        .unwrap();
    assert_eq!(accounts.version("alice").await.unwrap(), Version(4));
}

async fn an_id_ahead_of_the_clock_is_refused(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let now = node.command_id().time().0;
    let ahead = CommandId::new(WallTime(now + 3_600_000), 1);
    let refused = accounts.execute("alice", Move { cents: 1 }).id(ahead).await;
    assert!(
        matches!(
            refused,
            Err(ExecuteError::Ahead {
                ahead_max_ms: 60_000,
                ..
            })
        ),
        "{refused:?}"
    );
    assert!(!accounts.exists("alice").await.unwrap());
}

/// More commands at once than an entity remembers, so that the ids which the framework made when
/// they were sent are old when they are decided.
async fn commands_without_an_id_never_expire(world: &World) {
    let mut limits = Limits::default();
    (limits.command_ids_min, limits.command_ids_max) = (1, 4);
    limits.commit_commands_max = 3;
    let node = world
        .start(Tenure::builder().namespace("bank").limits(limits))
        .await;
    let accounts = node.repository::<Account>().await.unwrap();
    let commands: Vec<_> = (0..60)
        .map(|_| {
            let accounts = accounts.clone();
            tokio::spawn(async move { accounts.execute("alice", Move { cents: 1 }).await })
        })
        .collect();
    for command in commands {
        command.await.unwrap().unwrap();
    }
    assert_eq!(accounts.load("alice").await.unwrap().state.cents, 60);
}

async fn a_stored_reply_that_cannot_be_decoded_says_that_the_command_took_effect(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    let id = node.command_id();
    let command = accounts.execute("alice", Move { cents: 5 });
    command.id(id).await.unwrap();
    let other = |_: &Account| -> Result<Decision<_, String>, ()> {
        Ok(Decision::events([]).reply("5".into()))
    };
    let error = accounts.transact("alice", other).id(id).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Reply { .. }), "{error:?}");
    assert!(error.took_effect() && !error.is_unknown() && !error.is_retryable());
    assert_eq!(accounts.load("alice").await.unwrap().state.cents, 105);
}
