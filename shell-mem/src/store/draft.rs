//! Messages as any client of the protocol sends them: with headers of its own, which are kept, and with
//! expectations that the port has no words for. And what such clients do to streams beside writing.

use super::check::{self, Not};
use super::proposal::NOTHING;
use super::publish::limit;
use super::size::stored_bytes;
use super::stream::{Stored, Stream, View};
use super::{Announcement, Store, batch, filter};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use bytes::Bytes;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Message, Publish, Refused, StreamName, StreamSettings, Subject};

/// A message to be stored, with its headers.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// What the port has words for. Its stream is the one that takes the message in, unless the client named
    /// another one.
    pub(crate) publish: Publish,
    /// The block of headers; empty when there is none.
    pub(crate) headers: Bytes,
    /// The subjects of a filter end at this sequence together.
    pub(crate) filter_last: Option<(Subject, Sequence)>,
    /// The stream ends at this sequence, beside what its subject is expected to.
    pub(crate) stream_last: Option<Sequence>,
    /// The stream's last message came with this deduplication id.
    pub(crate) last_id: Option<Bytes>,
    /// All messages before it go, of whatever subject.
    pub(crate) rolls_up_all: bool,
    /// Its time is never over.
    pub(crate) lasts: bool,
}

/// A message that was stored.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) sequence: Sequence,
    /// Where its subject ended before.
    pub(crate) previous: Sequence,
    /// Its announcement, where the stream makes any.
    pub(crate) announcement: Option<Announcement>,
}

/// A stored message with its headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) message: &'a Message,
    pub(crate) headers: Option<&'a Bytes>,
}

/// What a stream holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamState {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) first: Sequence,
    pub(crate) first_stored: Option<WallTime>,
    pub(crate) last: Sequence,
    pub(crate) last_stored: Option<WallTime>,
    pub(crate) subjects: u64,
}

/// Which messages go.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Purge<'a> {
    pub(crate) filter: Option<&'a str>,
    /// Those before this sequence.
    pub(crate) before: Option<u64>,
    /// All but so many of the last ones.
    pub(crate) keep: Option<u64>,
}

impl Store {
    /// The stream that takes in a subject.
    pub(crate) fn taking(&self, subject: &str) -> Option<&StreamName> {
        let mut streams = self.streams.iter();
        let found = streams.find(|(_, stream)| stream.takes_in(subject))?;
        Some(found.0)
    }

    /// Whether a stream can have these settings, beside what others take in.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub(crate) fn takes_settings(&self, asked: &StreamSettings) -> Result<(), Refused> {
        self.complete(asked).map(drop)
    }

    /// Begins to note what is removed from a stream.
    pub(crate) fn note_removals(&mut self, stream: &str) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.gone.get_or_insert_default();
        }
    }

    /// What was removed from a stream since the last call.
    pub(crate) fn take_removals(&mut self, stream: &str) -> Vec<(u64, Subject)> {
        let gone = self.streams.get_mut(stream).and_then(|it| it.gone.as_mut());
        gone.map(core::mem::take).unwrap_or_default()
    }

    pub(crate) fn settings(&self, stream: &str) -> Option<&StreamSettings> {
        self.streams.get(stream).map(|stream| &stream.settings)
    }

    pub(crate) fn created(&self, stream: &str) -> Option<WallTime> {
        self.streams.get(stream).map(|stream| stream.created)
    }

    pub(crate) fn state(&self, stream: &str) -> Option<StreamState> {
        let stream = self.streams.get(stream)?;
        let stored = |message: Option<&Message>| message.map(|message| message.stored);
        Some(StreamState {
            messages: stream.count(),
            bytes: stream.bytes(),
            first: Sequence(stream.now().first()),
            first_stored: stored(stream.messages().next()),
            last: Sequence(stream.last()),
            last_stored: stored(stream.messages().next_back()),
            subjects: stream.subjects().count() as u64,
        })
    }

    /// The literal subjects of a filter of which a stream has messages, with their numbers.
    pub(crate) fn subjects_of<'a>(
        &'a self,
        stream: &str,
        filter: &'a str,
    ) -> impl Iterator<Item = (&'a Subject, u64)> {
        let stream = self.streams.get(stream).into_iter();
        let all = stream.flat_map(Stream::subjects);
        let matching = all.filter(move |(subject, _)| filter::matches(filter, subject));
        matching.map(|(subject, index)| (subject, index.live.len() as u64))
    }

    pub(crate) fn kept(&self, stream: &str, sequence: u64) -> Option<Kept<'_>> {
        self.streams.get(stream)?.now().at(sequence).map(kept)
    }

    pub(crate) fn kept_last(&self, stream: &str, subject: &str) -> Option<Kept<'_>> {
        self.streams.get(stream)?.now().last_of(subject).map(kept)
    }

    /// The messages of a stream from a sequence on.
    pub(crate) fn kept_from(&self, stream: &str, from: u64) -> impl Iterator<Item = Kept<'_>> {
        let stream = self.streams.get(stream).into_iter();
        stream
            .flat_map(move |stream| stream.now().from(from))
            .map(kept)
    }

    /// The messages of a literal subject from a sequence on.
    pub(crate) fn kept_of<'a>(
        &'a self,
        stream: &str,
        subject: &'a str,
        from: u64,
    ) -> impl Iterator<Item = Kept<'a>> {
        let stream = self.streams.get(stream).into_iter();
        let all = stream.flat_map(move |stream| stream.now().of_subject(subject, from));
        all.map(kept)
    }

    /// Removes a stream with all that is in it; whether it was there.
    pub(crate) fn delete_stream(&mut self, stream: &str) -> bool {
        self.streams.remove(stream).is_some()
    }

    /// Removes one message; whether it was there.
    pub(crate) fn delete_message(&mut self, stream: &str, sequence: u64) -> bool {
        let Some(stream) = self.streams.get_mut(stream) else {
            return false;
        };
        let by = stream.last();
        stream.remove(sequence, by).is_some()
    }

    /// Removes messages, and says how many.
    pub(crate) fn purge(&mut self, stream: &str, purge: Purge<'_>) -> u64 {
        let Some(stream) = self.streams.get_mut(stream) else {
            return 0;
        };
        let all = stream.messages();
        let matching = all.filter(|message| {
            let filter = purge.filter;
            filter.is_none_or(|filter| filter::matches(filter, &message.subject))
        });
        let mut gone: Vec<u64> = matching.map(|message| message.sequence.0).collect();
        if let Some(before) = purge.before {
            gone.truncate(gone.partition_point(|sequence| *sequence < before));
        }
        if let Some(keep) = purge.keep {
            let keep = usize::try_from(keep).unwrap_or(usize::MAX);
            gone.truncate(gone.len().saturating_sub(keep));
        }
        let by = stream.last();
        for sequence in &gone {
            stream.remove(*sequence, by);
        }
        gone.len() as u64
    }

    /// Checks a message and stores it.
    pub(crate) fn write_draft(
        &mut self,
        at: WallTime,
        stream: &str,
        draft: &Draft,
    ) -> Result<Written, Not> {
        let Some(stream) = self.streams.get_mut(stream) else {
            return Err(Refused::NoResponders.into());
        };
        stream.forget_ids(at);
        check_draft(stream.now(), at, draft)?;
        Ok(stream.store_draft(at, draft))
    }

    /// Checks the messages of a batch, and stores all or none.
    pub(crate) fn write_drafts(
        &mut self,
        at: WallTime,
        stream: &str,
        drafts: &[Draft],
    ) -> Result<Vec<Written>, Refused> {
        self.check_drafts(at, stream, drafts)?;
        let stream = self.streams.get_mut(stream).ok_or(Refused::NoResponders)?;
        stream.forget_ids(at);
        let stored = drafts.iter().map(|draft| stream.store_draft(at, draft));
        Ok(stored.collect())
    }

    /// Checks the messages of a batch.
    pub(crate) fn check_drafts(
        &self,
        at: WallTime,
        stream: &str,
        drafts: &[Draft],
    ) -> Result<(), Refused> {
        let stream = self.streams.get(stream).ok_or(Refused::NoResponders)?;
        if drafts.len() > batch::MESSAGES_MAX {
            return Err(Refused::BatchTooLarge);
        }
        for draft in drafts {
            draft_size(stream.now(), draft)?;
            lasting_allowed(stream.now(), draft)?;
            beyond_port(stream.now(), draft)?;
        }
        let messages: Vec<Publish> = drafts.iter().map(|it| it.publish.clone()).collect();
        batch::check(stream.now(), at, &NOTHING, &messages)
    }
}

fn kept(stored: &Stored) -> Kept<'_> {
    Kept {
        message: &stored.message,
        headers: stored.headers.as_deref(),
    }
}

fn check_draft(view: View<'_>, at: WallTime, draft: &Draft) -> Result<(), Not> {
    draft_size(view, draft)?;
    check::named_stream(view, &draft.publish)?;
    lasting_allowed(view, draft)?;
    beyond_port(view, draft)?;
    check::beside_size(view, at, &draft.publish)?;
    let bytes = draft.stored_bytes(view.settings());
    match view.stream().has_space(1, bytes) {
        true => Ok(()),
        false => Err(Refused::NoSpace.into()),
    }
}

fn draft_size(view: View<'_>, draft: &Draft) -> Result<(), Refused> {
    let bytes_max = limit(i64::from(view.settings().message_bytes_max));
    match (draft.headers.len() + draft.publish.payload.len()) as u64 > bytes_max {
        true => Err(Refused::TooLarge),
        false => Ok(()),
    }
}

/// A message that stays for good has a time to live like others.
fn lasting_allowed(view: View<'_>, draft: &Draft) -> Result<(), Refused> {
    match draft.lasts && !view.settings().allow_ttl {
        true => Err(Refused::TtlDisabled),
        false => Ok(()),
    }
}

/// The expectations that the port has no words for.
fn beyond_port(view: View<'_>, draft: &Draft) -> Result<(), Refused> {
    if let Some((filter, expected)) = &draft.filter_last {
        let all = view.stream().subjects();
        let matching = all.filter(|(subject, _)| filter::matches(filter, subject));
        let last = matching.filter_map(|(_, index)| index.live.last()).max();
        let actual = last.map_or(Sequence::NONE, Sequence);
        if actual != *expected {
            return Err(Refused::WrongLast {
                actual: Some(actual),
            });
        }
    }
    if let Some(expected) = draft.stream_last {
        let actual = Sequence(view.last());
        if actual != expected {
            return Err(Refused::WrongLast {
                actual: Some(actual),
            });
        }
    }
    if let Some(expected) = &draft.last_id {
        let last = view
            .at(view.last())
            .and_then(|last| last.headers.as_deref());
        let id = last.and_then(|headers| header(headers, "Nats-Msg-Id"));
        let id = id.unwrap_or_default();
        if id.as_bytes() != expected {
            return Err(Refused::Other {
                code: 10_070,
                text: format!("wrong last msg ID: {id}"),
            });
        }
    }
    Ok(())
}

/// The first value of a header; one that is no text is none.
pub(super) fn header<'a>(block: &'a [u8], name: &str) -> Option<&'a str> {
    let mut lines = block.split(|byte| *byte == b'\n');
    lines.find_map(|line| {
        let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
        core::str::from_utf8(value).ok().map(str::trim)
    })
}

/// Whether a message says itself that what was there is gone, so that no marker follows when it goes.
fn says_gone(headers: &[u8]) -> bool {
    header(headers, "Nats-Marker-Reason").is_some_and(|reason| !reason.is_empty())
        || header(headers, "KV-Operation") == Some("PURGE")
}

impl Draft {
    fn stored_bytes(&self, settings: &StreamSettings) -> u64 {
        stored_bytes(
            settings.storage,
            self.publish.subject.len(),
            self.headers.len(),
            self.publish.payload.len(),
        )
    }
}

impl Stream {
    fn store_draft(&mut self, at: WallTime, draft: &Draft) -> Written {
        let previous = self.now().last_sequence_of(&draft.publish.subject);
        let mut stored = self.stored(at, &draft.publish, draft.headers.len());
        if !draft.headers.is_empty() {
            stored.headers = Some(Box::new(self.room.keep(&draft.headers)));
        }
        if draft.lasts {
            stored.expires = None;
        }
        stored.says_gone |= says_gone(&draft.headers);
        let (sequence, announcement) = self.take_in(at, &draft.publish, stored);
        while draft.rolls_up_all
            && let Some(oldest) = self.oldest().map(|stored| stored.message.sequence.0)
            && oldest < sequence
        {
            self.remove(oldest, sequence);
        }
        Written {
            sequence: Sequence(sequence),
            previous,
            announcement,
        }
    }

    fn forget_ids(&mut self, at: WallTime) {
        let window_ms = super::publish::window_ms(&self.settings);
        self.dedup.forget(at, window_ms);
    }
}
