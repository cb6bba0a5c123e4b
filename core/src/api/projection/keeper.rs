//! A node as a store sees it: its clock, and requests to its namespace. It keeps no node running.

use super::StoreError;
use crate::api::tenure::Inner;
use crate::driver::NotSent;
use crate::driver::consumer::Clocked;
use crate::format::LayoutKey;
use crate::id::WallTime;
use crate::name::Namespace;
use crate::port::{StoreReply, StoreRequest};
use crate::projection::Next;
use crate::step::{Span, Time};
use std::fmt;
use std::sync::{Arc, Weak};

/// The first wait before a request is asked again; it doubles.
const WAIT_MIN: Span = Span::from_millis(20);

/// The longest wait.
const WAIT_MAX: Span = Span::from_secs(2);

#[derive(Clone)]
pub(super) struct Keeper {
    pub(super) node: Weak<Inner>,
    pub(super) namespace: Namespace,
    pub(super) key: LayoutKey,
    pub(super) clock: Clocked,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Keeper {
    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn wall(&self) -> WallTime {
        let node = self.node.upgrade();
        node.map_or(WallTime::default(), |node| node.handle.wall())
    }

    pub(super) fn tag(&self) -> u64 {
        let node = self.node.upgrade();
        node.map_or(0, |node| node.handle.state_tag())
    }

    async fn ask(&self, name: &str, request: StoreRequest) -> Result<StoreReply, NotSent> {
        let node: Arc<Inner> = self.node.upgrade().ok_or(NotSent::Stopped)?;
        let deadline = node.handle.now() + node.timeout;
        node.handle.store(name, request, deadline).await
    }

    /// Runs a task to its end: asks what it asks next, and waits where it says so.
    pub(super) async fn run<T, Task>(
        &self,
        name: &str,
        task: &mut Task,
        request: impl Fn(&Task) -> StoreRequest,
        answered: impl Fn(&mut Task, StoreReply) -> Next<T>,
    ) -> Result<T, StoreError> {
        let mut wait = WAIT_MIN;
        loop {
            let next = match self.ask(name, request(task)).await {
                Ok(reply) => answered(task, reply),
                Err(NotSent::Overloaded) => Next::Wait,
                Err(NotSent::Stopped) => return Err(StoreError::NodeStopped),
            };
            match next {
                Next::Ask => wait = WAIT_MIN,
                Next::Wait => {
                    self.clock.sleep_until(self.now() + wait).await;
                    wait = wait.saturating_mul(2).min(WAIT_MAX);
                }
                Next::Done(done) => return Ok(done),
                Next::Fail(fault) => return Err(fault.into()),
            }
        }
    }
}
