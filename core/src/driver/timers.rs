//! The deadlines of a lane's machines, the earliest first.

use crate::step::Time;
use std::collections::{BTreeMap, BTreeSet};

/// At most one deadline for each machine.
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
    /// The machine's deadline is now this.
    pub(crate) fn set(&mut self, who: W, at: Option<Time>) {
        let before = match at {
            Some(at) => self.of.insert(who, at),
            None => self.of.remove(&who),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, who));
        }
        if let Some(at) = at {
            self.order.insert((at, who));
        }
    }

    /// The earliest deadline, and whose it is.
    pub(crate) fn first(&self) -> Option<(Time, W)> {
        self.order.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;
    use crate::step::Time;

    #[test]
    fn each_machine_has_one_deadline_and_the_earliest_is_first() {
        let at = Time::from_nanos;
        let mut timers = Timers::default();
        timers.set('a', Some(at(5)));
        timers.set('b', Some(at(3)));
        assert_eq!(timers.first(), Some((at(3), 'b')));
        timers.set('b', Some(at(9)));
        assert_eq!(timers.first(), Some((at(5), 'a')));
        timers.set('a', None);
        assert_eq!(timers.first(), Some((at(9), 'b')));
        timers.set('b', None);
        timers.set('b', None);
        assert_eq!(timers.first(), None);
    }
}
