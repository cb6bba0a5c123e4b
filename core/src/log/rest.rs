//! Entities at rest: nothing is under way for them and nobody waits, so they may be forgotten. The
//! machine says what it keeps ([`Stock`]), a [`Cache`](crate::cache::Cache) over all shards of the
//! node says whose entity goes, and `Input::Evict` makes the machine forget its oldest one.

use super::entity::{Body, Entity, Taking};
use super::ids::CommandTable;
use super::shard::{Named, Shard, Turn};
use super::{Effect, KindIndex};
use crate::id::Slot;
use crate::name::EntityId;
use crate::reached;
use crate::step::Time;
use crate::table::Table;
use alloc::collections::BTreeMap;

/// What a shard keeps in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Stock {
    /// Entities in memory, those included for which something is under way.
    pub entities: usize,
    /// Bytes that the machine keeps for the entities at rest: names, lists of commits, command ids
    /// with their outcomes. The users' states are not among them; the machine does not know them.
    pub resting_bytes: usize,
    /// When the entity that rests longest was used last; `None` when none is at rest.
    pub oldest: Option<Time>,
}

/// What was in memory when it was wanted, and what was not, since the machine began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct CacheCounts {
    /// Commands and reads whose entity's state was held when they arrived.
    pub hits: u64,
    /// Commands and reads that had to wait until it was loaded.
    pub misses: u64,
    /// Entities at rest that were forgotten.
    pub evictions: u64,
}

/// Entities at rest, the one that was used longest ago first.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Resting {
    order: Table<Rested, Resident>,
    bytes: usize,
    next: u64,
}

/// When an entity came to rest, and the how manieth it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Rested {
    at: Time,
    ordinal: u64,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Resident {
    slot: Slot,
    bytes: usize,
}

impl Resting {
    fn enter(&mut self, at: Time, slot: Slot, bytes: usize) -> Rested {
        let ordinal = self.next;
        self.next += 1;
        let rested = Rested { at, ordinal };
        self.order.insert(rested, Resident { slot, bytes });
        self.bytes += bytes;
        rested
    }

    fn leave(&mut self, rested: Rested) {
        if let Some(resident) = self.order.remove(&rested) {
            self.bytes -= resident.bytes;
        }
    }

    fn oldest(&self) -> Option<(Time, Slot)> {
        let (rested, resident) = self.order.first()?;
        Some((rested.at, resident.slot))
    }
}

/// Snapshots whose bodies are stored and which no commit names yet, of entities that were forgotten
/// meanwhile: without them an entity that never stays in memory would never have a snapshot.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Unnamed {
    of: BTreeMap<(KindIndex, EntityId), (u64, Body)>,
    order: BTreeMap<u64, (KindIndex, EntityId)>,
    next: u64,
}

impl Unnamed {
    fn keep(&mut self, kind: KindIndex, id: EntityId, body: Body) {
        self.take(kind, &id);
        let ordinal = self.next;
        self.next += 1;
        self.order.insert(ordinal, (kind, id.clone()));
        self.of.insert((kind, id), (ordinal, body));
    }

    fn take(&mut self, kind: KindIndex, id: &EntityId) -> Option<Body> {
        if self.of.is_empty() {
            return None;
        }
        let (ordinal, body) = self.of.remove(&(kind, id.clone()))?;
        self.order.remove(&ordinal);
        Some(body)
    }

    /// Takes out the one that waits longest, if there are more than so many.
    fn pop_beyond(&mut self, max: usize) -> Option<(KindIndex, EntityId, Body)> {
        if self.of.len() <= max {
            return None;
        }
        let (_, whose) = self.order.pop_first()?;
        let (_, body) = self.of.remove(&whose)?;
        Some((whose.0, whose.1, body))
    }
}

impl Shard {
    /// What this shard keeps in memory.
    pub fn stock(&self) -> Stock {
        Stock {
            entities: self.entities.len(),
            resting_bytes: self.resting.bytes,
            oldest: self.resting.oldest().map(|(at, _)| at),
        }
    }

    /// What was in memory when it was wanted.
    pub fn cache_counts(&self) -> CacheCounts {
        self.cache_counts
    }

    /// An entity has nothing to do: it may be forgotten, and is at the end of the step where its kind
    /// is not kept in memory.
    pub(super) fn rest(&mut self, slot: Slot) {
        self.wake(slot);
        let now = self.now;
        let entity = self.entity(slot);
        if !entity.is_idle() {
            return;
        }
        let bytes = entity.bytes();
        let rested = self.resting.enter(now, slot, bytes);
        self.entity(slot).rested = Some(rested);
        if !self.kind_of(slot).cached {
            self.passing.push(slot);
        }
    }

    /// An entity is wanted.
    pub(super) fn wake(&mut self, slot: Slot) {
        if let Some(rested) = self.entity(slot).rested.take() {
            self.resting.leave(rested);
        }
    }

    /// Forgets the entity that rests longest, if one does.
    pub(super) fn evict(&mut self, t: &mut Turn<'_, '_>) {
        if let Some((_, slot)) = self.resting.oldest() {
            reached!(t.cx, "log: an entity is forgotten to make room");
            self.forget(t, slot);
        }
    }

    /// Forgets entities of kinds that are not kept, unless they are wanted again by now.
    pub(super) fn forget_passing(&mut self, t: &mut Turn<'_, '_>) {
        while let Some(slot) = self.passing.pop() {
            let entity = self.entities.get(slot);
            if entity.is_some_and(|entity| entity.rested.is_some()) {
                reached!(
                    t.cx,
                    "log: an entity of a kind that is not kept is forgotten"
                );
                self.forget(t, slot);
            }
        }
    }

    fn forget(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        self.wake(slot);
        self.cache_counts.evictions += 1;
        if let Some(entity) = self.entities.remove(slot) {
            self.slot_numbers.give_back(slot);
            let Entity {
                kind, id, snapshot, ..
            } = *entity;
            self.index.remove(&Named::new(kind, id.clone()));
            match snapshot {
                Taking::Stored(body) => {
                    reached!(
                        t.cx,
                        "log: a forgotten entity's snapshot waits for its name"
                    );
                    self.unnamed.keep(kind, id, body);
                    self.drop_unnamed(self.limits.snapshots_unnamed_max);
                }
                Taking::No | Taking::Storing(_) | Taking::Wasted(_) => {}
            }
        }
        t.out.push(Effect::Forget { slot });
    }

    /// A snapshot that was stored before the entity was forgotten.
    pub(super) fn unnamed_body(&mut self, slot: Slot) -> Option<Body> {
        let entity = self
            .entities
            .get(slot)
            .expect("a slot of an entity in memory");
        self.unnamed.take(entity.kind, &entity.id)
    }

    /// Keeps so many of them in mind; the bodies of the others are deleted.
    pub(super) fn drop_unnamed(&mut self, keep: usize) {
        while let Some((kind, id, body)) = self.unnamed.pop_beyond(keep) {
            if !body.offered {
                self.erase_body(kind, id, &body.named);
            }
        }
    }
}

impl Entity {
    /// What the machine keeps for it, in bytes.
    fn bytes(&self) -> usize {
        // The id is kept in the index too.
        let names = 2 * self.id.as_str().len() + self.subject.len();
        let held = self.held.as_ref().map_or(0, |held| {
            let ids = held.ids.len() * CommandTable::ENTRY_BYTES + held.ids.outcome_bytes();
            held.chain.bytes() + ids + held.timers.bytes()
        });
        size_of::<Self>() + names + held
    }
}
