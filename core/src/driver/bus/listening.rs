//! What a live subscription has heard and not read. The shell puts it in where it reads its connection,
//! and never waits: what has no room goes by the subscription's rule.

use super::BusCounts;
use crate::bus::{Backlog, Next, Overflow};
use crate::driver::ear::Hearing;
use crate::port::Heard;
use futures_util::future::BoxFuture;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// What one live subscription has heard and not read.
pub(crate) struct Listening {
    backlog: Mutex<Backlog<Heard>>,
    /// One reader, who is woken when there is something.
    news: Notify,
    left: watch::Sender<bool>,
    counts: Arc<BusCounts>,
}

impl Listening {
    pub(crate) fn new(room: usize, overflow: Overflow, counts: Arc<BusCounts>) -> Self {
        Self {
            backlog: Mutex::new(Backlog::new(room, overflow)),
            news: Notify::new(),
            left: watch::Sender::new(false),
            counts,
        }
    }

    /// What is next; `None` when nothing comes any more.
    pub(crate) async fn next(&self) -> Option<Next<Heard>> {
        loop {
            {
                let mut backlog = self.backlog();
                if let Some(next) = backlog.pop() {
                    return Some(next);
                }
                if backlog.is_over() {
                    return None;
                }
            }
            self.news.notified().await;
        }
    }

    /// What is next, if it is here.
    pub(crate) fn pop(&self) -> Option<Next<Heard>> {
        self.backlog().pop()
    }

    /// How many events had no room, and whether that ended the subscription.
    pub(crate) fn dropped(&self) -> (u64, bool) {
        let backlog = self.backlog();
        (backlog.dropped(), backlog.is_closed())
    }

    /// Nobody reads any more.
    pub(crate) fn leave(&self) {
        self.left.send_replace(true);
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog<Heard>> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hearing for Listening {
    fn take(&self, heard: Heard) -> bool {
        let mut backlog = self.backlog();
        let before = backlog.dropped();
        backlog.push(heard);
        let dropped = backlog.dropped() - before;
        let closed = backlog.is_closed();
        drop(backlog);
        self.counts.heard.fetch_add(1, Ordering::Relaxed);
        self.counts.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.news.notify_one();
        if closed {
            self.leave();
        }
        // What had no room is counted here.
        true
    }

    fn missed(&self) {
        self.backlog().missed();
        self.news.notify_one();
    }

    fn is_closed(&self) -> bool {
        *self.left.borrow()
    }

    fn closed(&self) -> BoxFuture<'static, ()> {
        let mut left = self.left.subscribe();
        Box::pin(async move {
            // An error means that it is gone.
            let _ = left.wait_for(|left| *left).await;
        })
    }
}

/// Tells that a node has stopped.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(pub(super) watch::Receiver<usize>);

impl Stopping {
    /// Ends when no lane of the node runs any more. Cancel safe.
    pub(crate) async fn stopped(&mut self) {
        // An error means that all lanes are gone.
        let _ = self.0.wait_for(|running| *running == 0).await;
    }
}
