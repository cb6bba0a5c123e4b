//! What is there and different is refused by name, with what to do about it.

use crate::process::{Process, wish};
use crate::store::{Store, capabilities};
use bytes::Bytes;
use tenure_core::format::{Anchor, FormatError, LayoutKey};
use tenure_core::id::{LayoutId, Partition};
use tenure_core::port::{Capabilities, Refused, ServerVersion};
use tenure_core::space::{Effect, Space, SpaceError, SpaceWish};
use tenure_core::step::{Limits, Outcome, Time};

#[test]
fn foreign_settings_are_refused_and_nothing_is_written() {
    let mut store = Store::default();
    Process::up(wish(), 1).opened(&mut store);
    store.settings("bank_ev_0").age_max_ns = 24 * 3_600_000_000_000;
    store.settings("bank_ev_0").deny_delete = false;
    let before = store.clone();
    let error = Process::up(wish(), 2).failed(&mut store);
    assert_eq!(
        error.to_string(),
        "stream \"bank_ev_0\" has max_age = 24h; Tenure needs 0, because an event log must not \
         expire\n\
         stream \"bank_ev_0\" has deny_delete = false; Tenure needs true, because an older \
         ownership record comes back when the newest goes\n\
         change it (`nats stream edit`), or choose another namespace"
    );
    assert_eq!(store, before);
}

#[test]
fn nothing_is_made_beside_a_foreign_event_stream() {
    let mut other = Store::default();
    Process::up(wish(), 1).opened(&mut other);
    let mut store = Store::default();
    store.adopt("bank_ev_0", &other);
    store.settings("bank_ev_0").age_max_ns = 1;
    let before = store.clone();
    let error = Process::up(wish(), 2).failed(&mut store);
    assert!(matches!(error, SpaceError::Settings(_)), "{error:?}");
    assert_eq!(store, before);

    let mut store = Store::default();
    store.adopt("bank_ev_0", &other);
    store.clear_stream("bank_ev_0");
    store.put("bank_ev_0", "bank.ev.1.order.7", Bytes::from_static(b"x"));
    let before = store.clone();
    let error = Process::up(wish(), 2).failed(&mut store);
    assert!(matches!(error, SpaceError::NotAnchored { .. }), "{error:?}");
    assert_eq!(store, before);
}

#[test]
fn a_namespace_that_is_made_meanwhile_is_no_foreign_one() {
    let mut store = Store::default();
    let mut late = Process::up(wish(), 1);
    let (op, request) = late.serve_until(&mut store, "info bank_ev_0");
    // Another process makes the namespace, with another number of streams.
    let wanted = SpaceWish {
        streams: Some(2),
        ..wish()
    };
    let opened = Process::up(wanted, 2).opened(&mut store);
    let reply = store.answer(&request);
    late.reply(op, reply);
    assert_eq!(late.opened(&mut store), opened);
}

#[test]
fn fewer_replicas_than_wanted_say_what_to_change() {
    let mut store = Store::default();
    Process::up(wish(), 1).opened(&mut store);
    let three = SpaceWish {
        replicas: Some(3),
        ..wish()
    };
    let error = Process::up(three.clone(), 2).failed(&mut store);
    assert!(
        matches!(&error, SpaceError::LessDurable { stream, wanted: 3, actual: 1 } if stream == "bank_ctl")
    );
    // A single server cannot have them at all.
    let mut empty = Store::default();
    let mut process = Process::up(three, 3);
    let (op, _) = process.serve_until(&mut empty, "create bank_ctl");
    let text = "replicas > 1 not supported in non-clustered mode".into();
    process.reply(op, Outcome::Refused(Refused::Other { code: 10_074, text }));
    let error = process.failed(&mut empty);
    assert!(matches!(
        error,
        SpaceError::LessDurable {
            wanted: 3,
            actual: 1,
            ..
        }
    ));
}

#[test]
fn another_layout_is_refused_by_name() {
    let mut store = Store::default();
    Process::up(wish(), 1).opened(&mut store);
    let differs = |wish: SpaceWish| Process::up(wish, 2).failed(&mut store.clone()).to_string();
    assert_eq!(
        differs(SpaceWish {
            shards: Some(64),
            ..wish()
        }),
        "the namespace has 256 shards, not 64: a layout is fixed for good, so ask for 256 or for \
         none, or choose another namespace"
    );
    let error = differs(SpaceWish {
        streams: Some(4),
        ..wish()
    });
    assert!(
        error.starts_with("the namespace has 1 event streams, not 4"),
        "{error}"
    );
    let error = differs(SpaceWish {
        key: Some(LayoutKey(7)),
        ..wish()
    });
    assert!(
        error.contains("as hash key, not 00000000000000000000000000000007"),
        "{error}"
    );
}

#[test]
fn a_stream_of_another_layout_is_refused() {
    let mut store = Store::default();
    let mine = Process::up(wish(), 1).opened(&mut store).layout.id;
    let other = LayoutId(mine.0 ^ 1);
    let anchor = Anchor::decode(&store.last("bank.lay.0")).unwrap();
    store.replace(
        "bank.lay.0",
        Anchor {
            layout: other,
            ..anchor.clone()
        }
        .encode(),
    );
    let error = Process::up(wish(), 2).failed(&mut store);
    assert_eq!(
        error,
        SpaceError::OtherLayout {
            what: "stream \"bank_ev_0\"".into(),
            expected: mine,
            found: other
        }
    );
    store.replace(
        "bank.lay.0",
        Anchor {
            stream: Partition(1),
            ..anchor
        }
        .encode(),
    );
    let error = Process::up(wish(), 3).failed(&mut store);
    assert!(matches!(
        error,
        SpaceError::WrongPlace {
            found: Partition(1),
            ..
        }
    ));
}

#[test]
fn a_stream_with_foreign_messages_is_refused() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    let (op, request) = process.serve_until(&mut store, "create bank_ev_0");
    let reply = store.answer(&request);
    store.put("bank_ev_0", "bank.ev.1.account.a", Bytes::from_static(b"x"));
    process.reply(op, reply);
    let error = process.failed(&mut store);
    assert!(
        matches!(&error, SpaceError::NotAnchored { subject, .. } if subject == "bank.ev.1.account.a")
    );
}

#[test]
fn a_record_of_a_newer_program_is_refused() {
    let mut store = Store::default();
    Process::up(wish(), 1).opened(&mut store);
    let mut newer = store.last("bank.ctl.layout").to_vec();
    newer[2] = 9;
    store.replace("bank.ctl.layout", Bytes::from(newer));
    let error = Process::up(wish(), 2).failed(&mut store);
    let version = FormatError::Version {
        format: "layout record",
        found: 9,
        supported: 1,
    };
    assert_eq!(error, SpaceError::Format(version));
}

#[test]
fn who_may_not_create_is_told_how_to_provide_the_stream() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    let (op, _) = process.serve_until(&mut store, "create bank_ctl");
    process.reply(
        op,
        Outcome::Refused(Refused::Denied("permissions violation".into())),
    );
    let denied = process.failed(&mut store);
    let not_asked = Process::up(
        SpaceWish {
            create: false,
            ..wish()
        },
        1,
    )
    .failed(&mut store);
    assert_eq!(denied, not_asked);
    let text = denied.to_string();
    assert!(
        text.contains("`nats stream add --config bank_ctl.json`"),
        "{text}"
    );
    assert!(
        text.contains("\"name\":\"bank_ctl\",\"subjects\":[\"bank.ctl.>\"]"),
        "{text}"
    );

    // The records are made all the same once the streams are there.
    Process::up(wish(), 1).opened(&mut store);
    store.clear();
    Process::up(
        SpaceWish {
            create: false,
            ..wish()
        },
        2,
    )
    .opened(&mut store);
}

#[test]
fn who_may_not_look_is_told_so() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    let (op, _) = process.next();
    process.reply(
        op,
        Outcome::Refused(Refused::Denied("permissions violation".into())),
    );
    let error = process.failed(&mut store).to_string();
    assert_eq!(
        error,
        "the user may not look at stream \"bank_ctl\": grant it (permissions violation)"
    );
}

#[test]
fn a_server_that_is_too_old_or_has_no_jetstream_is_refused() {
    let found = ServerVersion::parse("2.11.9").unwrap();
    let mut process = Process::new(wish(), 1);
    process.connect(Capabilities {
        version: found.clone(),
        ..capabilities()
    });
    assert_eq!(
        process.told,
        [Effect::Failed(SpaceError::ServerTooOld { found })]
    );
    let mut process = Process::new(wish(), 1);
    process.connect(Capabilities {
        jetstream: false,
        ..capabilities()
    });
    assert_eq!(process.told, [Effect::Failed(SpaceError::NoJetStream)]);
    assert!(process.requests.is_empty());
}

#[test]
fn another_streams_subjects_are_named() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    let (op, _) = process.serve_until(&mut store, "create bank_ev_0");
    process.reply(op, Outcome::Refused(Refused::SubjectOverlap));
    let error = process.failed(&mut store);
    assert!(matches!(error, SpaceError::Overlap { stream, .. } if stream == "bank_ev_0"));
}

#[test]
fn a_stream_that_another_process_made_is_verified() {
    let mut store = Store::default();
    let mut process = Process::up(wish(), 1);
    let (op, request) = process.serve_until(&mut store, "create bank_ctl");
    store.answer(&request);
    store.settings("bank_ctl").allow_ttl = true;
    process.reply(op, Outcome::Refused(Refused::StreamExists));
    let error = process.failed(&mut store);
    assert!(matches!(error, SpaceError::Settings(found) if found[0].setting == "allow_msg_ttl"));
}

#[test]
fn a_wish_that_cannot_be_is_refused_at_once() {
    let bad = |shards, streams| {
        let wish = SpaceWish {
            shards: Some(shards),
            streams: Some(streams),
            ..wish()
        };
        Space::new(wish, Limits::default(), Time::ZERO).is_err()
    };
    assert!(bad(0, 1) && bad(1, 0) && bad(4, 5) && bad(5_000, 1));
    assert!(!bad(4, 4));
}
