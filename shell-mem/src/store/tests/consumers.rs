//! Consumers: where they begin, what they give, and when they are gone.

use super::{Bench, T0, message, rollup};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{
    ConsumerInfo, ConsumerSettings, Fetched, Publish, Refused, Start, StoreDone, StoreReply,
    StoreRequest,
};
use tenure_core::step::{Outcome, Span};

fn settings(name: &str, filters: &[&str], from: Start) -> ConsumerSettings {
    ConsumerSettings {
        stream: "S".into(),
        name: name.into(),
        filters: filters.iter().map(|filter| (*filter).into()).collect(),
        from,
        idle: Span::from_secs(5),
    }
}

fn fetch(name: &str, messages_max: u32) -> StoreRequest {
    StoreRequest::Fetch {
        stream: "S".into(),
        consumer: name.into(),
        messages_max,
        bytes_max: 1 << 20,
        wait: Span::ZERO,
    }
}

fn close(name: &str) -> StoreRequest {
    StoreRequest::CloseConsumer {
        stream: "S".into(),
        consumer: name.into(),
    }
}

fn fetched(reply: StoreReply) -> Fetched {
    let Outcome::Done(StoreDone::Fetched(fetched)) = reply else {
        panic!("{reply:?}")
    };
    fetched
}

impl Bench {
    fn open(&mut self, name: &str, filters: &[&str], from: Start) -> ConsumerInfo {
        let request = StoreRequest::OpenConsumer(settings(name, filters, from));
        let done = self.apply(request).done();
        let StoreDone::Consumer(info) = done else {
            panic!("{done:?}")
        };
        info
    }

    /// `number:sequence` of each message, and how many follow.
    fn fetch(&mut self, name: &str, messages_max: u32) -> (String, u64) {
        let Fetched { messages, pending } = fetched(self.apply(fetch(name, messages_max)).0);
        let one = |it: &tenure_core::port::Delivered| {
            alloc::format!("{}:{}", it.number, it.message.sequence.0)
        };
        let texts: Vec<_> = messages.iter().map(one).collect();
        (texts.join(" "), pending)
    }

    fn is_gone(&mut self, name: &str) -> bool {
        let reply = self.apply(fetch(name, 1)).0;
        reply == Outcome::Refused(Refused::NoConsumer)
    }

    fn store(&mut self, subjects: &[&str]) {
        for subject in subjects {
            self.publish(message(subject)).done();
        }
    }
}

fn info(after: u64, pending: u64) -> ConsumerInfo {
    ConsumerInfo {
        after: Sequence(after),
        pending,
    }
}

#[test]
fn a_consumer_begins_where_it_is_asked_to() {
    let mut bench = Bench::unreplicated();
    let all = |bench: &mut Bench, name, from| bench.open(name, &["s.>"], from);
    let from = |sequence| Start::Sequence(Sequence(sequence));
    assert_eq!(all(&mut bench, "empty", from(0)), info(0, 0));
    assert_eq!(all(&mut bench, "empty-new", Start::New), info(0, 0));
    bench.store(&["s.a", "s.b"]);
    bench.at = WallTime(T0.0 + 10);
    bench.store(&["s.a", "s.a"]);
    assert_eq!(all(&mut bench, "none", from(0)), info(0, 4));
    assert_eq!(all(&mut bench, "one", from(1)), info(0, 4));
    assert_eq!(all(&mut bench, "three", from(3)), info(2, 2));
    assert_eq!(all(&mut bench, "new", Start::New), info(4, 0));
    assert_eq!(all(&mut bench, "beyond", from(9)), info(8, 0));
    assert_eq!(
        all(&mut bench, "past", Start::Time(WallTime(0))),
        info(0, 4)
    );
    let time = Start::Time(WallTime(T0.0 + 1));
    assert_eq!(all(&mut bench, "then", time), info(2, 2));
    assert_eq!(
        all(&mut bench, "future", Start::Time(WallTime(u64::MAX))),
        info(4, 0)
    );
    bench.store(&["s.c"]);
    assert_eq!(bench.fetch("new", 10), ("1:5".into(), 0));
    assert_eq!(bench.fetch("then", 10), ("1:3 2:4 3:5".into(), 0));
    assert_eq!(bench.fetch("future", 10), ("1:5".into(), 0));
    assert_eq!(bench.fetch("empty", 2), ("1:1 2:2".into(), 3));
    assert_eq!(bench.fetch("beyond", 10), (String::new(), 0));
    bench.store(&["s.c", "s.c", "s.c", "s.c"]);
    assert_eq!(bench.fetch("beyond", 10), ("1:9".into(), 0));
}

#[test]
fn it_gives_what_its_filters_match_once_and_in_order() {
    let mut bench = Bench::unreplicated();
    bench.store(&["s.a", "s.b.x", "s.c", "s.a", "s.b.y", "s.b"]);
    assert_eq!(
        bench.open("c", &["s.a", "s.b.*"], Start::Sequence(Sequence(1))),
        info(0, 4)
    );
    assert_eq!(bench.fetch("c", 1), ("1:1".into(), 3));
    assert_eq!(bench.fetch("c", 2), ("2:2 3:4".into(), 1));
    bench.store(&["s.c", "s.a"]);
    assert_eq!(bench.fetch("c", 9), ("4:5 5:8".into(), 0));
    assert_eq!(bench.fetch("c", 9), (String::new(), 0));
    bench.store(&["s.c", "s.c", "s.b.z"]);
    assert_eq!(bench.fetch("c", 9), ("6:11".into(), 0));
    assert_eq!(
        bench.open("nothing", &["other.>"], Start::Sequence(Sequence(1))),
        info(0, 0)
    );
    assert_eq!(bench.fetch("nothing", 9), (String::new(), 0));
}

#[test]
fn bytes_are_a_limit_but_for_the_first_message() {
    let mut bench = Bench::unreplicated();
    for bytes in [5, 100, 0, 3, 4] {
        let payload = Bytes::from(alloc::vec![b'x'; bytes]);
        bench
            .publish(Publish {
                payload,
                ..message("s.a")
            })
            .done();
    }
    bench.open("c", &[">"], Start::Sequence(Sequence(1)));
    let mut of = |bytes_max| {
        let StoreRequest::Fetch {
            stream,
            consumer,
            messages_max,
            wait,
            ..
        } = fetch("c", 10)
        else {
            unreachable!()
        };
        let request = StoreRequest::Fetch {
            stream,
            consumer,
            messages_max,
            wait,
            bytes_max,
        };
        let Fetched { messages, pending } = fetched(bench.apply(request).0);
        (messages.len(), pending)
    };
    assert_eq!(of(10), (1, 4));
    assert_eq!(of(10), (1, 3), "it is larger than what is asked for");
    assert_eq!(of(6), (2, 1));
    assert_eq!(of(0), (1, 0));
}

#[test]
fn what_is_removed_before_it_is_given_is_not_counted() {
    let mut bench = Bench::unreplicated();
    bench.store(&["s.a", "s.b", "s.a", "s.b"]);
    assert_eq!(
        bench.open("c", &["s.a"], Start::Sequence(Sequence(1))),
        info(0, 2)
    );
    bench.publish(rollup(message("s.a"))).done();
    assert_eq!(bench.fetch("c", 1), ("1:5".into(), 0));
    assert_eq!(
        bench.open("late", &["s.b"], Start::Sequence(Sequence(1))),
        info(1, 2)
    );
    assert!(bench.store.delete("S", Sequence(4)));
    assert_eq!(bench.fetch("late", 1), ("1:2".into(), 0));
}

#[test]
fn a_replica_that_lags_gives_what_it_has() {
    let mut bench = Bench::replicated();
    bench.store(&["s.a", "s.a", "s.a", "s.b"]);
    bench.open("c", &["s.a"], Start::Sequence(Sequence(1)));
    let (at, request) = (bench.at, fetch("c", 9));
    let as_of = |bench: &mut Bench, up_to| {
        let reply = bench.store.apply_as_of(at, Sequence(up_to), &request);
        let Fetched { messages, pending } = fetched(reply);
        let sequences: Vec<_> = messages.iter().map(|it| it.message.sequence.0).collect();
        (sequences, pending)
    };
    assert_eq!(as_of(&mut bench, 2), (alloc::vec![1, 2], 0));
    assert_eq!(as_of(&mut bench, 1), (Vec::new(), 0));
    bench.publish(rollup(message("s.a"))).done();
    // It has not heard of the rollup.
    assert_eq!(as_of(&mut bench, 3), (alloc::vec![3], 0));
    assert_eq!(bench.fetch("c", 9), ("4:5".into(), 0));
}

#[test]
fn it_goes_when_it_is_idle_closed_or_its_server_ends() {
    let mut bench = Bench::replicated();
    bench.open("idle", &[">"], Start::New);
    bench.at = WallTime(T0.0 + 4_999);
    assert_eq!(bench.fetch("idle", 1), (String::new(), 0));
    bench.at = WallTime(T0.0 + 9_998);
    // One that waits is in use.
    let StoreRequest::Fetch {
        stream,
        consumer,
        messages_max,
        bytes_max,
        ..
    } = fetch("idle", 1)
    else {
        unreachable!()
    };
    let wait = Span::from_secs(60);
    bench
        .apply(StoreRequest::Fetch {
            stream,
            consumer,
            messages_max,
            bytes_max,
            wait,
        })
        .done();
    bench.at = WallTime(T0.0 + 9_998 + 64_999);
    let there = |bench: &Bench| bench.store.consumers(bench.at, "S").count();
    assert_eq!(there(&bench), 1);
    bench.at = WallTime(T0.0 + 9_998 + 65_000);
    assert_eq!(there(&bench), 0);
    assert!(bench.is_gone("idle"));

    for name in ["a", "b"] {
        bench.open(name, &[">"], Start::New);
    }
    assert_eq!(bench.apply(close("a")).done(), StoreDone::Closed);
    assert_eq!(bench.apply(close("a")).done(), StoreDone::Closed);
    assert!(bench.is_gone("a") && !bench.is_gone("b"));
    bench.store.drop_proposals();
    assert!(bench.is_gone("b"));
    bench.open("c", &[">"], Start::New);
    bench.store.drop_proposals_of("other");
    assert!(!bench.is_gone("c"));
    bench.store.drop_proposals_of("S");
    assert!(bench.is_gone("c"));
    bench.open("d", &[">"], Start::New);
    bench.store.lose_tail("S", Sequence::NONE);
    assert!(bench.is_gone("d"));
    bench.open("e", &[">"], Start::New);
    bench.store.forget_consumers();
    assert!(bench.is_gone("e"));
}

#[test]
fn what_cannot_be_opened_is_refused() {
    let mut bench = Bench::unreplicated();
    let from = Start::Sequence(Sequence(1));
    bench.store(&["s.a", "s.a"]);
    bench.open("c", &["s.a"], from);
    assert_eq!(bench.fetch("c", 1), ("1:1".into(), 1));
    assert_eq!(
        bench.open("c", &["s.a"], from),
        info(1, 1),
        "it stands where it stands"
    );
    let other = StoreRequest::OpenConsumer(settings("c", &["s.b"], from));
    assert!(matches!(
        bench.apply(other).refused(),
        Refused::Other { code: 10_148, .. }
    ));
    let mut bad = |settings: ConsumerSettings| {
        let refused = bench.apply(StoreRequest::OpenConsumer(settings)).refused();
        assert!(matches!(refused, Refused::BadRequest(_)), "{refused:?}");
    };
    bad(settings("o", &["s.*", "s.a"], from));
    bad(settings("o", &["s.a", "s.a"], from));
    bad(settings("o", &[], from));
    bad(settings("a.b", &["s.a"], from));
    let elsewhere = ConsumerSettings {
        stream: "T".into(),
        ..settings("o", &["s.a"], from)
    };
    let reply = bench.apply(StoreRequest::OpenConsumer(elsewhere));
    assert_eq!(reply.refused(), Refused::NoStream);
    assert!(bench.is_gone("o"));
    assert!(matches!(
        bench.apply(fetch("c", 0)).refused(),
        Refused::BadRequest(_)
    ));
    let nowhere = StoreRequest::CloseConsumer {
        stream: "T".into(),
        consumer: "o".into(),
    };
    assert_eq!(bench.apply(nowhere).done(), StoreDone::Closed);
}
