//! Going to another place: the handler ends what it has, each stream is read from there, and the
//! checkpoint begins the consumer's next life.

use super::machine::{Consumer, Job, Phase};
use super::{Answer, Effect, OrderRefusal, RewindRefusal, Start};
use crate::format::Position;
use crate::id::Ticket;
use crate::port;
use crate::step::{Cx, Effects, Time};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// A consumer on its way to another place.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Rewind {
    ticket: Ticket,
    to: Start,
    /// When it was wanted.
    since: Time,
    stage: Stage,
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Stage {
    /// The handler ends what it has.
    Drain,
    /// The ends of these streams are looked at.
    Look(BTreeSet<u16>),
    /// The streams are opened there; it stood here before.
    Open(Vec<Position>),
    /// The checkpoint is written.
    Write,
}

impl Consumer {
    pub(super) fn begin_rewind(&mut self, cx: &Cx<'_>, ticket: Ticket, to: Start) {
        let (since, stage) = (cx.now, Stage::Drain);
        self.phase = Phase::Rewinding(Rewind {
            ticket,
            to,
            since,
            stage,
        });
    }

    /// When it is given up, because the handler or the store does not end what it has.
    pub(super) fn rewind_at(&self) -> Option<Time> {
        match &self.phase {
            Phase::Rewinding(Rewind {
                since,
                stage: Stage::Drain,
                ..
            }) => Some(*since + self.config.pace.stall_after),
            Phase::Waiting
            | Phase::Reading
            | Phase::Opening
            | Phase::Claiming
            | Phase::Running
            | Phase::Rewinding(_)
            | Phase::Stopping { .. }
            | Phase::Over
            | Phase::Halted => None,
        }
    }

    pub(super) fn carry_on_rewind(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let Phase::Rewinding(rewind) = &self.phase else {
            return;
        };
        match &rewind.stage {
            Stage::Drain => {
                let quiet = self.queue.running.is_empty() && self.puts.is_empty();
                if quiet && !self.record.is_writing() {
                    self.look_before(cx, out);
                } else if self.rewind_at().is_some_and(|at| at <= cx.now) {
                    crate::reached!(cx, "consumer: a rewind is given up");
                    let reason = self.stall_reason();
                    self.refuse_rewind(cx, RewindRefusal::Waits(reason), out);
                }
            }
            Stage::Open(_) => {
                if self
                    .feeds
                    .iter()
                    .all(|feed| feed.is_open() && feed.stands())
                {
                    self.set_stage(Stage::Write);
                    self.write(cx, out);
                }
            }
            Stage::Look(_) | Stage::Write => {}
        }
    }

    fn set_stage(&mut self, stage: Stage) {
        if let Phase::Rewinding(rewind) = &mut self.phase {
            rewind.stage = stage;
        }
    }

    fn look_before(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let streams = 0..self.config.layout.streams;
        self.set_stage(Stage::Look(streams.clone().collect()));
        for n in streams {
            // One that is on its way was asked before.
            self.asks.abandon(Job::Look(n));
            self.ask(cx, Job::Look(n), out);
        }
    }

    /// The end of a stream is known.
    pub(super) fn rewind_looked(&mut self, cx: &mut Cx<'_>, n: u16, out: &mut Effects<Effect>) {
        let Phase::Rewinding(Rewind {
            to,
            stage: Stage::Look(left),
            ..
        }) = &mut self.phase
        else {
            return;
        };
        left.remove(&n);
        if !left.is_empty() {
            return;
        }
        let to = to.clone();
        match self.rewind_places(&to) {
            Ok(places) => {
                crate::reached!(cx, "consumer: rewound");
                let letters = self.queue.clear();
                self.give_up_letters(letters, OrderRefusal::Rewinding, out);
                self.record.generation += 1;
                self.watch.resumed = false;
                self.set_stage(Stage::Open(self.positions()));
                for (n, place) in (0_u16..).zip(places) {
                    self.begin_feed(cx, n, place, out);
                }
            }
            Err(refusal) => self.refuse_rewind(cx, refusal, out),
        }
    }

    /// It goes on as before.
    fn refuse_rewind(&mut self, cx: &Cx<'_>, refusal: RewindRefusal, out: &mut Effects<Effect>) {
        let Phase::Rewinding(Rewind { ticket, .. }) = &self.phase else {
            return;
        };
        let (ticket, answer) = (*ticket, Answer::Rewound(Err(refusal)));
        self.phase = Phase::Running;
        self.watch.progress(cx.now);
        out.push(Effect::Answer { ticket, answer });
    }

    /// Where each stream is to be read from, if none of the places is past its end.
    fn rewind_places(
        &self,
        to: &Start,
    ) -> Result<Vec<Result<Position, port::Start>>, RewindRefusal> {
        let expected = self.config.layout.streams;
        let places = self.places(to);
        let places = places.map_err(|found| RewindRefusal::Streams { expected, found })?;
        for (feed, place) in self.feeds.iter().zip(&places) {
            if let Ok(wanted) = place
                && wanted.sequence > feed.head
            {
                return Err(RewindRefusal::PastHead {
                    stream: feed.stream.as_str().into(),
                    wanted: *wanted,
                    last: feed.head,
                });
            }
        }
        Ok(places)
    }

    /// The checkpoint there is stored.
    pub(super) fn rewound(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        // Before, what was stored is a checkpoint that was on its way when it was told to go elsewhere.
        let Phase::Rewinding(Rewind {
            ticket,
            stage: Stage::Write,
            ..
        }) = &self.phase
        else {
            return;
        };
        let (ticket, positions) = (*ticket, self.positions());
        self.phase = Phase::Running;
        self.begin_watch(cx.now);
        let answer = Answer::Rewound(Ok(positions));
        out.push(Effect::Answer { ticket, answer });
    }

    /// It stops on its way: it stands where it stood before.
    pub(super) fn leave_rewind(&mut self, out: &mut Effects<Effect>) {
        let Phase::Rewinding(Rewind { ticket, stage, .. }) = &self.phase else {
            return;
        };
        let ticket = *ticket;
        match stage {
            Stage::Drain | Stage::Look(_) => {}
            Stage::Open(before) => {
                self.record.generation -= 1;
                let before = before.clone();
                for (feed, position) in self.feeds.iter_mut().zip(before) {
                    feed.begin(Ok(position));
                }
            }
            // What is being written is where it stands, if it is stored.
            Stage::Write => {}
        }
        let refusal = RewindRefusal::Order(OrderRefusal::Stopped);
        let answer = Answer::Rewound(Err(refusal));
        out.push(Effect::Answer { ticket, answer });
    }
}
