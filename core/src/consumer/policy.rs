//! How a consumer goes about it: limits, waits, and what is done about events that are not handled.

use crate::step::{Cx, Purpose, Span};

/// What is done about an event that was not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Policy {
    /// How often it is tried again.
    pub retries_max: u32,
    /// The wait before it is tried again first; each further one doubles it, with half of it by dice.
    pub delay_min: Span,
    /// The longest wait.
    pub delay_max: Span,
    /// What is done after that.
    pub then: Then,
}

/// What is done about an event that was tried as often as it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Then {
    /// The consumer ends with an error. Its checkpoint is before the event.
    Stop,
    /// It is passed over, with a notice.
    Skip,
    /// It is put aside as a dead letter, and the next one comes.
    DeadLetter,
}

impl Policy {
    /// Ten tries over about a minute, then the consumer ends.
    pub const fn stop() -> Self {
        Self {
            retries_max: 9,
            delay_min: Span::from_millis(200),
            delay_max: Span::from_secs(30),
            then: Then::Stop,
        }
    }

    /// The same at once.
    pub const fn stop_at_once() -> Self {
        Self {
            retries_max: 0,
            ..Self::stop()
        }
    }

    /// What of it cannot be.
    fn wrong(&self) -> Option<&'static str> {
        if self.retries_max == 0 {
            // It never waits.
            return None;
        }
        let waits = self.delay_min > Span::ZERO && self.delay_max > Span::ZERO;
        (!waits).then_some("a policy's delay_min or delay_max is zero, so what fails would be tried again without a wait")
    }

    /// The wait before try `tries + 1`.
    pub(super) fn delay(&self, cx: &Cx<'_>, ordinal: u64, tries: u32) -> Span {
        let doubled = 1_u64 << tries.saturating_sub(1).min(32);
        let delay = self.delay_min.saturating_mul(doubled).min(self.delay_max);
        let delay = delay.as_nanos();
        let jitter = cx.dice.below(Purpose::HandlerRetry, ordinal, delay / 2 + 1);
        Span::from_nanos(delay - delay / 2 + jitter)
    }
}

/// How a consumer goes about it; none of it is part of its definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Pace {
    /// When the handler fails.
    pub failing: Policy,
    /// When an event cannot be decoded.
    pub undecodable: Policy,
    /// A checkpoint is stored after so many events at the latest.
    pub checkpoint_every: u32,
    /// A checkpoint is stored so long after an event was handled.
    pub checkpoint_within: Span,
    /// Events in one batch.
    pub batch_events_max: u32,
    /// Commits that are fetched and not handled.
    pub prefetch_commits_max: u32,
    /// Bytes of messages that are fetched and not handled.
    pub prefetch_bytes_max: u32,
    /// How long a fetch waits for a first message.
    pub fetch_wait: Span,
    /// While nothing is fetched, as much is held that is not handled, the ends of the streams are looked at so
    /// often: what the lag tells is no older.
    pub look_every: Span,
    /// After so long without a fetch the store may remove its part of the consumer.
    pub idle: Span,
    /// With so much not handled it is behind, in events and in commits that are not fetched.
    pub behind_events: u64,
    /// When an event waits for so long, on the store's clock and this node's, it is behind.
    pub behind_ms: u64,
    /// After so long without progress while there is something to do it is stalled.
    pub stall_after: Span,
    /// How long the handler has, after a fault, to end what it has.
    pub fault_patience: Span,
    /// Dead letters that are being looked at, replayed or removed at once; the next one is refused.
    pub letters_max: u32,
}

impl Pace {
    /// What of it cannot be, for who is to mend it.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        let zeros = [
            (u64::from(self.checkpoint_every), "checkpoint_every is 0"),
            (
                self.checkpoint_within.as_nanos(),
                "checkpoint_within is zero",
            ),
            (u64::from(self.batch_events_max), "batch_events_max is 0"),
            (
                u64::from(self.prefetch_commits_max),
                "prefetch_commits_max is 0",
            ),
            (
                u64::from(self.prefetch_bytes_max),
                "prefetch_bytes_max is 0",
            ),
            (self.fetch_wait.as_nanos(), "fetch_wait is zero"),
            (self.look_every.as_nanos(), "look_every is zero"),
            (self.idle.as_nanos(), "idle is zero"),
            (self.behind_events, "behind_events is 0"),
            (self.behind_ms, "behind_ms is 0"),
            (self.stall_after.as_nanos(), "stall_after is zero"),
            (u64::from(self.letters_max), "letters_max is 0"),
        ];
        let zero = zeros.into_iter().find(|(value, _)| *value == 0);
        zero.map(|(_, what)| what)
            .or_else(|| self.failing.wrong())
            .or_else(|| self.undecodable.wrong())
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            failing: Policy::stop(),
            undecodable: Policy::stop_at_once(),
            checkpoint_every: 1_000,
            checkpoint_within: Span::from_secs(1),
            batch_events_max: 256,
            prefetch_commits_max: 4_096,
            prefetch_bytes_max: 16 << 20,
            fetch_wait: Span::from_secs(2),
            look_every: Span::from_secs(2),
            idle: Span::from_secs(60),
            behind_events: 10_000,
            behind_ms: 30_000,
            stall_after: Span::from_secs(30),
            fault_patience: Span::from_secs(5),
            letters_max: 256,
        }
    }
}
