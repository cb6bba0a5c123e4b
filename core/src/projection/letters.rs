//! The dead letters of former lives: told when a run begins, and removed when the state has their events (J7).

use super::{Next, StateFault};
use crate::consumer::{listed, may_pass, removal};
use crate::format::{EventPlace, Mark, Position};
use crate::id::Sequence;
use crate::name::Namespace;
use crate::port::{Refused, StoreDone, StoreReply, StoreRequest};
use crate::step::Outcome;
use alloc::vec::Vec;

/// Letters that are read in one request.
const LETTERS_AT_ONCE: u32 = 256;

/// So many letters a run remembers; what more there are stay for a later life.
const LETTERS_MAX: usize = 100_000;

/// A dead letter of a former life, whose event the state of this one is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormerLetter {
    /// Where its event is.
    pub place: EventPlace,
    /// Where it is itself in the consumers' stream: a later letter of the event is another one.
    pub at: Sequence,
}

impl FormerLetter {
    /// Whether a state that stands there has come past its event.
    pub fn is_passed(&self, positions: &[Position]) -> bool {
        let position = positions.get(usize::from(self.place.partition.0));
        position.is_some_and(|position| position.takes_in(self.place.sequence, self.place.index))
    }
}

/// Lists the dead letters of former lives whose events a run has yet to come to.
#[derive(Clone, Debug)]
pub struct FormerLetters {
    ns: Namespace,
    /// Where the run begins.
    mark: Mark,
    /// Where the next page begins; none before it is known that the stream is there.
    from: Option<Sequence>,
    found: Vec<FormerLetter>,
}

impl FormerLetters {
    /// Of the run that begins there.
    pub fn new(ns: Namespace, mark: Mark) -> Self {
        Self {
            ns,
            mark,
            from: None,
            found: Vec::new(),
        }
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        let stream = self.ns.consumer_stream();
        match self.from {
            None => StoreRequest::StreamInfo { stream },
            Some(from) => StoreRequest::Scan {
                stream,
                filter: self.ns.dead_letters_filter(&self.mark.projection),
                from,
                messages_max: LETTERS_AT_ONCE,
            },
        }
    }

    /// Takes the answer in.
    pub fn answered(&mut self, reply: StoreReply) -> Next<Vec<FormerLetter>> {
        match reply {
            Outcome::Done(StoreDone::Stream(_)) if self.from.is_none() => {
                self.from = Some(Sequence(1));
                return Next::Ask;
            }
            Outcome::Refused(Refused::NoStream) if self.from.is_none() => {}
            Outcome::Done(StoreDone::Page(page)) => {
                let listed = listed(&page);
                for (at, letter) in listed.letters {
                    let place = letter.place;
                    let former = FormerLetter { place, at };
                    let mine = letter.consumer == self.mark.projection
                        && letter.layout == self.mark.layout;
                    if mine
                        && letter.generation < self.mark.generation
                        && !former.is_passed(&self.mark.positions)
                    {
                        self.found.push(former);
                    }
                }
                if let Some(last) = listed.more
                    && self.found.len() < LETTERS_MAX
                {
                    self.from = Some(Sequence(last.0.saturating_add(1)));
                    return Next::Ask;
                }
            }
            Outcome::Refused(Refused::NotFound) if self.from.is_some() => {}
            Outcome::Refused(refused) if may_pass(&refused) => return Next::Wait,
            Outcome::Refused(refused) => {
                return Next::Fail(StateFault::Store {
                    projection: self.mark.projection.clone(),
                    what: "tell the dead letters",
                    refused,
                });
            }
            Outcome::Unknown => return Next::Wait,
            Outcome::Done(_) => {
                let projection = self.mark.projection.clone();
                return Next::Fail(StateFault::Misfit { projection });
            }
        }
        Next::Done(core::mem::take(&mut self.found))
    }
}

/// Removes a dead letter whose event the state has. One that came in its place stays.
#[derive(Clone, Debug)]
pub struct ClearLetter {
    mark: Mark,
    request: StoreRequest,
}

impl ClearLetter {
    /// The letter of an event that the state with this mark has.
    pub fn new(ns: &Namespace, mark: Mark, letter: FormerLetter) -> Self {
        let request = removal(ns, &mark.projection, letter.place, letter.at);
        Self { mark, request }
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        self.request.clone()
    }

    /// Takes the answer in.
    pub fn answered(&mut self, reply: StoreReply) -> Next<()> {
        let projection = self.mark.projection.clone();
        match reply {
            Outcome::Done(StoreDone::Published(_)) => Next::Done(()),
            Outcome::Done(_) => Next::Fail(StateFault::Misfit { projection }),
            // Another one is there, or it is gone: by an attempt that was in doubt, or by somebody else.
            Outcome::Refused(Refused::WrongLast { .. }) => Next::Done(()),
            Outcome::Refused(refused) if may_pass(&refused) => Next::Wait,
            Outcome::Refused(refused) => Next::Fail(StateFault::Store {
                projection,
                what: "remove a dead letter",
                refused,
            }),
            Outcome::Unknown => Next::Wait,
        }
    }
}
