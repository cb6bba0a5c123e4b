//! The reply multiplexer of one connection: one wildcard inbox, and the asks that wait on it.
//!
//! An ask has its place in the table as long as its [`Waiting`] lives, so also until it timed out,
//! or until its answer is told; all end when the connection is lost: the table cannot leak (S21).

use crate::ears::Lost;
use crate::submit::Told;
use async_nats::{Event, Message, ServerError};
use slab::Slab;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tenure_core::port::Subject;
use tokio::time::Instant;

/// No answer has more messages: a direct get gives 1,000 at most, and an end.
const MESSAGES_MAX: usize = 1_001;

/// The inbox of one connection and the asks in flight on it.
#[derive(Debug)]
pub(crate) struct Wire {
    inbox: String,
    asks: Mutex<Asks>,
}

#[derive(Debug)]
struct Asks {
    open: bool,
    /// Why no answer can arrive: the server's text.
    denied: Option<String>,
    /// Makes tokens unique, so that a late answer never meets another ask in the same place.
    serial: u64,
    waiting: Slab<Ask>,
}

#[derive(Debug)]
struct Ask {
    serial: u64,
    question: Question,
    state: State,
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question {
    /// Where its messages go.
    pub(crate) subjects: Subjects,
    /// Whether it can change the store.
    pub(crate) writes: bool,
    /// What completes its answer.
    pub(crate) until: Until,
    /// When the wire ends it without an answer; `None` where the asker does.
    pub(crate) due: Option<Instant>,
}

/// The subjects of one ask.
#[derive(Debug)]
pub(crate) enum Subjects {
    One(Subject),
    Many(Vec<Subject>),
}

impl Subjects {
    fn name(&self, subject: &str) -> bool {
        match self {
            Self::One(one) => one.as_str() == subject,
            Self::Many(many) => many.iter().any(|one| one.as_str() == subject),
        }
    }
}

/// How far an ask is.
#[derive(Debug)]
enum State {
    /// Parts of the answer may have come.
    Open { before: Vec<Message>, by: By },
    /// With its answer, which nobody has taken yet, or without one.
    Ended(Option<Answer>),
}

/// Who waits for an answer.
#[derive(Debug)]
enum By {
    /// A [`Waiting`], and its task when it was polled.
    Waiting(Option<Waker>),
    /// Who is told; the ask has its place until then.
    Told(Told),
}

/// Where an ask in flight stands in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    key: usize,
    serial: u64,
}

/// What is left to do for an ask that has ended, when the table is not locked any more.
#[must_use]
#[allow(
    clippy::large_enum_variant,
    reason = "the largest is the one that nearly all are"
)]
enum After {
    Nothing,
    Wake(Waker),
    Tell(Told, Option<Answer>),
}

/// Which message completes an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The first one.
    First,
    /// The first one that is not the empty acknowledgement of a part of a batch.
    Committed,
    /// The first one with a status; those before it belong to the answer.
    Status,
}

/// Why an ask is not entered: nothing of it may be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotEntered {
    /// The connection is lost.
    Lost,
    /// The user may not listen for the answer; the server's text.
    Denied(String),
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The message that completes the answer, and those before it.
    Replied { last: Message, before: Vec<Message> },
    /// The server refused to take the ask; its text.
    Denied(String),
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
        })
    }

    /// The subject to subscribe to.
    pub(crate) fn filter(&self) -> String {
        format!("{}.*", self.inbox)
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
            Event::SlowConsumer(_) => lost.count(),
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
            Some(Violation::Inbox(subject)) if subject.starts_with(&self.inbox) => {
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
        let ended: Vec<After> = meant.into_iter().map(end).collect();
        drop(asks);
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

impl Asks {
    /// Whether one can be entered.
    fn check(&self) -> Result<(), NotEntered> {
        if !self.open {
            return Err(NotEntered::Lost);
        }
        match &self.denied {
            Some(text) => Err(NotEntered::Denied(text.clone())),
            None => Ok(()),
        }
    }

    fn enter(&mut self, question: Question, by: By) -> Entry {
        self.serial += 1;
        let serial = self.serial;
        let before = Vec::new();
        let key = self.waiting.insert(Ask {
            serial,
            question,
            state: State::Open { before, by },
        });
        Entry { key, serial }
    }

    /// Ends an ask that is open. Who is told needs its place no more.
    fn end(&mut self, key: usize, answer: Option<Answer>) -> After {
        let Some(ask) = self.waiting.get_mut(key) else {
            return After::Nothing;
        };
        match std::mem::replace(&mut ask.state, State::Ended(None)) {
            State::Open {
                by: By::Waiting(waker),
                ..
            } => {
                ask.state = State::Ended(answer);
                waker.map_or(After::Nothing, After::Wake)
            }
            State::Open {
                by: By::Told(told), ..
            } => {
                self.waiting.remove(key);
                After::Tell(told, answer)
            }
            ended @ State::Ended(_) => {
                ask.state = ended;
                After::Nothing
            }
        }
    }

    /// Ends every ask that is open.
    fn end_all(&mut self, answer: impl Fn(&Question) -> Option<Answer>) -> Vec<After> {
        let asks = self.waiting.iter();
        let open = asks.filter(|(_, ask)| matches!(ask.state, State::Open { .. }));
        let answers: Vec<_> = open
            .map(|(key, ask)| (key, answer(&ask.question)))
            .collect();
        let end = |(key, answer)| self.end(key, answer);
        answers.into_iter().map(end).collect()
    }
}

impl After {
    fn take_place(self) {
        match self {
            Self::Nothing => {}
            Self::Wake(waker) => waker.wake(),
            Self::Tell(told, answer) => told.tell(answer),
        }
    }
}

/// An ask in flight. Dropping it gives the answer up.
#[derive(Debug)]
pub(crate) struct Waiting {
    wire: Arc<Wire>,
    entry: Entry,
}

impl Waiting {
    /// The subject for the answer.
    pub(crate) fn reply(&self) -> async_nats::Subject {
        self.wire.reply(self.entry)
    }
}

/// How many hexadecimal digits a number has.
fn digits(number: u64) -> usize {
    number.checked_ilog2().map_or(1, |log| log as usize / 4 + 1)
}

/// Ends with the answer, or with `None` when the connection is lost or the ask was due.
impl Future for Waiting {
    type Output = Option<Answer>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut asks = self.wire.asks();
        // Its place is its own as long as this value lives.
        match asks
            .waiting
            .get_mut(self.entry.key)
            .map(|ask| &mut ask.state)
        {
            Some(State::Open { by, .. }) => {
                match by {
                    By::Waiting(Some(waker)) => waker.clone_from(cx.waker()),
                    By::Waiting(none) => *none = Some(cx.waker().clone()),
                    By::Told(_) => unreachable!("an ask that is told has no `Waiting`"),
                }
                Poll::Pending
            }
            Some(State::Ended(answer)) => Poll::Ready(answer.take()),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let ask = self.wire.asks().waiting.try_remove(self.entry.key);
        // The table is not locked any more when the answer is dropped.
        debug_assert!(ask.is_some_and(|ask| ask.serial == self.entry.serial));
    }
}

/// What the server says a user may not do.
#[derive(Debug, PartialEq, Eq)]
enum Violation {
    /// Publish to a subject.
    Publish(String),
    /// Listen on a subject, or ask with it as the place for the answer.
    Inbox(String),
}

impl Violation {
    /// Reads `Permissions Violation for Publish to "orders.1"` and its like.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("Permissions Violation for ")?;
        let quoted = || {
            let (_, rest) = rest.split_once('"')?;
            let (subject, _) = rest.rsplit_once('"')?;
            Some(subject.to_owned())
        };
        if rest.starts_with("Publish to ") {
            quoted().map(Self::Publish)
        } else if rest.starts_with("Publish with Reply of ") || rest.starts_with("Subscription to ")
        {
            quoted().map(Self::Inbox)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, NotEntered, Question, Subjects, Told, Until, Violation, Wire};
    use async_nats::{Message, StatusCode};
    use std::sync::Arc;
    use std::time::Duration;
    use tenure_core::driver::Completion;
    use tenure_core::port::{Ack, Refused, StoreDone};
    use tenure_core::step::Outcome;
    use tokio::time::Instant;

    fn wire() -> Arc<Wire> {
        Wire::new("_INBOX.x".into())
    }

    fn question(subject: &str, writes: bool, until: Until) -> Question {
        Question {
            subjects: Subjects::One(subject.into()),
            writes,
            until,
            due: None,
        }
    }

    fn message(
        subject: async_nats::Subject,
        status: Option<StatusCode>,
        payload: &'static str,
    ) -> Message {
        Message {
            subject,
            reply: None,
            payload: payload.into(),
            headers: None,
            status,
            description: None,
            length: 0,
        }
    }

    #[tokio::test]
    async fn an_answer_finds_its_ask_and_a_late_one_finds_none() {
        let wire = wire();
        let first = wire.enter(question("a", true, Until::First)).unwrap();
        let late = first.reply();
        drop(first);
        let second = wire.enter(question("a", true, Until::First)).unwrap();
        // The second ask stands in the place of the first.
        wire.deliver(message(late, None, "late"));
        assert_eq!(wire.waiting(), 1);
        wire.deliver(message(second.reply(), None, "mine"));
        let Some(Answer::Replied { last, .. }) = second.await else {
            panic!("no answer")
        };
        assert_eq!(last.payload, "mine");
        assert_eq!(wire.waiting(), 0);
    }

    #[tokio::test]
    async fn a_committed_batch_is_told_by_the_first_answer_with_a_body() {
        let wire = wire();
        let ask = wire.enter(question("a", true, Until::Committed)).unwrap();
        wire.deliver(message(ask.reply(), None, ""));
        wire.deliver(message(ask.reply(), None, "{}"));
        assert!(matches!(ask.await, Some(Answer::Replied { last, .. }) if last.payload == "{}"));
    }

    #[tokio::test]
    async fn messages_before_a_status_belong_to_the_answer() {
        let wire = wire();
        let ask = wire.enter(question("a", false, Until::Status)).unwrap();
        wire.deliver(message(ask.reply(), None, "one"));
        wire.deliver(message(ask.reply(), Some(StatusCode::NOT_FOUND), ""));
        let Some(Answer::Replied { before, .. }) = ask.await else {
            panic!("no answer")
        };
        assert_eq!(before.len(), 1);
    }

    #[tokio::test]
    async fn a_lost_connection_fails_what_waits_and_takes_no_more() {
        let wire = wire();
        let ask = wire.enter(question("a", true, Until::First)).unwrap();
        wire.close();
        assert!(ask.await.is_none());
        let lost = wire.enter(question("a", true, Until::First));
        assert_eq!(lost.unwrap_err(), NotEntered::Lost);
        wire.open();
        assert!(wire.enter(question("a", true, Until::First)).is_ok());
    }

    #[tokio::test]
    async fn an_ask_that_is_due_ends_without_an_answer_and_others_go_on() {
        let wire = wire();
        let now = Instant::now();
        let due = |after| Question {
            due: after,
            ..question("a", true, Until::First)
        };
        let later = now + Duration::from_secs(2);
        let first = wire.enter(due(Some(now))).unwrap();
        let second = wire.enter(due(Some(later))).unwrap();
        let third = wire.enter(due(None)).unwrap();
        assert_eq!(wire.expire(now), Some(later));
        assert_eq!(wire.waiting(), 2);
        // An answer that comes too late changes nothing.
        wire.deliver(message(first.reply(), None, "late"));
        assert!(first.await.is_none());
        wire.deliver(message(second.reply(), None, "in time"));
        assert_eq!(wire.expire(later), None);
        let answer = second.await;
        assert!(matches!(answer, Some(Answer::Replied { last, .. }) if last.payload == "in time"));
        assert_eq!(wire.waiting(), 1);
        drop(third);
        assert_eq!(wire.waiting(), 0);
    }

    #[tokio::test]
    async fn an_answer_that_is_told_needs_its_place_no_more() {
        let wire = wire();
        let now = Instant::now();
        let ask = |due| {
            let (done, answer) = Completion::alone();
            let question = Question {
                due: Some(due),
                ..question("a", true, Until::First)
            };
            let told = Told::new(done, "ev".into(), None);
            (wire.enter_told(question, told).unwrap(), answer)
        };
        let later = now + Duration::from_secs(2);
        let (due, silent) = ask(now);
        let (entry, answer) = ask(later);
        assert_eq!(wire.expire(now), Some(later));
        assert_eq!(silent.await, Outcome::Unknown);
        // What has ended is not taken back, nor what stands in its place.
        assert!(wire.retract(due).is_none());
        let (again, third) = ask(later);
        assert!(wire.retract(due).is_none());
        wire.deliver(message(wire.reply(due), None, "late"));
        assert_eq!(wire.waiting(), 2);
        let acknowledged = "{\"stream\":\"ev\", \"seq\":7}";
        wire.deliver(message(wire.reply(entry), None, acknowledged));
        assert!(matches!(
            answer.await,
            Outcome::Done(StoreDone::Published(Ack { sequence, .. })) if sequence.0 == 7
        ));
        wire.retract(again).unwrap().refuse(Refused::NotConnected);
        assert_eq!(third.await, Outcome::Refused(Refused::NotConnected));
        let (_, lost) = ask(later);
        wire.close();
        assert_eq!(lost.await, Outcome::Unknown);
        assert_eq!(wire.asks().waiting.len(), 0);
        let told = Told::new(Completion::alone().0, "ev".into(), None);
        let entered = wire.enter_told(question("a", true, Until::First), told);
        assert_eq!(entered.unwrap_err().0, NotEntered::Lost);
    }

    #[tokio::test]
    async fn one_write_on_a_forbidden_subject_is_denied_and_of_two_none() {
        let wire = wire();
        let text = "Permissions Violation for Publish to \"a.b\"";
        let ask = || wire.enter(question("a.b", true, Until::First)).unwrap();
        let other = wire.enter(question("a.c", true, Until::First)).unwrap();
        let one = ask();
        wire.take_error(text);
        assert!(matches!(one.await, Some(Answer::Denied(said)) if said == text));
        let (one, two) = (ask(), ask());
        wire.take_error(text);
        assert!(one.await.is_none() && two.await.is_none());
        assert_eq!(wire.waiting(), 1);
        drop(other);
    }

    #[tokio::test]
    async fn without_an_inbox_reads_are_denied_and_writes_unknown() {
        let wire = wire();
        let text = "Permissions Violation for Subscription to \"_INBOX.x.*\"";
        let read = wire.enter(question("a", false, Until::First)).unwrap();
        let write = wire.enter(question("a", true, Until::First)).unwrap();
        wire.take_error(text);
        assert!(matches!(read.await, Some(Answer::Denied(said)) if said == text));
        assert!(write.await.is_none());
        let next = wire.enter(question("a", true, Until::First));
        assert_eq!(next.unwrap_err(), NotEntered::Denied(text.into()));
    }

    #[test]
    fn the_subject_for_an_answer_fits_its_room() {
        for (number, digits) in [(0, 1), (1, 1), (15, 1), (16, 2), (255, 2), (256, 3)] {
            assert_eq!(super::digits(number), digits, "{number}");
        }
        assert_eq!(super::digits(u64::MAX), 16);
    }

    #[test]
    fn violations_name_their_subject() {
        let of = |text| Violation::parse(text);
        let publish = of("Permissions Violation for Publish to \"a.\\\"b\"");
        assert_eq!(publish, Some(Violation::Publish("a.\\\"b".into())));
        let inbox = of("Permissions Violation for Subscription to \"_INBOX.x.*\"");
        assert_eq!(inbox, Some(Violation::Inbox("_INBOX.x.*".into())));
        assert_eq!(of("Maximum Payload Violation"), None);
    }
}
