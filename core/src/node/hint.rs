//! Whether a node looks gone (S15): no responders, often enough, for long enough, on a connection
//! that is itself old enough, and nothing heard of the node since.

use crate::step::{Span, Time};

/// So many times nobody listened.
const NO_RESPONDERS_MIN: u32 = 3;
/// Over at least this long.
const HINT_SPAN: Span = Span::from_millis(250);
/// On a connection that has been up for at least this long.
pub(super) const LINK_AGE_MIN: Span = Span::from_secs(2);
/// How often a node is asked that may be gone.
pub(super) const CONFIRM_EVERY: Span = Span::from_millis(100);
/// How long a run that is new is left alone: its lanes may not listen everywhere yet.
pub(super) const FIRST_PROBE: Span = Span::from_millis(300);
/// When nothing at all comes back for this long, the suspicion is forgotten.
const FORGET_AFTER: Span = Span::from_secs(2);

/// What speaks against one run of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Suspicion {
    since: Option<Since>,
    sure: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Since {
    first: Time,
    last: Time,
    count: u32,
}

impl Suspicion {
    /// Nobody listened at its address, on a connection that is up since `link`.
    pub(super) fn nobody_listens(&mut self, now: Time, link: Time) {
        if now.since(link) < LINK_AGE_MIN {
            return;
        }
        let since = self.since.get_or_insert(Since {
            first: now,
            last: now,
            count: 0,
        });
        since.last = now;
        since.count = since.count.saturating_add(1);
        let enough = since.count >= NO_RESPONDERS_MIN;
        self.sure |= enough && now.since(since.first) >= HINT_SPAN;
    }

    /// The network is suspect: what was counted so far counts no more.
    pub(super) fn restart(&mut self, now: Time) {
        if let Some(since) = &mut self.since {
            since.first = now;
            since.count = 0;
        }
        self.sure = false;
    }

    /// It gave a sign of life. Whether anything spoke against it.
    pub(super) fn clear(&mut self) -> bool {
        core::mem::take(self) != Self::default()
    }

    /// Whether anything speaks against it.
    pub(super) fn open(&self) -> bool {
        self.since.is_some()
    }

    /// Whether it looks gone.
    pub(super) fn sure(&self) -> bool {
        self.sure
    }

    /// When it is forgotten because nothing comes back.
    pub(super) fn forgotten_at(&self) -> Option<Time> {
        let since = self.since.filter(|_| !self.sure)?;
        Some(since.last + FORGET_AFTER)
    }
}

/// Whether so many of the other owners look gone at once that it is rather the network (S15).
pub(super) fn network_suspect(looks_gone: usize, others: usize) -> bool {
    looks_gone >= 2 && looks_gone * 2 > others
}

#[cfg(test)]
mod tests {
    use super::{Suspicion, network_suspect};
    use crate::step::{Span, Time};

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_millis(ms)
    }

    #[test]
    fn three_times_over_a_quarter_of_a_second_on_an_old_connection() {
        let sure = |times: &[u64]| {
            let mut suspicion = Suspicion::default();
            for ms in times {
                suspicion.nobody_listens(at(*ms), at(1_000));
            }
            suspicion.sure()
        };
        assert!(sure(&[3_000, 3_100, 3_250]));
        assert!(!sure(&[3_000, 3_250]), "twice only");
        assert!(!sure(&[3_000, 3_100, 3_249]), "for too short");
        assert!(
            !sure(&[2_900, 2_999, 3_100, 3_200]),
            "the connection was too young"
        );
        assert!(sure(&[3_000, 3_001, 3_002, 3_250, 3_251]));
    }

    #[test]
    fn a_sign_of_life_begins_anew() {
        let mut suspicion = Suspicion::default();
        for ms in [3_000, 3_100] {
            suspicion.nobody_listens(at(ms), at(0));
        }
        assert!(suspicion.open() && suspicion.clear() && !suspicion.clear());
        suspicion.nobody_listens(at(3_300), at(0));
        assert!(!suspicion.sure());
        assert_eq!(suspicion.forgotten_at(), Some(at(5_300)));
    }

    #[test]
    fn what_was_counted_while_the_network_was_suspect_counts_no_more() {
        let mut suspicion = Suspicion::default();
        for ms in [3_000, 3_100, 3_300] {
            suspicion.nobody_listens(at(ms), at(0));
        }
        assert!(suspicion.sure());
        suspicion.restart(at(3_300));
        assert!(suspicion.open() && !suspicion.sure());
        for (ms, sure) in [
            (3_400, false),
            (3_500, false),
            (3_549, false),
            (3_550, true),
        ] {
            suspicion.nobody_listens(at(ms), at(0));
            assert_eq!(suspicion.sure(), sure, "at {ms} ms");
        }
    }

    #[test]
    fn more_than_half_and_at_least_two_is_the_network() {
        assert!(!network_suspect(1, 1), "of two nodes one may die");
        assert!(!network_suspect(1, 2) && network_suspect(2, 2));
        assert!(network_suspect(2, 3) && !network_suspect(2, 4) && network_suspect(3, 5));
    }
}
