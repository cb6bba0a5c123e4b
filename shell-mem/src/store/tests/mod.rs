//! The model's rules, each a test that is named for it. That a real server has the same ones is
//! what the contract test of the NATS shell shows.

mod batches;
mod checks;
mod consumers;
mod expiry;
mod reads;
mod refusals;
mod replicated;

use crate::store::{Store, StoreConfig};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use tenure_core::id::{BatchId, Sequence, WallTime};
use tenure_core::port::{
    Ack, Expect, Fence, Message, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest,
    StreamSettings,
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
