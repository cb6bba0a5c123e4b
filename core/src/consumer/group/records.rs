//! The records of the partitions, each written by CAS in the place of the one that it continues (Q3).

use super::machine::{Group, Job, Misfit, Phase};
use super::spot::{Hold, Known, Own, Pending};
use super::{Effect, Notice, Share};
use crate::consumer::Fault;
use crate::consumer::fault::may_pass;
use crate::consumer::names::is_forgotten;
use crate::format::{Checkpoint, Unknown};
use crate::id::{GroupPart, Incarnation, Sequence};
use crate::port::{
    Expect, Message, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, Subject,
};
use crate::step::{Cx, Effects, Outcome, Purpose, Span};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl Group {
    fn part_subject(&self, part: GroupPart) -> Subject {
        let ns = &self.config.wish.namespace;
        ns.partition_subject(&self.config.definition.name, part)
    }

    pub(super) fn read_request(&self) -> StoreRequest {
        let parts = (0..self.config.partitions).map(GroupPart);
        StoreRequest::Latest {
            stream: self.config.wish.namespace.consumer_stream(),
            subjects: parts
                .map(|part| self.part_subject(part))
                .chain([self.orders_subject()])
                .collect(),
        }
    }

    pub(super) fn part_request(&self, part: GroupPart) -> Option<StoreRequest> {
        let spot = self.spots.get(usize::from(part.0))?;
        let (Hold::Claiming(pending) | Hold::Releasing(pending)) = &spot.hold else {
            return None;
        };
        Some(StoreRequest::Publish(Publish {
            stream: self.config.wish.namespace.consumer_stream(),
            subject: self.part_subject(part),
            expect: Expect::OwnLast(pending.over),
            rollup: Rollup::Subject,
            dedup: None,
            ttl_s: None,
            payload: pending.record.encode(),
        }))
    }

    /// Reads the records when they are to be read.
    pub(super) fn read_on(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if !self.may_read() || self.asks.busy(Job::Read) {
            return;
        }
        if self.stale || self.reread_at <= cx.now {
            self.stale_again = false;
            return self.ask(Job::Read, out);
        }
        if self.spots.iter().any(|spot| spot.is_in_doubt()) || self.orders.is_in_doubt() {
            // What was read does not tell: a replica may lag. Each time it waits longer.
            return self.again(cx, Job::Read);
        }
        self.asks.done(Job::Read);
        self.wake_at(self.reread_at);
    }

    /// When the records are read again that were read now: soon while one is to become this node's.
    fn plan_next_read(&mut self, cx: &Cx<'_>) {
        let mine = |name: &Option<crate::name::NodeName>| name.as_ref() == Some(&self.config.node);
        let waits = self.spots.iter().any(|spot| {
            let free = matches!(spot.hold, Hold::No) && spot.owner().is_some();
            free && mine(&spot.best) && !self.is_leaving() || spot.absent_since.is_some()
        });
        let every = match waits {
            true => self.limits.group_poll,
            false => self.limits.owners_reread,
        };
        let every = every.as_nanos();
        let jitter = self.draw(cx, Span::from_nanos(every / 2));
        self.reread_at = cx.now + Span::from_nanos(every - every / 4) + jitter;
    }

    pub(super) fn were_read(
        &mut self,
        cx: &mut Cx<'_>,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let messages = match reply {
            Outcome::Done(StoreDone::Latest(proof)) => proof.messages,
            Outcome::Done(_) => return Err(Misfit),
            Outcome::Refused(Refused::NotFound) => Vec::new(),
            Outcome::Refused(refused) => {
                crate::reached!(cx, "group: records were refused");
                self.ends_without(&refused);
                self.again(cx, Job::Read);
                return Ok(());
            }
            Outcome::Unknown => {
                crate::reached!(cx, "group: records are not told");
                self.again(cx, Job::Read);
                return Ok(());
            }
        };
        self.stale = self.stale_again;
        let found = messages
            .into_iter()
            .filter(|found| !is_forgotten(found))
            .map(|found| (found.subject.clone(), found));
        let mut found: BTreeMap<Subject, Message> = found.collect();
        let orders = found.remove(&self.orders_subject());
        self.orders_were_read(cx, orders.as_ref(), out);
        if !self.may_read() {
            return Ok(());
        }
        for part in (0..self.config.partitions).map(GroupPart) {
            match found.remove(&self.part_subject(part)) {
                Some(message) => self.meet(cx, part, &message, out),
                None => self.miss(cx, part, out),
            }
        }
        self.plan_next_read(cx);
        Ok(())
    }

    /// Where it ends over a fault, and the store will not tell any more what became of what it wrote, it ends
    /// without.
    fn ends_without(&mut self, refused: &Refused) {
        if let Phase::Leaving {
            gives_up,
            fault: Some(_),
            ..
        } = &mut self.phase
        {
            *gives_up |= matches!(refused, Refused::NoStream) || !may_pass(refused);
        }
    }

    /// A partition's record is there.
    fn meet(
        &mut self,
        cx: &mut Cx<'_>,
        part: GroupPart,
        message: &Message,
        out: &mut Effects<Effect>,
    ) {
        let (at, me) = (message.sequence, self.config.incarnation);
        let patience = self.limits.lost_tail_patience;
        let record = match self.decode(message) {
            Ok(record) => record,
            Err(cause) => {
                let Some(spot) = self.spot(part) else { return };
                if !core::mem::replace(&mut spot.unreadable, true) {
                    out.push(Effect::Notice(Notice::Unreadable { part, cause }));
                }
                return;
            }
        };
        let Some(spot) = self.spot(part) else { return };
        (spot.was_there, spot.absent_since, spot.unreadable) = (true, None, false);
        spot.meet_late(at, cx.now, patience);
        let met = spot.known.as_ref();
        let met = met.filter(|known| known.record.owner == record.owner);
        let met = met.and_then(|known| known.met);
        let (run, ordinal) = (record.run, record.ordinal);
        let own = record.owner == Some(me);
        let record = Box::new(record);
        spot.known = Some(Known { at, record, met });
        if let Hold::Held(mine) = &mut spot.hold
            && mine.is_taken((own, at), cx.now, patience)
        {
            // Nobody may, while this node holds its lease; but what stands there decides.
            crate::reached!(cx, "group: a partition that is held is another's");
            spot.hold = Hold::Ending { release: false };
            out.push(Effect::Drop { part });
            out.push(Effect::Notice(Notice::Lost { part }));
            return;
        }
        let (Hold::Claiming(pending) | Hold::Releasing(pending)) = &mut spot.hold else {
            return;
        };
        if !pending.doubt {
            return;
        }
        if at >= pending.over {
            pending.short_since = None;
        }
        if (pending.record.run, pending.record.ordinal) == (run, ordinal) {
            crate::reached!(cx, "group: a record in doubt was stored");
            self.written(cx, part, at, out);
        } else if at == pending.over {
            // It may be stored later still; the same bytes under the same condition are stored once.
            pending.doubt = false;
            self.again(cx, Job::Write(part));
        } else if at > pending.over {
            // Another one is in its place, so it never will be.
            self.not_written(part);
        } else if cx.now.since(*pending.short_since.get_or_insert(cx.now)) >= patience {
            // No replica lags for so long: what it was to replace is gone with the stream's tail.
            crate::reached!(cx, "group: the record that was to be replaced is lost");
            self.not_written(part);
        }
        // Else a replica that lags: it is read again.
    }

    fn decode(&self, message: &Message) -> Result<Checkpoint, String> {
        let record = Checkpoint::decode(&message.payload).map_err(|error| error.to_string())?;
        let layout = self.config.layout.id;
        if record.layout != layout {
            return Err(alloc::format!(
                "it is of layout {}, not {layout}",
                record.layout
            ));
        }
        if record.consumer != self.config.definition.name {
            return Err(alloc::format!("it is of the group {}", record.consumer));
        }
        Ok(record)
    }

    /// A partition has no record, as far as a replica knows.
    fn miss(&mut self, cx: &mut Cx<'_>, part: GroupPart, out: &mut Effects<Effect>) {
        let patience = self.limits.absent_patience;
        let Some(spot) = self.spot(part) else { return };
        if let Hold::Claiming(pending) | Hold::Releasing(pending) = &mut spot.hold
            && pending.doubt
            && !pending.over.is_some()
        {
            pending.doubt = false;
            return self.again(cx, Job::Write(part));
        }
        if !spot.was_there {
            return;
        }
        let since = *spot.absent_since.get_or_insert(cx.now);
        if cx.now.since(since) < patience {
            return;
        }
        crate::reached!(cx, "group: a partition's record is gone");
        // What was to be written in its place never will be, and there is nothing to be released.
        (spot.known, spot.late) = (None, None);
        self.asks.abandon(Job::Write(part));
        if let Some(spot) = self.spot(part) {
            match spot.hold {
                Hold::Claiming(_) | Hold::Settling | Hold::Releasing(_) => spot.hold = Hold::No,
                Hold::No | Hold::Held(_) | Hold::Ending { .. } => {}
            }
        }
        let ns = &self.config.wish.namespace;
        let fault = Fault::PartitionGone {
            name: self.config.definition.name.clone(),
            part,
            stream: ns.consumer_stream().as_str().into(),
        };
        self.fail(cx, fault, out);
    }

    /// Writes a claim in the place of the record that was judged free.
    pub(super) fn claim(&mut self, cx: &mut Cx<'_>, part: GroupPart, out: &mut Effects<Effect>) {
        let me = self.config.incarnation;
        self.write(cx, part, Some(me), out);
    }

    /// Writes a record that names nobody in the place of this run's own.
    pub(super) fn release(&mut self, cx: &mut Cx<'_>, part: GroupPart, out: &mut Effects<Effect>) {
        let me = self.config.incarnation;
        let Some(spot) = self.spot(part) else { return };
        if spot.owner() != Some(me) {
            // Somebody else's by now.
            spot.hold = Hold::No;
            return;
        }
        self.write(cx, part, None, out);
    }

    /// Writes a record of a run of its own, with what the one before it says (Q3).
    fn write(
        &mut self,
        cx: &mut Cx<'_>,
        part: GroupPart,
        owner: Option<Incarnation>,
        out: &mut Effects<Effect>,
    ) {
        self.runs += 1;
        let run = Incarnation(cx.dice.roll128(Purpose::ConsumerRun, self.runs));
        let (layout, definition, wall) = (self.config.layout.id, self.hash, self.wall);
        let name = self.config.definition.name.clone();
        let node = self.config.node.as_str().to_string();
        let life = self.life();
        let Some(spot) = self.spot(part) else { return };
        let known = spot.known.as_ref();
        let before = known.map(|known| (known.at, (*known.record).clone()));
        let (over, from, record) = match before {
            None => {
                let record = Checkpoint {
                    layout,
                    consumer: name,
                    definition,
                    generation: life,
                    positions: Vec::new(),
                    run,
                    ordinal: 0,
                    node,
                    time: wall,
                    owner,
                    witnesses: Vec::new(),
                    reads: String::new(),
                    unknown: Unknown::default(),
                };
                (Sequence::NONE, None, record)
            }
            Some((at, before)) => {
                let from = before.owner;
                let mut record = Checkpoint {
                    run,
                    ordinal: 0,
                    node,
                    time: wall,
                    owner,
                    ..before
                };
                if owner.is_some() && record.generation < life {
                    crate::reached!(cx, "group: a partition begins another life");
                    record.generation = life;
                    (record.positions, record.witnesses) = (Vec::new(), Vec::new());
                }
                (at, from, record)
            }
        };
        let pending = Pending {
            over,
            record: Box::new(record),
            from: from.filter(|from| Some(*from) != owner),
            doubt: false,
            short_since: None,
        };
        spot.hold = match owner {
            Some(_) => Hold::Claiming(pending),
            None => Hold::Releasing(pending),
        };
        self.ask(Job::Write(part), out);
    }

    pub(super) fn was_written(
        &mut self,
        cx: &mut Cx<'_>,
        part: GroupPart,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => self.written(cx, part, ack.sequence, out),
            Outcome::Done(_) => return Err(Misfit),
            // Somebody else's, or mine of an attempt whose answer was lost.
            Outcome::Refused(Refused::WrongLast { .. }) | Outcome::Unknown => {
                crate::reached!(cx, "group: a record's outcome is unknown");
                let spot = self.spot(part);
                if let Some(Hold::Claiming(pending) | Hold::Releasing(pending)) =
                    spot.map(|spot| &mut spot.hold)
                {
                    pending.doubt = true;
                }
                self.doubt();
            }
            Outcome::Refused(refused) if may_pass(&refused) => {
                crate::reached!(cx, "group: a record was refused for now");
                self.again(cx, Job::Write(part));
            }
            Outcome::Refused(refused) => {
                crate::reached!(cx, "group: a record was refused for good");
                // What names this run, or may yet, is not left to nobody.
                let stays = self.spot(part).is_some_and(|spot| match &spot.hold {
                    Hold::Releasing(_) => true,
                    Hold::Claiming(pending) => spot.is_late(pending.over),
                    Hold::No | Hold::Held(_) | Hold::Ending { .. } | Hold::Settling => false,
                });
                match stays {
                    true => self.again(cx, Job::Write(part)),
                    false => self.not_written(part),
                }
                self.refused(cx, Job::Write(part), refused.clone(), out);
                if stays {
                    self.ends_without(&refused);
                }
            }
        }
        Ok(())
    }

    /// A record of this run's is stored.
    fn written(
        &mut self,
        cx: &mut Cx<'_>,
        part: GroupPart,
        at: Sequence,
        out: &mut Effects<Effect>,
    ) {
        self.asks.abandon(Job::Write(part));
        let goes = self.is_leaving() || !self.is_candidate();
        let shards = self.shards_of(part);
        let (start, paused) = (self.start(), self.paused_by().cloned());
        let Some(spot) = self.spot(part) else { return };
        (spot.was_there, spot.late) = (true, None);
        match core::mem::take(&mut spot.hold) {
            Hold::Claiming(Pending {
                over, record, from, ..
            }) => {
                let known = Known {
                    at,
                    record: record.clone(),
                    met: None,
                };
                spot.known = Some(known);
                if goes {
                    // It is released in this step, and was never begun.
                    return;
                }
                spot.hold = Hold::Held(Own::over(over));
                spot.taken = cx.now;
                let record = *record;
                spot.paused = paused.is_some();
                let share = Box::new(Share { part, at, record });
                out.push(Effect::Begin {
                    share,
                    shards,
                    start,
                    paused,
                });
                out.push(Effect::Notice(Notice::Claimed { part, from }));
            }
            Hold::Releasing(Pending { record, .. }) => {
                spot.known = Some(Known {
                    at,
                    record,
                    met: None,
                });
                out.push(Effect::Notice(Notice::Released { part }));
            }
            other @ (Hold::No | Hold::Held(_) | Hold::Ending { .. } | Hold::Settling) => {
                spot.hold = other;
            }
        }
    }

    /// A record of this run's never will be: what stands there is judged anew.
    fn not_written(&mut self, part: GroupPart) {
        self.asks.abandon(Job::Write(part));
        if let Some(spot) = self.spot(part) {
            spot.hold = match spot.hold {
                Hold::Releasing(_) => Hold::Settling,
                Hold::No
                | Hold::Claiming(_)
                | Hold::Held(_)
                | Hold::Ending { .. }
                | Hold::Settling => Hold::No,
            };
        }
    }
}
