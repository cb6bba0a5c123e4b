//! The machine that imports.

use super::done::{Closing, Undone};
use super::entity::{Entity, Key};
use super::{ImportPlan, TransferFault};
use crate::asks::{Asks, Whose};
use crate::format::{
    ExportTotals, ExportedAgenda, ExportedCommit, IntentPlace, Receiver, ShelvedReceiver, TakeOver,
    WriteMode,
};
use crate::id::{CommitId, OpId, Sequence, ShardId, WallTime};
use crate::port::{Refused, StoreDone, StoreReply, StoreRequest};
use crate::step::{Cx, Deadline, Effects, Machine, Outcome, Time};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;

/// How many messages that are not done are held in memory.
const UNDONE_MAX: usize = 1 << 20;

/// Imports an export; see the [module](super) for what it does and for its invariants.
#[derive(Clone, Debug)]
pub struct Importer {
    pub(super) plan: ImportPlan,
    pub(super) phase: Phase,
    pub(super) asks: Asks<Job>,
    pub(super) entities: BTreeMap<Key, Entity>,
    pub(super) numbers: BTreeMap<u64, Key>,
    number_next: u64,
    /// Entities without anything to do, the one that was used longest ago first.
    pub(super) rest: BTreeMap<u64, Key>,
    pub(super) rest_next: u64,
    /// Commits without events that were passed and are last of entities that were forgotten since.
    pub(super) passed: BTreeMap<Key, CommitId>,
    /// Commits in memory, and their bytes.
    pub(super) queued: usize,
    pub(super) queued_bytes: usize,
    /// How far each event stream is known to reach.
    pub(super) reach: Vec<Sequence>,
    agendas: BTreeMap<(TakeOver, ShardId), ExportedAgenda>,
    /// Receivers of which later messages were left in the log.
    pub(super) away: BTreeSet<Receiver>,
    /// The messages that are not done, by commit; those that failed with the reason.
    pub(super) undone: Undone,
    undone_count: usize,
    /// What the file holds.
    pub(super) file: ExportTotals,
    /// Commits that this run has stored, and that were there before.
    pub(super) stored: u64,
    pub(super) found: u64,
    /// The file has ended; the wall clock then.
    ended: Option<WallTime>,
    /// When something went on last, and what was in the way since.
    pub(super) went_on: Time,
    pub(super) last: String,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    Writing,
    Closing(Box<Closing>),
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    /// Stores the next commit of an entity, or looks for the last one.
    Entity(u64),
    /// The end of an event stream.
    End(usize),
    /// A page that is read back.
    Leg(usize),
    /// An index or a barrier.
    Put(usize),
    /// The record of the import.
    Mark,
}

/// One input of [`Importer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImporterInput {
    /// A deadline passed.
    Tick,
    /// What a shard of the exported namespace had left to do; before all commits.
    Agenda(ExportedAgenda),
    /// The next commit of the file, while there is [room](Importer::has_room).
    Commit(Box<ExportedCommit>),
    /// The file has ended, whole.
    End {
        /// The wall clock; the import is done then.
        wall: WallTime,
    },
    /// The store answered.
    Stored {
        /// The request's operation.
        op: OpId,
        /// Its answer.
        reply: StoreReply,
    },
}

/// One effect of [`Importer`]. Order means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImporterEffect {
    /// Ask the store; the answer is `Stored`.
    Store {
        /// Names the answer.
        op: OpId,
        /// What is asked.
        request: StoreRequest,
    },
    /// All is stored and verified, and the namespace is open to everyone.
    Finished(ExportTotals),
    /// It cannot go on.
    Failed(TransferFault),
}

impl Importer {
    /// An import into a namespace that is open to it.
    pub fn new(plan: ImportPlan) -> Self {
        let streams = usize::from(plan.target.layout.streams);
        Self {
            phase: Phase::Writing,
            asks: Asks::default(),
            entities: BTreeMap::new(),
            numbers: BTreeMap::new(),
            number_next: 0,
            rest: BTreeMap::new(),
            rest_next: 0,
            passed: BTreeMap::new(),
            queued: 0,
            queued_bytes: 0,
            reach: alloc::vec![Sequence::NONE; streams],
            agendas: BTreeMap::new(),
            away: BTreeSet::new(),
            undone: BTreeMap::new(),
            undone_count: 0,
            file: ExportTotals::default(),
            stored: 0,
            found: 0,
            ended: None,
            went_on: Time::ZERO,
            last: "nothing was asked yet".into(),
            plan,
        }
    }

    /// Whether the next commit may come.
    pub fn has_room(&self) -> bool {
        matches!(self.phase, Phase::Writing)
            && self.ended.is_none()
            && self.queued < self.plan.window_max
            && self.queued_bytes < self.plan.window_bytes_max
    }

    /// How many commits this run has stored, and how many it found.
    pub fn written(&self) -> (u64, u64) {
        (self.stored, self.found)
    }

    /// How many commits were read back.
    pub fn read_back(&self) -> u64 {
        match &self.phase {
            Phase::Closing(closing) => closing.read_back(),
            Phase::Writing | Phase::Over => 0,
        }
    }

    pub(super) fn wall(&self) -> WallTime {
        self.ended.unwrap_or_default()
    }

    fn take(
        &mut self,
        cx: &mut Cx<'_>,
        exported: ExportedCommit,
        out: &mut Effects<ImporterEffect>,
    ) {
        let Some(kind) = self.plan.kinds.get(&exported.kind) else {
            let (kind, entity) = (exported.kind, exported.commit.entity);
            return self.fail(TransferFault::NoKind { kind, entity }, out);
        };
        let (mode, class, placement) = (kind.mode, kind.class, kind.placement);
        self.file.add(&exported);
        if mode == WriteMode::Owned {
            let shard = self.plan.from.shard_of(placement, &exported.commit.entity);
            self.note_undone((class, shard), &exported);
            if self.undone_count > UNDONE_MAX {
                let undone_max = UNDONE_MAX;
                return self.fail(TransferFault::TooManyUndone { undone_max }, out);
            }
        }
        let key = (exported.kind.clone(), exported.commit.entity.clone());
        self.queued += 1;
        self.queued_bytes += exported.commit.encoded_len_max();
        if !self.entities.contains_key(&key) {
            let number = self.number_next;
            self.number_next += 1;
            self.numbers.insert(number, key.clone());
            self.entities.insert(key.clone(), Entity::new(number));
        }
        if let Some(entity) = self.entities.get_mut(&key) {
            if let Some(place) = entity.rests.take() {
                self.rest.remove(&place);
            }
            entity.queue.push_back(exported);
        }
        self.go_on(cx, &key, out);
    }

    /// Keeps in mind which messages of a commit are not done.
    fn note_undone(&mut self, of: (TakeOver, ShardId), exported: &ExportedCommit) {
        let later = exported.commit.later.as_ref();
        let sends = later.map_or(&[][..], |later| &later.sends);
        let agenda = self.agendas.get(&of);
        let mut undone = Vec::new();
        for (index, intent) in (0..).zip(sends) {
            let place = IntentPlace {
                sequence: exported.sequence,
                index,
            };
            let Some(agenda) = agenda.filter(|it| exported.sequence <= it.watermark) else {
                undone.push((index, None));
                continue;
            };
            if agenda.undone.binary_search(&place).is_ok() {
                undone.push((index, None));
            } else if let Ok(at) = agenda.failed.binary_search_by_key(&place, |(at, _)| *at) {
                let cause = agenda.failed.get(at).map(|(_, cause)| cause.clone());
                undone.push((index, cause));
            } else {
                let receiver = Receiver::of(self.plan.from.key, &intent.kind, &intent.entity);
                let mut shelved = agenda.shelved.iter();
                let after = |it: &ShelvedReceiver| exported.sequence > it.after;
                if shelved.any(|it| it.receiver == receiver && after(it)) {
                    undone.push((index, None));
                }
            }
        }
        if !undone.is_empty() {
            self.undone_count += undone.len();
            self.undone.insert(exported.commit.id, undone);
        }
    }

    pub(super) fn ask(&mut self, job: Job, out: &mut Effects<ImporterEffect>) {
        let request = match job {
            Job::Entity(number) => self.entity_request(number),
            Job::End(_) | Job::Leg(_) | Job::Put(_) | Job::Mark => match &self.phase {
                Phase::Closing(closing) => closing.request(&self.plan, job),
                Phase::Writing | Phase::Over => None,
            },
        };
        match request {
            Some(Ok(request)) => {
                let op = self.asks.begin(job);
                out.push(ImporterEffect::Store { op, request });
            }
            Some(Err(fault)) => self.fail(fault, out),
            None => {}
        }
    }

    /// The job's answer is no use, or there was none: it is asked again.
    pub(super) fn later(&mut self, cx: &Cx<'_>, job: Job, last: String) {
        self.last = last;
        self.asks.wait(cx, &self.plan.target.limits, job);
    }

    fn answered(
        &mut self,
        cx: &mut Cx<'_>,
        (op, reply): (OpId, StoreReply),
        out: &mut Effects<ImporterEffect>,
    ) {
        let job = match self.asks.end(op) {
            None => return self.fail(TransferFault::Broken("an answer to nothing"), out),
            Some(Whose::Nobody) => return,
            Some(Whose::Job(job)) => job,
        };
        let answer = match reply {
            Outcome::Done(done) => Ok(done),
            Outcome::Refused(refused @ (Refused::WrongLast { .. } | Refused::NotFound)) => {
                Err(refused)
            }
            Outcome::Refused(refused) if refused.passes() => {
                crate::reached!(cx, "import: a write was refused for now");
                return self.later(cx, job, refused.to_string());
            }
            Outcome::Refused(refused) => {
                crate::reached!(cx, "import: a write was refused for good");
                let what = "write the namespace".into();
                return self.fail(TransferFault::Refused { what, refused }, out);
            }
            // It may be stored, now or later; sent again, one of both is (X2).
            Outcome::Unknown => {
                crate::reached!(cx, "import: a write's outcome is unknown");
                return self.later(cx, job, "the store did not answer".into());
            }
        };
        match job {
            Job::Entity(number) => self.entity_answered(cx, number, answer, out),
            Job::End(_) | Job::Leg(_) | Job::Put(_) | Job::Mark => {
                self.closing_answered(cx, job, answer, out);
            }
        }
    }

    /// Something went on.
    pub(super) fn advance(&mut self, now: Time, job: Job) {
        self.asks.done(job);
        self.went_on = now;
    }

    /// The file has ended and all of it is stored: it is read back.
    pub(super) fn close_if_written(&mut self, out: &mut Effects<ImporterEffect>) {
        if self.ended.is_some() && self.queued == 0 && matches!(self.phase, Phase::Writing) {
            let streams = self.reach.len();
            self.phase = Phase::Closing(Box::new(Closing::new(streams)));
            for stream in 0..streams {
                self.ask(Job::End(stream), out);
            }
        }
    }

    pub(super) fn fail(&mut self, fault: TransferFault, out: &mut Effects<ImporterEffect>) {
        if !matches!(self.phase, Phase::Over) {
            self.asks.abandon_all();
            self.phase = Phase::Over;
            out.push(ImporterEffect::Failed(fault));
        }
    }

    fn gives_up(&self) -> Option<Time> {
        let waits = self.asks.next().is_some();
        waits.then(|| self.went_on + self.plan.target.patience)
    }
}

/// An answer that is to be judged by who asked.
pub(super) type Answer = Result<StoreDone, Refused>;

impl Machine for Importer {
    type Input = ImporterInput;
    type Effect = ImporterEffect;

    fn step(&mut self, cx: &mut Cx<'_>, input: ImporterInput, out: &mut Effects<ImporterEffect>) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        match input {
            ImporterInput::Tick => {
                if self.gives_up().is_some_and(|at| at <= cx.now) {
                    let last = mem::take(&mut self.last);
                    return self.fail(TransferFault::Stalled { last }, out);
                }
                for job in self.asks.due(cx.now) {
                    self.ask(job, out);
                }
            }
            ImporterInput::Agenda(mut agenda) => {
                agenda.undone.sort_unstable();
                agenda.failed.sort_unstable();
                let away = agenda.shelved.iter().map(|shelved| shelved.receiver);
                self.away.extend(away);
                self.agendas.insert((agenda.class, agenda.shard), agenda);
            }
            ImporterInput::Commit(exported) => {
                self.went_on = cx.now;
                self.take(cx, *exported, out);
            }
            ImporterInput::End { wall } => {
                self.went_on = cx.now;
                self.ended = Some(wall);
                self.close_if_written(out);
            }
            ImporterInput::Stored { op, reply } => self.answered(cx, (op, reply), out),
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
