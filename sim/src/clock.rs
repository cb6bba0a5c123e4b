//! A node's own clock: it runs from its start at a rate of its own, within the bound that leases rest
//! on (S16), and counts the time in which the node stands still. One that breaks its word jumps, or
//! stands still itself.

use crate::deviation::{Deviation, Fault};
use crate::draw::Draws;
use crate::profile::Faults;
use tenure_core::{Span, Time};

const MILLION: i128 = 1_000_000;

/// A clock that was zero when its node started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// When it ran at this rate first, in true nanoseconds, and what it showed then.
    since: u64,
    shown: u64,
    /// By how many millionths it runs too fast; negative: too slow.
    drift_ppm: i64,
    frozen: bool,
}

impl Clock {
    pub(crate) fn new(born: u64, drift_ppm: i64) -> Self {
        Self {
            since: born,
            shown: 0,
            drift_ppm,
            frozen: false,
        }
    }

    /// That of a node which starts now: it runs by so many millionths too fast, unless that is not among
    /// what goes wrong in this run.
    pub(crate) fn start(
        draws: &mut Draws,
        faults: &Faults,
        (node, now): (usize, u64),
        drift_ppm: i64,
    ) -> Self {
        let drift = Deviation::Fault {
            fault: Fault::Drift,
            row: node as u64,
            number: 1,
        };
        let drifts = faults.drift && drift_ppm != 0 && draws.deviations.happens(drift);
        Self::new(now, if drifts { drift_ppm } else { 0 })
    }

    /// What it shows at a true time.
    pub(crate) fn at(self, now: u64) -> Time {
        if self.frozen {
            return Time::from_nanos(self.shown);
        }
        // What was before the last change of its rate counts as that moment.
        let true_age = i128::from(now.saturating_sub(self.since));
        let age = true_age + true_age * i128::from(self.drift_ppm) / MILLION;
        let age = u64::try_from(age).expect("a clock that goes forward");
        Time::from_nanos(self.shown + age)
    }

    /// The first true time at which it shows this, or more; `None` while it stands still before.
    pub(crate) fn when(self, shown: Time) -> Option<u64> {
        let to_go = shown.as_nanos().saturating_sub(self.shown);
        if self.frozen {
            return (to_go == 0).then_some(self.since);
        }
        let rate = MILLION + i128::from(self.drift_ppm);
        let age = i128::from(to_go) * MILLION / rate;
        let mut age = u64::try_from(age).expect("a time of one run");
        while self.at(self.since + age) < shown {
            age += 1;
        }
        Some(self.since + age)
    }

    /// It shows so much more from now on.
    pub(crate) fn jump(&mut self, now: u64, by: Span) {
        self.shown = self.at(now).as_nanos() + by.as_nanos();
        self.since = now;
    }

    /// Whether it stands still.
    pub(crate) fn is_frozen(self) -> bool {
        self.frozen
    }

    /// It stands still from now on, or goes on.
    pub(crate) fn freeze(&mut self, now: u64, frozen: bool) {
        self.shown = self.at(now).as_nanos();
        self.since = now;
        self.frozen = frozen;
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use tenure_core::{Span, Time};

    #[test]
    fn a_time_is_shown_when_it_is_said_to_be() {
        for drift_ppm in [-50_000, -1, 0, 7, 50_000] {
            let clock = Clock::new(1_000, drift_ppm);
            for now in [1_000, 1_001, 5_000_000, 7_000_000_013] {
                let shown = clock.at(now);
                let when = clock.when(shown).expect("a clock that runs");
                assert!(when <= now && clock.at(when) == shown, "{drift_ppm}, {now}");
            }
        }
    }

    #[test]
    fn a_clock_jumps_and_stands_still() {
        let mut clock = Clock::new(1_000, 0);
        clock.jump(2_000, Span::from_nanos(500));
        assert_eq!(clock.at(2_100), Time::from_nanos(1_600));
        clock.freeze(2_100, true);
        assert_eq!(clock.at(9_000), Time::from_nanos(1_600));
        assert_eq!(clock.when(Time::from_nanos(1_601)), None);
        clock.freeze(9_000, false);
        assert_eq!(clock.when(Time::from_nanos(1_700)), Some(9_100));
    }
}
