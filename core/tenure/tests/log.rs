//! The log below aggregates: expectations, versions of one's own, gaps, and what it refuses.

use crate::common::{Account, AccountEvent, Move, World, on_both_shells_and_the_front};
use std::collections::BTreeMap;
use tenure::prelude::*;
use tenure::{AppendError, Codec, KindError, Log, RawEvent};

on_both_shells_and_the_front!(
    events_are_appended_and_read_as_they_are,
    an_expectation_is_kept,
    versions_rise_or_nothing_is_stored,
    an_import_keeps_its_gaps,
    after_the_last_version_there_is_no_event_more,
    an_append_with_an_id_takes_effect_once,
    the_log_and_a_repository_see_each_other,
    of_appends_at_one_version_one_wins,
    an_owned_kind_has_no_log,
);

fn raw(data: &'static [u8]) -> RawEvent {
    RawEvent::new("raw", 1, data)
}

async fn log(world: &World) -> Log {
    world.node().await.log("raw").await.unwrap()
}

async fn stored(log: &Log, id: &str) -> Vec<(u64, Vec<u8>)> {
    let events = log.history(id).unwrap().collect().await.unwrap();
    let pair = |past: tenure::Past<RawEvent>| (past.version.0, past.event.data.to_vec());
    events.into_iter().map(pair).collect()
}

async fn events_are_appended_and_read_as_they_are(world: &World) {
    let log = log(world).await;
    let appended = log.append("a", [raw(b"\xff\x00"), raw(b"")]).await.unwrap();
    assert_eq!((appended.version, appended.duplicate), (Version(2), false));
    let more = log.append("a", [raw(b"three")]).await.unwrap();
    assert!(more.sequence > appended.sequence);
    let expected = vec![
        (1, b"\xff\x00".to_vec()),
        (2, vec![]),
        (3, b"three".to_vec()),
    ];
    assert_eq!(stored(&log, "a").await, expected);
    let nothing = log.append("a", []).await;
    assert!(matches!(nothing, Err(AppendError::Empty)), "{nothing:?}");
    assert_eq!(log.version("a").await.unwrap(), Version(3));
    assert_eq!(log.version("b").await.unwrap(), Version::ABSENT);
}

async fn an_expectation_is_kept(world: &World) {
    let log = log(world).await;
    log.append("a", [raw(b"1")]).expected_none().await.unwrap();
    let none = log.append("a", [raw(b"x")]).expected_none().await;
    let Err(AppendError::Conflict {
        expected, actual, ..
    }) = none
    else {
        panic!("{none:?}");
    };
    assert_eq!((expected, actual), (Version::ABSENT, Version(1)));
    let stale = log.append("a", [raw(b"x")]).expected(Version(7)).await;
    assert!(
        matches!(stale, Err(AppendError::Conflict { .. })),
        "{stale:?}"
    );
    log.append("a", [raw(b"2")])
        .expected(Version(1))
        .await
        .unwrap();
    log.append("a", [raw(b"3")]).expected_any().await.unwrap();
    assert_eq!(log.version("a").await.unwrap(), Version(3));
}

async fn versions_rise_or_nothing_is_stored(world: &World) {
    let log = log(world).await;
    log.append("a", [raw(b"1").at(Version(5))]).await.unwrap();
    for (events, last, given) in [
        (vec![raw(b"x").at(Version(5))], 5, 5),
        (vec![raw(b"x").at(Version(4))], 5, 4),
        (vec![raw(b"x").at(Version(0))], 5, 0),
        (vec![raw(b"x"), raw(b"y").at(Version(6))], 6, 6),
    ] {
        let refused = log.append("a", events).await;
        let Err(
            error @ AppendError::VersionNotRising {
                last: l, given: g, ..
            },
        ) = refused
        else {
            panic!("{refused:?}");
        };
        assert_eq!((l, g), (Version(last), Version(given)));
        assert!(!error.is_unknown());
    }
    assert_eq!(stored(&log, "a").await, [(5, b"1".to_vec())]);
}

async fn an_import_keeps_its_gaps(world: &World) {
    let log = log(world).await;
    let versions = [1_u64, 2, 7, 1_000, u64::MAX - 1];
    for version in versions {
        log.append("a", [raw(b"e").at(Version(version))])
            .await
            .unwrap();
    }
    let versions_stored: Vec<u64> = stored(&log, "a").await.into_iter().map(|e| e.0).collect();
    assert_eq!(versions_stored, versions);
    let elsewhere = world.node().await.log("raw").await.unwrap();
    assert_eq!(elsewhere.version("a").await.unwrap(), Version(u64::MAX - 1));
}

async fn an_append_with_an_id_takes_effect_once(world: &World) {
    let node = world.node().await;
    let log = node.log("raw").await.unwrap();
    let id = node.command_id();
    let first = log.append("a", [raw(b"e")]).id(id).await.unwrap();
    assert_eq!((first.id, first.duplicate), (id, false));
    let again = log.append("a", [raw(b"e")]).id(id).await.unwrap();
    assert_eq!(
        (again.version, again.duplicate, again.sequence),
        (Version(1), true, None)
    );
    let elsewhere = world.node().await.log("raw").await.unwrap();
    assert!(
        elsewhere
            .append("a", [raw(b"e")])
            .id(id)
            .await
            .unwrap()
            .duplicate
    );
    assert_eq!(stored(&log, "a").await.len(), 1);
}

async fn the_log_and_a_repository_see_each_other(world: &World) {
    let node = world.node().await;
    let accounts = node.repository::<Account>().await.unwrap();
    let log = node.log("account").await.unwrap();
    let moved = |cents| {
        let event = AccountEvent::Moved { cents };
        RawEvent::new("moved", 1, Event::encode(&event, Codec::Cbor).unwrap())
    };
    for n in 1..=3 {
        accounts.execute("alice", Move { cents: 1 }).await.unwrap();
        log.append("alice", [moved(10)]).await.unwrap();
        let loaded = accounts.load("alice").await.unwrap();
        assert_eq!(
            (loaded.state.cents, loaded.version),
            (11 * n, Version(2 * n as u64))
        );
        assert_eq!(log.version("alice").await.unwrap(), Version(2 * n as u64));
    }
}

async fn of_appends_at_one_version_one_wins(world: &World) {
    let logs = [log(world).await, log(world).await];
    let appends: Vec<_> = (0..20)
        .map(|n| {
            let log = logs[n % 2].clone();
            tokio::spawn(async move { log.append("a", [raw(b"e")]).expected_none().await })
        })
        .collect();
    let mut won = 0;
    for append in appends {
        match append.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, AppendError::Conflict { .. }), "{error:?}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(stored(&logs[0], "a").await.len(), 1);
}

async fn an_owned_kind_has_no_log(world: &World) {
    let node = world.node().await;
    let log = node
        .log_with("owned", KindSettings::default().owned())
        .await;
    assert!(matches!(log, Err(KindError::Owned { .. })), "{log:?}");
}

async fn after_the_last_version_there_is_no_event_more(world: &World) {
    let node = world.node().await;
    let log = node.log("account").await.unwrap();
    let accounts = node.repository::<Account>().await.unwrap();
    let data = Codec::Cbor.encode(&BTreeMap::from([("cents", 1)])).unwrap();
    let event = || RawEvent::new("moved", 1, data.clone());
    let last = Version(u64::MAX);
    log.append("alice", [event().at(last)]).await.unwrap();
    for events in [vec![event()], vec![event().at(last)]] {
        let refused = log.append("alice", events).await;
        assert!(
            matches!(refused, Err(AppendError::VersionNotRising { .. })),
            "{refused:?}"
        );
    }
    let refused = accounts.execute("alice", Move { cents: 1 }).await;
    assert!(
        matches!(&refused, Err(ExecuteError::Failed(cause)) if cause.contains("no version")),
        "{refused:?}"
    );
    assert_eq!(accounts.version("alice").await.unwrap(), last);
    assert_eq!(node.counters().await.halts, 0);
}
