//! Callers: how they come in, whose turn it is, and what happens when they give up.

use super::agenda::INTERNAL;
use super::entity::{Caller, Command, Entity, Phase, Pledge, Reader, Stage, Why};
use super::owned::Fence;
use super::shard::{Named, Op, Shard, Turn};
use super::{Effect, Freshness, KindIndex, Read, Refusal, Reply, Submit, Work};
use crate::format::{TakeOver, WriteMode};
use crate::id::{Sequence, Slot, Ticket};
use crate::name::EntityId;
use crate::reached;
use crate::step::Time;
use alloc::vec::Vec;

impl Shard {
    pub(super) fn on_submit(&mut self, t: &mut Turn<'_, '_>, submit: Submit) {
        let Submit {
            ticket,
            kind,
            entity,
            id,
            expected,
            metadata,
            wall,
            at_least,
            deadline,
        } = submit;
        let ahead_ms = id.map_or(0, |id| id.time().0.saturating_sub(wall.0));
        let ahead_max_ms = self.limits.id_ahead_max_ms;
        let arrived = self.moment;
        let Some(slot) = self.admit(t, ticket, kind, entity, deadline) else {
            return;
        };
        if ahead_ms > ahead_max_ms {
            reached!(t.cx, "log: a command id is ahead of the clock");
            let refusal = Refusal::Ahead {
                ahead_ms,
                ahead_max_ms,
            };
            t.reply(self, ticket, Reply::Refused(refusal));
            return self.rest(slot);
        }
        let (headers_max, bytes_max) = (
            self.limits.metadata_headers_max,
            self.limits.metadata_bytes_max,
        );
        if let Some(Err(error)) = metadata.as_ref().map(|it| it.check(headers_max, bytes_max)) {
            reached!(t.cx, "log: a command has too much metadata");
            t.reply(self, ticket, Reply::Refused(Refusal::Metadata(error)));
            return self.rest(slot);
        }
        let command = Command {
            ticket,
            id,
            expected,
            metadata,
            wall,
            arrived,
            at_least,
            conflicts: 0,
            firing: None,
        };
        self.entity(slot).queue.push_back(Caller::Command(command));
        self.next(t, slot);
    }

    pub(super) fn on_read(&mut self, t: &mut Turn<'_, '_>, read: Read) {
        let Read {
            ticket,
            kind,
            entity,
            freshness,
            at_least,
            deadline,
        } = read;
        let arrived = self.moment;
        let leased = self.config.mode == WriteMode::Owned && self.config.class == TakeOver::Leased;
        if freshness == Freshness::Leased && !leased {
            let reply = Reply::Refused(Refusal::NotLeased);
            return t.out.push(Effect::Reply { ticket, reply });
        }
        let Some(slot) = self.admit(t, ticket, kind, entity, deadline) else {
            return;
        };
        let at_least = match freshness {
            Freshness::Local => Sequence::NONE,
            Freshness::Leased | Freshness::Linearizable => at_least,
        };
        let reader = Reader {
            ticket,
            freshness,
            arrived,
            at_least,
        };
        self.entity(slot).queue.push_back(Caller::Reader(reader));
        self.next(t, slot);
    }

    /// Takes a caller in, if there is room; the slot of its entity.
    pub(super) fn admit(
        &mut self,
        t: &mut Turn<'_, '_>,
        ticket: Ticket,
        kind: KindIndex,
        id: EntityId,
        deadline: Time,
    ) -> Option<Slot> {
        assert!(!self.callers.contains_key(&ticket), "a ticket is in use");
        assert!(
            usize::from(kind.0) < self.kinds.len(),
            "a kind that was registered"
        );
        let named = Named::new(kind, id);
        let known = self.index.get(&named).copied();
        let waiting = known.map_or(0, |slot| self.entity(slot).waiting());
        let refusal = if deadline <= t.cx.now {
            Some(Refusal::Deadline)
        } else if self.is_turned_away() {
            Some(Refusal::NotOwner)
        } else if self.callers.len() >= self.limits.shard_queue_max
            || waiting >= self.limits.entity_queue_max
        {
            reached!(t.cx, "log: a caller is refused because too many wait");
            Some(Refusal::Overloaded)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            let reply = Reply::Refused(refusal);
            if ticket.0 & INTERNAL != 0 {
                self.on_fired(t, ticket, &reply);
            } else {
                t.out.push(Effect::Reply { ticket, reply });
            }
            return None;
        }
        let slot = known.unwrap_or_else(|| {
            let slot = self.slot_numbers.take();
            let Named { kind, id, .. } = &named;
            let name = &self.kinds[usize::from(kind.0)].record.name;
            let namespace = &self.config.namespace;
            let subject = namespace.event_subject(self.config.shard, name, id);
            let entity = Entity::new(*kind, id.clone(), subject);
            self.entities.insert(slot, entity.into());
            self.index.insert(named, slot);
            slot
        });
        self.callers.insert(ticket, (slot, deadline));
        self.deadlines.insert((deadline, ticket), ());
        self.wake(slot);
        if self.entity(slot).held.is_some() {
            self.cache_counts.hits += 1;
        } else {
            self.cache_counts.misses += 1;
        }
        Some(slot)
    }

    /// Takes up the next caller of an entity with nothing under way.
    pub(super) fn next(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let (mode, linked) = (self.config.mode, self.linked);
        let leased = self.lease.is_some_and(|end| t.cx.now < end);
        if !matches!(self.entity(slot).phase, Phase::Idle) {
            return;
        }
        if self.owned.leave.is_some() {
            return self.turn_away(t, slot);
        }
        self.hold_back(slot);
        let entity = self.entity(slot);
        let Some(front) = entity.queue.front() else {
            if !self.take_after_load(t, slot) {
                self.rest(slot);
            }
            return;
        };
        let Some(held) = &entity.held else {
            if mode == WriteMode::Owned && matches!(self.owned.fence, Fence::Unowned) {
                // The shard was lost while the host was at it.
                return self.disown_entity(t, slot, &Refusal::NotOwner);
            }
            return self.load(t, slot, Why::Open, Sequence::NONE);
        };
        if let Caller::Reader(reader) = front
            && reader.freshness == Freshness::Local
        {
            return self.answer(t, slot);
        }
        if held.checked < linked {
            reached!(t.cx, "load: what is held is checked after a reconnect");
            return self.load(t, slot, Why::Open, Sequence::NONE);
        }
        match front {
            Caller::Command(_) => self.decide(t, slot),
            Caller::Reader(reader) if reader.ground(held, leased).is_some() => self.answer(t, slot),
            Caller::Reader(_) => match mode {
                WriteMode::Direct => self.load(t, slot, Why::Open, Sequence::NONE),
                WriteMode::Owned => self.pledge_readers(t, slot),
            },
        }
    }

    pub(super) fn answer(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let linked = self.linked;
        let leased = self.lease.is_some_and(|end| t.cx.now < end);
        let entity = self.entity(slot);
        let Some(held) = &entity.held else { return };
        let (version, checked) = (held.shown(), held.checked >= linked);
        let mut readers = Vec::new();
        while let Some(Caller::Reader(reader)) = entity.queue.front()
            && (checked || reader.freshness == Freshness::Local)
            && let Some(ground) = reader.ground(held, leased)
        {
            readers.push((reader.ticket, ground));
            entity.queue.pop_front();
        }
        let tickets = readers.iter().map(|(ticket, _)| *ticket).collect();
        let provisional = core::mem::take(&mut entity.provisional);
        self.run(
            t,
            Op::Answer(slot),
            Work::Answer {
                slot,
                provisional,
                version,
                tickets,
            },
        );
        self.entity(slot).phase = Phase::Answer { readers, version };
    }

    pub(super) fn on_answered(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let phase = core::mem::replace(&mut self.entity(slot).phase, Phase::Idle);
        let Phase::Answer { readers, version } = phase else {
            return t.halt("the host answered without being asked to");
        };
        for (ticket, freshness) in readers {
            t.reply(self, ticket, Reply::Read { version, freshness });
        }
        self.next(t, slot);
    }

    /// A caller's deadline passed.
    pub(super) fn overdue(&mut self, t: &mut Turn<'_, '_>, ticket: Ticket) {
        let Some((slot, _)) = self.callers.get(&ticket).copied() else {
            return;
        };
        let entity = self.entity(slot);
        let waits = entity
            .queue
            .iter()
            .position(|caller| caller.ticket() == ticket);
        if let Some(place) = waits {
            entity.queue.remove(place);
            reached!(t.cx, "log: a caller's deadline passed in the queue");
            t.reply(self, ticket, Reply::Refused(Refusal::Deadline));
            return self.leave_idle_load(t, slot);
        }
        let deletions = entity.deletions.as_mut();
        if deletions.is_some_and(|deletions| deletions.part_with(ticket)) {
            reached!(t.cx, "log: a caller's deadline passed behind a deletion");
            return t.reply(self, ticket, Reply::Refused(Refusal::Deadline));
        }
        if self.delete_in_vain(t, slot, ticket) {
            return;
        }
        match &mut self.entity(slot).phase {
            Phase::Load(_, Why::Confirm(members)) | Phase::Barrier(Pledge::Replies(members)) => {
                members.retain(|member| member.command.ticket != ticket);
                t.reply(self, ticket, Reply::Refused(Refusal::Deadline));
                self.leave_idle_load(t, slot);
            }
            Phase::Load(_, Why::Look(draft)) => {
                draft.part_with(ticket);
                reached!(
                    t.cx,
                    "log: a caller's deadline passed while its commit was looked for"
                );
                t.reply(self, ticket, Reply::Refused(Refusal::Unknown));
            }
            Phase::Commit(draft, stage) => {
                let certain = !draft.doubt && matches!(stage, Stage::Ready | Stage::Waiting);
                if certain {
                    return self.withdraw(t, slot, ticket);
                }
                draft.part_with(ticket);
                let abandoned = draft.is_alone() && *stage == Stage::Waiting;
                reached!(
                    t.cx,
                    "log: a caller's deadline passed while its commit was in doubt"
                );
                t.reply(self, ticket, Reply::Refused(Refusal::Unknown));
                if abandoned {
                    self.forget_held(slot);
                    self.entity(slot).phase = Phase::Idle;
                    self.next(t, slot);
                }
            }
            // The host is at it and will say in a moment.
            Phase::Decide { .. } | Phase::Answer { .. } => {
                let later = t.cx.now + self.limits.retry_delay_min;
                self.callers.insert(ticket, (slot, later));
                self.deadlines.insert((later, ticket), ());
            }
            Phase::Idle
            | Phase::Load(_, Why::Open)
            | Phase::Barrier(Pledge::Readers)
            | Phase::Encode => t.halt("a caller waits for an entity that does not know it"),
        }
    }
}
