//! Age: messages whose time is over go in the server's next sweep, and may leave a marker (K6).

use super::stream::{Stored, Stream};
use super::{Announcement, Store};
use alloc::vec::Vec;
use bytes::Bytes;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Message, Storage};

/// How often the server looks for messages whose time is over, in milliseconds.
const SWEEP_MS: u64 = 250;

impl Store {
    /// The first sweep that removes something; nothing goes without one.
    pub fn next_expiry(&self) -> Option<WallTime> {
        let over = self
            .streams
            .values()
            .filter_map(Stream::next_expiry)
            .min()?;
        Some(WallTime(over.0.div_ceil(SWEEP_MS) * SWEEP_MS))
    }

    /// Removes what is over at a time, stores the markers that follow from it, and says how many
    /// messages went. May be called later than [`Store::next_expiry`] says, as a busy server does.
    pub fn expire(&mut self, at: WallTime) -> usize {
        let mut count = 0;
        let mut announcements = Vec::new();
        for stream in self.streams.values_mut() {
            while let Some(sequence) = stream.expired(at) {
                announcements.extend(stream.expire(at, sequence));
                count += 1;
            }
        }
        self.announce(announcements);
        count
    }
}

impl Stream {
    fn next_expiry(&self) -> Option<WallTime> {
        let by_ttl = self.first_expiry().map(|(at, _)| at);
        let by_age = self.oldest().and_then(|stored| self.over_by_age(stored));
        by_ttl.into_iter().chain(by_age).min()
    }

    fn over_by_age(&self, stored: &Stored) -> Option<WallTime> {
        let age_max_ms = self.settings.age_max_ns.div_ceil(1_000_000);
        (age_max_ms > 0).then(|| WallTime(stored.message.stored.0.saturating_add(age_max_ms)))
    }

    /// A message whose time is over.
    fn expired(&self, at: WallTime) -> Option<u64> {
        if let Some((over, sequence)) = self.first_expiry()
            && over <= at
        {
            return Some(sequence);
        }
        let oldest = self.oldest()?;
        (self.over_by_age(oldest)? <= at).then_some(oldest.message.sequence.0)
    }

    /// Removes one message. The last of its subject leaves a marker where the stream has those, and
    /// a marker goes silently.
    fn expire(&mut self, at: WallTime, sequence: u64) -> Option<Announcement> {
        let marks = self.settings.marker_ttl_s > 0;
        let stored = self.now().at(sequence)?;
        let was_last = self
            .now()
            .last_of(&stored.message.subject)?
            .message
            .sequence
            .0
            == sequence;
        let marked = marks && was_last && !stored.message.expired_marker;
        let by = if marked { self.last() + 1 } else { self.last() };
        let gone = self.remove(sequence, by)?.message;
        if !marked {
            return None;
        }
        let message = Message {
            sequence: Sequence(self.last() + 1),
            stored: at,
            expired_marker: true,
            payload: Bytes::new(),
            subject: gone.subject,
        };
        let announcement = self.announcement(&message);
        let ttl_ms = self.settings.marker_ttl_s.saturating_mul(1_000);
        self.push(Stored {
            bytes: marker_bytes(self.settings.storage, message.subject.len()),
            expires: Some(WallTime(at.0.saturating_add(ttl_ms))),
            message,
        });
        announcement
    }
}

fn marker_bytes(storage: Storage, subject: usize) -> u64 {
    const HEADERS: usize =
        "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: 10s\r\nNats-Rollup: sub\r\n\r\n".len();
    super::size::stored_bytes(storage, subject, HEADERS, 0)
}
