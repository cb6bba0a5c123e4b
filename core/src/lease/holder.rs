//! The lease of this node, as it counts it itself (T1, T3, T4).

use super::Terms;
use crate::step::{Span, Time};

/// The lease of this node, as it counts it itself.
///
/// Each step begins with [`enter`](Self::enter), whatever its input is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Holder {
    terms: Terms,
    until: Option<Time>,
    /// Heartbeats that were sent before this do not count: the lease was ended since.
    floor: Time,
    /// The last step.
    entered: Time,
}

/// What the time says at the beginning of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Entry {
    /// Nothing changed.
    Steady,
    /// The lease ended by itself since the last step.
    Lapsed,
    /// The time jumped by more than the margin: a lease that was held is ended.
    Gap {
        /// Whether one was held.
        held: bool,
    },
    /// The clock went back, which a monotonic one never does.
    WentBack,
}

impl Holder {
    /// A node without a lease.
    pub fn new(terms: Terms, now: Time) -> Self {
        Self {
            terms,
            until: None,
            floor: now,
            entered: now,
        }
    }

    /// The first thing in each step: ends what time has ended (T4).
    pub fn enter(&mut self, now: Time) -> Entry {
        if now < self.entered {
            self.until = None;
            return Entry::WentBack;
        }
        let gap = now.since(self.entered) > self.terms.margin;
        self.entered = now;
        if gap {
            let held = self.until.take().is_some();
            self.floor = now;
            return Entry::Gap { held };
        }
        match self.until {
            Some(until) if until <= now => {
                self.until = None;
                Entry::Lapsed
            }
            Some(_) | None => Entry::Steady,
        }
    }

    /// The heartbeat that was sent then is acknowledged. Whether the lease lasts longer by it.
    pub fn acknowledged(&mut self, sent: Time) -> bool {
        if sent < self.floor {
            return false;
        }
        let until = sent + self.terms.hold();
        if until <= self.entered || self.until.is_some_and(|held| until <= held) {
            return false;
        }
        self.until = Some(until);
        true
    }

    /// The lease is over: another revision stands in the place of this node's, or the node leaves. No
    /// heartbeat that was sent before counts any more. Whether one was held.
    pub fn end(&mut self, now: Time) -> bool {
        self.floor = self.floor.max(now);
        self.until.take().is_some()
    }

    /// Until when the node may act; `None`: not now.
    pub fn until(&self) -> Option<Time> {
        self.until
    }

    /// By when the next step must come, lest its time look like a gap.
    pub fn step_by(&self) -> Time {
        let half = Span::from_nanos(self.terms.margin.as_nanos() / 2);
        let steady = self.entered + half;
        self.until.map_or(steady, |until| steady.min(until))
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Holder};
    use crate::lease::Terms;
    use crate::step::{Span, Time};

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_millis(ms)
    }

    fn walk(holder: &mut Holder, from_ms: u64, to_ms: u64) {
        for ms in (from_ms..=to_ms).step_by(100) {
            assert_eq!(holder.enter(at(ms)), Entry::Steady, "at {ms} ms");
        }
    }

    /// 3 s, of which 2,497 ms count.
    fn holder() -> Holder {
        let mut holder = Holder::new(Terms::single(), Time::ZERO);
        walk(&mut holder, 0, 200);
        assert!(holder.acknowledged(at(100)));
        holder
    }

    #[test]
    fn a_lease_counts_from_the_sending_of_the_last_acknowledged_heartbeat() {
        let mut holder = holder();
        assert_eq!(holder.until(), Some(at(2_597)));
        walk(&mut holder, 300, 1_000);
        assert!(!holder.acknowledged(at(50)), "an older one adds nothing");
        assert!(holder.acknowledged(at(900)));
        assert_eq!(holder.until(), Some(at(3_397)));
        walk(&mut holder, 1_100, 3_300);
        assert_eq!(holder.enter(at(3_397)), Entry::Lapsed);
        assert_eq!(holder.until(), None);
    }

    #[test]
    fn an_acknowledgement_that_comes_after_its_end_gives_nothing() {
        let mut holder = holder();
        walk(&mut holder, 300, 2_500);
        assert_eq!(holder.enter(at(2_600)), Entry::Lapsed);
        assert!(!holder.acknowledged(at(101)));
        assert_eq!(holder.until(), None);
    }

    #[test]
    fn a_gap_ends_it_and_what_was_sent_before() {
        let mut holder = holder();
        assert_eq!(holder.enter(at(701)), Entry::Gap { held: true });
        assert!(!holder.acknowledged(at(700)), "sent before the gap was met");
        assert!(holder.acknowledged(at(701)));
        assert_eq!(
            holder.enter(at(1_201)),
            Entry::Steady,
            "as long as the margin"
        );
        holder.end(at(1_201));
        assert_eq!(holder.enter(at(1_800)), Entry::Gap { held: false });
    }

    #[test]
    fn an_ended_lease_stays_ended_for_what_was_sent_before() {
        let mut holder = holder();
        assert!(holder.end(at(250)));
        assert!(!holder.acknowledged(at(249)));
        assert!(holder.acknowledged(at(250)));
        assert!(holder.end(at(300)) && !holder.end(at(300)));
    }

    #[test]
    fn a_clock_that_goes_back_ends_it() {
        let mut holder = holder();
        assert_eq!(holder.enter(at(199)), Entry::WentBack);
        assert_eq!(holder.until(), None);
    }
}
