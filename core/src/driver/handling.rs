//! A handler of a consumer as a task: polled only while it may act (K6), and told of when it is gone.

use super::consumer::Report;
use super::handle::Clock;
use super::lease::{LeaseEnd, Permit};
use crate::consumer::Handled;
use crate::id::OpId;
use futures_util::future::BoxFuture;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// The lease under which a partition's handlers act.
#[derive(Clone)]
pub(crate) struct Permission {
    pub(crate) lease: Arc<LeaseEnd>,
    pub(crate) permit: Permit,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Permission {
    pub(crate) fn allows(&self) -> bool {
        self.lease.allows(self.permit, self.clock.now())
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permission").finish_non_exhaustive()
    }
}

/// The handler of one batch. Its fields are dropped in this order: what is told is that nothing of the
/// handler is left.
pub(crate) struct Handling {
    pub(crate) handler: Option<BoxFuture<'static, Handled>>,
    /// `None` for a consumer that is in no group.
    pub(crate) permission: Option<Permission>,
    pub(crate) teller: Teller,
}

impl Future for Handling {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let may_act = self.permission.as_ref().is_none_or(Permission::allows);
        if let Some(handler) = &mut self.handler
            && may_act
        {
            let handled = ready!(handler.as_mut().poll(cx));
            self.teller.handled = Some(handled);
        }
        self.handler = None;
        Poll::Ready(())
    }
}

/// Tells the lane that a handler is gone, with what became of the batch if it ended.
pub(crate) struct Teller {
    pub(crate) number: u64,
    pub(crate) op: OpId,
    pub(crate) handled: Option<Handled>,
    pub(crate) reports: mpsc::UnboundedSender<Report>,
}

impl Drop for Teller {
    fn drop(&mut self) {
        let report = (self.number, self.op, self.handled.take());
        // Without the lane nobody wants to know.
        let _ = self.reports.send(report);
    }
}
