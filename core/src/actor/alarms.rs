//! What is due next, the earliest first, where most alarms are called off before their time.

use crate::step::Time;
use alloc::collections::{BinaryHeap, VecDeque};
use core::cmp::Reverse;

/// So many alarms that were called off are kept before they are looked for.
const STALE_MAX: usize = 64;

/// Alarms, each of someone at a time. One that was called off stays until it comes to the front, or
/// until most are such.
#[derive(Clone, Debug)]
pub(super) struct Alarms<W> {
    /// Those that were set in the order of their times, as nearly all are: messages wait equally long.
    queue: VecDeque<(Time, W)>,
    /// The others.
    heap: BinaryHeap<Reverse<(Time, W)>>,
}

impl<W: Copy + Ord> Alarms<W> {
    pub(super) const fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            heap: BinaryHeap::new(),
        }
    }

    pub(super) fn set(&mut self, at: Time, whose: W) {
        let alarm = (at, whose);
        match self.queue.back() {
            Some(last) if *last > alarm => self.heap.push(Reverse(alarm)),
            Some(_) | None => self.queue.push_back(alarm),
        }
    }

    /// The earliest, which is still wanted after a [`sweep`](Self::sweep).
    pub(super) fn first(&self) -> Option<(Time, W)> {
        let queued = self.queue.front().copied();
        let other = self.heap.peek().map(|Reverse(first)| *first);
        match (queued, other) {
            (Some(queued), Some(other)) => Some(queued.min(other)),
            (one, None) | (None, one) => one,
        }
    }

    /// Takes the earliest out when it is due.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<(Time, W)> {
        let first = self.first()?;
        if first.0 > now {
            return None;
        }
        self.pop(first);
        Some(first)
    }

    /// Takes out the earliest.
    fn pop(&mut self, first: (Time, W)) {
        if self.queue.front() == Some(&first) {
            self.queue.pop_front();
        } else {
            self.heap.pop();
        }
    }

    /// Drops those in front that nobody wants any more; `live` are wanted in all.
    pub(super) fn sweep(&mut self, live: usize, wanted: impl Fn(Time, W) -> bool) {
        if self.queue.len() + self.heap.len() > 2 * live + STALE_MAX {
            self.queue.retain(|(at, whose)| wanted(*at, *whose));
            self.heap.retain(|Reverse((at, whose))| wanted(*at, *whose));
        }
        while let Some(first) = self.first()
            && !wanted(first.0, first.1)
        {
            self.pop(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Alarms, STALE_MAX};
    use crate::step::Time;
    use alloc::collections::BTreeSet;

    #[test]
    fn what_was_called_off_does_not_pile_up() {
        let at = Time::from_nanos;
        let mut alarms = Alarms::new();
        alarms.set(at(1), 0_u32);
        for n in 1..10_000 {
            alarms.set(at(u64::from(n) + 1), n);
            alarms.sweep(1, |_, whose| whose == 0);
            assert!(alarms.queue.len() + alarms.heap.len() <= 2 + STALE_MAX + 1);
        }
        assert_eq!(alarms.first(), Some((at(1), 0)));
    }

    #[test]
    fn the_earliest_that_is_wanted_is_first() {
        let at = Time::from_nanos;
        let mut alarms = Alarms::new();
        let mut wanted: BTreeSet<u32> = (0..100).collect();
        for n in 0..100 {
            alarms.set(at(u64::from((n * 37) % 100)), n);
        }
        wanted.retain(|n| n % 3 == 0);
        alarms.sweep(wanted.len(), |_, n| wanted.contains(&n));
        let earliest = wanted
            .iter()
            .map(|n| (at(u64::from((n * 37) % 100)), *n))
            .min();
        assert_eq!(alarms.first(), earliest);
        assert_eq!(alarms.pop_due(at(0)), Some((at(0), 0)));
    }
}
