//! The same on the model store: what it says of streams and records is what the machine expects.

use crate::process::{Process, account, describe, wish};
use tenure_core::format::Anchor;
use tenure_core::id::{Sequence, Ticket, WallTime};
use tenure_core::port::{Capabilities, Publish, Rollup, StoreRequest};
use tenure_core::port::{Expect, StreamSettings};
use tenure_core::space::{Effect, Input, SpaceError, SpaceWish};
use tenure_mem::store::{Store, StoreConfig};

/// Lets the model answer everything until something is told.
fn run(process: &mut Process, store: &mut Store) -> Effect {
    while process.told.is_empty() {
        let (op, request) = process.next();
        process.reply(op, store.apply(WallTime(1_000), &request));
    }
    process.told.remove(0)
}

fn opened(process: &mut Process, store: &mut Store) -> tenure_core::space::Opened {
    let told = run(process, store);
    let Effect::Opened(opened) = told else {
        panic!("not opened but {told:?}");
    };
    opened
}

fn process(wish: SpaceWish, seed: u128, capabilities: &Capabilities) -> Process {
    let mut process = Process::new(wish, seed);
    process.connect(capabilities.clone());
    process
}

#[test]
fn a_namespace_is_opened_by_two_and_used_by_both() {
    for config in [StoreConfig::default(), StoreConfig::clustered(3)] {
        let capabilities = config.capabilities.clone();
        let mut store = Store::new(config);
        let mut a = process(wish(), 1, &capabilities);
        let mut b = process(wish(), 2, &capabilities);
        // Step by step in turns, so that each race is run.
        while a.told.is_empty() || b.told.is_empty() {
            for process in [&mut a, &mut b] {
                if process.told.is_empty() {
                    let (op, request) = process.next();
                    process.reply(op, store.apply(WallTime(1_000), &request));
                }
            }
        }
        let layout = opened(&mut a, &mut store).layout;
        assert_eq!(opened(&mut b, &mut store).layout, layout);
        for partition in layout.partitions() {
            let stream = format!("bank_ev_{partition}");
            let first = store.message(&stream, Sequence(1)).expect("an anchor");
            let anchor = Anchor::decode(&first.payload).unwrap();
            assert_eq!((anchor.layout, anchor.stream), (layout.id, partition));
            assert_eq!(store.last(&stream), Sequence(1));
        }
        let mut records = Vec::new();
        for process in [&mut a, &mut b] {
            process.step(Input::Kind(account(1)));
            let told = run(process, &mut store);
            let Effect::KindReady {
                ticket: Ticket(1),
                record,
            } = told
            else {
                panic!("no kind but {told:?}");
            };
            records.push(record);
        }
        assert_eq!(records[0], records[1]);
    }
}

#[test]
fn a_new_owner_is_announced() {
    let config = StoreConfig::default();
    let capabilities = config.capabilities.clone();
    let mut store = Store::new(config);
    opened(&mut process(wish(), 1, &capabilities), &mut store);
    store.take_announcements();
    let claim = StoreRequest::Publish(Publish {
        stream: "bank_ev_0".into(),
        subject: "bank.own.f.17".into(),
        expect: Expect::OwnLast(Sequence::NONE),
        rollup: Rollup::No,
        dedup: None,
        ttl_s: None,
        payload: bytes::Bytes::new(),
    });
    store.apply(WallTime(1_000), &claim);
    let announced: Vec<String> = store
        .take_announcements()
        .into_iter()
        .map(|announced| announced.subject)
        .collect();
    assert_eq!(announced, ["bank.rep.f.17"]);
}

#[test]
fn another_streams_subjects_and_too_many_replicas_are_found() {
    let config = StoreConfig::default();
    let capabilities = config.capabilities.clone();
    let mut store = Store::new(config);
    let three = SpaceWish {
        replicas: Some(3),
        ..wish()
    };
    let told = run(&mut process(three, 1, &capabilities), &mut store);
    assert!(
        matches!(
            told,
            Effect::Failed(SpaceError::LessDurable {
                wanted: 3,
                actual: 1,
                ..
            })
        ),
        "{told:?}"
    );

    let other = StreamSettings::event_log("other".into(), vec!["bank.own.f.*".into()], 1);
    store.apply(WallTime(1_000), &StoreRequest::CreateStream(other));
    let mut late = process(wish(), 2, &capabilities);
    let told = run(&mut late, &mut store);
    assert!(
        matches!(&told, Effect::Failed(SpaceError::Overlap { stream, .. }) if stream == "bank_ev_0"),
        "{told:?}"
    );
    assert!(
        late.requests
            .iter()
            .all(|(_, request)| describe(request) != "publish bank.lay.0")
    );
}
