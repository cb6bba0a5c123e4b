//! When snapshots are taken, how many are kept, and for how long: one value per kind.

use crate::step::Span;

/// When a process takes snapshots of a kind's entities, how many it keeps, and for how long.
///
/// A snapshot makes loading short and nothing else: what cannot be used is left aside, and the
/// entity is replayed. A snapshot is of the state after an acknowledged commit; its body is stored
/// while the entity goes on, and counts once a later commit names it. So an entity that is never
/// written again gets no new one, whatever the policy says, and neither does one that is dropped
/// from memory before its next commit: keep more entities in memory than are written at a time.
///
/// ```
/// use tenure_core::Span;
/// use tenure_core::log::SnapshotPolicy;
///
/// let often = SnapshotPolicy::every(100);
/// let long_ones = SnapshotPolicy::after_load(500);
/// let both = SnapshotPolicy::every(1_000).or_after_load(200).keep(3);
/// let passing = SnapshotPolicy::every(100).expires_after(Span::from_secs(86_400));
/// assert!([often, long_ones, both, passing].iter().all(|policy| policy.check().is_ok()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
pub struct SnapshotPolicy {
    every: Option<u32>,
    after_load: Option<u32>,
    keep: u32,
    expiry: Option<Span>,
}

/// Why a policy cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum SnapshotPolicyError {
    /// `every(0)`.
    #[error("a snapshot every 0 commits is none: use every(1) or more, or never()")]
    EveryNone,
    /// `keep` is 0, or more than [`SnapshotPolicy::KEEP_MAX`].
    #[error("{keep} snapshots cannot be kept: keep 1 to {max}", max = SnapshotPolicy::KEEP_MAX)]
    Keep {
        /// What was asked for.
        keep: u32,
    },
    /// `expires_after` is not what a store can express.
    #[error(
        "snapshots cannot expire after {after}: the store counts whole seconds, from 1 to {max}",
        max = u32::MAX
    )]
    Expiry {
        /// What was asked for.
        after: Span,
    },
    /// `never()` with `expires_after`.
    #[error("snapshots that are never taken cannot expire: leave out expires_after, or take some")]
    NothingExpires,
}

impl SnapshotPolicy {
    /// The most snapshots of an entity that can be kept.
    pub const KEEP_MAX: u32 = 8;

    /// No snapshots; the default. Those that others name are used all the same.
    pub const fn never() -> Self {
        Self {
            every: None,
            after_load: None,
            keep: 2,
            expiry: None,
        }
    }

    /// A snapshot when `commits` commits, 1 or more, came since the last one that can be used;
    /// taken after the commit that makes up the number.
    pub const fn every(commits: u32) -> Self {
        Self {
            every: Some(commits),
            ..Self::never()
        }
    }

    /// A snapshot when a load had to replay more than `commits` commits; taken as soon as nobody
    /// waits for the entity, and named by its next commit.
    ///
    /// An entity that is only read is so stored once for each time that it is loaded, and never
    /// named: its body is deleted when the entity is dropped from memory, and the next load replays
    /// as much. A process that only reads is better off with [`never`](Self::never).
    pub const fn after_load(commits: u32) -> Self {
        Self {
            after_load: Some(commits),
            ..Self::never()
        }
    }

    /// Also when a load had to replay more than `commits` commits, as
    /// [`after_load`](Self::after_load).
    pub const fn or_after_load(mut self, commits: u32) -> Self {
        self.after_load = Some(commits);
        self
    }

    /// How many are kept: the current one and `count - 1` before it, 1 to
    /// [`KEEP_MAX`](Self::KEEP_MAX); 2 where nothing is said.
    ///
    /// Older ones are deleted after a commit named their successor. A load tries as many, newest
    /// first, before it replays everything; so a build that cannot read the newest one, after a
    /// rollback perhaps, still finds its own.
    pub const fn keep(mut self, count: u32) -> Self {
        self.keep = count;
        self
    }

    /// Bodies are gone after this time, a whole number of seconds; until then they can be read.
    ///
    /// The snapshot of an entity that is written on is renewed by the first commit after half of
    /// the time, so it is lost only to an entity that rests. That one is replayed, no event being
    /// lost, and snapshotted anew when it is due.
    pub const fn expires_after(mut self, time: Span) -> Self {
        self.expiry = Some(time);
        self
    }

    /// Whether it can be one.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to write instead.
    pub fn check(&self) -> Result<(), SnapshotPolicyError> {
        if self.every == Some(0) {
            return Err(SnapshotPolicyError::EveryNone);
        }
        if !(1..=Self::KEEP_MAX).contains(&self.keep) {
            return Err(SnapshotPolicyError::Keep { keep: self.keep });
        }
        match self.expiry {
            Some(after) if seconds(after).is_none() => Err(SnapshotPolicyError::Expiry { after }),
            Some(_) if self.is_never() => Err(SnapshotPolicyError::NothingExpires),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether none is ever taken.
    pub const fn is_never(&self) -> bool {
        self.every.is_none() && self.after_load.is_none()
    }

    /// After how many commits one is taken.
    pub(super) fn commits(&self) -> Option<u32> {
        self.every
    }

    /// More than how many replayed commits call for one.
    pub(super) fn replayed(&self) -> Option<u32> {
        self.after_load
    }

    /// How many commits lie between a failure and the next try.
    pub(super) fn pause(&self) -> u32 {
        self.every.or(self.after_load).unwrap_or(1).max(1)
    }

    /// How many snapshots are kept, and tried by a load.
    pub(crate) fn kept(&self) -> usize {
        self.keep as usize
    }

    pub(crate) fn expiry(&self) -> Option<Span> {
        self.expiry
    }

    /// The life of a body as the store takes it.
    pub(super) fn ttl_s(&self) -> Option<u32> {
        self.expiry.and_then(seconds)
    }
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self::never()
    }
}

/// A span in whole seconds, 1 or more, if it is one.
fn seconds(span: Span) -> Option<u32> {
    const SECOND_NS: u64 = 1_000_000_000;
    let nanos = span.as_nanos();
    let whole = nanos.is_multiple_of(SECOND_NS);
    let seconds = u32::try_from(nanos / SECOND_NS).ok();
    seconds.filter(|seconds| whole && *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::{SnapshotPolicy, SnapshotPolicyError};
    use crate::step::Span;
    use alloc::string::ToString;

    #[test]
    fn what_cannot_be_a_policy_is_refused_with_the_remedy() {
        let every = SnapshotPolicy::every(3);
        let wrong = [
            (SnapshotPolicy::every(0), "every(1) or more, or never()"),
            (every.keep(0), "keep 1 to 8"),
            (every.keep(9), "keep 1 to 8"),
            (every.expires_after(Span::ZERO), "whole seconds, from 1"),
            (every.expires_after(Span::from_millis(1_500)), "1.5"),
            (
                SnapshotPolicy::never().expires_after(Span::from_secs(1)),
                "leave out expires_after",
            ),
        ];
        for (policy, remedy) in wrong {
            let error = policy.check().unwrap_err().to_string();
            assert!(error.contains(remedy), "{policy:?}: {error}");
        }
        let long = SnapshotPolicy::every(1).expires_after(Span::from_secs(1 << 33));
        assert!(matches!(
            long.check(),
            Err(SnapshotPolicyError::Expiry { .. })
        ));
    }

    #[test]
    fn what_can_be_one_is_taken() {
        let day = Span::from_secs(86_400);
        for policy in [
            SnapshotPolicy::default(),
            SnapshotPolicy::never().keep(8),
            SnapshotPolicy::every(1).or_after_load(0).keep(1),
            SnapshotPolicy::after_load(0).expires_after(day),
        ] {
            assert_eq!(policy.check(), Ok(()), "{policy:?}");
        }
        assert_eq!(
            SnapshotPolicy::every(1).expires_after(day).ttl_s(),
            Some(86_400)
        );
    }
}
