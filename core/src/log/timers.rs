//! The timers that an entity has armed: a fold of its commits, and part of its snapshots (S18).

use crate::format::{Later, Timer};
use crate::id::WallTime;
use crate::name::TimerName;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;

/// The armed timers of one entity. Most have none, and take no memory for it.
#[expect(
    clippy::box_collection,
    reason = "an entity has one word for it, as most have no timer"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct ArmedTimers(Option<Box<BTreeMap<TimerName, Timer>>>);

impl ArmedTimers {
    pub(super) fn of_snapshot(timers: &[Timer]) -> Self {
        let mut armed = Self::default();
        for timer in timers {
            armed.arm(timer);
        }
        armed
    }

    /// Takes in the timers of one commit.
    pub(super) fn absorb(&mut self, later: &Later) {
        for name in &later.cancelled {
            self.cancel(name);
        }
        for timer in &later.armed {
            self.arm(timer);
        }
    }

    fn arm(&mut self, timer: &Timer) {
        let mut timer = timer.clone();
        // A copy: the message that it came in must not stay in memory with it.
        timer.message.data = Bytes::copy_from_slice(&timer.message.data);
        let timers = self.0.get_or_insert_default();
        timers.insert(timer.name.clone(), timer);
    }

    fn cancel(&mut self, name: &TimerName) {
        if let Some(timers) = &mut self.0 {
            timers.remove(name);
            if timers.is_empty() {
                self.0 = None;
            }
        }
    }

    /// All go: the entity was deleted.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// How many there will be after a commit.
    pub(super) fn count_after(&self, later: &Later) -> usize {
        let goes = |name: &TimerName| {
            later.cancelled.contains(name) || later.armed.iter().any(|timer| timer.name == *name)
        };
        let stay = self.iter().filter(|timer| !goes(&timer.name)).count();
        stay + later.armed.len()
    }

    /// The timer of a name that is due at a time, if it is armed so.
    pub(super) fn armed(&self, name: &TimerName, due: WallTime) -> Option<&Timer> {
        let timer = self.0.as_ref()?.get(name)?;
        (timer.due == due).then_some(timer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Timer> {
        self.0.iter().flat_map(|timers| timers.values())
    }

    /// All of them, by rising name.
    pub(super) fn to_vec(&self) -> Vec<Timer> {
        self.iter().cloned().collect()
    }

    /// What they keep, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let each = self.iter().map(|timer| {
            size_of::<Timer>() + 2 * timer.name.as_str().len() + timer.message.data.len()
        });
        each.sum()
    }
}

/// When a timer comes again that fired at `now`: periods that were missed are not made up for.
/// `None` for one that comes once.
pub(super) fn next_due(timer: &Timer, now: WallTime) -> Option<WallTime> {
    let period = timer.period_ms;
    let missed = now.0.saturating_sub(timer.due.0).checked_div(period)?;
    let next = timer
        .due
        .0
        .saturating_add(period.saturating_mul(missed + 1));
    Some(WallTime(next))
}

#[cfg(test)]
mod tests {
    use super::{ArmedTimers, next_due};
    use crate::format::{Later, MessageRecord, Timer};
    use crate::id::WallTime;
    use crate::name::TimerName;
    use alloc::vec;
    use bytes::Bytes;

    fn timer(name: &str, due: u64, period_ms: u64) -> Timer {
        Timer {
            name: TimerName::new(name).unwrap(),
            due: WallTime(due),
            period_ms,
            message: MessageRecord {
                name: "m".into(),
                schema: 1,
                data: Bytes::from_static(b"x"),
            },
        }
    }

    #[test]
    fn missed_periods_are_not_made_up_for() {
        let once = timer("a", 1_000, 0);
        assert_eq!(next_due(&once, WallTime(5_000)), None);
        let each = timer("a", 1_000, 300);
        for (now, next) in [
            (1_000, 1_300),
            (1_299, 1_300),
            (1_300, 1_600),
            (5_000, 5_200),
        ] {
            assert_eq!(next_due(&each, WallTime(now)), Some(WallTime(next)));
        }
        let last = timer("a", u64::MAX - 1, 300);
        assert_eq!(
            next_due(&last, WallTime(u64::MAX)),
            Some(WallTime(u64::MAX))
        );
    }

    #[test]
    fn a_fold_of_commits_arms_and_cancels() {
        let mut armed = ArmedTimers::default();
        let later = Later {
            armed: vec![timer("a", 1, 0), timer("b", 2, 0)],
            ..Later::default()
        };
        assert_eq!(armed.count_after(&later), 2);
        armed.absorb(&later);
        let again = Later {
            armed: vec![timer("a", 5, 0)],
            cancelled: vec![TimerName::new("b").unwrap(), TimerName::new("c").unwrap()],
            ..Later::default()
        };
        assert_eq!(armed.count_after(&again), 1);
        armed.absorb(&again);
        let name = TimerName::new("a").unwrap();
        assert!(armed.armed(&name, WallTime(1)).is_none());
        assert!(armed.armed(&name, WallTime(5)).is_some());
        assert_eq!(ArmedTimers::of_snapshot(&armed.to_vec()), armed);
        armed.clear();
        assert_eq!(armed, ArmedTimers::default());
    }
}
