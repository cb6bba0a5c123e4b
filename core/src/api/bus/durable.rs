//! A durable subscription: a consumer of what is stored.

use super::event::decode;
use super::{Bus, BusError, DecodeError};
use crate::api::consumer::{
    Consumed, ConsumerBuilder, ConsumerError, ConsumerHandle, Handler, HandlerError,
    HandlerOutcome, Middleware, Pace, Policy, Start,
};
use crate::api::{Message, RawEvent};
use crate::bus::{Pattern, Topic};
use crate::id::PublicationId;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

/// A durable subscription that is being described. What a consumer can be told holds for it, too.
#[must_use = "a subscription is told of events when it is started"]
#[derive(Debug)]
pub struct DurableBuilder {
    consumer: ConsumerBuilder,
    /// What is wrong with it, found as it was described.
    wrong: Option<BusError>,
}

impl DurableBuilder {
    pub(super) fn new(bus: &Bus, name: &str, pattern: &str) -> Self {
        let consumer = bus.tenure.consumer(name);
        let checked = bus.own().and_then(|()| Ok(Pattern::new(pattern)?));
        match checked {
            Ok(pattern) => Self {
                consumer: consumer.on_bus(pattern),
                wrong: None,
            },
            Err(wrong) => Self {
                consumer,
                wrong: Some(wrong),
            },
        }
    }

    /// Only events of this stable name; several may be named.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.consumer = self.consumer.named(name);
        self
    }

    /// Where it begins when nobody of this name was here before; with the oldest event that is kept when
    /// this is not said.
    pub fn from(mut self, start: Start) -> Self {
        self.consumer = self.consumer.from(start);
        self
    }

    /// What is done about an event whose handler fails: [`ConsumerBuilder::failing`].
    pub fn failing(mut self, policy: Policy) -> Self {
        self.consumer = self.consumer.failing(policy);
        self
    }

    /// What is done about an event that cannot be decoded: one that is no publication, or of another version than
    /// [`start_of`](Self::start_of) hands over. [`ConsumerBuilder::undecodable`].
    pub fn undecodable(mut self, policy: Policy) -> Self {
        self.consumer = self.consumer.undecodable(policy);
        self
    }

    /// Where it begins now wherever it stood: [`ConsumerBuilder::reset`].
    pub fn reset(mut self, start: Start) -> Self {
        self.consumer = self.consumer.reset(start);
        self
    }

    /// Only events that were published with this header.
    pub fn with_header(mut self, name: impl Into<String>) -> Self {
        self.consumer = self.consumer.with_header(name);
        self
    }

    /// Only events that were published with this header and this value.
    pub fn with_header_of(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.consumer = self.consumer.with_header_of(name, value);
        self
    }

    /// One event at a time, in the order in which they were stored, of all topics.
    pub fn serial(mut self) -> Self {
        self.consumer = self.consumer.serial();
        self
    }

    /// The events of how many topics are handled at once at most; 16 when this is not said.
    pub fn handlers(mut self, handlers_max: u32) -> Self {
        self.consumer = self.consumer.handlers(handlers_max);
        self
    }

    /// Puts a middleware around the handler: [`ConsumerBuilder::with`].
    pub fn with(mut self, middleware: impl Middleware) -> Self {
        self.consumer = self.consumer.with(middleware);
        self
    }

    /// How long its start may take: [`ConsumerBuilder::start_timeout`].
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.consumer = self.consumer.start_timeout(timeout);
        self
    }

    /// How much is fetched and handled at once: [`ConsumerBuilder::pace`].
    pub fn pace(mut self, change: impl FnOnce(&mut Pace)) -> Self {
        self.consumer = self.consumer.pace(change);
        self
    }

    /// Begins to hand events to a handler, those of one topic in their order. It runs until it is stopped
    /// or its node is; the handle tells how it stands and has its dead letters.
    ///
    /// # Errors
    ///
    /// When the name or the pattern cannot be one, another subscription or consumer has the name, or the
    /// store is not there.
    pub async fn start<F, Fut>(self, handler: F) -> Result<ConsumerHandle, DurableError>
    where
        F: Fn(Published) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HandlerOutcome> + Send,
    {
        if let Some(wrong) = self.wrong {
            return Err(DurableError::Bus(wrong));
        }
        let handler = move |event: Consumed<RawEvent>| handler(Published(event));
        Ok(self.consumer.raw(handler).start().await?)
    }

    /// The same of one type of event, decoded. Events of other names are left out; one of its name and another
    /// version goes by [`undecodable`](Self::undecodable).
    ///
    /// # Errors
    ///
    /// As of [`start`](Self::start).
    pub async fn start_of<M, F, Fut>(self, handler: F) -> Result<ConsumerHandle, DurableError>
    where
        M: Message,
        F: Fn(M, Published) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HandlerOutcome> + Send,
    {
        let this = self.named(M::NAME);
        if let Some(wrong) = this.wrong {
            return Err(DurableError::Bus(wrong));
        }
        let handler = Decodes(handler, PhantomData);
        Ok(this.consumer.raw(handler).start().await?)
    }
}

/// A handler of one type of event.
struct Decodes<M, F>(F, PhantomData<fn() -> M>);

impl<M, F, Fut> Handler<RawEvent> for Decodes<M, F>
where
    M: Message,
    F: Fn(M, Published) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: HandlerOutcome> + Send,
{
    async fn handle(&self, event: Consumed<RawEvent>) -> Result<(), HandlerError> {
        let event = Published(event);
        let value = event.decode::<M>().map_err(NotOfType)?;
        (self.0)(value, event).await.into_result()
    }
}

/// An event is not what a handler of one type takes, for which the handler is not to blame.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(in crate::api) struct NotOfType(DecodeError);

/// Why a durable subscription did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DurableError {
    /// It is described wrongly.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Its consumer did not start.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
}

/// What is published, as a durable subscriber gets it.
#[derive(Clone, Debug)]
pub struct Published(Consumed<RawEvent>);

impl Published {
    /// Where it was published.
    pub fn topic(&self) -> Topic {
        Topic::new(self.0.id().as_str()).expect("a subject that was read as one of the bus")
    }

    /// Its id: of no other event, and the same each time it comes.
    pub fn publication(&self) -> PublicationId {
        PublicationId(self.0.commit.0)
    }

    /// The stable name of its type.
    pub fn name(&self) -> &str {
        &self.0.event.name
    }

    /// Its value.
    ///
    /// # Errors
    ///
    /// When it is of another type, or of another version of it.
    pub fn decode<M: Message>(&self) -> Result<M, DecodeError> {
        decode(self.name(), self.0.event.schema, &self.0.event.data)
    }
}

/// What a consumer's handler is told of it.
impl Deref for Published {
    type Target = Consumed<RawEvent>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
