//! What a user writes: code that handles an event, or a batch of them.

use super::{Consumed, EventBatch, HandlerError};
use std::fmt::Display;
use std::future::Future;

/// Handles the events of one type.
///
/// A closure is one: `|event: Consumed<E>| async move { … }`, which ends with `()` or with a
/// `Result<(), _>` of any error. It may run several times for one event, and several at once for those of
/// different entities; never for two of one entity.
///
/// On the end of the consumer the future is dropped at its next await point. A panic is a failure of the
/// event.
pub trait Handler<E>: Send + Sync + 'static {
    /// Handles one event.
    fn handle(&self, event: Consumed<E>) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

/// Handles batches: all that came, in the log's order, with where the consumer will stand then.
pub trait BatchHandler: Send + Sync + 'static {
    /// Handles a batch as a whole. After an error nothing of it counts as handled: its events are handed
    /// over again one by one, so that what cannot be handled is found, and the others are not blamed.
    fn handle(&self, batch: EventBatch) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

/// What a handler may end with.
///
/// Sealed: it is `()`, which is always fine, or a `Result<(), _>` of an error with a text.
pub trait HandlerOutcome: sealed::Sealed {
    /// Whether it was handled.
    ///
    /// # Errors
    ///
    /// The handler's own.
    fn into_result(self) -> Result<(), HandlerError>;
}

mod sealed {
    #[allow(
        unnameable_types,
        reason = "it seals `HandlerOutcome`: nobody else can implement it"
    )]
    pub trait Sealed {}
}

impl sealed::Sealed for () {}

impl HandlerOutcome for () {
    fn into_result(self) -> Result<(), HandlerError> {
        Ok(())
    }
}

impl<E> sealed::Sealed for Result<(), E> {}

impl<E: Display> HandlerOutcome for Result<(), E> {
    fn into_result(self) -> Result<(), HandlerError> {
        self.map_err(|error| error.to_string().into())
    }
}

impl<E, F, Fut> Handler<E> for F
where
    E: Send + 'static,
    F: Fn(Consumed<E>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: HandlerOutcome> + Send,
{
    async fn handle(&self, event: Consumed<E>) -> Result<(), HandlerError> {
        self(event).await.into_result()
    }
}

impl<F, Fut> BatchHandler for F
where
    F: Fn(EventBatch) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: HandlerOutcome> + Send,
{
    async fn handle(&self, batch: EventBatch) -> Result<(), HandlerError> {
        self(batch).await.into_result()
    }
}
