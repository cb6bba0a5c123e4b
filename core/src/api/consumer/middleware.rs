//! What stands around a handler: it sees each event before and after, and hides nothing of it.

use super::HandlerError;
use crate::api::metadata::EMPTY;
use crate::consumer::Given;
use crate::driver::consumer::Clocked;
use crate::format::{EventPlace, Metadata};
use crate::id::WallTime;
use crate::name::{EntityId, KindName};
use crate::step::Span;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::Instrument;

/// Stands around the handlers of a consumer. The first one that was added is the outermost. Around the folds
/// of a projection stands a [`FoldMiddleware`](crate::api::projection::FoldMiddleware).
///
/// A middleware is asked about events alone: where the consumer begins, its checkpoint and its end go
/// past it, so that adding one takes nothing away.
///
/// ```
/// use tenure_core::api::consumer::{EventInfo, HandlerError, Middleware, Next};
///
/// struct Counted(std::sync::atomic::AtomicU64);
///
/// impl Middleware for Counted {
///     async fn around(&self, event: &EventInfo<'_>, next: Next<'_>) -> Result<(), HandlerError> {
///         self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         next.run().await
///     }
/// }
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Runs what is inside, once, several times, or not at all.
    fn around(
        &self,
        event: &EventInfo<'_>,
        next: Next<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

/// What a middleware may know of an event.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EventInfo<'a> {
    /// The consumer.
    pub consumer: &'a str,
    /// The kind of its entity.
    pub kind: &'a KindName,
    /// Its entity.
    pub id: &'a EntityId,
    /// Its stored type name.
    pub name: &'a str,
    /// Where it is.
    pub place: EventPlace,
    /// When the store took it.
    pub stored: WallTime,
    /// Whether it is new; see [`Consumed::live`](super::Consumed::live).
    pub live: bool,
    /// The how manieth try of this run it is, from 1.
    pub attempt: u32,
    /// What its command said of itself.
    pub metadata: &'a Metadata,
}

impl<'a> EventInfo<'a> {
    /// Of an event that is handed over.
    pub(in crate::api) fn of(consumer: &'a str, given: &'a Given) -> Self {
        let index = given.place.index as usize;
        let record = given.commit.events.get(index);
        let metadata = given.commit.metadata_of(index);
        Self {
            consumer,
            kind: &given.subject.kind,
            id: &given.subject.id,
            name: record.map_or("", |record| record.name.as_ref()),
            place: given.place,
            stored: given.stored,
            live: given.live,
            attempt: given.attempt,
            metadata: metadata.map_or(&EMPTY, |metadata| metadata),
        }
    }
}

/// What is inside of a middleware: the next one, and in the end the handler.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    pub(super) rest: &'a [Arc<dyn Around>],
    pub(super) event: &'a EventInfo<'a>,
    pub(super) handler: &'a dyn Innermost,
    pub(super) clock: &'a Clocked,
}

impl<'a> Next<'a> {
    /// Runs it. A copy may be run again; the handler gets the event anew then.
    ///
    /// # Errors
    ///
    /// The handler's, or that of a middleware.
    pub fn run(self) -> BoxFuture<'a, Result<(), HandlerError>> {
        match self.rest.split_first() {
            Some((first, rest)) => first.around(self.event, Next { rest, ..self }),
            None => self.handler.run(),
        }
    }

    /// How long ago this node started, on its own clock.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.now().as_nanos())
    }

    /// Waits, on the node's clock.
    pub fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(self.clock.now() + Span::from(time))
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next")
            .field("middlewares", &self.rest.len())
            .finish_non_exhaustive()
    }
}

/// The handler with its event.
pub(super) trait Innermost: Send + Sync {
    fn run(&self) -> BoxFuture<'_, Result<(), HandlerError>>;
}

/// A middleware without its type.
pub(super) trait Around: Send + Sync {
    fn around<'a>(
        &'a self,
        event: &'a EventInfo<'a>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<(), HandlerError>>;
}

impl<M: Middleware> Around for M {
    fn around<'a>(
        &'a self,
        event: &'a EventInfo<'a>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(Middleware::around(self, event, next))
    }
}

/// Logs each event with how long its handler took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logged;

impl Middleware for Logged {
    async fn around(&self, event: &EventInfo<'_>, next: Next<'_>) -> Result<(), HandlerError> {
        let began = next.now();
        let handled = next.run().await;
        let took = next.now().saturating_sub(began);
        Self::log(event, took, handled.as_ref().err());
        handled
    }
}

impl Logged {
    pub(in crate::api) fn log(
        event: &EventInfo<'_>,
        took: Duration,
        failed: Option<&HandlerError>,
    ) {
        let (consumer, name, id, place) = (event.consumer, event.name, event.id, event.place);
        match failed {
            None => tracing::debug!(consumer, name, %id, %place, ?took, "event_handled"),
            Some(error) => {
                tracing::warn!(consumer, name, %id, %place, ?took, %error, "event_failed");
            }
        }
    }
}

/// Runs each handler in a span of `tracing`, with the trace that the event's command belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traced;

impl Middleware for Traced {
    async fn around(&self, event: &EventInfo<'_>, next: Next<'_>) -> Result<(), HandlerError> {
        next.run().instrument(Self::span(event)).await
    }
}

impl Traced {
    pub(in crate::api) fn span(event: &EventInfo<'_>) -> tracing::Span {
        let parent = event.metadata.trace().map(ToString::to_string);
        tracing::info_span!(
            "event",
            consumer = event.consumer,
            name = event.name,
            id = %event.id,
            place = %event.place,
            attempt = event.attempt,
            live = event.live,
            traceparent = parent,
        )
    }
}

/// Counts events and the time of their handlers, by the events' names.
///
/// ```
/// use tenure_core::api::consumer::Measured;
///
/// let measured = Measured::default();
/// // …with(measured.clone())…
/// for (event, measures) in measured.all() {
///     println!("{event}: {} handled, {} failed", measures.handled, measures.failed);
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Measured(Arc<Mutex<BTreeMap<String, Measures>>>);

/// What was measured of the events of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measures {
    /// How many were handled.
    pub handled: u64,
    /// Of those, how many were live.
    pub live: u64,
    /// How many tries failed.
    pub failed: u64,
    /// How long handlers took, in all.
    pub time: Duration,
    /// How long the longest took.
    pub longest: Duration,
}

impl Measured {
    /// What was measured until now, by the events' names. There are as many as events have names.
    pub fn all(&self) -> BTreeMap<String, Measures> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(in crate::api) fn note(&self, event: &EventInfo<'_>, took: Duration, handled: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let measures = match all.get_mut(event.name) {
            Some(measures) => measures,
            None => all.entry(event.name.to_owned()).or_default(),
        };
        match handled {
            true => {
                measures.handled += 1;
                measures.live += u64::from(event.live);
            }
            false => measures.failed += 1,
        }
        measures.time += took;
        measures.longest = measures.longest.max(took);
    }
}

impl Middleware for Measured {
    async fn around(&self, event: &EventInfo<'_>, next: Next<'_>) -> Result<(), HandlerError> {
        let began = next.now();
        let handled = next.run().await;
        let took = next.now().saturating_sub(began);
        self.note(event, took, handled.is_ok());
        handled
    }
}

/// Lets a handler fail that takes too long; its future is dropped.
#[derive(Clone, Copy, Debug)]
pub struct TimedOut(pub Duration);

impl Middleware for TimedOut {
    async fn around(&self, _: &EventInfo<'_>, next: Next<'_>) -> Result<(), HandlerError> {
        tokio::select! {
            biased;
            handled = next.run() => handled,
            () = next.sleep(self.0) => {
                Err(format!("it took longer than {:?}", self.0).into())
            }
        }
    }
}

/// Tries a handler again at once, before the consumer's own policy has it wait: for what fails now and
/// then.
#[derive(Clone, Copy, Debug)]
pub struct Retried {
    /// How often.
    pub times: u32,
    /// After how long.
    pub after: Duration,
}

impl Middleware for Retried {
    async fn around(&self, _: &EventInfo<'_>, next: Next<'_>) -> Result<(), HandlerError> {
        for _ in 0..self.times {
            if next.run().await.is_ok() {
                return Ok(());
            }
            next.sleep(self.after).await;
        }
        next.run().await
    }
}
