//! One command on its way: decided by the host, answered to its caller.

use super::contexts::Said;
use super::entities::{Ask, Draft, Job};
use super::error::Whom;
use super::{
    Aggregate, CodecError, Decide, DecideCx, Decision, Decrypted, ExecuteError, Message,
    PayloadPart,
};
use crate::driver::host::{Answer, Caller, KindEntry};
use crate::driver::{EntityRequest, Sent, What};
use crate::format::{Codec, Metadata};
use crate::id::{CommandId, Sequence, Version, WallTime};
use crate::log::{Expected, Freshness, Refusal, Reply};
use crate::name::EntityId;
use crate::step::{Span, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What decides: a command, or a closure.
///
/// Sealed: it is implemented by [`Command`] and [`Closure`].
pub trait Decider<A: Aggregate>: sealed::Sealed + Send + 'static {
    /// What the caller is told.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// The domain's no.
    type Error: Send + 'static;

    /// Decides on a state; may run again.
    ///
    /// # Errors
    ///
    /// The domain's no.
    fn decide(
        &mut self,
        state: &A,
        cx: &DecideCx<'_>,
    ) -> Result<Decision<A, Self::Reply>, Self::Error>;
}

mod sealed {
    #[allow(
        unnameable_types,
        reason = "it seals `Decider`: nobody else can implement it"
    )]
    pub trait Sealed {}
}

/// Decides by the aggregate's [`Decide`] of a command.
#[derive(Clone, Copy, Debug)]
pub struct Command<C>(pub(crate) C);

pub(crate) use sealed::Sealed;

impl<C> Sealed for Command<C> {}

impl<A: Decide<C>, C: Message> Decider<A> for Command<C> {
    type Reply = <A as Decide<C>>::Reply;
    type Error = <A as Decide<C>>::Error;

    fn decide(
        &mut self,
        state: &A,
        cx: &DecideCx<'_>,
    ) -> Result<Decision<A, Self::Reply>, Self::Error> {
        state.decide(&self.0, cx)
    }
}

/// Decides by a closure.
#[derive(Clone, Copy, Debug)]
pub struct Closure<F, R, E> {
    pub(crate) decide: F,
    pub(crate) types: PhantomData<fn() -> (R, E)>,
}

impl<F, R, E> Sealed for Closure<F, R, E> {}

impl<A, F, R, E> Decider<A> for Closure<F, R, E>
where
    A: Aggregate,
    F: FnMut(&A) -> Result<Decision<A, R>, E> + Send + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
    E: Send + 'static,
{
    type Reply = R;
    type Error = E;

    fn decide(&mut self, state: &A, _: &DecideCx<'_>) -> Result<Decision<A, R>, E> {
        (self.decide)(state)
    }
}

/// A command as the host holds it.
struct Call<A: Aggregate, D: Decider<A>> {
    id: CommandId,
    said: Said,
    decider: D,
    decided: Option<Result<D::Reply, D::Error>>,
    done: oneshot::Sender<Called<A, D>>,
}

/// A command that has ended.
struct Called<A: Aggregate, D: Decider<A>> {
    answer: Answer,
    decided: Option<Result<D::Reply, D::Error>>,
    /// To be decided again under another id.
    decider: D,
}

impl<A: Aggregate, D: Decider<A>> Job<A> for Call<A, D> {
    fn id(&self) -> CommandId {
        self.id
    }

    fn said(&self) -> &Said {
        &self.said
    }

    fn decide(&mut self, state: &A, cx: &DecideCx<'_>, codec: Codec) -> Draft<A> {
        let (draft, decided) = Draft::of(self.decider.decide(state, cx), codec);
        self.decided = Some(decided);
        draft
    }

    fn finish(self: Box<Self>, answer: Answer) {
        // A caller that went away needs no answer.
        let _ = self.done.send(Called {
            answer,
            decided: self.decided,
            decider: self.decider,
        });
    }
}

impl<A: Aggregate, D: Decider<A>> Caller for Call<A, D> {
    fn finish(self: Box<Self>, answer: Answer) {
        Job::finish(self, answer);
    }

    fn enter(self: Box<Self>, place: &mut dyn Any) {
        Ask::<A>::Job(self).enter(place);
    }
}

/// A reply, and what it stands for in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt<R> {
    /// The reply.
    pub reply: R,
    /// The entity's version after the command.
    pub version: Version,
    /// Where its commit is in the stream; `None` when nothing was stored now.
    pub sequence: Option<Sequence>,
    /// The command took effect before; the reply is the one that was stored then.
    pub duplicate: bool,
    /// The command's id.
    pub id: CommandId,
    /// What is known of the state that the reply is given from: `Local` when the kind
    /// [opts out](super::KindSettings::local_replies) of a proof for replies that stored nothing.
    pub freshness: Freshness,
}

/// What one command is sent with.
pub(crate) struct Sending<'a, A: Aggregate> {
    pub(crate) kind: &'a super::KindHandle<A>,
    pub(crate) entity: EntityId,
    pub(crate) id: Option<CommandId>,
    pub(crate) expected: Expected,
    /// The entity must not exist, and a conflict says so.
    pub(crate) create: bool,
    pub(crate) metadata: Option<Arc<Metadata>>,
    pub(crate) timeout: Span,
}

/// How often a command whose id the framework made gets a newer one, when others filled the
/// entity's memory of ids before it was decided.
pub(crate) const IDS_MAX: u32 = 64;

impl<A: Aggregate> Sending<'_, A> {
    pub(crate) async fn run<D: Decider<A>>(
        self,
        mut decider: D,
    ) -> Result<Receipt<D::Reply>, ExecuteError<D::Error>> {
        let handle = &self.kind.tenure.inner.handle;
        let mut left = self.timeout;
        let deadline = handle.now() + left;
        let mut wall = handle.wall();
        let mut id = self.id.unwrap_or_else(|| handle.command_id_of(wall));
        for _ in 1..IDS_MAX {
            let (sent, called) = self.begin(id, decider, (deadline, left, wall));
            sent.await?;
            // No timer of its own: its machine answers by the deadline (L6), and a lane that ends
            // drops what it holds. Without an answer the lane is gone, and nobody knows.
            let called = called.await.map_err(|_| ExecuteError::Unknown { id })?;
            let expired = match &called.answer {
                Answer::Reply(Reply::Refused(Refusal::Expired { horizon })) => Some(*horizon),
                Answer::Reply(_)
                | Answer::Halted(_)
                | Answer::Refused(_)
                | Answer::Unusable(_)
                | Answer::Stopped
                | Answer::Cut => None,
            };
            match (expired, self.id) {
                // Nobody knows the id and it was not run, so another one is as good.
                (Some(horizon), None) => {
                    wall = handle.wall();
                    left = deadline.since(handle.now());
                    let later = WallTime(horizon.0.saturating_add(1));
                    id = handle.command_id_of(wall.max(later));
                    decider = called.decider;
                }
                (Some(_), Some(_)) | (None, _) => {
                    let aim = Aim {
                        entry: &self.kind.entry,
                        entity: &self.entity,
                        expected: self.expected,
                        create: self.create,
                    };
                    return conclude(&aim, id, called.answer, called.decided);
                }
            }
        }
        Err(ExecuteError::Contended { tries: IDS_MAX })
    }

    /// Hands one attempt to its lane.
    fn begin<D: Decider<A>>(
        &self,
        id: CommandId,
        decider: D,
        (deadline, left, wall): (Time, Span, WallTime),
    ) -> (Sent<'_>, oneshot::Receiver<Called<A, D>>) {
        let handle = &self.kind.tenure.inner.handle;
        let (done, called) = oneshot::channel();
        let job = Call {
            id,
            said: Said::new(wall, left, self.metadata.clone()),
            decider,
            decided: None,
            done,
        };
        let request = EntityRequest {
            kind: self.kind.entry.clone(),
            shard: handle.shard_of(&self.kind.entry, &self.entity),
            entity: self.entity.clone(),
            deadline,
            what: What::Command {
                id: Some(id),
                expected: self.expected,
                metadata: self.metadata.clone(),
                wall,
            },
            caller: Box::new(job),
        };
        (handle.entity(request), called)
    }
}

/// What a command was sent at, and with which expectation.
pub(crate) struct Aim<'a> {
    pub(crate) entry: &'a KindEntry,
    pub(crate) entity: &'a EntityId,
    pub(crate) expected: Expected,
    /// The entity must not exist, and a conflict says so.
    pub(crate) create: bool,
}

/// What a log's answer, and what the user's code said, are to a command's caller.
pub(crate) fn conclude<R: DeserializeOwned, E>(
    aim: &Aim<'_>,
    id: CommandId,
    answer: Answer,
    decided: Option<Result<R, E>>,
) -> Result<Receipt<R>, ExecuteError<E>> {
    let receipt = |reply, version, sequence, duplicate| Receipt {
        reply,
        version,
        sequence,
        duplicate,
        id,
        // What is in the log was the latest when it came there.
        freshness: Freshness::Linearizable,
    };
    match (answer, decided) {
        (Answer::Reply(Reply::Committed { version, sequence }), Some(Ok(reply))) => {
            Ok(receipt(reply, version, Some(sequence), false))
        }
        (Answer::Reply(Reply::Nothing { version, freshness }), Some(Ok(reply))) => Ok(Receipt {
            freshness,
            ..receipt(reply, version, None, false)
        }),
        (Answer::Reply(Reply::Nothing { .. }), Some(Err(error))) => {
            Err(ExecuteError::Rejected(error))
        }
        (Answer::Reply(Reply::Found { outcome, .. }), _) if outcome.is_empty() => {
            // No codec makes that of a reply: a tombstone forgot it.
            let Whom { kind, id: entity } = Whom::of(aim.entry, aim.entity);
            Err(ExecuteError::Deleted {
                kind,
                id: entity,
                command: id,
            })
        }
        (Answer::Reply(Reply::Found { version, outcome }), _) => {
            let record = &aim.entry.config.record;
            let whose = (&record.name, aim.entity);
            let plain = aim
                .entry
                .cipher
                .decrypt(whose, PayloadPart::Reply, &outcome);
            let reply = match plain {
                Ok(Decrypted::Plain(outcome)) => record.codec.decode(&outcome),
                Ok(Decrypted::Shredded) => {
                    let Whom { kind, id: entity } = Whom::of(aim.entry, aim.entity);
                    return Err(ExecuteError::Shredded {
                        kind,
                        id: entity,
                        command: id,
                    });
                }
                Ok(Decrypted::Damaged(cause)) => Err(CodecError::new(cause)),
                Err(error) => Err(CodecError::new(error.to_string())),
            };
            let reply = reply.map_err(|cause| ExecuteError::Reply { id, cause })?;
            Ok(receipt(reply, version, None, true))
        }
        (Answer::Reply(Reply::Refused(refusal)), _) => Err(refused(aim, id, refusal)),
        (Answer::Refused(reason), _) => Err(ExecuteError::Halted { reason }),
        (Answer::Unusable(error), _) => Err(ExecuteError::Space(error)),
        (Answer::Stopped, _) => Err(ExecuteError::Stopped),
        (Answer::Halted(_) | Answer::Cut, _)
        | (
            Answer::Reply(Reply::Committed { .. } | Reply::Nothing { .. } | Reply::Read { .. }),
            _,
        ) => Err(ExecuteError::Unknown { id }),
    }
}

fn refused<E>(aim: &Aim<'_>, id: CommandId, refusal: Refusal) -> ExecuteError<E> {
    let Whom { kind, id: entity } = Whom::of(aim.entry, aim.entity);
    match (refusal, aim.expected) {
        (Refusal::Conflict { actual }, Expected::Exactly(_)) if aim.create => {
            ExecuteError::AlreadyExists {
                kind,
                id: entity,
                version: actual,
            }
        }
        (Refusal::Conflict { actual }, Expected::Exactly(expected)) => ExecuteError::Conflict {
            kind,
            id: entity,
            expected,
            actual,
        },
        (Refusal::Conflict { .. }, Expected::Present) => {
            ExecuteError::NotFound { kind, id: entity }
        }
        (Refusal::Conflict { .. }, Expected::Any) => ExecuteError::Contended { tries: 1 },
        (refusal, _) => execute_error(id, Whom { kind, id: entity }, refusal),
    }
}

/// A refusal without a meaning of its own for this command.
pub(crate) fn execute_error<E>(id: CommandId, whom: Whom, refusal: Refusal) -> ExecuteError<E> {
    match refusal {
        Refusal::Conflict { actual } => ExecuteError::Conflict {
            kind: whom.kind,
            id: whom.id,
            expected: actual,
            actual,
        },
        Refusal::Contended { tries } => ExecuteError::Contended { tries },
        Refusal::Unknown => ExecuteError::Unknown { id },
        Refusal::Deadline => ExecuteError::Deadline,
        Refusal::Undelivered(undelivered) => ExecuteError::Undelivered {
            kind: whom.kind,
            id: whom.id,
            undelivered,
        },
        Refusal::Expired { horizon } => ExecuteError::Expired { id, horizon },
        Refusal::Ahead {
            ahead_ms,
            ahead_max_ms,
        } => ExecuteError::Ahead {
            id,
            ahead_ms,
            ahead_max_ms,
        },
        Refusal::Overloaded => ExecuteError::Overloaded,
        Refusal::TooLarge { bytes, bytes_max } => ExecuteError::TooLarge { bytes, bytes_max },
        Refusal::OutcomeTooLarge { bytes, bytes_max } => {
            ExecuteError::ReplyTooLarge { bytes, bytes_max }
        }
        Refusal::VersionNotRising { last, given } => ExecuteError::Failed(format!(
            "an event has version {given}, the one before it has {last}"
        )),
        Refusal::Metadata(error) => ExecuteError::Metadata(error),
        Refusal::TooManyTimers { timers, timers_max } => {
            ExecuteError::TooManyTimers { timers, timers_max }
        }
        Refusal::TooManySends { sends, sends_max } => {
            ExecuteError::TooManySends { sends, sends_max }
        }
        Refusal::Unowned => ExecuteError::Unowned { kind: whom.kind },
        Refusal::NotOwner => ExecuteError::NotOwner,
        Refusal::NotLeased => ExecuteError::Failed("a command asks for no freshness".to_owned()),
        Refusal::Failed(cause) => ExecuteError::Failed(cause),
        Refusal::Fold(cause) => ExecuteError::Fold {
            kind: whom.kind,
            id: whom.id,
            cause,
        },
        Refusal::Damaged(damage) => ExecuteError::Damaged(damage),
        Refusal::Store(refused) => ExecuteError::Store(refused),
    }
}

/// A command that cannot be rejected.
pub(crate) type Infallibly = ExecuteError<Infallible>;
