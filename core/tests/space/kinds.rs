//! Kinds: recorded once, compared ever after.

use crate::process::{Process, account, wish};
use crate::store::{Store, capabilities};
use tenure_core::format::{Codec, KindRecord, Placement, TakeOver, WriteMode};
use tenure_core::id::Ticket;
use tenure_core::port::Capabilities;
use tenure_core::space::{Effect, Input, KindWish, SpaceError};
use tenure_core::step::Outcome;

#[test]
fn a_kind_is_recorded_once_and_compared_afterwards() {
    let mut store = Store::default();
    let mut a = Process::up(wish(), 1);
    // Wished for before the namespace is open.
    a.step(Input::Kind(account(7)));
    let opened = a.opened(&mut store);
    let Effect::KindReady {
        ticket: Ticket(7),
        record,
    } = a.run(&mut store)
    else {
        panic!("no kind: {:?}", a.told);
    };
    assert_eq!(record.layout, opened.layout.id);
    assert_eq!(
        KindRecord::decode(&store.last("bank.ctl.kind.account")),
        Ok(record.clone())
    );

    // Known by now: nothing is asked.
    a.step(Input::Kind(account(8)));
    assert_eq!(
        a.told,
        [Effect::KindReady {
            ticket: Ticket(8),
            record: record.clone()
        }]
    );

    let mut b = Process::up(wish(), 2);
    b.opened(&mut store);
    b.step(Input::Kind(account(1)));
    assert_eq!(
        b.run(&mut store),
        Effect::KindReady {
            ticket: Ticket(1),
            record
        }
    );
}

#[test]
fn a_kind_that_differs_is_refused_by_name() {
    let mut store = Store::default();
    let mut a = Process::up(wish(), 1);
    a.opened(&mut store);
    a.step(Input::Kind(account(1)));
    a.run(&mut store);
    let refused = |wish: KindWish| {
        let mut store = store.clone();
        let mut b = Process::up(self::wish(), 2);
        b.opened(&mut store);
        b.step(Input::Kind(wish));
        let told = b.run(&mut store);
        let Effect::KindFailed {
            ticket: Ticket(1),
            error,
        } = told
        else {
            panic!("not refused but {told:?}");
        };
        error.to_string()
    };
    assert_eq!(
        refused(KindWish {
            mode: WriteMode::Owned,
            ..account(1)
        }),
        "kind account has write mode direct, not owned: a kind is fixed at first use, so ask for \
         direct or use another name"
    );
    assert!(
        refused(KindWish {
            class: TakeOver::Leased,
            ..account(1)
        })
        .contains("fenced, not leased")
    );
    assert!(
        refused(KindWish {
            codec: Codec::Json,
            ..account(1)
        })
        .contains("CBOR, not JSON")
    );
    let prefix = KindWish {
        placement: Placement::Before('/'),
        ..account(1)
    };
    assert!(refused(prefix).contains("by the whole id, not by what is before '/'"));
}

#[test]
fn a_kind_survives_an_unknown_publish_and_a_cut() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    process.opened(&mut store);
    process.step(Input::Kind(account(1)));
    let (op, request) = process.serve_until(&mut store, "publish bank.ctl.kind.account");
    store.answer(&request);
    process.step(Input::Down);
    process.reply(op, Outcome::Unknown);
    process.connect(capabilities());
    assert!(matches!(process.run(&mut store), Effect::Verified(_)));
    let Effect::KindReady { record, .. } = process.run(&mut store) else {
        panic!("no kind: {:?}", process.told);
    };
    assert_eq!(
        KindRecord::decode(&store.last("bank.ctl.kind.account")),
        Ok(record)
    );
    assert_eq!(store.count("bank.ctl.kind.account"), 1);
}

#[test]
fn a_kind_that_takes_too_long_is_told() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    process.opened(&mut store);
    process.step(Input::Kind(account(1)));
    process.step(Input::Down);
    process.sleep();
    assert!(matches!(
        process.told.as_slice(),
        [Effect::KindFailed {
            ticket: Ticket(1),
            error: SpaceError::Timeout { .. }
        }]
    ));
}

#[test]
fn kinds_that_wait_are_told_when_the_namespace_fails() {
    let mut process = Process::new(wish(), 1);
    process.step(Input::Kind(account(1)));
    process.connect(Capabilities {
        jetstream: false,
        ..capabilities()
    });
    process.step(Input::Kind(account(2)));
    let error = SpaceError::NoJetStream;
    assert_eq!(
        process.told,
        [
            Effect::KindFailed {
                ticket: Ticket(1),
                error: error.clone()
            },
            Effect::Failed(error.clone()),
            Effect::KindFailed {
                ticket: Ticket(2),
                error
            },
        ]
    );
}
