//! Messages of commits, from their acknowledgement until they are done (G3).

use super::Stage;
use crate::format::{Commit, Intent, IntentPlace, LayoutKey, Receiver};
use crate::id::{CommandId, OpId, Sequence};
use crate::log::shard::{Shard, Turn};
use crate::log::{Delivery, Dispatch, Effect, FailedOrder, FailedThen, Note};
use crate::name::KindName;
use crate::reached;
use alloc::vec::Vec;

impl Shard {
    /// Sends what may be sent.
    pub(super) fn dispatch_ready(&mut self, t: &mut Turn<'_, '_>) {
        let limits = alloc::sync::Arc::clone(&self.limits);
        let (now, most) = (t.cx.now, limits.dispatches_max);
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        agenda.intents.wake(now);
        while let Some(agenda) = &mut self.agenda
            && agenda.intents.flying() < most
            && let Some((place, receiver, dispatch)) = agenda.intents.next_ready(now, &limits)
        {
            let op = self.new_op();
            if let Some(agenda) = &mut self.agenda {
                agenda.intents.fly(op, (place, receiver));
            }
            t.out.push(Effect::Dispatch { op, dispatch });
        }
    }

    /// A message came to an end, or is sent again.
    pub(in crate::log) fn on_dispatched(
        &mut self,
        t: &mut Turn<'_, '_>,
        op: OpId,
        delivery: Delivery,
    ) {
        let limits = &self.limits;
        let failed_max = limits.undone_max;
        let now = t.cx.now;
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        let Some(place) = agenda.intents.land(now, op, limits) else {
            // Sent when this node owned the shard before: whoever owns it now sends it again.
            return;
        };
        let alone = match &delivery {
            Delivery::Again => Some(false),
            Delivery::Failed | Delivery::Waits => Some(true),
            Delivery::Undeliverable { .. } => {
                (agenda.intents.failed() >= failed_max).then_some(true)
            }
            Delivery::Done | Delivery::Rejected { .. } => None,
        };
        if let Some(alone) = alone {
            reached!(t.cx, "later: a message is sent again");
            agenda.intents.try_again(now, place, alone, limits);
            if delivery == Delivery::Waits
                && let Some((kind, sender)) = agenda.intents.cross(place)
            {
                reached!(t.cx, "later: a message's receiver waits to be deleted");
                self.delete_after(t, (&kind, &sender));
            }
            return;
        }
        let Some(dispatch) = agenda.intents.remove(now, place, limits) else {
            return;
        };
        agenda.changed(now);
        let entity = dispatch.intent.entity.clone();
        let sender = (dispatch.kind.clone(), dispatch.sender.clone());
        match delivery {
            Delivery::Done => {
                reached!(t.cx, "later: a message was delivered");
                t.note(Note::IntentDone { entity });
            }
            Delivery::Rejected { cause } => {
                reached!(t.cx, "later: a message was rejected");
                t.note(Note::IntentRejected { entity, cause });
            }
            Delivery::Undeliverable { cause } => {
                reached!(t.cx, "later: a message cannot be delivered");
                agenda.intents.fail(place, *dispatch, cause.clone());
                t.note(Note::IntentFailed { entity, cause });
            }
            Delivery::Again | Delivery::Failed | Delivery::Waits => {}
        }
        self.delete_after(t, (&sender.0, &sender.1));
    }

    /// What could not be delivered is sent again, or never.
    pub(in crate::log) fn on_failed_order(&mut self, t: &mut Turn<'_, '_>, order: FailedOrder) {
        let Some(agenda) = self.agenda.as_deref_mut().filter(|agenda| !agenda.is_off()) else {
            return;
        };
        let taken = agenda.intents.take_failed(order.of);
        if taken.is_empty() {
            return;
        }
        agenda.changed(t.cx.now);
        match order.then {
            FailedThen::Retry => {
                reached!(t.cx, "later: what failed is sent again by hand");
                for place in taken {
                    agenda.intents.want(place);
                }
            }
            FailedThen::Discard => {
                reached!(t.cx, "later: what failed is discarded");
            }
        }
    }

    /// Takes in the messages of a stored commit; whether there was room for all.
    pub(super) fn take_sends(
        &mut self,
        kind: &KindName,
        sequence: Sequence,
        commit: &Commit,
    ) -> bool {
        let (now, key) = (self.now, self.config.key);
        let (held_max, undone_max) = self.room_max();
        let limits = &self.limits;
        let Some(agenda) = &mut self.agenda else {
            return true;
        };
        let sends = sends_of(key, commit);
        let intents = &mut agenda.intents;
        let mut taken = Vec::new();
        for (index, receiver, intent) in sends {
            if !intents.lines.leaves(receiver, sequence, limits) {
                taken.push((index, receiver, intent));
            }
        }
        let more = taken.len();
        if more == 0 {
            return true;
        }
        let room = intents.has_room(more, (held_max, undone_max));
        if !room || !intents.make_room(now, more, held_max) {
            return false;
        }
        for (index, receiver, intent) in taken {
            let place = IntentPlace { sequence, index };
            let dispatch = dispatch(key, kind, commit, (index, intent));
            intents.add_next(now, place, receiver, dispatch);
        }
        true
    }

    /// Takes in those messages of a stored commit that go to a shelved receiver; whether there was room.
    pub(super) fn take_shelved(
        &mut self,
        receiver: Receiver,
        kind: &KindName,
        sequence: Sequence,
        commit: &Commit,
    ) -> bool {
        let (now, key) = (self.now, self.config.key);
        let (held_max, undone_max) = self.room_max();
        let limits = &self.limits;
        let Some(agenda) = &mut self.agenda else {
            return true;
        };
        let intents = &mut agenda.intents;
        let sends = sends_of(key, commit).filter(|(_, to, _)| *to == receiver);
        let taken: Vec<_> = sends.collect();
        let more = taken.len();
        if more == 0 {
            return true;
        }
        let free = intents.lines.has_room(receiver, more, limits);
        let room = free && intents.has_room(more, (held_max, undone_max));
        if !room || !intents.make_room(now, more, held_max) {
            return false;
        }
        for (index, receiver, intent) in taken {
            let place = IntentPlace { sequence, index };
            let dispatch = dispatch(key, kind, commit, (index, intent));
            intents.add_next(now, place, receiver, dispatch);
        }
        true
    }

    /// How many messages are held in memory, and how many may be undone in all: with more the shard takes
    /// in nothing newer. A quarter of what an index has room for is for their places.
    fn room_max(&self) -> (usize, usize) {
        let held_max = self.limits.undone_max;
        let places = self.index_bytes_max() / 4 / IntentPlace::ENCODED_LEN_MAX;
        let undone_max = held_max + self.limits.aside_max.min(places);
        (held_max, undone_max)
    }

    /// Takes in those messages of a commit that the index had as undone; whether some are not in it.
    pub(super) fn take_wanted(
        &mut self,
        kind: &KindName,
        sequence: Sequence,
        commit: &Commit,
    ) -> bool {
        let (now, key) = (self.now, self.config.key);
        let Some(agenda) = &mut self.agenda else {
            return false;
        };
        let mut wanted = agenda.intents.take_wanted(sequence);
        for (index, receiver, intent) in sends_of(key, commit) {
            let Some(wanted) = wanted.remove(&index) else {
                continue;
            };
            let place = IntentPlace { sequence, index };
            let dispatch = dispatch(key, kind, commit, (index, intent));
            agenda.intents.add(place, receiver, dispatch, wanted.tries);
            agenda.intents.came(now, wanted);
        }
        // Another commit is in its place, after a lost tail.
        let some = !wanted.is_empty();
        for gone in wanted.into_values() {
            agenda.intents.came(now, gone);
        }
        some
    }

    /// Whether messages of a page that is behind have room.
    pub(super) fn has_room(&self) -> bool {
        let room_max = self.room_max();
        let agenda = self.agenda.as_deref();
        agenda.is_some_and(|agenda| match &agenda.stage {
            Stage::Behind(behind) => {
                // After a page that had no room for one commit, room for that one.
                let more = behind.full.unwrap_or(room_max.0.div_ceil(2));
                agenda.intents.has_room(more, room_max)
            }
            Stage::Off | Stage::Index(_) | Stage::Live => true,
        })
    }
}

/// The messages of a commit, each with its place in it and its receiver.
pub(super) fn sends_of(
    key: LayoutKey,
    commit: &Commit,
) -> impl Iterator<Item = (u32, Receiver, &Intent)> {
    let sends = commit.later.as_ref().map_or(&[][..], |later| &later.sends);
    (0..).zip(sends).map(move |(index, intent)| {
        let receiver = Receiver::of(key, &intent.kind, &intent.entity);
        (index, receiver, intent)
    })
}

/// A message of a commit on its way.
fn dispatch(
    key: LayoutKey,
    kind: &KindName,
    commit: &Commit,
    (index, intent): (u32, &Intent),
) -> Dispatch {
    Dispatch {
        id: message_id(key, commit, index),
        kind: kind.clone(),
        sender: commit.entity.clone(),
        intent: intent.clone(),
        tries: 0,
    }
}

/// The id of a message: one that goes on from before a tombstone has the one that it had.
fn message_id(key: LayoutKey, commit: &Commit, index: u32) -> CommandId {
    let later = commit.later.as_ref();
    let carried = later.and_then(|later| later.carried.get(usize::try_from(index).ok()?));
    carried.map_or_else(|| intent_id(key, commit, index), |id| *id)
}

/// Made of the commit's id, which is 128 random bits and the same over all attempts, and not of its
/// sequence: after a lost tail a stream gives sequences again.
fn intent_id(key: LayoutKey, commit: &Commit, index: u32) -> CommandId {
    let mut bytes = commit.id.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&index.to_be_bytes());
    CommandId::new(commit.time, key.hash128(b'i', bytes))
}
