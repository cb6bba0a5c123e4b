//! Erases what is stored under a name.

use super::{BEING_FORGOTTEN, FORGOTTEN_TTL_S, NamesFault, is_being_forgotten, is_forgotten};
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

/// How often a part is read again at most because somebody wrote to it meanwhile.
const PASSES_MAX: u32 = 64;

/// What stands for a value that is gone and of no life of its projection, so that the next one of its name begins
/// where nothing is.
const NO_VALUE: &[u8] = br#"{"value":null,"v":1,"life":0,"at":[]}"#;

/// Erases what is stored under a name: the records of its partitions, its states, its values and its dead
/// letters, in this order, while its own record says that it is being forgotten; that one goes last. Whoever stops in
/// between leaves that and what is not erased yet, which another one goes on with.
#[derive(Clone, Debug)]
pub struct Erase {
    ns: Namespace,
    name: ConsumerName,
    /// Where the name's record was found; none where it has none.
    at: Sequence,
    /// It goes whoever wrote it meanwhile.
    whatever: bool,
    stage: Stage,
    /// Where the name is said to be forgotten, once it is.
    marker: Option<Sequence>,
    /// The parts of the name that are left.
    left: VecDeque<Part>,
    /// Somebody wrote to the present part while it was being erased.
    written: bool,
    passes: u32,
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
    /// The name's record goes: it is being forgotten from now on.
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
    /// Nothing is left but what says so, from this place on for a while.
    End(Sequence),
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
            marker: None,
            left: parts.into(),
            written: false,
            passes: 0,
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
                let being = Bytes::from_static(BEING_FORGOTTEN);
                self.name_request(self.at, None, being)
            }
            Stage::End(at) => self.name_request(*at, Some(FORGOTTEN_TTL_S), Bytes::new()),
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

    /// Puts something in the place of the name's record.
    fn name_request(&self, at: Sequence, ttl_s: Option<u32>, payload: Bytes) -> StoreRequest {
        StoreRequest::Publish(Publish {
            stream: self.ns.consumer_stream(),
            subject: self.ns.checkpoint_subject(&self.name),
            expect: Expect::OwnLast(at),
            rollup: Rollup::Subject,
            dedup: None,
            ttl_s,
            payload,
        })
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
            (Stage::Name, Outcome::Done(StoreDone::Published(ack))) => {
                self.erased += 1;
                self.marker = Some(ack.sequence);
                self.next_part()
            }
            (Stage::End(_), Outcome::Done(StoreDone::Published(_))) => Next::Done(self.erased),
            // By an attempt that was in doubt, or by another one who forgot it as well.
            (Stage::End(_), Outcome::Refused(Refused::WrongLast { .. })) => Next::Done(self.erased),
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
                self.written = true;
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
            Some(message) if is_being_forgotten(&message) => {
                self.marker = Some(message.sequence);
                self.next_part()
            }
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
        (self.written, self.passes) = (false, 0);
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
            None => match self.marker {
                Some(at) => {
                    self.stage = Stage::End(at);
                    Next::Ask
                }
                None => Next::Done(self.erased),
            },
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
            (true, None) if core::mem::take(&mut self.written) => {
                self.passes += 1;
                if self.passes > PASSES_MAX {
                    return Next::Fail(NamesFault::Moved);
                }
                self.stage = Stage::Scan(*part, Sequence(1));
                Next::Ask
            }
            (true, None) => self.next_part(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BEING_FORGOTTEN, Erase, FORGOTTEN_TTL_S, NamesFault, Next, PASSES_MAX};
    use crate::id::{Sequence, WallTime};
    use crate::name::{ConsumerName, Namespace};
    use crate::port::{
        Ack, Expect, Message, Page, Publish, Refused, StoreDone, StoreReply, StoreRequest, Subject,
    };
    use crate::step::Outcome;
    use alloc::vec;
    use bytes::Bytes;

    fn erase() -> Erase {
        let ns = Namespace::new("bank").unwrap();
        Erase::new(ns, ConsumerName::new("mailer").unwrap(), Sequence(7), true)
    }

    fn stored(at: u64) -> StoreReply {
        Outcome::Done(StoreDone::Published(Ack {
            sequence: Sequence(at),
            duplicate: false,
        }))
    }

    fn wrong_last() -> StoreReply {
        Outcome::Refused(Refused::WrongLast { actual: None })
    }

    fn page(subject: &Subject, at: u64) -> StoreReply {
        let message = Message {
            subject: subject.clone(),
            sequence: Sequence(at),
            stored: WallTime(0),
            payload: Bytes::from_static(b"record"),
            expired_marker: false,
        };
        Outcome::Done(StoreDone::Page(Page {
            messages: vec![message],
            more: false,
        }))
    }

    fn publish(erase: &Erase) -> Publish {
        let StoreRequest::Publish(publish) = erase.request() else {
            panic!("not a message: {:?}", erase.request());
        };
        publish
    }

    fn is_scan_of(erase: &Erase, part: &str) -> bool {
        matches!(erase.request(), StoreRequest::Scan { filter, .. } if filter.contains(part))
    }

    #[test]
    fn the_name_is_said_to_be_forgotten_until_nothing_is_left() {
        let mut erase = erase();
        let first = publish(&erase);
        assert_eq!(first.expect, Expect::OwnLast(Sequence(7)));
        assert_eq!((&*first.payload, first.ttl_s), (BEING_FORGOTTEN, None));
        assert!(matches!(erase.answered(stored(8)), Next::Ask));
        for part in [".grp.", ".chk.", "", ".dlq."] {
            if let StoreRequest::StreamInfo { .. } = erase.request() {
                let refused = Outcome::Refused(Refused::NoStream);
                assert!(matches!(erase.answered(refused), Next::Ask));
                continue;
            }
            assert!(is_scan_of(&erase, part), "{:?}", erase.request());
            let refused = Outcome::Refused(Refused::NotFound);
            assert!(matches!(erase.answered(refused), Next::Ask));
        }
        let last = publish(&erase);
        assert_eq!(last.subject, first.subject);
        assert_eq!(last.expect, Expect::OwnLast(Sequence(8)));
        assert_eq!((last.payload.len(), last.ttl_s), (0, Some(FORGOTTEN_TTL_S)));
        assert!(matches!(erase.answered(stored(9)), Next::Done(1)));
    }

    #[test]
    fn a_part_that_is_written_meanwhile_is_read_again() {
        let mut erase = erase();
        let _ = erase.answered(stored(8));
        let subject = Subject::from("bank.grp.mailer.0");
        for pass in 0..=PASSES_MAX {
            assert!(is_scan_of(&erase, ".grp."), "{:?}", erase.request());
            assert!(matches!(erase.answered(page(&subject, 10)), Next::Ask));
            let next = erase.answered(wrong_last());
            if pass < PASSES_MAX {
                assert!(matches!(next, Next::Ask));
            } else {
                assert!(matches!(next, Next::Fail(NamesFault::Moved)));
            }
        }
    }
}
