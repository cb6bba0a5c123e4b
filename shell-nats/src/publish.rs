//! Writes: one message, and an atomic batch.

use crate::link::{Asked, Deadlines, Link, Outgoing, Replied, answer, ask};
use crate::wire::Until;
use async_nats::{HeaderMap, HeaderValue, Message, header};
use serde::Deserialize;
use tenure_core::id::{BatchId, Sequence};
use tenure_core::port::{Ack, Expect, Publish, Refused, Rollup, StoreDone, StoreReply};
use tenure_core::step::Outcome;

const EXPECTED_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// What a message does to a key, for readers of NATS KV.
const KV_OPERATION: &str = "KV-Operation";

/// Stores one message.
pub(crate) async fn one(link: &Link, publish: Publish, deadlines: Deadlines) -> StoreReply {
    let message = match outgoing(&publish) {
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
    acknowledged(asked, &publish.stream)
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
    for (place, publish) in publishes.iter().enumerate() {
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

pub(crate) fn acknowledged(asked: Asked, stream: &str) -> StoreReply {
    let last = match asked {
        Outcome::Done(Replied { last, .. }) => last,
        Outcome::Refused(refused) => return Outcome::Refused(refused),
        Outcome::Unknown => return Outcome::Unknown,
    };
    if let Some(sequence) = plain(&last, stream) {
        return Outcome::Done(StoreDone::Published(Ack {
            sequence,
            duplicate: false,
        }));
    }
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

/// The sequence in an acknowledgement of this stream that is as nearly all are, namely
/// `{"stream":"S", "seq":42}`. Of any other, also of one that is written otherwise, nothing is said.
fn plain(message: &Message, stream: &str) -> Option<Sequence> {
    let rest = message.payload.strip_prefix(b"{\"stream\":\"")?;
    let rest = rest.strip_prefix(stream.as_bytes())?;
    let digits = rest
        .strip_prefix(b"\", \"seq\":")
        .or_else(|| rest.strip_prefix(b"\",\"seq\":"))?
        .strip_suffix(b"}")?;
    if message.status.is_some() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let sequence: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    (sequence > 0).then_some(Sequence(sequence))
}

pub(crate) fn outgoing(publish: &Publish) -> Result<Outgoing, Refused> {
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
    headers.insert(header::NATS_EXPECTED_STREAM, text(stream)?);
    match expect {
        Expect::Nothing => {}
        Expect::OwnLast(Sequence(last)) => {
            let name = header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
            headers.insert(name, HeaderValue::from(*last));
        }
        Expect::Fence(fence) => {
            crate::link::literal(&fence.subject)?;
            let name = header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
            headers.insert(name, HeaderValue::from(fence.sequence.0));
            headers.insert(EXPECTED_SUBJECT, text(&fence.subject)?);
        }
        Expect::StreamLast(Sequence(last)) => {
            headers.insert(
                header::NATS_EXPECTED_LAST_SEQUENCE,
                HeaderValue::from(*last),
            );
        }
    }
    match rollup {
        Rollup::No => {}
        Rollup::Subject => headers.insert(header::NATS_ROLLUP, "sub"),
        Rollup::Purge => {
            headers.insert(header::NATS_ROLLUP, "sub");
            headers.insert(KV_OPERATION, "PURGE");
        }
    }
    if let Some(dedup) = dedup {
        headers.insert(header::NATS_MESSAGE_ID, text(dedup)?);
    }
    if let Some(seconds) = ttl_s {
        headers.insert(header::NATS_MESSAGE_TTL, format!("{seconds}s").as_str());
    }
    Ok(Outgoing {
        subject: subject.clone(),
        headers,
        payload: payload.clone(),
    })
}

/// A header's value; one with a line break would begin another header.
fn text(value: &str) -> Result<HeaderValue, Refused> {
    value
        .parse()
        .map_err(|_| Refused::BadRequest(format!("{value:?} has a line break: no header's value")))
}

#[cfg(test)]
mod tests {
    use super::{PubAck, plain};
    use async_nats::{Message, StatusCode, Subject};
    use tenure_core::id::Sequence;

    fn message(payload: &'static str) -> Message {
        Message {
            subject: Subject::from_static("_INBOX.x.1"),
            reply: None,
            payload: payload.into(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn a_plain_acknowledgement_is_read_as_the_general_way_reads_it() {
        for (payload, seq) in [
            (r#"{"stream":"bank_ev_0", "seq":42}"#, 42),
            (
                r#"{"stream":"bank_ev_0","seq":18446744073709551615}"#,
                u64::MAX,
            ),
        ] {
            let message = message(payload);
            assert_eq!(
                plain(&message, "bank_ev_0"),
                Some(Sequence(seq)),
                "{payload}"
            );
            let ack: PubAck = serde_json::from_slice(&message.payload).unwrap();
            assert_eq!((ack.stream.as_str(), ack.seq), ("bank_ev_0", seq));
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_general_way() {
        for payload in [
            "",
            "{}",
            r#"{"stream":"bank_ev_01", "seq":42}"#,
            r#"{"stream":"bank_ev_0", "seq":0}"#,
            r#"{"stream":"bank_ev_0", "seq":}"#,
            r#"{"stream":"bank_ev_0", "seq":-1}"#,
            r#"{"stream":"bank_ev_0", "seq":18446744073709551616}"#,
            r#"{"stream":"bank_ev_0", "seq":42, "duplicate": true}"#,
            r#"{"stream":"bank_ev_0", "seq":42,"domain":"hub"}"#,
            r#"{"error":{"code":503,"err_code":10008},"stream":"bank_ev_0","seq":0}"#,
        ] {
            assert_eq!(plain(&message(payload), "bank_ev_0"), None, "{payload}");
        }
        let mut status = message(r#"{"stream":"bank_ev_0", "seq":42}"#);
        status.status = Some(StatusCode::NO_RESPONDERS);
        assert_eq!(plain(&status, "bank_ev_0"), None);
    }
}
