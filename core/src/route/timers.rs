//! The deadlines of a slab's slots. Nearly all slots are gone long before their deadline, so one is
//! set and taken back in constant time; it is kept to about a millisecond.

use super::list::{Links, List};
use crate::step::{Span, Time};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    /// The slots of each millisecond.
    due: BTreeMap<u64, List>,
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
        self.links.push(self.due.entry(bucket).or_default(), slot);
    }

    /// Takes back the timer of a slot, if it has one.
    pub(super) fn clear(&mut self, slot: u32) {
        let Some(of) = self.of.get_mut(slot as usize) else {
            return;
        };
        let bucket = core::mem::replace(of, NONE);
        if let Some(list) = self.due.get_mut(&bucket) {
            self.links.remove(list, slot);
            if list.is_empty() {
                self.due.remove(&bucket);
            }
        }
    }

    /// A slot whose deadline has passed; its timer is taken back.
    pub(super) fn pop(&mut self, now: Time) -> Option<u32> {
        let (bucket, list) = self.due.first_key_value()?;
        let slot = list.first()?;
        if end(*bucket) > now {
            return None;
        }
        self.clear(slot);
        Some(slot)
    }

    /// When the first deadline will have passed.
    pub(super) fn next(&self) -> Option<Time> {
        self.due.first_key_value().map(|(bucket, _)| end(*bucket))
    }
}

/// When all deadlines of a bucket have passed.
fn end(bucket: u64) -> Time {
    Time::ZERO + Span::from_nanos(bucket.saturating_add(1).saturating_mul(1 << BITS))
}

#[cfg(test)]
mod tests {
    use super::Timers;
    use crate::step::{Span, Time};

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
}
