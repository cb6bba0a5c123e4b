//! Age: messages whose time is over go in the server's next sweep, and may leave a marker (K6).

use super::size::{digits, stored_bytes};
use super::stream::{Stored, Stream};
use super::{Announcement, Store};
use alloc::vec::Vec;
use bytes::Bytes;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Message, StreamSettings};

/// How often the server looks for messages whose time is over, in milliseconds.
const SWEEP_MS: u64 = 250;

impl Store {
    /// The first sweep that removes something; nothing goes without one.
    pub fn next_expiry(&self) -> Option<WallTime> {
        let over = self.first_over()?;
        Some(WallTime(over.0.div_ceil(SWEEP_MS) * SWEEP_MS))
    }

    /// When the first message's time is over. It stays until a sweep, which comes some time after.
    pub fn first_over(&self) -> Option<WallTime> {
        let over = self
            .streams
            .values()
            .filter_map(Stream::first_expiry)
            .min()?;
        Some(over.0)
    }

    /// Removes what is over at a time, stores the markers that follow from it, and says how many
    /// messages went. May be called later than [`Store::next_expiry`] says, as a busy server does.
    pub fn expire(&mut self, at: WallTime) -> usize {
        let mut count = 0;
        let mut announcements = Vec::new();
        for stream in self.streams.values_mut() {
            while let Some((over, sequence)) = stream.first_expiry()
                && over <= at
            {
                announcements.extend(stream.expire(at, sequence));
                count += usize::from(stream.now().at(sequence).is_none());
            }
        }
        self.announce(announcements);
        count
    }
}

impl Stream {
    /// When a message's time is over: its own, or that of all messages of the stream.
    pub(super) fn expires(&self, at: WallTime, ttl_s: Option<u32>) -> Option<WallTime> {
        let after = |ms| WallTime(at.0.saturating_add(ms));
        let age_max_ms = self.settings.age_max_ns.div_ceil(1_000_000);
        let by_age = (age_max_ms > 0).then(|| after(age_max_ms));
        let by_ttl = ttl_s.map(|ttl_s| after(self.ttl_ms(u64::from(ttl_s))));
        by_age.into_iter().chain(by_ttl).min()
    }

    /// A stream that keeps several messages per subject lets none go before its marker would.
    fn ttl_ms(&self, ttl_s: u64) -> u64 {
        let ttl_s = match self.settings.messages_per_subject_max {
            1 => ttl_s,
            _ => ttl_s.max(self.settings.marker_ttl_s),
        };
        ttl_s.saturating_mul(1_000)
    }

    /// Removes one message. The last of its subject leaves a marker where the stream has those; a
    /// marker, and a message that says itself that its subject is gone, go silently. A stream that is full and refuses new messages refuses the marker
    /// too, and the message stays.
    fn expire(&mut self, at: WallTime, sequence: u64) -> Option<Announcement> {
        let stored = self.now().at(sequence)?;
        let last = self
            .now()
            .last_of(&stored.message.subject)?
            .message
            .sequence
            .0;
        let unmarked = self.settings.marker_ttl_s == 0 || last != sequence;
        if unmarked || stored.says_gone {
            self.remove(sequence, self.last());
            return None;
        }
        let message = Message {
            subject: stored.message.subject.clone(),
            sequence: Sequence(self.last() + 1),
            stored: at,
            expired_marker: true,
            payload: Bytes::new(),
        };
        let bytes = marker_bytes(&self.settings, &message.subject);
        if !self.has_space(1, bytes) {
            self.set_expiry(sequence, Some(WallTime(at.0 + SWEEP_MS)));
            return None;
        }
        let announcement = self.announcement(&message);
        self.remove(sequence, message.sequence.0);
        let ttl_s = u32::try_from(self.settings.marker_ttl_s).unwrap_or(u32::MAX);
        let expires = self.expires(at, Some(ttl_s));
        self.push(Stored {
            message,
            bytes,
            expires,
            says_gone: true,
            #[cfg(feature = "nats")]
            headers: None,
        });
        announcement
    }
}

fn marker_bytes(settings: &StreamSettings, subject: &str) -> u64 {
    const HEADERS: usize =
        "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: \r\nNats-Rollup: sub\r\n\r\n".len();
    let headers = HEADERS + written(settings.marker_ttl_s);
    stored_bytes(settings.storage, subject.len(), headers, 0)
}

/// How many bytes a span has as the server writes it: `90` is `1m30s`.
fn written(seconds: u64) -> usize {
    let part = |number| digits(number) + 1;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => part(seconds),
        (0, _) => part(minutes) + part(seconds),
        _ => part(hours) + part(minutes) + part(seconds),
    }
}
