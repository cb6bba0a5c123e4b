//! Erases what is stored under a name.

use super::{FORGOTTEN_TTL_S, NamesFault, is_forgotten};
use crate::consumer::may_pass;
use crate::id::Sequence;
use crate::name::{ConsumerName, Namespace};
use crate::port::{
    Expect, Message, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, StreamName,
    Subject,
};
use crate::projection::Next;
use crate::step::Outcome;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

/// Messages that are read in one request; states of projections are large.
const AT_ONCE: u32 = 32;

/// What stands for a value that is gone and of no life of its projection, so that the next one of its name begins
/// where nothing is.
const NO_VALUE: &[u8] = br#"{"value":null,"v":1,"life":0,"at":[]}"#;

/// Erases what is stored under a name: its record, those of its partitions, its states, its values and its
/// dead letters, in this order. Whoever stops in between leaves what is not erased yet; it is erased by
/// another one.
#[derive(Clone, Debug)]
pub struct Erase {
    ns: Namespace,
    name: ConsumerName,
    /// Where the name's record was found; none where it has none.
    at: Sequence,
    /// It goes whoever wrote it meanwhile.
    whatever: bool,
    stage: Stage,
    /// The parts of the name that are left.
    left: VecDeque<Part>,
    erased: u64,
}

/// A part of what is stored under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Partitions,
    States,
    Values,
    Letters,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The name's record goes.
    Name,
    /// What is in its place by now.
    Look,
    /// Whether there is a bucket at all.
    Bucket,
    /// A page of a part is read, from there on.
    Scan(Part, Sequence),
    /// What was read goes; then the next page is read.
    Clear {
        part: Part,
        messages: Vec<Message>,
        next: Option<Sequence>,
    },
}

impl Erase {
    /// What is under a name whose record was found at a place; `whatever`: also when a run writes it meanwhile,
    /// which ends over that.
    pub fn new(ns: Namespace, name: ConsumerName, at: Sequence, whatever: bool) -> Self {
        let parts = [Part::Partitions, Part::States, Part::Values, Part::Letters];
        let mut this = Self {
            ns,
            name,
            at,
            whatever,
            stage: Stage::Name,
            left: parts.into(),
            erased: 0,
        };
        if !at.is_some() {
            this.next_part();
        }
        this
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        match &self.stage {
            Stage::Name => {
                let subject = self.ns.checkpoint_subject(&self.name);
                self.clear(Part::States, subject, self.at)
            }
            Stage::Look => StoreRequest::Latest {
                stream: self.ns.consumer_stream(),
                subjects: vec![self.ns.checkpoint_subject(&self.name)],
            },
            Stage::Bucket => StoreRequest::StreamInfo {
                stream: self.ns.value_stream(),
            },
            Stage::Scan(part, from) => StoreRequest::Scan {
                stream: self.stream(*part),
                filter: self.filter(*part),
                from: *from,
                messages_max: AT_ONCE,
            },
            Stage::Clear { part, messages, .. } => {
                let (subject, at) = match messages.last() {
                    Some(message) => (message.subject.clone(), message.sequence),
                    // There is one while this is the stage.
                    None => (self.filter(*part), Sequence::NONE),
                };
                self.clear(*part, subject, at)
            }
        }
    }

    fn stream(&self, part: Part) -> StreamName {
        match part {
            Part::Values => self.ns.value_stream(),
            Part::Partitions | Part::States | Part::Letters => self.ns.consumer_stream(),
        }
    }

    fn filter(&self, part: Part) -> Subject {
        match part {
            Part::Partitions => self.ns.group_records_filter(&self.name),
            Part::States => self.ns.states_filter(&self.name),
            Part::Values => self.ns.values_filter(&self.name),
            Part::Letters => self.ns.dead_letters_filter(&self.name),
        }
    }

    /// Puts what is gone by itself in the place of a message; of a value, what no reader sees.
    fn clear(&self, part: Part, subject: Subject, at: Sequence) -> StoreRequest {
        let (rollup, ttl_s, payload) = match part {
            Part::Values => (Rollup::Purge, None, Bytes::from_static(NO_VALUE)),
            Part::Partitions | Part::States | Part::Letters => {
                (Rollup::Subject, Some(FORGOTTEN_TTL_S), Bytes::new())
            }
        };
        StoreRequest::Publish(Publish {
            stream: self.stream(part),
            subject,
            expect: Expect::OwnLast(at),
            rollup,
            dedup: None,
            ttl_s,
            payload,
        })
    }

    /// Takes the answer in. Done: how many messages were erased.
    pub fn answered(&mut self, reply: StoreReply) -> Next<u64, NamesFault> {
        match (&mut self.stage, reply) {
            (Stage::Name, Outcome::Done(StoreDone::Published(_))) => {
                self.erased += 1;
                self.next_part()
            }
            // A run's, or this one's of an attempt whose answer was lost.
            (Stage::Name, Outcome::Refused(Refused::WrongLast { .. })) => {
                self.stage = Stage::Look;
                Next::Ask
            }
            (Stage::Name, Outcome::Unknown) => {
                self.stage = Stage::Look;
                Next::Wait
            }
            (Stage::Look, Outcome::Done(StoreDone::Latest(proof))) => {
                self.looked(proof.messages.into_iter().next())
            }
            (Stage::Look, Outcome::Refused(Refused::NotFound)) => self.looked(None),
            (Stage::Bucket, Outcome::Done(StoreDone::Stream(_))) => {
                self.stage = Stage::Scan(Part::Values, Sequence(1));
                Next::Ask
            }
            (Stage::Bucket, Outcome::Refused(Refused::NoStream)) => self.next_part(),
            (Stage::Scan(part, _), Outcome::Done(StoreDone::Page(page))) => {
                let part = *part;
                let last = page.messages.last().filter(|_| page.more);
                let next = last.map(|last| Sequence(last.sequence.0.saturating_add(1)));
                let mut messages = page.messages;
                messages.retain(|it| !is_forgotten(it) && it.payload != NO_VALUE);
                self.stage = Stage::Clear {
                    part,
                    messages,
                    next,
                };
                self.cleared()
            }
            // There is nothing of it.
            (Stage::Scan(..), Outcome::Refused(Refused::NotFound)) => self.next_part(),
            (Stage::Clear { messages, .. }, Outcome::Done(StoreDone::Published(_))) => {
                messages.pop();
                self.erased += 1;
                self.cleared()
            }
            // Another one is there, or none: by an attempt that was in doubt, or by somebody else.
            (Stage::Clear { messages, .. }, Outcome::Refused(Refused::WrongLast { .. })) => {
                messages.pop();
                self.cleared()
            }
            (_, Outcome::Unknown) => Next::Wait,
            (_, Outcome::Refused(refused)) if may_pass(&refused) => Next::Wait,
            (_, Outcome::Refused(refused)) => Next::Fail(NamesFault::Store {
                what: "erase what is stored of a consumer",
                refused,
            }),
            (_, Outcome::Done(_)) => Next::Fail(NamesFault::Misfit),
        }
    }

    /// What stands where the name's record was.
    fn looked(&mut self, found: Option<Message>) -> Next<u64, NamesFault> {
        match found {
            None => self.next_part(),
            Some(message) if is_forgotten(&message) => self.next_part(),
            Some(message) if message.sequence == self.at => {
                // It may go later still, on the same condition.
                self.stage = Stage::Name;
                Next::Wait
            }
            // A replica that lags.
            Some(message) if message.sequence < self.at => Next::Wait,
            Some(message) if self.whatever => {
                self.at = message.sequence;
                self.stage = Stage::Name;
                Next::Ask
            }
            Some(_) => Next::Fail(NamesFault::Moved),
        }
    }

    fn next_part(&mut self) -> Next<u64, NamesFault> {
        match self.left.pop_front() {
            Some(part) => {
                self.stage = match part {
                    Part::Values => Stage::Bucket,
                    Part::Partitions | Part::States | Part::Letters => {
                        Stage::Scan(part, Sequence(1))
                    }
                };
                Next::Ask
            }
            None => Next::Done(self.erased),
        }
    }

    fn cleared(&mut self) -> Next<u64, NamesFault> {
        let Stage::Clear {
            part,
            messages,
            next,
        } = &self.stage
        else {
            return Next::Fail(NamesFault::Misfit);
        };
        match (messages.is_empty(), *next) {
            (false, _) => Next::Ask,
            (true, Some(from)) => {
                self.stage = Stage::Scan(*part, from);
                Next::Ask
            }
            (true, None) => self.next_part(),
        }
    }
}
