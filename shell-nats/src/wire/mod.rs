//! The reply multiplexer of one connection: one wildcard inbox, and the asks that wait on it.
//!
//! An ask has its place in the table as long as its [`Waiting`] lives, so also until it timed out,
//! or until its answer is told; all end when the connection is lost: the table cannot leak (S21).

mod asks;
#[cfg(test)]
mod tests;
mod violation;
mod waiting;

pub(crate) use asks::{Answer, Entry, NotEntered, Question, Subjects, Until};
pub(crate) use waiting::Waiting;

use crate::ears::Lost;
use crate::submit::Told;
use asks::{After, Ask, Asks, By, State};
use async_nats::{Event, Message, ServerError};
use slab::Slab;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;
use violation::Violation;

/// No answer has more messages: a direct get gives 1,000 at most, and an end.
const MESSAGES_MAX: usize = 1_001;

/// The inbox of one connection and the asks in flight on it.
#[derive(Debug)]
pub(crate) struct Wire {
    inbox: String,
    asks: Mutex<Asks>,
    /// How often the server refused a message that nobody waits for.
    unasked: AtomicU64,
}

impl Wire {
    /// A wire on the inbox `<inbox>.*`, which nobody listens to yet.
    pub(crate) fn new(inbox: String) -> Arc<Self> {
        let asks = Asks {
            open: true,
            denied: None,
            serial: 0,
            waiting: Slab::new(),
        };
        Arc::new(Self {
            inbox,
            asks: Mutex::new(asks),
            unasked: AtomicU64::new(0),
        })
    }

    /// The subject to subscribe to.
    pub(crate) fn filter(&self) -> String {
        format!("{}.*", self.inbox)
    }

    /// An inbox beside the wire's own, `<inbox>.*`, for what comes to no ask. Who may listen to the one
    /// may listen to the other.
    pub(crate) fn beside(&self, serial: u64) -> String {
        format!("{}-c{serial:x}", self.inbox)
    }

    /// Enters an ask, before anything of it is sent.
    pub(crate) fn enter(self: &Arc<Self>, question: Question) -> Result<Waiting, NotEntered> {
        let mut asks = self.asks();
        asks.check()?;
        let entry = asks.enter(question, By::Waiting(None));
        drop(asks);
        Ok(Waiting {
            wire: Arc::clone(self),
            entry,
        })
    }

    /// Enters an ask whose answer is told, before anything of it is sent.
    #[allow(clippy::result_large_err, reason = "it is rare, and moved on at once")]
    pub(crate) fn enter_told(
        &self,
        question: Question,
        told: Told,
    ) -> Result<Entry, (NotEntered, Told)> {
        let mut asks = self.asks();
        match asks.check() {
            Ok(()) => Ok(asks.enter(question, By::Told(told))),
            Err(not_entered) => Err((not_entered, told)),
        }
    }

    /// Takes back an ask of which nothing was sent, unless it was told an end already.
    pub(crate) fn retract(&self, entry: Entry) -> Option<Told> {
        let mut asks = self.asks();
        let ask = asks.waiting.get(entry.key);
        ask.filter(|ask| ask.serial == entry.serial)?;
        match asks.waiting.remove(entry.key).state {
            State::Open {
                by: By::Told(told), ..
            } => Some(told),
            State::Open {
                by: By::Waiting(_), ..
            }
            | State::Ended(_) => unreachable!("an ask that is waited for is not taken back"),
        }
    }

    /// The subject for the answer to an ask.
    pub(crate) fn reply(&self, Entry { key, serial }: Entry) -> async_nats::Subject {
        let inbox = &self.inbox;
        // Of its exact length, as a subject takes it over without another allocation.
        let length = inbox.len() + digits(key as u64) + digits(serial) + 2;
        let mut subject = String::with_capacity(length);
        subject.push_str(inbox);
        // Writing to a string cannot fail.
        let _ = write!(subject, ".{key:x}-{serial:x}");
        async_nats::Subject::from(subject)
    }

    /// Takes one message of the inbox to the ask that it answers. A late one is dropped.
    pub(crate) fn deliver(&self, message: Message) {
        let Some((key, serial)) = self.token(&message.subject) else {
            return;
        };
        let mut asks = self.asks();
        let Some(ask) = asks.waiting.get_mut(key).filter(|ask| ask.serial == serial) else {
            return;
        };
        let State::Open { before, .. } = &mut ask.state else {
            return;
        };
        let complete = match ask.question.until {
            Until::First => true,
            Until::Committed => message.status.is_some() || !message.payload.is_empty(),
            Until::Status => message.status.is_some() || before.len() >= MESSAGES_MAX,
        };
        if complete {
            let before = std::mem::take(before);
            let last = message;
            let after = asks.end(key, Some(Answer::Replied { last, before }));
            drop(asks);
            after.take_place();
        } else if ask.question.until == Until::Status {
            before.push(message);
        }
    }

    /// Ends the asks that are due, without an answer. Tells when to come again at the latest.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut due_now = Vec::new();
        let mut asks = self.asks();
        for (key, ask) in &asks.waiting {
            match (ask.question.due, &ask.state) {
                (Some(due), State::Open { .. }) if due <= now => due_now.push(key),
                (Some(due), State::Open { .. }) => {
                    next = Some(next.map_or(due, |next| next.min(due)));
                }
                (None, State::Open { .. }) | (_, State::Ended(_)) => {}
            }
        }
        let ended: Vec<After> = due_now.into_iter().map(|key| asks.end(key, None)).collect();
        drop(asks);
        ended.into_iter().for_each(After::take_place);
        next
    }

    /// Takes what the client says about the connection.
    pub(crate) fn take_event(&self, event: &Event, lost: &Lost) {
        match event {
            Event::Disconnected | Event::Closed => self.close(),
            Event::ServerError(ServerError::Other(text)) => self.take_error(text),
            // A receive loop did not keep up with the client, which told so.
            Event::SlowConsumer(_) => lost.count_slow(),
            Event::Connected
            | Event::LameDuckMode
            | Event::Draining
            | Event::ServerError(
                ServerError::AuthorizationViolation | ServerError::SlowConsumer(_),
            )
            | Event::ClientError(_) => tracing::debug!(%event, "connection event"),
        }
    }

    /// Fails all asks and takes no more: the connection is lost.
    pub(crate) fn close(&self) {
        let mut asks = self.asks();
        asks.open = false;
        let ended = asks.end_all(|_| None);
        drop(asks);
        ended.into_iter().for_each(After::take_place);
    }

    /// Takes asks again: a connection that is not ours came back.
    pub(crate) fn open(&self) {
        let mut asks = self.asks();
        asks.open = true;
        asks.denied = None;
    }

    /// How many asks wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        let asks = self.asks();
        let open = |(_, ask): &(usize, &Ask)| matches!(ask.state, State::Open { .. });
        asks.waiting.iter().filter(open).count()
    }

    fn take_error(&self, text: &str) {
        match Violation::parse(text) {
            Some(Violation::Publish(subject)) => self.deny(&subject, text),
            Some(Violation::Inbox(subject)) if self.is_here(&subject) => {
                self.deny_all(text);
            }
            Some(Violation::Inbox(_)) | None => {
                tracing::warn!(error = text, "the server reports an error");
            }
        }
    }

    /// Answers the asks on a subject that the user may not publish to.
    ///
    /// The server names the subject and not the ask. One write in flight there is the one it
    /// means; of several, each may have been stored before its user lost the right: `Unknown`.
    fn deny(&self, subject: &str, text: &str) {
        let mut asks = self.asks();
        let meant: Vec<(usize, bool)> = asks
            .waiting
            .iter()
            .filter(|(_, ask)| matches!(ask.state, State::Open { .. }))
            .filter(|(_, ask)| ask.question.subjects.name(subject))
            .map(|(key, ask)| (key, ask.question.writes))
            .collect();
        let ambiguous = meant.len() > 1;
        let end = |(key, writes)| {
            let told = !(writes && ambiguous);
            asks.end(key, told.then(|| Answer::Denied(text.to_owned())))
        };
        let asked = !meant.is_empty();
        let ended: Vec<After> = meant.into_iter().map(end).collect();
        drop(asks);
        if !asked {
            // A frame, as all of them would be; it is told the less often the more there are.
            let refused = self.unasked.fetch_add(1, Ordering::Relaxed) + 1;
            if refused.is_power_of_two() {
                tracing::warn!(refused, error = text, "the server refuses what nodes send");
            }
        }
        ended.into_iter().for_each(After::take_place);
    }

    /// No answer can arrive: every ask is hopeless, also the next ones. What was sent is taken by
    /// the server all the same, so writes stay unknown.
    fn deny_all(&self, text: &str) {
        let mut asks = self.asks();
        asks.denied = Some(text.to_owned());
        let ended = asks.end_all(|question| {
            let told = !question.writes;
            told.then(|| Answer::Denied(text.to_owned()))
        });
        drop(asks);
        ended.into_iter().for_each(After::take_place);
    }

    /// Whether a subject is the inbox's, and not one beside it.
    fn is_here(&self, subject: &str) -> bool {
        let rest = subject.strip_prefix(self.inbox.as_str());
        rest.is_some_and(|rest| rest.starts_with('.'))
    }

    fn token(&self, subject: &str) -> Option<(usize, u64)> {
        let token = subject
            .strip_prefix(self.inbox.as_str())?
            .strip_prefix('.')?;
        let (key, serial) = token.split_once('-')?;
        Some((
            usize::from_str_radix(key, 16).ok()?,
            u64::from_str_radix(serial, 16).ok()?,
        ))
    }

    fn asks(&self) -> MutexGuard<'_, Asks> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many hexadecimal digits a number has.
fn digits(number: u64) -> usize {
    number.checked_ilog2().map_or(1, |log| log as usize / 4 + 1)
}
