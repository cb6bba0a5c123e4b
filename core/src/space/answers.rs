//! What the store said, and what comes after it.

use super::ask::Job;
use super::import::{import_record, may_open};
use super::layout::{check_layout, layout_record, new_layout};
use super::machine::{Link, Phase, Space, Survey};
use super::record::{Next, Settled, no_answer, refused_to};
use super::stream::{Absent, StreamTask};
use super::{Effect, Opened, SpaceError};
use crate::asks::Whose;
use crate::format::Layout;
use crate::id::{OpId, Ticket};
use crate::log::Shape;
use crate::port::{Refused, StoreDone, StoreReply};
use crate::step::{Cx, Effects, HaltReason, Outcome};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::mem;

impl Space {
    pub(super) fn stored(
        &mut self,
        cx: &mut Cx<'_>,
        op: OpId,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) {
        let job = match self.asks.end(op) {
            None => return self.halt(HaltReason::UnknownOp(op), out),
            Some(Whose::Nobody) => return,
            Some(Whose::Job(job)) => job,
        };
        let next = match job {
            Job::Stream(place) => {
                let next = self.stream_answered(place, reply);
                match self.surveyed(cx, next, out) {
                    Some(next) => next,
                    None => return,
                }
            }
            Job::Import => self.import_answered(reply),
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
                crate::reached!(cx, "space: a request is asked again");
                self.last = last;
                self.asks.wait(cx, &self.limits, job);
            }
            Next::Done(()) => {
                self.asks.done(job);
                self.carry_on(cx, out);
            }
            Next::Fail(error) if self.may_come_back(cx.now, &error) => {
                crate::reached!(cx, "space: what is missing may come back");
                self.last = error.to_string();
                self.asks.wait(cx, &self.limits, job);
            }
            Next::Fail(error) => {
                crate::reached!(cx, "space: it cannot be used");
                self.fail(error, out);
            }
            Next::Wrong => self.halt(HaltReason::WrongAnswer(op), out),
        }
    }

    fn stream_answered(&mut self, place: usize, reply: StoreReply) -> Next<()> {
        let task = match &mut self.phase {
            Phase::Control { task, .. } => Some(&mut **task),
            Phase::Survey { tasks, .. } | Phase::Streams { tasks, .. } => tasks.get_mut(place),
            Phase::Down
            | Phase::Import { .. }
            | Phase::Layout { .. }
            | Phase::Used { .. }
            | Phase::Open
            | Phase::Over(_)
            | Phase::Halted => None,
        };
        task.map_or(Next::Wrong, |task| task.answered(reply))
    }

    /// Nothing is made before the other streams were looked at (N6): turns to the survey, or back
    /// from one that found something; else what comes next is as it was.
    fn surveyed(
        &mut self,
        cx: &mut Cx<'_>,
        next: Next<()>,
        out: &mut Effects<Effect>,
    ) -> Option<Next<()>> {
        match (&self.phase, &next) {
            (Phase::Control { link, task, survey }, Next::Ask) if task.creates() => {
                match survey {
                    Survey::Clean => return Some(next),
                    Survey::Foreign(error) => return Some(Next::Fail(SpaceError::clone(error))),
                    Survey::Unknown => {}
                }
                let link = link.clone();
                let layout = new_layout(&self.wish, &link.capabilities, link.wall, cx.dice);
                let tasks = self.stream_tasks(&link, &layout, self.absent());
                let tasks = tasks.into_iter().map(StreamTask::surveyed).collect();
                self.phase = Phase::Survey { link, tasks };
                self.carry_on(cx, out);
                None
            }
            (Phase::Survey { link, .. }, Next::Fail(error)) => {
                let survey = Survey::Foreign(error.clone().into());
                self.look_at_control(link.clone(), survey, out);
                None
            }
            (_, _) => Some(next),
        }
    }

    fn look_at_control(&mut self, link: Link, survey: Survey, out: &mut Effects<Effect>) {
        self.asks.abandon_all();
        let task = StreamTask::control(&self.wish, &link.capabilities, self.absent()).into();
        self.phase = Phase::Control { link, task, survey };
        self.ask(Job::Stream(0), out);
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
        if let Err(error) = may_open(&self.wish, &reply) {
            return Next::Fail(error);
        }
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
                | StoreDone::Capabilities(_)
                | StoreDone::Consumer(_)
                | StoreDone::Fetched(_)
                | StoreDone::Closed,
            ) => return Next::Wrong,
            Outcome::Refused(Refused::NotFound) => false,
            Outcome::Refused(refused) => return refused_to(WHAT.into(), refused),
            Outcome::Unknown => return no_answer(WHAT),
        };
        let absent = if used { Absent::Lost } else { self.absent() };
        self.look_at_streams(link.clone(), layout.clone(), absent);
        Next::Done(())
    }

    /// The event streams, the stream of snapshots, and that of members where there is a cluster.
    fn stream_tasks(&self, link: &Link, layout: &Layout, absent: Absent) -> Vec<StreamTask> {
        let events = layout.partitions().map(|partition| {
            StreamTask::events(&self.wish, &link.capabilities, layout, partition, absent)
        });
        let snapshots = StreamTask::snapshots(&self.wish, &link.capabilities, self.absent());
        let members = self
            .wish
            .cluster
            .then(|| StreamTask::members(&self.wish, &link.capabilities, self.absent()));
        events.chain([snapshots]).chain(members).collect()
    }

    fn look_at_streams(&mut self, link: Link, layout: Layout, absent: Absent) {
        let tasks = self.stream_tasks(&link, &layout, absent);
        self.phase = Phase::Streams {
            link,
            layout,
            tasks,
        };
    }

    /// A job is done: begins what comes after it.
    fn carry_on(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        match mem::replace(&mut self.phase, Phase::Halted) {
            Phase::Control { link, .. } => match import_record(&self.wish) {
                Some(record) if self.opened.is_none() => {
                    let record = record.into();
                    self.phase = Phase::Import { link, record };
                    self.ask(Job::Import, out);
                }
                Some(_) | None => self.look_at_layout(cx, link, out),
            },
            Phase::Import { link, .. } => self.look_at_layout(cx, link, out),
            Phase::Survey { link, tasks } => {
                if tasks.iter().all(|task| task.ready().is_some()) {
                    return self.look_at_control(link, Survey::Clean, out);
                }
                let places = 0..tasks.len();
                self.phase = Phase::Survey { link, tasks };
                for place in places {
                    self.ask_once(Job::Stream(place), out);
                }
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

    fn look_at_layout(&mut self, cx: &Cx<'_>, link: Link, out: &mut Effects<Effect>) {
        let before = self.opened.as_ref().map(|opened| &opened.layout);
        let offered = match before {
            Some(layout) => layout.clone(),
            None => new_layout(&self.wish, &link.capabilities, link.wall, cx.dice),
        };
        let record = layout_record(&self.wish.namespace, &offered, before.is_some()).into();
        self.phase = Phase::Layout {
            link,
            record,
            offered,
        };
        self.ask(Job::Layout, out);
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
}
