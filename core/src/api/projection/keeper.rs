//! A node as a store sees it: its clock, and requests to its namespace. It keeps no node running.

use super::StoreError;
use crate::api::Tenure;
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
pub(in crate::api) struct Keeper {
    pub(in crate::api) node: Weak<Inner>,
    pub(in crate::api) namespace: Namespace,
    pub(in crate::api) key: LayoutKey,
    pub(in crate::api) clock: Clocked,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Why a task did not come to its end.
pub(in crate::api) enum Undone<F> {
    /// It cannot be done.
    Fault(F),
    /// The store was asked in vain for as long as its caller waits.
    Late,
    /// The node has stopped.
    NodeStopped,
}

impl<F: Into<StoreError>> From<Undone<F>> for StoreError {
    fn from(undone: Undone<F>) -> Self {
        match undone {
            Undone::Fault(fault) => fault.into(),
            Undone::Late => Self::away("the store did not answer in time"),
            Undone::NodeStopped => Self::NodeStopped,
        }
    }
}

impl Keeper {
    /// That of a node.
    pub(in crate::api) fn of(tenure: &Tenure) -> Self {
        let handle = &tenure.inner.handle;
        Self {
            node: Arc::downgrade(&tenure.inner),
            namespace: tenure.namespace().clone(),
            key: handle.layout().key,
            clock: handle.clocked(),
        }
    }

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

    /// Runs a task of a projection to its end.
    pub(super) async fn run<T, Task>(
        &self,
        name: &str,
        task: &mut Task,
        request: impl Fn(&Task) -> StoreRequest,
        answered: impl Fn(&mut Task, StoreReply) -> Next<T>,
    ) -> Result<T, StoreError> {
        Ok(self.drive(name, None, task, request, answered).await?)
    }

    /// Runs a task to its end: asks what it asks next, and waits where it says so, for as long at once as
    /// its caller has patience.
    pub(in crate::api) async fn drive<T, F, Task>(
        &self,
        name: &str,
        patience: Option<Span>,
        task: &mut Task,
        request: impl Fn(&Task) -> StoreRequest,
        answered: impl Fn(&mut Task, StoreReply) -> Next<T, F>,
    ) -> Result<T, Undone<F>> {
        let (mut wait, mut since) = (WAIT_MIN, self.now());
        loop {
            let next = match self.ask(name, request(task)).await {
                Ok(reply) => answered(task, reply),
                Err(NotSent::Overloaded) => Next::Wait,
                Err(NotSent::Stopped) => return Err(Undone::NodeStopped),
            };
            match next {
                Next::Ask => (wait, since) = (WAIT_MIN, self.now()),
                Next::Wait if patience.is_some_and(|it| self.now().since(since) >= it) => {
                    return Err(Undone::Late);
                }
                Next::Wait => {
                    self.clock.sleep_until(self.now() + wait).await;
                    wait = wait.saturating_mul(2).min(WAIT_MAX);
                }
                Next::Done(done) => return Ok(done),
                Next::Fail(fault) => return Err(Undone::Fault(fault)),
            }
        }
    }
}
