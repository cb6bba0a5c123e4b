//! The node's two clocks: a monotonic one that counts suspended time, and the wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tenure_core::id::WallTime;
use tenure_core::step::Time;

/// A monotonic clock, counted from its own start.
///
/// On Linux it is CLOCK_BOOTTIME, which goes on while the machine is suspended: a lease must not
/// outlive a closed lid. Elsewhere it is the standard library's monotonic clock, which on some
/// systems stops during suspension; P3's bound then includes the longest suspension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: platform::Reading,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            start: platform::read(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        let since = platform::since(self.start);
        Time::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Milliseconds since the Unix epoch.
#[allow(
    clippy::disallowed_methods,
    reason = "the shell is where the wall clock is read"
)]
pub(crate) fn wall() -> WallTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod platform {
    use rustix::time::{ClockId, clock_gettime};
    use std::time::Duration;

    pub(super) type Reading = Duration;

    pub(super) fn read() -> Reading {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    pub(super) fn since(start: Reading) -> Duration {
        read().saturating_sub(start)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[allow(
    clippy::disallowed_methods,
    reason = "the shell is where the clock is read"
)]
mod platform {
    use std::time::{Duration, Instant};

    pub(super) type Reading = Instant;

    pub(super) fn read() -> Reading {
        Instant::now()
    }

    pub(super) fn since(start: Reading) -> Duration {
        start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn the_clock_starts_near_zero_and_does_not_go_back() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(first.as_nanos() < 1_000_000_000);
        assert!(clock.now() >= first);
    }
}
