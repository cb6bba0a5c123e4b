//! Reads: the last messages of subjects with their proof, one message, a page of a scan.

use crate::link::{Deadlines, Link, Outgoing, Replied, ask, ask_api};
use crate::wire::Until;
use crate::{refusal, stream};
use async_nats::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use tenure_core::id::Sequence;
use tenure_core::port::{
    self, Message, Page, Proof, Refused, Source, StoreDone, StoreReply, stamp,
};
use tenure_core::step::Outcome;

const LAST: &str = "Nats-Last-Sequence";
const PENDING: &str = "Nats-Num-Pending";
const UP_TO: &str = "Nats-UpTo-Sequence";

/// The body of a direct get.
#[derive(Debug, Default, Serialize)]
struct DirectGet<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_by_subj: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_last: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u32>,
}

/// Reads the last message of each subject as of one point of the stream.
pub(crate) async fn latest(
    link: &Link,
    stream: &str,
    subjects: &[port::Subject],
    deadlines: Deadlines,
) -> StoreReply {
    if subjects.is_empty() || subjects.len() > 1_000 {
        let text = format!("{} subjects: 1 to 1000 can be read at once", subjects.len());
        return Outcome::Refused(Refused::BadRequest(text));
    }
    let batch = u32::try_from(subjects.len()).ok();
    let body = DirectGet {
        multi_last: Some(subjects.iter().map(port::Subject::as_str).collect()),
        batch,
        ..DirectGet::default()
    };
    let answer = match direct(link, stream, &body, Until::Status, deadlines).await {
        Outcome::Done(answer) => answer,
        Outcome::Refused(refused) => return Outcome::Refused(refused),
        Outcome::Unknown => return Outcome::Unknown,
    };
    let Some((messages, end)) = whole(answer) else {
        return Outcome::Unknown;
    };
    match end {
        End::Nothing => Outcome::Refused(Refused::NotFound),
        End::Refused(refused) => Outcome::Refused(refused),
        // An answer cut short by the server's limit of bytes proves nothing of the rest.
        End::Reached { pending, .. } if pending > 0 => {
            let text = format!("the answer is too long for the server: {pending} messages missing");
            Outcome::Refused(Refused::BadRequest(text))
        }
        End::Reached { up_to: None, .. } => Outcome::Unknown,
        End::Reached {
            up_to: Some(up_to), ..
        } => Outcome::Done(StoreDone::Latest(Proof { messages, up_to })),
    }
}

/// Reads messages of a filter in stream order.
pub(crate) async fn scan(
    link: &Link,
    stream: &str,
    filter: &str,
    (from, messages_max): (Sequence, u32),
    deadlines: Deadlines,
) -> StoreReply {
    if messages_max == 0 || messages_max > 1_000 {
        let text = format!("{messages_max} messages: 1 to 1000 can be read at once");
        return Outcome::Refused(Refused::BadRequest(text));
    }
    let body = DirectGet {
        seq: Some(from.0.max(1)),
        next_by_subj: Some(filter),
        batch: Some(messages_max),
        ..DirectGet::default()
    };
    let answer = match direct(link, stream, &body, Until::Status, deadlines).await {
        Outcome::Done(answer) => answer,
        Outcome::Refused(refused) => return Outcome::Refused(refused),
        Outcome::Unknown => return Outcome::Unknown,
    };
    let Some((messages, end)) = whole(answer) else {
        return Outcome::Unknown;
    };
    match end {
        End::Nothing => Outcome::Done(StoreDone::Page(Page {
            messages,
            more: false,
        })),
        End::Refused(refused) => Outcome::Refused(refused),
        End::Reached { pending, .. } => Outcome::Done(StoreDone::Page(Page {
            messages,
            more: pending > 0,
        })),
    }
}

/// Reads the message at one sequence.
pub(crate) async fn get(
    link: &Link,
    stream: &str,
    (sequence, source): (Sequence, Source),
    deadlines: Deadlines,
) -> StoreReply {
    let found = match source {
        Source::Replica => get_direct(link, stream, sequence, deadlines).await,
        Source::Leader => get_leader(link, stream, sequence, deadlines).await,
    };
    match found {
        Outcome::Done(message) if message.sequence == sequence => {
            Outcome::Done(StoreDone::Message(message))
        }
        Outcome::Done(_) | Outcome::Unknown => Outcome::Unknown,
        Outcome::Refused(refused) => Outcome::Refused(refused),
    }
}

async fn get_direct(
    link: &Link,
    stream: &str,
    sequence: Sequence,
    deadlines: Deadlines,
) -> Outcome<Message, Refused> {
    let body = DirectGet {
        seq: Some(sequence.0),
        ..DirectGet::default()
    };
    let last = match direct(link, stream, &body, Until::First, deadlines).await {
        Outcome::Done(Replied { last, .. }) => last,
        Outcome::Refused(refused) => return Outcome::Refused(refused),
        Outcome::Unknown => return Outcome::Unknown,
    };
    if last.status.is_some() {
        return refusal::status(&last).map_or(Outcome::Unknown, Outcome::Refused);
    }
    stored(last).map_or(Outcome::Unknown, |(message, _)| Outcome::Done(message))
}

async fn get_leader(
    link: &Link,
    stream: &str,
    sequence: Sequence,
    deadlines: Deadlines,
) -> Outcome<Message, Refused> {
    #[derive(Deserialize)]
    struct Answer {
        message: Got,
    }
    #[derive(Deserialize)]
    struct Got {
        subject: String,
        seq: u64,
        time: String,
        #[serde(default)]
        hdrs: String,
        #[serde(default)]
        data: String,
    }
    if let Err(refused) = stream::named(stream) {
        return Outcome::Refused(refused);
    }
    let body = serde_json::json!({ "seq": sequence.0 })
        .to_string()
        .into_bytes();
    let request = (format!("$JS.API.STREAM.MSG.GET.{stream}"), body, false);
    let got = match ask_api(&link.client, &link.wire, request, deadlines).await {
        Outcome::Done(Answer { message }) => message,
        Outcome::Refused(refused) => return Outcome::Refused(refused),
        Outcome::Unknown => return Outcome::Unknown,
    };
    let read = || {
        let headers = String::from_utf8(BASE64.decode(&got.hdrs).ok()?).ok()?;
        Some(Message {
            sequence: Sequence(got.seq),
            stored: stamp::parse(&got.time)?,
            expired_marker: headers
                .lines()
                .any(|line| line == "Nats-Marker-Reason: MaxAge"),
            payload: BASE64.decode(&got.data).ok()?.into(),
            subject: got.subject.as_str().into(),
        })
    };
    read().map_or(Outcome::Unknown, Outcome::Done)
}

async fn direct(
    link: &Link,
    stream: &str,
    body: &DirectGet<'_>,
    until: Until,
    deadlines: Deadlines,
) -> crate::link::Asked {
    if let Err(refused) = stream::named(stream) {
        return Outcome::Refused(refused);
    }
    let Ok(body) = serde_json::to_vec(body) else {
        return Outcome::Refused(Refused::BadRequest("a direct get cannot be written".into()));
    };
    let message = Outgoing {
        subject: port::Subject::from(format!("$JS.API.DIRECT.GET.{stream}")),
        headers: HeaderMap::new(),
        payload: body.into(),
    };
    ask(
        &link.client,
        &link.wire,
        vec![message],
        false,
        until,
        deadlines,
    )
    .await
}

/// How an answer of several messages ends.
enum End {
    /// There is no message.
    Nothing,
    /// The request is refused.
    Refused(Refused),
    /// Its end was reached, with this many messages left over.
    Reached {
        pending: u64,
        up_to: Option<Sequence>,
    },
}

/// Reads an answer of several messages; `None` when a part of it is missing. Each message names
/// the one before it, and the end names the last: a message that the client dropped would
/// otherwise read as one that does not exist.
fn whole(Replied { before, last }: Replied) -> Option<(Vec<Message>, End)> {
    let status = last.status?.as_u16();
    if status != 204 {
        // The server ends with a status in the middle when a message goes while it reads.
        if !before.is_empty() {
            return None;
        }
        let refused = refusal::status(&last)?;
        let end = if refused == Refused::NotFound {
            End::Nothing
        } else {
            End::Refused(refused)
        };
        return Some((Vec::new(), end));
    }
    let mut messages = Vec::with_capacity(before.len());
    let mut previous = 0;
    for message in before {
        let (message, follows) = stored(message)?;
        if follows != Some(previous) || message.sequence.0 <= previous {
            return None;
        }
        previous = message.sequence.0;
        messages.push(message);
    }
    let headers = last.headers.as_ref()?;
    if messages.is_empty() || number(headers, LAST) != Some(previous) {
        return None;
    }
    let up_to = number(headers, UP_TO).map(Sequence);
    Some((
        messages,
        End::Reached {
            pending: number(headers, PENDING)?,
            up_to,
        },
    ))
}

/// A message of a direct get, and the sequence of the message before it in the answer.
fn stored(message: async_nats::Message) -> Option<(Message, Option<u64>)> {
    let headers = message.headers.as_ref()?;
    // The server's own headers stand after those that were stored with the message.
    let own = |name: &str| headers.get_last(name).map(|value| value.as_str());
    let read = Message {
        subject: own("Nats-Subject")?.into(),
        sequence: Sequence(number(headers, "Nats-Sequence")?),
        stored: stamp::parse(own("Nats-Time-Stamp")?)?,
        expired_marker: own("Nats-Marker-Reason") == Some("MaxAge"),
        payload: message.payload.clone(),
    };
    Some((read, number(headers, LAST)))
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get_last(name)?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{End, LAST, PENDING, Replied, UP_TO, whole};
    use async_nats::{HeaderMap, Message, StatusCode, Subject};

    fn message(status: Option<u16>, headers: &[(&str, &str)]) -> Message {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, *value);
        }
        Message {
            subject: Subject::from("_INBOX.x.1"),
            reply: None,
            payload: "body".into(),
            headers: Some(map),
            status: status.map(|status| StatusCode::from_u16(status).unwrap()),
            description: None,
            length: 0,
        }
    }

    fn stored(sequence: &str, after: &str) -> Message {
        message(
            None,
            &[
                ("Nats-Sequence", "999"),
                ("Nats-Subject", "s.a"),
                ("Nats-Sequence", sequence),
                ("Nats-Time-Stamp", "2026-11-21T13:36:15Z"),
                (LAST, after),
            ],
        )
    }

    fn answer(before: Vec<Message>, last: Message) -> Option<(Vec<u64>, End)> {
        let (messages, end) = whole(Replied { before, last })?;
        let sequences = messages.iter().map(|message| message.sequence.0);
        Some((sequences.collect(), end))
    }

    fn end(after: &str) -> Message {
        message(Some(204), &[(PENDING, "0"), (LAST, after), (UP_TO, "9")])
    }

    #[test]
    fn a_whole_answer_is_a_chain_and_its_end() {
        let found = answer(vec![stored("2", "0"), stored("5", "2")], end("5"));
        let Some((sequences, End::Reached { pending: 0, up_to })) = found else {
            panic!("not whole")
        };
        // The last header of a name is the server's own; those before it were stored.
        assert_eq!(sequences, [2, 5]);
        assert_eq!(up_to.map(|up_to| up_to.0), Some(9));
    }

    #[test]
    fn an_answer_with_a_part_missing_is_none() {
        assert!(
            answer(vec![stored("5", "2")], end("5")).is_none(),
            "the first"
        );
        let middle = vec![stored("2", "0"), stored("7", "5")];
        assert!(answer(middle, end("7")).is_none(), "one between");
        assert!(
            answer(vec![stored("2", "0")], end("5")).is_none(),
            "the last"
        );
        assert!(answer(Vec::new(), end("5")).is_none(), "all");
        let order = vec![stored("5", "0"), stored("2", "5")];
        assert!(answer(order, end("2")).is_none(), "the order");
        // Something else than an end came last: the answer had more messages than any has.
        assert!(answer(vec![stored("2", "0")], stored("5", "2")).is_none());
        assert!(answer(vec![stored("2", "0")], message(Some(204), &[])).is_none());
    }

    #[test]
    fn nothing_is_nothing_only_when_it_comes_first() {
        let nothing = answer(Vec::new(), message(Some(404), &[]));
        assert!(matches!(nothing, Some((_, End::Nothing))));
        assert!(answer(vec![stored("2", "0")], message(Some(404), &[])).is_none());
        let refused = answer(Vec::new(), message(Some(413), &[]));
        assert!(matches!(refused, Some((_, End::Refused(_)))));
    }
}
