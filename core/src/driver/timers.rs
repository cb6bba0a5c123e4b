//! When a lane's machines are looked at next, the earliest first.

use crate::step::Time;
use std::collections::{BTreeMap, BTreeSet};

/// For each machine with a deadline one time at or before it.
///
/// Most deadlines are callers' who are answered long before. So a time stays when its deadline moves
/// away, and who is woken asks the machine.
pub(crate) struct Timers<W> {
    of: BTreeMap<W, Time>,
    order: BTreeSet<(Time, W)>,
}

impl<W> Default for Timers<W> {
    fn default() -> Self {
        Self {
            of: BTreeMap::new(),
            order: BTreeSet::new(),
        }
    }
}

impl<W: Copy + Ord> Timers<W> {
    /// The machine's deadline is this, or there is none: it is to be looked at by then.
    pub(crate) fn note(&mut self, who: W, deadline: Option<Time>) {
        let Some(at) = deadline else { return };
        let before = self.of.get(&who).copied();
        if before.is_none_or(|before| at < before) {
            self.set(who, before, at);
        }
    }

    /// The machine was looked at: its next time is its deadline, if it has one.
    pub(crate) fn looked(&mut self, who: W, deadline: Option<Time>) {
        let before = self.of.get(&who).copied();
        match (before, deadline) {
            (_, Some(at)) if before == Some(at) => {}
            (_, Some(at)) => self.set(who, before, at),
            (Some(before), None) => {
                self.of.remove(&who);
                self.order.remove(&(before, who));
            }
            (None, None) => {}
        }
    }

    fn set(&mut self, who: W, before: Option<Time>, at: Time) {
        if let Some(before) = before {
            self.order.remove(&(before, who));
        }
        self.of.insert(who, at);
        self.order.insert((at, who));
    }

    /// The earliest time, and whose it is.
    pub(crate) fn first(&self) -> Option<(Time, W)> {
        self.order.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;
    use crate::step::Time;

    #[test]
    fn a_machine_is_looked_at_no_later_than_its_deadline() {
        let at = Time::from_nanos;
        let mut timers = Timers::default();
        timers.note('a', Some(at(5)));
        timers.note('b', Some(at(3)));
        assert_eq!(timers.first(), Some((at(3), 'b')));
        timers.note('b', Some(at(9)));
        timers.note('b', None);
        assert_eq!(
            timers.first(),
            Some((at(3), 'b')),
            "it stays until the look"
        );
        timers.looked('b', Some(at(9)));
        assert_eq!(timers.first(), Some((at(5), 'a')));
        timers.looked('a', None);
        assert_eq!(timers.first(), Some((at(9), 'b')));
        timers.note('b', Some(at(2)));
        assert_eq!(timers.first(), Some((at(2), 'b')));
        timers.looked('b', None);
        timers.looked('b', None);
        assert_eq!(timers.first(), None);
    }
}
