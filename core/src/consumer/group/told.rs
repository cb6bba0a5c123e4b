//! What the group is told as a whole: one record beside those of the partitions, replaced by CAS, which
//! every node reads with them (Q7, Q8).

use super::machine::{Group, Job, Misfit, Phase};
use super::spot::Hold;
use super::{Effect, GroupOrder, GroupOrderRefusal, Notice, Place};
use crate::consumer::Start;
use crate::consumer::fault::may_pass;
use crate::format::{GroupOrders, LifeStart, Position, Unknown};
use crate::id::{GroupPart, Incarnation, Partition, Sequence, Ticket};
use crate::port::{
    Expect, Message, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, Subject,
};
use crate::step::{Cx, Effects, Outcome, Purpose};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Orders that wait for the one before them; a further one is refused.
const ORDERS_MAX: usize = 16;

/// What a node knows of what the group was told, and what it is to tell it.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Orders {
    /// The record as it was read or written last, and where it is.
    known: Option<(Sequence, Box<GroupOrders>)>,
    /// It cannot be read by this build.
    pub(super) unreadable: bool,
    /// The order that is being carried out.
    now: Option<Order>,
    waiting: VecDeque<(Ticket, GroupOrder)>,
    /// The ends of the streams as they are looked at.
    ends: BTreeMap<u16, Option<Sequence>>,
}

/// An order on its way into the record.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Order {
    /// Who waits; the machine itself, where a new group begins with what is new.
    ticket: Option<Ticket>,
    wish: GroupOrder,
    stage: Stage,
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Stage {
    /// The ends of the streams are looked at.
    Look,
    /// The record is to be read.
    Read,
    /// One is being written in the place of another. In doubt: what became of it is not known.
    Write {
        over: Sequence,
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

    /// The record was read with those of the partitions; `None`: there is none.
    pub(super) fn orders_were_read(
        &mut self,
        cx: &mut Cx<'_>,
        message: Option<&Message>,
        out: &mut Effects<Effect>,
    ) {
        let at = message.map_or(Sequence::NONE, |message| message.sequence);
        let before = self.orders.known.as_ref().map_or(Sequence::NONE, |it| it.0);
        if at < before {
            // A replica that lags, or a lost tail, which is told by the partitions' records.
            return;
        }
        match message.map(|message| self.read_orders(message)) {
            None => {}
            Some(Ok(record)) => {
                self.orders.unreadable = false;
                self.orders.known = Some((at, Box::new(record)));
            }
            Some(Err(cause)) => {
                if !core::mem::replace(&mut self.orders.unreadable, true) {
                    out.push(Effect::Notice(Notice::OrdersUnreadable {
                        cause: cause.clone(),
                    }));
                }
                return self.refuse(GroupOrderRefusal::Unreadable(cause), out);
            }
        }
        let token = self.orders.known.as_ref().map(|(_, record)| record.token);
        let (stands, again) = match &mut self.orders.now {
            None => return,
            Some(order) => match &mut order.stage {
                Stage::Look => return,
                Stage::Read => (false, false),
                Stage::Write { doubt: false, .. } => return,
                Stage::Write {
                    over,
                    record,
                    doubt,
                } => {
                    *doubt = false;
                    (token == Some(record.token), at == *over)
                }
            },
        };
        match (stands, again) {
            (true, _) => self.told(out),
            // It may be stored later still; the same bytes under the same condition are stored once.
            (false, true) => self.again(cx, Job::Orders),
            // Of another node's one, or of none.
            (false, false) => self.write_orders(cx, out),
        }
    }

    fn read_orders(&self, message: &Message) -> Result<GroupOrders, String> {
        let record = GroupOrders::decode(&message.payload).map_err(|error| error.to_string())?;
        let layout = self.config.layout.id;
        if record.layout != layout {
            return Err(alloc::format!(
                "it is of layout {}, not {layout}",
                record.layout
            ));
        }
        Ok(record)
    }

    /// Writes what is wanted in the place of what was read.
    fn write_orders(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        self.runs += 1;
        let token = Incarnation(cx.dice.roll128(Purpose::ConsumerRun, self.runs));
        let known = self.orders.known.as_ref();
        let (over, before) = match known {
            Some((at, record)) => (*at, Some(record)),
            None => (Sequence::NONE, None),
        };
        let life = before.map_or(1, |record| record.life);
        let from = before.map_or(LifeStart::Defined, |record| record.from.clone());
        let paused = before.and_then(|record| record.paused.clone());
        let unknown = before.map_or_else(Unknown::default, |record| record.unknown.clone());
        let Some(order) = &self.orders.now else {
            return;
        };
        let first = order.ticket.is_none();
        let (paused, life, from) = match &order.wish {
            GroupOrder::Pause { by } => (paused.or_else(|| Some(by.clone())), life, from),
            GroupOrder::Resume => (None, life, from),
            GroupOrder::Rewind(to) => {
                let life = if first { 1 } else { life + 1 };
                (paused, life, self.life_start(to))
            }
        };
        let stands = before.is_some_and(|record| {
            (&record.paused, record.life) == (&paused, life) && record.from == from
        });
        if stands || first && before.is_some() {
            return self.told(out);
        }
        let record = Box::new(GroupOrders {
            layout: self.config.layout.id,
            group: self.config.definition.name.clone(),
            token,
            paused,
            life,
            from,
            node: self.config.node.as_str().to_string(),
            time: self.wall,
            unknown,
        });
        if let Some(order) = &mut self.orders.now {
            order.stage = Stage::Write {
                over,
                record,
                doubt: false,
            };
        }
        self.ask(Job::Orders, out);
    }

    fn life_start(&self, to: &Start) -> LifeStart {
        let streams = usize::from(self.config.layout.streams);
        match to {
            Start::Beginning => LifeStart::After(alloc::vec![Position::START; streams]),
            Start::After(positions) => LifeStart::After(positions.clone()),
            Start::At(time) => LifeStart::At(*time),
            Start::New => {
                let ends = self.orders.ends.values().flatten();
                let ends: Vec<_> = ends.map(|last| Position::whole(*last)).collect();
                LifeStart::After(ends)
            }
        }
    }

    pub(super) fn orders_request(&self) -> Option<StoreRequest> {
        let Stage::Write { over, record, .. } = &self.orders.now.as_ref()?.stage else {
            return None;
        };
        Some(StoreRequest::Publish(Publish {
            stream: self.config.wish.namespace.consumer_stream(),
            subject: self.orders_subject(),
            expect: Expect::OwnLast(*over),
            rollup: Rollup::Subject,
            dedup: None,
            ttl_s: None,
            payload: record.encode(),
        }))
    }

    pub(super) fn orders_were_written(
        &mut self,
        cx: &mut Cx<'_>,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                if let Some(Order {
                    stage: Stage::Write { record, .. },
                    ..
                }) = &self.orders.now
                {
                    self.orders.known = Some((ack.sequence, record.clone()));
                }
                self.told(out);
            }
            Outcome::Done(_) => return Err(Misfit),
            // Somebody else's, or mine of an attempt whose answer was lost.
            Outcome::Refused(Refused::WrongLast { .. }) | Outcome::Unknown => {
                crate::reached!(cx, "group: an order's outcome is unknown");
                if let Some(Order {
                    stage: Stage::Write { doubt, .. },
                    ..
                }) = &mut self.orders.now
                {
                    *doubt = true;
                }
                match self.phase {
                    Phase::Naming => self.ask(Job::Read, out),
                    Phase::Waiting
                    | Phase::Running
                    | Phase::Leaving { .. }
                    | Phase::Over
                    | Phase::Halted => self.doubt(),
                }
            }
            Outcome::Refused(refused) if may_pass(&refused) => self.again(cx, Job::Orders),
            Outcome::Refused(refused) => self.refuse(GroupOrderRefusal::Store(refused), out),
        }
        Ok(())
    }

    /// The group is told.
    fn told(&mut self, out: &mut Effects<Effect>) {
        self.asks.abandon(Job::Orders);
        let Some(order) = self.orders.now.take() else {
            return;
        };
        match order.ticket {
            Some(ticket) => {
                out.push(Effect::Notice(Notice::Told { order: order.wish }));
                answer(ticket, Ok(self.life()), out);
            }
            None => self.ask(Job::Name, out),
        }
    }

    /// It cannot be told.
    fn refuse(&mut self, refusal: GroupOrderRefusal, out: &mut Effects<Effect>) {
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
            if matches!(spot.hold, Hold::Held) && spot.paused != by.is_some() {
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
