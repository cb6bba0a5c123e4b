//! What an answer without a reply means to whoever asked.

use super::handle::Aim;
use super::handle::Misdirected;
use super::{Actor, ActorError, ActorId, LateAnswer};
use crate::actor::Refusal;
use crate::api::CodecError;
use crate::driver::NotSent;
use crate::driver::actors::host::{ActorAnswer, NotUnderstood};
use crate::format::{Denial, Dropped};
use crate::route;
use std::time::Duration;

/// Why a caller has no reply, before it is said whom it asked.
pub(super) enum NoReply<E> {
    /// The handler said no.
    Rejected(E),
    /// It ran, and its reply cannot be read.
    Undecodable(CodecError),
    /// There is none.
    Answer(Box<ActorAnswer>),
    /// Whoever had it is gone.
    Lost,
    /// It did not get to a lane.
    NotSent(NotSent),
    /// Whom it is for cannot be asked.
    Misdirected(Misdirected),
    /// This process does not know the kind.
    UnknownKind,
}

impl<E> NoReply<E> {
    /// As the error of who asked an actor.
    pub(super) fn of<A: Actor>(self, to: &Aim) -> ActorError<E> {
        match (self, to.id()) {
            (Self::Rejected(error), _) => ActorError::Rejected(error),
            (Self::Undecodable(cause), _) => ActorError::Reply(cause),
            (Self::Misdirected(why), _) => ActorError::misdirected(A::KIND, why),
            (Self::Answer(answer), Some(actor)) => ActorError::of(*answer, actor),
            (Self::NotSent(NotSent::Overloaded), Some(actor)) => ActorError::Overloaded(actor),
            (Self::NotSent(NotSent::Stopped), Some(actor)) => ActorError::Stopped(actor),
            (Self::Lost, Some(actor)) => ActorError::lost(actor),
            (Self::UnknownKind, _) | (Self::Answer(_) | Self::NotSent(_) | Self::Lost, None) => {
                ActorError::UnknownKind(A::KIND.to_owned())
            }
        }
    }
}

impl<E> ActorError<E> {
    fn lost(actor: ActorId) -> Self {
        Self::late(LateAnswer::Lost, actor)
    }

    fn late(late: LateAnswer, actor: ActorId) -> Self {
        Self::Unknown { late, actor }
    }

    /// What an answer without a reply means.
    pub(crate) fn of(answer: ActorAnswer, actor: ActorId) -> Self {
        match answer {
            ActorAnswer::Refused(refusal) => Self::refused(refusal, actor),
            ActorAnswer::NotUnderstood(why) => Self::not_understood(why, actor),
            ActorAnswer::Unrouted(refusal) => Self::unrouted(refusal, actor),
            ActorAnswer::NoNode(node) => Self::NoNode(node),
            ActorAnswer::Halted(reason) => Self::Halted(reason),
            ActorAnswer::Stopped => Self::Stopped(actor),
            ActorAnswer::Denied(denial, node) => Self::denied(denial, node, actor),
            ActorAnswer::Cut
            | ActorAnswer::Ran(..)
            | ActorAnswer::Told(..)
            | ActorAnswer::Taken
            | ActorAnswer::Ended(_)
            | ActorAnswer::Lives(_) => Self::lost(actor),
        }
    }

    /// Whom it is for cannot be asked.
    fn misdirected(kind: &str, why: Misdirected) -> Self {
        match why {
            Misdirected::Name(error) => Self::Name(error),
            Misdirected::Placed { whose } => Self::Placed {
                kind: kind.to_owned(),
                whose,
            },
            Misdirected::NoShard { shard, shards } => Self::NoShard { shard, shards },
        }
    }

    fn refused(refusal: Refusal, actor: ActorId) -> Self {
        match refusal {
            Refusal::Overloaded | Refusal::TooManyWatchers => Self::Overloaded(actor),
            Refusal::Deadline => Self::Deadline(actor),
            Refusal::Late => Self::late(LateAnswer::Deadline, actor),
            Refusal::NotOwner => Self::NoOwner(actor),
            Refusal::Lost => Self::lost(actor),
            Refusal::Cycle => Self::Cycle(actor),
            Refusal::TooDeep { hops, hops_max } => Self::TooDeep {
                hops,
                hops_max,
                actor,
            },
            Refusal::Panicked(cause) => Self::Panicked { cause, actor },
            Refusal::Failed { cause, retry_after } => Self::Init {
                cause,
                retry_after: retry_after.into(),
                actor,
            },
            Refusal::Aborted => Self::late(LateAnswer::Aborted, actor),
            Refusal::Stopped => Self::Stopped(actor),
        }
    }

    fn not_understood(why: NotUnderstood, actor: ActorId) -> Self {
        match why {
            NotUnderstood::Unknown { name, version } => Self::UnknownMessage {
                name,
                version,
                actor,
            },
            NotUnderstood::Version { name, sent, taken } => Self::OtherVersion {
                name,
                sent,
                taken,
                actor,
            },
            NotUnderstood::Undecodable { name, cause } => Self::Undecodable { name, cause },
        }
    }

    /// What another node said.
    fn denied(denial: Denial, node: String, actor: ActorId) -> Self {
        match denial {
            Denial::Overloaded => Self::Overloaded(actor),
            Denial::Deadline => Self::Deadline(actor),
            Denial::UnknownKind { .. } => Self::NotServed { actor, node },
            Denial::UnknownMessage {
                message, schema, ..
            } => Self::UnknownMessage {
                name: message,
                version: schema,
                actor,
            },
            Denial::WrongSchema {
                message,
                sent,
                taken,
            } => Self::OtherVersion {
                name: message,
                sent,
                taken,
                actor,
            },
            Denial::Undecodable { what, cause } => Self::Undecodable {
                name: what,
                cause: CodecError::new(cause),
            },
            Denial::Panicked { text } => Self::Panicked { cause: text, actor },
            Denial::Failed { .. } => Self::late(LateAnswer::Aborted, actor),
            Denial::Reply { cause } => Self::Reply(CodecError::new(cause)),
            Denial::Start { cause, wait_ms } => Self::Init {
                cause,
                retry_after: Duration::from_millis(wait_ms),
                actor,
            },
            Denial::Dropped(how) => {
                let late = match how {
                    Dropped::Late => LateAnswer::Deadline,
                    Dropped::Lost => LateAnswer::Lost,
                    Dropped::Aborted => LateAnswer::Aborted,
                };
                Self::late(late, actor)
            }
            Denial::Cycle { .. } => Self::Cycle(actor),
            Denial::ChainTooLong { hops, hops_max } => Self::TooDeep {
                hops,
                hops_max,
                actor,
            },
            // Another node takes it over, which has its turn then.
            Denial::NoLease | Denial::Stopping => Self::NoOwner(actor),
            Denial::Halted { reason } => Self::Halted(reason),
            // Of an entity, or of a newer node: nobody knows what happened.
            Denial::Log(_) | Denial::Unusable { .. } | Denial::Newer { .. } => Self::lost(actor),
        }
    }

    fn unrouted(refusal: route::Refusal, actor: ActorId) -> Self {
        match refusal {
            route::Refusal::NoOwner(_) => Self::NoOwner(actor),
            route::Refusal::NoNode(node) => Self::NoNode(node.to_string()),
            route::Refusal::NoCommonVersion(node) => Self::NoCommonVersion {
                node: node.to_string(),
                actor,
            },
            route::Refusal::TooLarge { bytes, bytes_max } => Self::TooLarge {
                bytes,
                bytes_max,
                actor,
            },
            route::Refusal::Overloaded => Self::Overloaded(actor),
            route::Refusal::Deadline => Self::Deadline(actor),
            route::Refusal::Unknown(route::Lost::Deadline) => {
                Self::late(LateAnswer::Deadline, actor)
            }
            route::Refusal::Unknown(route::Lost::Gone(_) | route::Lost::Disconnected) => {
                Self::lost(actor)
            }
        }
    }
}
