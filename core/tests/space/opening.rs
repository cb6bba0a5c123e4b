//! A namespace is opened for the first time, or taken as it is.

use crate::process::{Process, describe, wish};
use crate::store::{Store, capabilities};
use tenure_core::format::{Anchor, Layout};
use tenure_core::id::{OpId, Partition};
use tenure_core::port::{Capabilities, Refused, StoreDone};
use tenure_core::space::Effect;
use tenure_core::step::{HaltReason, Machine, Outcome};

#[test]
fn a_new_namespace_is_made_in_order() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    let mut asked = Vec::new();
    while process.told.is_empty() {
        asked.push(describe(&process.serve(&mut store)));
    }
    assert_eq!(
        asked,
        [
            "info bank_ctl",
            "info bank_ev_0",
            "info bank_snap",
            "info bank_ctl",
            "create bank_ctl",
            "latest bank.ctl.layout bank.ctl.import",
            "publish bank.ctl.layout",
            "info bank_ev_0",
            "info bank_snap",
            "create bank_ev_0",
            "create bank_snap",
            "get 1 of bank_ev_0",
            "publish bank.lay.0",
        ]
    );
    let opened = process.opened(&mut store);
    assert_eq!((opened.layout.shards(), opened.layout.streams), (256, 1));
    assert_eq!(opened.shapes.len(), 1);
    assert!(!opened.shapes[0].replicated);
    assert_eq!(
        Layout::decode(&store.last("bank.ctl.layout")),
        Ok(opened.layout.clone())
    );
    let anchor = Anchor::decode(&store.last("bank.lay.0")).unwrap();
    assert_eq!(
        (anchor.layout, anchor.stream),
        (opened.layout.id, Partition(0))
    );
    assert_eq!(process.space.next_deadline(), None);
}

#[test]
fn a_second_process_takes_what_is_there() {
    let mut store = Store::default();
    let first = Process::up(wish(), 1).opened(&mut store);
    let before = store.clone();
    let second = Process::up(wish(), 2).opened(&mut store);
    assert_eq!(first, second);
    assert_eq!(store, before, "the second process wrote nothing");
}

#[test]
fn a_cluster_gets_eight_streams_of_three_replicas() {
    let mut store = Store::default();
    let mut process = Process::new(wish(), 1);
    process.connect(Capabilities {
        clustered: true,
        ..capabilities()
    });
    let opened = process.opened(&mut store);
    assert_eq!(opened.layout.streams, 8);
    assert_eq!(opened.shapes.len(), 8);
    assert!(opened.shapes.iter().all(|shape| shape.replicated));
    let settings = &store.stream("bank_ev_7").settings;
    assert_eq!(settings.replicas, 3);
    assert_eq!(settings.subjects.len(), 1 + 4 * 32);
}

#[test]
fn two_processes_at_once_agree_on_one_layout() {
    let mut store = Store::default();
    let mut a = Process::up(wish(), 1);
    let mut b = Process::up(wish(), 2);
    // Both have seen that there is none.
    let a_write = a.serve_until(&mut store, "publish bank.ctl.layout");
    let b_write = b.serve_until(&mut store, "publish bank.ctl.layout");
    a.reply(a_write.0, store.answer(&a_write.1));
    b.reply(b_write.0, store.answer(&b_write.1));
    let (a, b) = (a.opened(&mut store), b.opened(&mut store));
    assert_eq!(a, b);
}

#[test]
fn a_lost_race_that_cannot_be_seen_yet_is_looked_at_again() {
    let mut store = Store::default();
    let first = Process::up(wish(), 1).opened(&mut store);
    let mut second = Process::up(wish(), 2);
    let (op, _) = second.serve_until(&mut store, "latest bank.ctl.layout bank.ctl.import");
    // A replica that lags.
    second.reply(op, Outcome::Refused(Refused::NotFound));
    let (op, request) = second.next();
    assert_eq!(describe(&request), "publish bank.ctl.layout");
    second.reply(op, store.answer(&request));
    assert_eq!(second.opened(&mut store), first);
}

#[test]
fn an_unknown_publish_is_looked_at_before_anything_else() {
    for stored in [true, false] {
        let mut store = Store::default();
        let mut process = Process::up(wish(), 1);
        let (op, request) = process.serve_until(&mut store, "publish bank.ctl.layout");
        if stored {
            store.answer(&request);
        }
        process.reply(op, Outcome::Unknown);
        assert!(process.requests.is_empty(), "it waits before it asks again");
        let (op, request) = process.next();
        assert_eq!(describe(&request), "latest bank.ctl.layout bank.ctl.import");
        process.reply(op, store.answer(&request));
        let opened = process.opened(&mut store);
        assert_eq!(
            Layout::decode(&store.last("bank.ctl.layout")),
            Ok(opened.layout)
        );
        assert_eq!(store.count("bank.ctl.layout"), 1);
    }
}

#[test]
fn an_answer_that_does_not_fit_halts() {
    let mut process = Process::up(wish(), 1);
    let (op, _) = process.next();
    process.reply(op, Outcome::Done(StoreDone::Capabilities(capabilities())));
    assert_eq!(process.told, [Effect::Halt(HaltReason::WrongAnswer(op))]);

    let mut process = Process::up(wish(), 1);
    process.reply(OpId(99), Outcome::Unknown);
    assert_eq!(
        process.told,
        [Effect::Halt(HaltReason::UnknownOp(OpId(99)))]
    );
    assert_eq!(process.space.next_deadline(), None);
}
