//! The record of what the group is told: read with those of the partitions, and replaced by CAS (Q7).

use super::machine::{Group, Job, Misfit, Phase};
use super::told::{Order, Stage};
use super::{Effect, GroupOrder, GroupOrderRefusal, Notice};
use crate::consumer::Start;
use crate::consumer::fault::may_pass;
use crate::format::{GroupOrders, LifeStart, Position, Unknown};
use crate::id::{Incarnation, Sequence};
use crate::port::{Expect, Message, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest};
use crate::step::{Cx, Effects, Outcome, Purpose};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;

impl Group {
    /// The record was read with those of the partitions; `None`: there is none.
    pub(super) fn orders_were_read(
        &mut self,
        cx: &mut Cx<'_>,
        message: Option<&Message>,
        out: &mut Effects<Effect>,
    ) {
        let at = message.map_or(Sequence::NONE, |message| message.sequence);
        let before = self.orders.known.as_ref().map_or(Sequence::NONE, |it| it.0);
        if at >= before {
            self.orders.short_since = None;
        } else if !self.orders_are_lost(cx, out) {
            return;
        }
        match message.map(|message| self.read_orders(message)) {
            None => (self.orders.known, self.orders.unreadable) = (None, false),
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
        let known = self.orders.known.as_ref().map(|(_, record)| &**record);
        let end = match &mut self.orders.now {
            None => return,
            Some(order) => match &mut order.stage {
                Stage::Look | Stage::Write { doubt: false, .. } => return,
                Stage::Read => End::Lost,
                Stage::Write {
                    over,
                    before,
                    record,
                    doubt,
                } => {
                    *doubt = false;
                    match at.cmp(over) {
                        // The one that it expects is gone with the tail.
                        Ordering::Less => End::Lost,
                        Ordering::Equal => End::Open,
                        Ordering::Greater => match (order.ticket, known) {
                            // Where the group begins is told once, by whomever.
                            (None, Some(known)) => End::Stored(known.life),
                            _ => end_of(record, *before, known),
                        },
                    }
                }
            },
        };
        match end {
            End::Stored(life) => self.told(life, out),
            End::Open => self.again(cx, Job::Orders),
            End::Lost => self.write_orders(cx, out),
            End::Forgotten => self.refuse(GroupOrderRefusal::Forgotten, out),
        }
    }

    /// A record is read that is before the known one: a replica that lags says so, and after a while a stream
    /// that lost its tail, or whose record somebody removed.
    fn orders_are_lost(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) -> bool {
        let since = *self.orders.short_since.get_or_insert(cx.now);
        if cx.now.since(since) < self.limits.lost_tail_patience {
            return false;
        }
        crate::reached!(cx, "group: what it was told is lost");
        self.orders.short_since = None;
        out.push(Effect::Notice(Notice::OrdersLost));
        true
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
    pub(super) fn write_orders(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
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
        let earlier = before.map_or_else(Vec::new, |record| {
            let tokens = [record.token].into_iter().chain(record.earlier.clone());
            tokens.take(GroupOrders::EARLIER_MAX).collect()
        });
        let Some(order) = &self.orders.now else {
            return;
        };
        let first = order.ticket.is_none();
        let (paused, life, from) = match &order.wish {
            GroupOrder::Pause { by } => (paused.or_else(|| Some(by.clone())), life, from),
            GroupOrder::Resume => (None, life, from),
            GroupOrder::Rewind(to) => {
                let life = if first {
                    1
                } else {
                    self.life_max().max(life) + 1
                };
                (paused, life, self.life_start(to))
            }
        };
        if first && before.is_some() {
            let life = self.life();
            return self.told(life, out);
        }
        // Also when it stands as it is to be: that is known by what was read, and somebody may have told the
        // group something else since. That the record is stored says that nobody had.
        let record = Box::new(GroupOrders {
            layout: self.config.layout.id,
            group: self.config.definition.name.clone(),
            token,
            paused,
            life,
            from,
            node: self.config.node.as_str().to_string(),
            time: self.wall,
            earlier,
            unknown,
        });
        let before = before.map(|record| record.token);
        if let Some(order) = &mut self.orders.now {
            order.stage = Stage::Write {
                over,
                before,
                record,
                doubt: false,
            };
        }
        self.ask(Job::Orders, out);
    }

    /// The latest life that a partition's record is of: after a lost tail that may be one which nobody knows
    /// to have been begun.
    fn life_max(&self) -> u64 {
        let known = self.spots.iter().filter_map(|spot| spot.known.as_ref());
        let lives = known.map(|known| known.record.generation);
        lives.max().unwrap_or(1)
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
                let life = self.life();
                self.told(life, out);
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
            Outcome::Refused(refused) if may_pass(&refused) => {
                crate::reached!(cx, "group: an order was refused for now");
                self.again(cx, Job::Orders);
            }
            Outcome::Refused(refused) => self.refuse(GroupOrderRefusal::Store(refused), out),
        }
        Ok(())
    }
}

/// What became of an order's record.
enum End {
    /// It is there, or was until others told the group something more; the life that it is of.
    Stored(u64),
    /// It may be stored later still; the same bytes under the same condition are stored once.
    Open,
    /// It was never stored and never will be, or none was written yet.
    Lost,
    /// Too many came after it to tell.
    Forgotten,
}

/// What became of a record that was to be written in the place of another, when a later one is there.
fn end_of(mine: &GroupOrders, before: Option<Incarnation>, found: Option<&GroupOrders>) -> End {
    let Some(found) = found else {
        return End::Lost;
    };
    let has = |token: Incarnation| found.token == token || found.earlier.contains(&token);
    let goes_back = match before {
        Some(before) => has(before),
        None => found.earlier.len() < GroupOrders::EARLIER_MAX,
    };
    match (has(mine.token), goes_back) {
        (true, _) => End::Stored(mine.life),
        (false, true) => End::Lost,
        (false, false) => End::Forgotten,
    }
}
