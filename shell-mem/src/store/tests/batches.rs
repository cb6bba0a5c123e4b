//! Atomic batches.

use super::{Bench, T0, fenced, message, own, rollup, settings, with_id, wrong_last};
use alloc::vec;
use tenure_core::id::WallTime;
use tenure_core::port::{Publish, Refused, StoreRequest, StreamSettings};

#[test]
fn s8_a_batch_is_stored_whole_or_not_at_all() {
    let mut bench = Bench::replicated();
    bench.publish(own("s.own", 0)).stored(1);
    bench
        .batch(vec![
            own("s.a", 0),
            own("s.b", 0),
            rollup(fenced("s.bar", "s.own", 1)),
        ])
        .stored(4);
    let stale = vec![
        own("s.a", 2),
        own("s.b", 0),
        rollup(fenced("s.bar", "s.own", 1)),
    ];
    assert_eq!(bench.batch(stale).refused(), wrong_last(3));
    bench
        .batch(vec![own("s.a", 2), rollup(fenced("s.bar", "s.own", 1))])
        .stored(6);
    assert_eq!(
        bench.subjects(),
        ["s.own@1", "s.a@2", "s.b@3", "s.a@5", "s.bar@6"]
    );
}

#[test]
fn s10_a_check_after_a_write_to_its_subject_in_the_batch_is_10164() {
    for mut bench in [Bench::unreplicated(), Bench::replicated()] {
        let twice = vec![own("s.a", 0), own("s.a", 0)];
        assert_eq!(bench.batch(twice).refused(), Refused::InProcess);
        let after = vec![message("s.a"), own("s.a", 0)];
        assert_eq!(bench.batch(after).refused(), Refused::InProcess);
        bench.batch(vec![own("s.a", 0), message("s.a")]).stored(2);
    }
}

#[test]
fn s10_one_repeated_id_refuses_a_batch() {
    let mut bench = Bench::unreplicated();
    bench.publish(with_id("c1", message("s.a"))).stored(1);
    let repeated = vec![message("s.b"), with_id("c1", message("s.c"))];
    assert_eq!(bench.batch(repeated).refused(), Refused::DuplicateInBatch);
    let inside = vec![with_id("c2", message("s.b")), with_id("c2", message("s.c"))];
    assert_eq!(bench.batch(inside).refused(), Refused::DuplicateInBatch);
}

#[test]
fn h15_a_batch_has_a_thousand_messages_at_most() {
    let mut bench = Bench::unreplicated();
    bench.batch(vec![message("s.a"); 1_000]).stored(1_000);
    assert_eq!(
        bench.batch(vec![message("s.a"); 1_001]).refused(),
        Refused::BatchTooLarge
    );
}

#[test]
fn h15_fifty_abandoned_batches_stop_a_stream_for_ten_seconds() {
    let mut bench = Bench::replicated();
    for _ in 0..50 {
        bench.store.abandon_batch(bench.at, "S");
    }
    assert_eq!(
        bench.batch(vec![message("s.a")]).refused(),
        Refused::TooManyBatches
    );
    bench.publish(message("s.a")).stored(1);
    bench.at = WallTime(T0.0 + 10_000);
    bench.batch(vec![message("s.a")]).stored(2);
}

#[test]
fn a_part_of_a_batch_that_got_lost_is_a_gap() {
    let mut bench = Bench::new(StreamSettings {
        message_bytes_max: 300,
        ..settings("S", 1)
    });
    bench
        .apply(StoreRequest::CreateStream(settings("T", 1)))
        .done();
    let large = || Publish {
        payload: vec![0; 400].into(),
        ..message("s.a")
    };
    let between = vec![message("s.a"), large(), message("s.a")];
    assert_eq!(bench.batch(between).refused(), Refused::BatchIncomplete);
    let elsewhere = vec![message("s.a"), message("t.a"), message("s.a")];
    assert_eq!(bench.batch(elsewhere).refused(), Refused::BatchIncomplete);
    let begun_elsewhere = vec![message("t.a"), message("s.a")];
    assert_eq!(
        bench.batch(begun_elsewhere).refused(),
        Refused::BatchIncomplete
    );
    assert_eq!(
        bench.batch(vec![large(), message("s.a")]).refused(),
        Refused::TooLarge
    );
}

#[test]
fn a_batch_whose_last_message_is_not_taken_stays_open() {
    let mut bench = Bench::new(StreamSettings {
        message_bytes_max: 300,
        ..settings("S", 1)
    });
    let large = || Publish {
        payload: vec![0; 400].into(),
        ..message("s.a")
    };
    for _ in 0..50 {
        assert_eq!(
            bench.batch(vec![message("s.a"), large()]).refused(),
            Refused::TooLarge
        );
    }
    assert_eq!(
        bench.batch(vec![message("s.a")]).refused(),
        Refused::TooManyBatches
    );
    let two = vec![message("s.a"), message("s.b")];
    assert_eq!(bench.batch(two).refused(), Refused::TooManyBatches);
    bench.at = WallTime(T0.0 + 10_000);
    bench.batch(vec![message("s.a")]).stored(1);
}
