//! The end of an import: all is read back and compared, the shards get their indexes, and the import's record
//! says that it is done (X4, X5).

use super::fold::Fold;
use super::importer::{Answer, Importer, ImporterEffect, Job, Phase};
use super::pages::{Leg, Reading, Turned};
use super::{ImportPlan, TransferFault};
use crate::format::{
    Barrier, ExportTotals, ExportedCommit, Import, Receiver, Selection, TakeOver, Unknown,
    WriteMode,
};
use crate::id::{CommitId, Sequence, ShardId};
use crate::port::{
    Expect, Message, Publish, Refused, Rollup, StoreDone, StoreRequest, StreamName, Subject,
};
use crate::reached;
use crate::step::{Cx, Effects};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

/// The messages of each commit that are not done; those that failed with the reason.
pub(super) type Undone = BTreeMap<CommitId, Vec<(u32, Option<String>)>>;

/// How far the end of an import is.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    stage: Stage,
    ends: Vec<Sequence>,
    legs: Vec<Leg>,
    reading: Reading,
    totals: ExportTotals,
    shards: BTreeMap<(TakeOver, ShardId), Fold>,
    puts: Vec<Put>,
    /// The record of the import as it stands.
    record: Option<(Sequence, Import)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Streams whose ends are not known.
    Ends(BTreeSet<usize>),
    Reading,
    /// What is not written yet.
    Puts(BTreeSet<usize>),
    Mark,
}

/// A message that replaces its predecessor.
#[derive(Clone, Debug)]
struct Put {
    stream: StreamName,
    subject: Subject,
    payload: Bytes,
    /// Where its subject ends; `None` until it was looked at.
    stands: Option<Sequence>,
}

impl Closing {
    pub(super) fn new(streams: usize) -> Self {
        Self {
            stage: Stage::Ends((0..streams).collect()),
            ends: vec![Sequence::NONE; streams],
            legs: Vec::new(),
            reading: Reading::default(),
            totals: ExportTotals::default(),
            shards: BTreeMap::new(),
            puts: Vec::new(),
            record: None,
        }
    }

    pub(super) fn read_back(&self) -> u64 {
        self.totals.commits
    }

    pub(super) fn request(
        &self,
        plan: &ImportPlan,
        job: Job,
    ) -> Option<Result<StoreRequest, TransferFault>> {
        let ns = &plan.target.namespace;
        let request = match job {
            Job::Entity(_) => return None,
            Job::End(stream) => {
                let (stream, _) = plan.target.stream(stream)?;
                StoreRequest::StreamInfo { stream }
            }
            Job::Leg(leg) => self.legs.get(leg)?.request()?,
            Job::Put(put) => self.puts.get(put)?.request(),
            Job::Mark => {
                let (stream, subject) = (ns.control_stream(), ns.import_subject());
                match &self.record {
                    None => StoreRequest::Latest {
                        stream,
                        subjects: vec![subject],
                    },
                    Some((stands, record)) => StoreRequest::Publish(Publish {
                        stream,
                        subject,
                        expect: Expect::OwnLast(*stands),
                        rollup: Rollup::No,
                        dedup: None,
                        ttl_s: None,
                        payload: record.encode(),
                    }),
                }
            }
        };
        Some(Ok(request))
    }

    /// Takes in a commit that was read back.
    fn take(
        &mut self,
        plan: &ImportPlan,
        (undone, away): (&Undone, &BTreeSet<Receiver>),
        exported: &ExportedCommit,
    ) {
        self.totals.add(exported);
        let Some(kind) = plan.kinds.get(&exported.kind) else {
            return;
        };
        if kind.mode != WriteMode::Owned {
            return;
        }
        let commit = &exported.commit;
        let shard = plan.target.layout.shard_of(kind.placement, &commit.entity);
        let fold = self.shards.entry((kind.class, shard)).or_default();
        let undone = undone.get(&commit.id).map_or(&[][..], |undone| undone);
        fold.take(plan, (undone, away), exported);
    }

    /// What is to be written of each shard.
    fn make_puts(&mut self, plan: &ImportPlan) -> Result<(), TransferFault> {
        let target = &plan.target;
        let ns = &target.namespace;
        for ((class, shard), fold) in core::mem::take(&mut self.shards) {
            let partition = target.layout.stream_of(shard);
            let number = usize::from(partition.0);
            let stream = ns.event_stream(partition);
            let watermark = self.ends.get(number).copied().unwrap_or_default();
            let later = fold.later;
            let index = fold.index(plan, shard, watermark)?;
            self.puts.push(Put {
                stream: stream.clone(),
                subject: ns.index_subject(class, shard),
                payload: index,
                stands: None,
            });
            let shape = target.shapes.get(number);
            if shape.is_some_and(|shape| shape.replicated) {
                let barrier = Barrier {
                    later,
                    here: false,
                    unknown: Unknown::default(),
                };
                self.puts.push(Put {
                    stream,
                    subject: ns.barrier_subject(class, shard),
                    payload: barrier.encode(),
                    stands: None,
                });
            }
        }
        Ok(())
    }
}

impl Put {
    fn request(&self) -> StoreRequest {
        let (stream, subject) = (self.stream.clone(), self.subject.clone());
        match self.stands {
            None => StoreRequest::Latest {
                stream,
                subjects: vec![subject],
            },
            Some(stands) => StoreRequest::Publish(Publish {
                stream,
                subject,
                expect: Expect::OwnLast(stands),
                rollup: Rollup::Subject,
                dedup: None,
                ttl_s: None,
                payload: self.payload.clone(),
            }),
        }
    }

    /// What stands there; whether it is what is to stand there.
    fn looked(&mut self, message: Option<&Message>) -> bool {
        self.stands = Some(message.map_or(Sequence::NONE, |message| message.sequence));
        message.is_some_and(|message| message.payload == self.payload)
    }
}

impl Importer {
    pub(super) fn closing_answered(
        &mut self,
        cx: &mut Cx<'_>,
        job: Job,
        answer: Answer,
        out: &mut Effects<ImporterEffect>,
    ) {
        let Phase::Closing(closing) = &mut self.phase else {
            return;
        };
        match (job, answer) {
            (Job::End(stream), Ok(StoreDone::Stream(info))) => {
                let reach = self.reach.get(stream).copied().unwrap_or_default();
                if info.last < reach {
                    let last = "a stream ends before what was stored".into();
                    return self.later(cx, job, last);
                }
                if let Some(end) = closing.ends.get_mut(stream) {
                    *end = info.last;
                }
                self.advance(cx.now, job);
                self.end_known(stream, out);
            }
            (Job::Leg(leg), Ok(StoreDone::Page(page))) => {
                let patience = self.plan.target.limits.absent_patience;
                let Some(read) = closing.legs.get_mut(leg) else {
                    return;
                };
                match read.turn(page, cx.now, patience) {
                    Turned::Page(messages) => {
                        read.taken();
                        self.advance(cx.now, job);
                        self.take_page(leg, &messages, out);
                    }
                    Turned::Again => self.later(cx, job, "a replica lags".into()),
                    Turned::Done => {
                        self.advance(cx.now, job);
                        self.write_if_read(out);
                    }
                }
            }
            (Job::Leg(leg), Err(Refused::NotFound)) => {
                let none = crate::port::Page {
                    messages: Vec::new(),
                    more: false,
                };
                self.closing_answered(cx, Job::Leg(leg), Ok(StoreDone::Page(none)), out);
            }
            (Job::Put(put), answer) => self.put_answered(cx, put, answer, out),
            (Job::Mark, answer) => self.mark_answered(cx, answer, out),
            (Job::End(_) | Job::Leg(_) | Job::Entity(_), _) => {
                self.fail(TransferFault::Broken("an answer of another kind"), out);
            }
        }
    }

    fn end_known(&mut self, stream: usize, out: &mut Effects<ImporterEffect>) {
        let Phase::Closing(closing) = &mut self.phase else {
            return;
        };
        let Stage::Ends(left) = &mut closing.stage else {
            return;
        };
        left.remove(&stream);
        if !left.is_empty() {
            return;
        }
        let kinds = self.plan.kinds.values().map(|kind| (kind.id, &kind.name));
        closing.reading = Reading::of(kinds);
        closing.legs = Leg::all(&self.plan.target, &Selection::default(), &closing.ends);
        closing.stage = Stage::Reading;
        for leg in 0..closing.legs.len() {
            self.ask(Job::Leg(leg), out);
        }
    }

    fn take_page(&mut self, leg: usize, messages: &[Message], out: &mut Effects<ImporterEffect>) {
        let Phase::Closing(closing) = &mut self.phase else {
            return;
        };
        let Some(partition) = closing.legs.get(leg).map(|leg| leg.partition) else {
            return;
        };
        for message in messages {
            let read = closing.reading.read(&self.plan.target, partition, message);
            match read {
                Ok(exported) => {
                    let later = (&self.undone, &self.away);
                    closing.take(&self.plan, later, &exported);
                }
                Err(fault) => return self.fail(fault, out),
            }
        }
        self.ask(Job::Leg(leg), out);
        self.write_if_read(out);
    }

    /// All is read back: it must be what the file says (X5); then the indexes are written.
    fn write_if_read(&mut self, out: &mut Effects<ImporterEffect>) {
        let Phase::Closing(closing) = &mut self.phase else {
            return;
        };
        if closing.stage != Stage::Reading || !closing.legs.iter().all(Leg::is_done) {
            return;
        }
        if closing.totals != self.file {
            let (file, stored) = (self.file, closing.totals);
            return self.fail(TransferFault::Mismatch { file, stored }, out);
        }
        if let Err(fault) = closing.make_puts(&self.plan) {
            return self.fail(fault, out);
        }
        let puts: BTreeSet<usize> = (0..closing.puts.len()).collect();
        closing.stage = Stage::Puts(puts.clone());
        for put in puts {
            self.ask(Job::Put(put), out);
        }
        self.mark_if_written(out);
    }

    fn put_answered(
        &mut self,
        cx: &mut Cx<'_>,
        number: usize,
        answer: Answer,
        out: &mut Effects<ImporterEffect>,
    ) {
        let job = Job::Put(number);
        let Phase::Closing(closing) = &mut self.phase else {
            return;
        };
        let Some(put) = closing.puts.get_mut(number) else {
            return;
        };
        let written = match (answer, put.stands) {
            (Ok(StoreDone::Latest(proof)), None) => put.looked(proof.messages.first()),
            (Err(Refused::NotFound), None) => put.looked(None),
            (Ok(StoreDone::Published(_)), Some(_)) => true,
            // An attempt of before was stored, as a look will tell.
            (Err(Refused::WrongLast { .. }), Some(_)) => {
                reached!(cx, "import: an index met another one in its place");
                put.stands = None;
                return self.later(cx, job, "an index was refused in its place".into());
            }
            (Ok(_) | Err(_), _) => {
                return self.fail(TransferFault::Broken("an answer of another kind"), out);
            }
        };
        self.advance(cx.now, job);
        if !written {
            return self.ask(job, out);
        }
        if let Phase::Closing(closing) = &mut self.phase
            && let Stage::Puts(left) = &mut closing.stage
        {
            left.remove(&number);
        }
        self.mark_if_written(out);
    }

    fn mark_if_written(&mut self, out: &mut Effects<ImporterEffect>) {
        if let Phase::Closing(closing) = &mut self.phase
            && matches!(&closing.stage, Stage::Puts(left) if left.is_empty())
        {
            closing.stage = Stage::Mark;
            self.ask(Job::Mark, out);
        }
    }

    fn mark_answered(
        &mut self,
        cx: &mut Cx<'_>,
        answer: Answer,
        out: &mut Effects<ImporterEffect>,
    ) {
        let wall = self.wall();
        let Phase::Closing(closing) = &mut self.phase else {
            return;
        };
        match (answer, &closing.record) {
            (Ok(StoreDone::Latest(proof)), None) => {
                let stored = proof.messages.first();
                let stored = stored.map(|it| (it.sequence, Import::decode(&it.payload)));
                let mine = self.plan.import.export;
                match stored {
                    Some((_, Ok(record))) if record.export == mine && record.done.is_some() => {
                        self.finish(out);
                    }
                    Some((stands, Ok(record))) if record.export == mine => {
                        let done = Some(wall);
                        closing.record = Some((stands, Import { done, ..record }));
                        self.advance(cx.now, Job::Mark);
                        self.ask(Job::Mark, out);
                    }
                    Some(_) | None => self.fail(TransferFault::RecordGone, out),
                }
            }
            (Ok(StoreDone::Published(_)), Some(_)) => self.finish(out),
            (Err(Refused::WrongLast { .. }), Some(_)) => {
                closing.record = None;
                self.later(cx, Job::Mark, "the import's record was refused".into());
            }
            (Err(Refused::NotFound), None) => self.fail(TransferFault::RecordGone, out),
            (Ok(_) | Err(_), _) => {
                self.fail(TransferFault::Broken("an answer of another kind"), out);
            }
        }
    }

    fn finish(&mut self, out: &mut Effects<ImporterEffect>) {
        self.asks.abandon_all();
        self.phase = Phase::Over;
        out.push(ImporterEffect::Finished(self.file));
    }
}
