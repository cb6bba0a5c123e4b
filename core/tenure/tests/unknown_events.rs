//! Stored events that a build does not know, or cannot decode.

use crate::common::{Account, Move, World, on_both_shells};
use tenure::prelude::*;
use tenure::{FoldError, RawEvent};

on_both_shells!(
    an_unknown_event_fails_the_load_and_names_itself,
    an_unknown_event_can_be_skipped_and_is_counted,
    an_undecodable_event_is_an_error_that_names_it,
);

/// An account of a build that leaves out what it does not know.
#[derive(Clone, Debug, Default)]
struct Lenient(Account);

impl Aggregate for Lenient {
    type Event = crate::common::AccountEvent;
    const KIND: &'static str = "account";

    fn evolve(&mut self, event: &Self::Event) {
        self.0.evolve(event);
    }

    fn settings() -> KindSettings {
        KindSettings::default().unknown_events(UnknownEvents::Skip)
    }
}

async fn an_unknown_event_fails_the_load_and_names_itself(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    accounts.execute("alice", Move { cents: 1 }).await.unwrap();
    let log = node.log("account").await.unwrap();
    log.append("alice", [RawEvent::new("frozen", 3, &b"\xf6"[..])])
        .await
        .unwrap();

    let load = accounts.load("alice").await.unwrap_err();
    let LoadError::Fold {
        cause:
            FoldError::UnknownEvent {
                name,
                schema,
                version,
            },
        ..
    } = &load
    else {
        panic!("{load:?}");
    };
    assert_eq!(
        (name.as_str(), *schema, *version),
        ("frozen", 3, Version(2))
    );
    assert!(load.to_string().contains("deploy one that does"), "{load}");
    let execute = accounts.execute("alice", Move { cents: 1 }).await;
    assert!(
        matches!(execute, Err(ExecuteError::Fold { .. })),
        "{execute:?}"
    );
    assert!(accounts.history("alice").unwrap().collect().await.is_err());
    let before = accounts.load_at("alice", Version(1)).await.unwrap();
    assert_eq!(before.state.cents, 1, "what came before it can be read");
    assert_eq!(
        accounts.execute("bob", Move { cents: 1 }).await.unwrap(),
        1,
        "others go on"
    );
}

async fn an_unknown_event_can_be_skipped_and_is_counted(world: &World) {
    let node = world.node().await;
    let log = node.log("account").await.unwrap();
    let accounts = node.repository::<Lenient>().await.unwrap();
    let deposit = |_: &Lenient| -> Result<_, ()> {
        Ok(Decision::event(crate::common::AccountEvent::Moved {
            cents: 1,
        }))
    };
    accounts.transact("alice", deposit).await.unwrap();
    log.append("alice", [RawEvent::new("frozen", 1, &b"?"[..])])
        .await
        .unwrap();
    assert_eq!(node.counters().await.events_skipped, 0);
    accounts.transact("alice", deposit).await.unwrap();
    let loaded = accounts.load("alice").await.unwrap();
    assert_eq!((loaded.state.0.cents, loaded.version), (2, Version(3)));
    assert!(node.counters().await.events_skipped > 0);
    let versions = accounts.history("alice").unwrap().collect().await.unwrap();
    let versions: Vec<u64> = versions.iter().map(|past| past.version.0).collect();
    assert_eq!(versions, [1, 3]);
}

async fn an_undecodable_event_is_an_error_that_names_it(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let log = node.log("account").await.unwrap();
    log.append("alice", [RawEvent::new("moved", 1, &b"\xff\xff"[..])])
        .await
        .unwrap();
    let load = accounts.load("alice").await.unwrap_err();
    let LoadError::Fold {
        cause:
            FoldError::Undecodable {
                name,
                version,
                cause,
                ..
            },
        ..
    } = &load
    else {
        panic!("{load:?}");
    };
    assert_eq!((name.as_str(), *version), ("moved", Version(1)));
    assert!(!cause.is_empty());
    let mut history = accounts.history("alice").unwrap();
    for _ in 0..2 {
        // An error is not the end, and asking again leaves nothing out.
        let next = history.next().await;
        assert!(matches!(next, Err(LoadError::Fold { .. })), "{next:?}");
    }
    assert_eq!(
        log.history("alice").unwrap().collect().await.unwrap().len(),
        1
    );
}
