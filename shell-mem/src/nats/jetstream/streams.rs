//! Requests about streams: made, changed, listed, emptied, removed.

use super::super::front::Front;
use super::super::wire::Publication;
use super::config::{StreamConfig, is_name};
use super::error::{ApiError, BAD_REQUEST, NO_STREAM, NOT_EMPTY, STREAM_MISMATCH};
use super::{StreamAt, time};
use crate::store::draft::Purge;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenure_core::port::{Refused, StoreRequest, StreamName};
use tenure_core::step::Outcome;

/// How many names one answer has at most.
const NAMES_MAX: usize = 1_024;
/// How many descriptions one answer has at most.
const LIST_MAX: usize = 256;
/// How many subjects with their numbers one answer has at most.
const SUBJECTS_MAX: usize = 100_000;

/// Which part of a list is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Paging {
    pub(super) offset: usize,
    subject: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InfoRequest {
    offset: usize,
    subjects_filter: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PurgeRequest {
    filter: String,
    seq: u64,
    keep: u64,
}

#[derive(Debug, Serialize)]
struct Success {
    success: bool,
}

#[derive(Debug, Serialize)]
struct Purged {
    success: bool,
    purged: u64,
}

impl Front {
    /// Answers a request about streams.
    pub(super) fn answer_stream(&mut self, request: &str, publication: &Publication) {
        let (verb, name) = request.split_once('.').unwrap_or((request, ""));
        match verb {
            "CREATE" => {
                let made = self.create_stream(name, &publication.payload);
                self.tell(publication, "stream_create", made);
            }
            "UPDATE" => {
                let changed = self.update_stream(name, &publication.payload);
                self.tell(publication, "stream_update", changed);
            }
            "INFO" => {
                let info = self.stream_info(name, &publication.payload);
                self.tell_page(publication, "stream_info", info);
            }
            "DELETE" => {
                let gone = self.delete_stream(name, &publication.payload);
                self.tell(publication, "stream_delete", gone);
            }
            "PURGE" => {
                let purged = self.purge_stream(name, &publication.payload);
                let none = json!({ "purged": 0 });
                self.tell_with(publication, "stream_purge", purged, none);
            }
            "NAMES" => {
                let names = self.stream_names(&publication.payload);
                self.tell(publication, "stream_names", names);
            }
            "LIST" => {
                let list = self.stream_list(&publication.payload);
                self.tell(publication, "stream_list", list);
            }
            "MSG" => self.answer_message(name, publication),
            _ => self.refuse_of_stream(request, publication),
        }
    }

    fn create_stream(&mut self, name: &str, body: &Bytes) -> Result<Value, ApiError> {
        let config: StreamConfig = read(body)?;
        if config.name != name {
            return Err(STREAM_MISMATCH);
        }
        let config = config.complete(self.config.filters_max)?;
        self.store.takes_settings(&config.settings())?;
        match self.jetstream.streams.get(name) {
            Some(there) if there.config == config => {}
            Some(_) => return Err(Refused::StreamExists.into()),
            None => self.make_stream(config)?,
        }
        let mut info = self.describe_stream(name, None);
        info["did_create"] = true.into();
        Ok(info)
    }

    fn make_stream(&mut self, config: StreamConfig) -> Result<(), ApiError> {
        if self.jetstream.streams.len() >= self.config.streams_max {
            return Err(ApiError::new(
                400,
                10_027,
                "maximum number of streams reached",
            ));
        }
        let request = StoreRequest::CreateStream(config.settings());
        if let Outcome::Refused(refused) = self.store.apply(self.at, &request) {
            return Err(refused.into());
        }
        self.store.note_removals(&config.name);
        let name = StreamName::from(&config.name);
        let there = StreamAt {
            config,
            consumers: BTreeMap::new(),
        };
        self.jetstream.streams.insert(name, there);
        Ok(())
    }

    fn update_stream(&mut self, name: &str, body: &Bytes) -> Result<Value, ApiError> {
        let config: StreamConfig = read(body)?;
        if config.name != name {
            return Err(STREAM_MISMATCH);
        }
        let config = config.complete(self.config.filters_max)?;
        let there = self.jetstream.streams.get_mut(name).ok_or(NO_STREAM)?;
        there.config.may_become(&config)?;
        self.store.update_stream(&config.settings())?;
        there.config = config;
        self.changed(name);
        Ok(self.describe_stream(name, None))
    }

    fn stream_info(&mut self, name: &str, body: &Bytes) -> Result<Value, ApiError> {
        let request: InfoRequest = read_or_default(body)?;
        if !self.jetstream.streams.contains_key(name) {
            return Err(NO_STREAM);
        }
        Ok(self.describe_stream(
            name,
            Some(&request).filter(|it| !it.subjects_filter.is_empty()),
        ))
    }

    /// What the server says of a stream that is there.
    fn describe_stream(&self, name: &str, request: Option<&InfoRequest>) -> Value {
        let (Some(there), Some(state)) = (self.jetstream.streams.get(name), self.store.state(name))
        else {
            return Value::Null;
        };
        let holes = state.last.0 + 1 - state.first.0.min(state.last.0 + 1);
        let mut told = json!({
            "messages": state.messages,
            "bytes": state.bytes,
            "first_seq": state.first.0,
            "first_ts": time(state.first_stored),
            "last_seq": state.last.0,
            "last_ts": time(state.last_stored),
            "consumer_count": there.consumers.len(),
        });
        if state.subjects > 0 {
            told["num_subjects"] = state.subjects.into();
        }
        if state.messages > 0 && holes > state.messages {
            told["num_deleted"] = (holes - state.messages).into();
        }
        let mut info = json!({
            "config": there.config,
            "created": time(self.store.created(name)),
            "ts": time(Some(self.at)),
        });
        if let Some(request) = request {
            let all = self.store.subjects_of(name, &request.subjects_filter);
            let all: BTreeMap<&str, u64> = all
                .map(|(subject, count)| (subject.as_str(), count))
                .collect();
            let page = all.iter().skip(request.offset).take(SUBJECTS_MAX);
            let subjects: BTreeMap<&str, u64> =
                page.map(|(subject, count)| (*subject, *count)).collect();
            info["total"] = all.len().into();
            info["offset"] = request.offset.into();
            info["limit"] = SUBJECTS_MAX.into();
            if !subjects.is_empty() {
                told["subjects"] = json!(subjects);
            }
        }
        info["state"] = told;
        info
    }

    fn delete_stream(&mut self, name: &str, body: &Bytes) -> Result<Success, ApiError> {
        if !is_empty(body) {
            return Err(NOT_EMPTY);
        }
        let there = self.jetstream.streams.get(name).ok_or(NO_STREAM)?;
        let consumers: Vec<String> = there
            .consumers
            .keys()
            .map(|it| it.as_str().into())
            .collect();
        for consumer in consumers {
            self.end_consumer(name, &consumer);
        }
        self.jetstream.streams.remove(name);
        self.jetstream.batches.end_of(name);
        self.store.delete_stream(name);
        Ok(Success { success: true })
    }

    fn purge_stream(&mut self, name: &str, body: &Bytes) -> Result<Purged, ApiError> {
        let request: PurgeRequest = read_or_default(body)?;
        let there = self.jetstream.streams.get(name).ok_or(NO_STREAM)?;
        if there.config.deny_purge {
            return Err(ApiError::new(500, 10_110, "stream purge not permitted"));
        }
        if request.seq > 0 && request.keep > 0 {
            return Err(BAD_REQUEST);
        }
        let filter = Some(request.filter.as_str());
        let purge = Purge {
            filter: filter.filter(|filter| !filter.is_empty()),
            before: Some(request.seq).filter(|seq| *seq > 0),
            keep: Some(request.keep).filter(|keep| *keep > 0),
        };
        let purged = self.store.purge(name, purge);
        self.changed(name);
        Ok(Purged {
            success: true,
            purged,
        })
    }

    fn stream_names(&self, body: &Bytes) -> Result<Value, ApiError> {
        let (paging, names) = self.matching_streams(body)?;
        let page: Vec<&str> = names
            .iter()
            .copied()
            .skip(paging.offset)
            .take(NAMES_MAX)
            .collect();
        Ok(json!({
            "total": names.len(),
            "offset": paging.offset,
            "limit": NAMES_MAX,
            "streams": if page.is_empty() { Value::Null } else { json!(page) },
        }))
    }

    fn stream_list(&self, body: &Bytes) -> Result<Value, ApiError> {
        let (paging, names) = self.matching_streams(body)?;
        let page = names.iter().skip(paging.offset).take(LIST_MAX);
        let streams: Vec<Value> = page.map(|name| self.describe_stream(name, None)).collect();
        Ok(json!({
            "total": names.len(),
            "offset": paging.offset,
            "limit": LIST_MAX,
            "streams": streams,
        }))
    }

    /// The streams that take in something of a filter, or all.
    fn matching_streams(&self, body: &Bytes) -> Result<(Paging, Vec<&str>), ApiError> {
        let paging: Paging = read_or_default(body)?;
        let asked = |there: &StreamAt| {
            let mut subjects = there.config.subjects.iter();
            paging.subject.is_empty()
                || subjects.any(|subject| crate::store::overlap(subject, &paging.subject))
        };
        let all = self.jetstream.streams.iter();
        let matching = all.filter(|(_, there)| asked(there));
        let names = matching.map(|(name, _)| name.as_str()).collect();
        Ok((paging, names))
    }

    /// The name of a stream in a request's subject, if there can be one.
    pub(super) fn named_stream(&self, name: &str) -> Result<&StreamAt, ApiError> {
        let there = self.jetstream.streams.get(name);
        there.filter(|_| is_name(name)).ok_or(NO_STREAM)
    }
}

/// Reads a request's body. `null` is what is not there, as clients in Go write it.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    let value = serde_json::from_slice(body).map_err(ApiError::invalid_json)?;
    serde_json::from_value(without_null(value)).map_err(ApiError::invalid_json)
}

fn without_null(value: Value) -> Value {
    let Value::Object(map) = value else {
        return value;
    };
    let there = map.into_iter().filter(|(_, value)| !value.is_null());
    there
        .map(|(name, value)| (name, without_null(value)))
        .collect()
}

/// Whether a request says nothing.
pub(super) fn is_empty(body: &Bytes) -> bool {
    matches!(body.trim_ascii(), b"" | b"{}" | b"null" | b"[]")
}

/// The same where the body may be missing.
pub(super) fn read_or_default<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, ApiError> {
    match is_empty(body) {
        true => Ok(T::default()),
        false => read(body),
    }
}
