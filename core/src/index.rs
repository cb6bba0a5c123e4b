//! Finds a slot by a number that its owner chose, in constant time and without memory for each.

use alloc::vec;
use alloc::vec::Vec;

/// Numbers with their slots: open addressing with linear probing. Nothing iterates over it, so its
/// order shows nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// A power of two of places, at most three quarters of them taken; or none.
    places: Vec<(u64, u32)>,
    len: usize,
    /// How far a hash is shifted to be the number of a place.
    shift: u32,
}

/// The slot of a place that is free.
const FREE: u32 = u32::MAX;

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn find(&self, number: u64) -> Option<u32> {
        let (_, slot) = self.place(number)?;
        (slot != FREE).then_some(slot)
    }

    /// Adds a number; `false` when it is there already.
    pub(crate) fn insert(&mut self, number: u64, slot: u32) -> bool {
        assert!(slot != FREE, "a slot is below 2^32 - 1");
        if 4 * (self.len + 1) > 3 * self.places.len() {
            self.grow();
        }
        let (place, before) = self.place(number).expect("a free place");
        if before != FREE {
            return false;
        }
        self.places[place] = (number, slot);
        self.len += 1;
        true
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<u32> {
        let (place, slot) = self.place(number)?;
        if slot == FREE {
            return None;
        }
        self.len -= 1;
        self.close(place);
        Some(slot)
    }

    /// Where a number is, or would be, and the slot that is there; `None` without any place.
    #[inline]
    fn place(&self, number: u64) -> Option<(usize, u32)> {
        let mut place = self.home(number);
        loop {
            let (other, slot) = *self.places.get(place)?;
            if slot == FREE || other == number {
                return Some((place, slot));
            }
            place = self.after(place);
        }
    }

    /// The place that a number begins to look at.
    #[inline]
    fn home(&self, number: u64) -> usize {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        (number.wrapping_mul(GOLDEN) >> self.shift) as usize
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    /// Frees a place, and moves up what would not be found any more.
    fn close(&mut self, mut free: usize) {
        let mask = self.places.len() - 1;
        let mut place = self.after(free);
        while self.places[place].1 != FREE {
            let home = self.home(self.places[place].0);
            // How far each is behind the home: what is at or behind the free place may move there.
            if place.wrapping_sub(home) & mask >= place.wrapping_sub(free) & mask {
                self.places[free] = self.places[place];
                free = place;
            }
            place = self.after(place);
        }
        self.places[free] = (0, FREE);
    }

    fn grow(&mut self) {
        let places = (2 * self.places.len()).max(16);
        self.shift = u64::BITS - places.ilog2();
        let before = core::mem::replace(&mut self.places, vec![(0, FREE); places]);
        for (number, slot) in before {
            if slot != FREE {
                let (place, _) = self.place(number).expect("a free place");
                self.places[place] = (number, slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[test]
    fn it_is_the_same_as_an_ordered_map() {
        crate::slot_model::holds(Index::len, Index::find, Index::insert, Index::remove);
    }
}
