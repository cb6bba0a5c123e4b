//! What the group is told as a whole: who wants it told what, and what its consumers here do then (Q7, Q8).

use super::machine::{Group, Job, Misfit, Phase};
use super::spot::Hold;
use super::{Effect, GroupOrder, GroupOrderRefusal, Notice, Place};
use crate::consumer::Start;
use crate::consumer::fault::may_pass;
use crate::format::{GroupOrders, LifeStart};
use crate::id::{GroupPart, Incarnation, Partition, Sequence, Ticket};
use crate::port::{StoreDone, StoreReply, StoreRequest, Subject};
use crate::step::{Cx, Effects, Outcome, Time};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;

/// Orders that wait for the one before them; a further one is refused.
const ORDERS_MAX: usize = 16;

/// What a node knows of what the group was told, and what it is to tell it.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Orders {
    /// The record as it was read or written last, and where it is.
    pub(super) known: Option<(Sequence, Box<GroupOrders>)>,
    /// Since when a record is read that is before the known one, or none.
    pub(super) short_since: Option<Time>,
    /// It cannot be read by this build.
    pub(super) unreadable: bool,
    /// The order that is being carried out.
    pub(super) now: Option<Order>,
    waiting: VecDeque<(Ticket, GroupOrder)>,
    /// The ends of the streams as they are looked at.
    pub(super) ends: BTreeMap<u16, Option<Sequence>>,
}

/// An order on its way into the record.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Order {
    /// Who waits; the machine itself, where a new group begins with what is new.
    pub(super) ticket: Option<Ticket>,
    pub(super) wish: GroupOrder,
    pub(super) stage: Stage,
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Stage {
    /// The ends of the streams are looked at.
    Look,
    /// The record is to be read.
    Read,
    /// One is being written in the place of another. In doubt: what became of it is not known.
    Write {
        over: Sequence,
        /// The token of that one.
        before: Option<Incarnation>,
        record: Box<GroupOrders>,
        doubt: bool,
    },
}

impl Orders {
    /// Whether the record is to be read for this node's own order.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.now.as_ref().is_some_and(|order| match order.stage {
            Stage::Read => true,
            Stage::Write { doubt, .. } => doubt,
            Stage::Look => false,
        })
    }
}

impl Group {
    pub(super) fn orders_subject(&self) -> Subject {
        let ns = &self.config.wish.namespace;
        ns.group_orders_subject(&self.config.definition.name)
    }

    /// The life that the group is in.
    pub(super) fn life(&self) -> u64 {
        let known = self.orders.known.as_ref();
        known.map_or(1, |(_, record)| record.life)
    }

    /// Who paused the group.
    pub(super) fn paused_by(&self) -> Option<&String> {
        let (_, record) = self.orders.known.as_ref()?;
        record.paused.as_ref()
    }

    /// Where a partition begins that has no positions in this life.
    pub(super) fn start(&self) -> Start {
        let known = self.orders.known.as_ref().map(|(_, record)| &record.from);
        match known {
            Some(LifeStart::After(positions)) => Start::After(positions.clone()),
            Some(LifeStart::At(time)) => Start::At(*time),
            Some(LifeStart::Defined) | None => self.config.definition.start.clone(),
        }
    }

    /// Somebody wants the group told something.
    pub(super) fn ordered(&mut self, ticket: Ticket, wish: GroupOrder, out: &mut Effects<Effect>) {
        let refusal = match self.phase {
            Phase::Waiting | Phase::Naming => Some(GroupOrderRefusal::Starting),
            Phase::Running if self.orders.waiting.len() >= ORDERS_MAX => {
                Some(GroupOrderRefusal::TooMany)
            }
            Phase::Running => self.unfit(&wish),
            Phase::Leaving { .. } | Phase::Over | Phase::Halted => Some(GroupOrderRefusal::Stopped),
        };
        match refusal {
            Some(refusal) => answer(ticket, Err(refusal), out),
            None => self.orders.waiting.push_back((ticket, wish)),
        }
    }

    fn unfit(&self, wish: &GroupOrder) -> Option<GroupOrderRefusal> {
        let expected = self.config.layout.streams;
        match wish {
            GroupOrder::Rewind(Start::After(positions))
                if positions.len() != usize::from(expected) =>
            {
                let found = positions.len();
                Some(GroupOrderRefusal::Streams { expected, found })
            }
            GroupOrder::Rewind(_) | GroupOrder::Pause { .. } | GroupOrder::Resume => None,
        }
    }

    /// A new group is to begin with what is new: that is one place for all partitions, which is stored
    /// before the group is there.
    pub(super) fn begin_with_new(&mut self, out: &mut Effects<Effect>) {
        self.orders.now = Some(Order {
            ticket: None,
            wish: GroupOrder::Rewind(Start::New),
            stage: Stage::Look,
        });
        self.look_at_ends(out);
    }

    /// Carries on with what the group is to be told, after each step.
    pub(super) fn tell_on(&mut self, out: &mut Effects<Effect>) {
        if self.orders.now.is_some() {
            return;
        }
        let Some((ticket, wish)) = self.orders.waiting.pop_front() else {
            return;
        };
        let looks = matches!(&wish, GroupOrder::Rewind(Start::New | Start::After(_)));
        let stage = if looks { Stage::Look } else { Stage::Read };
        self.orders.now = Some(Order {
            ticket: Some(ticket),
            wish,
            stage,
        });
        match looks {
            true => self.look_at_ends(out),
            false => self.doubt(),
        }
    }

    fn look_at_ends(&mut self, out: &mut Effects<Effect>) {
        let streams = 0..self.config.layout.streams;
        self.orders.ends = streams.clone().map(|n| (n, None)).collect();
        for n in streams {
            self.ask(Job::End(n), out);
        }
    }

    pub(super) fn end_request(&self, n: u16) -> StoreRequest {
        let stream = self.config.wish.namespace.event_stream(Partition(n));
        StoreRequest::StreamInfo { stream }
    }

    pub(super) fn end_was_told(
        &mut self,
        cx: &mut Cx<'_>,
        n: u16,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let last = match reply {
            Outcome::Done(StoreDone::Stream(info)) => info.last,
            Outcome::Done(_) => return Err(Misfit),
            Outcome::Refused(refused) if !may_pass(&refused) => {
                self.refuse(GroupOrderRefusal::Store(refused), out);
                return Ok(());
            }
            Outcome::Refused(_) | Outcome::Unknown => {
                crate::reached!(cx, "group: the end of a stream is not told");
                self.again(cx, Job::End(n));
                return Ok(());
            }
        };
        self.asks.done(Job::End(n));
        self.orders.ends.insert(n, Some(last));
        if self.orders.ends.values().any(Option::is_none) {
            return Ok(());
        }
        let past = self.past_end();
        let begins = match &mut self.orders.now {
            Some(order) if matches!(order.stage, Stage::Look) => {
                order.stage = Stage::Read;
                order.ticket.is_none()
            }
            Some(_) | None => return Ok(()),
        };
        match past {
            Some(refusal) => self.refuse(refusal, out),
            // Nothing was read of the group yet: it is new, as far as is known.
            None if begins => self.write_orders(cx, out),
            None => self.doubt(),
        }
        Ok(())
    }

    /// Whether it is to go on after a place that is not there.
    fn past_end(&self) -> Option<GroupOrderRefusal> {
        let Some(Order {
            wish: GroupOrder::Rewind(Start::After(positions)),
            ..
        }) = &self.orders.now
        else {
            return None;
        };
        let ends = self.orders.ends.values().flatten();
        let mut places = (0_u16..).zip(positions.iter().zip(ends));
        let (stream, (wanted, last)) =
            places.find(|(_, (wanted, last))| wanted.sequence > **last)?;
        Some(GroupOrderRefusal::PastEnd(Place {
            stream,
            wanted: *wanted,
            last: *last,
        }))
    }

    /// The group is told, and what it was told begins or is of a life.
    pub(super) fn told(&mut self, life: u64, out: &mut Effects<Effect>) {
        self.asks.abandon(Job::Orders);
        let Some(order) = self.orders.now.take() else {
            return;
        };
        match order.ticket {
            Some(ticket) => {
                out.push(Effect::Notice(Notice::Told { order: order.wish }));
                answer(ticket, Ok(life), out);
            }
            None => self.ask(Job::Name, out),
        }
    }

    /// It cannot be told.
    pub(super) fn refuse(&mut self, refusal: GroupOrderRefusal, out: &mut Effects<Effect>) {
        let Some(order) = self.orders.now.take() else {
            return;
        };
        self.asks.abandon(Job::Orders);
        for n in 0..self.config.layout.streams {
            self.asks.abandon(Job::End(n));
        }
        match order.ticket {
            Some(ticket) => answer(ticket, Err(refusal), out),
            None => {
                let fault = crate::consumer::Fault::GroupStart {
                    name: self.config.definition.name.clone(),
                    refusal: Box::new(refusal),
                };
                self.phase = Phase::Over;
                let fault = Some(Box::new(fault));
                out.push(Effect::Ended { fault });
            }
        }
    }

    /// Nobody is told anything any more: what was being stored may be.
    pub(super) fn give_up_orders(&mut self, out: &mut Effects<Effect>) {
        let now = self.orders.now.take().and_then(|order| order.ticket);
        let waiting = core::mem::take(&mut self.orders.waiting);
        let tickets = now.into_iter().chain(waiting.into_iter().map(|it| it.0));
        for ticket in tickets {
            answer(ticket, Err(GroupOrderRefusal::Stopped), out);
        }
    }

    /// Has the consumers here do as the group was told (Q8).
    pub(super) fn obey(&mut self, out: &mut Effects<Effect>) {
        let by = self.paused_by().cloned();
        for (part, spot) in (0_u16..).zip(&mut self.spots) {
            if matches!(spot.hold, Hold::Held(_)) && spot.paused != by.is_some() {
                spot.paused = by.is_some();
                let (part, by) = (GroupPart(part), by.clone());
                out.push(Effect::Pause { part, by });
            }
        }
    }
}

fn answer(ticket: Ticket, told: Result<u64, GroupOrderRefusal>, out: &mut Effects<Effect>) {
    out.push(Effect::Answer { ticket, told });
}
