//! Messages that a stream takes in: what their headers ask for, the acknowledgement, and what follows.

use super::super::front::Front;
use super::super::wire::{HeaderBlock, Publication, Text};
use super::error::ApiError;
use crate::store::check::Not;
use crate::store::draft::{Draft, Written};
use crate::store::{Announcement, literal};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use bytes::Bytes;
use serde_json::json;
use tenure_core::id::Sequence;
use tenure_core::port::{Expect, Fence, Publish, Refused, Rollup, Subject, stamp};

/// A message's place in a batch that is stored as one.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) number: u64,
    pub(super) end: Option<End>,
}

/// How a batch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With this message.
    Here,
    /// With the one before: this is not stored.
    Before,
}

impl Front {
    /// Gives a message to the stream of its subject; whether there is one.
    pub(super) fn take_in(&mut self, publication: &Publication) -> bool {
        let Some(stream) = self.store.taking(&publication.subject).cloned() else {
            return false;
        };
        let block = HeaderBlock::new(&publication.headers);
        let answer = match part(block) {
            Err(error) => Some(Err(error)),
            Ok(Some(part)) => self.take_part(&stream, publication, part),
            Ok(None) => Some(self.take_one(&stream, publication)),
        };
        if let Some(answer) = answer {
            self.acknowledge_publish(&stream, publication, answer);
        }
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
        self.signal(stream, &draft.publish.subject);
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
        self.take_in(&announced);
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
            let markers: Vec<Subject> = markers.map(|kept| kept.message.subject.clone()).collect();
            for subject in markers {
                self.signal(stream, &subject);
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
                format!("{{\"stream\":\"{stream}\",\"seq\":{}}}", sequence.0)
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

/// What a message's headers ask for.
pub(super) fn draft(stream: &str, publication: &Publication) -> Result<Draft, ApiError> {
    let block = HeaderBlock::new(&publication.headers);
    let subject: Subject = publication.subject.as_str().into();
    let mut draft = Draft {
        publish: Publish {
            stream: stream.into(),
            subject: subject.clone(),
            expect: Expect::Nothing,
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            // It must not hold on to all that came with it.
            payload: Bytes::copy_from_slice(&publication.payload),
        },
        headers: Bytes::copy_from_slice(&publication.headers),
        filter_last: None,
        last_id: None,
        rolls_up_all: false,
        lasts: false,
    };
    let (mut last, mut last_of) = (None, None);
    for (name, value) in block.iter() {
        match name {
            "Nats-Expected-Stream" => draft.publish.stream = value.into(),
            "Nats-Msg-Id" if !value.is_empty() => draft.publish.dedup = Some(value.into()),
            "Nats-Expected-Last-Sequence" => {
                let sequence = Sequence(sequence(value)?);
                draft.publish.expect = Expect::StreamLast(sequence);
            }
            "Nats-Expected-Last-Subject-Sequence" => last = Some(Sequence(sequence(value)?)),
            "Nats-Expected-Last-Subject-Sequence-Subject" => last_of = Some(value),
            "Nats-Expected-Last-Msg-Id" if !value.is_empty() => {
                draft.last_id = Some(Bytes::copy_from_slice(value.as_bytes()));
            }
            "Nats-Rollup" => {
                draft.publish.rollup = Rollup::Subject;
                match value {
                    "sub" => {}
                    "all" => draft.rolls_up_all = true,
                    other => {
                        let text = format!("rollup value invalid: {other:?}");
                        return Err(ApiError::told(500, 10_111, text));
                    }
                }
            }
            "Nats-TTL" if value == "never" => draft.lasts = true,
            "Nats-TTL" => draft.publish.ttl_s = Some(ttl_s(value).unwrap_or(0)),
            _ => {}
        }
    }
    match (last, last_of) {
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
    Ok(draft)
}

fn sequence(value: &str) -> Result<u64, ApiError> {
    value.parse().map_err(|_| super::error::BAD_REQUEST)
}

/// A time to live in seconds: a number of them, or a duration as Go writes it. A part of a second does not
/// count.
fn ttl_s(value: &str) -> Option<u32> {
    if let Ok(seconds) = value.parse() {
        return Some(seconds);
    }
    let (mut nanos, mut rest) = (0_u64, value);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let scale = match rest.get(..unit)? {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        nanos = nanos.checked_add(number.checked_mul(scale)?)?;
        rest = rest.get(unit..)?;
    }
    u32::try_from(nanos / 1_000_000_000).ok()
}

/// A message's place in a batch, if it is in one.
fn part(block: HeaderBlock<'_>) -> Result<Option<Part>, ApiError> {
    let Some(id) = block.value("Nats-Batch-Id").filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    if id.len() > BATCH_ID_LEN_MAX {
        return Err(ApiError::new(
            400,
            10_179,
            "atomic publish batch ID is invalid",
        ));
    }
    let number = block.value("Nats-Batch-Sequence");
    let number = number
        .and_then(|number| number.parse().ok())
        .filter(|number| *number > 0);
    let number = number.ok_or(ApiError::new(
        400,
        10_175,
        "atomic publish sequence is missing",
    ))?;
    let end = match block.value("Nats-Batch-Commit") {
        None => None,
        Some("1") => Some(End::Here),
        Some("eob") => Some(End::Before),
        Some(_) => {
            let text = "atomic publish batch commit is invalid";
            return Err(ApiError::new(400, 10_200, text));
        }
    };
    Ok(Some(Part {
        id: id.into(),
        number,
        end,
    }))
}

/// How long the name of a batch is at most.
const BATCH_ID_LEN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::ttl_s;

    #[test]
    fn a_time_to_live_is_in_whole_seconds() {
        for (text, seconds) in [
            ("5", Some(5)),
            ("5s", Some(5)),
            ("1m30s", Some(90)),
            ("1500ms", Some(1)),
            ("500ms", Some(0)),
            ("-1", None),
            ("5x", None),
            ("s", None),
            ("99999999999h", None),
        ] {
            assert_eq!(ttl_s(text), seconds, "{text}");
        }
    }
}
