//! The armed timers of a shard, as far as they are in mind.

use super::{ByTime, take_due};
use crate::format::{IndexedTimer, Later};
use crate::id::{Ticket, WallTime};
use crate::name::{EntityId, KindName, TimerName};
use crate::step::Time;
use alloc::collections::{BTreeMap, BTreeSet};

/// Whose timer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct TimerKey {
    pub(super) kind: KindName,
    pub(super) entity: EntityId,
    pub(super) name: TimerName,
}

/// A timer in mind.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Entry {
    due: WallTime,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum State {
    /// Until it is due.
    Waiting,
    /// It fires; its ticket.
    Firing(Ticket),
    /// Until a time, after so many tries.
    Again(Time, u32),
    /// Until its kind is known here.
    NoKind,
}

/// A timer that fires.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Fired {
    pub(super) key: TimerKey,
    pub(super) due: WallTime,
    pub(super) tries: u32,
    /// The domain rejected its message.
    pub(super) rejected: bool,
}

#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Timers {
    of: BTreeMap<(KindName, EntityId), BTreeMap<TimerName, Entry>>,
    count: usize,
    /// Those that wait, by when they are due.
    due: BTreeSet<(WallTime, TimerKey)>,
    again: ByTime<TimerKey>,
    firing: BTreeMap<Ticket, Fired>,
    /// Those of them that delete their entity and wait for its messages.
    aside: BTreeSet<Ticket>,
    /// Timers that are due then or later are left out.
    horizon: Option<WallTime>,
    /// Those of them that a reading of the whole log has found so far.
    found: Option<Found>,
    /// How many times as much as usual such a reading keeps: the last ones found nothing that stands,
    /// because what is cleared later filled it.
    wider: u32,
}

/// Timers that were left out, while the log is read for them from its begin.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Found {
    /// Those that are due before are in mind.
    floor: WallTime,
    of: BTreeMap<TimerKey, WallTime>,
    by_due: BTreeSet<(WallTime, TimerKey)>,
    /// Those that are due then or later were left out again.
    horizon: Option<WallTime>,
}

impl Found {
    fn remove(&mut self, key: &TimerKey) {
        if let Some(due) = self.of.remove(key) {
            self.by_due.remove(&(due, key.clone()));
        }
    }

    fn arm(&mut self, key: TimerKey, due: WallTime, most: usize) {
        self.remove(&key);
        if due < self.floor || self.horizon.is_some_and(|horizon| due >= horizon) {
            return;
        }
        self.by_due.insert((due, key.clone()));
        self.of.insert(key, due);
        if self.of.len() > most
            && let Some((last, _)) = self.by_due.last()
        {
            let last = *last;
            self.horizon = Some(last);
            while let Some((due, key)) = self.by_due.last().cloned()
                && due >= last
            {
                self.remove(&key);
            }
        }
    }
}

impl Timers {
    pub(super) fn next_due(&self) -> Option<WallTime> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn next_again(&self) -> Option<Time> {
        self.again.first().map(|(at, _)| *at)
    }

    /// Timers that are due then or later may be missing.
    pub(crate) fn horizon(&self) -> Option<WallTime> {
        self.horizon
    }

    pub(super) fn set_horizon(&mut self, horizon: Option<WallTime>) {
        self.horizon = horizon;
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many fire, without those that wait for messages.
    pub(super) fn firing(&self) -> usize {
        self.firing.len() - self.aside.len()
    }

    /// A firing waits for messages; whether it may, beside as many others.
    pub(super) fn give_way(&mut self, ticket: Ticket, most: usize) -> bool {
        if self.aside.contains(&ticket) {
            return true;
        }
        let may = self.aside.len() < most && self.firing.contains_key(&ticket);
        if may {
            self.aside.insert(ticket);
        }
        may
    }

    /// What was left out is looked for: the log is read from its begin.
    pub(super) fn look(&mut self) {
        self.found = self.horizon.map(|floor| Found {
            floor,
            of: BTreeMap::new(),
            by_due: BTreeSet::new(),
            horizon: None,
        });
    }

    /// The log was read: what was found is in mind.
    pub(super) fn looked(&mut self, most: usize) {
        let Some(found) = self.found.take() else {
            return;
        };
        if self.horizon.is_some_and(|horizon| horizon < found.floor) {
            // There were more meanwhile, and what is due from then on is left out now: what was found is
            // all later.
            return;
        }
        self.horizon = found.horizon;
        self.wider = match found.of.is_empty() && found.horizon.is_some() {
            true => (self.wider + 1).min(20),
            false => 0,
        };
        // All of it: what is due at one time with more than are held would be left out again, for ever.
        let most = most.max(self.count + found.of.len());
        for (due, key) in found.by_due {
            self.arm(key, due, most);
        }
    }

    /// Takes in the timers of one commit that is read for those that were left out.
    pub(super) fn find(
        &mut self,
        (kind, entity): (&KindName, &EntityId),
        (tombstone, later): (bool, Option<&Later>),
        most: usize,
    ) {
        let most = most.saturating_mul(1 << self.wider);
        let Some(found) = &mut self.found else {
            return;
        };
        let key = |name: &TimerName| TimerKey {
            kind: kind.clone(),
            entity: entity.clone(),
            name: name.clone(),
        };
        if tombstone {
            let whose = |key: &&TimerKey| key.kind == *kind && key.entity == *entity;
            let keys: alloc::vec::Vec<_> = found.of.keys().filter(whose).cloned().collect();
            for key in keys {
                found.remove(&key);
            }
        }
        let Some(later) = later else { return };
        for name in &later.cancelled {
            found.remove(&key(name));
        }
        for timer in &later.armed {
            found.arm(key(&timer.name), timer.due, most);
        }
    }

    /// Takes in the timers of one commit.
    pub(crate) fn absorb(
        &mut self,
        (kind, entity): (&KindName, &EntityId),
        later: &Later,
        most: usize,
    ) {
        let key = |name: &TimerName| TimerKey {
            kind: kind.clone(),
            entity: entity.clone(),
            name: name.clone(),
        };
        for name in &later.cancelled {
            self.remove(&key(name));
        }
        for timer in &later.armed {
            self.arm(key(&timer.name), timer.due, most);
        }
    }

    /// The entity was deleted.
    pub(crate) fn clear(&mut self, kind: &KindName, entity: &EntityId) {
        let whose = (kind.clone(), entity.clone());
        let Some(timers) = self.of.remove(&whose) else {
            return;
        };
        let (kind, entity) = whose;
        for (name, entry) in timers {
            let (kind, entity) = (kind.clone(), entity.clone());
            self.drop_entry(&TimerKey { kind, entity, name }, &entry);
        }
    }

    /// A timer is armed.
    pub(super) fn arm(&mut self, key: TimerKey, due: WallTime, most: usize) {
        self.remove(&key);
        if self.horizon.is_some_and(|horizon| due >= horizon) {
            return;
        }
        let state = State::Waiting;
        self.due.insert((due, key.clone()));
        let whose = (key.kind, key.entity);
        let timers = self.of.entry(whose).or_default();
        timers.insert(key.name, Entry { due, state });
        self.count += 1;
        if self.count > most
            && let Some((due, key)) = self.due.last().cloned()
        {
            // The one that is due last is found again when there is room.
            self.remove(&key);
            self.horizon = Some(self.horizon.map_or(due, |horizon| horizon.min(due)));
            // Whatever else is due then or later goes too: nothing says which of them are all.
            while let Some((other, key)) = self.due.last().cloned()
                && other >= due
            {
                self.remove(&key);
            }
        }
    }

    fn entry(&mut self, key: &TimerKey) -> Option<&mut Entry> {
        let whose = (key.kind.clone(), key.entity.clone());
        self.of.get_mut(&whose)?.get_mut(&key.name)
    }

    pub(super) fn remove(&mut self, key: &TimerKey) {
        let whose = (key.kind.clone(), key.entity.clone());
        let Some(timers) = self.of.get_mut(&whose) else {
            return;
        };
        let Some(entry) = timers.remove(&key.name) else {
            return;
        };
        if timers.is_empty() {
            self.of.remove(&whose);
        }
        self.drop_entry(key, &entry);
    }

    fn drop_entry(&mut self, key: &TimerKey, entry: &Entry) {
        self.count -= 1;
        match entry.state {
            State::Waiting => drop(self.due.remove(&(entry.due, key.clone()))),
            State::Again(at, _) => drop(self.again.remove(&(at, key.clone()))),
            // Its firing ends by itself.
            State::Firing(_) | State::NoKind => {}
        }
    }

    /// The timer that is due first, if that is by now.
    pub(super) fn pop_due(&mut self, wall: WallTime) -> Option<(TimerKey, WallTime)> {
        let (due, key) = self.due.first().cloned().filter(|(due, _)| *due <= wall)?;
        self.due.pop_first();
        Some((key, due))
    }

    /// It fires.
    pub(super) fn fire(&mut self, key: TimerKey, due: WallTime, ticket: Ticket, tries: u32) {
        if let Some(entry) = self.entry(&key) {
            entry.state = State::Firing(ticket);
        }
        let rejected = false;
        let fired = Fired {
            key,
            due,
            tries,
            rejected,
        };
        self.firing.insert(ticket, fired);
    }

    pub(super) fn reject(&mut self, ticket: Ticket) {
        if let Some(fired) = self.firing.get_mut(&ticket) {
            fired.rejected = true;
        }
    }

    /// A firing ended.
    pub(super) fn end(&mut self, ticket: Ticket) -> Option<Fired> {
        self.aside.remove(&ticket);
        self.firing.remove(&ticket)
    }

    /// Whether a firing's timer still stands as it was when it fired.
    pub(super) fn is_firing(&mut self, fired: &Fired, ticket: Ticket) -> bool {
        let due = fired.due;
        let entry = self.entry(&fired.key);
        entry.is_some_and(|entry| entry.due == due && entry.state == State::Firing(ticket))
    }

    /// It waits until a time.
    pub(super) fn wait(&mut self, key: TimerKey, at: Time, tries: u32) {
        if let Some(entry) = self.entry(&key) {
            entry.state = State::Again(at, tries);
            self.again.insert((at, key));
        }
    }

    /// Its kind is not known here.
    pub(super) fn park(&mut self, key: &TimerKey) {
        if let Some(entry) = self.entry(key) {
            entry.state = State::NoKind;
        }
    }

    /// A kind is known now.
    pub(super) fn unpark(&mut self, kind: &KindName) {
        let mine = self.of.iter_mut().filter(|((of, _), _)| of == kind);
        for ((kind, entity), timers) in mine {
            for (name, entry) in timers {
                if entry.state == State::NoKind {
                    entry.state = State::Waiting;
                    let (kind, entity) = (kind.clone(), entity.clone());
                    let name = name.clone();
                    self.due
                        .insert((entry.due, TimerKey { kind, entity, name }));
                }
            }
        }
    }

    /// Those that waited until now, each with its tries.
    pub(super) fn take_again(&mut self, now: Time) -> alloc::vec::Vec<(TimerKey, WallTime, u32)> {
        let keys = take_due(&mut self.again, now);
        let mut taken = alloc::vec::Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(entry) = self.entry(&key)
                && let State::Again(_, tries) = entry.state
            {
                let due = entry.due;
                taken.push((key, due, tries));
            }
        }
        taken
    }

    /// All of them, those that are due first first.
    pub(crate) fn all(&self) -> alloc::vec::Vec<IndexedTimer> {
        let each = self.of.iter().flat_map(|((kind, entity), timers)| {
            timers.iter().map(move |(name, entry)| IndexedTimer {
                kind: kind.clone(),
                entity: entity.clone(),
                name: name.clone(),
                due: entry.due,
            })
        });
        let mut all: alloc::vec::Vec<_> = each.collect();
        all.sort_by_key(|timer| timer.due);
        all
    }
}
