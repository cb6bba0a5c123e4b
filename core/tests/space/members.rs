//! The stream of membership records: there where nodes share the namespace, and only there.

use crate::process::{Process, wish};
use crate::store::{Store, capabilities};
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{
    Capabilities, Expect, Heard, Publish, Rollup, StoreDone, StoreRequest, Subject,
};
use tenure_core::space::{Effect, SpaceError, SpaceWish};
use tenure_core::step::Outcome;
use tenure_mem::store::{Store as Model, StoreConfig};

fn shared() -> SpaceWish {
    SpaceWish {
        cluster: true,
        ..wish()
    }
}

#[test]
fn a_namespace_of_a_lone_program_gets_it_when_nodes_share_it() {
    let mut store = Store::default();
    Process::up(wish(), 1).opened(&mut store);
    assert!(!store.has("bank_mem"));
    Process::up(shared(), 2).opened(&mut store);
    let settings = &store.stream("bank_mem").settings;
    assert_eq!(settings.subjects, ["bank.mem.*"]);
    assert_eq!(settings.messages_per_subject_max, 1);
    assert!(settings.allow_ttl && settings.allow_direct && settings.deny_delete);
    let before = store.clone();
    Process::up(shared(), 3).opened(&mut store);
    Process::up(wish(), 4).opened(&mut store);
    assert_eq!(store, before, "those that come later write nothing");
}

#[test]
fn it_has_the_replicas_of_the_event_streams() {
    let mut store = Store::default();
    let mut process = Process::new(shared(), 1);
    process.connect(Capabilities {
        clustered: true,
        ..capabilities()
    });
    let opened = process.opened(&mut store);
    assert_eq!(store.stream("bank_mem").settings.replicas, 3);
    assert_eq!(opened.shapes.len(), 8, "it is no event stream");
}

#[test]
fn who_may_not_create_it_is_told_how_to_provide_it() {
    let mut store = Store::default();
    Process::up(wish(), 1).opened(&mut store);
    let bound = SpaceWish {
        create: false,
        ..shared()
    };
    let error = Process::up(bound, 2).failed(&mut store);
    let SpaceError::StreamMissing { stream, config } = error else {
        panic!("{error}");
    };
    assert_eq!(stream, "bank_mem");
    assert!(
        config.contains(r#""republish":{"src":"bank.mem.>","dest":"bank.hb.>"}"#),
        "{config}"
    );
    assert!(config.contains(r#""max_msgs_per_subject":1,"#), "{config}");
}

#[test]
fn settings_with_which_heartbeats_would_not_do_are_refused() {
    let mut store = Store::default();
    Process::up(shared(), 1).opened(&mut store);
    let settings = store.settings("bank_mem");
    settings.republish = None;
    settings.messages_per_subject_max = -1;
    settings.age_max_ns = 60_000_000_000;
    let error = Process::up(shared(), 2).failed(&mut store).to_string();
    for part in [
        "has max_age = 1m; Tenure needs 0",
        "has max_msgs_per_subject = -1; Tenure needs 1, because a heartbeat replaces the one before",
        "has republish = unset; Tenure needs bank.mem.> to bank.hb.>, because nodes hear each other",
    ] {
        assert!(error.contains(part), "{part:?} in {error}");
    }
}

#[test]
fn one_that_is_lost_is_made_anew() {
    let mut store = Store::default();
    let mut process = Process::up(shared(), 1);
    process.opened(&mut store);
    store.remove("bank_mem");
    process.connect(capabilities());
    let told = process.run(&mut store);
    assert!(matches!(told, Effect::Verified(_)), "{told:?}");
    assert!(store.has("bank_mem"));
}

/// A heartbeat replaces the one before it, expires, and is announced where nodes listen.
#[test]
fn heartbeats_are_announced_and_replace_each_other() {
    let mut store = Model::new(StoreConfig::default());
    let mut process = Process::up(shared(), 1);
    let opened = loop {
        if !process.told.is_empty() {
            break process.told.remove(0);
        }
        let (op, request) = process.next();
        let reply = store.apply(WallTime(1_000), &request);
        process.reply(op, reply);
    };
    assert!(matches!(opened, Effect::Opened(_)), "{opened:?}");
    let namespace = shared().namespace;
    let beat = |expect| {
        StoreRequest::Publish(Publish {
            stream: namespace.member_stream(),
            subject: "bank.mem.a".into(),
            expect: Expect::OwnLast(Sequence(expect)),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: Some(40),
            payload: bytes::Bytes::from_static(b"beat"),
        })
    };
    for (at, expect) in [(2_000, 0), (3_000, 1)] {
        let stored = store.apply(WallTime(at), &beat(expect));
        assert!(
            matches!(stored, Outcome::Done(StoreDone::Published(_))),
            "{stored:?}"
        );
    }
    assert!(matches!(
        store.apply(WallTime(3_000), &beat(1)),
        Outcome::Refused(_)
    ));
    let heard: Vec<Heard> = store
        .take_announcements()
        .into_iter()
        .map(|announced| Heard {
            subject: Subject::from(announced.subject),
            sequence: announced.message.sequence,
            payload: announced.message.payload,
        })
        .filter(|heard| heard.subject.starts_with("bank.hb."))
        .collect();
    assert_eq!(heard.len(), 2);
    assert_eq!(
        (&heard[1].subject, heard[1].sequence),
        (&"bank.hb.a".into(), Sequence(2))
    );
    assert_eq!(store.messages("bank_mem").count(), 1);
    store.expire(WallTime(43_250));
    assert_eq!(store.messages("bank_mem").count(), 0);
}
