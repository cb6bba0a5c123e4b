//! Streams, and what they and the server do not take.

use super::{Bench, Reply, T0, fenced, message, rollup, settings};
use crate::store::{Store, StoreConfig};
use alloc::vec;
use tenure_core::id::Sequence;
use tenure_core::port::{
    Persist, Publish, Refused, Republish, Source, StoreRequest, StreamSettings,
};

#[test]
fn writes_a_stream_does_not_take_are_refused_by_number() {
    let mut bench = Bench::new(StreamSettings {
        allow_rollup: false,
        allow_atomic: false,
        message_bytes_max: 300,
        messages_max: 2,
        ..settings("S", 1)
    });
    let ttl = Publish {
        ttl_s: Some(5),
        ..message("s.a")
    };
    assert_eq!(bench.publish(ttl).refused(), Refused::TtlDisabled);
    assert_eq!(
        bench.publish(rollup(message("s.a"))).refused(),
        Refused::RollupDisabled
    );
    assert_eq!(
        bench.batch(vec![message("s.a")]).refused(),
        Refused::BatchDisabled
    );
    assert_eq!(
        bench
            .batch(vec![message("s.a"), message("nobody")])
            .refused(),
        Refused::NoResponders
    );
    let large = Publish {
        payload: vec![0; 400].into(),
        ..message("s.a")
    };
    assert_eq!(bench.publish(large).refused(), Refused::TooLarge);
    let huge = Publish {
        payload: vec![0; 1 << 20].into(),
        ..message("s.a")
    };
    assert_eq!(bench.publish(huge).refused(), Refused::TooLarge);
    assert_eq!(
        bench.publish(message("t.a")).refused(),
        Refused::NoResponders
    );
    bench.publish(message("s.a")).stored(1);
    bench.publish(message("s.a")).stored(2);
    assert_eq!(bench.publish(message("s.a")).refused(), Refused::NoSpace);
}

#[test]
fn m16_another_stream_that_answers_is_found_out() {
    let mut bench = Bench::unreplicated();
    bench
        .apply(StoreRequest::CreateStream(settings("T", 1)))
        .done();
    assert_eq!(
        bench.publish(message("t.a")).refused(),
        Refused::WrongStream
    );
}

#[test]
fn streams_are_created_once_and_do_not_overlap() {
    let mut bench = Bench::unreplicated();
    bench
        .apply(StoreRequest::CreateStream(settings("S", 1)))
        .done();
    let other = StreamSettings {
        allow_rollup: false,
        ..settings("S", 1)
    };
    assert_eq!(
        bench.apply(StoreRequest::CreateStream(other)).refused(),
        Refused::StreamExists
    );
    let overlap = StreamSettings {
        subjects: vec!["s.x".to_string()],
        ..settings("T", 1)
    };
    let overlap = StoreRequest::CreateStream(overlap);
    assert_eq!(bench.apply(overlap).refused(), Refused::SubjectOverlap);
    let absent = StoreRequest::StreamInfo { stream: "U".into() };
    assert_eq!(bench.apply(absent).refused(), Refused::NoStream);
}

#[test]
fn an_account_without_jetstream_answers_nothing_but_that() {
    let mut config = StoreConfig::default();
    config.capabilities.jetstream = false;
    let mut bench = Bench {
        store: Store::new(config),
        at: T0,
    };
    assert_eq!(
        bench.publish(message("s.a")).refused(),
        Refused::NoResponders
    );
    let create = StoreRequest::CreateStream(settings("S", 1));
    assert_eq!(bench.apply(create).refused(), Refused::NoJetStream);
}

#[test]
fn requests_of_a_wrong_form_are_not_handed_over() {
    let mut bench = Bench::unreplicated();
    let bad = |reply: Reply| assert!(matches!(reply.refused(), Refused::BadRequest(_)));
    bad(bench.publish(message("s.*")));
    bad(bench.publish(fenced("s.a", "s.>", 0)));
    bad(bench.batch(vec![]));
    bad(bench.batch(vec![
        message("s.a"),
        Publish {
            stream: "T".into(),
            ..message("s.a")
        },
    ]));
    let none = bench.latest(&[]);
    bad(bench.apply(none));
    bad(bench.apply(StoreRequest::StreamInfo {
        stream: "a b".into(),
    }));
    let first = |source| StoreRequest::Get {
        stream: "S".into(),
        sequence: Sequence(0),
        source,
    };
    bad(bench.apply(first(Source::Replica)));
    bad(bench.apply(first(Source::Leader)));
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    let mut bench = Bench::unreplicated();
    let s = || settings("T", 1);
    for wrong in [
        StreamSettings {
            deny_purge: true,
            ..s()
        },
        StreamSettings {
            persist: Persist::Async,
            ..s()
        },
        StreamSettings {
            subjects: vec!["t.*".into(), "t.a".into()],
            ..s()
        },
        StreamSettings {
            subjects: vec!["t..a".into()],
            ..s()
        },
        StreamSettings {
            subjects: vec!["$JS.a".into()],
            ..s()
        },
        StreamSettings {
            age_max_ns: 1_000_000_000,
            ..s()
        },
        StreamSettings {
            dedup_window_ns: 1_000_000,
            ..s()
        },
        StreamSettings {
            republish: Some(Republish {
                source: ">".into(),
                destination: "t.>".into(),
            }),
            ..s()
        },
    ] {
        assert_eq!(
            bench.apply(StoreRequest::CreateStream(wrong)).refused(),
            Refused::Forbidden
        );
    }
    let many = StoreRequest::CreateStream(settings("T", 5));
    assert!(matches!(
        bench.apply(many).refused(),
        Refused::Other { code: 10_005, .. }
    ));
}
