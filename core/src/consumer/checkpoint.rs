//! The checkpoint record: read, taken over, and replaced by CAS as events are handled (C3, C5, H14).

use super::fault::may_pass;
use super::machine::{Consumer, Job, Phase};
use super::take::Misfit;
use super::{Effect, Fault, Keeping, Notice, Share};
use crate::format::{Checkpoint, ElsewhereRecord, GroupRecord, Position, Unknown};
use crate::id::{Incarnation, Sequence};
use crate::name::ConsumerName;
use crate::port::{
    Expect, Message, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, Subject,
};
use crate::step::{Cx, Effects, Outcome, Time};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

/// What is known of the record.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Record {
    /// Where it is stored.
    subject: Subject,
    /// The node's run that owns it, where it is that of a partition of a group.
    owner: Option<Incarnation>,
    /// The positions in a claim of this run's node, to begin with.
    claimed: Option<Vec<Position>>,
    /// The definition's hash.
    pub(super) definition: u64,
    /// Where the record is that this run wrote last, or is to replace first.
    at: Sequence,
    /// This run wrote one.
    mine: bool,
    /// The positions in it.
    pub(super) saved: Vec<Position>,
    /// The life of the consumer.
    pub(super) generation: u64,
    /// How many records this run wrote or tried to.
    ordinal: u64,
    /// The one that is being written.
    writing: Option<Box<Checkpoint>>,
    /// Since when the record is absent where it must be.
    absent_since: Option<Time>,
    /// Events that were handled since the last one, and since when there are any.
    pub(super) unsaved: u32,
    pub(super) unsaved_since: Option<Time>,
    /// One is to be written as soon as may be.
    pub(super) wanted: bool,
    /// Fields of a newer writer.
    unknown: Unknown,
}

impl Record {
    pub(super) fn new(subject: Subject, definition: u64) -> Self {
        Self {
            subject,
            owner: None,
            claimed: None,
            definition,
            at: Sequence::NONE,
            mine: false,
            saved: Vec::new(),
            generation: 1,
            ordinal: 0,
            writing: None,
            absent_since: None,
            unsaved: 0,
            unsaved_since: None,
            wanted: false,
            unknown: Unknown::default(),
        }
    }

    /// It is that of a partition, and this run's by its node's claim: whoever writes another one in its
    /// place owns the partition, so nothing of this run is stored after it (P6).
    pub(super) fn of_share(&mut self, subject: Subject, share: Share) {
        let Share { at, record, .. } = share;
        self.subject = subject;
        self.owner = record.owner;
        self.claimed = Some(record.positions);
        self.at = at;
        self.generation = record.generation;
        self.ordinal = record.ordinal;
        self.unknown = record.unknown;
    }

    /// The positions in the claim; empty when nobody began yet.
    pub(super) fn take_claimed(&mut self) -> Option<Vec<Position>> {
        self.claimed.take()
    }

    /// Whether a record is known to be in the stream.
    pub(super) fn is_known(&self) -> bool {
        self.at.is_some()
    }

    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }
}

impl Consumer {
    pub(super) fn read_request(&self) -> StoreRequest {
        let ns = &self.config.wish.namespace;
        StoreRequest::Latest {
            stream: ns.consumer_stream(),
            subjects: vec![self.record.subject.clone()],
        }
    }

    pub(super) fn write_request(&self) -> Option<StoreRequest> {
        let checkpoint = self.record.writing.as_ref()?;
        let ns = &self.config.wish.namespace;
        Some(StoreRequest::Publish(Publish {
            stream: ns.consumer_stream(),
            subject: self.record.subject.clone(),
            expect: Expect::OwnLast(self.record.at),
            rollup: Rollup::Subject,
            dedup: None,
            ttl_s: None,
            payload: checkpoint.encode(),
        }))
    }

    /// Writes where it stands now. One is under way at a time.
    pub(super) fn write(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let record = &mut self.record;
        record.ordinal += 1;
        record.unsaved = 0;
        record.unsaved_since = None;
        record.wanted = false;
        record.writing = Some(Box::new(Checkpoint {
            layout: self.config.layout.id,
            consumer: self.config.definition.name.clone(),
            definition: record.definition,
            generation: record.generation,
            positions: self.feeds.iter().map(|feed| feed.position).collect(),
            run: self.config.run,
            ordinal: record.ordinal,
            node: self.config.node.clone(),
            time: self.wall,
            owner: record.owner,
            unknown: record.unknown.clone(),
        }));
        self.ask(cx, Job::Write, out);
    }

    pub(super) fn was_written(
        &mut self,
        cx: &mut Cx<'_>,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                self.saved_at(cx, ack.sequence, out);
            }
            Outcome::Done(_) => return Err(Misfit),
            // Somebody else's, or mine of an attempt whose answer was lost, or of a leader that was
            // being replaced.
            Outcome::Refused(Refused::WrongLast { .. }) => self.ask(cx, Job::Read, out),
            Outcome::Refused(refused) if may_pass(&refused) => {
                self.again_after(cx, Job::Write, refused)
            }
            Outcome::Refused(refused) => self.refused(cx, Job::Write, refused, out),
            Outcome::Unknown => {
                crate::reached!(cx, "consumer: a checkpoint's outcome is unknown");
                self.again(cx, Job::Read);
            }
        }
        Ok(())
    }

    pub(super) fn refused(
        &mut self,
        cx: &mut Cx<'_>,
        job: Job,
        refused: Refused,
        out: &mut Effects<Effect>,
    ) {
        let fault = Fault::Store {
            name: self.config.definition.name.clone(),
            what: job.to_string(),
            refused,
        };
        self.record.writing = None;
        // One that is stopping over something else does not try again for ever.
        self.record.mine &= job != Job::Write;
        self.fail(cx, fault, out);
    }

    fn saved_at(&mut self, cx: &mut Cx<'_>, at: Sequence, out: &mut Effects<Effect>) {
        self.asks.done(Job::Write);
        self.asks.done(Job::Read);
        let Some(checkpoint) = self.record.writing.take() else {
            return;
        };
        self.record.at = at;
        self.record.mine = true;
        self.record.absent_since = None;
        self.record.saved = checkpoint.positions;
        self.watch.checkpoints += 1;
        let positions = self.record.saved.clone();
        self.notice(Notice::Checkpointed { positions }, out);
        match &self.phase {
            Phase::Claiming => self.start(cx, out),
            Phase::Rewinding(_) => self.rewound(cx, out),
            Phase::Waiting
            | Phase::Reading
            | Phase::Opening
            | Phase::Running
            | Phase::Stopping { .. }
            | Phase::Over
            | Phase::Halted => {}
        }
    }

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
                self.again(cx, Job::Read);
                return Ok(());
            }
        };
        if let Keeping::External(positions) = self.config.definition.keeping.clone() {
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
            (None, true) => self.absent(cx, out),
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
                if let Keeping::External(positions) = self.config.definition.keeping.clone() {
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
        self.open_from(cx, Some(checkpoint.positions), out);
    }

    /// The record that is to be replaced is not there.
    fn absent(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let since = *self.record.absent_since.get_or_insert(cx.now);
        if !self.record.at.is_some() {
            // Nobody else wrote one either, as far as this replica knows.
            return self.again(cx, Job::Write);
        }
        if cx.now.since(since) < self.limits.absent_patience {
            // A replica that lags says so, too.
            return self.again(cx, Job::Read);
        }
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
        if at == self.record.at {
            // It may be stored later still; the same bytes under the same condition are stored once. A
            // replica that lags says so as well, while the leader refuses: not at once.
            return self.again(cx, Job::Write);
        }
        if at < self.record.at {
            // A replica that lags.
            return self.again(cx, Job::Read);
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

    /// Whether it stands where no stored checkpoint is, and may store one.
    fn is_unsaved(&self) -> bool {
        let positions = self.feeds.iter().map(|feed| &feed.position);
        matches!(self.config.definition.keeping, Keeping::Stored)
            && self.record.mine
            && !positions.eq(self.record.saved.iter())
    }

    /// When a checkpoint is due by time.
    pub(super) fn save_at(&self) -> Option<Time> {
        let since = self.record.unsaved_since?;
        let waits = matches!(self.phase, Phase::Running) && !self.record.is_writing();
        waits.then(|| since + self.config.pace.checkpoint_within)
    }

    /// Begins a checkpoint when its time has come.
    pub(super) fn save_when_due(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if !matches!(self.phase, Phase::Running) || self.record.is_writing() {
            return;
        }
        let by_count = self.record.unsaved >= self.config.pace.checkpoint_every;
        let by_time = self.save_at().is_some_and(|at| at <= cx.now);
        if !(by_count || by_time || self.record.wanted) {
            return;
        }
        if self.is_unsaved() {
            self.write(cx, out);
        } else {
            self.record.unsaved = 0;
            self.record.unsaved_since = None;
            self.record.wanted = false;
        }
    }

    /// Whether the last checkpoint is stored, or cannot be. Begins one if need be.
    pub(super) fn saved_for_good(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) -> bool {
        if self.record.is_writing() {
            return false;
        }
        if !self.is_unsaved() {
            return true;
        }
        self.write(cx, out);
        false
    }

    /// An event was handled.
    pub(super) fn count_unsaved(&mut self, now: Time) {
        if matches!(self.config.definition.keeping, Keeping::Stored) {
            self.record.unsaved = self.record.unsaved.saturating_add(1);
            self.record.unsaved_since.get_or_insert(now);
        }
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
