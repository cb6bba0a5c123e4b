//! The future of one ask.

use super::Wire;
use super::asks::{Answer, By, Entry, State};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An ask in flight. Dropping it gives the answer up.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(super) wire: Arc<Wire>,
    pub(super) entry: Entry,
}

impl Waiting {
    /// The subject for the answer.
    pub(crate) fn reply(&self) -> async_nats::Subject {
        self.wire.reply(self.entry)
    }
}

/// Ends with the answer, or with `None` when the connection is lost or the ask was due.
impl Future for Waiting {
    type Output = Option<Answer>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut asks = self.wire.asks();
        // Its place is its own as long as this value lives.
        match asks
            .waiting
            .get_mut(self.entry.key)
            .map(|ask| &mut ask.state)
        {
            Some(State::Open { by, .. }) => {
                match by {
                    By::Waiting(Some(waker)) => waker.clone_from(cx.waker()),
                    By::Waiting(none) => *none = Some(cx.waker().clone()),
                    By::Told(_) => unreachable!("an ask that is told has no `Waiting`"),
                }
                Poll::Pending
            }
            Some(State::Ended(answer)) => Poll::Ready(answer.take()),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let ask = self.wire.asks().waiting.try_remove(self.entry.key);
        // The table is not locked any more when the answer is dropped.
        debug_assert!(ask.is_some_and(|ask| ask.serial == self.entry.serial));
    }
}
