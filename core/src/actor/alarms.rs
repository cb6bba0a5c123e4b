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
    use alloc::collections::{BTreeMap, BTreeSet};
    use proptest::collection::vec;
    use proptest::prelude::*;

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

    #[derive(Clone, Debug)]
    enum Act {
        Set(Time, u8),
        CallOff(u8),
        PopDue(Time),
        Sweep,
    }

    fn act() -> impl Strategy<Value = Act> {
        let at = || (0..40_u64).prop_map(Time::from_nanos);
        prop_oneof![
            12 => (at(), 0..20_u8).prop_map(|(at, whose)| Act::Set(at, whose)),
            // As most are: later than those before.
            12 => (40..44_u64, 0..20_u8).prop_map(|(at, n)| Act::Set(Time::from_nanos(at), n)),
            2 => (0..20_u8).prop_map(Act::CallOff),
            2 => at().prop_map(Act::PopDue),
            1 => Just(Act::Sweep),
        ]
    }

    /// All that are set and not taken out, with how often.
    #[derive(Default)]
    struct Model(BTreeMap<(Time, u8), usize>);

    impl Model {
        fn first(&self) -> Option<(Time, u8)> {
            self.0.keys().next().copied()
        }

        fn pop(&mut self) {
            if let Some(mut first) = self.0.first_entry() {
                *first.get_mut() -= 1;
                if *first.get() == 0 {
                    first.remove();
                }
            }
        }

        fn count(&self, wanted: impl Fn(u8) -> bool) -> usize {
            let wanted = self.0.iter().filter(|((_, whose), _)| wanted(*whose));
            wanted.map(|(_, count)| count).sum()
        }

        fn sweep(&mut self, wanted: impl Fn(u8) -> bool) {
            if self.count(|_| true) > 2 * self.count(&wanted) + STALE_MAX {
                self.0.retain(|(_, whose), _| wanted(*whose));
            }
            while self.first().is_some_and(|(_, whose)| !wanted(whose)) {
                self.pop();
            }
        }
    }

    proptest! {
        #[test]
        fn they_are_as_an_ordered_multiset(acts in vec(act(), 0..400)) {
            let (mut alarms, mut model) = (Alarms::new(), Model::default());
            let mut off = BTreeSet::new();
            for act in acts {
                match act {
                    Act::Set(at, whose) => {
                        alarms.set(at, whose);
                        *model.0.entry((at, whose)).or_default() += 1;
                    }
                    Act::CallOff(whose) => drop(off.insert(whose)),
                    Act::PopDue(now) => {
                        let due = model.first().filter(|(at, _)| *at <= now);
                        prop_assert_eq!(alarms.pop_due(now), due);
                        if due.is_some() {
                            model.pop();
                        }
                    }
                    Act::Sweep => {
                        let wanted = |whose| !off.contains(&whose);
                        alarms.sweep(model.count(wanted), |_, whose| wanted(whose));
                        model.sweep(wanted);
                    }
                }
                prop_assert_eq!(alarms.first(), model.first());
                prop_assert_eq!(alarms.queue.len() + alarms.heap.len(), model.count(|_| true));
            }
        }
    }
}
