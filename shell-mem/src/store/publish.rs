//! Storing what was checked: sequences, rollup, limits, deduplication ids and announcements.

use super::Announcement;
use super::size::{BatchPlace, header_bytes, stored_bytes};
use super::stream::{Stored, Stream, View};
use super::subjects::SubjectAt;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use tenure_core::id::{Sequence, WallTime};
#[cfg(feature = "nats")]
use tenure_core::port::Subject;
use tenure_core::port::{Discard, Message, Publish, Rollup, StreamSettings};

/// The deduplication ids of one stream, for as long as its window says.
#[derive(Clone, Debug, Default)]
pub(super) struct DedupWindow {
    known: BTreeMap<String, Known>,
    order: VecDeque<(WallTime, String)>,
}

/// The message that came with a deduplication id.
#[derive(Clone, Copy, Debug)]
struct Known {
    sequence: u64,
    since: WallTime,
}

impl DedupWindow {
    pub(super) fn remember(&mut self, at: WallTime, id: &str, sequence: u64) {
        self.known.insert(
            id.into(),
            Known {
                sequence,
                since: at,
            },
        );
        self.order.push_back((at, id.into()));
    }

    /// Forgets the ids that are older than the window.
    pub(super) fn forget(&mut self, at: WallTime, window_ms: u64) {
        while let Some((since, _)) = self.order.front()
            && at.0.saturating_sub(since.0) >= window_ms
        {
            let Some((since, id)) = self.order.pop_front() else {
                return;
            };
            if self
                .known
                .get(&id)
                .is_some_and(|known| known.since == since)
            {
                self.known.remove(&id);
            }
        }
    }

    /// Forgets the ids of messages after a sequence, as a lost tail does.
    pub(super) fn cut(&mut self, keep_up_to: u64) {
        self.known.retain(|_, known| known.sequence <= keep_up_to);
    }
}

impl View<'_> {
    /// Where the message with a deduplication id is.
    pub(super) fn duplicate_of(&self, at: WallTime, id: &str) -> Option<Sequence> {
        let known = self.stream().dedup.known.get(id)?;
        let fresh = at.0.saturating_sub(known.since.0) < window_ms(self.settings());
        (fresh && known.sequence <= self.last()).then_some(Sequence(known.sequence))
    }
}

/// For how long a stream remembers deduplication ids, in milliseconds.
pub(super) fn window_ms(settings: &StreamSettings) -> u64 {
    settings.dedup_window_ns / 1_000_000
}

impl Stream {
    /// Stores a message that was checked, and what follows from it; the announcement, if the stream
    /// makes any.
    pub(super) fn store(
        &mut self,
        at: WallTime,
        publish: &Publish,
        place: Option<BatchPlace>,
    ) -> (u64, Option<Announcement>) {
        let stored = self.stored(at, publish, header_bytes(publish, place));
        self.take_in(at, publish, stored)
    }

    /// Adds a message that is ready, and does what follows from it.
    pub(super) fn take_in(
        &mut self,
        at: WallTime,
        publish: &Publish,
        stored: Stored,
    ) -> (u64, Option<Announcement>) {
        let sequence = stored.message.sequence.0;
        let announcement = self.announcement(&stored.message);
        self.push(stored);
        if let Some(id) = &publish.dedup {
            self.dedup.remember(at, id, sequence);
        }
        self.enforce_limits(&publish.subject, sequence);
        match publish.rollup {
            Rollup::No => {}
            Rollup::Subject | Rollup::Purge => self.roll_up(&publish.subject, sequence),
        }
        (sequence, announcement)
    }

    /// The same for a plain message of a known subject.
    pub(super) fn append(
        &mut self,
        at: WallTime,
        publish: &Publish,
        own: SubjectAt,
    ) -> (u64, Option<Announcement>) {
        let stored = self.stored(at, publish, header_bytes(publish, None));
        let sequence = stored.message.sequence.0;
        let announcement = self.announcement(&stored.message);
        self.push_at(own, stored);
        self.enforce_limits(&publish.subject, sequence);
        (sequence, announcement)
    }

    /// The message as it is stored next, with so many bytes of headers.
    pub(super) fn stored(&mut self, at: WallTime, publish: &Publish, headers: usize) -> Stored {
        Stored {
            bytes: stored_bytes(
                self.settings.storage,
                publish.subject.len(),
                headers,
                publish.payload.len(),
            ),
            expires: self.expires(at, publish.ttl_s),
            says_gone: publish.rollup == Rollup::Purge,
            message: Message {
                subject: publish.subject.clone(),
                sequence: Sequence(self.last() + 1),
                stored: at,
                expired_marker: false,
                payload: self.room.keep(&publish.payload),
            },
            #[cfg(feature = "nats")]
            headers: None,
        }
    }

    /// The announcement of a stored message.
    pub(super) fn announcement(&self, message: &Message) -> Option<Announcement> {
        let subject = self.republished.as_ref()?.subject_of(&message.subject)?;
        Some(Announcement {
            subject,
            message: message.clone(),
        })
    }

    /// Whether it refuses what goes beyond a limit; a stream that drops its oldest messages always
    /// has room.
    pub(super) fn can_be_full(&self) -> bool {
        let limits = [self.settings.messages_max, self.settings.bytes_max];
        self.settings.discard == Discard::New && limits.map(limit) != [u64::MAX; 2]
    }

    /// Whether so many more messages and bytes fit in.
    pub(super) fn has_space(&self, messages: u64, bytes: u64) -> bool {
        !self.can_be_full()
            || (self.count() + messages <= limit(self.settings.messages_max)
                && self.bytes() + bytes <= limit(self.settings.bytes_max))
    }

    /// Drops the oldest messages beyond the limits; with `discard: new` the write was refused before.
    fn enforce_limits(&mut self, subject: &str, by: u64) {
        self.enforce_limit_of(subject, by);
        self.enforce_limits_of_all(by);
    }

    /// The same for all that is there.
    #[cfg(feature = "nats")]
    pub(super) fn enforce_all_limits(&mut self) {
        let by = self.last();
        if limit(self.settings.messages_per_subject_max) < u64::MAX {
            let subjects: Vec<Subject> = self.subjects().map(|(it, _)| it.clone()).collect();
            for subject in subjects {
                self.enforce_limit_of(&subject, by);
            }
        }
        self.enforce_limits_of_all(by);
    }

    fn enforce_limit_of(&mut self, subject: &str, by: u64) {
        let per_subject = limit(self.settings.messages_per_subject_max);
        while per_subject < u64::MAX
            && self.count_of(subject) > per_subject
            && let Some(oldest) = self.oldest_of(subject)
        {
            self.remove(oldest, by);
        }
    }

    fn enforce_limits_of_all(&mut self, by: u64) {
        if self.settings.discard == Discard::New {
            return;
        }
        let (messages, bytes) = (
            limit(self.settings.messages_max),
            limit(self.settings.bytes_max),
        );
        while (self.count() > messages || self.bytes() > bytes)
            && let Some(oldest) = self.oldest().map(|stored| stored.message.sequence.0)
        {
            self.remove(oldest, by);
        }
    }
}

/// A limit of which -1 means none.
pub(super) fn limit(setting: i64) -> u64 {
    match u64::try_from(setting) {
        Ok(limit) if limit > 0 => limit,
        Ok(_) | Err(_) => u64::MAX,
    }
}

/// All messages of a checked write, stored next to each other: the last sequence and announcements.
pub(super) fn store_all(
    stream: &mut Stream,
    at: WallTime,
    messages: &[Publish],
    batch: bool,
) -> (u64, Vec<Announcement>) {
    let mut announcements = Vec::new();
    let mut last = 0;
    for (n, publish) in messages.iter().enumerate() {
        let place = BatchPlace::of(n + 1, messages.len());
        let (sequence, announcement) = stream.store(at, publish, batch.then_some(place));
        announcements.extend(announcement);
        last = sequence;
    }
    (last, announcements)
}
