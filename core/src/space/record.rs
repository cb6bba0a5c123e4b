//! One record that is made once, by CAS, and then only read: a layout, an anchor, a kind (N2).

use super::SpaceError;
use crate::id::Sequence;
use crate::name::Namespace;
use crate::port::{Expect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, Subject};
use crate::step::Outcome;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use bytes::Bytes;

/// What to do after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Next<T> {
    /// Send the next request at once.
    Ask,
    /// Send it after a wait; the text says what is in the way.
    Wait(String),
    /// The job is done.
    Done(T),
    /// It cannot be done.
    Fail(SpaceError),
    /// The answer does not fit the question.
    Wrong,
}

/// Whose record is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Settled {
    /// The one that was offered.
    Mine,
    /// This one; it may be the one offered in an attempt whose outcome was unknown.
    Stored(Bytes),
}

/// A record to be read, or made where it is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Record {
    /// What it is, for people.
    what: String,
    read: StoreRequest,
    write: Publish,
    /// Whether it must be there already.
    fixed: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Stage {
    Read,
    Write,
}

impl Record {
    /// A record of the control stream, alone on its subject.
    pub(super) fn control(
        what: String,
        ns: &Namespace,
        subject: Subject,
        payload: Bytes,
        fixed: bool,
    ) -> Self {
        let stream = ns.control_stream();
        let read = StoreRequest::Latest {
            stream: stream.clone(),
            subjects: vec![subject.clone()],
        };
        let write = Publish {
            stream,
            subject,
            expect: Expect::OwnLast(Sequence::NONE),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload,
        };
        Self::new(what, read, write, fixed)
    }

    pub(super) fn new(what: String, read: StoreRequest, write: Publish, fixed: bool) -> Self {
        Self {
            what,
            read,
            write,
            fixed,
            stage: Stage::Read,
        }
    }

    /// The same, and another subject is read along as of the same point of the stream.
    pub(super) fn with(mut self, subject: Subject) -> Self {
        if let StoreRequest::Latest { subjects, .. } = &mut self.read {
            subjects.push(subject);
        }
        self
    }

    pub(super) fn request(&self) -> StoreRequest {
        match self.stage {
            Stage::Read => self.read.clone(),
            Stage::Write => StoreRequest::Publish(self.write.clone()),
        }
    }

    pub(super) fn answered(&mut self, reply: StoreReply) -> Next<Settled> {
        match self.stage {
            Stage::Read => self.was_read(reply),
            Stage::Write => self.was_written(reply),
        }
    }

    fn was_read(&mut self, reply: StoreReply) -> Next<Settled> {
        match reply {
            Outcome::Done(StoreDone::Latest(proof)) => {
                match proof
                    .messages
                    .into_iter()
                    .find(|m| m.subject == self.write.subject)
                {
                    Some(message) => Next::Done(Settled::Stored(message.payload)),
                    None => self.absent(),
                }
            }
            Outcome::Done(StoreDone::Message(message)) if message.subject == self.write.subject => {
                Next::Done(Settled::Stored(message.payload))
            }
            Outcome::Done(StoreDone::Message(message)) => Next::Fail(SpaceError::NotAnchored {
                stream: self.write.stream.clone().into(),
                subject: message.subject.into(),
            }),
            Outcome::Done(
                StoreDone::Published(_)
                | StoreDone::Page(_)
                | StoreDone::Stream(_)
                | StoreDone::Capabilities(_)
                | StoreDone::Consumer(_)
                | StoreDone::Fetched(_)
                | StoreDone::Closed,
            ) => Next::Wrong,
            Outcome::Refused(Refused::NotFound) => self.absent(),
            Outcome::Refused(refused) => refused_to(format!("read {}", self.what), refused),
            Outcome::Unknown => no_answer(&format!("read {}", self.what)),
        }
    }

    /// A replica that lags says so too; then the write is refused, and it is asked again.
    fn absent(&mut self) -> Next<Settled> {
        if self.fixed {
            return Next::Fail(SpaceError::StreamLost {
                stream: self.write.stream.clone().into(),
            });
        }
        self.stage = Stage::Write;
        Next::Ask
    }

    fn was_written(&mut self, reply: StoreReply) -> Next<Settled> {
        self.stage = Stage::Read;
        match reply {
            Outcome::Done(StoreDone::Published(_)) => Next::Done(Settled::Mine),
            Outcome::Done(
                StoreDone::Latest(_)
                | StoreDone::Message(_)
                | StoreDone::Page(_)
                | StoreDone::Stream(_)
                | StoreDone::Capabilities(_)
                | StoreDone::Consumer(_)
                | StoreDone::Fetched(_)
                | StoreDone::Closed,
            ) => Next::Wrong,
            Outcome::Refused(Refused::WrongLast { .. }) => {
                Next::Wait(format!("{} exists but could not be read yet", self.what))
            }
            Outcome::Refused(refused) => refused_to(format!("write {}", self.what), refused),
            Outcome::Unknown => no_answer(&format!("write {}", self.what)),
        }
    }
}

/// What a refusal means that a request has no special case for.
pub(super) fn refused_to<T>(what: String, refused: Refused) -> Next<T> {
    match refused {
        // A stream that was created a moment ago is not known to each server of a cluster.
        Refused::NoStream => Next::Wait(format!("to {what}: {refused}")),
        Refused::NoJetStream => Next::Fail(SpaceError::NoJetStream),
        Refused::Denied(text) => Next::Fail(SpaceError::Denied { what, text }),
        Refused::InProcess
        | Refused::DuplicateInProcess
        | Refused::TooManyBatches
        | Refused::BatchIncomplete
        | Refused::Overloaded
        | Refused::NoResponders
        | Refused::NotConnected => Next::Wait(format!("to {what}: {refused}")),
        Refused::WrongLast { .. }
        | Refused::DuplicateInBatch
        | Refused::BatchTooLarge
        | Refused::BatchDisabled
        | Refused::TooLarge
        | Refused::NoConsumer
        | Refused::WrongStream
        | Refused::StreamExists
        | Refused::SubjectOverlap
        | Refused::NotFound
        | Refused::RollupDisabled
        | Refused::TtlDisabled
        | Refused::TtlInvalid
        | Refused::NoSpace
        | Refused::Forbidden
        | Refused::BadRequest(_)
        | Refused::Other { .. } => Next::Fail(SpaceError::Refused { what, refused }),
    }
}

/// The request may have been done, now or later; each of ours may be sent again.
pub(super) fn no_answer<T>(what: &str) -> Next<T> {
    Next::Wait(format!("to {what}: the store did not answer"))
}
