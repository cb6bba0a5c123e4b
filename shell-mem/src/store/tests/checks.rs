//! What a write expects, and deduplication ids.

use super::{Bench, T0, fenced, message, own, settings, with_id, wrong_last};
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Ack, Expect, Publish, StoreDone, StreamSettings};

#[test]
fn s7_a_write_checks_the_end_of_its_own_subject() {
    let mut bench = Bench::unreplicated();
    bench.publish(own("s.a", 0)).stored(1);
    assert_eq!(bench.publish(own("s.a", 0)).refused(), wrong_last(1));
    bench.publish(own("s.a", 1)).stored(2);
    bench.publish(own("s.b", 0)).stored(3);
    assert_eq!(bench.publish(own("s.a", 3)).refused(), wrong_last(2));
    assert_eq!(bench.publish(own("s.c", 3)).refused(), wrong_last(0));
}

#[test]
fn s6_a_fence_is_the_end_of_another_subject() {
    for mut bench in [Bench::unreplicated(), Bench::replicated()] {
        bench.publish(own("s.own", 0)).stored(1);
        bench.publish(fenced("s.a", "s.own", 1)).stored(2);
        bench.publish(own("s.own", 1)).stored(3);
        assert_eq!(
            bench.publish(fenced("s.a", "s.own", 1)).refused(),
            wrong_last(3)
        );
        bench.publish(fenced("s.a", "s.own", 3)).stored(4);
    }
}

#[test]
fn k9_a_fence_in_another_stream_is_never_seen() {
    let mut bench = Bench::unreplicated();
    bench.publish(message("s.a")).stored(1);
    assert_eq!(
        bench.publish(fenced("s.a", "t.own", 9)).refused(),
        wrong_last(0)
    );
    bench.publish(fenced("s.a", "t.own", 0)).stored(2);
}

#[test]
fn the_end_of_the_stream_can_be_expected() {
    let mut bench = Bench::unreplicated();
    let at_end = |last| Publish {
        expect: Expect::StreamLast(Sequence(last)),
        ..message("s.a")
    };
    bench.publish(at_end(0)).stored(1);
    assert_eq!(bench.publish(at_end(0)).refused(), wrong_last(1));
    bench.publish(at_end(1)).stored(2);
}

#[test]
fn k5_unreplicated_checks_come_before_deduplication() {
    let mut bench = Bench::unreplicated();
    bench.publish(with_id("c1", own("s.a", 0))).stored(1);
    assert_eq!(
        bench.publish(with_id("c1", own("s.a", 0))).refused(),
        wrong_last(1)
    );
    let again = Ack {
        sequence: Sequence(1),
        duplicate: true,
    };
    assert_eq!(
        bench.publish(with_id("c1", own("s.a", 1))).done(),
        StoreDone::Published(again)
    );
}

#[test]
fn k5_replicated_deduplication_comes_before_checks() {
    let mut bench = Bench::replicated();
    bench.publish(with_id("c1", own("s.a", 0))).stored(1);
    let again = Ack {
        sequence: Sequence(1),
        duplicate: true,
    };
    assert_eq!(
        bench.publish(with_id("c1", own("s.a", 0))).done(),
        StoreDone::Published(again)
    );
}

#[test]
fn deduplication_ids_are_forgotten_after_the_window() {
    let mut bench = Bench::new(StreamSettings {
        dedup_window_ns: 2_000_000_000,
        ..settings("S", 1)
    });
    bench.publish(with_id("c1", message("s.a"))).stored(1);
    bench.at = WallTime(T0.0 + 1_999);
    assert!(matches!(
        bench.publish(with_id("c1", message("s.a"))).done(),
        StoreDone::Published(Ack {
            duplicate: true,
            ..
        })
    ));
    bench.at = WallTime(T0.0 + 2_000);
    bench.publish(with_id("c1", message("s.a"))).stored(2);
    bench.at = WallTime(T0.0 + 3_999);
    assert!(matches!(
        bench.publish(with_id("c1", message("s.a"))).done(),
        StoreDone::Published(Ack {
            sequence: Sequence(2),
            duplicate: true
        })
    ));
}
