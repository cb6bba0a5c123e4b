//! The machine that exports.

use super::pages::{Leg, Reading, Turned};
use super::{Source, TransferFault};
use crate::asks::{Asks, Whose};
use crate::format::{
    ExportHeader, ExportTotals, ExportedAgenda, ExportedCommit, KindRecord, Selection, ShardIndex,
    TakeOver,
};
use crate::id::{ExportId, OpId, Sequence, ShardId, WallTime};
use crate::port::{Message, Refused, StoreDone, StoreReply, StoreRequest, Subject};
use crate::reached;
use crate::step::{Cx, Deadline, Effects, Machine, Outcome, Time};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;

/// How many indexes are read at once: each may be as large as a message, and an answer has room for 64 MB.
const SUBJECTS_MAX: usize = 32;

/// How many records of kinds are read at once.
const KINDS_PAGE: u32 = 1_000;

/// Exports a namespace; see the [module](super) for what it does.
#[derive(Clone, Debug)]
pub struct Exporter {
    source: Source,
    phase: Phase,
    asks: Asks<Job>,
    header: ExportHeader,
    agendas: Vec<ExportedAgenda>,
    legs: Vec<Leg>,
    reading: Reading,
    totals: ExportTotals,
    /// When something went on last, and what was in the way since.
    went_on: Time,
    last: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// Last messages that are still to be read: indexes.
    Indexes(BTreeMap<usize, Vec<Place>>),
    /// Streams whose ends are not known.
    Ends(BTreeSet<usize>),
    /// Records of kinds from a sequence on.
    Kinds(Sequence),
    Reading,
    Over,
}

type Place = (TakeOver, ShardId);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Indexes(usize),
    End(usize),
    Kinds,
    Leg(usize),
}

/// How far an export came, as its file says.
#[derive(Clone, Debug)]
pub struct Resumed {
    header: ExportHeader,
    legs: Vec<Leg>,
    reading: Reading,
    totals: ExportTotals,
}

/// One input of [`Exporter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExporterInput {
    /// Begins, or goes on where the file ends.
    Begin,
    /// A deadline passed.
    Tick,
    /// The store answered.
    Stored {
        /// The request's operation.
        op: OpId,
        /// Its answer.
        reply: StoreReply,
    },
    /// A page is written.
    Taken {
        /// Which part of the export it was of.
        leg: usize,
    },
}

/// One effect of [`Exporter`]. Order means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExporterEffect {
    /// Ask the store; the answer is `Stored`.
    Store {
        /// Names the answer.
        op: OpId,
        /// What is asked.
        request: StoreRequest,
    },
    /// What comes before the commits.
    Head {
        /// The first record.
        header: Box<ExportHeader>,
        /// What the shards have left to do.
        agendas: Vec<ExportedAgenda>,
    },
    /// Commits to be written; then `Taken`.
    Page {
        /// Which part of the export they are of.
        leg: usize,
        /// The commits.
        commits: Vec<ExportedCommit>,
    },
    /// All is read.
    Finished(ExportTotals),
    /// It cannot go on.
    Failed(TransferFault),
}

impl Resumed {
    /// What a header says, before any commit.
    pub fn new(source: &Source, header: ExportHeader) -> Self {
        let legs = Leg::all(source, &header.selection, &header.ends);
        let kinds = header.kinds.iter().map(|kind| (kind.id, &kind.name));
        Self {
            legs,
            reading: Reading::of(kinds),
            totals: ExportTotals::default(),
            header,
        }
    }

    /// The first record of the file.
    pub fn header(&self) -> &ExportHeader {
        &self.header
    }

    /// What is in the file.
    pub fn totals(&self) -> ExportTotals {
        self.totals
    }

    /// A commit that is in the file.
    pub fn take(&mut self, exported: &ExportedCommit) {
        self.reading.saw(exported.stream, exported.sequence);
        self.totals.add(exported);
        let mut legs = self.legs.iter_mut();
        if let Some(leg) = legs.find(|leg| leg.reads(exported)) {
            leg.skip_to(exported.sequence);
        }
    }
}

impl Exporter {
    /// A new export, with the id and the wall clock of its beginning.
    pub fn new(
        source: Source,
        selection: Selection,
        (export, begun): (ExportId, WallTime),
    ) -> Self {
        let mut selection = selection;
        selection.kinds.sort_unstable();
        selection.kinds.dedup();
        let Selection { kinds, entities } = &mut selection;
        entities.retain(|(kind, _)| !kinds.contains(kind));
        entities.sort_unstable();
        entities.dedup();
        let header = ExportHeader {
            export,
            namespace: source.namespace.clone(),
            begun,
            layout: source.layout.clone(),
            kinds: Vec::new(),
            selection,
            ends: alloc::vec![Sequence::NONE; usize::from(source.layout.streams)],
        };
        Self {
            source,
            phase: Phase::Idle,
            asks: Asks::default(),
            header,
            agendas: Vec::new(),
            legs: Vec::new(),
            reading: Reading::default(),
            totals: ExportTotals::default(),
            went_on: Time::ZERO,
            last: "nothing was asked yet".into(),
        }
    }

    /// An export that goes on after what is in its file.
    pub fn resume(source: Source, resumed: Resumed) -> Self {
        let Resumed {
            header,
            legs,
            reading,
            totals,
        } = resumed;
        let begun = (header.export, header.begun);
        Self {
            header,
            legs,
            reading,
            totals,
            ..Self::new(source, Selection::default(), begun)
        }
    }

    /// The first record of its file; the kinds and ends are not known until it is told.
    pub fn header(&self) -> &ExportHeader {
        &self.header
    }

    /// Whether a file with this header is one of the same export: of the same namespace, and the same of it.
    pub fn is_of(&self, header: &ExportHeader) -> bool {
        self.header.namespace == header.namespace
            && self.header.layout == header.layout
            && self.header.selection == header.selection
    }

    /// What was exported so far.
    pub fn totals(&self) -> ExportTotals {
        self.totals
    }

    /// Of the sequences of all event streams: how many were passed, and how many there are.
    pub fn passed(&self) -> (u64, u64) {
        let ends = self.header.ends.iter().map(|end| end.0).sum();
        let passed = self.legs.iter().map(Leg::passed).sum::<u64>();
        let each = (self.legs.len() as u64 / (self.header.ends.len() as u64).max(1)).max(1);
        (passed / each, ends)
    }

    fn begin(&mut self, out: &mut Effects<ExporterEffect>) {
        if !self.legs.is_empty() {
            return self.read(out);
        }
        let layout = &self.source.layout;
        let mut chunks = BTreeMap::new();
        for partition in layout.partitions() {
            let shards = layout.shards_of(partition);
            let classes = [TakeOver::Fenced, TakeOver::Leased];
            let places = shards.flat_map(|shard| classes.map(|class| (class, shard)));
            let places: Vec<Place> = places.collect();
            for chunk in places.chunks(SUBJECTS_MAX) {
                chunks.insert(chunks.len(), chunk.to_vec());
            }
        }
        let jobs: Vec<usize> = chunks.keys().copied().collect();
        self.phase = Phase::Indexes(chunks);
        for chunk in jobs {
            self.ask(Job::Indexes(chunk), out);
        }
    }

    fn ask(&mut self, job: Job, out: &mut Effects<ExporterEffect>) {
        if let Some(request) = self.request(job) {
            let op = self.asks.begin(job);
            out.push(ExporterEffect::Store { op, request });
        }
    }

    fn request(&self, job: Job) -> Option<StoreRequest> {
        let ns = &self.source.namespace;
        match (job, &self.phase) {
            (Job::Indexes(chunk), Phase::Indexes(chunks)) => {
                let places = chunks.get(&chunk)?;
                let (_, shard) = places.first()?;
                let subjects = places.iter();
                Some(StoreRequest::Latest {
                    stream: ns.event_stream(self.source.layout.stream_of(*shard)),
                    subjects: subjects
                        .map(|(class, shard)| ns.index_subject(*class, *shard))
                        .collect(),
                })
            }
            (Job::End(stream), Phase::Ends(_)) => {
                let (stream, _) = self.source.stream(stream)?;
                Some(StoreRequest::StreamInfo { stream })
            }
            (Job::Kinds, Phase::Kinds(from)) => Some(StoreRequest::Scan {
                stream: ns.control_stream(),
                filter: ns.kind_records_filter(),
                from: *from,
                messages_max: KINDS_PAGE,
            }),
            (Job::Leg(leg), Phase::Reading) => self.legs.get(leg)?.request(),
            (Job::Indexes(_) | Job::End(_) | Job::Kinds | Job::Leg(_), _) => None,
        }
    }

    fn stored(
        &mut self,
        cx: &mut Cx<'_>,
        (op, reply): (OpId, StoreReply),
        out: &mut Effects<ExporterEffect>,
    ) {
        let job = match self.asks.end(op) {
            None => return self.fail(TransferFault::Broken("an answer to nothing"), out),
            Some(Whose::Nobody) => return,
            Some(Whose::Job(job)) => job,
        };
        let done = match reply {
            Outcome::Done(done) => done,
            // No shard has an index, or there is no kind.
            Outcome::Refused(Refused::NotFound) => match job {
                Job::Indexes(_) => StoreDone::Latest(crate::port::Proof {
                    messages: Vec::new(),
                    up_to: Sequence::NONE,
                }),
                Job::Kinds | Job::Leg(_) => StoreDone::Page(crate::port::Page {
                    messages: Vec::new(),
                    more: false,
                }),
                Job::End(_) => return self.later(cx, job, "a stream is not found".into()),
            },
            Outcome::Refused(refused) if refused.passes() => {
                crate::reached!(cx, "export: a read was refused for now");
                return self.later(cx, job, refused.to_string());
            }
            Outcome::Refused(refused) => {
                crate::reached!(cx, "export: a read was refused for good");
                let what = "read the namespace".into();
                return self.fail(TransferFault::Refused { what, refused }, out);
            }
            Outcome::Unknown => {
                crate::reached!(cx, "export: a read is not answered");
                return self.later(cx, job, "the store did not answer".into());
            }
        };
        if !matches!(job, Job::Leg(_)) {
            self.asks.done(job);
        }
        self.went_on = cx.now;
        match (job, done) {
            (Job::Indexes(chunk), StoreDone::Latest(proof)) => {
                self.take_indexes(chunk, &proof.messages, out);
            }
            (Job::End(stream), StoreDone::Stream(info)) => {
                if let Some(end) = self.header.ends.get_mut(stream) {
                    *end = info.last;
                }
                self.end_known(stream, out);
            }
            (Job::Kinds, StoreDone::Page(page)) => self.take_kinds(&page.messages, page.more, out),
            (Job::Leg(leg), StoreDone::Page(page)) => {
                let patience = self.source.limits.absent_patience;
                let Some(turned) = self
                    .legs
                    .get_mut(leg)
                    .map(|it| it.turn(page, cx.now, patience))
                else {
                    return;
                };
                match turned {
                    Turned::Page(messages) => {
                        self.asks.done(job);
                        self.take_page(leg, &messages, out);
                    }
                    Turned::Again => {
                        reached!(cx, "export: a replica ends before the end");
                        self.asks.wait(cx, &self.source.limits, job);
                    }
                    Turned::Done => self.finish_if_read(out),
                }
            }
            (Job::Indexes(_) | Job::End(_) | Job::Kinds | Job::Leg(_), _) => {
                self.fail(TransferFault::Broken("an answer of another kind"), out);
            }
        }
    }

    fn later(&mut self, cx: &mut Cx<'_>, job: Job, last: String) {
        reached!(cx, "export: a read is repeated");
        self.last = last;
        self.asks.wait(cx, &self.source.limits, job);
    }

    fn take_indexes(
        &mut self,
        chunk: usize,
        messages: &[Message],
        out: &mut Effects<ExporterEffect>,
    ) {
        let Phase::Indexes(chunks) = &mut self.phase else {
            return;
        };
        let places = chunks.remove(&chunk).unwrap_or_default();
        let left = chunks.len();
        let ns = &self.source.namespace;
        let by_subject: BTreeMap<Subject, Place> = places
            .into_iter()
            .map(|(class, shard)| (ns.index_subject(class, shard), (class, shard)))
            .collect();
        for message in messages {
            let Some((class, shard)) = by_subject.get(&message.subject) else {
                continue;
            };
            let index = ShardIndex::decode(&message.payload).map_err(|error| error.to_string());
            let index = index.and_then(|index| match index.layout == self.source.layout.id {
                true => Ok(index),
                false => Err("the index was written under another layout".into()),
            });
            match index {
                Ok(index) => self.agendas.push(ExportedAgenda {
                    class: *class,
                    shard: *shard,
                    watermark: index.watermark,
                    undone: index.undone,
                    failed: index.failed,
                    shelved: index.shelved,
                }),
                Err(problem) => {
                    let fault = TransferFault::Unreadable {
                        stream: self.source.layout.stream_of(*shard),
                        sequence: message.sequence,
                        problem,
                    };
                    return self.fail(fault, out);
                }
            }
        }
        if left == 0 {
            let streams: BTreeSet<usize> = (0..self.header.ends.len()).collect();
            self.phase = Phase::Ends(streams.clone());
            for stream in streams {
                self.ask(Job::End(stream), out);
            }
        }
    }

    fn end_known(&mut self, stream: usize, out: &mut Effects<ExporterEffect>) {
        let Phase::Ends(left) = &mut self.phase else {
            return;
        };
        left.remove(&stream);
        if left.is_empty() {
            self.phase = Phase::Kinds(Sequence(1));
            self.ask(Job::Kinds, out);
        }
    }

    fn take_kinds(&mut self, messages: &[Message], more: bool, out: &mut Effects<ExporterEffect>) {
        for message in messages {
            match KindRecord::decode(&message.payload) {
                Ok(kind) if kind.unknown.0.is_empty() => self.header.kinds.push(kind),
                Ok(kind) => {
                    let problem = format!(
                        "the record of kind {} was written by a newer program: export with that one",
                        kind.name
                    );
                    return self.fail(TransferFault::UnreadableKind { problem }, out);
                }
                Err(error) => {
                    let problem = error.to_string();
                    return self.fail(TransferFault::UnreadableKind { problem }, out);
                }
            }
        }
        if let Some(last) = messages.last().filter(|_| more) {
            self.phase = Phase::Kinds(Sequence(last.sequence.0 + 1));
            return self.ask(Job::Kinds, out);
        }
        self.header.kinds.sort_by(|a, b| a.name.cmp(&b.name));
        self.agendas
            .sort_by_key(|agenda| (agenda.class, agenda.shard));
        let header = self.header.clone();
        let Resumed { legs, reading, .. } = Resumed::new(&self.source, header.clone());
        self.legs = legs;
        self.reading = reading;
        out.push(ExporterEffect::Head {
            header: header.into(),
            agendas: mem::take(&mut self.agendas),
        });
        self.read(out);
    }

    fn read(&mut self, out: &mut Effects<ExporterEffect>) {
        self.phase = Phase::Reading;
        for leg in 0..self.legs.len() {
            self.ask(Job::Leg(leg), out);
        }
        self.finish_if_read(out);
    }

    fn take_page(&mut self, leg: usize, messages: &[Message], out: &mut Effects<ExporterEffect>) {
        let Some(partition) = self.legs.get(leg).map(|leg| leg.partition) else {
            return;
        };
        let mut commits = Vec::with_capacity(messages.len());
        for message in messages {
            match self.reading.read(&self.source, partition, message) {
                Ok(exported) => {
                    self.totals.add(&exported);
                    commits.push(exported);
                }
                Err(fault) => return self.fail(fault, out),
            }
        }
        out.push(ExporterEffect::Page { leg, commits });
    }

    fn finish_if_read(&mut self, out: &mut Effects<ExporterEffect>) {
        if self.phase == Phase::Reading && self.legs.iter().all(Leg::is_done) {
            self.phase = Phase::Over;
            out.push(ExporterEffect::Finished(self.totals));
        }
    }

    fn fail(&mut self, fault: TransferFault, out: &mut Effects<ExporterEffect>) {
        self.asks.abandon_all();
        self.phase = Phase::Over;
        out.push(ExporterEffect::Failed(fault));
    }

    /// When it is too long that nothing went on. A page that is being written is going on.
    fn gives_up(&self) -> Option<Time> {
        let waits = self.asks.next().is_some();
        waits.then(|| self.went_on + self.source.patience)
    }
}

impl Machine for Exporter {
    type Input = ExporterInput;
    type Effect = ExporterEffect;

    fn step(&mut self, cx: &mut Cx<'_>, input: ExporterInput, out: &mut Effects<ExporterEffect>) {
        if self.phase == Phase::Over {
            return;
        }
        match input {
            ExporterInput::Begin => {
                self.went_on = cx.now;
                self.begin(out);
            }
            ExporterInput::Tick => {
                if self.gives_up().is_some_and(|at| at <= cx.now) {
                    let last = mem::take(&mut self.last);
                    return self.fail(TransferFault::Stalled { last }, out);
                }
                for job in self.asks.due(cx.now) {
                    self.ask(job, out);
                }
            }
            ExporterInput::Stored { op, reply } => self.stored(cx, (op, reply), out),
            ExporterInput::Taken { leg } => {
                self.went_on = cx.now;
                if let Some(leg) = self.legs.get_mut(leg) {
                    leg.taken();
                }
                self.ask(Job::Leg(leg), out);
                self.finish_if_read(out);
            }
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let retry = self.asks.next().map(|at| Deadline { at, timer: "retry" });
        let give_up = self.gives_up().map(|at| Deadline {
            at,
            timer: "give up",
        });
        Deadline::earliest(retry, give_up)
    }
}
