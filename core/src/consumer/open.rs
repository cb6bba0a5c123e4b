//! The way to the first event: the stream of the consumers, the checkpoint, the event streams (S3, S13).

use super::feed::Way;
use super::machine::{Consumer, Job, Phase};
use super::take::{LOST_TRIES, Misfit};
use super::{Effect, Fault, Keeping, Notice, Reopened, RewindRefusal, Source, Start};
use crate::format::Position;
use crate::id::Sequence;
use crate::port::{self, StoreDone, StoreReply, StoreRequest};
use crate::space::{Absent, Next, SpaceError, StreamTask};
use crate::step::{Cx, Effects, Outcome};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// How far the stream of the consumers was looked at, at this connection.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Verify {
    /// Not at all yet.
    Idle,
    /// The store is asked what it is.
    Capabilities,
    /// The consumers' stream, and then that of the bus, for who reads it.
    Stream(Box<StreamTask>, Option<Box<StreamTask>>),
    Done,
}

impl Consumer {
    /// The store is reachable: its streams are looked at, again if need be.
    pub(super) fn up(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if self.is_over() {
            return;
        }
        self.asks.abandon(Job::Capabilities);
        self.asks.abandon(Job::Stream);
        self.verify = Verify::Capabilities;
        self.ask(cx, Job::Capabilities, out);
        for n in 0..self.config.layout.streams {
            let feed = self.feeds.get(usize::from(n));
            if feed.is_some_and(|feed| feed.way != Way::Closed) {
                self.reopen(cx, n, Reopened::Link, out);
            }
        }
    }

    pub(super) fn verify_request(&self, job: Job) -> Option<StoreRequest> {
        match (&self.verify, job) {
            (Verify::Capabilities, Job::Capabilities) => Some(StoreRequest::Capabilities),
            (Verify::Stream(task, _), Job::Stream) => Some(task.request()),
            (Verify::Idle | Verify::Capabilities | Verify::Stream(..) | Verify::Done, _) => None,
        }
    }

    pub(super) fn verified(
        &mut self,
        cx: &mut Cx<'_>,
        job: Job,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let next = match (&mut self.verify, reply) {
            (Verify::Capabilities, Outcome::Done(StoreDone::Capabilities(capabilities))) => {
                // What this run wrote is in the stream, so it is not made anew.
                let absent = match (self.record.is_known(), self.config.wish.create) {
                    (true, _) => Absent::Lost,
                    (false, true) => Absent::Create,
                    (false, false) => Absent::Missing,
                };
                let wish = &self.config.wish;
                let task = StreamTask::consumers(wish, &capabilities, absent);
                let bus = match &self.config.definition.source {
                    Source::Log => None,
                    Source::Bus(_) => {
                        let absent = match wish.create {
                            true => Absent::Create,
                            false => Absent::Missing,
                        };
                        Some(Box::new(StreamTask::bus(wish, &capabilities, absent)))
                    }
                };
                self.verify = Verify::Stream(Box::new(task), bus);
                self.asks.done(job);
                self.ask(cx, Job::Stream, out);
                return Ok(());
            }
            (Verify::Capabilities, Outcome::Done(_)) => return Err(Misfit),
            (Verify::Capabilities, Outcome::Refused(_) | Outcome::Unknown) => {
                self.again(cx, job);
                return Ok(());
            }
            (Verify::Stream(task, _), reply) => task.answered(reply),
            (Verify::Idle | Verify::Done, _) => return Err(Misfit),
        };
        match next {
            Next::Ask => self.ask(cx, job, out),
            Next::Wait(_) => self.again(cx, job),
            Next::Done(()) => {
                self.asks.done(job);
                if let Verify::Stream(_, bus) = &mut self.verify
                    && let Some(bus) = bus.take()
                {
                    self.verify = Verify::Stream(bus, None);
                    self.ask(cx, job, out);
                    return Ok(());
                }
                self.verify = Verify::Done;
                if matches!(self.phase, Phase::Waiting) {
                    self.begin(cx, out);
                }
            }
            // A server that lags may not know the stream yet.
            Next::Fail(SpaceError::StreamLost { .. }) if self.asks.tries(job) < LOST_TRIES => {
                self.again(cx, job);
            }
            Next::Fail(error) => self.fail(cx, Fault::Space(error), out),
            Next::Wrong => return Err(Misfit),
        }
        Ok(())
    }

    fn begin(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        match self.config.definition.keeping.clone() {
            Keeping::Stored => {
                self.phase = Phase::Reading;
                self.ask(cx, Job::Read, out);
            }
            Keeping::External(positions) => self.open_from(cx, positions, out),
        }
    }

    /// Opens the streams, where the checkpoint says or where the definition begins.
    pub(super) fn open_from(
        &mut self,
        cx: &mut Cx<'_>,
        checkpoint: Option<Vec<Position>>,
        out: &mut Effects<Effect>,
    ) {
        let reset = self.config.reset.clone();
        self.watch.resumed = checkpoint.is_some() && reset.is_none();
        let start = match (reset, checkpoint) {
            (Some(start), _) => start,
            (None, Some(positions)) => Start::After(positions),
            (None, None) => self.config.definition.start.clone(),
        };
        let places = match self.places(&start) {
            Ok(places) => places,
            Err(found) => {
                let fault = Fault::OtherStreams {
                    name: self.config.definition.name.clone(),
                    expected: self.config.layout.streams,
                    found,
                };
                return self.fail(cx, fault, out);
            }
        };
        self.phase = Phase::Opening;
        for (n, place) in (0_u16..).zip(places) {
            self.begin_feed(cx, n, place, out);
        }
    }

    /// Where each stream begins; how many positions there are, when that is wrong.
    pub(super) fn places(
        &self,
        start: &Start,
    ) -> Result<Vec<Result<Position, port::Start>>, usize> {
        let streams = usize::from(self.config.layout.streams);
        let each = |place| Ok((0..streams).map(|_| place).collect());
        match start {
            Start::Beginning => each(Ok(Position::START)),
            Start::At(time) => each(Err(port::Start::Time(*time))),
            Start::New => each(Err(port::Start::New)),
            Start::After(positions) if positions.len() == streams => {
                Ok(positions.iter().copied().map(Ok).collect())
            }
            Start::After(positions) => Err(positions.len()),
        }
    }

    /// All streams are open: the checkpoint is taken over, and then events are handed over.
    pub(super) fn all_open(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let stands = self
            .feeds
            .iter()
            .all(|feed| feed.is_open() && feed.stands());
        if !matches!(self.phase, Phase::Opening) || !stands {
            return;
        }
        match self.config.definition.keeping {
            Keeping::Stored => {
                self.phase = Phase::Claiming;
                self.write(cx, out);
            }
            Keeping::External(_) => self.start(cx, out),
        }
    }

    pub(super) fn start(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        crate::reached!(cx, "consumer: started");
        self.phase = Phase::Running;
        let (positions, resumed) = (self.positions(), self.watch.resumed);
        self.notice(Notice::Started { positions, resumed }, out);
        let from_start = self
            .feeds
            .iter()
            .all(|feed| feed.position == Position::START);
        let nothing = self.feeds.iter().all(|feed| feed.pending == 0);
        let anything = self.feeds.iter().any(|feed| feed.head > Sequence(1));
        if from_start && nothing && anything {
            crate::reached!(cx, "consumer: a filter matches nothing");
            self.notice(Notice::MatchesNothing, out);
        }
        self.watch.begin(cx.now);
    }

    /// The place is past the end of a stream, which is not there to be waited for at a first start.
    pub(super) fn past_head(&self, n: u16) -> Option<RewindRefusal> {
        let feed = self.feeds.get(usize::from(n))?;
        let past = feed.stands() && feed.position.sequence > feed.head;
        past.then(|| RewindRefusal::PastHead {
            stream: feed.stream.as_str().into(),
            wanted: feed.position,
            last: feed.head,
        })
    }
}
