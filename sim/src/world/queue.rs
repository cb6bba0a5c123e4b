//! What is to happen, by when and in which order.

use super::event::Event;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Events that wait: the earliest comes first, and of those of one time the one that was caused first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// When, the event's number, and its slot: what is moved about in the heap is small.
    order: BinaryHeap<Reverse<(u64, u64, u32)>>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// Those that were pushed in the order in which they come, as shells give up after the same time.
    in_order: VecDeque<Due>,
}

#[derive(Debug)]
struct Slot {
    cause: u64,
    event: Event,
}

/// The next event.
#[derive(Debug)]
pub(super) struct Due {
    /// When, in true nanoseconds.
    pub(super) at: u64,
    /// Its number among all events.
    pub(super) ordinal: u64,
    /// The event in which it was caused.
    pub(super) cause: u64,
    pub(super) event: Event,
}

impl Queue {
    pub(super) fn push(&mut self, due: Due) {
        let Due {
            at,
            ordinal,
            cause,
            event,
        } = due;
        let filled = Some(Slot { cause, event });
        let slot = self.free.pop();
        let slot = slot.unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer events wait")
        });
        self.slots[slot as usize] = filled;
        self.order.push(Reverse((at, ordinal, slot)));
    }

    /// One that comes no sooner than all that were pushed so before.
    pub(super) fn push_in_order(&mut self, due: Due) {
        let last = self.in_order.back();
        assert!(
            last.is_none_or(|last| (last.at, last.ordinal) < (due.at, due.ordinal)),
            "{due:?} comes before {last:?}"
        );
        self.in_order.push_back(due);
    }

    pub(super) fn pop(&mut self) -> Option<Due> {
        if let Some(first) = self.in_order.front() {
            let other = self.order.peek();
            if other
                .is_none_or(|Reverse((at, ordinal, _))| (first.at, first.ordinal) < (*at, *ordinal))
            {
                return self.in_order.pop_front();
            }
        }
        let Reverse((at, ordinal, slot)) = self.order.pop()?;
        let Slot { cause, event } = self.slots[slot as usize].take()?;
        self.free.push(slot);
        Some(Due {
            at,
            ordinal,
            cause,
            event,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, Queue};
    use crate::world::event::Event;

    #[test]
    fn the_earliest_comes_first_and_then_the_one_that_was_caused_first() {
        let mut queue = Queue::default();
        let mut ordinal = 0;
        let mut due = |at| {
            ordinal += 1;
            Due {
                at,
                ordinal,
                cause: at,
                event: Event::Restart { node: 0 },
            }
        };
        let mut push = |queue: &mut Queue, at| queue.push(due(at));
        for at in [5, 3, 5, 9, 3] {
            push(&mut queue, at);
        }
        let pop = |queue: &mut Queue| queue.pop().map(|due| (due.at, due.ordinal, due.cause));
        assert_eq!(pop(&mut queue), Some((3, 2, 3)));
        assert_eq!(pop(&mut queue), Some((3, 5, 3)));
        push(&mut queue, 5);
        assert_eq!(pop(&mut queue), Some((5, 1, 5)));
        assert_eq!(pop(&mut queue), Some((5, 3, 5)));
        assert_eq!(pop(&mut queue), Some((5, 6, 5)));
        assert_eq!(pop(&mut queue), Some((9, 4, 9)));
        assert_eq!(pop(&mut queue), None);
        let pushed = [(5, true), (4, false), (5, false), (7, true), (6, false)];
        for (ordinal, (at, in_order)) in (11..).zip(pushed) {
            let due = Due {
                at,
                ordinal,
                cause: at,
                event: Event::Restart { node: 0 },
            };
            match in_order {
                true => queue.push_in_order(due),
                false => queue.push(due),
            }
        }
        let order: Vec<_> = std::iter::from_fn(|| pop(&mut queue)).collect();
        let order: Vec<_> = order.iter().map(|it| it.1).collect();
        assert_eq!(order, [12, 11, 13, 15, 14]);
    }

    #[test]
    #[should_panic(expected = "comes before")]
    fn what_is_out_of_order_is_refused() {
        let mut queue = Queue::default();
        for (ordinal, at) in [(1, 3), (2, 2)] {
            queue.push_in_order(Due {
                at,
                ordinal,
                cause: 0,
                event: Event::Restart { node: 0 },
            });
        }
    }
}
