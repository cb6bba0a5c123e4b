//! What is kept for each slot, found by the slot's own number: each command looks some thirty times.

use crate::id::Slot;
use alloc::vec::Vec;

/// Values by slot. A slot has its place in its low half, so it is found without a search; the high
/// half tells it from those that had the place before.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Slots<V> {
    places: Vec<Option<(Slot, V)>>,
    len: usize,
}

impl<V> Default for Slots<V> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            len: 0,
        }
    }
}

impl<V> Slots<V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&V> {
        match self.places.get(place(slot)) {
            Some(Some((other, value))) if *other == slot => Some(value),
            Some(_) | None => None,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut V> {
        match self.places.get_mut(place(slot)) {
            Some(Some((other, value))) if *other == slot => Some(value),
            Some(_) | None => None,
        }
    }

    pub(crate) fn contains(&self, slot: Slot) -> bool {
        self.get(slot).is_some()
    }

    /// Adds a value; the one that the slot had before. What another slot had in the same place goes.
    pub(crate) fn insert(&mut self, slot: Slot, value: V) -> Option<V> {
        let place = place(slot);
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        let before = self.places[place].replace((slot, value));
        self.len += usize::from(before.is_none());
        let (other, value) = before?;
        (other == slot).then_some(value)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<V> {
        let place = self.places.get_mut(place(slot))?;
        let (_, value) = place.take_if(|(other, _)| *other == slot)?;
        self.len -= 1;
        Some(value)
    }

    /// All values, in the order of their places.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.places.iter().flatten().map(|(_, value)| value)
    }

    /// All slots with their values, by rising slot: the one that was numbered first comes first.
    pub(crate) fn in_order(&self) -> Vec<(Slot, &V)> {
        let places = self.places.iter().flatten();
        let mut all: Vec<_> = places.map(|(slot, value)| (*slot, value)).collect();
        all.sort_unstable_by_key(|(slot, _)| *slot);
        all
    }
}

/// Gives slots numbers: each a place of its own while it is in use, low ones first.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SlotNumbers {
    /// How many were given.
    serial: u32,
    /// How many places there are.
    places: u32,
    /// Those that are not in use.
    free: Vec<u32>,
}

impl SlotNumbers {
    pub(crate) fn take(&mut self) -> Slot {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places += 1;
            self.places - 1
        });
        let slot = Slot(u64::from(self.serial) << 32 | u64::from(place));
        // Whoever may still know the slot of four billion ago has long asked for it.
        self.serial = self.serial.wrapping_add(1);
        slot
    }

    /// A slot that was [taken](Self::take) is not in use any more.
    pub(crate) fn give_back(&mut self, slot: Slot) {
        self.free.push(low(slot));
    }
}

fn low(slot: Slot) -> u32 {
    slot.0 as u32
}

#[inline]
fn place(slot: Slot) -> usize {
    low(slot) as usize
}

#[cfg(test)]
mod tests {
    use super::{SlotNumbers, Slots};
    use crate::step::{Dice, Purpose};
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    #[test]
    fn it_is_the_same_as_an_ordered_map() {
        let dice = Dice::new(3);
        let (mut numbers, mut slots, mut map) =
            (SlotNumbers::default(), Slots::default(), BTreeMap::new());
        let mut gone = Vec::new();
        for n in 0..5_000_u64 {
            let roll = |what, below| dice.below(Purpose::World, 2 * n + what, below) as usize;
            if map.len() < 3 || roll(0, 2) == 0 {
                let slot = numbers.take();
                assert!(
                    map.keys().all(|other| *other < slot),
                    "in the order of their making"
                );
                assert_eq!(slots.insert(slot, n), map.insert(slot, n));
            } else {
                let slot = *map.keys().nth(roll(1, map.len() as u64)).unwrap();
                assert_eq!(slots.remove(slot), map.remove(&slot));
                numbers.give_back(slot);
                gone.push(slot);
            }
            assert_eq!(slots.len(), map.len());
            assert!(
                slots
                    .in_order()
                    .into_iter()
                    .eq(map.iter().map(|(slot, n)| (*slot, n)))
            );
            for slot in gone.iter().rev().take(20) {
                assert!(!slots.contains(*slot) && slots.remove(*slot).is_none());
            }
            for (slot, n) in &mut map {
                assert_eq!(slots.get(*slot), Some(&*n));
                assert_eq!(slots.get_mut(*slot), Some(n));
            }
        }
        assert!(slots.places.len() < 200, "places are used again");
    }
}
