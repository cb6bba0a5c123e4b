//! The deadlines of a slab's slots. Nearly all slots are gone long before their deadline, so one is
//! set and taken back in constant time; it is kept to about a millisecond.

use super::list::{Links, List};
use crate::step::{Span, Time};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    /// The slots of each millisecond other than the latest.
    due: BTreeMap<u64, List>,
    /// The millisecond for which a timer was set last, and its slots: requests that come together have one
    /// deadline mostly.
    latest: (u64, List),
    links: Links,
    /// In which millisecond each slot is.
    of: Vec<u64>,
}

/// Nanoseconds of a bucket, as a power of two: a millisecond.
const BITS: u32 = 20;

/// No bucket: the slot has no timer.
const NONE: u64 = u64::MAX;

impl Timers {
    /// Sets the timer of a slot that has none.
    pub(super) fn set(&mut self, slot: u32, at: Time) {
        let bucket = at.as_nanos() >> BITS;
        let place = slot as usize;
        if place >= self.of.len() {
            self.of.resize(place + 1, NONE);
        }
        debug_assert_eq!(self.of[place], NONE, "a slot has one timer");
        self.of[place] = bucket;
        if self.latest.0 != bucket {
            self.turn_to(bucket);
        }
        self.links.push(&mut self.latest.1, slot);
    }

    /// Makes a bucket the latest one.
    fn turn_to(&mut self, bucket: u64) {
        let list = self.due.remove(&bucket).unwrap_or_default();
        let (before, list) = core::mem::replace(&mut self.latest, (bucket, list));
        if !list.is_empty() {
            self.due.insert(before, list);
        }
    }

    /// Takes back the timer of a slot, if it has one.
    pub(super) fn clear(&mut self, slot: u32) {
        let Some(of) = self.of.get_mut(slot as usize) else {
            return;
        };
        let bucket = core::mem::replace(of, NONE);
        if bucket == NONE {
            return;
        }
        if bucket == self.latest.0 {
            self.links.remove(&mut self.latest.1, slot);
        } else if let Some(list) = self.due.get_mut(&bucket) {
            self.links.remove(list, slot);
            if list.is_empty() {
                self.due.remove(&bucket);
            }
        }
    }

    /// A slot whose deadline has passed; its timer is taken back.
    pub(super) fn pop(&mut self, now: Time) -> Option<u32> {
        let (bucket, list) = self.first()?;
        let slot = list.first()?;
        if end(bucket) > now {
            return None;
        }
        self.clear(slot);
        Some(slot)
    }

    /// When the first deadline will have passed.
    pub(super) fn next(&self) -> Option<Time> {
        self.first().map(|(bucket, _)| end(bucket))
    }

    /// The first bucket in which a slot is.
    fn first(&self) -> Option<(u64, List)> {
        let due = self.due.first_key_value();
        let due = due.map(|(bucket, list)| (*bucket, *list));
        let latest = Some(self.latest).filter(|(_, list)| !list.is_empty());
        due.into_iter()
            .chain(latest)
            .min_by_key(|(bucket, _)| *bucket)
    }
}

/// When all deadlines of a bucket have passed.
fn end(bucket: u64) -> Time {
    Time::ZERO + Span::from_nanos(bucket.saturating_add(1).saturating_mul(1 << BITS))
}

#[cfg(test)]
mod tests {
    use super::{BITS, Timers};
    use crate::step::{Dice, Purpose, Span, Time};
    use alloc::collections::BTreeSet;

    #[test]
    fn a_timer_fires_within_two_milliseconds_after_its_deadline() {
        let mut timers = Timers::default();
        let at = |ms| Time::ZERO + Span::from_millis(ms);
        for (slot, ms) in [(0, 30), (1, 10), (2, 20), (3, 10)] {
            timers.set(slot, at(ms));
        }
        timers.clear(2);
        timers.clear(7);
        assert_eq!(timers.pop(at(9)), None);
        let next = timers.next().unwrap();
        assert!(next > at(10) && next <= at(12), "{next}");
        assert_eq!([timers.pop(next), timers.pop(next)], [Some(1), Some(3)]);
        assert_eq!(timers.pop(at(29)), None);
        timers.clear(0);
        assert_eq!((timers.pop(at(99)), timers.next()), (None, None));
    }

    #[test]
    fn they_are_the_same_as_an_ordered_set() {
        let dice = Dice::new(31);
        let (mut timers, mut set) = (Timers::default(), BTreeSet::new());
        for n in 0..20_000_u64 {
            let roll = |what, below| dice.below(Purpose::World, 4 * n + what, below);
            let (slot, bucket) = (roll(0, 24) as u32, n / 100 + roll(1, 4));
            let at = |bucket: u64| Time::from_nanos(bucket << BITS);
            match set.iter().find(|(_, of)| *of == slot).copied() {
                None => {
                    timers.set(slot, at(bucket));
                    set.insert((bucket, slot));
                }
                Some(entry) if roll(2, 2) == 0 => {
                    timers.clear(slot);
                    set.remove(&entry);
                }
                Some(_) => {}
            }
            let first = set.first().map(|(bucket, _)| *bucket);
            assert_eq!(timers.next(), first.map(|first| at(first + 1)));
            while let Some(slot) = timers.pop(at(n / 100)) {
                let entry = set.iter().find(|(_, of)| *of == slot).copied();
                let entry = entry.expect("a timer that was set");
                assert!(entry.0 < n / 100 && set.remove(&entry));
            }
            assert!(set.first().is_none_or(|(bucket, _)| *bucket >= n / 100));
        }
    }
}
