//! Effects outside: a message of a commit that goes to no entity, but to code that does something.
//!
//! It leaves the log as a message to an entity does (S18): by the dispatcher of its shard, at least once,
//! under an id that is the same for each attempt by any owner. Its handler is a task of the shell, and
//! what it comes to is told to the log.

use super::consumer::Clocked;
use super::counters::Counters;
use super::host::panic_text;
use super::outbox::Outbox;
use super::panics::Panics;
use super::shell::Shell;
use crate::format::Layout;
use crate::log::{Delivery, Dispatch};
use crate::step::Span;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// What a call came to.
pub(crate) enum Called {
    Done,
    /// It failed, and is to be tried again.
    Again,
    /// It failed for the last time: this message puts it aside.
    Aside(Box<Dispatch>),
    /// It cannot be called as things are.
    Undeliverable(String),
}

/// The user's code of one effect.
pub(crate) trait EffectHost: Send + Sync {
    /// Does it. A panic is caught, and `panicked` says what comes of it.
    fn call(&self, dispatch: Dispatch, clock: Clocked) -> BoxFuture<'static, Called>;

    /// What becomes of a call that panicked with a text.
    fn panicked(&self, dispatch: Dispatch, panic: &str, clock: &Clocked) -> Called;
}

/// What is counted of effects, over all lanes of a node.
#[derive(Debug, Default)]
pub(crate) struct EffectCounts {
    called: AtomicU64,
    failed: AtomicU64,
    aside: AtomicU64,
}

impl EffectCounts {
    pub(crate) fn count_into(&self, counters: &mut Counters) {
        counters.effects_called = self.called.load(Ordering::Relaxed);
        counters.effects_failed = self.failed.load(Ordering::Relaxed);
        counters.effects_aside = self.aside.load(Ordering::Relaxed);
    }
}

/// Calls an effect in a task of the shell; what comes of it is told, and its panic to the lane.
pub(crate) fn call<S: Shell>(
    shell: &S,
    (outbox, layout, store_timeout): (&Arc<Outbox>, &Arc<Layout>, Span),
    (host, panics): (Arc<dyn EffectHost>, Panics),
    dispatch: Dispatch,
) -> oneshot::Receiver<Delivery> {
    let (done, delivered) = oneshot::channel();
    let (outbox, layout, world) = (Arc::clone(outbox), Arc::clone(layout), shell.clone());
    let clock = Clocked(Arc::new(shell.clone()));
    let task = async move {
        let counts = &outbox.effects;
        counts.called.fetch_add(1, Ordering::Relaxed);
        // The user's code may panic before it returns a future.
        let calling = async { host.call(dispatch.clone(), clock.clone()).await };
        let called = AssertUnwindSafe(calling).catch_unwind().await;
        let called = called.unwrap_or_else(|panic| {
            let text = panic_text(panic);
            let effect = format!("the handler of effect {}", dispatch.intent.message.name);
            panics.add(effect, text.clone());
            host.panicked(dispatch, &text, &clock)
        });
        let failed = !matches!(called, Called::Done);
        counts
            .failed
            .fetch_add(u64::from(failed), Ordering::Relaxed);
        let delivery = match called {
            Called::Done => Delivery::Done,
            Called::Again => Delivery::Failed,
            Called::Undeliverable(cause) => Delivery::Undeliverable { cause },
            Called::Aside(letter) => {
                let deadline = world.now() + store_timeout.saturating_mul(2);
                let sent = outbox.send(*letter, &layout, world.wall(), deadline);
                match sent.await {
                    Ok(Delivery::Done) => {
                        counts.aside.fetch_add(1, Ordering::Relaxed);
                        Delivery::Done
                    }
                    Ok(Delivery::Undeliverable { cause }) => Delivery::Undeliverable { cause },
                    // What has no room among those put aside stays with the log, and is tried again.
                    Ok(
                        Delivery::Rejected { .. }
                        | Delivery::Again
                        | Delivery::Waits
                        | Delivery::Failed,
                    )
                    | Err(_) => Delivery::Failed,
                }
            }
        };
        // The log that sent it may be gone.
        let _ = done.send(delivery);
    };
    // It ends by the time-out of its policy.
    drop(shell.spawn(task));
    delivered
}
