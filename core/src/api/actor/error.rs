//! What can go wrong for whoever asks an actor, and what to do next.

use super::handle::Misdirected;
use crate::actor::Refusal;
use crate::api::CodecError;
use crate::driver::NotSent;
use crate::driver::actors::host::{ActorAnswer, NotUnderstood};
use crate::format::{Denial, Dropped};
use crate::id::ShardId;
use crate::name::NameError;
use crate::route;
use std::fmt;
use std::time::Duration;

/// Why an actor could not be made: any error, or a text.
///
/// ```
/// use tenure_core::api::actor::InitError;
///
/// fn limit(text: &str) -> Result<u64, InitError> {
///     let limit = text.parse()?;
///     if limit == 0 {
///         return Err(InitError::new("a limit of 0 lets nobody in"));
///     }
///     Ok(limit)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitError {
    pub(super) cause: String,
}

impl InitError {
    /// An error with a text of its own.
    pub fn new(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
        }
    }
}

// As this is no `Error` itself, every error becomes one by `?`.
impl<E: std::error::Error> From<E> for InitError {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// Why a message has no reply.
///
/// [`has_begun`](Self::has_begun) is the great divide: everything else means that no handler saw the
/// message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError<E> {
    /// The handler said no.
    #[error("{0}")]
    Rejected(E),
    /// Too many messages wait. It was not run; ask again later.
    #[error("too many messages wait; it was not run, ask again later")]
    Overloaded,
    /// The deadline came before its turn. It was not run.
    #[error("the deadline came before its turn; it was not run, ask again")]
    Deadline,
    /// It may have run, and its answer is lost.
    #[error("{0}; it may have run")]
    Unknown(LateAnswer),
    /// The actor cannot be made, or failed too often. It was not run.
    #[error("the actor cannot be made ({cause}); it was not run, ask again in {retry_after:?}")]
    Init {
        /// What it said.
        cause: String,
        /// When it is made again for a message, from now.
        retry_after: Duration,
    },
    /// Its handler panicked.
    #[error("the handler panicked: {0}")]
    Panicked(String),
    /// It would wait for itself: the actor that it is for waits for its answer. It was not run.
    #[error(
        "the message would wait for itself, since its actor waits for the answer; it was not run: tell instead of asking, or ask from a task"
    )]
    Cycle,
    /// Too many actors wait for one another in a row. It was not run.
    #[error(
        "too many actors wait for one another in a row; it was not run: tell instead of asking"
    )]
    TooDeep,
    /// The kind has no handler for it. It was not run.
    #[error(
        "the actor takes no message {name} v{version}; it was not run: name it in the kind's handlers, or ask a newer program"
    )]
    UnknownMessage {
        /// The message's name.
        name: String,
        /// The version of its type.
        version: u16,
    },
    /// Its bytes are not what its name says. It was not run.
    #[error("the message {name} cannot be decoded ({cause}); it was not run")]
    Undecodable {
        /// The message's name.
        name: String,
        /// What the decoder said.
        cause: CodecError,
    },
    /// Nobody knows the kind. It was not run.
    #[error("no kind of actor named {0} is known; it was not run: register it at start")]
    UnknownKind(String),
    /// The key cannot be one. It was not run.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Its kind does not belong to shards or nodes, and was asked as if it did. It was not run.
    #[error(
        "actors of kind {kind} do not belong to {whose}s; it was not run: let the kind's settings say per_{whose}()"
    )]
    Placed {
        /// The kind.
        kind: String,
        /// `shard` or `node`.
        whose: &'static str,
    },
    /// There is no such shard. It was not run.
    #[error("the namespace has {shards} shards, and no {shard:?}; it was not run")]
    NoShard {
        /// The shard.
        shard: ShardId,
        /// How many there are.
        shards: u16,
    },
    /// No such node is in the cluster. It was not run.
    #[error(
        "node {0} is not in the cluster; it was not run: look at the cluster's view for those that are"
    )]
    NoNode(String),
    /// Nobody owned the key's shard for as long as a message waits. It was not run.
    #[error("nobody owns the key's shard; it was not run, ask again later")]
    NoOwner,
    /// The node that owns the key speaks no version of frames that this one does. It was not run.
    #[error(
        "the key's owner speaks no version of frames that this node does; it was not run: update the older program"
    )]
    NoCommonVersion,
    /// It is larger than the network takes. It was not run.
    #[error("the message's frame has {bytes} bytes, the server takes {bytes_max}: send less")]
    TooLarge {
        /// Its frame's size in bytes.
        bytes: usize,
        /// What the server takes, in bytes.
        bytes_max: usize,
    },
    /// It ran, and its reply is not what this build expects.
    #[error("it ran, but its reply cannot be decoded: {0}")]
    Reply(CodecError),
    /// A machine of the node halted. It was not run.
    #[error("the actors of this node halted ({0}); restart the node and report the recording")]
    Halted(String),
    /// The node stops. It was not run.
    #[error("the node stops; it was not run, ask another")]
    Stopped,
}

/// How the answer to a message was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LateAnswer {
    /// It did not come before the deadline.
    Deadline,
    /// The node that ran it lost the actor, or is gone.
    Lost,
    /// Its turn took too long and was dropped.
    Aborted,
}

impl fmt::Display for LateAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deadline => "no answer came before the deadline",
            Self::Lost => "the node that had the message lost the actor, or is gone",
            Self::Aborted => "the turn took too long and was dropped",
        })
    }
}

impl<E> AskError<E> {
    /// Whether the handler may have seen the message.
    pub fn has_begun(&self) -> bool {
        match self {
            Self::Rejected(_) | Self::Unknown(_) | Self::Panicked(_) | Self::Reply(_) => true,
            Self::Overloaded
            | Self::Deadline
            | Self::Init { .. }
            | Self::Cycle
            | Self::TooDeep
            | Self::UnknownMessage { .. }
            | Self::Undecodable { .. }
            | Self::UnknownKind(_)
            | Self::Name(_)
            | Self::Placed { .. }
            | Self::NoShard { .. }
            | Self::NoNode(_)
            | Self::NoOwner
            | Self::NoCommonVersion
            | Self::TooLarge { .. }
            | Self::Halted(_)
            | Self::Stopped => false,
        }
    }

    /// Whether the same message, which has not begun, may go well when it is sent again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Overloaded | Self::Deadline | Self::Init { .. } | Self::NoOwner => true,
            Self::Rejected(_)
            | Self::Unknown(_)
            | Self::Panicked(_)
            | Self::Cycle
            | Self::TooDeep
            | Self::UnknownMessage { .. }
            | Self::Undecodable { .. }
            | Self::UnknownKind(_)
            | Self::Name(_)
            | Self::Placed { .. }
            | Self::NoShard { .. }
            | Self::NoNode(_)
            | Self::NoCommonVersion
            | Self::TooLarge { .. }
            | Self::Reply(_)
            | Self::Halted(_)
            | Self::Stopped => false,
        }
    }

    /// What an answer without a reply means.
    pub(crate) fn of(answer: ActorAnswer) -> Self {
        match answer {
            ActorAnswer::Refused(refusal) => Self::refused(refusal),
            ActorAnswer::NotUnderstood(NotUnderstood::Unknown { name, version }) => {
                Self::UnknownMessage { name, version }
            }
            ActorAnswer::NotUnderstood(NotUnderstood::Undecodable { name, cause }) => {
                Self::Undecodable { name, cause }
            }
            ActorAnswer::Unrouted(refusal) => Self::unrouted(refusal),
            ActorAnswer::NoNode(node) => Self::NoNode(node),
            ActorAnswer::Halted(reason) => Self::Halted(reason),
            ActorAnswer::Stopped => Self::Stopped,
            ActorAnswer::Denied(denial) => Self::denied(denial),
            ActorAnswer::Cut => Self::Unknown(LateAnswer::Lost),
            ActorAnswer::Ran(..)
            | ActorAnswer::Told(..)
            | ActorAnswer::Taken
            | ActorAnswer::Ended(_) => Self::Unknown(LateAnswer::Lost),
        }
    }

    /// Whom it is for cannot be asked.
    pub(super) fn misdirected(kind: &str, why: Misdirected) -> Self {
        match why {
            Misdirected::Name(error) => Self::Name(error),
            Misdirected::Placed { whose } => Self::Placed {
                kind: kind.to_owned(),
                whose,
            },
            Misdirected::NoShard { shard, shards } => Self::NoShard { shard, shards },
        }
    }

    fn refused(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Overloaded | Refusal::TooManyWatchers => Self::Overloaded,
            Refusal::Deadline => Self::Deadline,
            Refusal::Late => Self::Unknown(LateAnswer::Deadline),
            Refusal::NotOwner => Self::NoOwner,
            Refusal::Lost => Self::Unknown(LateAnswer::Lost),
            Refusal::Cycle => Self::Cycle,
            Refusal::TooDeep { .. } => Self::TooDeep,
            Refusal::Panicked(cause) => Self::Panicked(cause),
            Refusal::Failed { cause, retry_after } => Self::Init {
                cause,
                retry_after: retry_after.into(),
            },
            Refusal::Aborted => Self::Unknown(LateAnswer::Aborted),
            Refusal::Stopped => Self::Stopped,
        }
    }

    /// What another node said.
    fn denied(denial: Denial) -> Self {
        match denial {
            Denial::Overloaded => Self::Overloaded,
            Denial::Deadline => Self::Deadline,
            Denial::UnknownKind { kind } => Self::UnknownKind(kind),
            Denial::UnknownMessage {
                message, schema, ..
            }
            | Denial::WrongSchema {
                message,
                sent: schema,
                ..
            } => Self::UnknownMessage {
                name: message,
                version: schema,
            },
            Denial::Undecodable { what, cause } => Self::Undecodable {
                name: what,
                cause: CodecError::new(cause),
            },
            Denial::Panicked { text } => Self::Panicked(text),
            Denial::Failed { .. } => Self::Unknown(LateAnswer::Aborted),
            Denial::Reply { cause } => Self::Reply(CodecError::new(cause)),
            Denial::Start { cause, wait_ms } => Self::Init {
                cause,
                retry_after: Duration::from_millis(wait_ms),
            },
            Denial::Dropped(how) => Self::Unknown(match how {
                Dropped::Late => LateAnswer::Deadline,
                Dropped::Lost => LateAnswer::Lost,
                Dropped::Aborted => LateAnswer::Aborted,
            }),
            Denial::BackingOff { wait_ms } => Self::Init {
                cause: "it failed".to_owned(),
                retry_after: Duration::from_millis(wait_ms),
            },
            Denial::Cycle { .. } => Self::Cycle,
            Denial::ChainTooLong { .. } => Self::TooDeep,
            Denial::NoLease | Denial::NotActive => Self::NoOwner,
            Denial::Stopped | Denial::Stopping => Self::Stopped,
            Denial::Halted { reason } => Self::Halted(reason),
            Denial::Unusable { cause } => Self::Halted(cause),
            // Of an entity, or of a newer node: nobody knows what happened.
            Denial::Log(_) | Denial::Newer { .. } => Self::Unknown(LateAnswer::Lost),
        }
    }

    fn unrouted(refusal: route::Refusal) -> Self {
        match refusal {
            route::Refusal::NoOwner(_) => Self::NoOwner,
            route::Refusal::NoNode(node) => Self::NoNode(node.to_string()),
            route::Refusal::NoCommonVersion(_) => Self::NoCommonVersion,
            route::Refusal::TooLarge { bytes, bytes_max } => Self::TooLarge { bytes, bytes_max },
            route::Refusal::Overloaded => Self::Overloaded,
            route::Refusal::Deadline => Self::Deadline,
            route::Refusal::Unknown(route::Lost::Deadline) => Self::Unknown(LateAnswer::Deadline),
            route::Refusal::Unknown(route::Lost::Gone(_) | route::Lost::Disconnected) => {
                Self::Unknown(LateAnswer::Lost)
            }
        }
    }
}

impl<E> From<NotSent> for AskError<E> {
    fn from(not_sent: NotSent) -> Self {
        match not_sent {
            NotSent::Overloaded => Self::Overloaded,
            NotSent::Stopped => Self::Stopped,
        }
    }
}
