//! The checkpoint record, replaced by CAS as events are handled (C3, C5, H14).

use super::fault::may_pass;
use super::machine::{Consumer, Job, Phase};
use super::take::Misfit;
use super::{Effect, Fault, Keeping, Notice, Share};
use crate::format::{Checkpoint, Position, Unknown, Witness};
use crate::id::{Incarnation, Sequence};
use crate::port::{Expect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, Subject};
use crate::step::{Cx, Effects, Outcome, Time};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// What is known of the record.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Record {
    /// Where it is stored.
    pub(super) subject: Subject,
    /// The node's run that owns it, where it is that of a partition of a group.
    pub(super) owner: Option<Incarnation>,
    /// The positions in a claim of this run's node, to begin with.
    claimed: Option<Vec<Position>>,
    /// The witnesses of the record that this run goes on from.
    pub(super) witnesses: Vec<Option<Witness>>,
    /// The definition's hash.
    pub(super) definition: u64,
    /// What it reads, in words; empty in a partition's, whose group's record says it.
    reads: String,
    /// Where the record is that this run wrote last, or is to replace first.
    pub(super) at: Sequence,
    /// This run wrote one.
    pub(super) mine: bool,
    /// The positions in it.
    pub(super) saved: Vec<Position>,
    /// The life of the consumer.
    pub(super) generation: u64,
    /// How many records this run wrote or tried to.
    ordinal: u64,
    /// The one that is being written.
    pub(super) writing: Option<Box<Checkpoint>>,
    /// Since when the record is absent where it must be, or an older one is in its place.
    pub(super) absent_since: Option<Time>,
    /// Events that were handled since the last one, and since when there are any.
    pub(super) unsaved: u32,
    pub(super) unsaved_since: Option<Time>,
    /// One is to be written as soon as may be.
    pub(super) wanted: bool,
    /// Fields of a newer writer.
    pub(super) unknown: Unknown,
}

impl Record {
    pub(super) fn new(
        subject: Subject,
        (definition, reads): (u64, String),
        generation: u64,
    ) -> Self {
        Self {
            subject,
            owner: None,
            claimed: None,
            witnesses: Vec::new(),
            definition,
            reads,
            at: Sequence::NONE,
            mine: false,
            saved: Vec::new(),
            generation,
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
        self.reads = String::new();
        self.claimed = Some(record.positions);
        self.witnesses = record.witnesses;
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
            witnesses: self.feeds.iter().map(|feed| feed.witness).collect(),
            reads: record.reads.clone(),
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
            Outcome::Refused(Refused::WrongLast { actual }) => match self.is_gone(cx.now, actual) {
                true => self.gone(cx, out),
                false => self.ask(cx, Job::Read, out),
            },
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
        crate::reached!(cx, "consumer: refused for good");
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

    pub(super) fn saved_at(&mut self, cx: &mut Cx<'_>, at: Sequence, out: &mut Effects<Effect>) {
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
