//! The way to the first event: the stream of the consumers, the checkpoint, the event streams (S3, S13).

use super::feed::Way;
use super::machine::{Consumer, Job, Phase};
use super::take::Misfit;
use super::verify::{Verified, Verify};
use super::{Effect, Fault, Keeping, Notice, Reopened, RewindRefusal, Start};
use crate::format::Position;
use crate::port::{self, StoreReply};
use crate::step::{Cx, Effects};
use alloc::vec::Vec;

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
            if feed.is_some_and(|feed| feed.is_wanted() && feed.way != Way::Closed) {
                self.reopen(cx, n, Reopened::Link, out);
            }
        }
    }

    pub(super) fn verified(
        &mut self,
        cx: &mut Cx<'_>,
        job: Job,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let known = (self.record.is_known(), self.asks.tries(job));
        let reads = (&self.config.wish, &self.config.definition.source);
        let refused = reply.refused().cloned();
        match self.verify.answered(reads, known, reply)? {
            Verified::Stream => {
                self.asks.done(job);
                self.ask(cx, Job::Stream, out);
            }
            Verified::Ask => self.ask(cx, job, out),
            Verified::Again => self.again_told(cx, job, refused),
            Verified::Done => {
                self.asks.done(job);
                if matches!(self.phase, Phase::Waiting) {
                    self.begin(cx, out);
                }
            }
            Verified::Fail(error) => self.fail(cx, Fault::Space(error), out),
        }
        Ok(())
    }

    fn begin(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        self.watch.progress(cx.now);
        match self.config.definition.keeping.clone() {
            Keeping::Stored => match self.record.take_claimed() {
                Some(positions) => {
                    let positions = (!positions.is_empty()).then_some(positions);
                    self.open_from(cx, positions, out);
                }
                None => self.begin_to_read(cx, out),
            },
            // Its checkpoint is elsewhere; its name has to be its own all the same.
            Keeping::External { .. } => self.begin_to_read(cx, out),
        }
    }

    fn begin_to_read(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        self.phase = Phase::Reading;
        self.ask(cx, Job::Read, out);
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
        self.watch.progress(cx.now);
        for (n, place) in (0_u16..).zip(places) {
            self.begin_feed(cx, n, place, out);
        }
        let witnesses = core::mem::take(&mut self.record.witnesses);
        if self.watch.resumed {
            for (feed, witness) in self.feeds.iter_mut().zip(witnesses) {
                feed.witness = witness;
            }
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
                self.watch.progress(cx.now);
                self.write(cx, out);
            }
            Keeping::External { .. } => self.start(cx, out),
        }
    }

    pub(super) fn start(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        crate::reached!(cx, "consumer: started");
        self.phase = Phase::Running;
        let (positions, resumed) = (self.positions(), self.watch.resumed);
        self.notice(Notice::Started { positions, resumed }, out);
        self.begin_watch(cx.now);
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
