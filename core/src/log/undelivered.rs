//! Deletions that wait until the entity's messages are delivered (V2), while others are served.
//!
//! A deletion whose entity has sent what is not delivered yet steps aside: reads and commands of the entity
//! pass it, and it is decided anew when nothing is left to wait for. Where messages of the shard are not in
//! memory, the entity's own commits are read for whose they are.
//!
//! - V6: commands pass it only until what was sent when it came is delivered. What they sent meanwhile it
//!   waits for with the gate shut: commands wait behind it, so that none sends more. The gate opens again after
//!   a while, since what it waits for may have to pass such a gate as well.
//! - V7: it does not wait for a message whose receiver is to be deleted by it and waits likewise: its
//!   tombstone has that message go on, under the same id.

use super::agenda::{Left, Places, Sent};
use super::entity::{Caller, Command, Member};
use super::shard::{Named, Op, Retry, Shard, Turn};
use super::{KindIndex, Refusal, Reply, Undelivered};
use crate::format::{IntentPlace, Receiver};
use crate::id::{OpId, Sequence, Slot, Ticket};
use crate::name::{EntityId, KindName};
use crate::port::{Page, StoreDone, StoreReply, StoreRequest};
use crate::reached;
use crate::step::{Outcome, Purpose, Span, Time};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Deletions of one entity that wait for its messages.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Deletions {
    /// In the order in which they were decided, each with its caller's deadline.
    waiting: VecDeque<(Command, Time)>,
    gate: Gate,
    /// Commands that came to the gate while it was shut.
    behind: VecDeque<Command>,
    /// What they wait for.
    undelivered: Undelivered,
    /// The room of a tombstone for messages that go on, in bytes, when not all of them had room.
    carried_bytes_max: Option<usize>,
    /// The first message that the last read found not to be delivered.
    left: Option<(IntentPlace, Receiver)>,
    /// The read of its commits, and the last of them when it was sent.
    reading: Option<(OpId, Sequence)>,
    /// When it is looked at again, after so many times.
    again: Option<Time>,
    tries: u32,
}

/// How far an entity's commits were read for its messages.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Clear {
    /// What was sent in commits up to here is delivered, or excused.
    up_to: Sequence,
    /// Of those commits, the messages that are excused while they are in memory: they go on, or go with it.
    excused: Places,
}

/// Whether commands pass deletions that wait (V6).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Gate {
    /// They do, while a message of a commit up to this one is not delivered.
    Open { known: Sequence },
    /// They wait, until then at most: of commits up to `known` all messages are delivered.
    Shut { until: Time, known: Sequence },
}

impl Default for Gate {
    fn default() -> Self {
        Self::Open {
            known: Sequence::NONE,
        }
    }
}

/// How much earlier than its deadline a caller is told, so that one of another node still hears it.
const TOLD_BEFORE: Span = Span::from_millis(100);

/// How long commands wait behind deletions at most, before others pass again.
const SHUT_MAX: Span = Span::from_secs(1);

impl Deletions {
    /// How many callers wait in it.
    pub(super) fn count(&self) -> usize {
        self.waiting.len() + self.behind.len()
    }

    pub(super) fn into_callers(self) -> impl DoubleEndedIterator<Item = Caller> {
        let waiting = self.waiting.into_iter().map(|(command, _)| command);
        waiting.chain(self.behind).map(Caller::Command)
    }

    /// Who waited behind it waits for it no more; whether it did.
    pub(super) fn part_with(&mut self, ticket: Ticket) -> bool {
        let mut behind = self.behind.iter();
        let place = behind.position(|command| command.ticket == ticket);
        place.and_then(|place| self.behind.remove(place)).is_some()
    }

    /// What was read counts no more: the log may be another one.
    pub(super) fn begin_anew(&mut self) {
        self.left = None;
        let (Gate::Open { known } | Gate::Shut { known, .. }) = &mut self.gate;
        *known = Sequence::NONE;
        self.reading = None;
    }
}

impl Shard {
    /// What a deletion has to wait for (V2): messages that its entity sent to others, or that this owner
    /// takes in all that was stored.
    pub(super) fn sent(&self, slot: Slot) -> Sent {
        let deletions = self.entities.get(slot);
        let deletions = deletions.and_then(|entity| entity.deletions.as_ref());
        let fewer = deletions.and_then(|it| it.carried_bytes_max);
        self.sent_beside(slot, fewer.unwrap_or(self.carried_bytes_max()))
    }

    /// The same when a tombstone has so much room for messages that go on and for ids of those that do not.
    fn sent_beside(&self, slot: Slot, carried_bytes_max: usize) -> Sent {
        let (Some(agenda), Some(entity)) = (&self.agenda, self.entities.get(slot)) else {
            return Sent::Delivered;
        };
        let held = entity.held.as_ref();
        let last = held.map_or(Sequence::NONE, |held| held.sent);
        let clear = held.and_then(|held| held.clear.as_deref());
        let clear = clear.map_or(Sequence::NONE, |it| {
            agenda.still_clear(it.up_to, &it.excused)
        });
        let kind = &self.kind_of(slot).record.name;
        agenda.sent((kind, &entity.id), (last, clear), carried_bytes_max)
    }

    /// A deletion was decided and cannot be stored yet: those behind it go first.
    pub(super) fn step_aside(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        members: Vec<Member>,
        sent: &Sent,
    ) {
        self.wait_for(t, slot, members, (sent, None));
    }

    /// A tombstone is too large by so many bytes: it waits for some of the messages that were to go on in it,
    /// or to go with the entity.
    /// Gives the members back when it would be too large without them.
    pub(super) fn carry_fewer(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        members: Vec<Member>,
        over: usize,
    ) -> Result<(), Vec<Member>> {
        let Some(room) = self.carried_bytes(slot).checked_sub(over) else {
            return Err(members);
        };
        reached!(t.cx, "log: a tombstone has no room for what is to go on");
        let sent = self.sent_beside(slot, room);
        self.wait_for(t, slot, members, (&sent, Some(room)));
        Ok(())
    }

    fn wait_for(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        members: Vec<Member>,
        (sent, carried_bytes_max): (&Sent, Option<usize>),
    ) {
        reached!(t.cx, "log: a deletion waits for messages to be delivered");
        let held = self.entity(slot).held.as_ref();
        let known = held.map_or(Sequence::NONE, |held| held.sequence);
        for Member { command, .. } in members {
            let ticket = command.ticket;
            let Some((_, deadline)) = self.callers.get(&ticket).copied() else {
                continue;
            };
            if command.firing.is_some() && !self.give_way(ticket) {
                reached!(t.cx, "later: a timer's deletion is tried again later");
                let refusal = Refusal::Undelivered(sent.undelivered());
                t.reply(self, ticket, Reply::Refused(refusal));
                continue;
            }
            let early = deadline.since(t.cx.now).as_nanos() / 4;
            let early = Span::from_nanos(early.min(TOLD_BEFORE.as_nanos()));
            self.put_off(ticket, slot, deadline - early);
            let deletions = self.entity(slot).deletions.get_or_insert_default();
            if deletions.waiting.is_empty() {
                deletions.gate = Gate::Open { known };
            }
            if carried_bytes_max.is_some() {
                deletions.carried_bytes_max = carried_bytes_max;
            }
            deletions.waiting.push_back((command, deadline));
        }
        self.delete_on(t, slot);
        self.next(t, slot);
    }

    /// Gives a caller another deadline.
    fn put_off(&mut self, ticket: Ticket, slot: Slot, deadline: Time) {
        if let Some((_, before)) = self.callers.insert(ticket, (slot, deadline)) {
            self.deadlines.remove(&(before, ticket));
        }
        self.deadlines.insert((deadline, ticket), ());
    }

    /// Has deletions decided anew if they may go on; else finds out what they wait for.
    fn delete_on(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let sent = self.sent(slot);
        let Some(deletions) = &mut self.entity(slot).deletions else {
            return;
        };
        match sent {
            Sent::Delivered => {}
            Sent::Waits { undelivered, first } => {
                // The end of each message that is known has it looked at again.
                let again = undelivered.messages == 0;
                deletions.undelivered = undelivered;
                deletions.again = None;
                return match again {
                    true => self.delete_later(t, slot),
                    false => self.shut_after(t, slot, first),
                };
            }
            Sent::Unread { .. } if deletions.reading.is_some() => return,
            Sent::Unread { from } => return self.read_sent(t, slot, from),
        }
        let Some(deletions) = self.entity(slot).deletions.take() else {
            return;
        };
        self.forget_gate(slot, deletions.gate);
        for (command, deadline) in &deletions.waiting {
            self.put_off(command.ticket, slot, *deadline);
        }
        for caller in deletions.into_callers().rev() {
            self.entity(slot).queue.push_front(caller);
        }
        self.next(t, slot);
    }

    /// Shuts the gate when the first message that is not delivered is of a commit that passed (V6).
    fn shut_after(&mut self, t: &mut Turn<'_, '_>, slot: Slot, first: Sequence) {
        let ordinal = self.draw();
        let Some(deletions) = self.entity(slot).deletions.as_deref() else {
            return;
        };
        let mut left = deletions.left;
        let front = deletions.waiting.front();
        let (Gate::Open { known }, Some(ticket)) = (deletions.gate, front.map(|it| it.0.ticket))
        else {
            return;
        };
        let Some((_, deadline)) = self.callers.get(&ticket).copied() else {
            return;
        };
        if let Some(agenda) = &self.agenda {
            left.take_if(|left| !agenda.is_left(*left));
        }
        if left.map_or(first, |(place, _)| place.sequence.min(first)) <= known {
            return;
        }
        reached!(t.cx, "log: commands wait behind a deletion");
        // Drawn, so that two that wait for each other do not always shut theirs together.
        let quarter = deadline.since(t.cx.now).as_nanos() / 4;
        let half = quarter.min(SHUT_MAX.as_nanos()) / 2;
        let more = t.cx.dice.below(Purpose::RetryJitter, ordinal, half + 1);
        let until = t.cx.now + Span::from_nanos(half + more);
        self.retries.insert((until, Retry::Deletion(slot)));
        if let Some(deletions) = &mut self.entity(slot).deletions {
            deletions.gate = Gate::Shut { until, known };
        }
    }

    /// Those at the front of an entity's queue pass its deletions, unless the gate is shut.
    pub(super) fn hold_back(&mut self, slot: Slot) {
        let entity = self.entity(slot);
        let Some(deletions) = &mut entity.deletions else {
            return;
        };
        if let Gate::Open { .. } = deletions.gate {
            return;
        }
        for caller in core::mem::take(&mut entity.queue) {
            match caller {
                Caller::Command(command) => deletions.behind.push_back(command),
                Caller::Reader(_) => entity.queue.push_back(caller),
            }
        }
    }

    /// Nothing is left to be opened.
    fn forget_gate(&mut self, slot: Slot, gate: Gate) {
        if let Gate::Shut { until, .. } = gate {
            self.retries.remove(&(until, Retry::Deletion(slot)));
        }
    }

    /// Lets those pass who waited behind deletions.
    fn open_gate(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        reached!(t.cx, "log: commands pass a deletion again");
        let entity = self.entity(slot);
        let known = entity.held.as_ref();
        let known = known.map_or(Sequence::NONE, |held| held.sequence);
        if let Some(deletions) = &mut entity.deletions {
            deletions.gate = Gate::Open { known };
            let behind = core::mem::take(&mut deletions.behind);
            entity.first(behind.into_iter());
        }
        self.next(t, slot);
    }

    /// Looks again after a while.
    fn delete_later(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let tries = self
            .entity(slot)
            .deletions
            .as_ref()
            .map_or(0, |it| it.tries);
        let at = t.cx.now + self.delay(t, tries);
        if let Some(deletions) = &mut self.entity(slot).deletions {
            deletions.tries = tries.saturating_add(1);
            deletions.again = Some(at);
            self.retries.insert((at, Retry::Deletion(slot)));
        }
    }

    /// It is time to look again, or to let others pass.
    pub(super) fn delete_again(&mut self, t: &mut Turn<'_, '_>, slot: Slot, at: Time) {
        let entity = self.entities.get(slot);
        let Some(deletions) = entity.and_then(|entity| entity.deletions.as_ref()) else {
            return;
        };
        let looks = deletions.again == Some(at);
        if let Gate::Shut { until, .. } = deletions.gate
            && until == at
        {
            self.open_gate(t, slot);
        }
        if looks {
            self.delete_on(t, slot);
        }
    }

    /// Nobody will tell the end of some message, or all are known anew: each deletion that waits looks again.
    pub(super) fn delete_all_on(&mut self, t: &mut Turn<'_, '_>) {
        for slot in self.slots() {
            let entity = self.entities.get(slot);
            if entity.is_some_and(|entity| entity.deletions.is_some()) {
                self.delete_on(t, slot);
            }
        }
    }

    /// A message came to its end: a deletion of its sender may have waited for it.
    pub(super) fn delete_after(
        &mut self,
        t: &mut Turn<'_, '_>,
        (kind, sender): (&KindName, &EntityId),
    ) {
        let kind = self.kinds.iter().position(|it| it.record.name == *kind);
        let Some(kind) = kind.and_then(|kind| u16::try_from(kind).ok()) else {
            return;
        };
        let named = Named::new(KindIndex(kind), sender.clone());
        let Some(slot) = self.index.get(&named).copied() else {
            return;
        };
        if let Some(deletions) = &mut self.entity(slot).deletions {
            deletions.tries = 0;
            self.delete_on(t, slot);
        }
    }

    /// A deletion's deadline passed while it waited; whether it did.
    pub(super) fn delete_in_vain(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        ticket: Ticket,
    ) -> bool {
        let Some(deletions) = &mut self.entity(slot).deletions else {
            return false;
        };
        let mut waiting = deletions.waiting.iter();
        let Some(place) = waiting.position(|(command, _)| command.ticket == ticket) else {
            return false;
        };
        reached!(t.cx, "log: a deletion waited in vain");
        deletions.waiting.remove(place);
        let refusal = Refusal::Undelivered(deletions.undelivered.clone());
        let none = deletions.waiting.is_empty();
        if let Some(deletions) = self.entity(slot).deletions.take_if(|_| none) {
            self.forget_gate(slot, deletions.gate);
            self.entity(slot).first(deletions.behind.into_iter());
        }
        t.reply(self, ticket, Reply::Refused(refusal));
        // It may be that nobody else wants the entity.
        self.next(t, slot);
        true
    }

    /// Reads the entity's commits from one on, for messages that are not in memory.
    fn read_sent(&mut self, t: &mut Turn<'_, '_>, slot: Slot, from: Sequence) {
        let entity = self.entity(slot);
        let last = entity.held.as_ref().map_or(from, |held| held.sequence);
        let request = StoreRequest::Scan {
            filter: entity.subject.clone(),
            stream: self.names.stream.clone(),
            from,
            messages_max: self.limits.index_page,
        };
        let op = self.ask(t, Op::Sent(slot), request);
        if let Some(deletions) = &mut self.entity(slot).deletions {
            deletions.reading = Some((op, last));
        }
    }

    /// Commits of an entity that is to be deleted.
    pub(super) fn on_sent(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        op: OpId,
        reply: StoreReply,
    ) {
        let Some(entity) = self.entities.get_mut(slot) else {
            return;
        };
        let Some(deletions) = &mut entity.deletions else {
            return;
        };
        let Some((_, last)) = deletions.reading.take_if(|(asked, _)| *asked == op) else {
            return;
        };
        match reply {
            Outcome::Done(StoreDone::Page(page)) => self.on_sent_page(t, slot, &page, last),
            Outcome::Done(_) => t.halt("the answer to a scan is another kind"),
            Outcome::Refused(_) | Outcome::Unknown => self.delete_later(t, slot),
        }
    }

    fn on_sent_page(&mut self, t: &mut Turn<'_, '_>, slot: Slot, page: &Page, last: Sequence) {
        reached!(t.cx, "log: a deletion reads what its entity sent");
        let mut clear = Sequence::NONE;
        let mut left = Left::default();
        let mut excused = Places::new();
        for message in &page.messages {
            let Ok(stored) = self.stored(message) else {
                break;
            };
            if let Some((_, commit)) = stored {
                left = self.left_of(message.sequence, &commit);
            }
            if left.undelivered.messages > 0 {
                break;
            }
            excused.append(&mut left.excused);
            clear = message.sequence;
        }
        let whole = page
            .messages
            .last()
            .map_or(Sequence::NONE, |it| it.sequence)
            == clear;
        if whole && !page.more && !self.shape.replicated {
            // The one server knew all that was acknowledged when it was asked.
            clear = clear.max(last);
        }
        let ends = clear >= last;
        // What was stored since may be on its way into memory, or out of it again.
        clear = clear.min(last);
        let (Some(agenda), Some(entity)) = (&self.agenda, self.entities.get_mut(slot)) else {
            return;
        };
        let Some(deletions) = &mut entity.deletions else {
            return;
        };
        if let Some(held) = &mut entity.held {
            let known = held.clear.get_or_insert_default();
            known.up_to = known.up_to.max(clear);
            known.excused.append(&mut excused);
            agenda.keep_excused(&mut known.excused);
            if held.sent <= clear && known.excused.is_empty() {
                // It is so for good.
                held.sent = Sequence::NONE;
                held.clear = None;
            }
        }
        if whole && (page.more || ends) {
            return self.delete_on(t, slot);
        }
        // One of them is not delivered or cannot be read, or a replica lags.
        deletions.undelivered = left.undelivered;
        deletions.left = left.first;
        let gate = deletions.gate;
        self.delete_later(t, slot);
        if let (Gate::Shut { known, .. }, Some((place, _))) = (gate, left.first)
            && place.sequence <= known
        {
            // It was sent before those who wait behind the gate were told to.
            self.forget_gate(slot, gate);
            self.open_gate(t, slot);
        }
    }
}
