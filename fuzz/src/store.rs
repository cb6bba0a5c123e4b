//! Any requests to the model store: never a panic, and sequences rise.

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use tenure_core::Outcome;
use tenure_core::id::{BatchId, Sequence, WallTime};
use tenure_core::port::{
    Expect, Fence, Publish, Rollup, Source, StoreDone, StoreRequest, StreamName, StreamSettings,
    Subject,
};
use tenure_mem::store::{Store, StoreConfig};

#[derive(Arbitrary, Debug)]
enum Act {
    Publish(Message),
    Batch(u8, Vec<Message>),
    Latest(Vec<u8>),
    Get(u8, bool),
    Scan(u8, u8, u8),
    Expire(u16),
    LoseTail(u8),
}

#[derive(Arbitrary, Debug)]
struct Message {
    subject: u8,
    expect: u8,
    sequence: u8,
    rollup: bool,
    dedup: Option<u8>,
    ttl_s: Option<u8>,
}

const STREAM: &str = "fuzz_ev_0";

fn subject(n: u8) -> Subject {
    format!("fuzz.ev.0.kind.{}", n % 5).into()
}

fn publish(message: &Message) -> Publish {
    let sequence = Sequence(u64::from(message.sequence));
    Publish {
        stream: STREAM.into(),
        subject: subject(message.subject),
        expect: match message.expect % 4 {
            0 => Expect::Nothing,
            1 => Expect::OwnLast(sequence),
            2 => Expect::Fence(Fence {
                subject: subject(message.expect / 4),
                sequence,
            }),
            _ => Expect::StreamLast(sequence),
        },
        rollup: if message.rollup {
            Rollup::Subject
        } else {
            Rollup::No
        },
        dedup: message.dedup.map(|id| id.to_string()),
        ttl_s: message.ttl_s.map(u32::from),
        payload: Bytes::new(),
    }
}

/// Plays what the bytes say.
///
/// # Panics
///
/// When sequences do not rise.
pub(crate) fn play(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let mut store = Store::new(StoreConfig::default());
    let settings = StreamSettings::event_log(STREAM.into(), vec!["fuzz.>".into()], 1);
    store.apply(WallTime(0), &StoreRequest::CreateStream(settings));
    let mut at = 0;
    let mut last = Sequence::NONE;
    while !bytes.is_empty() {
        let Ok(act) = Act::arbitrary(&mut bytes) else {
            return;
        };
        at += 1;
        let stream = StreamName::from(STREAM);
        let request = match act {
            Act::Publish(message) => StoreRequest::Publish(publish(&message)),
            Act::Batch(id, messages) => StoreRequest::Batch {
                id: BatchId(u128::from(id)),
                messages: messages.iter().map(publish).collect(),
            },
            Act::Latest(subjects) => StoreRequest::Latest {
                stream,
                subjects: subjects.into_iter().map(subject).collect(),
            },
            Act::Get(sequence, leader) => StoreRequest::Get {
                stream,
                sequence: Sequence(u64::from(sequence)),
                source: if leader {
                    Source::Leader
                } else {
                    Source::Replica
                },
            },
            Act::Scan(filter, from, messages_max) => StoreRequest::Scan {
                stream,
                filter: subject(filter),
                from: Sequence(u64::from(from)),
                messages_max: u32::from(messages_max),
            },
            Act::Expire(ms) => {
                at += u64::from(ms);
                store.expire(WallTime(at));
                continue;
            }
            Act::LoseTail(keep) => {
                store.lose_tail(STREAM, Sequence(u64::from(keep)));
                last = store.last(STREAM);
                continue;
            }
        };
        let reply = store.apply(WallTime(at), &request);
        if let Outcome::Done(StoreDone::Published(ack)) = reply
            && !ack.duplicate
        {
            assert!(ack.sequence > last, "sequences rise");
            last = ack.sequence;
        }
    }
}
