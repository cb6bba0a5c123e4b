//! From what happened to what it leads to: the metadata of a follow-up command.

use super::Past;
use crate::format::Metadata;

/// What a command says of itself that says nothing.
pub(crate) static EMPTY: Metadata = Metadata::new();

impl Metadata {
    /// The metadata of a command that an event leads to: the same piece of work (the correlation id
    /// stays, and the trace context with it), caused by the event's command. Headers are the
    /// command's own and do not go along.
    ///
    /// ```
    /// # use tenure_core::api::{Metadata, Past};
    /// fn follow_up<E>(past: &Past<E>) -> Metadata {
    ///     Metadata::caused_by(past).header("user", "shipping")
    /// }
    /// ```
    pub fn caused_by<E>(past: &Past<E>) -> Self {
        let follow_up = Self::new()
            .correlation(past.correlation_id())
            .causation(past.cause());
        match past.metadata().trace() {
            Some(trace) => follow_up.trace_context(trace.clone()),
            None => follow_up,
        }
    }
}
