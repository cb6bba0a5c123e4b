//! Who waits for an actor's reply in this process.

use super::job::Came;
use super::told::NoReply;
use crate::driver::actors::host::{ActorAnswer, ActorCaller, CallerGone, NotUnderstood, Told};
use crate::format::Codec;
use crate::id::Epoch;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What a caller is told.
type Reply<R, E> = Result<R, NoReply<E>>;

/// A reply, and on which other node and under which epoch it was given.
pub(super) type ServedReply<R, E> = Result<(R, Option<String>, Option<Epoch>), NoReply<E>>;

/// Who waits for a reply.
pub(super) struct Asking<R, E> {
    codec: Codec,
    /// Whether it wants to know who gave it.
    served: bool,
    done: oneshot::Sender<ServedReply<R, E>>,
}

impl<R, E> Asking<R, E> {
    pub(super) fn new(codec: Codec, served: bool) -> (Self, oneshot::Receiver<ServedReply<R, E>>) {
        let (done, told) = oneshot::channel();
        let asking = Self {
            codec,
            served,
            done,
        };
        (asking, told)
    }
}

impl<R, E> ActorCaller for Asking<R, E>
where
    R: DeserializeOwned + Send + 'static,
    E: DeserializeOwned + Send + 'static,
{
    fn finish(self: Box<Self>, answer: ActorAnswer) {
        let told = match answer {
            ActorAnswer::Ran(outcome, epoch) => {
                let codec = self.codec;
                let reply = match outcome.into_any().downcast::<Came<R, E>>() {
                    Ok(came) => came.0.map_err(NoReply::Rejected),
                    // A handler of other messages has bytes.
                    Err(other) => match other.downcast::<super::job::CameRaw>() {
                        Ok(raw) => decoded(codec, raw.told()),
                        Err(_) => {
                            let cause = crate::api::CodecError::new("it is of another type");
                            Err(NoReply::Undecodable(cause))
                        }
                    },
                };
                reply.map(|reply| (reply, None, epoch))
            }
            ActorAnswer::Told(told, node, epoch) => {
                decoded(self.codec, told).map(|reply| (reply, Some(node), epoch))
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
        };
        // A caller that went away needs no answer.
        let _ = self.done.send(told);
    }

    fn wants_node(&self) -> bool {
        self.served
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

/// Who waits until a message is in the mailbox.
pub(super) struct Telling<E> {
    done: oneshot::Sender<Reply<(), E>>,
}

impl<E> Telling<E> {
    pub(super) fn new() -> (Self, oneshot::Receiver<Reply<(), E>>) {
        let (done, told) = oneshot::channel();
        (Self { done }, told)
    }
}

impl<E: Send + 'static> ActorCaller for Telling<E> {
    fn finish(self: Box<Self>, answer: ActorAnswer) {
        let told = match answer {
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
        };
        // A caller that went away needs no answer.
        let _ = self.done.send(told);
    }
}

/// Says that the caller has gone, when it is dropped.
#[derive(Default)]
pub(super) struct Gone(Arc<CallerGone>);

impl Gone {
    /// Of what is asked from within a turn, whose caller may go too.
    pub(super) fn within(turn: Option<Arc<CallerGone>>) -> Self {
        Self(Arc::new(CallerGone::within(turn)))
    }

    pub(super) fn flag(&self) -> Arc<CallerGone> {
        Arc::clone(&self.0)
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.set();
    }
}
