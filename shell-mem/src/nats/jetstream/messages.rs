//! Requests about single messages of a stream.

use super::super::front::Front;
use super::super::wire::{HeaderBlock, Publication};
use super::error::{ApiError, BAD_REQUEST, NO_MESSAGE, NO_STREAM};
use super::streams::read;
use super::time;
use crate::store::draft::Kept;
use crate::store::{literal, matches};
use alloc::string::String;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Get {
    seq: u64,
    last_by_subj: String,
    next_by_subj: String,
}

#[derive(Debug, Deserialize)]
struct Delete {
    #[serde(default)]
    seq: u64,
}

impl Front {
    pub(super) fn answer_message(&mut self, request: &str, publication: &Publication) {
        match request.split_once('.') {
            Some(("GET", stream)) => {
                let got = self.get_message(stream, &publication.payload);
                self.tell(publication, "stream_msg_get", got);
            }
            Some(("DELETE", stream)) => {
                let gone = self.delete_message(stream, &publication.payload);
                self.tell(publication, "stream_msg_delete", gone);
            }
            Some(_) | None => {}
        }
    }

    fn get_message(&self, stream: &str, body: &Bytes) -> Result<Value, ApiError> {
        if body.is_empty() {
            return Err(BAD_REQUEST);
        }
        let get: Get = read(body)?;
        let by_subject = !get.last_by_subj.is_empty() || !get.next_by_subj.is_empty();
        let both = !get.last_by_subj.is_empty() && !get.next_by_subj.is_empty();
        if both || (get.seq == 0 && !by_subject) || (get.seq > 0 && !get.last_by_subj.is_empty()) {
            return Err(BAD_REQUEST);
        }
        if !self.jetstream.streams.contains_key(stream) {
            return Err(NO_STREAM);
        }
        let found = if !get.last_by_subj.is_empty() {
            self.last_of(stream, &get.last_by_subj)
        } else if !get.next_by_subj.is_empty() {
            self.next_of(stream, &get.next_by_subj, get.seq)
        } else {
            self.store.kept(stream, get.seq)
        };
        let kept = found.ok_or(NO_MESSAGE)?;
        let mut message = json!({
            "subject": kept.message.subject.as_str(),
            "seq": kept.message.sequence.0,
            "time": time(Some(kept.message.stored)),
        });
        let headers = self.headers_of(stream, kept);
        if !headers.is_empty() {
            message["hdrs"] = BASE64.encode(&headers).into();
        }
        if !kept.message.payload.is_empty() {
            message["data"] = BASE64.encode(&kept.message.payload).into();
        }
        Ok(json!({ "message": message }))
    }

    fn delete_message(&mut self, stream: &str, body: &Bytes) -> Result<Value, ApiError> {
        if body.is_empty() {
            return Err(BAD_REQUEST);
        }
        let Delete { seq } = read(body)?;
        let there = self.jetstream.streams.get(stream).ok_or(NO_STREAM)?;
        if there.config.deny_delete {
            return Err(ApiError::new(500, 10_109, "message delete not permitted"));
        }
        if !self.store.delete_message(stream, seq) {
            let text = alloc::format!("sequence {seq} not found");
            return Err(ApiError::told(400, 10_043, text));
        }
        self.changed(stream);
        Ok(json!({ "success": true }))
    }

    /// The last message of a filter.
    pub(super) fn last_of(&self, stream: &str, filter: &str) -> Option<Kept<'_>> {
        if literal(filter) {
            return self.store.kept_last(stream, filter);
        }
        let subjects = self.store.subjects_of(stream, filter);
        let last = subjects.filter_map(|(subject, _)| {
            let last = self.store.kept_last(stream, subject)?;
            Some(last.message.sequence.0)
        });
        self.store.kept(stream, last.max()?)
    }

    /// The first message of a filter from a sequence on.
    pub(super) fn next_of(&self, stream: &str, filter: &str, from: u64) -> Option<Kept<'_>> {
        if literal(filter) {
            let first = self.store.kept_of(stream, filter, from).next()?;
            let sequence = first.message.sequence.0;
            return self.store.kept(stream, sequence);
        }
        let mut all = self.store.kept_from(stream, from);
        all.find(|kept| matches(filter, &kept.message.subject))
    }

    /// A message's headers; those of a marker follow from the stream's settings.
    pub(super) fn headers_of(&self, stream: &str, kept: Kept<'_>) -> Bytes {
        if let Some(headers) = kept.headers {
            return headers.clone();
        }
        if !kept.message.expired_marker {
            return Bytes::new();
        }
        let settings = self.store.settings(stream);
        let ttl_s = settings.map_or(0, |settings| settings.marker_ttl_s);
        let ttl = alloc::format!("{}", Seconds(ttl_s));
        HeaderBlock::new(b"").with(&[
            ("Nats-Marker-Reason", &"MaxAge"),
            ("Nats-TTL", &ttl),
            ("Nats-Rollup", &"sub"),
        ])
    }
}

/// Seconds as the server writes them: `90` is `1m30s`.
struct Seconds(u64);

impl core::fmt::Display for Seconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3_600, self.0 / 60 % 60, self.0 % 60);
        if hours > 0 {
            write!(f, "{hours}h{minutes}m{seconds}s")
        } else if minutes > 0 {
            write!(f, "{minutes}m{seconds}s")
        } else {
            write!(f, "{seconds}s")
        }
    }
}
