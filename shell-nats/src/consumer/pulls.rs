//! The pulls that a consumer was asked for and how much of them is left: its credit.
//!
//! The server serves the pulls of a consumer in turn, so what is left of each is not known, and only
//! what is left of all is counted. It ends each pull with a status, and says what it did not use.

use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a pull may wait for messages at the server.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that a consumer lives that has nothing to deliver.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// After so long without a word a consumer that was asked is dead, or the way from it is cut.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// After so long without a word nothing more is asked of it: the server says something each second of whoever
/// waits there, so a pull may not have come there, and what further ones bring would hide that.
const DOUBTFUL: Duration = Duration::from_millis(1_500);
/// How many pulls are out at most: two, and such as the server is about to end.
const PULLS_MAX: usize = 4;
/// A pull of fewer bytes would be ended by nearly each message.
const PULL_BYTES_MIN: u64 = 64 << 10;
/// What the server counts for a message beside headers and payload: its subject and where it goes.
const ENVELOPE_BYTES_MAX: u64 = 8 << 10;

/// The body of a pull.
#[derive(Debug, Serialize)]
pub(super) struct Pull {
    batch: u64,
    max_bytes: u64,
    /// In nanoseconds.
    expires: u64,
    /// In nanoseconds.
    idle_heartbeat: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Credit {
    messages: u64,
    bytes: u64,
}

impl Pull {
    pub(super) fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers can be written")
    }
}

/// The pulls of one consumer on one connection.
#[derive(Debug)]
pub(super) struct Pulls {
    out: BTreeMap<u64, Credit>,
    last: u64,
    left: Credit,
    /// A message is larger than the pulls that were asked for.
    large: bool,
    /// When the server said something, or was asked.
    heard: Instant,
    /// It said that it has nothing more, since a message came last.
    dry: bool,
}

/// How much a fetch takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) messages_max: u64,
    pub(super) bytes_max: u64,
    /// The largest payload that the server takes.
    pub(super) payload_bytes_max: u64,
}

impl Pulls {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            out: BTreeMap::new(),
            last: 0,
            left: Credit::default(),
            large: false,
            heard: now,
            dry: false,
        }
    }

    /// The next pull and its number, when half of what a fetch takes is used up.
    pub(super) fn next(&mut self, limits: Limits, now: Instant) -> Option<(u64, Pull)> {
        let bytes_max = limits.bytes_max.max(PULL_BYTES_MIN);
        let used =
            self.left.messages <= limits.messages_max / 2 || self.left.bytes <= bytes_max / 2;
        let doubtful = !self.out.is_empty() && now >= self.heard + DOUBTFUL;
        if !used || doubtful || self.out.len() >= PULLS_MAX {
            return None;
        }
        let max_bytes = match self.large {
            true => bytes_max.max(limits.payload_bytes_max + ENVELOPE_BYTES_MAX),
            false => bytes_max,
        };
        let credit = Credit {
            messages: limits.messages_max,
            bytes: max_bytes,
        };
        if self.out.is_empty() {
            self.heard = now;
        }
        self.large = false;
        self.last += 1;
        self.out.insert(self.last, credit);
        self.left.messages += credit.messages;
        self.left.bytes += credit.bytes;
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let pull = Pull {
            batch: credit.messages,
            max_bytes,
            expires: nanos(EXPIRES),
            idle_heartbeat: nanos(HEARTBEAT),
        };
        Some((self.last, pull))
    }

    /// A message came; `bytes` is about what the server counts for it.
    pub(super) fn delivered(&mut self, bytes: u64) {
        self.dry = false;
        self.left.messages = self.left.messages.saturating_sub(1);
        self.left.bytes = self.left.bytes.saturating_sub(bytes);
        if self.left.messages == 0 {
            // A server that does not say so has ended all of them.
            self.none_out();
        }
    }

    /// The server ended a pull, of which so much was not used.
    pub(super) fn ended(&mut self, number: u64, (messages, bytes): (u64, u64), by_size: bool) {
        let Some(credit) = self.out.remove(&number) else {
            return;
        };
        self.large |= by_size && messages >= credit.messages;
        self.left.messages = self.left.messages.saturating_sub(messages);
        self.left.bytes = self.left.bytes.saturating_sub(bytes);
        if self.out.is_empty() {
            self.none_out();
        }
    }

    /// A pull was not handed over.
    pub(super) fn not_sent(&mut self, number: u64) {
        if let Some(Credit { messages, bytes }) = self.out.get(&number).copied() {
            self.ended(number, (messages, bytes), false);
        }
    }

    /// The server said something.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    /// The server said that it has nothing more for the consumer.
    pub(super) fn has_no_more(&mut self) {
        self.dry = true;
    }

    /// Whether the server said so, and no message came since. That nothing came says nothing: its way may
    /// be held up.
    pub(super) fn is_dry(&self) -> bool {
        self.dry
    }

    /// When the consumer counts as dead if nothing is heard until then; `None` when it owes nothing.
    pub(super) fn dead_at(&self) -> Option<Instant> {
        (!self.out.is_empty()).then(|| self.heard + SILENCE_MAX)
    }

    fn none_out(&mut self) {
        self.out.clear();
        self.left = Credit::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{DOUBTFUL, Limits, PULL_BYTES_MIN, Pulls, SILENCE_MAX};
    use tokio::time::Instant;

    const MIB: u64 = 1 << 20;

    fn limits(messages_max: u64) -> Limits {
        Limits {
            messages_max,
            bytes_max: 4 * MIB,
            payload_bytes_max: MIB,
        }
    }

    #[allow(clippy::disallowed_methods, reason = "only what it is compared with")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_next_pull_is_asked_for_when_half_is_used_up() {
        let (mut pulls, now) = (Pulls::new(now()), now());
        assert!(pulls.dead_at().is_none());
        let (first, pull) = pulls.next(limits(10), now).unwrap();
        assert_eq!((first, pull.batch, pull.max_bytes), (1, 10, 4 * MIB));
        assert!(pulls.next(limits(10), now).is_none());
        for _ in 0..4 {
            pulls.delivered(100);
        }
        assert!(pulls.next(limits(10), now).is_none());
        pulls.delivered(100);
        assert_eq!(pulls.next(limits(10), now).unwrap().0, 2);
        assert!(pulls.next(limits(10), now).is_none(), "15 are left");
        // Half of the bytes is as good as half of the messages.
        pulls.delivered(6 * MIB);
        assert_eq!(pulls.next(limits(10), now).unwrap().0, 3);
    }

    #[test]
    fn nothing_is_left_when_the_server_says_so_and_not_before() {
        let mut pulls = Pulls::new(now());
        pulls.next(limits(10), now());
        assert!(!pulls.is_dry());
        pulls.has_no_more();
        assert!(pulls.is_dry());
        pulls.delivered(100);
        assert!(!pulls.is_dry());
    }

    #[test]
    fn what_a_pull_did_not_use_is_no_credit() {
        let (mut pulls, now) = (Pulls::new(now()), now());
        let (first, _) = pulls.next(limits(10), now).unwrap();
        pulls.delivered(100);
        pulls.ended(first, (9, 0), false);
        assert!(pulls.dead_at().is_none());
        let (second, pull) = pulls.next(limits(10), now).unwrap();
        assert_eq!(pull.max_bytes, 4 * MIB);
        // What ended long ago is not counted twice.
        pulls.ended(first, (9, 0), false);
        assert!(pulls.next(limits(10), now).is_none());
        // All that was asked for came, and the server does not say that it was all.
        for _ in 0..10 {
            pulls.delivered(1);
        }
        assert!(pulls.dead_at().is_none());
        pulls.ended(second, (0, 0), false);
        assert!(pulls.next(limits(10), now).is_some());
    }

    #[test]
    fn nothing_more_is_asked_for_while_a_pull_may_not_have_come() {
        let (mut pulls, now) = (Pulls::new(now()), now());
        pulls.next(limits(2), now).unwrap();
        let later = now + DOUBTFUL;
        assert!(pulls.next(limits(4), later).is_none());
        let dead_at = now + SILENCE_MAX;
        assert_eq!(pulls.dead_at(), Some(dead_at));
        pulls.hear(later);
        assert!(pulls.next(limits(4), later).is_some());
    }

    #[test]
    fn a_message_that_is_larger_than_a_pull_is_asked_for_once_more() {
        let (mut pulls, now) = (Pulls::new(now()), now());
        let small = Limits {
            bytes_max: 1,
            ..limits(10)
        };
        let (first, pull) = pulls.next(small, now).unwrap();
        assert_eq!(pull.max_bytes, PULL_BYTES_MIN);
        pulls.ended(first, (10, PULL_BYTES_MIN), true);
        let (second, pull) = pulls.next(small, now).unwrap();
        assert!(pull.max_bytes > MIB);
        pulls.delivered(MIB);
        pulls.ended(second, (9, 0), true);
        assert_eq!(pulls.next(small, now).unwrap().1.max_bytes, PULL_BYTES_MIN);
    }
}
