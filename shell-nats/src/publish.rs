//! Writes: one message, and an atomic batch.

use crate::link::{Asked, Deadlines, Link, Outgoing, Replied, answer, ask};
use crate::wire::Until;
use async_nats::{HeaderMap, HeaderValue, Subject, header};
use serde::Deserialize;
use tenure_core::id::{BatchId, Sequence};
use tenure_core::port::{Ack, Expect, Publish, Refused, Rollup, StoreDone, StoreReply};
use tenure_core::step::Outcome;

const EXPECTED_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// Stores one message.
pub(crate) async fn one(link: &Link, publish: Publish, deadlines: Deadlines) -> StoreReply {
    let stream = publish.stream.clone();
    let message = match outgoing(publish) {
        Ok(message) => message,
        Err(refused) => return Outcome::Refused(refused),
    };
    let asked = ask(
        &link.client,
        &link.wire,
        vec![message],
        true,
        Until::First,
        deadlines,
    )
    .await;
    acknowledged(asked, &stream)
}

/// Stores all messages or none. The last message commits and is stored: the server does not look
/// at the expectations of an `eob` message (S6).
pub(crate) async fn batch(
    link: &Link,
    id: BatchId,
    publishes: Vec<Publish>,
    deadlines: Deadlines,
) -> StoreReply {
    let Some(stream) = publishes.first().map(|publish| publish.stream.clone()) else {
        return Outcome::Refused(Refused::BadRequest("a batch needs a message".into()));
    };
    if publishes.iter().any(|publish| publish.stream != stream) {
        return Outcome::Refused(Refused::BadRequest("a batch is for one stream".into()));
    }
    let (id, end) = (id.to_string(), publishes.len());
    let mut messages = Vec::with_capacity(end);
    for (place, publish) in publishes.into_iter().enumerate() {
        match outgoing(publish) {
            Ok(mut message) => {
                message.headers.insert(header::NATS_BATCH_ID, id.as_str());
                message
                    .headers
                    .insert(header::NATS_BATCH_SEQUENCE, HeaderValue::from(place + 1));
                if place + 1 == end {
                    let commit = header::NATS_BATCH_COMMIT_FINAL;
                    message.headers.insert(header::NATS_BATCH_COMMIT, commit);
                }
                messages.push(message);
            }
            Err(refused) => return Outcome::Refused(refused),
        }
    }
    let asked = ask(
        &link.client,
        &link.wire,
        messages,
        true,
        Until::Committed,
        deadlines,
    )
    .await;
    acknowledged(asked, &stream)
}

/// The server's acknowledgement of a write.
#[derive(Debug, Deserialize)]
struct PubAck {
    stream: String,
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

fn acknowledged(asked: Asked, stream: &str) -> StoreReply {
    let last = match asked {
        Outcome::Done(Replied { last, .. }) => last,
        Outcome::Refused(refused) => return Outcome::Refused(refused),
        Outcome::Unknown => return Outcome::Unknown,
    };
    match answer::<PubAck>(&last) {
        Outcome::Done(ack) if ack.stream == stream && ack.seq > 0 => {
            let sequence = Sequence(ack.seq);
            Outcome::Done(StoreDone::Published(Ack {
                sequence,
                duplicate: ack.duplicate,
            }))
        }
        // Another stream stored it, in spite of the expected stream's name; ours may have as well.
        Outcome::Done(ack) => {
            tracing::warn!(
                ?ack,
                stream,
                "an acknowledgement is not of the stream that was asked"
            );
            Outcome::Unknown
        }
        Outcome::Refused(refused) => Outcome::Refused(refused),
        Outcome::Unknown => Outcome::Unknown,
    }
}

fn outgoing(publish: Publish) -> Result<Outgoing, Refused> {
    let Publish {
        stream,
        subject,
        expect,
        rollup,
        dedup,
        ttl_s,
        payload,
    } = publish;
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_EXPECTED_STREAM, text(&stream)?);
    match expect {
        Expect::Nothing => {}
        Expect::OwnLast(Sequence(last)) => {
            let name = header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
            headers.insert(name, HeaderValue::from(last));
        }
        Expect::Fence(fence) => {
            crate::link::literal(&fence.subject)?;
            let name = header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
            headers.insert(name, HeaderValue::from(fence.sequence.0));
            headers.insert(EXPECTED_SUBJECT, text(&fence.subject)?);
        }
        Expect::StreamLast(Sequence(last)) => {
            headers.insert(header::NATS_EXPECTED_LAST_SEQUENCE, HeaderValue::from(last));
        }
    }
    match rollup {
        Rollup::No => {}
        Rollup::Subject => headers.insert(header::NATS_ROLLUP, "sub"),
    }
    if let Some(dedup) = dedup {
        headers.insert(header::NATS_MESSAGE_ID, text(&dedup)?);
    }
    if let Some(seconds) = ttl_s {
        headers.insert(header::NATS_MESSAGE_TTL, format!("{seconds}s").as_str());
    }
    Ok(Outgoing {
        subject: Subject::from(subject.as_str()),
        headers,
        payload,
    })
}

/// A header's value; one with a line break would begin another header.
fn text(value: &str) -> Result<HeaderValue, Refused> {
    value
        .parse()
        .map_err(|_| Refused::BadRequest(format!("{value:?} has a line break: no header's value")))
}
