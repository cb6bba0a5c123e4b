//! Where callers of this process wait for what comes of their messages.

use super::job::Came;
use super::told::NoReply;
use crate::api::CodecError;
use crate::driver::actors::host::{
    ActorAnswer, ActorCaller, NotUnderstood, Presence, Told, Waiter,
};
use crate::format::Codec;
use crate::id::Epoch;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What a caller is told.
pub(super) type Reply<R, E> = Result<R, NoReply<E>>;

/// A reply, and on which other node and under which epoch it was given.
pub(super) type ServedReply<R, E> = Result<(R, Option<String>, Option<Epoch>), NoReply<E>>;

/// Where one caller is told. Lanes on other threads have it too, so all that it takes is one piece of memory.
pub(super) struct Desk<T> {
    codec: Codec,
    wants_node: bool,
    /// What an answer is to the caller.
    read: fn(ActorAnswer, Codec) -> T,
    caller: Waiter,
    told: Mutex<State<T>>,
}

enum State<T> {
    /// It is told later, and then woken.
    Open(Option<Waker>),
    Told(T),
    /// It is told nothing any more.
    Over,
}

/// The caller's end: ends with what it is told, or with `None` when whoever had its message is gone. Dropped,
/// it says that the caller has gone.
pub(super) struct Waits<T>(Arc<Desk<T>>);

impl<T> Desk<T> {
    pub(super) fn new(
        (codec, wants_node): (Codec, bool),
        read: fn(ActorAnswer, Codec) -> T,
        caller: Waiter,
    ) -> (Arc<Self>, Waits<T>) {
        let desk = Arc::new(Self {
            codec,
            wants_node,
            read,
            caller,
            told: Mutex::new(State::Open(None)),
        });
        (Arc::clone(&desk), Waits(desk))
    }

    fn told(&self) -> MutexGuard<'_, State<T>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, end: State<T>) {
        let before = std::mem::replace(&mut *self.told(), end);
        if let State::Open(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T: Send + 'static> ActorCaller for Desk<T> {
    fn finish(&self, answer: ActorAnswer) {
        self.end(State::Told((self.read)(answer, self.codec)));
    }

    fn forget(&self) {
        self.end(State::Over);
    }

    fn presence(self: Arc<Self>) -> Option<Arc<dyn Presence>> {
        Some(self)
    }

    fn has_left(&self) -> bool {
        self.caller.has_left()
    }

    fn wants_node(&self) -> bool {
        self.wants_node
    }
}

impl<T: Send> Presence for Desk<T> {
    fn leave(&self) {
        self.caller.leave();
    }

    fn has_left(&self) -> bool {
        self.caller.has_left()
    }
}

impl<T> Future for Waits<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut told = self.0.told();
        match &mut *told {
            State::Open(Some(waker)) => waker.clone_from(cx.waker()),
            State::Open(none) => *none = Some(cx.waker().clone()),
            State::Told(_) | State::Over => {
                return Poll::Ready(match std::mem::replace(&mut *told, State::Over) {
                    State::Told(told) => Some(told),
                    State::Open(_) | State::Over => None,
                });
            }
        }
        Poll::Pending
    }
}

impl<T> Drop for Waits<T> {
    fn drop(&mut self) {
        self.0.caller.leave();
    }
}

/// What an answer is to who waits for a reply.
pub(super) fn reply<R, E>(answer: ActorAnswer, codec: Codec) -> ServedReply<R, E>
where
    R: DeserializeOwned + 'static,
    E: DeserializeOwned + 'static,
{
    match answer {
        ActorAnswer::Ran(outcome, epoch) => {
            let reply = match outcome.into_any().downcast::<Came<R, E>>() {
                Ok(came) => came.0.map_err(NoReply::Rejected),
                // A handler of other messages has bytes.
                Err(other) => match other.downcast::<super::job::CameRaw>() {
                    Ok(raw) => decoded(codec, raw.told()),
                    Err(_) => {
                        let cause = CodecError::new("it is of another type");
                        Err(NoReply::Undecodable(cause))
                    }
                },
            };
            reply.map(|reply| (reply, None, epoch))
        }
        ActorAnswer::Told(told, node, epoch) => {
            decoded(codec, told).map(|reply| (reply, Some(node), epoch))
        }
        ActorAnswer::Taken
        | ActorAnswer::Ended(_)
        | ActorAnswer::Lives(_)
        | ActorAnswer::Refused(_)
        | ActorAnswer::NotUnderstood(_)
        | ActorAnswer::Unrouted(_)
        | ActorAnswer::NoNode(_)
        | ActorAnswer::Denied(..)
        | ActorAnswer::Halted(_)
        | ActorAnswer::Stopped
        | ActorAnswer::Cut => Err(NoReply::Answer(Box::new(answer))),
    }
}

fn decoded<R: DeserializeOwned, E: DeserializeOwned>(codec: Codec, told: Told) -> Reply<R, E> {
    match told {
        Told::Reply(bytes) => codec.decode(&bytes).map_err(NoReply::Undecodable),
        Told::Rejected(bytes) => match codec.decode(&bytes) {
            Ok(error) => Err(NoReply::Rejected(error)),
            Err(cause) => Err(NoReply::Undecodable(cause)),
        },
        Told::Unknown { name, version } => {
            let unknown = NotUnderstood::Unknown { name, version };
            Err(NoReply::Answer(Box::new(ActorAnswer::NotUnderstood(
                unknown,
            ))))
        }
    }
}

/// What an answer is to who waits until a message is in the mailbox.
pub(super) fn receipt<E>(answer: ActorAnswer, _: Codec) -> Reply<(), E> {
    match answer {
        ActorAnswer::Taken => Ok(()),
        ActorAnswer::Ran(..)
        | ActorAnswer::Told(..)
        | ActorAnswer::Ended(_)
        | ActorAnswer::Lives(_)
        | ActorAnswer::Refused(_)
        | ActorAnswer::NotUnderstood(_)
        | ActorAnswer::Unrouted(_)
        | ActorAnswer::NoNode(_)
        | ActorAnswer::Denied(..)
        | ActorAnswer::Halted(_)
        | ActorAnswer::Stopped
        | ActorAnswer::Cut => Err(NoReply::Answer(Box::new(answer))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Desk, Waits};
    use crate::driver::actors::host::{
        ActorAnswer, ActorCaller, Caller, Presence, Recipient, Waiter,
    };
    use crate::driver::host::caught;
    use crate::format::Codec;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn desk(caller: Waiter) -> (Arc<Desk<bool>>, Waits<bool>) {
        let taken = |answer, _| matches!(answer, ActorAnswer::Taken);
        Desk::new((Codec::Cbor, false), taken, caller)
    }

    fn poll(waits: &mut Waits<bool>, wakes: &Arc<Wakes>) -> Poll<Option<bool>> {
        let waker = Waker::from(Arc::clone(wakes));
        Pin::new(waits).poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn a_caller_is_woken_by_its_answer_and_when_nobody_will_give_one() {
        let told: [(fn(Recipient), _); 2] =
            [(|to| to.tell(ActorAnswer::Taken), Some(true)), (drop, None)];
        for (tell, expected) in told {
            let (desk, mut waits) = desk(Waiter::default());
            let wakes = Arc::new(Wakes::default());
            assert_eq!(poll(&mut waits, &wakes), Poll::Pending);
            tell(Recipient::Here(Caller::new(desk)));
            assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
            assert_eq!(poll(&mut waits, &wakes), Poll::Ready(expected));
        }
    }

    #[test]
    fn it_leaves_with_its_end_or_with_the_turn_that_it_asks_from() {
        let turn = Arc::new(Waiter::default());
        let (of_turn, _waits) = desk(Waiter::within(Some(turn.clone())));
        let (of_program, waits) = desk(Waiter::default());
        let left = || [&of_turn, &of_program].map(|desk| ActorCaller::has_left(&**desk));
        assert_eq!(left(), [false, false]);
        turn.leave();
        assert_eq!(left(), [true, false]);
        drop(waits);
        assert_eq!(left(), [true, true]);
        // It is told all the same.
        Recipient::Here(Caller::new(of_program)).tell(ActorAnswer::Taken);
    }

    #[test]
    fn who_panics_over_an_answer_is_told_nothing_and_waits_no_longer() {
        let panics = |_, _| panic!("no such reply");
        let (desk, mut waits) = Desk::new((Codec::Cbor, false), panics, Waiter::default());
        let wakes = Arc::new(Wakes::default());
        assert_eq!(poll(&mut waits, &wakes), Poll::Pending);
        let told = || Recipient::Here(Caller::new(desk)).tell(ActorAnswer::Cut);
        caught(told).expect_err("its type panics");
        assert_eq!(poll(&mut waits, &wakes), Poll::Ready(None));
    }
}
