//! The table of the asks in flight: what each asks, how far it is, and who is told.

use crate::submit::Told;
use async_nats::Message;
use slab::Slab;
use std::task::Waker;
use tenure_core::port::Subject;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Asks {
    pub(super) open: bool,
    /// Why no answer can arrive: the server's text.
    pub(super) denied: Option<String>,
    /// Makes tokens unique, so that a late answer never meets another ask in the same place.
    pub(super) serial: u64,
    pub(super) waiting: Slab<Ask>,
}

#[derive(Debug)]
pub(super) struct Ask {
    pub(super) serial: u64,
    pub(super) question: Question,
    pub(super) state: State,
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
    pub(super) fn name(&self, subject: &str) -> bool {
        match self {
            Self::One(one) => one.as_str() == subject,
            Self::Many(many) => many.iter().any(|one| one.as_str() == subject),
        }
    }
}

/// How far an ask is.
#[derive(Debug)]
pub(super) enum State {
    /// Parts of the answer may have come.
    Open { before: Vec<Message>, by: By },
    /// With its answer, which nobody has taken yet, or without one.
    Ended(Option<Answer>),
}

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum By {
    /// A [`Waiting`], and its task when it was polled.
    Waiting(Option<Waker>),
    /// Who is told; the ask has its place until then.
    Told(Told),
}

/// Where an ask in flight stands in the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(super) key: usize,
    pub(super) serial: u64,
}

/// What is left to do for an ask that has ended, when the table is not locked any more.
#[must_use]
#[allow(
    clippy::large_enum_variant,
    reason = "the largest is the one that nearly all are"
)]
pub(super) enum After {
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

impl Asks {
    /// Whether one can be entered.
    pub(super) fn check(&self) -> Result<(), NotEntered> {
        if !self.open {
            return Err(NotEntered::Lost);
        }
        match &self.denied {
            Some(text) => Err(NotEntered::Denied(text.clone())),
            None => Ok(()),
        }
    }

    pub(super) fn enter(&mut self, question: Question, by: By) -> Entry {
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
    pub(super) fn end(&mut self, key: usize, answer: Option<Answer>) -> After {
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
    pub(super) fn end_all(&mut self, answer: impl Fn(&Question) -> Option<Answer>) -> Vec<After> {
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
    pub(super) fn take_place(self) {
        match self {
            Self::Nothing => {}
            Self::Wake(waker) => waker.wake(),
            Self::Tell(told, answer) => told.tell(answer),
        }
    }
}
