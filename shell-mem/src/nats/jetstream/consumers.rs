//! Requests about consumers: made, described, listed, paused, removed.

use super::super::front::Front;
use super::super::wire::{Publication, status};
use super::config::WireRetention;
use super::consumer::Consumer;
use super::consumer_config::{ConsumerConfig, DeliverPolicy};
use super::error::{ApiError, NO_CONSUMER, NO_STREAM, NOT_EMPTY, STREAM_MISMATCH};
use super::streams::{Paging, is_empty, read, read_or_default};
use super::time;
use crate::store::FilterSet;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tenure_core::id::WallTime;
use tenure_core::port::stamp;

/// How many names one answer has at most.
const NAMES_MAX: usize = 1_024;
/// How many descriptions one answer has at most.
const LIST_MAX: usize = 256;
/// How much longer than it asks for a consumer that is pulled from stays unused, at least and by chance.
const IDLE_JITTER_MS_MIN: u64 = 100;
const IDLE_JITTER_MS: usize = 900;
/// How long a name is that the server gives.
const NAME_LEN: usize = 8;

#[derive(Debug, Deserialize)]
struct Create {
    stream_name: String,
    config: ConsumerConfig,
    #[serde(default)]
    action: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pause {
    pause_until: Option<String>,
}

impl Front {
    /// Answers a request about consumers.
    pub(super) fn answer_consumer(&mut self, request: &str, publication: &Publication) {
        let (verb, rest) = request.split_once('.').unwrap_or((request, ""));
        let (stream, name) = rest.split_once('.').unwrap_or((rest, ""));
        let body = &publication.payload;
        match verb {
            "CREATE" => {
                let made = self.create_consumer((stream, name), body);
                self.tell(publication, "consumer_create", made);
            }
            "DURABLE" => {
                let rest = rest.strip_prefix("CREATE.").unwrap_or_default();
                let (stream, name) = rest.split_once('.').unwrap_or((rest, ""));
                let made = self.create_durable((stream, name), body);
                self.tell(publication, "consumer_create", made);
            }
            "INFO" => {
                let info = self.consumer_info(stream, name, body);
                self.tell(publication, "consumer_info", info);
            }
            "DELETE" => {
                let gone = self.delete_consumer(stream, name, body);
                self.tell(publication, "consumer_delete", gone);
            }
            "NAMES" => {
                let names = self.consumer_names(stream, body);
                let none = json!({ "consumers": [], "total": 0, "offset": 0, "limit": 0 });
                self.tell_with(publication, "consumer_names", names, none);
            }
            "LIST" => {
                let list = self.consumer_list(stream, body);
                let none = json!({ "consumers": [], "total": 0, "offset": 0, "limit": 0 });
                self.tell_with(publication, "consumer_list", list, none);
            }
            "PAUSE" => {
                let paused = self.pause_consumer(stream, name, body);
                self.tell(publication, "consumer_pause", paused);
            }
            _ => self.refuse_of_consumer(request, publication),
        }
    }

    fn create_consumer(
        &mut self,
        (stream, rest): (&str, &str),
        body: &Bytes,
    ) -> Result<Value, ApiError> {
        let mut create: Create = read(body)?;
        if create.stream_name != stream {
            return Err(STREAM_MISMATCH);
        }
        let (name, filter) = match rest.split_once('.') {
            Some((name, filter)) => (name, Some(filter)),
            None => (rest, None),
        };
        let config = &mut create.config;
        if let Some(filter) = filter
            && config.filter_subject != filter
        {
            return Err(ApiError::new(
                400,
                10_131,
                "Consumer create request did not match filtered subject from create subject",
            ));
        }
        if name.is_empty() {
            if !config.durable_name.is_empty() {
                return Err(ApiError::new(
                    400,
                    10_020,
                    "consumer expected to be ephemeral but a durable name was set in request",
                ));
            }
        } else {
            ConsumerConfig::check_name(name)?;
            let same = |other: &str| other.is_empty() || other == name;
            if !same(&config.name) || !same(&config.durable_name) {
                return Err(ApiError::new(
                    400,
                    10_017,
                    "consumer name in subject does not match durable name in request",
                ));
            }
            config.name = name.into();
        }
        self.make_consumer(stream, create)
    }

    fn create_durable(
        &mut self,
        (stream, name): (&str, &str),
        body: &Bytes,
    ) -> Result<Value, ApiError> {
        let mut create: Create = read(body)?;
        if create.stream_name != stream {
            return Err(STREAM_MISMATCH);
        }
        if create.config.durable_name.is_empty() {
            return Err(ApiError::new(
                400,
                10_018,
                "consumer expected to be durable but a durable name was not set",
            ));
        }
        if create.config.durable_name != name {
            return Err(ApiError::new(
                400,
                10_017,
                "consumer name in subject does not match durable name in request",
            ));
        }
        create.config.name = name.into();
        self.make_consumer(stream, create)
    }

    fn make_consumer(&mut self, stream: &str, create: Create) -> Result<Value, ApiError> {
        let there = self.named_stream(stream)?;
        let filters_max = self.config.filters_max;
        let mut config = create.config.complete(&there.config, filters_max)?;
        let known = self.jetstream.consumer(stream, &config.name);
        if let Some(known) = known {
            // What pauses goes on by a request of its own.
            config.pause_until = known.config.pause_until.clone();
        }
        match (known, create.action.as_str()) {
            (Some(known), "create") if known.config != config => {
                return Err(ApiError::new(400, 10_148, "consumer already exists"));
            }
            (Some(_), _) => self.update_consumer(stream, config.clone())?,
            (None, "update") => {
                return Err(ApiError::new(400, 10_149, "consumer does not exist"));
            }
            (None, _) => return self.add_consumer(stream, config),
        }
        Ok(self.describe_consumer(stream, &config.name))
    }

    fn add_consumer(
        &mut self,
        stream: &str,
        mut config: ConsumerConfig,
    ) -> Result<Value, ApiError> {
        let there = self.named_stream(stream)?;
        let consumers_max = usize::try_from(there.config.max_consumers);
        let consumers_max = consumers_max.unwrap_or(self.config.consumers_max);
        if there.consumers.len() >= consumers_max.min(self.config.consumers_max) {
            return Err(ApiError::new(
                400,
                10_026,
                "maximum consumers limit reached",
            ));
        }
        self.check_work(stream, &config)?;
        if config.name.is_empty() {
            config.name = self.dice.name(NAME_LEN);
        }
        let name = config.name.clone();
        let jitter_ms = IDLE_JITTER_MS_MIN + self.dice.below(IDLE_JITTER_MS) as u64;
        let mut consumer = Consumer::new(config, self.at, jitter_ms);
        self.begin(stream, &mut consumer)?;
        consumer.paused_until = until(consumer.config.pause_until.as_deref())?;
        if consumer.config.pushes() {
            let to = consumer.config.deliver_subject.clone();
            let pushing = self.jetstream.pushing.entry(to).or_default();
            pushing.insert((stream.into(), name.as_str().into()));
        }
        if let Some(there) = self.jetstream.streams.get_mut(stream) {
            there.consumers.insert(name.as_str().into(), consumer);
        }
        let described = self.describe_consumer(stream, &name);
        let key = (stream.into(), name.as_str().into());
        self.jetstream.work.insert(key);
        Ok(described)
    }

    /// A stream of work gives each message to one consumer.
    fn check_work(&self, stream: &str, config: &ConsumerConfig) -> Result<(), ApiError> {
        let there = self.named_stream(stream)?;
        if there.config.retention != WireRetention::WorkQueue {
            return Ok(());
        }
        if config.ack_policy != super::consumer_config::AckPolicy::Explicit {
            return Err(ApiError::new(
                400,
                10_098,
                "workqueue stream requires explicit ack",
            ));
        }
        if config.deliver_policy != DeliverPolicy::All {
            return Err(ApiError::new(
                400,
                10_101,
                "consumer must be deliver all on workqueue stream",
            ));
        }
        if there.consumers.is_empty() {
            return Ok(());
        }
        if config.filters().next().is_none() {
            return Err(ApiError::new(
                400,
                10_099,
                "multiple non-filtered consumers not allowed on workqueue stream",
            ));
        }
        let own = FilterSet::new(config.filters());
        let mut others = there.consumers.values();
        let shared = others.any(|other| {
            let mut theirs = other.config.filters().peekable();
            theirs.peek().is_none() || theirs.any(|their| own.overlaps(their))
        });
        match shared {
            true => Err(ApiError::new(
                400,
                10_100,
                "filtered consumer not unique on workqueue stream",
            )),
            false => Ok(()),
        }
    }

    /// Finds where a consumer begins, and counts what it will give.
    fn begin(&self, stream: &str, consumer: &mut Consumer) -> Result<(), ApiError> {
        let state = self.store.state(stream).ok_or(NO_STREAM)?;
        let (first, end) = (state.first.0, state.last.0 + 1);
        let config = &consumer.config;
        let lasts = || -> BTreeSet<u64> {
            let filters: Vec<&str> = config.filters().collect();
            let filters = if filters.is_empty() {
                alloc::vec![">"]
            } else {
                filters
            };
            let subjects = filters
                .iter()
                .flat_map(|filter| self.store.subjects_of(stream, filter));
            let last = subjects.filter_map(|(subject, _)| self.store.kept_last(stream, subject));
            last.map(|kept| kept.message.sequence.0).collect()
        };
        let next = match config.deliver_policy {
            DeliverPolicy::All => first,
            DeliverPolicy::Last => lasts().last().copied().unwrap_or(end),
            DeliverPolicy::New => end,
            DeliverPolicy::BySequence => config.opt_start_seq,
            DeliverPolicy::ByTime => {
                let at = config.opt_start_time.as_deref().unwrap_or_default();
                let at = stamp::parse(at).ok_or_else(|| ApiError::invalid_json("a time"))?;
                self.first_since(stream, at)
            }
            DeliverPolicy::LastPerSubject => end,
        };
        if config.deliver_policy == DeliverPolicy::LastPerSubject {
            consumer.first = lasts().into_iter().collect();
        }
        consumer.next = next.max(first).max(1);
        let all = self.store.kept_from(stream, consumer.next);
        let matching = all.filter(|kept| consumer.filter.takes_in(&kept.message.subject));
        consumer.pending = matching.count() as u64 + consumer.first.len() as u64;
        consumer.acked.sequence = consumer.looked();
        Ok(())
    }

    fn update_consumer(&mut self, stream: &str, config: ConsumerConfig) -> Result<(), ApiError> {
        let Some(consumer) = self.jetstream.consumer_mut(stream, &config.name) else {
            return Err(NO_CONSUMER);
        };
        if consumer.config == config {
            return Ok(());
        }
        consumer.config.may_become(&config)?;
        let key = (stream.into(), config.name.as_str().into());
        if consumer.config.deliver_subject != config.deliver_subject {
            let before = consumer.config.deliver_subject.clone();
            let to = config.deliver_subject.clone();
            self.jetstream.stop_pushing(&before, &key);
            self.jetstream
                .pushing
                .entry(to)
                .or_default()
                .insert(key.clone());
        }
        let Some(mut consumer) = self.take_consumer(&key) else {
            return Err(NO_CONSUMER);
        };
        consumer.set(config, self.at);
        let all = self.store.kept_from(stream, consumer.next);
        let matching = all.filter(|kept| consumer.filter.takes_in(&kept.message.subject));
        consumer.pending = matching.count() as u64 + consumer.first.len() as u64;
        self.put_consumer(&key, consumer);
        self.jetstream.work.insert(key);
        Ok(())
    }

    fn consumer_info(&self, stream: &str, name: &str, body: &Bytes) -> Result<Value, ApiError> {
        if !is_empty(body) {
            return Err(NOT_EMPTY);
        }
        self.named_stream(stream)?;
        match self.jetstream.consumer(stream, name) {
            Some(_) => Ok(self.describe_consumer(stream, name)),
            None => Err(NO_CONSUMER),
        }
    }

    /// What the server says of a consumer that is there.
    fn describe_consumer(&self, stream: &str, name: &str) -> Value {
        let Some(consumer) = self.jetstream.consumer(stream, name) else {
            return Value::Null;
        };
        let place = |number: u64, sequence: u64, at: Option<WallTime>| {
            let mut place = json!({ "consumer_seq": number, "stream_seq": sequence });
            if at.is_some() {
                place["last_active"] = time(at).into();
            }
            place
        };
        let (delivered, acked) = (consumer.delivered, consumer.acked);
        let mut info = json!({
            "stream_name": stream,
            "name": name,
            "created": time(Some(consumer.created)),
            "config": consumer.config,
            "delivered": place(delivered.number, consumer.looked(), delivered.at),
            "ack_floor": place(acked.number, acked.sequence, acked.at),
            "num_ack_pending": consumer.unacked(),
            "num_redelivered": consumer.redelivered(),
            "num_waiting": consumer.pulls.len(),
            "num_pending": consumer.pending,
            "ts": time(Some(self.at)),
        });
        if consumer.flow.has_listener {
            info["push_bound"] = true.into();
        }
        if let Some(left) = self.pause_left(consumer) {
            info["paused"] = true.into();
            info["pause_remaining"] = left.into();
        }
        info
    }

    /// For how many more nanoseconds a consumer pauses.
    fn pause_left(&self, consumer: &Consumer) -> Option<u64> {
        let until = consumer.paused_until.filter(|until| *until > self.at)?;
        Some(nanos_until(self.at, until))
    }

    fn delete_consumer(
        &mut self,
        stream: &str,
        name: &str,
        body: &Bytes,
    ) -> Result<Value, ApiError> {
        if !is_empty(body) {
            return Err(NOT_EMPTY);
        }
        self.named_stream(stream)?;
        match self.end_consumer(stream, name) {
            true => Ok(json!({ "success": true })),
            false => Err(NO_CONSUMER),
        }
    }

    /// Removes a consumer and tells those who wait for its messages; whether it was there.
    pub(super) fn end_consumer(&mut self, stream: &str, name: &str) -> bool {
        let key = (stream.into(), name.into());
        let Some(consumer) = self.take_consumer(&key) else {
            return false;
        };
        self.jetstream
            .stop_pushing(&consumer.config.deliver_subject, &key);
        if let Some(due) = consumer.due {
            self.jetstream.timers.remove(&(due, key));
        }
        for pull in consumer.pulls {
            self.send(
                &pull.reply,
                status(409, "Consumer Deleted", &[]),
                Bytes::new(),
            );
        }
        self.release_all(stream);
        true
    }

    fn consumer_names(&self, stream: &str, body: &Bytes) -> Result<Value, ApiError> {
        let (offset, names) = self.consumers_of(stream, body)?;
        let page: Vec<&str> = names.iter().copied().skip(offset).take(NAMES_MAX).collect();
        Ok(json!({
            "total": names.len(), "offset": offset, "limit": NAMES_MAX, "consumers": page,
        }))
    }

    fn consumer_list(&self, stream: &str, body: &Bytes) -> Result<Value, ApiError> {
        let (offset, names) = self.consumers_of(stream, body)?;
        let page = names.iter().skip(offset).take(LIST_MAX);
        let list: Vec<Value> = page
            .map(|name| self.describe_consumer(stream, name))
            .collect();
        Ok(json!({
            "total": names.len(), "offset": offset, "limit": LIST_MAX, "consumers": list,
        }))
    }

    fn consumers_of(&self, stream: &str, body: &Bytes) -> Result<(usize, Vec<&str>), ApiError> {
        let paging: Paging = read_or_default(body)?;
        let there = self.named_stream(stream)?;
        let names = there.consumers.keys().map(|name| name.as_str());
        Ok((paging.offset, names.collect()))
    }

    fn pause_consumer(
        &mut self,
        stream: &str,
        name: &str,
        body: &Bytes,
    ) -> Result<Value, ApiError> {
        let pause: Pause = read_or_default(body)?;
        self.named_stream(stream)?;
        let paused_until = until(pause.pause_until.as_deref())?;
        let at = self.at;
        let Some(consumer) = self.jetstream.consumer_mut(stream, name) else {
            return Err(NO_CONSUMER);
        };
        consumer.paused_until = paused_until;
        consumer.config.pause_until = pause.pause_until;
        let told = time(paused_until);
        self.jetstream.work.insert((stream.into(), name.into()));
        let left = paused_until.filter(|until| *until > at);
        let mut answer = json!({ "paused": left.is_some(), "pause_until": told });
        if let Some(until) = left {
            answer["pause_remaining"] = nanos_until(at, until).into();
        }
        Ok(answer)
    }
}

/// How long it is until a time, in nanoseconds; no longer than the server can say.
fn nanos_until(at: WallTime, until: WallTime) -> u64 {
    let nanos = until.0.saturating_sub(at.0).saturating_mul(1_000_000);
    nanos.min(i64::MAX as u64)
}

/// Until when a consumer pauses; what never was is no pause.
fn until(text: Option<&str>) -> Result<Option<WallTime>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    match stamp::parse(text) {
        Some(WallTime(0)) => Ok(None),
        Some(until) => Ok(Some(until)),
        None => Err(ApiError::invalid_json(format_args!(
            "{text:?} is not a time"
        ))),
    }
}
