//! An ordered map for what mostly has a handful of entries, which come and go with each command.
#![cfg_attr(
    not(feature = "driver"),
    allow(dead_code, reason = "the driver calls all of it, the machines some")
)]

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::mem;

/// With more entries it is a tree.
const FEW_MAX: usize = 32;

/// With so few a tree becomes a list again.
const FEW_AGAIN: usize = 8;

/// A map in the order of its keys.
///
/// One entry stands in the map itself: a map that goes from none to one and back with each command
/// touches no other memory. A few stand in one list, which keeps its memory. Many are a tree.
#[derive(Clone)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "driver",
    serde(bound(deserialize = "K: Ord + serde::Deserialize<'de>, V: serde::Deserialize<'de>"))
)]
pub(crate) struct Table<K, V> {
    /// Is there only while the others have no entries.
    one: Option<(K, V)>,
    few: Vec<(K, V)>,
    /// Has entries only while the others have none.
    many: BTreeMap<K, V>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Table<K, V> {
    pub(crate) const fn new() -> Self {
        Self {
            one: None,
            few: Vec::new(),
            many: BTreeMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.one.is_some()) + self.few.len() + self.many.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn clear(&mut self) {
        self.one = None;
        self.few.clear();
        self.many.clear();
    }

    /// All entries in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let few = self.one.iter().chain(&self.few);
        few.map(|(key, value)| (key, value)).chain(&self.many)
    }
}

impl<K: Ord, V> Table<K, V> {
    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        if let Some((one, value)) = &self.one {
            return (one == key).then_some(value);
        }
        match self.place(key) {
            Ok(place) => self.few.get(place).map(|(_, value)| value),
            Err(_) if self.many.is_empty() => None,
            Err(_) => self.many.get(key),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if self.one.is_some() {
            let one = self.one.as_mut().filter(|(one, _)| one == key);
            return one.map(|(_, value)| value);
        }
        match self.place(key) {
            Ok(place) => self.few.get_mut(place).map(|(_, value)| value),
            Err(_) if self.many.is_empty() => None,
            Err(_) => self.many.get_mut(key),
        }
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Adds an entry; what was under its key before.
    #[inline]
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.one.is_none() && self.few.is_empty() && self.many.is_empty() {
            self.one = Some((key, value));
            return None;
        }
        self.insert_beside(key, value)
    }

    /// Adds an entry where there are others.
    fn insert_beside(&mut self, key: K, value: V) -> Option<V> {
        match &mut self.one {
            Some((one, before)) if *one == key => return Some(mem::replace(before, value)),
            Some(_) => self.few.extend(self.one.take()),
            None if !self.many.is_empty() => return self.many.insert(key, value),
            None => {}
        }
        match self.place(&key) {
            Ok(place) => {
                let (_, before) = self.few.get_mut(place)?;
                Some(mem::replace(before, value))
            }
            Err(place) if self.few.len() < FEW_MAX => {
                self.few.insert(place, (key, value));
                None
            }
            Err(_) => {
                self.many.extend(self.few.drain(..));
                self.many.insert(key, value)
            }
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        match &self.one {
            Some((one, _)) if one == key => self.one.take().map(|(_, value)| value),
            Some(_) => None,
            None => self.remove_of_several(key),
        }
    }

    fn remove_of_several(&mut self, key: &K) -> Option<V> {
        if self.many.is_empty() {
            let place = self.place(key).ok()?;
            return Some(self.few.remove(place).1);
        }
        let removed = self.many.remove(key);
        self.shrink();
        removed
    }

    /// The entry with the lowest key.
    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        match self.one.as_ref().or(self.few.first()) {
            Some((key, value)) => Some((key, value)),
            None => self.many.first_key_value(),
        }
    }

    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        if self.many.is_empty() {
            let few = (!self.few.is_empty()).then(|| self.few.remove(0));
            return self.one.take().or(few);
        }
        let first = self.many.pop_first();
        self.shrink();
        first
    }

    /// Where a key is in the list, or would be. New keys are mostly the highest.
    fn place(&self, key: &K) -> Result<usize, usize> {
        match self.few.last() {
            None => Err(0),
            Some((last, _)) if last < key => Err(self.few.len()),
            Some(_) => self.few.binary_search_by(|(other, _)| other.cmp(key)),
        }
    }

    fn shrink(&mut self) {
        if self.many.len() <= FEW_AGAIN {
            self.few.extend(mem::take(&mut self.many));
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW_AGAIN, FEW_MAX, Table};
    use crate::step::{Dice, Purpose};
    use alloc::collections::BTreeMap;

    #[test]
    fn it_is_the_same_as_an_ordered_map() {
        let dice = Dice::new(11);
        let (mut table, mut map) = (Table::new(), BTreeMap::new());
        let (mut trees, mut lists, mut ones) = (0, 0, 0);
        for n in 0..20_000_u64 {
            let roll = |what| dice.below(Purpose::World, 4 * n + what, 64);
            // Grows and shrinks in turns.
            let grows = (n / 500) % 2 == 0;
            let key = roll(0);
            if grows == (roll(1) < 48) {
                assert_eq!(table.insert(key, n), map.insert(key, n));
            } else if roll(2) < 32 {
                assert_eq!(table.remove(&key), map.remove(&key));
            } else {
                assert_eq!(table.pop_first(), map.pop_first());
            }
            assert_eq!(table.get(&key), map.get(&key));
            assert_eq!(table.get_mut(&key), map.get_mut(&key));
            assert_eq!(table.contains_key(&key), map.contains_key(&key));
            assert_eq!(table.first(), map.first_key_value());
            assert_eq!((table.len(), table.is_empty()), (map.len(), map.is_empty()));
            assert!(table.iter().eq(&map));
            trees += usize::from(!table.many.is_empty());
            lists += usize::from(table.few.len() > FEW_AGAIN);
            ones += usize::from(table.one.is_some());
            assert!(table.few.len() <= FEW_MAX);
        }
        assert!(
            trees > 1_000 && lists > 1_000 && ones > 20,
            "{trees} {lists} {ones}"
        );
        table.clear();
        assert_eq!(table.pop_first(), None);
    }
}
