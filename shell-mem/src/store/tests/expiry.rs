//! Messages whose time is over.

use super::{Bench, T0, message, own, settings, wrong_last};
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Publish, Republish, StoreDone, StoreRequest, StreamSettings};

fn bucket() -> StreamSettings {
    StreamSettings {
        allow_ttl: true,
        marker_ttl_s: 10,
        messages_per_subject_max: 1,
        republish: Some(Republish {
            source: ">".into(),
            destination: "rp.>".into(),
        }),
        ..settings("S", 1)
    }
}

#[test]
fn k6_an_expired_message_leaves_a_late_marker_that_goes_silently() {
    let mut bench = Bench::new(bucket());
    bench
        .publish(Publish {
            ttl_s: Some(2),
            ..message("s.a")
        })
        .stored(1);
    bench.at = WallTime(T0.0 + 1_900);
    assert_eq!(bench.store.expire(bench.at), 0);
    bench.at = bench.store.next_expiry().unwrap();
    assert_eq!(bench.at, WallTime(T0.0 + 2_000));
    bench.store.take_announcements();
    assert_eq!(bench.store.expire(bench.at), 1);
    let marker = bench.store.last_of("S", "s.a").unwrap().clone();
    assert!(marker.expired_marker && marker.payload.is_empty());
    assert_eq!(marker.sequence, Sequence(2));
    let announced = bench.store.take_announcements();
    assert_eq!(announced.len(), 1);
    assert_eq!(
        (announced[0].subject.as_str(), &announced[0].message),
        ("rp.s.a", &marker)
    );
    assert_eq!(bench.publish(own("s.a", 0)).refused(), wrong_last(2));
    bench.at = WallTime(T0.0 + 12_000);
    assert_eq!(bench.store.expire(bench.at), 1);
    assert_eq!(bench.store.last_of("S", "s.a"), None);
    assert!(bench.store.take_announcements().is_empty());
    bench.publish(own("s.a", 0)).stored(3);
}

#[test]
fn k6_a_renewed_message_does_not_expire() {
    let mut bench = Bench::new(bucket());
    let beat = |last| Publish {
        ttl_s: Some(2),
        ..own("s.a", last)
    };
    bench.publish(beat(0)).stored(1);
    bench.at = WallTime(T0.0 + 1_500);
    bench.publish(beat(1)).stored(2);
    assert_eq!(bench.subjects(), ["s.a@2"]);
    bench.at = WallTime(T0.0 + 2_250);
    assert_eq!(bench.store.expire(bench.at), 0);
    bench.at = WallTime(T0.0 + 3_500);
    assert_eq!(bench.store.expire(bench.at), 1);
}

#[test]
fn a_full_stream_keeps_what_expired_because_its_marker_has_no_room() {
    let mut bench = Bench::new(StreamSettings {
        messages_max: 2,
        ..bucket()
    });
    bench
        .publish(Publish {
            ttl_s: Some(2),
            ..message("s.a")
        })
        .stored(1);
    bench.publish(message("s.b")).stored(2);
    bench.at = WallTime(T0.0 + 2_000);
    assert_eq!(bench.store.expire(bench.at), 0);
    assert_eq!(bench.subjects(), ["s.a@1", "s.b@2"]);
    assert!(bench.store.next_expiry().unwrap() > bench.at);
}

#[test]
fn all_messages_of_a_stream_can_have_an_age() {
    let aged = StreamSettings {
        age_max_ns: 2_000_000_000,
        dedup_window_ns: 2_000_000_000,
        ..settings("S", 1)
    };
    let mut bench = Bench::new(aged);
    bench.publish(message("s.a")).stored(1);
    bench.publish(message("s.b")).stored(2);
    bench.at = bench.store.next_expiry().unwrap();
    assert_eq!(bench.store.expire(bench.at), 2);
    let info = StoreRequest::StreamInfo { stream: "S".into() };
    let StoreDone::Stream(info) = bench.apply(info).done() else {
        panic!()
    };
    assert_eq!(
        (info.first, info.last, info.messages),
        (Sequence(3), Sequence(2), 0)
    );
}
