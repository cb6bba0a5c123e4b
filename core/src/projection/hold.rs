//! The mark of a state that is elsewhere: written by the run that took it over, and by no other (J6).

use super::{LOOKS_MAX, Next, StateFault};
use crate::consumer::may_pass;
use crate::format::{FormatError, Mark};
use crate::id::{Incarnation, Sequence};
use crate::name::Namespace;
use crate::port::{Expect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest};
use crate::step::Outcome;
use alloc::string::String;
use alloc::vec;

/// Writes a mark in the place of the one before it.
#[derive(Clone, Debug)]
pub struct Hold {
    ns: Namespace,
    mark: Mark,
    over: Sequence,
    /// How often the one that it replaces was not found.
    looks: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Write,
    /// What is there; the mark's outcome is in doubt, or another one is in the way.
    Look,
}

/// What became of a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is there.
    At(Sequence),
    /// Another run took the state over; nothing was stored.
    Superseded {
        /// Where it is.
        node: String,
        /// The other run.
        run: Incarnation,
    },
}

impl Hold {
    /// A mark that is to replace the record at a place: one of the same run, or the one that it takes over.
    pub fn new(ns: Namespace, mark: Mark, over: Sequence) -> Self {
        let stage = Stage::Write;
        Self {
            ns,
            mark,
            over,
            looks: 0,
            stage,
        }
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        let (stream, subject) = (
            self.ns.consumer_stream(),
            self.ns.mark_subject(&self.mark.projection),
        );
        match self.stage {
            Stage::Write => StoreRequest::Publish(Publish {
                stream,
                subject,
                expect: Expect::OwnLast(self.over),
                rollup: Rollup::Subject,
                dedup: None,
                ttl_s: None,
                payload: self.mark.encode(),
            }),
            Stage::Look => StoreRequest::Latest {
                stream,
                subjects: vec![subject],
            },
        }
    }

    /// Takes the answer in. Done: where the mark is.
    pub fn answered(&mut self, reply: StoreReply) -> Next<Held> {
        match (self.stage, reply) {
            (Stage::Write, Outcome::Done(StoreDone::Published(ack))) => {
                Next::Done(Held::At(ack.sequence))
            }
            (Stage::Write, Outcome::Refused(Refused::WrongLast { .. })) => {
                self.stage = Stage::Look;
                Next::Ask
            }
            (Stage::Write, Outcome::Unknown) => {
                self.stage = Stage::Look;
                Next::Wait
            }
            (Stage::Look, Outcome::Done(StoreDone::Latest(proof))) => {
                let found = proof.messages.into_iter().next();
                let Some(found) = found else {
                    return self.absent();
                };
                self.looked(found.sequence, Mark::decode(&found.payload))
            }
            (Stage::Look, Outcome::Refused(Refused::NotFound)) => self.absent(),
            (Stage::Look, Outcome::Unknown) => Next::Wait,
            (_, Outcome::Refused(refused)) if may_pass(&refused) => Next::Wait,
            (_, Outcome::Refused(refused)) => Next::Fail(StateFault::Store {
                projection: self.mark.projection.clone(),
                what: "store the mark",
                refused,
            }),
            (Stage::Write | Stage::Look, Outcome::Done(_)) => {
                let projection = self.mark.projection.clone();
                Next::Fail(StateFault::Misfit { projection })
            }
        }
    }

    fn absent(&mut self) -> Next<Held> {
        if self.over.is_some() {
            return self.gone();
        }
        // Nothing was there: the condition is the leader's.
        self.stage = Stage::Write;
        Next::Wait
    }

    /// The mark that is to be replaced is not there, as a replica says that lags, or for good.
    fn gone(&mut self) -> Next<Held> {
        self.looks += 1;
        if self.looks < LOOKS_MAX {
            return Next::Wait;
        }
        let projection = self.mark.projection.clone();
        Next::Fail(StateFault::MarkGone { projection })
    }

    fn looked(&mut self, at: Sequence, found: Result<Mark, FormatError>) -> Next<Held> {
        if at < self.over {
            return self.gone();
        }
        if at == self.over {
            // It may be stored later still: the same bytes on the same condition are stored once.
            self.stage = Stage::Write;
            return Next::Wait;
        }
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let projection = self.mark.projection.clone();
                return Next::Fail(StateFault::Format { projection, error });
            }
        };
        if found == self.mark {
            return Next::Done(Held::At(at));
        }
        if found.run != self.mark.run {
            return Next::Done(Held::Superseded {
                node: found.node,
                run: found.run,
            });
        }
        // One of this run's whose answer was lost.
        (self.over, self.stage) = (at, Stage::Write);
        Next::Ask
    }
}
