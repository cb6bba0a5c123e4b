//! One consumer on one connection: its inbox, its pulls, and what came and was not fetched yet.
//!
//! What waits in the inbox is bounded by the pulls, and nothing is pulled but by a fetch: a slow taker
//! holds up the server, not this process. All of it is lost with the connection; who fetches sees the
//! gap.

use super::delivered;
use super::pulls::{Limits, Pulls};
use crate::link::Link;
use crate::refusal;
use crate::wire::{Answer, NotEntered, Question, Subjects, Until};
use async_nats::{HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tenure_core::driver::LinkNumber;
use tenure_core::port::{
    ConsumerName, Delivered, Fetched, Refused, StoreDone, StoreReply, StreamName, Subject,
};
use tenure_core::step::Outcome;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

/// How many messages are taken before the turn of others comes.
const TAKEN_MAX: usize = 1_024;

/// How long a fetch that has something waits for the next that is said to follow. On a replicated
/// stream the server counts what follows wrongly at times, and more than there is.
const LINGER: Duration = Duration::from_millis(20);

/// What of one consumer is on this side.
#[derive(Debug)]
pub(super) struct Tap {
    /// The connection's.
    number: LinkNumber,
    /// Where its pulls go.
    subject: Subject,
    inbox: String,
    messages: Subscriber,
    pulls: Pulls,
    /// What was taken from the inbox, each with how many follow it, and its bytes.
    taken: VecDeque<(Delivered, u64)>,
    taken_bytes: u64,
    /// The number of the last message that came.
    heard: u64,
    end: Option<End>,
}

/// Why nothing more comes of it.
#[derive(Clone, Debug)]
enum End {
    Refused(Refused),
    /// Nobody knows: the connection, the server or the way to it ended.
    Lost,
}

/// What one fetch asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) messages_max: u32,
    pub(super) bytes_max: u32,
    pub(super) until: Instant,
}

impl Tap {
    /// Listens for what a consumer will deliver.
    pub(super) async fn new(
        link: &Link,
        (stream, consumer): (&StreamName, &ConsumerName),
        serial: u64,
    ) -> Result<Self, Refused> {
        let inbox = link.wire.beside(serial);
        let subscribed = link.client.subscribe(format!("{inbox}.*")).await;
        Ok(Self {
            number: link.number,
            subject: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}").into(),
            inbox,
            // A client that takes none has ended.
            messages: subscribed.map_err(|_| Refused::NotConnected)?,
            pulls: Pulls::new(Instant::now()),
            taken: VecDeque::new(),
            taken_bytes: 0,
            heard: 0,
            end: None,
        })
    }

    /// Whether nothing can be fetched by it: it has ended, or is of another connection.
    pub(super) fn is_over(&self, link: &Link) -> bool {
        self.number != link.number || (self.end.is_some() && self.taken.is_empty())
    }

    /// Answers a fetch. What was taken stays here until the answer is made, so a fetch that is given up
    /// loses nothing.
    pub(super) async fn fetch(&mut self, link: &Link, ask: Ask) -> StoreReply {
        let question = Question {
            subjects: Subjects::One(self.subject.clone()),
            writes: false,
            until: Until::First,
            due: None,
        };
        // No answer comes to it: it ends when the server refuses a pull, or with the connection.
        let refusal = match link.wire.enter(question) {
            Ok(waiting) => waiting,
            Err(NotEntered::Lost) => return Outcome::Unknown,
            Err(NotEntered::Denied(text)) => return Outcome::Refused(Refused::Denied(text)),
        };
        let mut refusal = pin!(refusal);
        loop {
            let more = self.take_some(ask).await;
            // Also when it is enough, so that the next fetch finds something.
            self.pull(link, ask);
            if self.is_enough(ask) {
                return self.answer(ask);
            }
            if more {
                tokio::task::yield_now().await;
                continue;
            }
            let last = self.taken.back().map(|(_, pending)| *pending);
            match (last, &self.end) {
                (Some(_), Some(_)) => return self.answer(ask),
                (Some(0), None) => return self.answer(ask),
                (None, Some(End::Refused(refused))) => return Outcome::Refused(refused.clone()),
                (None, Some(End::Lost)) => return Outcome::Unknown,
                (Some(_) | None, None) => {}
            }
            let dead_at = self.pulls.dead_at();
            let until = match last {
                Some(_) => ask.until.min(Instant::now() + LINGER),
                None => ask.until,
            };
            let turn = dead_at.map_or(until, |dead_at| dead_at.min(until));
            tokio::select! {
                biased;
                message = self.messages.next() => self.hear(message),
                told = &mut refusal => self.end = Some(match told {
                    Some(Answer::Denied(text)) => End::Refused(Refused::Denied(text)),
                    Some(Answer::Replied { .. }) | None => End::Lost,
                }),
                () = tokio::time::sleep_until(turn) => {
                    let now = Instant::now();
                    if dead_at.is_some_and(|dead_at| dead_at <= now) {
                        tracing::debug!(subject = %self.subject, "nothing is heard of a consumer");
                        self.end = Some(End::Lost);
                    } else if until <= now {
                        return self.answer(ask);
                    }
                }
            }
        }
    }

    /// Asks for more, when there is credit for less than a fetch takes.
    fn pull(&mut self, link: &Link, ask: Ask) {
        if self.end.is_some() {
            return;
        }
        let limits = Limits {
            messages_max: u64::from(ask.messages_max),
            bytes_max: u64::from(ask.bytes_max),
            payload_bytes_max: link.client.max_payload() as u64,
        };
        let Some((number, pull)) = self.pulls.next(limits, Instant::now()) else {
            return;
        };
        let handed = link.client.publish_with_reply(
            async_nats::Subject::from(self.subject.as_str()),
            async_nats::Subject::from(format!("{}.{number:x}", self.inbox)),
            Bytes::from(pull.body()),
        );
        // Unconstrained: it would else wait for a turn of this task, with room in the queue.
        let refused = match unconstrained(handed).now_or_never() {
            Some(Ok(())) => return,
            Some(Err(_)) => Refused::NotConnected,
            None => Refused::Overloaded,
        };
        self.pulls.not_sent(number);
        if self.pulls.dead_at().is_none() {
            // Nothing else is out of which something could come.
            self.end = Some(End::Refused(refused));
        }
    }

    /// Takes what has come, until it is enough; whether there may be more at once.
    async fn take_some(&mut self, ask: Ask) -> bool {
        let taking = poll_fn(|cx| {
            for _ in 0..TAKEN_MAX {
                if self.is_enough(ask) || self.end.is_some() {
                    return Poll::Ready(false);
                }
                match self.messages.poll_next_unpin(cx) {
                    Poll::Ready(message) => self.hear(message),
                    Poll::Pending => return Poll::Ready(false),
                }
            }
            Poll::Ready(true)
        });
        unconstrained(taking).await
    }

    fn is_enough(&self, ask: Ask) -> bool {
        self.taken.len() >= ask.messages_max as usize
            || self.taken_bytes >= u64::from(ask.bytes_max) && !self.taken.is_empty()
    }

    /// Takes one message of the inbox; `None` when the client has ended.
    fn hear(&mut self, message: Option<Message>) {
        let Some(message) = message else {
            self.end = Some(End::Lost);
            return;
        };
        self.pulls.hear(Instant::now());
        match message.status {
            Some(status) => self.told(status, &message),
            None => self.take(message),
        }
    }

    fn take(&mut self, message: Message) {
        self.pulls.delivered(message.length as u64);
        let before = self.taken.back().map(|(it, _)| &it.message.subject);
        let Some((delivered, pending)) = delivered::read(message, before) else {
            tracing::warn!(subject = %self.subject, "a message of a consumer cannot be read");
            return;
        };
        self.heard = self.heard.max(delivered.number);
        self.taken_bytes += delivered.message.payload.len() as u64;
        self.taken.push_back((delivered, pending));
    }

    /// The server says something of a pull.
    fn told(&mut self, status: StatusCode, message: &Message) {
        let text = message.description.as_deref().unwrap_or_default();
        match status.as_u16() {
            100 => self.lives(message),
            404 | 408 => {
                self.pulls.has_no_more();
                self.ended(message, false);
            }
            409 if text == "Batch Completed" => self.ended(message, false),
            409 if text == "Message Size Exceeds MaxBytes" => self.ended(message, true),
            // A limit of the account or of the server for what consumers may ask: it lasts, and says what it is.
            409 if text.starts_with("Exceeded") => {
                let (code, text) = (0, text.to_owned());
                self.end = Some(End::Refused(Refused::Other { code, text }));
            }
            409 if text == "Consumer Deleted" => {
                self.end = Some(End::Refused(Refused::NoConsumer));
            }
            503 => self.end = Some(End::Refused(Refused::NoConsumer)),
            400 => {
                self.end = refusal::status(message)
                    .map(End::Refused)
                    .or(Some(End::Lost))
            }
            // Its server or leader ends, or it is one that no pull is for.
            _ => self.end = Some(End::Lost),
        }
    }

    /// The consumer lives, and its server says how many it sent. What it sent before came before, so with
    /// more than came something was lost: also the last one, after which no number tells.
    fn lives(&mut self, message: &Message) {
        let sent = message.headers.as_ref().and_then(sent);
        if let Some(sent) = sent.filter(|sent| *sent > self.heard) {
            let heard = self.heard;
            tracing::debug!(subject = %self.subject, sent, heard, "messages of a consumer were lost");
            self.end = Some(End::Lost);
            return;
        }
        self.pulls.has_no_more();
    }

    fn ended(&mut self, message: &Message, by_size: bool) {
        let token = message.subject.rsplit('.').next().unwrap_or_default();
        let Ok(number) = u64::from_str_radix(token, 16) else {
            return;
        };
        let left = |name| {
            message
                .headers
                .as_ref()
                .and_then(|headers| header(headers, name))
        };
        let messages = left("Nats-Pending-Messages").unwrap_or(0);
        let bytes = left("Nats-Pending-Bytes").unwrap_or(0);
        self.pulls.ended(number, (messages, bytes), by_size);
    }

    /// Answers with what was taken, as far as the fetch takes it.
    fn answer(&mut self, ask: Ask) -> StoreReply {
        let count = self.taken.len().min(ask.messages_max as usize);
        let mut messages = Vec::with_capacity(count);
        let mut bytes = 0;
        // Something may be on its way, as long as the server does not say that there is nothing.
        let mut pending = u64::from(!self.pulls.is_dry());
        while messages.len() < count
            && let Some((delivered, follow)) = self.taken.pop_front()
        {
            let size = delivered.message.payload.len() as u64;
            if !messages.is_empty() && bytes + size > u64::from(ask.bytes_max) {
                self.taken.push_front((delivered, follow));
                break;
            }
            bytes += size;
            pending = follow;
            messages.push(delivered);
        }
        self.taken_bytes -= bytes;
        Outcome::Done(StoreDone::Fetched(Fetched { messages, pending }))
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get_last(name)?.as_str().parse().ok()
}

/// The number of the last message that a consumer sent, as its server's heartbeat says it; some servers
/// say nothing.
fn sent(headers: &HeaderMap) -> Option<u64> {
    header(headers, "Nats-Last-Consumer")
}

#[cfg(test)]
mod tests {
    use super::sent;
    use async_nats::HeaderMap;

    #[test]
    fn a_heartbeat_says_what_was_sent() {
        let mut beat = HeaderMap::new();
        assert_eq!(sent(&beat), None);
        beat.insert("Nats-Last-Consumer", "17");
        beat.insert("Nats-Last-Stream", "9001");
        assert_eq!(sent(&beat), Some(17));
        beat.insert("Nats-Last-Consumer", "many");
        assert_eq!(sent(&beat), None);
    }
}
