//! Answers of the store that a shell tells later without a future: they go straight to who asked.

use super::lane::Who;
use crate::flow::StreamAt;
use crate::id::{OpId, Partition};
use crate::port::StoreReply;
use crate::step::Outcome;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// Where the answer to one request goes. Dropped without an answer it tells `Unknown`.
pub struct Completion(Option<To>);

enum To {
    Lane(Asked, Arc<Answers>),
    Alone(oneshot::Sender<StoreReply>),
}

/// Who asked what.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) who: Who,
    pub(crate) op: OpId,
    /// Of a write of a shard: the stream whose high-water mark it raises.
    pub(crate) wrote: Option<Partition>,
    /// The stream in whose window it is.
    pub(crate) stream: Option<StreamAt>,
}

/// One answer of the store.
pub(crate) struct Answered {
    pub(crate) asked: Asked,
    pub(crate) reply: StoreReply,
}

impl Completion {
    pub(crate) fn new(asked: Asked, answers: &Arc<Answers>) -> Self {
        Self(Some(To::Lane(asked, Arc::clone(answers))))
    }

    /// One whose answer is awaited.
    ///
    /// ```
    /// use tenure_core::driver::Completion;
    /// use tenure_core::step::Outcome;
    ///
    /// let (done, answer) = Completion::alone();
    /// done.tell(Outcome::Unknown);
    /// # futures_executor(async { assert_eq!(answer.await, Outcome::Unknown) });
    /// # fn futures_executor(run: impl Future<Output = ()>) {
    /// #     let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    /// #     assert!(std::pin::pin!(run).poll(&mut cx).is_ready());
    /// # }
    /// ```
    pub fn alone() -> (Self, impl Future<Output = StoreReply> + Send) {
        let (sender, answer) = oneshot::channel();
        let answer = async move { answer.await.unwrap_or(Outcome::Unknown) };
        (Self(Some(To::Alone(sender))), answer)
    }

    /// Tells the answer.
    pub fn tell(mut self, reply: StoreReply) {
        self.end(reply);
    }

    fn end(&mut self, reply: StoreReply) {
        match self.0.take() {
            Some(To::Lane(asked, answers)) => answers.push(Answered { asked, reply }),
            // Who went away needs no answer.
            Some(To::Alone(sender)) => drop(sender.send(reply)),
            None => {}
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.end(Outcome::Unknown);
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = match &self.0 {
            Some(To::Lane(asked, _)) => Some(asked),
            Some(To::Alone(_)) | None => None,
        };
        f.debug_tuple("Completion").field(&asked).finish()
    }
}

/// The answers that a lane has not taken in yet.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Arrived>);

#[derive(Default)]
struct Arrived {
    answers: VecDeque<Answered>,
    /// The lane, when it waits.
    waker: Option<Waker>,
}

impl Answers {
    fn push(&self, answered: Answered) {
        let mut arrived = self.arrived();
        arrived.answers.push_back(answered);
        let waker = arrived.waker.take();
        drop(arrived);
        // Of those that come together the first one wakes.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Moves all to an empty queue; tells how many.
    pub(crate) fn take(&self, empty: &mut VecDeque<Answered>) -> usize {
        debug_assert!(empty.is_empty());
        std::mem::swap(&mut self.arrived().answers, empty);
        empty.len()
    }

    /// Ready when there are some.
    pub(crate) fn poll_arrived(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut arrived = self.arrived();
        if !arrived.answers.is_empty() {
            return Poll::Ready(());
        }
        match &mut arrived.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
