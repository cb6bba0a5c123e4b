//! A repository: execute, create, load, transact, versions.

use crate::common::{
    Account, Balance, Move, Open, Refused, World, on_both_shells_and_the_front, open,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tenure::prelude::*;

on_both_shells_and_the_front!(
    a_command_is_decided_committed_and_read_back_by_another_node,
    creating_twice_says_that_it_exists,
    a_rejection_stores_nothing,
    what_is_missing_is_not_found_but_can_be_begun,
    an_expected_version_is_kept,
    an_existing_entity_can_be_asked_for,
    a_receipt_tells_version_and_sequence,
    ten_transactions_at_once_all_apply,
    a_failed_transaction_leaves_nothing_to_the_next,
    another_nodes_commits_are_seen_at_once,
    a_past_version_can_be_loaded,
    events_of_one_commit_are_all_there_or_none,
);

async fn a_command_is_decided_committed_and_read_back_by_another_node(world: &World) {
    let accounts = world.accounts().await;
    assert_eq!(
        accounts.create("alice", open("Alice", 100)).await.unwrap(),
        100
    );
    assert_eq!(
        accounts.execute("alice", Move { cents: 50 }).await.unwrap(),
        150
    );

    let elsewhere = world.accounts().await;
    let loaded = elsewhere.load("alice").await.unwrap();
    let expected = Account {
        owner: "Alice".into(),
        cents: 150,
        moves: 2,
    };
    assert_eq!((loaded.state, loaded.version), (expected, Version(3)));
}

async fn creating_twice_says_that_it_exists(world: &World) {
    let accounts = world.accounts().await;
    accounts.create("alice", open("Alice", 1)).await.unwrap();
    let again = accounts.create("alice", open("Eve", 2)).await;
    let Err(ExecuteError::AlreadyExists { kind, id, version }) = again else {
        panic!("{again:?}");
    };
    assert_eq!(
        (kind.as_str(), id.as_str(), version),
        ("account", "alice", Version(2))
    );
    let elsewhere = world.accounts().await.create("alice", open("Eve", 2)).await;
    assert!(
        matches!(elsewhere, Err(ExecuteError::AlreadyExists { .. })),
        "{elsewhere:?}"
    );
    assert_eq!(accounts.load("alice").await.unwrap().state.owner, "Alice");
}

async fn a_rejection_stores_nothing(world: &World) {
    let accounts = world.accounts().await;
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    let rejected = accounts
        .execute("alice", Move { cents: -101 })
        .await
        .unwrap_err();
    assert_eq!(
        rejected.rejected(),
        Some(&Refused::Insufficient { balance: 100 })
    );
    assert_eq!(rejected.to_string(), "the balance is 100");
    assert!(!rejected.is_unknown() && !rejected.is_retryable());
    assert_eq!(accounts.version("alice").await.unwrap(), Version(2));
}

async fn what_is_missing_is_not_found_but_can_be_begun(world: &World) {
    let accounts = world.accounts().await;
    let missing = accounts.load("nobody").await.unwrap_err();
    assert!(matches!(missing, LoadError::NotFound { .. }), "{missing:?}");
    assert_eq!(missing.to_string(), "account \"nobody\" does not exist");
    let begun = accounts.load_or_create("nobody").await.unwrap();
    assert_eq!(
        (begun.state, begun.version),
        (Account::default(), Version::ABSENT)
    );
    assert!(!accounts.exists("nobody").await.unwrap());
    assert_eq!(accounts.version("nobody").await.unwrap(), Version::ABSENT);

    accounts.execute("nobody", Move { cents: 1 }).await.unwrap();
    assert!(accounts.exists("nobody").await.unwrap());
    assert_eq!(
        accounts.load_or_create("nobody").await.unwrap().version,
        Version(1)
    );
}

async fn an_expected_version_is_kept(world: &World) {
    let accounts = world.accounts().await;
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    let stale = accounts
        .execute("alice", Move { cents: 1 })
        .expected(Version(1))
        .await;
    let Err(ExecuteError::Conflict {
        expected, actual, ..
    }) = stale
    else {
        panic!("{stale:?}");
    };
    assert_eq!((expected, actual), (Version(1), Version(2)));
    accounts
        .execute("alice", Move { cents: 1 })
        .expected(Version(2))
        .await
        .unwrap();
    assert_eq!(accounts.version("alice").await.unwrap(), Version(3));
}

async fn an_existing_entity_can_be_asked_for(world: &World) {
    let accounts = world.accounts().await;
    let missing = accounts
        .execute("alice", Move { cents: 1 })
        .existing()
        .await;
    assert!(
        matches!(missing, Err(ExecuteError::NotFound { .. })),
        "{missing:?}"
    );
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    accounts
        .execute("alice", Move { cents: 1 })
        .existing()
        .await
        .unwrap();
}

async fn a_receipt_tells_version_and_sequence(world: &World) {
    let accounts = world.accounts().await;
    let first = accounts
        .create("alice", open("Alice", 5))
        .receipt()
        .await
        .unwrap();
    assert_eq!(
        (first.reply, first.version, first.duplicate),
        (5, Version(2), false)
    );
    let second = accounts
        .execute("alice", Move { cents: 5 })
        .receipt()
        .await
        .unwrap();
    assert_eq!((second.reply, second.version), (10, Version(3)));
    assert!(second.sequence > first.sequence && first.sequence.is_some());
    let asked = accounts
        .execute("alice", Balance { record: false })
        .receipt()
        .await
        .unwrap();
    assert_eq!(
        (asked.reply, asked.version, asked.sequence),
        (10, Version(3), None)
    );
}

async fn ten_transactions_at_once_all_apply(world: &World) {
    let nodes = [world.accounts().await, world.accounts().await];
    nodes[0].create("alice", open("Alice", 0)).await.unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let transactions = (0..10).map(|n| {
        let (accounts, runs) = (nodes[n % 2].clone(), Arc::clone(&runs));
        tokio::spawn(async move {
            let deposit = move |account: &Account| -> Result<_, Refused> {
                runs.fetch_add(1, Ordering::Relaxed);
                let event = crate::common::AccountEvent::Moved { cents: 1 };
                Ok(Decision::event(event).reply(account.cents + 1))
            };
            accounts.transact("alice", deposit).await.unwrap()
        })
    });
    let mut balances = Vec::new();
    for transaction in transactions.collect::<Vec<_>>() {
        balances.push(transaction.await.unwrap());
    }
    balances.sort_unstable();
    assert_eq!(
        balances,
        (1..=10).collect::<Vec<i64>>(),
        "each saw the one before"
    );
    assert!(runs.load(Ordering::Relaxed) >= 10);
    let loaded = world.accounts().await.load("alice").await.unwrap();
    assert_eq!((loaded.state.cents, loaded.version), (10, Version(12)));
}

/// A transaction's events and mutated state must not be seen by the next one.
async fn a_failed_transaction_leaves_nothing_to_the_next(world: &World) {
    let accounts = world.accounts().await;
    accounts.create("alice", open("Alice", 0)).await.unwrap();
    let failed = accounts.transact(
        "alice",
        |account: &Account| -> Result<Decision<Account, ()>, _> {
            let mut mine = account.clone();
            mine.cents += 100;
            Err(mine.cents)
        },
    );
    let failed = failed.await;
    assert!(
        matches!(failed, Err(ExecuteError::Rejected(100))),
        "{failed:?}"
    );
    assert_eq!(
        accounts.execute("alice", Move { cents: 1 }).await.unwrap(),
        1
    );
    assert_eq!(
        world
            .accounts()
            .await
            .load("alice")
            .await
            .unwrap()
            .state
            .cents,
        1
    );
}

/// A conflict must refresh what a node remembers of the entity.
async fn another_nodes_commits_are_seen_at_once(world: &World) {
    let (one, other) = (world.accounts().await, world.accounts().await);
    for n in 1..=5 {
        assert_eq!(
            one.execute("alice", Move { cents: 1 }).await.unwrap(),
            2 * n - 1
        );
        assert_eq!(
            other.execute("alice", Move { cents: 1 }).await.unwrap(),
            2 * n
        );
        assert_eq!(one.load("alice").await.unwrap().state.cents, 2 * n);
    }
}

async fn a_past_version_can_be_loaded(world: &World) {
    let accounts = world.accounts().await;
    accounts.create("alice", open("Alice", 100)).await.unwrap();
    for _ in 0..5 {
        accounts.execute("alice", Move { cents: 10 }).await.unwrap();
    }
    let at = |version| accounts.load_at("alice", Version(version));
    let opened = at(1).await.unwrap();
    assert_eq!(
        (opened.state.owner.as_str(), opened.state.cents),
        ("Alice", 0)
    );
    assert_eq!(at(2).await.unwrap().state.cents, 100);
    let fifth = at(5).await.unwrap();
    assert_eq!((fifth.state.cents, fifth.version), (130, Version(5)));
    assert_eq!(at(7).await.unwrap().state.cents, 150);
    let ahead = at(8).await;
    assert!(
        matches!(
            ahead,
            Err(LoadError::Ahead {
                asked: Version(8),
                actual: Version(7),
                ..
            })
        ),
        "{ahead:?}"
    );
    assert!(matches!(at(0).await, Err(LoadError::NotFound { .. })));
    let missing = accounts.load_at("nobody", Version(1)).await;
    assert!(
        matches!(missing, Err(LoadError::NotFound { .. })),
        "{missing:?}"
    );
}

/// Two writers that each store two events at once: no version is there twice, none is torn.
async fn events_of_one_commit_are_all_there_or_none(world: &World) {
    let nodes = [world.accounts().await, world.accounts().await];
    let writers = nodes.map(|accounts| {
        tokio::spawn(async move {
            for _ in 0..20 {
                let command: Open = open("Alice", 1);
                accounts.execute("alice", command).await.unwrap();
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let accounts = world.accounts().await;
    let events = accounts.history("alice").unwrap().collect().await.unwrap();
    let versions: Vec<u64> = events.iter().map(|past| past.version.0).collect();
    assert_eq!(versions, (1..=80).collect::<Vec<u64>>());
    for pair in events.chunks(2) {
        assert_eq!(pair[0].sequence, pair[1].sequence, "one commit holds both");
        assert_eq!(pair[0].command, pair[1].command);
    }
    assert_eq!(accounts.load("alice").await.unwrap().state.cents, 40);
}
