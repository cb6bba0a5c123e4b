//! A node's own clock: it runs from its start at a rate of its own, within the bound that leases rest
//! on (S16), and counts the time in which the node stands still.

use tenure_core::Time;

const MILLION: i128 = 1_000_000;

/// A clock that was zero when its node started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// When it started, in true nanoseconds.
    born: u64,
    /// By how many millionths it runs too fast; negative: too slow.
    drift_ppm: i64,
}

impl Clock {
    pub(super) fn new(born: u64, drift_ppm: i64) -> Self {
        Self { born, drift_ppm }
    }

    /// What it shows at a true time.
    pub(super) fn at(self, now: u64) -> Time {
        let true_age = i128::from(now - self.born);
        let shown = true_age + true_age * i128::from(self.drift_ppm) / MILLION;
        Time::from_nanos(u64::try_from(shown).expect("a clock that goes forward"))
    }

    /// The first true time at which it shows this, or more.
    pub(super) fn when(self, shown: Time) -> u64 {
        let rate = MILLION + i128::from(self.drift_ppm);
        let age = i128::from(shown.as_nanos()) * MILLION / rate;
        let mut age = u64::try_from(age).expect("a time of one run");
        while self.at(self.born + age) < shown {
            age += 1;
        }
        self.born + age
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn a_time_is_shown_when_it_is_said_to_be() {
        for drift_ppm in [-50_000, -1, 0, 7, 50_000] {
            let clock = Clock::new(1_000, drift_ppm);
            for now in [1_000, 1_001, 5_000_000, 7_000_000_013] {
                let shown = clock.at(now);
                let when = clock.when(shown);
                assert!(when <= now && clock.at(when) == shown, "{drift_ppm}, {now}");
            }
        }
    }
}
