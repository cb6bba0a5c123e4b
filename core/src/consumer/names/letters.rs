//! The dead letters of a name, for who does not run its handler.

use super::NamesFault;
use crate::bus::Pattern;
use crate::consumer::letters::{is_removed, listed, removal};
use crate::consumer::{BUS_KIND, LetterPage, LetterRefusal, Source, may_pass};
use crate::format::{Commit, DeadLetter, EventPlace, FormatError};
use crate::id::{LayoutId, Sequence, WallTime};
use crate::name::{ConsumerName, EntityId, Namespace};
use crate::port::{self, Message, Refused, StoreDone, StoreReply, StoreRequest, Subject};
use crate::projection::Next;
use crate::step::Outcome;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;

/// Letters that are read in one request.
const AT_ONCE: u32 = 256;

/// How often an event that is absent from the log is looked for again: a replica may lag.
const ABSENT_TRIES: u32 = 6;

/// One page of the dead letters of a name.
#[derive(Clone, Debug)]
pub struct ListLetters {
    ns: Namespace,
    name: ConsumerName,
    after: Sequence,
}

impl ListLetters {
    /// Those after a place in the consumers' stream.
    pub fn new(ns: Namespace, name: ConsumerName, after: Sequence) -> Self {
        Self { ns, name, after }
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        StoreRequest::Scan {
            stream: self.ns.consumer_stream(),
            filter: self.ns.dead_letters_filter(&self.name),
            from: Sequence(self.after.0.saturating_add(1)),
            messages_max: AT_ONCE,
        }
    }

    /// Takes the answer in.
    pub fn answered(&mut self, reply: StoreReply) -> Next<LetterPage, NamesFault> {
        match reply {
            Outcome::Done(StoreDone::Page(page)) => Next::Done(listed(&page)),
            Outcome::Refused(Refused::NotFound | Refused::NoStream) => {
                Next::Done(LetterPage::default())
            }
            Outcome::Refused(refused) if may_pass(&refused) => Next::Wait,
            Outcome::Refused(refused) => Next::Fail(NamesFault::Store {
                what: "tell the dead letters",
                refused,
            }),
            Outcome::Unknown => Next::Wait,
            Outcome::Done(_) => Next::Fail(NamesFault::Misfit),
        }
    }
}

/// Looks into one dead letter of a name, or removes it.
#[derive(Clone, Debug)]
pub struct OneLetter {
    ns: Namespace,
    name: ConsumerName,
    layout: LayoutId,
    place: EventPlace,
    removes: bool,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The letter is read. It was found there before, by an attempt to remove it.
    Letter(Option<Sequence>),
    /// The letter that is there goes.
    Remove(Sequence),
    /// Its entity's event is read, for the so manieth time.
    Event(Source, EntityId, u32),
}

/// What was done with a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterDone {
    /// Its event's commit, and when the store took it.
    Looked(Box<(Commit, WallTime)>),
    /// It is gone.
    Removed,
}

impl OneLetter {
    /// Looks into the letter of an event.
    pub fn look(ns: Namespace, name: ConsumerName, layout: LayoutId, place: EventPlace) -> Self {
        Self {
            ns,
            name,
            layout,
            place,
            removes: false,
            stage: Stage::Letter(None),
        }
    }

    /// Removes the letter of an event, which nobody handles then.
    pub fn remove(ns: Namespace, name: ConsumerName, layout: LayoutId, place: EventPlace) -> Self {
        Self {
            removes: true,
            ..Self::look(ns, name, layout, place)
        }
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        match &self.stage {
            Stage::Letter(_) => StoreRequest::Latest {
                stream: self.ns.consumer_stream(),
                subjects: vec![self.subject()],
            },
            Stage::Remove(at) => removal(&self.ns, &self.name, self.place, *at),
            Stage::Event(source, _, tries) => StoreRequest::Get {
                stream: source.stream(&self.ns, self.place.partition),
                sequence: self.place.sequence,
                source: match tries % 2 {
                    0 => port::Source::Replica,
                    _ => port::Source::Leader,
                },
            },
        }
    }

    fn subject(&self) -> Subject {
        self.ns.dead_letter_subject(&self.name, self.place)
    }

    /// Takes the answer in.
    pub fn answered(&mut self, reply: StoreReply) -> Next<LetterDone, LetterRefusal> {
        let place = self.place;
        match (&mut self.stage, reply) {
            (Stage::Letter(before), Outcome::Done(StoreDone::Latest(proof))) => {
                let before = *before;
                let message = proof.messages.into_iter().next();
                match message.filter(|message| !is_removed(message)) {
                    Some(message) => self.found(before, &message),
                    None => self.absent(before),
                }
            }
            (Stage::Letter(before), Outcome::Refused(Refused::NotFound | Refused::NoStream)) => {
                let before = *before;
                self.absent(before)
            }
            (Stage::Remove(_), Outcome::Done(StoreDone::Published(_))) => {
                Next::Done(LetterDone::Removed)
            }
            // Another one is there, or none: by an attempt that was in doubt, or by somebody else.
            (Stage::Remove(at), Outcome::Refused(Refused::WrongLast { .. })) => {
                self.stage = Stage::Letter(Some(*at));
                Next::Ask
            }
            (Stage::Event(source, entity, _), Outcome::Done(StoreDone::Message(message))) => {
                let read = commit(source, (&self.ns, self.layout), &message);
                match read {
                    Ok((id, commit)) if id == *entity => {
                        let looked = Box::new((commit, message.stored));
                        Next::Done(LetterDone::Looked(looked))
                    }
                    Ok(_) => self.elsewhere(LetterRefusal::EventGone { place }),
                    Err(error) => self.elsewhere(LetterRefusal::Failed {
                        text: error.to_string(),
                    }),
                }
            }
            (
                Stage::Event(_, _, tries),
                Outcome::Refused(Refused::NotFound | Refused::NoStream),
            ) => {
                *tries += 1;
                match *tries < ABSENT_TRIES {
                    true => Next::Wait,
                    false => self.elsewhere(LetterRefusal::EventGone { place }),
                }
            }
            (_, Outcome::Unknown) => Next::Wait,
            (_, Outcome::Refused(refused)) if may_pass(&refused) => Next::Wait,
            (_, Outcome::Refused(refused)) => Next::Fail(LetterRefusal::Store(refused)),
            (_, Outcome::Done(_)) => Next::Fail(LetterRefusal::Failed {
                text: "the store answered something else than it was asked: report it".to_string(),
            }),
        }
    }

    fn absent(&self, before: Option<Sequence>) -> Next<LetterDone, LetterRefusal> {
        match before {
            // One that was there and is not any more was removed by an attempt that was in doubt.
            Some(_) => Next::Done(LetterDone::Removed),
            None => Next::Fail(LetterRefusal::None { place: self.place }),
        }
    }

    fn found(
        &mut self,
        before: Option<Sequence>,
        message: &Message,
    ) -> Next<LetterDone, LetterRefusal> {
        let place = self.place;
        if self.removes {
            // One that came meanwhile is another one, of a later failure.
            if before.is_some_and(|before| before != message.sequence) {
                return Next::Fail(LetterRefusal::Newer { place });
            }
            self.stage = Stage::Remove(message.sequence);
            return Next::Ask;
        }
        let letter = match DeadLetter::decode(&message.payload) {
            Ok(letter) => letter,
            Err(error) => return Next::Fail(LetterRefusal::Format(error)),
        };
        if letter.layout != self.layout || letter.consumer != self.name || letter.place != place {
            return Next::Fail(LetterRefusal::Foreign {
                consumer: letter.consumer,
                layout: letter.layout,
            });
        }
        let source = match letter.kind.as_str() == BUS_KIND {
            true => Pattern::new(">").map_or(Source::Log, Source::Bus),
            false => Source::Log,
        };
        self.stage = Stage::Event(source, letter.entity, 0);
        Next::Ask
    }

    /// Its event is not where it was looked for. What is of the bus by the name of its kind may be of a kind of
    /// that name, in the log.
    fn elsewhere(&mut self, otherwise: LetterRefusal) -> Next<LetterDone, LetterRefusal> {
        match &self.stage {
            Stage::Event(Source::Bus(_), entity, _) => {
                self.stage = Stage::Event(Source::Log, entity.clone(), 0);
                Next::Ask
            }
            Stage::Letter(_) | Stage::Remove(_) | Stage::Event(Source::Log, ..) => {
                Next::Fail(otherwise)
            }
        }
    }
}

/// Whose event a message is, and its commit.
fn commit(
    source: &Source,
    (ns, layout): (&Namespace, LayoutId),
    message: &Message,
) -> Result<(EntityId, Commit), FormatError> {
    let subject = source.subject(ns, &message.subject)?;
    let commit = source.commit(layout, &subject, &message.payload)?;
    Ok((subject.id, commit))
}
