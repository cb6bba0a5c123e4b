//! Messages that a stream takes in: what their headers ask for, the acknowledgement, and what follows.

use super::super::front::Front;
use super::super::wire::{HeaderBlock, Publication, Text};
use super::error::ApiError;
use crate::store::check::Not;
use crate::store::draft::{Draft, Written};
use crate::store::stay::Stay;
use crate::store::{Announcement, literal};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use tenure_core::id::Sequence;
use tenure_core::port::{Expect, Fence, Publish, Refused, Rollup, Subject, stamp};

/// How many streams a message goes through that each republish into the next.
const HOPS_MAX: u32 = 16;

/// A message's place in a batch that is stored as one.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) id: String,
    /// From 1; none where the message does not say it.
    pub(super) number: Option<u64>,
    pub(super) end: Option<End>,
}

/// How a batch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With this message.
    Here,
    /// With the one before: this is not stored.
    Before,
    /// In a way that the server does not know.
    Unknown,
}

impl Front {
    /// Gives a message to the stream of its subject; whether there is one.
    pub(super) fn take_in(&mut self, publication: &Publication) -> bool {
        let Some(stream) = self.store.taking(&publication.subject).cloned() else {
            return false;
        };
        let block = HeaderBlock::new(&publication.headers);
        let answer = match part(block) {
            Some(part) => self.take_part(&stream, publication, part),
            None => self.take_one(&stream, publication),
        };
        self.acknowledge_publish(&stream, publication, answer);
        true
    }

    fn take_one(&mut self, stream: &str, publication: &Publication) -> Result<Stored, ApiError> {
        let draft = draft(stream, publication)?;
        if self.store.config().in_flight_max == 0 {
            return Err(Refused::Overloaded.into());
        }
        match self.store.write_draft(self.at, stream, &draft) {
            Ok(written) => {
                let sequence = written.sequence;
                self.stored(stream, &draft, written);
                self.changed(stream);
                Ok(Stored::One(sequence))
            }
            Err(Not::Duplicate(ack)) => Ok(Stored::Duplicate(ack.sequence)),
            Err(Not::Refused(refused)) => Err(refused.into()),
        }
    }

    /// Tells those who listen, and the stream's consumers, of a message that was stored.
    pub(super) fn stored(&mut self, stream: &str, draft: &Draft, written: Written) {
        self.signal(stream, written.sequence.0, &draft.publish.subject);
        if let Some(announcement) = written.announcement {
            let headers = draft.headers.clone();
            self.republish(stream, &announcement, (headers, written.previous));
        }
        let sequence = written.sequence.0;
        self.release_unwanted(stream, sequence, &draft.publish.subject);
        // What the store announces is announced with its headers here.
        drop(self.store.take_announcements());
    }

    /// Sends a stored message to where its stream republishes.
    fn republish(
        &mut self,
        stream: &str,
        announcement: &Announcement,
        (headers, previous): (Bytes, Sequence),
    ) {
        let Announcement { subject, message } = announcement;
        let there = self.jetstream.streams.get(stream);
        let republish = there.and_then(|there| there.config.republish.as_ref());
        let headers_only = republish.is_some_and(|republish| republish.headers_only);
        let (stored, size) = (stamp::text(message.stored), message.payload.len());
        let mut more: Vec<(&str, &dyn core::fmt::Display)> = alloc::vec![
            ("Nats-Stream", &stream),
            ("Nats-Subject", &message.subject),
            ("Nats-Sequence", &message.sequence.0),
            ("Nats-Time-Stamp", &stored),
            ("Nats-Last-Sequence", &previous.0),
        ];
        if headers_only {
            more.push(("Nats-Msg-Size", &size));
        }
        let announced = Publication {
            subject: Text::from(subject.as_str()),
            reply: None,
            headers: HeaderBlock::new(&headers).with(&more),
            payload: if headers_only {
                Bytes::new()
            } else {
                message.payload.clone()
            },
        };
        self.route(None, &announced);
        // Streams that republish into each other would go on for ever.
        if self.hops < HOPS_MAX {
            self.hops += 1;
            self.take_in(&announced);
            self.hops -= 1;
        }
    }

    /// Removes what is over, stores the markers of it, and tells both.
    pub(crate) fn expire_messages(&mut self) {
        let streams: Vec<String> = self.store.streams().map(String::from).collect();
        let lasts: Vec<u64> = streams
            .iter()
            .map(|stream| self.store.last(stream).0)
            .collect();
        self.store.expire(self.at);
        let announcements = self.store.take_announcements();
        // Where the subjects ended of which messages went.
        let mut ends = BTreeMap::new();
        for (stream, last) in streams.iter().zip(lasts) {
            let gone = self.store.take_removals(stream);
            self.removed(stream, &gone);
            let markers = self.store.kept_from(stream, last + 1);
            let markers: Vec<(u64, Subject)> = markers
                .map(|kept| (kept.message.sequence.0, kept.message.subject.clone()))
                .collect();
            for (sequence, subject) in markers {
                self.signal(stream, sequence, &subject);
            }
            ends.extend(
                gone.into_iter()
                    .map(|(sequence, subject)| (subject, sequence)),
            );
        }
        for announcement in announcements {
            let Announcement { message, .. } = &announcement;
            let Some(stream) = self.store.taking(&message.subject).cloned() else {
                continue;
            };
            let kept = self.store.kept(&stream, message.sequence.0);
            let headers = kept.map(|kept| self.headers_of(&stream, kept));
            let headers = headers.unwrap_or_default();
            let previous = Sequence(ends.get(&message.subject).copied().unwrap_or(0));
            self.republish(&stream, &announcement, (headers, previous));
        }
    }

    pub(super) fn acknowledge_publish(
        &mut self,
        stream: &str,
        publication: &Publication,
        answer: Result<Stored, ApiError>,
    ) {
        let Some(reply) = &publication.reply else {
            return;
        };
        let silent = self.jetstream.streams.get(stream);
        if silent.is_some_and(|there| there.config.no_ack) {
            return;
        }
        let text = match answer {
            Ok(Stored::Part) => String::new(),
            Ok(Stored::One(sequence)) => {
                let seq = sequence.0;
                serde_json::to_string(&PubAck { stream, seq }).unwrap_or_default()
            }
            Ok(Stored::Duplicate(sequence)) => {
                json!({ "stream": stream, "seq": sequence.0, "duplicate": true }).to_string()
            }
            Ok(Stored::Batch { last, id, count }) => json!({
                "stream": stream,
                "seq": last.0,
                "batch": id,
                "count": count,
            })
            .to_string(),
            Err(error) => json!({ "error": error, "stream": stream, "seq": 0 }).to_string(),
        };
        self.send(reply, Bytes::new(), text.into());
    }
}

/// The acknowledgement of one message.
#[derive(Debug, Serialize)]
struct PubAck<'a> {
    stream: &'a str,
    seq: u64,
}

/// What became of a message.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    One(Sequence),
    Duplicate(Sequence),
    /// It is a part of a batch that is not whole.
    Part,
    /// It made a batch whole.
    Batch {
        last: Sequence,
        id: String,
        count: usize,
    },
}

/// What the headers of a message ask for, each by its first value.
#[derive(Debug, Default)]
struct Asked<'a> {
    stream: Option<&'a str>,
    id: Option<&'a str>,
    stream_last: Option<&'a str>,
    last: Option<&'a str>,
    last_of: Option<&'a str>,
    last_id: Option<&'a str>,
    rollup: Option<&'a str>,
    stay: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn read(block: HeaderBlock<'a>) -> Self {
        let mut asked = Self::default();
        for (name, value) in block.iter() {
            let place = match name {
                "Nats-Expected-Stream" => &mut asked.stream,
                "Nats-Msg-Id" => &mut asked.id,
                "Nats-Expected-Last-Sequence" => &mut asked.stream_last,
                "Nats-Expected-Last-Subject-Sequence" => &mut asked.last,
                "Nats-Expected-Last-Subject-Sequence-Subject" => &mut asked.last_of,
                "Nats-Expected-Last-Msg-Id" => &mut asked.last_id,
                "Nats-Rollup" => &mut asked.rollup,
                "Nats-TTL" => &mut asked.stay,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        asked
    }
}

/// A message with what its headers ask for.
pub(super) fn draft(stream: &str, publication: &Publication) -> Result<Draft, ApiError> {
    let asked = Asked::read(HeaderBlock::new(&publication.headers));
    let some = |value: Option<&str>| value.filter(|value| !value.is_empty()).map(String::from);
    let (last, stream_last) = (asked.last.map(sequence), asked.stream_last.map(sequence));
    let mut draft = Draft {
        publish: Publish {
            stream: asked.stream.unwrap_or(stream).into(),
            subject: publication.subject.as_str().into(),
            expect: Expect::Nothing,
            rollup: Rollup::No,
            dedup: some(asked.id),
            ttl_s: None,
            // It must not hold on to all that came with it.
            payload: Bytes::copy_from_slice(&publication.payload),
        },
        headers: Bytes::copy_from_slice(&publication.headers),
        filter_last: None,
        stream_last: None,
        last_id: some(asked.last_id).map(Bytes::from),
        rolls_up_all: false,
        lasts: false,
    };
    match asked.rollup {
        None => {}
        Some("sub") => draft.publish.rollup = Rollup::Subject,
        Some("all") => {
            draft.publish.rollup = Rollup::Subject;
            draft.rolls_up_all = true;
        }
        Some(other) => {
            let text = format!("rollup value invalid: {other:?}");
            return Err(ApiError::told(500, 10_111, text));
        }
    }
    match asked.stay.map(Stay::read) {
        None => {}
        Some(Stay::Always) => draft.lasts = true,
        Some(Stay::Seconds(ttl_s)) => draft.publish.ttl_s = Some(ttl_s),
    }
    match (last, asked.last_of) {
        (None, None) => {}
        (None, Some(_)) => {
            let text = "missing sequence for expected last sequence per subject";
            return Err(ApiError::new(400, 10_193, text));
        }
        (Some(last), None) => draft.publish.expect = Expect::OwnLast(last),
        (Some(sequence), Some(subject)) if literal(subject) => {
            let subject = subject.into();
            draft.publish.expect = Expect::Fence(Fence { subject, sequence });
        }
        (Some(last), Some(filter)) => draft.filter_last = Some((filter.into(), last)),
    }
    match (&draft.publish.expect, stream_last) {
        (_, None) => {}
        (Expect::Nothing, Some(last)) => draft.publish.expect = Expect::StreamLast(last),
        (Expect::OwnLast(_) | Expect::Fence(_) | Expect::StreamLast(_), last) => {
            draft.stream_last = last;
        }
    }
    Ok(draft)
}

/// A sequence. What is none is one that no message has.
fn sequence(value: &str) -> Sequence {
    Sequence(value.parse().unwrap_or(u64::MAX))
}

/// A message's place in a batch, if it is in one.
fn part(block: HeaderBlock<'_>) -> Option<Part> {
    let id = block.value("Nats-Batch-Id").filter(|id| !id.is_empty())?;
    let number = block.value("Nats-Batch-Sequence");
    let end = block.value("Nats-Batch-Commit").map(|end| match end {
        "1" => End::Here,
        "eob" => End::Before,
        _ => End::Unknown,
    });
    Some(Part {
        id: id.into(),
        number: number.and_then(|number| number.parse().ok()),
        end,
    })
}
