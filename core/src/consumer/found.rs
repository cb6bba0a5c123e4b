//! What is found where the checkpoint is to be: this consumer's record, another run's, somebody else's, or
//! nothing (C5).

use super::fault::may_pass;
use super::machine::{Consumer, Job, Phase};
use super::names::{is_being_forgotten, is_forgotten};
use super::take::Misfit;
use super::{Effect, Fault, Keeping};
use crate::format::{Checkpoint, ElsewhereRecord, GroupRecord, Position, Unknown};
use crate::id::Sequence;
use crate::name::ConsumerName;
use crate::port::{Expect, Message, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest};
use crate::step::{Cx, Effects, Outcome, Time};
use alloc::vec::Vec;
use bytes::Bytes;

impl Consumer {
    /// The record was read: to begin with, or because a write did not tell what became of it.
    pub(super) fn was_read(
        &mut self,
        cx: &mut Cx<'_>,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let found = match reply {
            Outcome::Done(StoreDone::Latest(proof)) => proof.messages.into_iter().next(),
            Outcome::Done(_) => return Err(Misfit),
            Outcome::Refused(Refused::NotFound) => None,
            Outcome::Refused(refused) if may_pass(&refused) => {
                self.again_after(cx, Job::Read, refused);
                return Ok(());
            }
            Outcome::Refused(refused) => {
                self.refused(cx, Job::Read, refused, out);
                return Ok(());
            }
            Outcome::Unknown => {
                crate::reached!(cx, "consumer: a checkpoint is not told");
                self.again(cx, Job::Read);
                return Ok(());
            }
        };
        let stands = matches!(
            self.config.definition.keeping,
            Keeping::External { at: Some(_), .. }
        );
        if stands && found.as_ref().is_some_and(is_being_forgotten) {
            // The state that it was to go on from was read before, and is being erased.
            self.gone(cx, out);
            return Ok(());
        }
        if found.as_ref().is_some_and(is_forgotten) {
            // When all is erased what says so goes by itself, soon; then nothing is there.
            crate::reached!(cx, "consumer: its name was forgotten");
            self.again(cx, Job::Read);
            return Ok(());
        }
        if let Keeping::External { at: positions, .. } = self.config.definition.keeping.clone() {
            self.asks.done(Job::Read);
            self.met(cx, found, positions, out);
            return Ok(());
        }
        let read = match found {
            None => None,
            Some(Message {
                sequence, payload, ..
            }) => match Checkpoint::decode(&payload) {
                Ok(checkpoint) => Some((sequence, checkpoint)),
                Err(error) => {
                    let name = &self.config.definition.name;
                    let fault = match owner_of(&payload, name) {
                        None if self.config.reset.is_some() && !self.record.is_writing() => {
                            crate::reached!(
                                cx,
                                "consumer: a checkpoint that cannot be read is replaced"
                            );
                            self.asks.done(Job::Read);
                            self.replace(cx, sequence, out);
                            return Ok(());
                        }
                        None => Fault::Format {
                            name: name.clone(),
                            error,
                        },
                        Some(fault) => fault,
                    };
                    self.record.writing = None;
                    self.fail(cx, fault, out);
                    return Ok(());
                }
            },
        };
        match (read, self.record.writing.is_some()) {
            (None, false) => {
                self.asks.done(Job::Read);
                self.open_from(cx, None, out);
            }
            (Some((at, checkpoint)), false) => {
                self.asks.done(Job::Read);
                self.found(cx, at, checkpoint, out);
            }
            (None, true) => self.absent(cx),
            (Some((at, checkpoint)), true) => self.compare(cx, at, &checkpoint, out),
        }
        Ok(())
    }

    /// What is where the checkpoint would be of one that keeps it elsewhere: nothing yet, or that it does.
    fn met(
        &mut self,
        cx: &mut Cx<'_>,
        found: Option<Message>,
        positions: Option<Vec<Position>>,
        out: &mut Effects<Effect>,
    ) {
        let Some(Message { payload, .. }) = found else {
            return self.ask(cx, Job::Name, out);
        };
        let error = match ElsewhereRecord::decode(&payload) {
            Ok(_) => return self.open_from(cx, positions, out),
            Err(error) => error,
        };
        let name = self.config.definition.name.clone();
        let fault = match (owner_of(&payload, &name), Checkpoint::decode(&payload)) {
            (Some(fault), _) => fault,
            (None, Ok(_)) => Fault::HasCheckpoint { name },
            (None, Err(_)) => Fault::Format { name, error },
        };
        self.fail(cx, fault, out);
    }

    pub(super) fn name_request(&self) -> StoreRequest {
        let record = ElsewhereRecord {
            layout: self.config.layout.id,
            consumer: self.config.definition.name.clone(),
            node: self.config.node.clone(),
            time: self.wall,
            reads: self.config.definition.reads(),
            unknown: Unknown::default(),
        };
        StoreRequest::Publish(Publish {
            stream: self.config.wish.namespace.consumer_stream(),
            subject: self.record.subject.clone(),
            expect: Expect::OwnLast(Sequence::NONE),
            rollup: Rollup::Subject,
            dedup: None,
            ttl_s: None,
            payload: record.encode(),
        })
    }

    pub(super) fn was_named(
        &mut self,
        cx: &mut Cx<'_>,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        match reply {
            Outcome::Done(StoreDone::Published(_)) => {
                crate::reached!(cx, "consumer: a name was taken");
                self.asks.done(Job::Name);
                if let Keeping::External { at: positions, .. } =
                    self.config.definition.keeping.clone()
                {
                    self.open_from(cx, positions, out);
                }
            }
            Outcome::Done(_) => return Err(Misfit),
            // Somebody else's, or mine of an attempt whose answer was lost.
            Outcome::Refused(Refused::WrongLast { .. }) | Outcome::Unknown => {
                self.again(cx, Job::Read);
            }
            Outcome::Refused(refused) if may_pass(&refused) => {
                self.again_after(cx, Job::Name, refused);
            }
            Outcome::Refused(refused) => self.refused(cx, Job::Name, refused, out),
        }
        Ok(())
    }

    /// A checkpoint that cannot be read is to be replaced. Nobody knows its life's number: each life took a
    /// record at least, so none is above its place.
    fn replace(&mut self, cx: &mut Cx<'_>, at: Sequence, out: &mut Effects<Effect>) {
        self.record.at = at;
        self.record.generation = at.0.saturating_add(1);
        self.open_from(cx, None, out);
    }

    /// A checkpoint was there at the start: it counts if it is one of this consumer.
    fn found(
        &mut self,
        cx: &mut Cx<'_>,
        at: Sequence,
        checkpoint: Checkpoint,
        out: &mut Effects<Effect>,
    ) {
        let name = self.config.definition.name.clone();
        let (layout, definition) = (self.config.layout.id, self.record.definition);
        let fault = if self.config.reset.is_some() {
            // It is replaced, whatever it is.
            None
        } else if checkpoint.layout != layout {
            Some(Fault::OtherLayout {
                name,
                expected: layout,
                found: checkpoint.layout,
            })
        } else if checkpoint.consumer != name {
            let found = checkpoint.consumer.clone();
            Some(Fault::OtherConsumer { name, found })
        } else if checkpoint.definition != definition {
            Some(Fault::OtherDefinition {
                name,
                wanted: definition,
                found: checkpoint.definition,
            })
        } else {
            None
        };
        if let Some(fault) = fault {
            return self.fail(cx, fault, out);
        }
        self.record.at = at;
        let next = u64::from(self.config.reset.is_some());
        self.record.generation = checkpoint.generation.saturating_add(next);
        self.record.unknown = checkpoint.unknown;
        self.record.witnesses = checkpoint.witnesses;
        self.open_from(cx, Some(checkpoint.positions), out);
    }

    /// The record that is to be replaced is not there, or one is that it replaced.
    fn absent(&mut self, cx: &mut Cx<'_>) {
        let since = *self.record.absent_since.get_or_insert(cx.now);
        if !self.record.at.is_some() {
            // Nobody else wrote one either, as far as this replica knows.
            return self.again(cx, Job::Write);
        }
        match cx.now.since(since) < self.limits.absent_patience {
            // A replica that lags says so, too.
            true => self.again(cx, Job::Read),
            // However long: the leader says what is there when it is to be replaced.
            false => self.again(cx, Job::Write),
        }
    }

    /// Whether the record that was to be replaced is gone: for a while nobody knew of it, and the leader
    /// does not either.
    pub(super) fn is_gone(&self, now: Time, actual: Option<Sequence>) -> bool {
        let absent = self.record.absent_since;
        let absent = absent.is_some_and(|it| now.since(it) >= self.limits.absent_patience);
        absent && actual.is_none_or(|actual| actual < self.record.at)
    }

    pub(super) fn gone(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        crate::reached!(cx, "consumer: its checkpoint is gone");
        self.record.writing = None;
        let fault = Fault::CheckpointGone {
            name: self.config.definition.name.clone(),
            stream: self.config.wish.namespace.consumer_stream().as_str().into(),
            positions: self.positions(),
        };
        self.fail(cx, fault, out);
    }

    /// A record is there that may be the one that was being written.
    fn compare(
        &mut self,
        cx: &mut Cx<'_>,
        at: Sequence,
        found: &Checkpoint,
        out: &mut Effects<Effect>,
    ) {
        let Some(writing) = &self.record.writing else {
            return;
        };
        if found.run == writing.run && found.ordinal == writing.ordinal {
            crate::reached!(cx, "consumer: a checkpoint in doubt was stored");
            return self.saved_at(cx, at, out);
        }
        if at >= self.record.at {
            self.record.absent_since = None;
        }
        if at == self.record.at {
            // It may be stored later still; the same bytes under the same condition are stored once. A
            // replica that lags says so as well, while the leader refuses: not at once.
            return self.again(cx, Job::Write);
        }
        if at < self.record.at {
            // A replica that lags, or what a lost tail had replaced.
            return self.absent(cx);
        }
        let takes_over = !self.record.mine && self.record.owner.is_none();
        if takes_over && matches!(self.phase, Phase::Claiming) {
            // Somebody else began at the same time, or went on until now: from there, then.
            crate::reached!(cx, "consumer: another run wrote while it was taken over");
            self.record.writing = None;
            let found = found.clone();
            return self.found(cx, at, found, out);
        }
        crate::reached!(cx, "consumer: superseded");
        self.record.writing = None;
        let fault = Fault::Superseded {
            name: self.config.definition.name.clone(),
            node: found.node.clone(),
            run: found.run,
        };
        self.fail(cx, fault, out);
    }
}

/// Whose a name is, when what is there is neither a checkpoint nor damaged.
fn owner_of(payload: &Bytes, name: &ConsumerName) -> Option<Fault> {
    let name = name.clone();
    if let Ok(GroupRecord { partitions, .. }) = GroupRecord::decode(payload) {
        return Some(Fault::IsGroup { name, partitions });
    }
    let elsewhere = ElsewhereRecord::decode(payload);
    elsewhere.is_ok().then_some(Fault::IsElsewhere { name })
}
