//! Madsim's clock.

pub use madsim::time::{
    Duration, Instant, Interval, MissedTickBehavior, Sleep, interval, interval_at, sleep,
    sleep_until,
};

use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What may go wrong with time.
pub mod error {
    pub use madsim::time::error::Elapsed;
}

/// A future that has a deadline: madsim's own has no name.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Timeout<T> {
    value: Pin<Box<T>>,
    over: Sleep,
}

/// Waits for a future for so long at most.
pub fn timeout<F: IntoFuture>(time: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        value: Box::pin(future.into_future()),
        over: sleep(time),
    }
}

/// Waits for a future until a deadline at most.
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        value: Box::pin(future.into_future()),
        over: sleep_until(deadline),
    }
}

impl<T: Future> Future for Timeout<T> {
    type Output = Result<T::Output, error::Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Poll::Ready(value) = this.value.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        let over = Pin::new(&mut this.over).poll(cx);
        over.map(|()| Err(error::Elapsed))
    }
}
