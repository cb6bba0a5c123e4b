//! What the nodes of a namespace agree on about leases, and which of it can work.

use crate::step::Span;
use core::fmt;

/// What all nodes of a namespace agree on about leases.
///
/// ```
/// use tenure_core::Span;
/// use tenure_core::lease::Terms;
///
/// let terms = Terms::cluster();
/// assert_eq!(terms.ttl, Span::from_secs(10));
/// assert!(terms.check(true).is_ok());
/// // The holder stops well before anyone takes its place.
/// assert!(terms.hold() < terms.ttl && terms.ttl < terms.watch());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Terms {
    /// How long an acknowledged heartbeat holds.
    pub ttl: Span,
    /// By how much a node's clock may run too fast or too slow, in millionths (ρ).
    pub drift_ppm: u32,
    /// What is taken off the holder's time and added to the others', for what a step takes. A gap in
    /// a node's time that is longer ends its lease.
    pub margin: Span,
}

/// Terms that cannot work, and what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TermsError {
    /// The time to live is too short to be kept at all.
    #[error("a lease of {ttl} cannot be kept; make its ttl {ttl_min} or longer")]
    TooShort {
        /// What was asked for.
        ttl: Span,
        /// The shortest.
        ttl_min: Span,
    },
    /// The time to live is longer than anyone waits for a node that is gone.
    #[error("a lease of {ttl} outlasts a node by too long; make its ttl {ttl_max} or shorter")]
    TooLong {
        /// What was asked for.
        ttl: Span,
        /// The longest.
        ttl_max: Span,
    },
    /// The servers themselves may be silent for longer.
    #[error(
        "a lease of {ttl} is lost whenever the servers elect a leader, which takes up to 8 s; make its ttl longer than that on a cluster of servers (10 s is the usual one)"
    )]
    Election {
        /// What was asked for.
        ttl: Span,
    },
    /// No clock is that wrong, and the leases would last for ever.
    #[error("a drift of {drift_ppm} ppm leaves no lease; make it {drift_ppm_max} or less")]
    Drift {
        /// What was asked for.
        drift_ppm: u32,
        /// The most.
        drift_ppm_max: u32,
    },
    /// There is no margin, or too little.
    #[error("a margin of {margin} is shorter than a step may take; make it {margin_min} or more")]
    NoMargin {
        /// What was asked for.
        margin: Span,
        /// The least.
        margin_min: Span,
    },
    /// The margin leaves too little of the lease.
    #[error(
        "a margin of {margin} leaves too little of a lease of {ttl}; make it {margin_max} or less, or the ttl longer"
    )]
    Margin {
        /// What was asked for.
        margin: Span,
        /// The time to live.
        ttl: Span,
        /// The most.
        margin_max: Span,
    },
}

const MILLION: u64 = 1_000_000;

impl Terms {
    /// The shortest time to live.
    pub const TTL_MIN: Span = Span::from_millis(500);
    /// The longest time to live.
    pub const TTL_MAX: Span = Span::from_secs(600);
    /// How long a cluster of servers may take no write after one of them crashed.
    pub const ELECTION: Span = Span::from_secs(8);
    /// The largest drift: 5 %.
    pub const DRIFT_PPM_MAX: u32 = 50_000;
    /// The least margin.
    pub const MARGIN_MIN: Span = Span::from_millis(20);

    /// The usual terms on a cluster of servers: 10 s, a drift of 1,000 ppm, a margin of 1 s.
    pub const fn cluster() -> Self {
        Self {
            ttl: Span::from_secs(10),
            drift_ppm: 1_000,
            margin: Span::from_secs(1),
        }
    }

    /// The usual terms on a single server, and in memory: 3 s, a drift of 1,000 ppm, a margin of
    /// 500 ms.
    pub const fn single() -> Self {
        Self {
            ttl: Span::from_secs(3),
            drift_ppm: 1_000,
            margin: Span::from_millis(500),
        }
    }

    /// Terms of this time to live, with the usual drift and a margin in proportion: a tenth of it, at
    /// least 20 ms and at most 1 s.
    #[must_use]
    pub fn of_ttl(ttl: Span) -> Self {
        let tenth = Span::from_nanos(ttl.as_nanos() / 10);
        Self {
            ttl,
            drift_ppm: Self::cluster().drift_ppm,
            margin: tenth.max(Self::MARGIN_MIN).min(Self::cluster().margin),
        }
    }

    /// Whether leases of these terms can be kept and end. `clustered`: the store is a cluster of
    /// servers.
    ///
    /// # Errors
    ///
    /// When they cannot; the error says what to change.
    pub fn check(&self, clustered: bool) -> Result<(), TermsError> {
        let Self {
            ttl,
            drift_ppm,
            margin,
        } = *self;
        if ttl < Self::TTL_MIN {
            let ttl_min = Self::TTL_MIN;
            return Err(TermsError::TooShort { ttl, ttl_min });
        }
        if ttl > Self::TTL_MAX {
            let ttl_max = Self::TTL_MAX;
            return Err(TermsError::TooLong { ttl, ttl_max });
        }
        if clustered && ttl <= Self::ELECTION {
            return Err(TermsError::Election { ttl });
        }
        if drift_ppm > Self::DRIFT_PPM_MAX {
            let drift_ppm_max = Self::DRIFT_PPM_MAX;
            return Err(TermsError::Drift {
                drift_ppm,
                drift_ppm_max,
            });
        }
        if margin < Self::MARGIN_MIN {
            let margin_min = Self::MARGIN_MIN;
            return Err(TermsError::NoMargin { margin, margin_min });
        }
        let margin_max = Span::from_nanos(ttl.as_nanos() / 4);
        if margin > margin_max {
            return Err(TermsError::Margin {
                margin,
                ttl,
                margin_max,
            });
        }
        Ok(())
    }

    /// How long a holder acts after it sent a heartbeat that was acknowledged, on its own clock:
    /// `ttl × (1 − ρ) − margin`, rounded down.
    #[must_use]
    pub fn hold(&self) -> Span {
        let slow = part(self.ttl, MILLION.saturating_sub(u64::from(self.drift_ppm)));
        Span::from_nanos(slow.saturating_sub(self.margin.as_nanos()))
    }

    /// For how long another node must have seen the same revision, on its own clock:
    /// `ttl × (1 + ρ) + margin`, rounded up.
    #[must_use]
    pub fn watch(&self) -> Span {
        let fast = part(self.ttl, MILLION + u64::from(self.drift_ppm));
        let up = fast.saturating_add(1);
        Span::from_nanos(up.saturating_add(self.margin.as_nanos()))
    }

    /// What one goes by who watches a lease of other terms: of each the larger.
    #[must_use]
    pub fn widest(self, other: Self) -> Self {
        Self {
            ttl: self.ttl.max(other.ttl),
            drift_ppm: self.drift_ppm.max(other.drift_ppm),
            margin: self.margin.max(other.margin),
        }
    }

    /// How often a heartbeat is sent: eight times in the life of one, so that a store that is silent
    /// for most of a lease does not end it.
    #[must_use]
    pub fn beat_every(&self) -> Span {
        Span::from_nanos(self.ttl.as_nanos() / 8)
    }
}

/// So many millionths of a span, in nanoseconds, rounded down.
fn part(span: Span, millionths: u64) -> u64 {
    let wide = u128::from(span.as_nanos()) * u128::from(millionths) / u128::from(MILLION);
    u64::try_from(wide).unwrap_or(u64::MAX)
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ttl,
            drift_ppm,
            margin,
        } = self;
        write!(f, "ttl {ttl}, drift {drift_ppm} ppm, margin {margin}")
    }
}

#[cfg(test)]
mod tests {
    use super::Terms;
    use crate::step::Span;

    #[test]
    fn drift_and_margin_come_off_the_holders_time_and_onto_the_others() {
        let terms = Terms::single();
        assert_eq!(terms.hold(), Span::from_millis(2_497));
        assert_eq!(terms.watch(), Span::from_nanos(3_503_000_001));
    }
}
