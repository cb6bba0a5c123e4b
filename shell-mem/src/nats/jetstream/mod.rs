//! JetStream: its requests, streams with what the store does not know of them, and consumers.

mod acks;
mod batches;
mod config;
mod consumer;
mod consumer_config;
mod consumers;
mod delivery;
mod direct;
mod error;
mod fault;
mod messages;
mod publish;
mod pull;
mod push;
mod refused;
mod retention;
mod streams;

use super::front::Front;
use super::wire::{Publication, Text};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use batches::Batches;
use bytes::Bytes;
use config::StreamConfig;
use consumer::Consumer;
use error::ApiError;
use serde::Serialize;
use serde_json::{Value, json};
use tenure_core::id::WallTime;
use tenure_core::port::{ConsumerName, StreamName, stamp};

/// A consumer of a stream.
pub(crate) type ConsumerKey = (StreamName, ConsumerName);

/// What a front knows of JetStream beside what is stored.
#[derive(Debug, Default)]
pub(crate) struct JetStream {
    streams: BTreeMap<StreamName, StreamAt>,
    batches: Batches,
    /// When each consumer is to be looked at.
    timers: BTreeSet<(WallTime, ConsumerKey)>,
    /// Those to be looked at in this step.
    work: BTreeSet<ConsumerKey>,
    /// The consumers that push, by where to.
    pushing: BTreeMap<String, BTreeSet<ConsumerKey>>,
    requests: u64,
    errors: u64,
}

/// A stream's settings as its creator gave them, and its consumers.
#[derive(Debug)]
struct StreamAt {
    config: StreamConfig,
    consumers: BTreeMap<ConsumerName, Consumer>,
}

/// The answer to a request, with the name of its kind.
#[derive(Debug, Serialize)]
struct Answer<T> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    body: T,
}

impl JetStream {
    /// When the next consumer is to be looked at.
    pub(crate) fn next_due(&self) -> Option<WallTime> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Names the consumers that are due.
    pub(crate) fn wake(&mut self, at: WallTime) {
        while let Some((due, key)) = self.timers.pop_first() {
            if due > at {
                self.timers.insert((due, key));
                return;
            }
            self.work.insert(key);
        }
    }

    /// Names the consumers that push to a subject, when somebody listens there or no longer does.
    pub(crate) fn look_at_interest(&mut self, filter: &str) {
        if self.pushing.is_empty() {
            return;
        }
        let to = self.pushing.iter();
        for (_, consumers) in to.filter(|(to, _)| crate::store::matches(filter, to)) {
            self.work.extend(consumers.iter().cloned());
        }
    }

    fn consumer(&self, stream: &str, consumer: &str) -> Option<&Consumer> {
        self.streams.get(stream)?.consumers.get(consumer)
    }

    fn consumer_mut(&mut self, stream: &str, consumer: &str) -> Option<&mut Consumer> {
        self.streams.get_mut(stream)?.consumers.get_mut(consumer)
    }
}

impl Front {
    /// Gives a message to JetStream; whether that takes it.
    pub(super) fn serve(&mut self, publication: &Publication) -> bool {
        if !self.store.config().capabilities.jetstream {
            return false;
        }
        let subject = &publication.subject;
        let Some(rest) = subject.strip_prefix("$JS.") else {
            return self.take_in(publication);
        };
        if let Some(request) = rest.strip_prefix("API.") {
            return self.answer(request, publication);
        }
        if let Some(acked) = rest.strip_prefix("ACK.") {
            return self.acknowledged(acked, publication);
        }
        match rest.strip_prefix("FC.") {
            Some(_) => self.flows(subject),
            None => false,
        }
    }

    /// Looks at consumers until there is nothing to do for any.
    pub(super) fn work(&mut self) {
        while let Some(key) = self.jetstream.work.pop_first() {
            self.look_at(&key);
        }
    }

    /// Answers a request; whether there is anybody for it.
    fn answer(&mut self, request: &str, publication: &Publication) -> bool {
        if let Some(rest) = request.strip_prefix("DIRECT.GET.") {
            return self.direct_get(rest, publication);
        }
        if let Some(rest) = request.strip_prefix("CONSUMER.MSG.NEXT.") {
            return self.pull(rest, publication);
        }
        self.jetstream.requests += 1;
        let (area, rest) = request.split_once('.').unwrap_or((request, ""));
        match area {
            "INFO" => self.account_info(publication),
            "STREAM" => self.answer_stream(rest, publication),
            "CONSUMER" => self.answer_consumer(rest, publication),
            // The server hears it and says nothing.
            _ => {}
        }
        true
    }

    /// Sends the answer to a request.
    fn tell<T: Serialize>(
        &mut self,
        publication: &Publication,
        kind: &str,
        answer: Result<T, ApiError>,
    ) {
        self.tell_with(publication, kind, answer, json!({}));
    }

    /// Sends the answer to a request that is for a page of something.
    fn tell_page(
        &mut self,
        publication: &Publication,
        kind: &str,
        answer: Result<Value, ApiError>,
    ) {
        let none = json!({ "total": 0, "offset": 0, "limit": 0 });
        let answer = answer.map(|mut page| {
            for (name, nothing) in none.as_object().into_iter().flatten() {
                if page.get(name).is_none() {
                    page[name] = nothing.clone();
                }
            }
            page
        });
        self.tell_with(publication, kind, answer, none);
    }

    /// Sends the answer to a request; a refusal with what the server says beside it.
    fn tell_with<T: Serialize>(
        &mut self,
        publication: &Publication,
        kind: &str,
        answer: Result<T, ApiError>,
        mut beside: Value,
    ) {
        let kind = alloc::format!("io.nats.jetstream.api.v1.{kind}_response");
        let text = match answer {
            Ok(body) => serde_json::to_vec(&Answer { kind, body }),
            Err(error) => {
                self.jetstream.errors += 1;
                beside["type"] = kind.into();
                beside["error"] = json!(error);
                serde_json::to_vec(&beside)
            }
        };
        if let Some(reply) = &publication.reply {
            self.send(reply, Bytes::new(), text.unwrap_or_default().into());
        }
    }

    /// Sends a message of the server's own; whether anybody got it.
    fn send(&mut self, to: &Text, headers: Bytes, payload: Bytes) -> bool {
        let message = Publication {
            subject: to.clone(),
            reply: None,
            headers,
            payload,
        };
        self.route(None, &message)
    }

    fn account_info(&mut self, publication: &Publication) {
        let consumers: usize = self
            .jetstream
            .streams
            .values()
            .map(|it| it.consumers.len())
            .sum();
        let bytes = |memory: bool| -> u64 {
            let streams = self.store.streams().filter(|stream| {
                let settings = self.store.settings(stream);
                settings
                    .is_some_and(|it| memory == (it.storage == tenure_core::port::Storage::Memory))
            });
            streams
                .filter_map(|stream| self.store.state(stream))
                .map(|state| state.bytes)
                .sum()
        };
        let info = json!({
            "memory": bytes(true),
            "storage": bytes(false),
            "reserved_memory": 0,
            "reserved_storage": 0,
            "streams": self.jetstream.streams.len(),
            "consumers": consumers,
            "limits": {
                "max_memory": -1,
                "max_storage": -1,
                "max_streams": -1,
                "max_consumers": -1,
                "max_ack_pending": -1,
                "memory_max_stream_bytes": -1,
                "storage_max_stream_bytes": -1,
                "max_bytes_required": false,
            },
            "api": {
                "level": API_LEVEL,
                "total": self.jetstream.requests,
                "errors": self.jetstream.errors,
            },
        });
        self.tell(publication, "account_info", Ok(info));
    }
}

/// The version of JetStream's requests that is answered.
pub(super) const API_LEVEL: u32 = 5;

/// A time as it stands in answers; there, what never was is the first year.
fn time(at: Option<WallTime>) -> String {
    at.map_or_else(|| "0001-01-01T00:00:00Z".into(), stamp::text)
}

/// The first tokens of a subject, and the rest.
fn tokens<const N: usize>(subject: &str) -> Option<[&str; N]> {
    let mut found = [""; N];
    let mut rest = subject.splitn(N, '.');
    for token in &mut found {
        *token = rest.next()?;
    }
    Some(found)
}
