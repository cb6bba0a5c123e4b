//! Any requests to the model store: never a panic, sequences rise, and a consumer gives what its filters
//! match, in order and numbered without a gap.

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use std::collections::BTreeMap;
use tenure_core::Outcome;
use tenure_core::id::{BatchId, Sequence, WallTime};
use tenure_core::port::{
    ConsumerName, ConsumerSettings, Delivered, Expect, Fence, Publish, Rollup, Source, Start,
    StoreDone, StoreReply, StoreRequest, StreamName, StreamSettings, Subject,
};
use tenure_core::step::Span;
use tenure_mem::store::{Store, StoreConfig, matches};

#[derive(Arbitrary, Debug)]
enum Act {
    Publish(Message),
    Batch(u8, Vec<Message>),
    Latest(Vec<u8>),
    Get(u8, bool),
    Scan(u8, u8, u8),
    Expire(u16),
    LoseTail(u8),
    Open(u8, u8, u8),
    Fetch(u8, u8, u8, Option<u8>),
    Close(u8),
    Forget,
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

fn consumer(n: u8) -> ConsumerName {
    format!("c{}", n % 3).into()
}

fn consumer_settings(name: u8, filters: u8, from: u8) -> ConsumerSettings {
    let all = || Subject::from("fuzz.>");
    ConsumerSettings {
        stream: STREAM.into(),
        name: consumer(name),
        filters: match filters % 4 {
            0 => vec![all()],
            1 => vec![subject(filters / 4)],
            2 => vec![subject(filters / 4), subject(filters / 16)],
            _ => vec![all(), subject(filters / 4)],
        },
        from: match from % 8 {
            0 => Start::New,
            1 => Start::Time(WallTime(u64::from(from) * 100)),
            _ => Start::Sequence(Sequence(u64::from(from / 8))),
        },
        idle: Span::from_secs(20),
    }
}

/// How far each consumer is.
#[derive(Default)]
struct Cursors(BTreeMap<ConsumerName, Cursor>);

struct Cursor {
    filters: Vec<Subject>,
    number: u64,
    after: Sequence,
}

impl Cursors {
    fn opened(&mut self, settings: &ConsumerSettings, reply: &StoreReply, was_there: bool) {
        if let Outcome::Done(StoreDone::Consumer(info)) = reply
            && !was_there
        {
            let cursor = Cursor {
                filters: settings.filters.clone(),
                number: 0,
                after: info.after,
            };
            self.0.insert(settings.name.clone(), cursor);
        }
    }

    fn fetched(&mut self, name: &ConsumerName, reply: &StoreReply) {
        let Outcome::Done(StoreDone::Fetched(fetched)) = reply else {
            return;
        };
        let cursor = self.0.get_mut(name).expect("it was opened");
        for Delivered { message, number } in &fetched.messages {
            cursor.number += 1;
            assert_eq!(*number, cursor.number, "a number is missing");
            assert!(message.sequence > cursor.after, "messages come in order");
            cursor.after = message.sequence;
            let mut filters = cursor.filters.iter();
            assert!(filters.any(|filter| matches(filter, &message.subject)));
        }
    }
}

/// Plays what the bytes say.
///
/// # Panics
///
/// When sequences do not rise, or a consumer gives what it should not.
pub(crate) fn play(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let mut store = Store::new(StoreConfig::default());
    let settings = StreamSettings::event_log(STREAM.into(), vec!["fuzz.>".into()], 1);
    store.apply(WallTime(0), &StoreRequest::CreateStream(settings));
    let mut at = 0;
    let mut last = Sequence::NONE;
    let mut cursors = Cursors::default();
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
            Act::Open(name, filters, from) => {
                let settings = consumer_settings(name, filters, from);
                let is_there = {
                    let mut there = store.consumers(WallTime(at), STREAM);
                    there.any(|there| settings.name == *there)
                };
                let request = StoreRequest::OpenConsumer(settings.clone());
                let reply = store.apply(WallTime(at), &request);
                cursors.opened(&settings, &reply, is_there);
                continue;
            }
            Act::Fetch(name, messages_max, bytes_max, up_to) => {
                let request = StoreRequest::Fetch {
                    stream,
                    consumer: consumer(name),
                    messages_max: u32::from(messages_max),
                    bytes_max: u32::from(bytes_max),
                    wait: Span::ZERO,
                };
                let reply = match up_to {
                    None => store.apply(WallTime(at), &request),
                    Some(up_to) => {
                        let up_to = Sequence(u64::from(up_to));
                        store.apply_as_of(WallTime(at), up_to, &request)
                    }
                };
                cursors.fetched(&consumer(name), &reply);
                continue;
            }
            Act::Close(name) => StoreRequest::CloseConsumer {
                stream,
                consumer: consumer(name),
            },
            Act::Forget => {
                store.forget_consumers();
                continue;
            }
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
