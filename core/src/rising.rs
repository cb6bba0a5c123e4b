//! Finds a slot by a number of those that rise, such as tickets and operations, without a search.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

/// Numbers with their slots. Each has the place of its lower bits, and numbers that rise and are soon gone
/// have different ones; where another one stays for long, what comes to its place stands beside. Nothing
/// iterates over it, so its order shows nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rising {
    /// A power of two of places, or none.
    places: Vec<(u64, u32)>,
    others: BTreeMap<u64, u32>,
    len: usize,
}

/// The slot of a place that is free.
const FREE: u32 = u32::MAX;

/// The fewest places, once there are any.
const PLACES_MIN: usize = 16;

impl Rising {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn find(&self, number: u64) -> Option<u32> {
        match self.places.get(self.home(number)) {
            Some((other, slot)) if *other == number && *slot != FREE => Some(*slot),
            Some(_) | None if self.others.is_empty() => None,
            Some(_) | None => self.others.get(&number).copied(),
        }
    }

    /// Adds a number; `false` when it is there already.
    #[inline]
    pub(crate) fn insert(&mut self, number: u64, slot: u32) -> bool {
        assert!(slot != FREE, "a slot is below 2^32 - 1");
        let home = self.home(number);
        let beside = !self.others.is_empty() && self.others.contains_key(&number);
        match self.places.get_mut(home) {
            Some(place) if place.1 == FREE && !beside => *place = (number, slot),
            Some(place) if place.0 == number || beside => return false,
            Some(_) | None => self.make_way(number, slot),
        }
        self.len += 1;
        true
    }

    #[inline]
    pub(crate) fn remove(&mut self, number: u64) -> Option<u32> {
        let home = self.home(number);
        let slot = match self.places.get_mut(home) {
            Some((other, slot)) if *other == number && *slot != FREE => {
                core::mem::replace(slot, FREE)
            }
            Some(_) | None => self.others.remove(&number)?,
        };
        self.len -= 1;
        Some(slot)
    }

    #[inline]
    fn home(&self, number: u64) -> usize {
        // Without places it is beyond their end.
        number as usize & self.places.len().wrapping_sub(1)
    }

    /// A new number's place is taken. While half of the places are free it stands beside, since it is not the
    /// want of places.
    #[cold]
    fn make_way(&mut self, number: u64, slot: u32) {
        if self.places.is_empty() || 2 * self.len >= self.places.len() {
            self.grow();
        }
        let home = self.home(number);
        match self.places.get_mut(home) {
            Some(place) if place.1 == FREE => *place = (number, slot),
            Some(_) | None => {
                self.others.insert(number, slot);
            }
        }
    }

    fn grow(&mut self) {
        let places = (2 * self.places.len()).max(PLACES_MIN);
        let before = core::mem::replace(&mut self.places, vec![(0, FREE); places]);
        let others = core::mem::take(&mut self.others);
        let before = before.into_iter().filter(|(_, slot)| *slot != FREE);
        for (number, slot) in before.chain(others) {
            let home = self.home(number);
            match self.places.get_mut(home) {
                Some(place) if place.1 == FREE => *place = (number, slot),
                Some(_) | None => {
                    self.others.insert(number, slot);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PLACES_MIN, Rising};

    #[test]
    fn it_is_the_same_as_an_ordered_map() {
        crate::slot_model::holds(Rising::len, Rising::find, Rising::insert, Rising::remove);
    }

    #[test]
    fn what_rises_takes_as_many_places_as_are_there_together() {
        let mut rising = Rising::default();
        // One that stays.
        rising.insert(3, 0);
        for number in 100..100_000 {
            assert!(rising.insert(number, 7));
            if number >= 105 {
                assert_eq!(rising.remove(number - 5), Some(7));
            }
            assert!(rising.others.len() <= 1);
        }
        assert_eq!((rising.find(3), rising.places.len()), (Some(0), PLACES_MIN));
    }
}
