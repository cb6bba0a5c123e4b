//! The machine: where the way through a namespace stands, and what comes next.

use super::ask::Job;
use super::kinds::KindTask;
use super::record::Record;
use super::stream::{Absent, StreamTask};
use super::{Effect, Input, Opened, SpaceError, SpaceWish};
use crate::asks::Asks;
use crate::format::{KindRecord, Layout};
use crate::id::{Sequence, Ticket, WallTime};
use crate::name::KindName;
use crate::port::{Capabilities, StoreRequest};
use crate::step::{Cx, Deadline, Effects, HaltReason, Limits, Machine, Time};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

/// Opens a namespace and keeps it verified; see the [module](super) for the order and the
/// invariants.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Space {
    pub(super) wish: SpaceWish,
    pub(super) limits: Limits,
    pub(super) phase: Phase,
    pub(super) asks: Asks<Job>,
    /// Until when the first opening must be over.
    pub(super) deadline: Time,
    /// What was in the way at last.
    pub(super) last: String,
    /// What was found when it was opened first.
    pub(super) opened: Option<Opened>,
    pub(super) kinds: BTreeMap<Ticket, KindTask>,
    pub(super) records: BTreeMap<KindName, KindRecord>,
    pub(super) kind_ids: u64,
}

/// How far the way was gone.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Phase {
    /// Not connected.
    Down,
    /// The control stream is looked at.
    Control {
        link: Link,
        task: Box<StreamTask>,
        survey: Survey,
    },
    /// It is absent: the other streams are looked at before anything is made (N6).
    Survey { link: Link, tasks: Vec<StreamTask> },
    /// The record of the import is read or made.
    Import { link: Link, record: Box<Record> },
    /// The layout record is read or made.
    Layout {
        link: Link,
        record: Box<Record>,
        offered: Layout,
    },
    /// Somebody else made the layout: are there kinds already?
    Used { link: Link, layout: Layout },
    /// The event streams and the stream of snapshots are looked at.
    Streams {
        link: Link,
        layout: Layout,
        tasks: Vec<StreamTask>,
    },
    /// All is verified.
    Open,
    /// It failed for good.
    Over(SpaceError),
    /// The machine's own state was wrong.
    Halted,
}

/// What is known of the other streams when the control stream is absent.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Survey {
    /// Nothing yet.
    Unknown,
    /// They are absent, or as they must be.
    Clean,
    /// One is not; it is the end unless another process is making the namespace just now.
    Foreign(Box<SpaceError>),
}

/// What was told when the connection came up.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Link {
    pub(super) capabilities: Capabilities,
    pub(super) wall: WallTime,
    pub(super) since: Time,
}

impl Space {
    /// A namespace to be opened, within `Limits::open_timeout` from `now`.
    ///
    /// # Errors
    ///
    /// When the wish itself cannot be.
    pub fn new(wish: SpaceWish, limits: Limits, now: Time) -> Result<Self, SpaceError> {
        let shards = wish.shards.unwrap_or(super::layout::SHARDS);
        let streams = wish.streams.unwrap_or(1);
        if !(1..=Layout::SHARDS_MAX).contains(&shards) || !(1..=shards).contains(&streams) {
            let shards_max = Layout::SHARDS_MAX;
            return Err(SpaceError::BadWish {
                shards,
                streams,
                shards_max,
            });
        }
        Ok(Self {
            wish,
            limits,
            phase: Phase::Down,
            asks: Asks::default(),
            deadline: now + limits.open_timeout,
            last: "there was no connection".into(),
            opened: None,
            kinds: BTreeMap::new(),
            records: BTreeMap::new(),
            kind_ids: 0,
        })
    }

    /// The namespace as it was opened first.
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// What the namespace is to be; with the record of an import as it is stored.
    pub fn wish(&self) -> &SpaceWish {
        &self.wish
    }

    fn up(&mut self, link: Link, out: &mut Effects<Effect>) {
        match self.phase {
            Phase::Over(_) | Phase::Halted => return,
            Phase::Down
            | Phase::Control { .. }
            | Phase::Survey { .. }
            | Phase::Import { .. }
            | Phase::Layout { .. }
            | Phase::Used { .. }
            | Phase::Streams { .. }
            | Phase::Open => {}
        }
        self.asks.abandon_all();
        if !link.capabilities.version.supported() {
            let found = link.capabilities.version;
            return self.fail(SpaceError::ServerTooOld { found }, out);
        }
        if !link.capabilities.jetstream {
            return self.fail(SpaceError::NoJetStream, out);
        }
        let absent = if self.opened.is_some() {
            Absent::Lost
        } else {
            self.absent()
        };
        let task = StreamTask::control(&self.wish, &link.capabilities, absent).into();
        let survey = Survey::Unknown;
        self.phase = Phase::Control { link, task, survey };
        self.ask(Job::Stream(0), out);
    }

    fn down(&mut self) {
        match self.phase {
            Phase::Over(_) | Phase::Halted => {}
            Phase::Down
            | Phase::Control { .. }
            | Phase::Survey { .. }
            | Phase::Import { .. }
            | Phase::Layout { .. }
            | Phase::Used { .. }
            | Phase::Streams { .. }
            | Phase::Open => {
                self.asks.abandon_all();
                self.last = "the connection was lost".into();
                self.phase = Phase::Down;
            }
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if self.opening() && self.deadline <= cx.now {
            let last = mem::take(&mut self.last);
            return self.fail(SpaceError::Timeout { last }, out);
        }
        let late = |task: &KindTask| task.deadline.is_some_and(|deadline| deadline <= cx.now);
        let late: Vec<Ticket> = self
            .kinds
            .iter()
            .filter(|(_, task)| late(task))
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in late {
            let last = match (&self.phase, self.kinds.get(&ticket)) {
                (Phase::Open, Some(task)) => task.last.clone(),
                (_, _) => self.last.clone(),
            };
            self.kind_over(ticket, Err(SpaceError::Timeout { last }), out);
        }
        for job in self.asks.due(cx.now) {
            self.ask(job, out);
        }
    }

    /// Asks for a stream that was not asked for yet.
    pub(super) fn ask_once(&mut self, job: Job, out: &mut Effects<Effect>) {
        if !self.asks.busy(job) && self.request(job).is_some() {
            self.ask(job, out);
        }
    }

    pub(super) fn ask(&mut self, job: Job, out: &mut Effects<Effect>) {
        if let Some(request) = self.request(job) {
            let op = self.asks.begin(job);
            out.push(Effect::Store { op, request });
        }
    }

    /// What a job asks now; `None` when it is over.
    fn request(&self, job: Job) -> Option<StoreRequest> {
        match (job, &self.phase) {
            (Job::Stream(_), Phase::Control { task, .. }) => Some(task.request()),
            (Job::Stream(place), Phase::Streams { tasks, .. } | Phase::Survey { tasks, .. }) => {
                let task = tasks.get(place)?;
                task.ready().is_none().then(|| task.request())
            }
            (Job::Import, Phase::Import { record, .. }) => Some(record.request()),
            (Job::Layout, Phase::Layout { record, .. }) => Some(record.request()),
            (Job::Used, Phase::Used { .. }) => {
                let ns = &self.wish.namespace;
                Some(StoreRequest::Scan {
                    stream: ns.control_stream(),
                    filter: ns.kind_records_filter(),
                    from: Sequence(1),
                    messages_max: 1,
                })
            }
            (Job::Kind(ticket), Phase::Open) => self.kinds.get(&ticket)?.request(),
            (Job::Stream(_) | Job::Import | Job::Layout | Job::Used | Job::Kind(_), _) => None,
        }
    }

    /// What to do about an absent stream in a namespace that is new.
    pub(super) fn absent(&self) -> Absent {
        if self.wish.create {
            Absent::Create
        } else {
            Absent::Missing
        }
    }

    fn opening(&self) -> bool {
        let ended = matches!(self.phase, Phase::Over(_) | Phase::Halted);
        self.opened.is_none() && !ended
    }

    /// Whether what looks lost may only be unknown to a server that lags.
    pub(super) fn may_come_back(&self, now: Time, error: &SpaceError) -> bool {
        let since = match &self.phase {
            Phase::Control { link, .. }
            | Phase::Survey { link, .. }
            | Phase::Import { link, .. }
            | Phase::Layout { link, .. }
            | Phase::Used { link, .. }
            | Phase::Streams { link, .. } => link.since,
            Phase::Down | Phase::Open | Phase::Over(_) | Phase::Halted => return false,
        };
        matches!(error, SpaceError::StreamLost { .. }) && now < since + self.limits.absent_patience
    }

    pub(super) fn fail(&mut self, error: SpaceError, out: &mut Effects<Effect>) {
        self.asks.abandon_all();
        for (ticket, _) in mem::take(&mut self.kinds) {
            out.push(Effect::KindFailed {
                ticket,
                error: error.clone(),
            });
        }
        out.push(Effect::Failed(error.clone()));
        self.phase = Phase::Over(error);
    }

    pub(super) fn halt(&mut self, reason: HaltReason, out: &mut Effects<Effect>) {
        self.phase = Phase::Halted;
        out.push(Effect::Halt(reason));
    }
}

impl Machine for Space {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, cx: &mut Cx<'_>, input: Input, out: &mut Effects<Effect>) {
        if matches!(self.phase, Phase::Halted) {
            return;
        }
        match input {
            Input::Tick => self.tick(cx, out),
            Input::Up { capabilities, wall } => {
                let link = Link {
                    capabilities,
                    wall,
                    since: cx.now,
                };
                self.up(link, out);
            }
            Input::Down => self.down(),
            Input::Kind(wish) => self.kind(cx, wish, out),
            Input::Stored { op, reply } => self.stored(cx, op, reply, out),
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        if matches!(self.phase, Phase::Halted) {
            return None;
        }
        let opening = self.opening().then_some(Deadline {
            at: self.deadline,
            timer: "open",
        });
        let retry = self.asks.next().map(|at| Deadline { at, timer: "retry" });
        let kind = self.kinds.values().filter_map(|task| task.deadline).min();
        let kind = kind.map(|at| Deadline { at, timer: "kind" });
        Deadline::earliest(Deadline::earliest(opening, retry), kind)
    }
}
