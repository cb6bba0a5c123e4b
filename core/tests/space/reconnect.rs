//! Connections come and go, and answers do not come.

use crate::process::{Process, account, wish};
use crate::store::{Store, capabilities};
use tenure_core::format::Layout;
use tenure_core::id::LayoutId;
use tenure_core::port::{Capabilities, Refused};
use tenure_core::space::{Effect, Input, SpaceError};
use tenure_core::step::{Limits, Machine, Outcome, Span, Time};

#[test]
fn what_passes_is_asked_again_and_time_runs_out() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    for refused in [
        Refused::NoResponders,
        Refused::NotConnected,
        Refused::Overloaded,
    ] {
        let (op, _) = process.next();
        process.reply(op, Outcome::Refused(refused));
    }
    process.opened(&mut store);

    let mut process = Process::up(wish(), 1);
    let mut asked = 0;
    while process.told.is_empty() {
        let Some((op, _)) = process.requests.pop_front() else {
            process.sleep();
            continue;
        };
        asked += 1;
        process.reply(op, Outcome::Refused(Refused::NoResponders));
    }
    assert_eq!(
        process.told,
        [Effect::Failed(SpaceError::Timeout {
            last: "to look at stream \"bank_ctl\": nobody answers for the stream".into()
        })]
    );
    let limits = Limits::default();
    assert_eq!(process.now, Time::ZERO + limits.open_timeout);
    assert!(
        (30..100).contains(&asked),
        "asked {asked} times with back-off"
    );
}

#[test]
fn without_a_connection_time_runs_out() {
    let mut process = Process::new(wish(), 1);
    process.sleep();
    let last = "there was no connection".into();
    assert_eq!(process.told, [Effect::Failed(SpaceError::Timeout { last })]);
    assert_eq!(process.space.next_deadline(), None);
}

#[test]
fn a_reconnect_while_opening_starts_over_and_old_answers_mean_nothing() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    let (late, request) = process.serve_until(&mut store, "publish bank.ctl.layout");
    process.step(Input::Down);
    assert!(process.requests.is_empty());
    process.connect(capabilities());
    // The attempt from before the cut is stored only now.
    store.answer(&request);
    process.reply(late, Outcome::Unknown);
    let opened = process.opened(&mut store);
    assert_eq!(store.count("bank.ctl.layout"), 1);
    assert_eq!(
        Layout::decode(&store.last("bank.ctl.layout")),
        Ok(opened.layout)
    );
}

#[test]
fn a_reconnect_verifies_again_and_makes_nothing() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    let opened = process.opened(&mut store);
    let before = store.clone();
    process.step(Input::Down);
    process.connect(Capabilities {
        payload_bytes_max: 4_096,
        ..capabilities()
    });
    let Effect::Verified(verified) = process.run(&mut store) else {
        panic!("not verified: {:?}", process.told);
    };
    assert_eq!(verified.layout, opened.layout);
    assert_eq!(verified.shapes[0].payload_bytes_max, 4_096);
    assert_eq!(store, before);

    store.settings("bank_ev_0").allow_ttl = true;
    process.step(Input::Down);
    process.connect(capabilities());
    assert!(matches!(
        process.run(&mut store),
        Effect::Failed(SpaceError::Settings(_))
    ));
}

#[test]
fn a_store_without_answers_does_not_end_an_open_namespace() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    process.opened(&mut store);
    process.step(Input::Down);
    assert_eq!(
        process.space.next_deadline(),
        None,
        "an open namespace may be away for long"
    );
    process.connect(capabilities());
    let since = process.now;
    while process.now < since + Span::from_secs(300) {
        let (op, _) = process.next();
        process.reply(op, Outcome::Unknown);
    }
    assert_eq!(process.told, []);
    assert!(matches!(process.run(&mut store), Effect::Verified(_)));
}

#[test]
fn an_event_stream_that_is_lost_is_not_made_anew() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    process.opened(&mut store);
    process.step(Input::Kind(account(1)));
    assert!(matches!(process.run(&mut store), Effect::KindReady { .. }));
    store.remove("bank_ev_0");

    // By the process that was connected, and by one that starts.
    process.step(Input::Down);
    process.connect(capabilities());
    let lost = SpaceError::StreamLost {
        stream: "bank_ev_0".into(),
    };
    assert_eq!(process.failed(&mut store), lost);
    assert_eq!(Process::up(wish(), 2).failed(&mut store), lost);

    // Somebody made it anew, empty.
    let mut fresh = Store::default();
    Process::up(wish(), 1).opened(&mut fresh);
    fresh.clear_stream("bank_ev_0");
    store.adopt("bank_ev_0", &fresh);
    assert_eq!(Process::up(wish(), 3).failed(&mut store), lost);
    assert_eq!(store.count("bank.lay.0"), 0);
}

#[test]
fn another_layout_after_a_reconnect_ends_the_process() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    let mine = process.opened(&mut store).layout;
    let other = Layout {
        id: LayoutId(mine.id.0 ^ 1),
        ..mine.clone()
    };
    store.replace("bank.ctl.layout", other.encode());
    process.step(Input::Down);
    process.connect(capabilities());
    let error = process.failed(&mut store);
    assert!(
        matches!(&error, SpaceError::OtherLayout { expected, found, .. } if (*expected, *found) == (mine.id, other.id))
    );
}
