//! Users' code that outlives a turn of its lane: it is polled only while it may act (K6).

use super::stage::Stage;
use crate::driver::lease::Permit;
use futures_util::future::BoxFuture;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Users' code. When its lease is over it is dropped instead of polled, and has no outcome: the lane
/// that would abort it may be late, or may be the one that its node's other code holds up.
pub(crate) struct Permitted<T> {
    future: Option<BoxFuture<'static, T>>,
    permit: Option<Permit>,
    stage: Arc<Stage>,
}

impl<T> Permitted<T> {
    /// `permit`: the lease under which it began; `None` for what belongs to the node alone.
    pub(crate) fn new(
        future: BoxFuture<'static, T>,
        permit: Option<Permit>,
        stage: Arc<Stage>,
    ) -> Self {
        Self {
            future: Some(future),
            permit,
            stage,
        }
    }

    /// Drops the code and what it holds.
    pub(crate) fn end(&mut self) {
        self.future = None;
    }
}

impl<T> Future for Permitted<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let may_act = self.stage.allows(self.permit);
        let outcome = match &mut self.future {
            Some(future) if may_act => Some(ready!(future.as_mut().poll(cx))),
            Some(_) | None => None,
        };
        self.end();
        Poll::Ready(outcome)
    }
}
