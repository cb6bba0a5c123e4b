//! Consumers: cursors over one stream, in memory, of which a server keeps none over its own end.
//!
//! The model answers a fetch at once, with nothing where there is nothing: who stands around it waits
//! and asks again. A consumer that was not fetched from for its idle time goes; nobody can tell when
//! that is done, so it is done when the next request looks for it.

use super::filter::{self, FilterSet};
use super::stream::{Stored, View};
use super::{Store, form};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{
    ConsumerInfo, ConsumerName, ConsumerSettings, Delivered, Fetched, Refused, Start, StoreDone,
    StoreReply, StoreRequest, StreamName, Subject,
};
use tenure_core::step::{Outcome, Span};

/// The consumers of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Consumers(BTreeMap<ConsumerName, Consumer>);

#[derive(Clone, Debug)]
struct Consumer {
    settings: ConsumerSettings,
    filters: Filters,
    /// All up to here was looked at.
    looked: u64,
    /// How many messages it gave.
    given: u64,
    /// How many messages of its filters lie between what was looked at and `counted`.
    pending: u64,
    counted: u64,
    /// Until when it is in use; its idle time begins then.
    used: WallTime,
}

/// What a fetch asks for.
#[derive(Clone, Copy, Debug)]
struct Ask {
    messages_max: usize,
    bytes_max: usize,
}

impl Store {
    /// When a server ends on which consumers are kept: no stream has any of them afterwards.
    pub fn forget_consumers(&mut self) {
        for stream in self.streams.values_mut() {
            stream.consumers = Consumers::default();
        }
    }

    /// When the server of one stream's consumers ends.
    pub fn forget_consumers_of(&mut self, stream: &str) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.consumers = Consumers::default();
        }
    }

    /// The consumers of a stream that are there at a time.
    pub fn consumers(&self, at: WallTime, stream: &str) -> impl Iterator<Item = &str> {
        let stream = self.streams.get(stream).into_iter();
        let all = stream.flat_map(|stream| &stream.consumers.0);
        let there = all.filter(move |(_, consumer)| !consumer.is_over(at));
        there.map(|(name, _)| name.as_str())
    }

    /// When a replica lags that keeps a consumer: one that is opened begins by what that replica knows
    /// of, and a fetch gives that, as of the time when `up_to` was its stream's last sequence.
    /// Everything else is answered as [`Store::answer_as_of`] does.
    pub fn apply_as_of(
        &mut self,
        at: WallTime,
        up_to: Sequence,
        request: &StoreRequest,
    ) -> StoreReply {
        if !request.moves_consumer() {
            return self.answer_as_of(at, up_to, request);
        }
        if let Err(refused) = form::check(&self.config.capabilities, request) {
            return Outcome::Refused(refused);
        }
        if let Some(reply) = self.answer_server(request) {
            return reply;
        }
        if let StoreRequest::OpenConsumer(settings) = request {
            return self.open_consumer(at, settings, Some(up_to));
        }
        self.fetch(at, request, Some(up_to))
    }

    pub(super) fn open_consumer(
        &mut self,
        at: WallTime,
        settings: &ConsumerSettings,
        as_of: Option<Sequence>,
    ) -> StoreReply {
        let Some(stream) = self.streams.get_mut(&settings.stream) else {
            return Outcome::Refused(Refused::NoStream);
        };
        let mut filters = settings.filters.iter().map(Subject::as_str);
        if filter::first_overlap(&mut filters).is_some() {
            let text = "consumer subject filters cannot overlap".into();
            return Outcome::Refused(Refused::BadRequest(text));
        }
        let mut consumers = core::mem::take(&mut stream.consumers);
        consumers.0.retain(|_, consumer| !consumer.is_over(at));
        let view = as_of.map_or(stream.now(), |up_to| stream.as_of(up_to.0));
        let known = consumers.0.get_mut(&settings.name);
        let reply = match known {
            Some(known) if known.settings == *settings => {
                known.used = known.used.max(at);
                if as_of.is_none() {
                    known.count(view);
                }
                Outcome::Done(StoreDone::Consumer(known.info()))
            }
            Some(_) => Outcome::Refused(Refused::Other {
                code: 10_148,
                text: "consumer already exists".into(),
            }),
            None => {
                let mut consumer = Consumer::new(settings.clone(), at, view);
                consumer.count(view);
                let info = consumer.info();
                if as_of.is_some() {
                    consumer.recount();
                }
                consumers.0.insert(settings.name.clone(), consumer);
                Outcome::Done(StoreDone::Consumer(info))
            }
        };
        stream.consumers = consumers;
        reply
    }

    pub(super) fn close_consumer(&mut self, stream: &StreamName, name: &str) -> StoreReply {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.consumers.0.remove(name);
        }
        Outcome::Done(StoreDone::Closed)
    }

    /// Answers a fetch; nothing else is given to it.
    pub(super) fn fetch(
        &mut self,
        at: WallTime,
        request: &StoreRequest,
        as_of: Option<Sequence>,
    ) -> StoreReply {
        let StoreRequest::Fetch {
            stream,
            consumer,
            messages_max,
            bytes_max,
            wait,
        } = request
        else {
            return Outcome::Unknown;
        };
        let gone = Outcome::Refused(Refused::NoConsumer);
        let Some(stream) = self.streams.get_mut(stream) else {
            return gone;
        };
        let Some((name, mut consumer)) = stream.consumers.0.remove_entry(consumer.as_str()) else {
            return gone;
        };
        if consumer.is_over(at) {
            return gone;
        }
        // A platform whose sizes have fewer bits asks for no more than it has room for.
        let ask = Ask {
            messages_max: usize::try_from(*messages_max).unwrap_or(usize::MAX),
            bytes_max: usize::try_from(*bytes_max).unwrap_or(usize::MAX),
        };
        let view = as_of.map_or(stream.now(), |up_to| stream.as_of(up_to.0));
        let fetched = consumer.take(view, ask, as_of.is_some());
        let waits = fetched.messages.is_empty();
        consumer.use_until(at, if waits { *wait } else { Span::ZERO });
        stream.consumers.0.insert(name, consumer);
        Outcome::Done(StoreDone::Fetched(fetched))
    }
}

impl Consumers {
    /// A message went that some of them may not have given yet.
    pub(super) fn removed(&mut self, sequence: u64, subject: &str) {
        for consumer in self.0.values_mut() {
            let counts = consumer.looked < sequence && sequence <= consumer.counted;
            if counts && consumer.filters.take_in(subject) {
                consumer.pending -= 1;
            }
        }
    }
}

impl Consumer {
    fn new(settings: ConsumerSettings, at: WallTime, view: View<'_>) -> Self {
        let before = view.first().saturating_sub(1);
        let looked = match settings.from {
            Start::Sequence(from) => from.0.saturating_sub(1).max(before),
            Start::Time(time) => {
                let mut later = view.from(1).filter(|stored| stored.message.stored >= time);
                let first = later.next().map(|stored| stored.message.sequence.0);
                first.map_or(view.last(), |first| first - 1)
            }
            Start::New => view.last(),
        };
        Self {
            filters: Filters::new(&settings.filters),
            settings,
            looked,
            given: 0,
            pending: 0,
            counted: looked,
            used: at,
        }
    }

    fn is_over(&self, at: WallTime) -> bool {
        let idle_ms = self.settings.idle.as_millis();
        self.used.0.saturating_add(idle_ms) <= at.0
    }

    fn use_until(&mut self, at: WallTime, wait: Span) {
        let until = WallTime(at.0.saturating_add(wait.as_millis()));
        self.used = self.used.max(until);
    }

    /// Counts what was stored since it counted last.
    fn count(&mut self, view: View<'_>) {
        let new = view.from(self.counted.max(self.looked) + 1);
        let new = new.filter(|stored| self.filters.take_in(&stored.message.subject));
        self.pending += new.count() as u64;
        self.counted = view.last().max(self.counted);
    }

    /// Counts anew what follows, when it counts next: what was counted is not of the present.
    fn recount(&mut self) {
        (self.pending, self.counted) = (0, self.looked);
    }

    fn info(&self) -> ConsumerInfo {
        ConsumerInfo {
            after: Sequence(self.looked),
            pending: self.pending,
        }
    }

    /// Gives the next messages. From the past nothing is counted that the present does not have.
    fn take(&mut self, view: View<'_>, ask: Ask, past: bool) -> Fetched {
        let pending = if past {
            let matching = |stored: &&Stored| self.filters.take_in(&stored.message.subject);
            let all = view.from(self.looked + 1).filter(matching);
            all.count() as u64
        } else {
            self.count(view);
            self.pending
        };
        let messages = match pending {
            0 => Vec::new(),
            _ => self.next(view, ask),
        };
        let pending = pending - messages.len() as u64;
        match messages.last() {
            Some(last) if pending > 0 => self.looked = last.message.sequence.0,
            Some(_) | None => self.looked = self.looked.max(view.last()),
        }
        self.given += messages.len() as u64;
        if past {
            self.recount();
        } else {
            (self.pending, self.counted) = (pending, self.counted.max(self.looked));
        }
        let pending = if messages.is_empty() { 0 } else { pending };
        Fetched { messages, pending }
    }

    fn next(&self, view: View<'_>, ask: Ask) -> Vec<Delivered> {
        let mut given = Vec::new();
        let mut bytes = 0_usize;
        for stored in view.from(self.looked + 1) {
            let message = &stored.message;
            if !self.filters.take_in(&message.subject) {
                continue;
            }
            bytes = bytes.saturating_add(message.payload.len());
            let full = given.len() >= ask.messages_max || bytes > ask.bytes_max;
            if full && !given.is_empty() {
                break;
            }
            given.push(Delivered {
                message: message.clone(),
                number: self.given + given.len() as u64 + 1,
            });
        }
        given
    }
}

/// The filters of one consumer. Most look at all of a stream, or at one subject.
#[derive(Clone, Debug)]
enum Filters {
    All,
    Some(FilterSet),
}

impl Filters {
    fn new(filters: &[Subject]) -> Self {
        if filters.iter().any(|filter| *filter == ">") {
            return Self::All;
        }
        Self::Some(FilterSet::new(filters.iter().map(Subject::as_str)))
    }

    fn take_in(&self, subject: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(set) => set.takes_in(subject),
        }
    }
}
