//! Until when this node may act as the holder of its lease, for everyone who acts in its places.
//!
//! Lane 0 tells it; the others read it before each step of their actors and before each poll of their
//! code, whatever else they have to do (S16, K6).

use crate::step::Time;
use std::sync::atomic::{AtomicU64, Ordering};

/// The end of the node's lease, shared by its lanes and by what runs for them.
#[derive(Debug, Default)]
pub(crate) struct LeaseEnd {
    /// How many leases were lost.
    lost: AtomicU64,
    /// The end in nanoseconds; 0: there is none.
    until: AtomicU64,
}

/// One reading of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Under which lease.
    pub(crate) permit: Permit,
    /// Its end.
    pub(crate) until: Option<Time>,
}

/// The lease under which something began: under a later one it may not go on, since others may have
/// acted between the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permit(u64);

impl LeaseEnd {
    /// The lease ends then; `None`: it was lost.
    pub(crate) fn tell(&self, until: Option<Time>) {
        match until.map(Time::as_nanos) {
            Some(until) => self.until.store(until.max(1), Ordering::Release),
            None => {
                self.until.store(0, Ordering::Release);
                self.lost.fetch_add(1, Ordering::Release);
            }
        }
    }

    pub(crate) fn read(&self) -> Reading {
        loop {
            let lost = self.lost.load(Ordering::Acquire);
            let until = self.until.load(Ordering::Acquire);
            // Else it was lost meanwhile, and perhaps there is another.
            if lost == self.lost.load(Ordering::Acquire) {
                let until = (until > 0).then(|| Time::from_nanos(until));
                let permit = Permit(lost);
                return Reading { permit, until };
            }
        }
    }

    /// Whether what began under this lease may act now.
    pub(crate) fn allows(&self, permit: Permit, now: Time) -> bool {
        let reading = self.read();
        reading.permit == permit && reading.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::LeaseEnd;
    use crate::step::{Span, Time};

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_millis(ms)
    }

    #[test]
    fn what_began_under_a_lease_goes_on_as_long_as_that_lease_does() {
        let lease = LeaseEnd::default();
        let before = lease.read();
        assert!(before.until.is_none() && !lease.allows(before.permit, Time::ZERO));
        lease.tell(Some(at(10)));
        let permit = lease.read().permit;
        assert!(lease.allows(permit, at(9)) && !lease.allows(permit, at(10)));
        lease.tell(Some(at(20)));
        assert!(lease.allows(permit, at(19)));
        lease.tell(None);
        assert!(!lease.allows(permit, at(19)));
        lease.tell(Some(at(30)));
        assert!(!lease.allows(permit, at(29)), "it began under another");
        let reading = lease.read();
        assert_eq!(reading.until, Some(at(30)));
        assert!(lease.allows(reading.permit, at(29)));
    }
}
