//! The model's rules, each a test that is named for it. That a real server has the same ones is
//! what the contract test of the NATS shell shows.

use super::{Store, StoreConfig};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use tenure_core::id::{BatchId, Sequence, WallTime};
use tenure_core::port::{
    Ack, Expect, Fence, Message, Persist, Publish, Refused, Republish, Rollup, Source, StoreDone,
    StoreReply, StoreRequest, StreamSettings,
};
use tenure_core::step::Outcome;

const T0: WallTime = WallTime(1_000_000);

fn settings(name: &str, replicas: u32) -> StreamSettings {
    StreamSettings::event_log(name.into(), vec![name.to_lowercase() + ".>"], replicas)
}

/// A store with one stream `S` that takes in `s.>`, and short ways to ask it.
#[derive(Clone)]
struct Bench {
    store: Store,
    at: WallTime,
}

impl Bench {
    fn new(settings: StreamSettings) -> Self {
        let config = StoreConfig {
            removed_max: 1_000,
            ..StoreConfig::clustered(3)
        };
        let mut bench = Self {
            store: Store::new(config),
            at: T0,
        };
        bench.apply(StoreRequest::CreateStream(settings)).done();
        bench
    }

    fn unreplicated() -> Self {
        Self::new(settings("S", 1))
    }

    fn replicated() -> Self {
        Self::new(settings("S", 3))
    }

    fn apply(&mut self, request: StoreRequest) -> Reply {
        Reply(self.store.apply(self.at, &request))
    }

    fn publish(&mut self, publish: Publish) -> Reply {
        self.apply(StoreRequest::Publish(publish))
    }

    fn batch(&mut self, messages: Vec<Publish>) -> Reply {
        self.apply(StoreRequest::Batch {
            id: BatchId(1),
            messages,
        })
    }

    fn latest(&self, subjects: &[&str]) -> StoreRequest {
        let subjects = subjects.iter().map(|subject| (*subject).into()).collect();
        StoreRequest::Latest {
            stream: "S".into(),
            subjects,
        }
    }

    fn subjects(&self) -> Vec<String> {
        let text = |message: &Message| alloc::format!("{}@{}", message.subject, message.sequence.0);
        self.store.messages("S").map(text).collect()
    }
}

struct Reply(StoreReply);

impl Reply {
    #[track_caller]
    fn done(self) -> StoreDone {
        match self.0 {
            Outcome::Done(done) => done,
            Outcome::Refused(refused) => panic!("refused: {refused:?}"),
            Outcome::Unknown => panic!("unknown"),
        }
    }

    #[track_caller]
    fn refused(self) -> Refused {
        match self.0 {
            Outcome::Refused(refused) => refused,
            Outcome::Done(done) => panic!("done: {done:?}"),
            Outcome::Unknown => panic!("unknown"),
        }
    }

    #[track_caller]
    fn stored(self, sequence: u64) {
        let ack = Ack {
            sequence: Sequence(sequence),
            duplicate: false,
        };
        assert_eq!(self.done(), StoreDone::Published(ack));
    }
}

fn message(subject: &str) -> Publish {
    Publish {
        stream: "S".into(),
        subject: subject.into(),
        expect: Expect::Nothing,
        rollup: Rollup::No,
        dedup: None,
        ttl_s: None,
        payload: Bytes::from_static(b"x"),
    }
}

fn own(subject: &str, last: u64) -> Publish {
    Publish {
        expect: Expect::OwnLast(Sequence(last)),
        ..message(subject)
    }
}

fn fenced(subject: &str, fence: &str, epoch: u64) -> Publish {
    let fence = Fence {
        subject: fence.into(),
        sequence: Sequence(epoch),
    };
    Publish {
        expect: Expect::Fence(fence),
        ..message(subject)
    }
}

fn with_id(id: &str, publish: Publish) -> Publish {
    Publish {
        dedup: Some(id.into()),
        ..publish
    }
}

fn rollup(publish: Publish) -> Publish {
    Publish {
        rollup: Rollup::Subject,
        ..publish
    }
}

fn wrong_last(actual: u64) -> Refused {
    Refused::WrongLast {
        actual: Some(Sequence(actual)),
    }
}

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
fn s10_what_is_being_replicated_refuses_with_10164() {
    let mut bench = Bench::replicated();
    let first = bench
        .store
        .propose(T0, &StoreRequest::Publish(own("s.a", 0)))
        .unwrap();
    let second = StoreRequest::Publish(own("s.a", 0));
    let reply = bench.store.propose(T0, &second).unwrap_err();
    assert_eq!(Reply(reply).refused(), Refused::InProcess);
    let other = bench
        .store
        .propose(T0, &StoreRequest::Publish(own("s.b", 0)))
        .unwrap();
    Reply(bench.store.commit(T0, first)).stored(1);
    Reply(bench.store.commit(T0, other)).stored(2);
    let reply = bench.store.propose(T0, &second).unwrap_err();
    assert_eq!(Reply(reply).refused(), wrong_last(1));
}

#[test]
fn s10_an_id_that_is_being_replicated_refuses_with_10158() {
    let mut bench = Bench::replicated();
    let request = StoreRequest::Publish(with_id("c1", message("s.a")));
    let first = bench.store.propose(T0, &request).unwrap();
    let reply = bench.store.propose(T0, &request).unwrap_err();
    assert_eq!(Reply(reply).refused(), Refused::DuplicateInProcess);
    Reply(bench.store.commit(T0, first)).stored(1);
}

#[test]
fn what_a_lost_leader_proposed_is_not_stored() {
    let mut bench = Bench::replicated();
    bench
        .store
        .propose(T0, &StoreRequest::Publish(own("s.a", 0)))
        .unwrap();
    bench.store.drop_proposals();
    assert_eq!(bench.store.last("S"), Sequence::NONE);
    bench.publish(own("s.a", 0)).stored(1);
}

#[test]
fn k2_an_old_leader_answers_from_old_state() {
    let mut bench = Bench::replicated();
    bench.publish(own("s.a", 0)).stored(1);
    bench.publish(own("s.a", 1)).stored(2);
    let old = |bench: &Bench, request| Reply(bench.store.answer_as_of(T0, Sequence(1), &request));
    let behind = old(&bench, StoreRequest::Publish(own("s.a", 2)));
    assert_eq!(behind.refused(), wrong_last(1));
    let taken = old(&bench, StoreRequest::Publish(own("s.a", 1)));
    assert_eq!(taken.0, Outcome::Unknown);
    let get = |sequence| StoreRequest::Get {
        stream: "S".into(),
        sequence: Sequence(sequence),
        source: Source::Leader,
    };
    assert_eq!(old(&bench, get(2)).refused(), Refused::NotFound);
    let StoreDone::Latest(proof) = old(&bench, bench.latest(&["s.a"])).done() else {
        panic!()
    };
    assert_eq!(
        (proof.up_to, proof.messages[0].sequence),
        (Sequence(1), Sequence(1))
    );
}

#[test]
fn k2_an_old_state_still_has_what_was_rolled_up() {
    let mut bench = Bench::replicated();
    bench.publish(message("s.bar")).stored(1);
    bench.publish(message("s.a")).stored(2);
    bench.publish(rollup(message("s.bar"))).stored(3);
    assert_eq!(bench.subjects(), ["s.a@2", "s.bar@3"]);
    let latest = bench.latest(&["s.bar"]);
    let StoreDone::Latest(proof) = Reply(bench.store.answer_as_of(T0, Sequence(2), &latest)).done()
    else {
        panic!()
    };
    assert_eq!(
        (proof.up_to, proof.messages[0].sequence),
        (Sequence(2), Sequence(1))
    );
}

#[test]
fn s13_a_lost_tail_gives_its_sequences_again() {
    let mut bench = Bench::unreplicated();
    bench.publish(own("s.own", 0)).stored(1);
    bench.publish(own("s.own", 1)).stored(2);
    bench
        .publish(rollup(with_id("c1", own("s.own", 2))))
        .stored(3);
    bench.store.lose_tail("S", Sequence(1));
    assert_eq!(bench.subjects(), ["s.own@1"]);
    bench.publish(with_id("c1", own("s.own", 1))).stored(2);
    assert_eq!(bench.publish(own("s.own", 1)).refused(), wrong_last(2));
}

#[test]
fn k2_latest_without_any_message_is_a_bare_refusal() {
    let mut bench = Bench::unreplicated();
    bench.publish(message("s.a")).stored(1);
    let none = bench.latest(&["s.x", "s.y"]);
    assert_eq!(bench.apply(none).refused(), Refused::NotFound);
    let some = bench.latest(&["s.x", "s.a"]);
    let StoreDone::Latest(proof) = bench.apply(some).done() else {
        panic!()
    };
    assert_eq!((proof.messages.len(), proof.up_to), (1, Sequence(1)));
}

#[test]
fn a_scan_pages_through_a_filter() {
    let mut bench = Bench::unreplicated();
    for n in 0..6 {
        bench
            .publish(message(["s.a.1", "s.b.1"][n % 2]))
            .stored(n as u64 + 1);
    }
    let mut scan = |filter: &str, from, messages_max| {
        let request = StoreRequest::Scan {
            stream: "S".into(),
            filter: filter.into(),
            from: Sequence(from),
            messages_max,
        };
        let StoreDone::Page(page) = bench.apply(request).done() else {
            panic!()
        };
        let sequences: Vec<u64> = page.messages.iter().map(|m| m.sequence.0).collect();
        (sequences, page.more)
    };
    assert_eq!(scan("s.a.*", 1, 2), (vec![1, 3], true));
    assert_eq!(scan("s.a.1", 4, 2), (vec![5], false));
    assert_eq!(scan("s.b.1", 1, 3), (vec![2, 4, 6], false));
    assert_eq!(scan("s.>", 2, 3), (vec![2, 3, 4], true));
    assert_eq!(scan("s.x", 1, 3), (vec![], false));
}

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

#[test]
fn s10_a_full_queue_is_10167() {
    let mut bench = Bench::replicated();
    bench.store.config_mut().in_flight_max = 1;
    let first = bench
        .store
        .propose(T0, &StoreRequest::Publish(message("s.a")))
        .unwrap();
    let second = StoreRequest::Publish(message("s.b"));
    let reply = bench.store.propose(T0, &second).unwrap_err();
    assert_eq!(Reply(reply).refused(), Refused::Overloaded);
    Reply(bench.store.commit(T0, first)).stored(1);
    bench.apply(second).stored(2);
}
