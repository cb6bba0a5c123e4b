//! What actors and handles of a node ask, on its way to one lane: those that come together are taken in
//! together, and the first of them wakes the lane.

use super::cluster::AskRequest;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;

/// Where requests wait for one lane. It keeps no lane alive.
///
/// A channel of tokio's costs its senders and its receiver some ten atomic operations for each request,
/// on memory that all threads write; here it is one lock for each, and one for all that are taken.
pub(crate) struct Intake {
    waiting: Mutex<Waiting>,
    waiting_max: usize,
    /// Told when there is room again, and when it is shut.
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<AskRequest>,
    /// Of the lane, while it waits for the first request.
    waker: Option<Waker>,
    /// Whether somebody waits for room.
    wanted: bool,
    is_shut: bool,
}

/// Why a request was not put in.
pub(crate) enum Declined {
    /// The lane takes nothing in any more.
    Shut,
    /// There is no room: it can [wait](Intake::put_in_time).
    Full(AskRequest),
}

impl Intake {
    /// For so many requests at most.
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            waiting_max,
            changed: Notify::new(),
        }
    }

    /// Puts a request in, if there is room.
    pub(crate) fn put(&self, request: AskRequest) -> Result<(), Declined> {
        let mut waiting = self.waiting();
        if waiting.is_shut {
            return Err(Declined::Shut);
        }
        if waiting.requests.len() >= self.waiting_max {
            waiting.wanted = true;
            return Err(Declined::Full(request));
        }
        waiting.requests.push_back(request);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Waits for room, and puts a request in. False: the lane takes nothing in any more.
    ///
    /// Cancel safe: a request that was not put in is dropped.
    pub(crate) async fn put_in_time(&self, mut request: AskRequest) -> bool {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Whoever makes room from now on is heard.
            changed.as_mut().enable();
            match self.put(request) {
                Ok(()) => return true,
                Err(Declined::Shut) => return false,
                Err(Declined::Full(back)) => request = back,
            }
            changed.await;
        }
    }

    /// Moves what is here into an empty queue, which it changes places with.
    pub(crate) fn take(&self, empty: &mut VecDeque<AskRequest>) {
        debug_assert!(empty.is_empty());
        let mut waiting = self.waiting();
        std::mem::swap(&mut waiting.requests, empty);
        let wanted = std::mem::take(&mut waiting.wanted);
        drop(waiting);
        if wanted {
            self.changed.notify_waiters();
        }
    }

    /// Waits until a request is here. Cancel safe.
    pub(crate) fn poll_arrived(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting();
        if !waiting.requests.is_empty() {
            return Poll::Ready(());
        }
        match &mut waiting.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes nothing in from now on. What is here can still be taken.
    pub(crate) fn shut(&self) {
        self.waiting().is_shut = true;
        self.changed.notify_waiters();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane's end of it: what is left there when the lane is gone is dropped, which its callers hear.
pub(crate) struct IntakeEnd(pub(crate) Arc<Intake>);

impl Drop for IntakeEnd {
    fn drop(&mut self) {
        self.0.shut();
        let mut left = VecDeque::new();
        self.0.take(&mut left);
    }
}

#[cfg(test)]
mod tests {
    use super::{Declined, Intake, IntakeEnd};
    use crate::api::CodecError;
    use crate::driver::cluster::{AskRequest, Courier, Local, Routed, Unrouted};
    use crate::format::{Call, Return};
    use crate::id::Incarnation;
    use crate::route::{Repeat, Target};
    use crate::step::Time;
    use futures_util::FutureExt;
    use futures_util::task::noop_waker;
    use std::collections::VecDeque;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    /// Nobody waits for it.
    struct Nobody;

    impl Routed for Nobody {
        fn here(self: Box<Self>, _: Courier) -> Local {
            Local::Nothing
        }

        fn call(&self) -> Result<Call<'_>, CodecError> {
            Err(CodecError::new("it is never sent"))
        }

        fn returned(self: Box<Self>, _: Return<'_>) {}

        fn handed_over(self: Box<Self>) {}

        fn unrouted(self: Box<Self>, _: Unrouted) {}

        fn is_abandoned(&self) -> bool {
            false
        }
    }

    fn request(key: u64) -> AskRequest {
        AskRequest {
            target: Target::Node(Incarnation(1)),
            key,
            deadline: Time::ZERO,
            repeat: Repeat::Never,
            answered: true,
            ask: Box::new(Nobody),
        }
    }

    fn taken(intake: &Intake) -> Vec<u64> {
        let mut taken = VecDeque::new();
        intake.take(&mut taken);
        taken.into_iter().map(|one| one.key).collect()
    }

    #[test]
    fn what_came_is_taken_in_its_order_and_wakes_who_waits() {
        let (intake, waker) = (Intake::new(8), noop_waker());
        let cx = &mut Context::from_waker(&waker);
        assert!(intake.poll_arrived(cx).is_pending() && taken(&intake).is_empty());
        for key in 1..=3 {
            assert!(intake.put(request(key)).is_ok());
        }
        assert_eq!(intake.poll_arrived(cx), Poll::Ready(()));
        assert_eq!(taken(&intake), [1, 2, 3]);
        assert!(intake.poll_arrived(cx).is_pending());
    }

    #[test]
    fn without_room_it_waits_until_something_was_taken() {
        let (intake, waker) = (Intake::new(1), noop_waker());
        assert!(intake.put(request(1)).is_ok());
        let Err(Declined::Full(second)) = intake.put(request(2)) else {
            panic!("there is no room");
        };
        let mut waits = pin!(intake.put_in_time(second));
        let cx = &mut Context::from_waker(&waker);
        assert!(waits.as_mut().poll(cx).is_pending());
        assert_eq!(taken(&intake), [1]);
        assert_eq!(waits.as_mut().poll(cx), Poll::Ready(true));
        assert_eq!(taken(&intake), [2]);
    }

    #[test]
    fn without_its_lane_nothing_is_put_in_and_nothing_stays() {
        let intake = Arc::new(Intake::new(1));
        assert!(intake.put(request(1)).is_ok());
        let mut waits = pin!(intake.put_in_time(request(2)));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(IntakeEnd(Arc::clone(&intake)));
        assert!(taken(&intake).is_empty(), "it was dropped");
        assert!(matches!(intake.put(request(3)), Err(Declined::Shut)));
        assert_eq!(waits.now_or_never(), Some(false));
    }
}
