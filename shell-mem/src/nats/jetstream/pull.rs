//! Pulls: requests for the next messages of a consumer, and how they end.

use super::super::front::Front;
use super::super::wire::{Publication, Text, status};
use super::consumer::Consumer;
use super::consumer_config::ConsumerConfig;
use alloc::format;
use alloc::string::String;
use bytes::Bytes;
use serde::Deserialize;
use tenure_core::id::WallTime;

/// A pull that waits.
#[derive(Clone, Debug)]
pub(super) struct Pull {
    pub(super) reply: Text,
    /// How many more messages it takes.
    pub(super) left: u64,
    /// How many more bytes it takes, where it said so.
    pub(super) bytes_left: Option<usize>,
    pub(super) given: u64,
    /// It ends when there is nothing.
    pub(super) no_wait: bool,
    pub(super) ends: Option<WallTime>,
    heartbeat_ms: Option<u64>,
    pub(super) beats: Option<WallTime>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Request {
    batch: i64,
    max_bytes: i64,
    expires: i64,
    no_wait: bool,
    idle_heartbeat: i64,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            batch: 1,
            max_bytes: 0,
            expires: 0,
            no_wait: false,
            idle_heartbeat: 0,
        }
    }
}

/// How often a pull is told that its consumer lives, at least, in milliseconds.
const HEARTBEAT_MS_MIN: u64 = 100;

impl Pull {
    /// One more message of so many bytes; whether it was the last one.
    pub(super) fn take(&mut self, bytes: usize, at: WallTime) -> bool {
        self.given += 1;
        self.left -= 1;
        if let Some(left) = &mut self.bytes_left {
            *left = left.saturating_sub(bytes);
            if *left == 0 {
                self.left = 0;
            }
        }
        self.beat(at);
        self.left == 0
    }

    /// It was heard of: the next sign of life is due later.
    pub(super) fn beat(&mut self, at: WallTime) {
        self.beats = self
            .heartbeat_ms
            .map(|ms| WallTime(at.0.saturating_add(ms)));
    }

    /// A status with what it did not get.
    pub(super) fn end(&self, code: u16, text: &str) -> Bytes {
        let (messages, bytes) = (self.left, self.bytes_left.unwrap_or(0));
        let more: [(&str, &dyn core::fmt::Display); 2] = [
            ("Nats-Pending-Messages", &messages),
            ("Nats-Pending-Bytes", &bytes),
        ];
        status(code, text, &more)
    }
}

impl Front {
    /// Takes a pull; whether there is a consumer for it.
    pub(super) fn pull(&mut self, rest: &str, publication: &Publication) -> bool {
        let Some((stream, name)) = rest.split_once('.') else {
            return false;
        };
        let at = self.at;
        let Some(consumer) = self.jetstream.consumer_mut(stream, name) else {
            return false;
        };
        let Some(reply) = publication.reply.clone() else {
            return true;
        };
        consumer.used = at;
        match wait(consumer, reply.detached(), &publication.payload, at) {
            Ok(()) => {
                self.jetstream.work.insert((stream.into(), name.into()));
            }
            Err(Some(told)) => {
                self.send(&reply, told, Bytes::new());
            }
            Err(None) => {}
        }
        true
    }
}

/// Adds a pull to those that wait, or says what is told instead.
fn wait(
    consumer: &mut Consumer,
    reply: Text,
    body: &Bytes,
    at: WallTime,
) -> Result<(), Option<Bytes>> {
    let told = |code, text: &str| Err(Some(status(code, text, &[])));
    if consumer.config.pushes() {
        return told(409, "Consumer is push based");
    }
    let request = match read(body) {
        Ok(request) => request,
        Err(text) => return told(400, &format!("Bad Request - {text}")),
    };
    let config = &consumer.config;
    if config.max_batch > 0 && request.batch > config.max_batch {
        let max = config.max_batch;
        return told(409, &format!("Exceeded MaxRequestBatch of {max}"));
    }
    if config.max_expires > 0 && request.expires > config.max_expires {
        let span = Span(config.max_expires);
        return told(409, &format!("Exceeded MaxRequestExpires of {span}"));
    }
    if config.max_bytes > 0 && request.max_bytes > config.max_bytes {
        let max = config.max_bytes;
        return told(409, &format!("Exceeded MaxRequestMaxBytes of {max}"));
    }
    let nothing = consumer.pending == 0 && consumer.next_again().is_none();
    if request.no_wait && nothing && request.expires <= 0 {
        return told(404, "No Messages");
    }
    let waiting_max = usize::try_from(consumer.config.max_waiting).unwrap_or(usize::MAX);
    if consumer.pulls.len() >= waiting_max {
        // Who is told that it lives finds out, and would else ask again at once.
        return match request.idle_heartbeat > 0 {
            true => Err(None),
            false => told(409, "Exceeded MaxWaiting"),
        };
    }
    let after = |nanos: i64| WallTime(at.0.saturating_add(ConsumerConfig::millis(nanos)));
    let heartbeat_ms = ConsumerConfig::millis(request.idle_heartbeat);
    let mut pull = Pull {
        reply,
        left: u64::try_from(request.batch).unwrap_or(1).max(1),
        bytes_left: usize::try_from(request.max_bytes)
            .ok()
            .filter(|max| *max > 0),
        given: 0,
        no_wait: request.no_wait,
        ends: (request.expires > 0).then(|| after(request.expires)),
        heartbeat_ms: (heartbeat_ms > 0).then_some(heartbeat_ms.max(HEARTBEAT_MS_MIN)),
        beats: None,
    };
    pull.beat(at);
    consumer.pulls.push_back(pull);
    Ok(())
}

/// Reads a request: nothing, a number, or JSON.
fn read(body: &Bytes) -> Result<Request, String> {
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(Request::default());
    }
    if body.starts_with(b"{") {
        let request: Request = serde_json::from_slice(body).map_err(|error| format!("{error}"))?;
        let heartbeat = u64::try_from(request.idle_heartbeat).unwrap_or(0);
        let expires = u64::try_from(request.expires).unwrap_or(0);
        if heartbeat.saturating_mul(2) > expires {
            return Err("heartbeat value too large".into());
        }
        return Ok(request);
    }
    // What is no number asks for one message, too.
    let text = core::str::from_utf8(body).unwrap_or_default();
    Ok(Request {
        batch: text.parse().unwrap_or(1),
        ..Request::default()
    })
}

/// A span as Go writes whole seconds.
struct Span(i64);

impl core::fmt::Display for Span {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let millis = self.0 / 1_000_000;
        match millis % 1_000 {
            0 => write!(f, "{}s", millis / 1_000),
            _ => write!(f, "{millis}ms"),
        }
    }
}
