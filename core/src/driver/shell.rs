//! The seam between the driver and a world: real NATS, memory, or a simulator.

use super::completion::Completion;
use crate::id::WallTime;
use crate::port::{Capabilities, StoreReply, StoreRequest};
use crate::step::Time;
use std::fmt;
use std::future::Future;
use tokio::sync::mpsc;

/// A world to run in. A shell maps and never retries or decides.
pub trait Shell: Clone + Send + Sync + 'static {
    /// This node's monotonic clock, counted from the shell's start; counts suspended time where the
    /// platform can.
    fn now(&self) -> Time;

    /// This node's wall clock. For ids, stamps and reminders, never for leases.
    fn wall(&self) -> WallTime;

    /// Fresh random bits, the key of this incarnation's dice.
    fn seed(&self) -> u128;

    /// Ends when the clock reads `at` or later. Cancel safe.
    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send;

    /// Executes one request and answers within `Limits::store_timeout`, with `Unknown` when it does
    /// not know. Dropping the future gives the answer up, not the request.
    fn store(&self, request: StoreRequest) -> impl Future<Output = StoreReply> + Send;

    /// The same without a future, for a shell that has the answer at once, or learns of all answers
    /// in one place and tells this one's there. What it does not take so it gives back, to be asked
    /// with [`store`](Self::store).
    ///
    /// # Errors
    ///
    /// Both, when the request is asked by a future.
    #[allow(
        clippy::result_large_err,
        reason = "it is moved on at once, as the reply is"
    )]
    fn submit(
        &self,
        request: StoreRequest,
        done: Completion,
    ) -> Result<(), (StoreRequest, Completion)> {
        Err((request, done))
    }

    /// What comes in by itself, from now on; begins with the link's present state. Each call gives
    /// a stream of its own.
    fn inbox(&self) -> mpsc::Receiver<Inbound>;

    /// Runs a task until it ends or its handle aborts it.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskHandle;
}

/// What comes in by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inbound {
    /// The store is reachable (again).
    Connected(Capabilities),
    /// The store is not reachable.
    Disconnected,
}

/// A running task. Dropping the handle lets the task run on.
pub struct TaskHandle {
    abort: Box<dyn Fn() + Send + Sync>,
}

impl TaskHandle {
    /// A handle that aborts by calling `abort`.
    pub fn new(abort: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            abort: Box::new(abort),
        }
    }

    /// Drops the task's future at its next await point.
    pub fn abort(&self) {
        (self.abort)();
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").finish_non_exhaustive()
    }
}
