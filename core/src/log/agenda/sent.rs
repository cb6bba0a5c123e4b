//! What an entity sent before it is deleted, and what of it is not delivered (V2) or goes on (V7).

use super::dispatch::sends_of;
use super::{Agenda, Stage};
use crate::format::{CommandRecord, Commit, Intent, IntentPlace, Receiver};
use crate::id::{CommandId, Sequence, Slot};
use crate::log::shard::Shard;
use crate::log::{Dispatch, Undelivered};
use crate::name::{EntityId, KindName};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

/// What became of all that an entity sent to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::log) enum Sent {
    /// It is delivered, or failed, or goes on in the tombstone.
    Delivered,
    /// Some of it is not, or nobody knows yet.
    Waits {
        undelivered: Undelivered,
        /// The first commit with such a message, as far as it is known.
        first: Sequence,
    },
    /// The entity's commits from one on may have sent what is not in memory.
    Unread {
        /// The first of them.
        from: Sequence,
    },
}

impl Sent {
    /// What is known to be not delivered.
    pub(in crate::log) fn undelivered(&self) -> Undelivered {
        match self {
            Self::Waits { undelivered, .. } => undelivered.clone(),
            Self::Delivered | Self::Unread { .. } => Undelivered::default(),
        }
    }
}

/// Messages of commits, each with its receiver.
pub(in crate::log) type Places = BTreeMap<IntentPlace, Receiver>;

/// What of a commit's messages is not done.
#[derive(Clone, Debug, Default)]
pub(in crate::log) struct Left {
    /// What a deletion of their sender waits for.
    pub(in crate::log) undelivered: Undelivered,
    /// The first of that.
    pub(in crate::log) first: Option<(IntentPlace, Receiver)>,
    /// What it does not wait for while that is in memory.
    pub(in crate::log) excused: Places,
}

/// How many messages of an entity to itself go with it; their ids are in its tombstone, before what goes on.
const TO_ITSELF_MAX: usize = 256;

/// How many messages go on in a tombstone.
const CARRIED_MAX: usize = 64;

impl Agenda {
    /// What became of what an entity sent to others: in commits up to `last`, of which those up to `clear`
    /// were read before. What failed is not delivered, and neither is what it sent to itself; both go with
    /// it. What its tombstone has room for, of so many bytes, goes on (V7).
    pub(in crate::log) fn sent(
        &self,
        (kind, entity): (&KindName, &EntityId),
        (last, clear): (Sequence, Sequence),
        bytes_max: usize,
    ) -> Sent {
        match &self.stage {
            Stage::Live => {}
            Stage::Off | Stage::Index(_) | Stage::Behind(_) => {
                return Sent::Waits {
                    undelivered: Undelivered::default(),
                    first: Sequence::NONE,
                };
            }
        }
        let carried = self.carried((kind, entity), bytes_max);
        let carried: BTreeSet<_> = carried.map(|(place, _)| place).collect();
        let mut undelivered = Undelivered::default();
        let mut first = Sequence::NONE;
        let (mut to_itself, to_itself_max) = (0, bytes_max / CommandRecord::LEN_MAX);
        for (place, dispatch) in self.intents.of(kind, entity) {
            if dispatch.is_to_itself() {
                to_itself += 1;
                if to_itself <= TO_ITSELF_MAX.min(to_itself_max) {
                    continue;
                }
            }
            if carried.contains(&place) {
                continue;
            }
            if undelivered.messages == 0 {
                first = place.sequence;
            }
            undelivered.meet(&dispatch.intent.kind, &dispatch.intent.entity);
        }
        if undelivered.messages > 0 {
            return Sent::Waits { undelivered, first };
        }
        match self.intents.first_unread() {
            Some(first) if last >= first && last > clear => Sent::Unread {
                from: first.max(Sequence(clear.0 + 1)),
            },
            Some(_) | None => Sent::Delivered,
        }
    }

    /// How far an entity's commits are clear that were read up to `clear`: not beyond a message which was
    /// excused, and was put aside since.
    pub(in crate::log) fn still_clear(&self, clear: Sequence, excused: &Places) -> Sequence {
        let mut places = excused.iter();
        let aside = places.find(|(place, to)| self.intents.is_unread(**to, **place));
        let before = |place: &IntentPlace| Sequence(place.sequence.0.saturating_sub(1));
        aside.map_or(clear, |(place, _)| clear.min(before(place)))
    }

    /// Whether a deletion of its sender waits for a message.
    pub(in crate::log) fn is_left(&self, (place, receiver): (IntentPlace, Receiver)) -> bool {
        self.intents.is_left(receiver, place)
    }

    /// Leaves out what was excused and is done.
    pub(in crate::log) fn keep_excused(&self, excused: &mut Places) {
        let intents = &self.intents;
        excused.retain(|place, to| intents.is_excused(*place) || intents.is_left(*to, *place));
    }

    /// How much room a tombstone has for the ids of what an entity sent to itself, in bytes.
    fn ids_bytes(&self, (kind, entity): (&KindName, &EntityId)) -> usize {
        let all = self.intents.of(kind, entity);
        let to_itself = all.filter(|(_, dispatch)| dispatch.is_to_itself());
        to_itself.count() * CommandRecord::LEN_MAX
    }

    /// An entity's messages whose receivers wait as well, as far as a tombstone has room for them.
    fn carried(
        &self,
        (kind, entity): (&KindName, &EntityId),
        bytes_max: usize,
    ) -> impl Iterator<Item = (IntentPlace, &Dispatch)> {
        let mut bytes = self.ids_bytes((kind, entity));
        let all = self.intents.of(kind, entity);
        let crossed = all.filter(|(place, dispatch)| {
            self.intents.is_crossed(*place) && !dispatch.is_to_itself()
        });
        crossed.take(CARRIED_MAX).take_while(move |(_, dispatch)| {
            bytes += carried_len_max(dispatch);
            bytes <= bytes_max
        })
    }
}

/// How much room a message that goes on takes at most, in bytes.
fn carried_len_max(dispatch: &Dispatch) -> usize {
    CommandRecord::LEN_MAX + dispatch.intent.encoded_len_max()
}

impl Undelivered {
    /// Counts a message to somebody.
    fn meet(&mut self, kind: &KindName, entity: &EntityId) {
        if self.messages == 0 {
            self.to = format!("{kind}/{entity}");
        }
        self.messages += 1;
    }
}

impl Shard {
    /// The messages of a commit that are not done, wherever they are by now.
    pub(in crate::log) fn left_of(&self, sequence: Sequence, commit: &Commit) -> Left {
        let mut left = Left::default();
        let Some(agenda) = &self.agenda else {
            return left;
        };
        for (index, receiver, intent) in sends_of(self.config.key, commit) {
            let place = IntentPlace { sequence, index };
            if agenda.intents.is_left(receiver, place) {
                left.first.get_or_insert((place, receiver));
                left.undelivered.meet(&intent.kind, &intent.entity);
            } else if agenda.intents.is_excused(place) {
                left.excused.insert(place, receiver);
            }
        }
        left
    }

    /// The ids of what an entity sent to itself and was not done.
    pub(in crate::log) fn sent_to_itself(&self, slot: Slot) -> Vec<CommandId> {
        let (Some(agenda), Some(entity)) = (&self.agenda, self.entities.get(slot)) else {
            return Vec::new();
        };
        let kind = &self.kind_of(slot).record.name;
        let undone = agenda.intents.of(kind, &entity.id);
        let to_itself = undone.filter(|(_, dispatch)| dispatch.is_to_itself());
        to_itself.map(|(_, dispatch)| dispatch.id).collect()
    }

    /// The messages that a tombstone has go on, each with its id.
    pub(in crate::log) fn carried(&self, slot: Slot) -> Vec<(CommandId, Intent)> {
        let carried = self.carried_of(slot);
        let carried = carried.map(|dispatch| (dispatch.id, dispatch.intent.clone()));
        carried.collect()
    }

    /// How much room they take at most, with the ids of what goes with the entity, in bytes.
    pub(in crate::log) fn carried_bytes(&self, slot: Slot) -> usize {
        let carried: usize = self.carried_of(slot).map(carried_len_max).sum();
        let both = self.agenda.as_deref().zip(self.entities.get(slot));
        both.map_or(carried, |(agenda, entity)| {
            let kind = &self.kind_of(slot).record.name;
            carried + agenda.ids_bytes((kind, &entity.id))
        })
    }

    fn carried_of(&self, slot: Slot) -> impl Iterator<Item = &Dispatch> {
        let both = self.agenda.as_deref().zip(self.entities.get(slot));
        let bytes_max = self.carried_bytes_max();
        let carried = both.into_iter().flat_map(move |(agenda, entity)| {
            let kind = &self.kind_of(slot).record.name;
            agenda.carried((kind, &entity.id), bytes_max)
        });
        carried.map(|(_, dispatch)| dispatch)
    }

    /// How much of a tombstone messages that go on, and the ids of those that go with the entity, may take.
    pub(in crate::log) fn carried_bytes_max(&self) -> usize {
        self.shape.payload_bytes_max / 2
    }
}
