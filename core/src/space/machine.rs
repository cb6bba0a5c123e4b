//! The machine: where the way through a namespace stands, and what comes next.

use super::ask::{Asks, Job, Whose};
use super::kinds::{KindTask, compare};
use super::layout::{check_layout, layout_record, new_layout};
use super::record::{Next, Record, Settled, no_answer, refused_to};
use super::stream::{Absent, StreamTask};
use super::{Effect, Input, KindWish, Opened, SpaceError, SpaceWish};
use crate::format::{KindRecord, Layout};
use crate::id::{KindId, OpId, Sequence, Ticket, WallTime};
use crate::log::Shape;
use crate::name::KindName;
use crate::port::{Capabilities, Refused, StoreDone, StoreReply, StoreRequest};
use crate::step::{Cx, Deadline, Effects, HaltReason, Limits, Machine, Outcome, Purpose, Time};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;

/// Opens a namespace and keeps it verified; see the [module](super) for the order and the
/// invariants.
#[derive(Clone, Debug)]
pub struct Space {
    wish: SpaceWish,
    limits: Limits,
    phase: Phase,
    asks: Asks,
    /// Until when the first opening must be over.
    deadline: Time,
    /// What was in the way at last.
    last: String,
    /// What was found when it was opened first.
    opened: Option<Opened>,
    kinds: BTreeMap<Ticket, KindTask>,
    records: BTreeMap<KindName, KindRecord>,
    kind_ids: u64,
}

/// How far the way was gone.
#[derive(Clone, Debug)]
enum Phase {
    /// Not connected.
    Down,
    /// The control stream is looked at.
    Control { link: Link, task: StreamTask },
    /// The layout record is read or made.
    Layout {
        link: Link,
        record: Record,
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

/// What was told when the connection came up.
#[derive(Clone, Debug)]
struct Link {
    capabilities: Capabilities,
    wall: WallTime,
    since: Time,
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

    fn up(&mut self, link: Link, out: &mut Effects<Effect>) {
        match self.phase {
            Phase::Over(_) | Phase::Halted => return,
            Phase::Down
            | Phase::Control { .. }
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
        let task = StreamTask::control(&self.wish, &link.capabilities, absent);
        self.phase = Phase::Control { link, task };
        self.ask(Job::Stream(0), out);
    }

    fn down(&mut self) {
        match self.phase {
            Phase::Over(_) | Phase::Halted => {}
            Phase::Down
            | Phase::Control { .. }
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

    fn kind(&mut self, cx: &mut Cx<'_>, wish: KindWish, out: &mut Effects<Effect>) {
        let ticket = wish.ticket;
        if let Phase::Over(error) = &self.phase {
            out.push(Effect::KindFailed {
                ticket,
                error: error.clone(),
            });
            return;
        }
        if self.kinds.len() >= self.limits.kinds_max {
            let error = SpaceError::TooManyKinds {
                kinds_max: self.limits.kinds_max,
            };
            out.push(Effect::KindFailed { ticket, error });
            return;
        }
        let id = KindId(cx.dice.roll128(Purpose::KindId, self.kind_ids));
        self.kind_ids += 1;
        let mut task = KindTask::new(wish, id);
        task.deadline = self
            .opened
            .as_ref()
            .map(|_| cx.now + self.limits.open_timeout);
        self.kinds.insert(ticket, task);
        if matches!(self.phase, Phase::Open) {
            self.start_kind(cx, ticket, out);
        }
    }

    fn start_kind(&mut self, cx: &Cx<'_>, ticket: Ticket, out: &mut Effects<Effect>) {
        let (Some(task), Some(opened)) = (self.kinds.get_mut(&ticket), &self.opened) else {
            return;
        };
        task.deadline
            .get_or_insert(cx.now + self.limits.open_timeout);
        let offered = task.start(&self.wish.namespace, opened.layout.id);
        match self.records.get(&task.wish.name) {
            Some(stored) => {
                let told = compare(&offered, stored).map(|()| stored.clone());
                self.kind_over(ticket, told, out);
            }
            None => self.ask(Job::Kind(ticket), out),
        }
    }

    fn kind_over(
        &mut self,
        ticket: Ticket,
        told: Result<KindRecord, SpaceError>,
        out: &mut Effects<Effect>,
    ) {
        self.kinds.remove(&ticket);
        self.asks.done(Job::Kind(ticket));
        out.push(match told {
            Ok(record) => {
                self.records.insert(record.name.clone(), record.clone());
                Effect::KindReady { ticket, record }
            }
            Err(error) => Effect::KindFailed { ticket, error },
        });
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
            let last = self
                .kinds
                .get(&ticket)
                .map(|task| task.last.clone())
                .unwrap_or_default();
            self.kind_over(ticket, Err(SpaceError::Timeout { last }), out);
        }
        for job in self.asks.due(cx.now) {
            self.ask(job, out);
        }
    }

    fn stored(&mut self, cx: &mut Cx<'_>, op: OpId, reply: StoreReply, out: &mut Effects<Effect>) {
        let job = match self.asks.end(op) {
            None => return self.halt(HaltReason::UnknownOp(op), out),
            Some(Whose::Nobody) => return,
            Some(Whose::Job(job)) => job,
        };
        let next = match job {
            Job::Stream(place) => self.stream_answered(place, reply),
            Job::Layout => self.layout_answered(reply),
            Job::Used => self.used_answered(reply),
            Job::Kind(ticket) => {
                let Some(task) = self.kinds.get_mut(&ticket) else {
                    return;
                };
                match task.answered(reply) {
                    Next::Done(record) => return self.kind_over(ticket, Ok(record), out),
                    Next::Fail(error) => return self.kind_over(ticket, Err(error), out),
                    Next::Ask => Next::Ask,
                    Next::Wait(last) => Next::Wait(last),
                    Next::Wrong => Next::Wrong,
                }
            }
        };
        match next {
            Next::Ask => self.ask(job, out),
            Next::Wait(last) => {
                self.last = last;
                self.asks.wait(cx, &self.limits, job);
            }
            Next::Done(()) => {
                self.asks.done(job);
                self.carry_on(cx, out);
            }
            Next::Fail(error) if self.may_come_back(cx.now, &error) => {
                self.last = error.to_string();
                self.asks.wait(cx, &self.limits, job);
            }
            Next::Fail(error) => self.fail(error, out),
            Next::Wrong => self.halt(HaltReason::WrongAnswer(op), out),
        }
    }

    fn stream_answered(&mut self, place: usize, reply: StoreReply) -> Next<()> {
        let task = match &mut self.phase {
            Phase::Control { task, .. } => Some(task),
            Phase::Streams { tasks, .. } => tasks.get_mut(place),
            Phase::Down
            | Phase::Layout { .. }
            | Phase::Used { .. }
            | Phase::Open
            | Phase::Over(_)
            | Phase::Halted => None,
        };
        task.map_or(Next::Wrong, |task| task.answered(reply))
    }

    /// The next phase follows when the layout is known.
    fn layout_answered(&mut self, reply: StoreReply) -> Next<()> {
        let Phase::Layout {
            link,
            record,
            offered,
        } = &mut self.phase
        else {
            return Next::Wrong;
        };
        let layout = match record.answered(reply) {
            Next::Ask => return Next::Ask,
            Next::Wait(last) => return Next::Wait(last),
            Next::Fail(error) => return Next::Fail(error),
            Next::Wrong => return Next::Wrong,
            Next::Done(Settled::Mine) => {
                let (link, layout) = (link.clone(), offered.clone());
                self.look_at_streams(link, layout, self.absent());
                return Next::Done(());
            }
            Next::Done(Settled::Stored(bytes)) => Layout::decode(&bytes),
        };
        let layout = layout.map_err(SpaceError::Format);
        let before = self.opened.as_ref().map(|opened| opened.layout.id);
        let checked =
            layout.and_then(|layout| check_layout(&self.wish, before, &layout).map(|()| layout));
        match checked {
            Ok(layout) => {
                let link = link.clone();
                if before.is_some() {
                    self.look_at_streams(link, layout, Absent::Lost);
                } else {
                    self.phase = Phase::Used { link, layout };
                }
                Next::Done(())
            }
            Err(error) => Next::Fail(error),
        }
    }

    /// A kind is recorded only after all event streams were there (N4).
    fn used_answered(&mut self, reply: StoreReply) -> Next<()> {
        const WHAT: &str = "look for kinds";
        let Phase::Used { link, layout } = &self.phase else {
            return Next::Wrong;
        };
        let used = match reply {
            Outcome::Done(StoreDone::Page(page)) => !page.messages.is_empty(),
            Outcome::Done(
                StoreDone::Published(_)
                | StoreDone::Latest(_)
                | StoreDone::Message(_)
                | StoreDone::Stream(_)
                | StoreDone::Capabilities(_),
            ) => return Next::Wrong,
            Outcome::Refused(Refused::NotFound) => false,
            Outcome::Refused(refused) => return refused_to(WHAT.into(), refused),
            Outcome::Unknown => return no_answer(WHAT),
        };
        let absent = if used { Absent::Lost } else { self.absent() };
        self.look_at_streams(link.clone(), layout.clone(), absent);
        Next::Done(())
    }

    fn look_at_streams(&mut self, link: Link, layout: Layout, absent: Absent) {
        let events = layout.partitions().map(|partition| {
            StreamTask::events(&self.wish, &link.capabilities, &layout, partition, absent)
        });
        let snapshots = StreamTask::snapshots(&self.wish, &link.capabilities, self.absent());
        let tasks = events.chain([snapshots]).collect();
        self.phase = Phase::Streams {
            link,
            layout,
            tasks,
        };
    }

    /// A job is done: begins what comes after it.
    fn carry_on(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        match mem::replace(&mut self.phase, Phase::Halted) {
            Phase::Control { link, .. } => {
                let before = self.opened.as_ref().map(|opened| &opened.layout);
                let offered = match before {
                    Some(layout) => layout.clone(),
                    None => new_layout(&self.wish, &link.capabilities, link.wall, cx.dice),
                };
                let record = layout_record(&self.wish.namespace, &offered, before.is_some());
                self.phase = Phase::Layout {
                    link,
                    record,
                    offered,
                };
                self.ask(Job::Layout, out);
            }
            Phase::Used { link, layout } => {
                self.phase = Phase::Used { link, layout };
                self.ask(Job::Used, out);
            }
            Phase::Streams {
                link,
                layout,
                tasks,
            } => {
                let replicas: Option<Vec<u32>> = tasks.iter().map(StreamTask::ready).collect();
                let Some(replicas) = replicas else {
                    let places = 0..tasks.len();
                    self.phase = Phase::Streams {
                        link,
                        layout,
                        tasks,
                    };
                    for place in places {
                        self.ask_once(Job::Stream(place), out);
                    }
                    return;
                };
                self.phase = Phase::Open;
                let shape = |replicas: &u32| Shape {
                    replicated: *replicas > 1,
                    payload_bytes_max: link.capabilities.payload_bytes_max,
                };
                let streams = usize::from(layout.streams);
                let shapes = replicas.iter().take(streams).map(shape).collect();
                self.open(cx, Opened { layout, shapes }, out);
            }
            phase @ (Phase::Down
            | Phase::Layout { .. }
            | Phase::Open
            | Phase::Over(_)
            | Phase::Halted) => self.phase = phase,
        }
    }

    fn open(&mut self, cx: &mut Cx<'_>, opened: Opened, out: &mut Effects<Effect>) {
        if self.opened.is_some() {
            crate::reached!(cx, "space: verified again");
            out.push(Effect::Verified(opened));
        } else {
            crate::reached!(cx, "space: opened");
            self.opened = Some(opened.clone());
            out.push(Effect::Opened(opened));
        }
        let waiting: Vec<Ticket> = self.kinds.keys().copied().collect();
        for ticket in waiting {
            self.start_kind(cx, ticket, out);
        }
    }

    /// Asks for a stream that was not asked for yet.
    fn ask_once(&mut self, job: Job, out: &mut Effects<Effect>) {
        if !self.asks.busy(job) && self.request(job).is_some() {
            self.ask(job, out);
        }
    }

    fn ask(&mut self, job: Job, out: &mut Effects<Effect>) {
        if let Some(request) = self.request(job) {
            let op = self.asks.begin(job);
            out.push(Effect::Store { op, request });
        }
    }

    /// What a job asks now; `None` when it is over.
    fn request(&self, job: Job) -> Option<StoreRequest> {
        match (job, &self.phase) {
            (Job::Stream(_), Phase::Control { task, .. }) => Some(task.request()),
            (Job::Stream(place), Phase::Streams { tasks, .. }) => {
                let task = tasks.get(place)?;
                task.ready().is_none().then(|| task.request())
            }
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
            (Job::Stream(_) | Job::Layout | Job::Used | Job::Kind(_), _) => None,
        }
    }

    /// What to do about an absent stream in a namespace that is new.
    fn absent(&self) -> Absent {
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
    fn may_come_back(&self, now: Time, error: &SpaceError) -> bool {
        let since = match &self.phase {
            Phase::Control { link, .. }
            | Phase::Layout { link, .. }
            | Phase::Used { link, .. }
            | Phase::Streams { link, .. } => link.since,
            Phase::Down | Phase::Open | Phase::Over(_) | Phase::Halted => return false,
        };
        matches!(error, SpaceError::StreamLost { .. }) && now < since + self.limits.absent_patience
    }

    fn fail(&mut self, error: SpaceError, out: &mut Effects<Effect>) {
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

    fn halt(&mut self, reason: HaltReason, out: &mut Effects<Effect>) {
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
