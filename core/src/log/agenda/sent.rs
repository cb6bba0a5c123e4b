//! What an entity sent before it is deleted, and what of it is not delivered (V2).

use super::dispatch::sends_of;
use super::{Agenda, Stage};
use crate::format::{Commit, IntentPlace};
use crate::id::{CommandId, Sequence, Slot};
use crate::log::Undelivered;
use crate::log::shard::Shard;
use crate::name::{EntityId, KindName};
use alloc::format;
use alloc::vec::Vec;

/// What became of all that an entity sent to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::log) enum Sent {
    /// It is delivered, or failed.
    Delivered,
    /// Some of it is not, or nobody knows yet.
    Waits(Undelivered),
    /// The entity's commits from one on may have sent what is not in memory.
    Unread {
        /// The first of them.
        from: Sequence,
    },
}

/// How many messages of an entity to itself go with it.
const TO_ITSELF_MAX: usize = 256;

impl Agenda {
    /// What became of what an entity sent to others: in commits up to `last`, of which those up to `clear`
    /// were read before. What failed is not delivered, and neither is what it sent to itself; both go with
    /// it.
    pub(in crate::log) fn sent(
        &self,
        (kind, entity): (&KindName, &EntityId),
        last: Sequence,
        clear: Sequence,
    ) -> Sent {
        match &self.stage {
            Stage::Live => {}
            Stage::Off | Stage::Index(_) | Stage::Behind(_) => {
                return Sent::Waits(Undelivered::default());
            }
        }
        let mut undelivered = Undelivered::default();
        let mut to_itself = 0;
        for dispatch in self.intents.of(kind, entity) {
            if dispatch.is_to_itself() {
                to_itself += 1;
                if to_itself <= TO_ITSELF_MAX {
                    continue;
                }
            }
            undelivered.meet(&dispatch.intent.kind, &dispatch.intent.entity);
        }
        if undelivered.messages > 0 {
            return Sent::Waits(undelivered);
        }
        match self.intents.first_unread() {
            Some(first) if last >= first && last > clear => Sent::Unread {
                from: first.max(Sequence(clear.0 + 1)),
            },
            Some(_) | None => Sent::Delivered,
        }
    }
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
    pub(in crate::log) fn left_of(&self, sequence: Sequence, commit: &Commit) -> Undelivered {
        let mut left = Undelivered::default();
        let Some(agenda) = &self.agenda else {
            return left;
        };
        for (index, receiver, intent) in sends_of(self.config.key, commit) {
            let place = IntentPlace { sequence, index };
            if agenda.intents.is_left(receiver, place) {
                left.meet(&intent.kind, &intent.entity);
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
        let to_itself = undone.filter(|dispatch| dispatch.is_to_itself());
        to_itself.map(|dispatch| dispatch.id).collect()
    }
}
