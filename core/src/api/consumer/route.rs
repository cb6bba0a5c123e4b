//! From a batch to the handlers of its events' kinds, through the middleware.

use super::handler::{BatchHandler, Handler};
use super::middleware::{Around, EventInfo, Innermost, Next};
use super::{Consumed, EventBatch, HandlerError};
use crate::api::bus::NotOfType;
use crate::api::entities::{KindFacts, Untold, tell_event};
use crate::api::{Aggregate, EventType, RawEvent};
use crate::consumer::{Batch, Given, Handled};
use crate::driver::consumer::{Clocked, ConsumerHost, Progress};
use crate::format::Cause;
use crate::log::FoldError;
use crate::name::KindName;
use crate::step::Span;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Why an event was not handled.
pub(super) struct NotHandled {
    cause: Cause,
    text: String,
}

impl From<HandlerError> for NotHandled {
    fn from(error: HandlerError) -> Self {
        Self {
            cause: Cause::Handler,
            text: error.to_string(),
        }
    }
}

fn undecodable(text: impl ToString) -> NotHandled {
    NotHandled {
        cause: Cause::Undecodable,
        text: text.to_string(),
    }
}

/// What handles the events of one kind, whatever their type.
pub(super) trait KindRoute: Send + Sync {
    /// Handles one event; decodes it anew each time.
    fn handle<'a>(
        &'a self,
        given: &'a Given,
        around: &'a Inside,
    ) -> BoxFuture<'a, Result<(), NotHandled>>;
}

/// What stands around all handlers.
pub(super) struct Inside {
    pub(super) consumer: String,
    pub(super) around: Vec<Arc<dyn Around>>,
    pub(super) clock: Clocked,
}

impl Inside {
    /// Runs a handler inside of the middleware.
    async fn run(&self, given: &Given, handler: &dyn Innermost) -> Result<(), HandlerError> {
        if self.around.is_empty() {
            return handler.run().await;
        }
        let next = Next {
            rest: &self.around,
            event: &EventInfo::of(&self.consumer, given),
            handler,
            clock: &self.clock,
        };
        next.run().await
    }
}

/// A handler of a kind's events.
pub(super) struct Typed<A: Aggregate, H> {
    pub(super) facts: Arc<KindFacts>,
    pub(super) handler: H,
    pub(super) kind: std::marker::PhantomData<fn() -> A>,
}

impl<A: Aggregate, H: Handler<A::Event>> Typed<A, H> {
    /// The current events that a stored one is. While its cipher cannot say, it is asked again.
    async fn decode(
        &self,
        given: &Given,
        clock: &Clocked,
    ) -> Result<Vec<Consumed<A::Event>>, NotHandled> {
        let mut wait = AWAY_MIN;
        loop {
            match decoded::<A>(&self.facts, given) {
                Ok(events) => return Ok(events),
                Err(NotDecoded::Never(text)) => return Err(undecodable(text)),
                Err(NotDecoded::NotNow(error)) => {
                    let (kind, place) = (&self.facts.kind, given.place);
                    tracing::warn!(%kind, %place, error, "cipher_away");
                }
            }
            clock.sleep_until(clock.now() + wait).await;
            wait = wait.saturating_mul(2).min(AWAY_MAX);
        }
    }
}

/// The first wait for a cipher that cannot say; it doubles.
const AWAY_MIN: Span = Span::from_millis(50);

/// The longest wait.
const AWAY_MAX: Span = Span::from_secs(5);

/// Why an event is not decoded.
#[derive(Debug)]
pub(in crate::api) enum NotDecoded {
    /// Its kind's cipher cannot say now.
    NotNow(String),
    /// This build never will.
    Never(String),
}

/// The current events that a stored one is; why it cannot be decoded.
pub(in crate::api) fn decoded<A: Aggregate>(
    facts: &KindFacts,
    given: &Given,
) -> Result<Vec<Consumed<A::Event>>, NotDecoded> {
    let never = |text: &str| NotDecoded::Never(text.to_owned());
    let record = given.commit.events.get(given.place.index as usize);
    let record = record.ok_or_else(|| never("its commit has no such event"))?;
    match tell_event::<A::Event>(facts, &given.subject.id, record) {
        Ok(events) => {
            let events = events.filter_map(|event| Consumed::new(given, event));
            let parts = (0..).zip(events);
            Ok(parts.map(|(part, event)| event.with_part(part)).collect())
        }
        Err(Untold::Never(FoldError::UnknownEvent { name, schema, .. })) => {
            let event = EventType { name, schema };
            Err(NotDecoded::Never(format!(
                "this build of kind {} has no event {event}; upgrade it, or let the kind skip unknown events",
                facts.kind
            )))
        }
        Err(Untold::Never(error)) => Err(NotDecoded::Never(error.to_string())),
        Err(Untold::NotNow(error)) => Err(NotDecoded::NotNow(error.to_string())),
    }
}

impl<A: Aggregate, H: Handler<A::Event>> KindRoute for Typed<A, H> {
    fn handle<'a>(
        &'a self,
        given: &'a Given,
        around: &'a Inside,
    ) -> BoxFuture<'a, Result<(), NotHandled>> {
        Box::pin(async move {
            // What cannot be decoded is no failure of the handler.
            let decoded = Mutex::new(Some(self.decode(given, &around.clock).await?));
            let run = RunTyped {
                route: self,
                given,
                clock: &around.clock,
                decoded,
            };
            Ok(around.run(given, &run).await?)
        })
    }
}

/// A typed handler with its event.
struct RunTyped<'a, A: Aggregate, H> {
    route: &'a Typed<A, H>,
    given: &'a Given,
    clock: &'a Clocked,
    /// As it was decoded to see whether it can be; a second run decodes it again.
    decoded: Mutex<Option<Vec<Consumed<A::Event>>>>,
}

impl<A: Aggregate, H: Handler<A::Event>> Innermost for RunTyped<'_, A, H> {
    fn run(&self) -> BoxFuture<'_, Result<(), HandlerError>> {
        let decoded = self.decoded.lock();
        let decoded = decoded.unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            let events = match decoded {
                Some(events) => events,
                None => self
                    .route
                    .decode(self.given, self.clock)
                    .await
                    .map_err(|failed| failed.text)?,
            };
            for event in events {
                self.route.handler.handle(event).await?;
            }
            Ok(())
        })
    }
}

/// A handler of events as they are stored.
pub(super) struct Raw<H>(pub(super) H);

impl<H: Handler<RawEvent>> KindRoute for Raw<H> {
    fn handle<'a>(
        &'a self,
        given: &'a Given,
        around: &'a Inside,
    ) -> BoxFuture<'a, Result<(), NotHandled>> {
        Box::pin(async move {
            let run = RunRaw {
                handler: &self.0,
                given,
            };
            around.run(given, &run).await.map_err(|error| {
                // What is published as one type is decoded in its handler's place.
                match error.is::<NotOfType>() {
                    true => undecodable(error),
                    false => error.into(),
                }
            })
        })
    }
}

/// A raw handler with its event.
struct RunRaw<'a, H> {
    handler: &'a H,
    given: &'a Given,
}

impl<H: Handler<RawEvent>> Innermost for RunRaw<'_, H> {
    fn run(&self) -> BoxFuture<'_, Result<(), HandlerError>> {
        Box::pin(async move {
            match Consumed::raw(self.given) {
                Some(event) => self.handler.handle(event).await,
                None => Ok(()),
            }
        })
    }
}

/// Handlers by kind.
pub(super) struct Routes {
    pub(super) kinds: BTreeMap<KindName, Arc<dyn KindRoute>>,
    pub(super) others: Option<Arc<dyn KindRoute>>,
    pub(super) inside: Inside,
}

/// The same, shared with its tasks.
pub(super) struct Routed(pub(super) Arc<Routes>);

impl ConsumerHost for Routed {
    fn handle(&self, batch: Batch, progress: Progress) -> BoxFuture<'static, Handled> {
        let routes = Arc::clone(&self.0);
        Box::pin(async move {
            for (done, given) in (0_u32..).zip(&batch.events) {
                progress.set(done);
                let route = routes.kinds.get(&given.subject.kind);
                // A kind without a handler is not let through by the filter.
                let Some(route) = route.or(routes.others.as_ref()) else {
                    continue;
                };
                if let Err(NotHandled { cause, text }) = route.handle(given, &routes.inside).await {
                    return Handled::Failed { done, cause, text };
                }
            }
            Handled::Done
        })
    }
}

/// A handler of batches.
pub(super) struct Batches<H>(pub(super) Arc<H>);

impl<H: BatchHandler> ConsumerHost for Batches<H> {
    fn handle(&self, batch: Batch, _: Progress) -> BoxFuture<'static, Handled> {
        let handler = Arc::clone(&self.0);
        Box::pin(async move {
            let events = batch.events.iter().filter_map(Consumed::raw).collect();
            let batch = EventBatch {
                events,
                upto: batch.upto,
                generation: batch.generation,
            };
            match handler.handle(batch).await {
                Ok(()) => Handled::Done,
                Err(error) => Handled::Failed {
                    done: 0,
                    cause: Cause::Handler,
                    text: error.to_string(),
                },
            }
        })
    }
}
