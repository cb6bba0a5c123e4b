//! Direct gets: messages as they are stored, with where they were in headers, one or many at once.

use super::super::front::Front;
use super::super::wire::{HeaderBlock, Publication, Text, status};
use crate::store::draft::Kept;
use crate::store::{FilterSet, literal, matches};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::Deserialize;
use tenure_core::id::WallTime;
use tenure_core::port::stamp;

/// How many subjects one request may ask for.
const SUBJECTS_MAX: usize = 1_024;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Get {
    seq: u64,
    last_by_subj: String,
    next_by_subj: String,
    batch: usize,
    max_bytes: usize,
    start_time: Option<String>,
    multi_last: Vec<String>,
    up_to_seq: u64,
    up_to_time: Option<String>,
}

/// What the answers to a request are.
struct Found {
    sequences: Vec<u64>,
    /// How many more there are.
    left: u64,
    /// The stream's last sequence when it was looked at, where that is told.
    up_to: Option<u64>,
}

impl Front {
    /// Answers a direct get; whether the stream takes those.
    pub(super) fn direct_get(&mut self, rest: &str, publication: &Publication) -> bool {
        let (stream, subject) = match rest.split_once('.') {
            Some((stream, subject)) => (stream, Some(subject)),
            None => (rest, None),
        };
        let there = self.jetstream.streams.get(stream);
        if !there.is_some_and(|there| there.config.allow_direct) {
            return false;
        }
        let Some(reply) = publication.reply.clone() else {
            return true;
        };
        match get(subject, &publication.payload) {
            Ok(get) if get.batch == 0 && get.multi_last.is_empty() && get.max_bytes == 0 => {
                self.direct_one(stream, &get, &reply);
            }
            Ok(get) => self.direct_many(stream, &get, &reply),
            Err(told) => self.tell_status(&reply, told),
        }
        true
    }

    fn tell_status(&mut self, reply: &Text, (code, text): (u16, &str)) {
        self.send(reply, status(code, text, &[]), Bytes::new());
    }

    fn direct_one(&mut self, stream: &str, get: &Get, reply: &Text) {
        let found = if !get.last_by_subj.is_empty() {
            self.last_of(stream, &get.last_by_subj)
        } else if !get.next_by_subj.is_empty() {
            self.next_of(stream, &get.next_by_subj, get.seq)
        } else {
            self.store.kept(stream, get.seq)
        };
        match found {
            Some(kept) => {
                let (headers, payload) = self.told(stream, kept, None);
                self.send(reply, headers, payload);
            }
            None => self.tell_status(reply, (404, "Message Not Found")),
        }
    }

    fn direct_many(&mut self, stream: &str, get: &Get, reply: &Text) {
        let found = if get.multi_last.is_empty() {
            self.following(stream, get)
        } else {
            self.last_of_many(stream, get)
        };
        let found = match found {
            Ok(found) => found,
            Err(told) => return self.tell_status(reply, told),
        };
        let bytes_max = match get.max_bytes {
            0 => self.config.pending_bytes_max / 16,
            bytes_max => bytes_max,
        };
        let (mut last, mut bytes, mut sent) = (0, 0, 0);
        for sequence in &found.sequences {
            let Some(kept) = self.store.kept(stream, *sequence) else {
                continue;
            };
            bytes += kept.message.payload.len() + kept.headers.map_or(0, Bytes::len);
            if bytes > bytes_max && sent > 0 {
                break;
            }
            sent += 1;
            let left = found.sequences.len() as u64 + found.left - sent;
            let (headers, payload) = self.told(stream, kept, Some((left, last)));
            self.send(reply, headers, payload);
            last = *sequence;
        }
        let left = found.sequences.len() as u64 + found.left - sent;
        let mut more: Vec<(&str, &dyn core::fmt::Display)> =
            alloc::vec![("Nats-Num-Pending", &left), ("Nats-Last-Sequence", &last)];
        if let Some(up_to) = &found.up_to {
            more.push(("Nats-UpTo-Sequence", up_to));
        }
        self.send(reply, status(204, "EOB", &more), Bytes::new());
    }

    /// The messages of a filter from a point on.
    fn following(&self, stream: &str, get: &Get) -> Result<Found, (u16, &'static str)> {
        let from = match &get.start_time {
            None => get.seq.max(1),
            Some(time) => {
                let time = stamp::parse(time).ok_or((408, "Bad Request"))?;
                self.first_since(stream, time)
            }
        };
        let filter = match get.next_by_subj.as_str() {
            "" => ">",
            filter => filter,
        };
        let sequence = |kept: Kept<'_>| kept.message.sequence.0;
        let mut all: Vec<u64> = if literal(filter) {
            self.store
                .kept_of(stream, filter, from)
                .map(sequence)
                .collect()
        } else {
            let all = self.store.kept_from(stream, from);
            let matching = all.filter(|kept| matches(filter, &kept.message.subject));
            matching.map(sequence).collect()
        };
        if all.is_empty() {
            return Err((404, "Message Not Found"));
        }
        let left = all.len().saturating_sub(get.batch.max(1)) as u64;
        all.truncate(get.batch.max(1));
        Ok(Found {
            sequences: all,
            left,
            up_to: None,
        })
    }

    /// The sequence of the first message since a time; the next one where there is none.
    pub(super) fn first_since(&self, stream: &str, time: WallTime) -> u64 {
        let mut all = self.store.kept_from(stream, 1);
        let first = all.find(|kept| kept.message.stored >= time);
        let next = self.store.last(stream).0 + 1;
        first.map_or(next, |kept| kept.message.sequence.0)
    }

    /// The last message of each subject, up to a point.
    fn last_of_many(&self, stream: &str, get: &Get) -> Result<Found, (u16, &'static str)> {
        let last = self.store.last(stream).0;
        let up_to = match (&get.up_to_time, get.up_to_seq) {
            (Some(_), 1..) => return Err((408, "Bad Request")),
            (Some(time), 0) => {
                let time = stamp::parse(time).ok_or((408, "Bad Request"))?;
                self.first_since(stream, time) - 1
            }
            (None, 0) => last,
            (None, up_to) => up_to.min(last),
        };
        let asked = get.multi_last.iter().map(String::as_str);
        let (literals, wild): (Vec<&str>, Vec<&str>) = asked.partition(|filter| literal(filter));
        let mut subjects: BTreeSet<&str> = literals.into_iter().collect();
        if !wild.is_empty() {
            let wild = FilterSet::new(wild.into_iter());
            let all = self.store.subjects_of(stream, ">");
            let all = all.map(|(subject, _)| subject.as_str());
            subjects.extend(all.filter(|subject| wild.takes_in(subject)));
        }
        let last_up_to = |subject: &&str| {
            let newest = self.store.kept_last(stream, subject)?.message.sequence.0;
            if newest <= up_to {
                return Some(newest);
            }
            let all = self.store.kept_of(stream, subject, 1);
            let all = all.map(|kept| kept.message.sequence.0);
            all.take_while(|sequence| *sequence <= up_to).last()
        };
        let found: BTreeSet<u64> = subjects.iter().filter_map(last_up_to).collect();
        if found.len() > SUBJECTS_MAX {
            return Err((413, "Too Many Results"));
        }
        if found.is_empty() {
            return Err((404, "No Results"));
        }
        let mut sequences: Vec<u64> = found.into_iter().collect();
        let batch = if get.batch == 0 {
            sequences.len()
        } else {
            get.batch
        };
        let left = sequences.len().saturating_sub(batch) as u64;
        sequences.truncate(batch);
        Ok(Found {
            sequences,
            left,
            up_to: Some(up_to),
        })
    }

    /// A message with where it was; in an answer of many, with how many are left and the one before it.
    fn told(&self, stream: &str, kept: Kept<'_>, place: Option<(u64, u64)>) -> (Bytes, Bytes) {
        let message = kept.message;
        let stored = stamp::text(message.stored);
        let mut more: Vec<(&str, &dyn core::fmt::Display)> = alloc::vec![
            ("Nats-Stream", &stream),
            ("Nats-Subject", &message.subject),
            ("Nats-Sequence", &message.sequence.0),
            ("Nats-Time-Stamp", &stored),
        ];
        if let Some((left, last)) = &place {
            more.push(("Nats-Num-Pending", left));
            more.push(("Nats-Last-Sequence", last));
        }
        let own = self.headers_of(stream, kept);
        (HeaderBlock::new(&own).with(&more), message.payload.clone())
    }
}

/// Reads a request, or says what is wrong with it.
fn get(subject: Option<&str>, body: &Bytes) -> Result<Get, (u16, &'static str)> {
    if let Some(subject) = subject {
        return Ok(Get {
            last_by_subj: subject.into(),
            ..Get::default()
        });
    }
    if body.is_empty() {
        return Err((408, "Empty Request"));
    }
    let get: Get = serde_json::from_slice(body).map_err(|_| (408, "Malformed Request"))?;
    let last = !get.last_by_subj.is_empty();
    let next = !get.next_by_subj.is_empty();
    let many = !get.multi_last.is_empty();
    let from = get.seq > 0 || get.start_time.is_some();
    let wrong = (last && (next || from || many))
        || (many && (next || from))
        || (get.seq > 0 && get.start_time.is_some());
    if !last && !next && !many && !from && get.batch == 0 {
        return Err((408, "Empty Request"));
    }
    if wrong {
        return Err((408, "Bad Request"));
    }
    if get.multi_last.len() > SUBJECTS_MAX {
        return Err((413, "Too Many Results"));
    }
    Ok(get)
}
