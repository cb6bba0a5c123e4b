//! One connection as requests see it: hand over, wait, and tell apart what is known of the end.

use crate::refusal;
use crate::submit::Told;
use crate::wire::{Answer, NotEntered, Question, Subjects, Until, Waiting, Wire};
use async_nats::client::PublishError;
use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, PublishErrorKind};
use bytes::Bytes;
use futures_util::FutureExt as _;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tenure_core::driver::LinkNumber;
use tenure_core::id::OpId;
use tenure_core::port::{Capabilities, Refused, SendRefused, Subject};
use tenure_core::step::Outcome;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

/// The longest control line that a server takes, by its default (`max_control_line`). A longer one
/// makes it close the connection.
const CONTROL_LINE_BYTES_MAX: usize = 4_096;

/// A connection that is up.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) wire: Arc<Wire>,
    /// Tells this connection from the ones before it.
    pub(crate) number: LinkNumber,
    /// Tells its client from others: one of the user's has many connections.
    pub(crate) session: u64,
    /// What was found when it came up.
    pub(crate) capabilities: Capabilities,
}

/// A message that is to be handed to the client.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) subject: Subject,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// By when a request must have moved on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// By then it is handed to the client, or refused for good: what is handed over later could
    /// neither be answered in time nor be gone from the client's queue (S8).
    pub(crate) hand_over: Instant,
    /// By then it is answered.
    pub(crate) answer: Instant,
}

impl Deadlines {
    /// Of a request that begins now. With a ping every fifth of the time-out a dead connection
    /// ends within three of them, so before the answer to anything handed over is due.
    pub(crate) fn start(timeout: Duration) -> Self {
        let now = Instant::now();
        Self {
            hand_over: now + timeout * 2 / 5,
            answer: now + timeout,
        }
    }
}

/// What came back to an ask: the messages before the last one, and the last one.
#[derive(Debug)]
pub(crate) struct Replied {
    pub(crate) before: Vec<Message>,
    pub(crate) last: Message,
}

/// How an ask ended, before its content is looked at.
pub(crate) type Asked = Outcome<Replied, Refused>;

/// Asks by one message, or by several of which the first and the last get an answer.
///
/// A refusal from here is definite: the last message was not handed over. Nothing is sent when any
/// of the messages breaks a limit whose breach would cost the connection (S4).
pub(crate) async fn ask(
    client: &Client,
    wire: &Arc<Wire>,
    messages: Vec<Outgoing>,
    writes: bool,
    until: Until,
    deadlines: Deadlines,
) -> Asked {
    let subjects = messages.iter().map(|message| message.subject.clone());
    let question = Question {
        subjects: Subjects::Many(subjects.collect()),
        writes,
        until,
        due: None,
    };
    let mut waiting = match enter(client, wire, question) {
        Ok(waiting) => waiting,
        Err(refused) => return Outcome::Refused(refused),
    };
    let reply = waiting.reply();
    for message in &messages {
        if let Err(refused) = message.check(&reply, client.max_payload()) {
            return Outcome::Refused(refused);
        }
    }
    let late = tokio::time::sleep_until(deadlines.hand_over);
    tokio::pin!(late);
    // Handing over waits only while the client's queue is full. What has not been handed over
    // completely cannot take place: a batch without its last message is dropped by the server.
    let handed = tokio::select! {
        biased;
        handed = hand_over(client, messages, reply) => handed,
        answer = &mut waiting => match answer {
            Some(answer) => return replied(answer),
            None => Err(Refused::NotConnected),
        },
        () = &mut late => Err(Refused::Overloaded),
    };
    if let Err(refused) = handed {
        return Outcome::Refused(refused);
    }
    late.as_mut().reset(deadlines.answer);
    tokio::select! {
        biased;
        answer = &mut waiting => answer.map_or(Outcome::Unknown, replied),
        () = &mut late => Outcome::Unknown,
    }
}

/// Hands a write of one message over, if that takes no wait; the wire tells the answer, or at `due`
/// that there is none. Given back: the client's queue is full, and nothing was handed over.
///
/// A refusal from here is definite, as one of [`ask`] is.
pub(crate) fn hand_over_now(
    client: &Client,
    wire: &Arc<Wire>,
    message: Outgoing,
    (due, told): (Instant, Told),
) -> Result<(), Told> {
    let question = Question {
        subjects: Subjects::One(message.subject.clone()),
        writes: true,
        until: Until::First,
        due: Some(due),
    };
    if let Err(refused) = connected(client) {
        told.refuse(refused);
        return Ok(());
    }
    let entry = match wire.enter_told(question, told) {
        Ok(entry) => entry,
        Err((not_entered, told)) => {
            told.refuse(not_entered.into());
            return Ok(());
        }
    };
    let reply = wire.reply(entry);
    let handed = match message.check(&reply, client.max_payload()) {
        Err(refused) => Some(Err(refused)),
        Ok(()) => {
            let Outgoing {
                subject,
                headers,
                payload,
            } = message;
            let handed = client.publish_with_reply_and_headers(
                async_nats::Subject::from(subject.as_str()),
                reply,
                headers,
                payload,
            );
            // Unconstrained: it would else wait for a turn of this task, with room in the queue.
            let handed = unconstrained(handed).now_or_never();
            handed.map(|handed| handed.map_err(|error| not_handed(&error)))
        }
    };
    match handed {
        Some(Ok(())) => Ok(()),
        // One that the wire ended meanwhile was told so.
        Some(Err(refused)) => {
            if let Some(told) = wire.retract(entry) {
                told.refuse(refused);
            }
            Ok(())
        }
        None => wire.retract(entry).map_or(Ok(()), Err),
    }
}

/// Hands a frame over, if that takes no wait (S21).
///
/// A dead connection ends within three pings, so before a store request would time out: what its
/// client could not write by then goes with it (S8).
pub(crate) fn send_now(
    client: &Client,
    op: OpId,
    (to, from): (&Subject, &Subject),
    frame: Bytes,
) -> Result<(), SendRefused> {
    debug_assert!(literal(to).is_ok() && literal(from).is_ok());
    let bytes_max = may_send(client, frame.len())?;
    let (to, reply) = (
        async_nats::Subject::from(to.as_str()),
        async_nats::Subject::from(format!("{from}.{op}")),
    );
    // Unconstrained: it would else wait for a turn of this task, with room in the queue.
    let bytes = frame.len();
    let handed = unconstrained(client.publish_with_reply(to, reply, frame)).now_or_never();
    was_handed(handed, (bytes, bytes_max))
}

/// The same for whoever hears it, without a way back.
pub(crate) fn cast_now(client: &Client, to: &Subject, payload: Bytes) -> Result<(), SendRefused> {
    debug_assert!(literal(to).is_ok());
    let bytes = payload.len();
    let bytes_max = may_send(client, bytes)?;
    let to = async_nats::Subject::from(to.as_str());
    let handed = unconstrained(client.publish(to, payload)).now_or_never();
    was_handed(handed, (bytes, bytes_max))
}

/// Whether so many bytes may be handed to a client now; what it takes at most.
fn may_send(client: &Client, bytes: usize) -> Result<usize, SendRefused> {
    if client.connection_state() != State::Connected {
        return Err(SendRefused::NotConnected);
    }
    let bytes_max = client.max_payload();
    match bytes > bytes_max {
        true => Err(SendRefused::TooLarge { bytes, bytes_max }),
        false => Ok(bytes_max),
    }
}

fn was_handed(
    handed: Option<Result<(), PublishError>>,
    (bytes, bytes_max): (usize, usize),
) -> Result<(), SendRefused> {
    match handed {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(match error.kind() {
            // It changed since it was looked at.
            PublishErrorKind::MaxPayloadExceeded => SendRefused::TooLarge { bytes, bytes_max },
            // The client has ended, and its queue with it. No subject of ours is invalid.
            PublishErrorKind::Send | PublishErrorKind::InvalidSubject => SendRefused::NotConnected,
        }),
        None => Err(SendRefused::Full),
    }
}

fn enter(client: &Client, wire: &Arc<Wire>, question: Question) -> Result<Waiting, Refused> {
    connected(client)?;
    wire.enter(question).map_err(Refused::from)
}

/// The client would keep a message for the next connection, if it makes one (S8).
fn connected(client: &Client) -> Result<(), Refused> {
    match client.connection_state() {
        State::Connected => Ok(()),
        State::Pending | State::Disconnected => Err(Refused::NotConnected),
    }
}

impl From<NotEntered> for Refused {
    fn from(not_entered: NotEntered) -> Self {
        match not_entered {
            NotEntered::Lost => Self::NotConnected,
            NotEntered::Denied(text) => Self::Denied(text),
        }
    }
}

/// Asks the JetStream API and reads its answer.
pub(crate) async fn ask_api<T: DeserializeOwned>(
    client: &Client,
    wire: &Arc<Wire>,
    (subject, body, writes): (String, Vec<u8>, bool),
    deadlines: Deadlines,
) -> Outcome<T, Refused> {
    let message = Outgoing {
        subject: Subject::from(subject),
        headers: HeaderMap::new(),
        payload: Bytes::from(body),
    };
    match ask(client, wire, vec![message], writes, Until::First, deadlines).await {
        Outcome::Done(Replied { last, .. }) => answer(&last),
        Outcome::Refused(refused) => Outcome::Refused(refused),
        Outcome::Unknown => Outcome::Unknown,
    }
}

/// Reads an answer that is JSON with an `error` or without. One that is neither tells nothing.
pub(crate) fn answer<T: DeserializeOwned>(message: &Message) -> Outcome<T, Refused> {
    #[derive(serde::Deserialize)]
    struct Failed {
        error: refusal::ApiError,
    }
    // The error says more than a status: 10167 comes with a status (429) as well.
    if let Ok(Failed { error }) = serde_json::from_slice(&message.payload) {
        return refusal::refused(error).map_or(Outcome::Unknown, Outcome::Refused);
    }
    if message.status.is_some() {
        return refusal::status(message).map_or(Outcome::Unknown, Outcome::Refused);
    }
    match serde_json::from_slice(&message.payload) {
        Ok(answer) => Outcome::Done(answer),
        Err(error) => {
            tracing::warn!(%error, subject = %message.subject, "an answer cannot be read");
            Outcome::Unknown
        }
    }
}

pub(crate) fn replied(answer: Answer) -> Asked {
    match answer {
        Answer::Replied { last, before } => Outcome::Done(Replied { before, last }),
        Answer::Denied(text) => Outcome::Refused(Refused::Denied(text)),
    }
}

async fn hand_over(
    client: &Client,
    messages: Vec<Outgoing>,
    reply: async_nats::Subject,
) -> Result<(), Refused> {
    let end = messages.len().saturating_sub(1);
    for (
        place,
        Outgoing {
            subject,
            headers,
            payload,
        },
    ) in messages.into_iter().enumerate()
    {
        let handed = if place == 0 || place == end {
            client
                .publish_with_reply_and_headers(
                    async_nats::Subject::from(subject.as_str()),
                    reply.clone(),
                    headers,
                    payload,
                )
                .await
        } else {
            client
                .publish_with_headers(
                    async_nats::Subject::from(subject.as_str()),
                    headers,
                    payload,
                )
                .await
        };
        handed.map_err(|error| not_handed(&error))?;
    }
    Ok(())
}

fn not_handed(error: &async_nats::PublishError) -> Refused {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => Refused::TooLarge,
        PublishErrorKind::InvalidSubject => Refused::BadRequest(error.to_string()),
        // The client has ended, and its queue with it.
        PublishErrorKind::Send => Refused::NotConnected,
    }
}

impl Outgoing {
    fn check(&self, reply: &str, payload_bytes_max: usize) -> Result<(), Refused> {
        literal(&self.subject)?;
        let bytes = headers_bytes(&self.headers) + self.payload.len();
        if bytes > payload_bytes_max {
            return Err(Refused::TooLarge);
        }
        // `HPUB <subject> <reply> <bytes of headers> <bytes>`, with numbers at their longest.
        let line = self.subject.len() + reply.len() + 32;
        if line > CONTROL_LINE_BYTES_MAX {
            let longest = CONTROL_LINE_BYTES_MAX - reply.len() - 32;
            return Err(Refused::BadRequest(format!(
                "a subject of {} bytes is longer than the {longest} that fit a control line",
                self.subject.len(),
            )));
        }
        Ok(())
    }
}

/// Refuses a subject that is not a literal one.
pub(crate) fn literal(subject: &str) -> Result<(), Refused> {
    let wrong = |token: &str| {
        token.is_empty()
            || token == "*"
            || token == ">"
            || token.bytes().any(|byte| byte <= b' ' || byte == 0x7f)
    };
    if subject.split('.').any(wrong) {
        let text = format!("{subject:?} is not a literal subject");
        return Err(Refused::BadRequest(text));
    }
    Ok(())
}

/// The bytes of headers on the wire.
fn headers_bytes(headers: &HeaderMap) -> usize {
    if headers.is_empty() {
        return 0;
    }
    let lines = headers.iter().flat_map(|(name, values)| {
        values
            .iter()
            .map(move |value| AsRef::<[u8]>::as_ref(name).len() + value.as_str().len() + 4)
    });
    "NATS/1.0\r\n\r\n".len() + lines.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn only_literal_subjects_are_taken() {
        for good in ["a", "a.b", "$JS.API.INFO", "a.b*", "é.%2E"] {
            assert!(literal(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a.*",
            "a.>",
            "a b",
            "a\r\nPUB x 0",
            "a\tb",
        ] {
            assert!(literal(bad).is_err(), "{bad:?}");
        }
    }
}
