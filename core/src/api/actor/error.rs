//! What can go wrong for whoever asks an actor, and what to do next.

use crate::api::CodecError;
use crate::id::ShardId;
use crate::name::{EntityId, KindName, NameError};
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

/// Which actor an error is about.
///
/// ```
/// # use tenure_core::api::actor::ActorId;
/// # use tenure_core::id::ShardId;
/// # use tenure_core::name::{EntityId, KindName};
/// let (kind, key) = (KindName::new("cart")?, EntityId::new("7")?);
/// let actor = ActorId { kind, key, shard: Some(ShardId(12)) };
/// assert_eq!(actor.to_string(), "cart \"7\" (shard 12)");
/// # Ok::<_, tenure_core::name::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorId {
    /// Its kind.
    pub kind: KindName,
    /// Its key.
    pub key: EntityId,
    /// The shard that its key is in; `None` for one that belongs to a node.
    pub shard: Option<ShardId>,
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.key.as_str())?;
        match self.shard {
            Some(shard) => write!(f, " (shard {})", shard.0),
            None => Ok(()),
        }
    }
}

/// Why a message has no reply.
///
/// [`has_begun`](Self::has_begun) is the great divide: everything else means that no handler saw the
/// message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActorError<E> {
    /// The handler said no.
    #[error("{0}")]
    Rejected(E),
    /// Too many messages wait. It was not run; ask again later.
    #[error("too many messages wait for {0} or its node; it was not run: ask again later")]
    Overloaded(ActorId),
    /// The deadline came before its turn. It was not run.
    #[error(
        "the deadline came before the turn of a message for {0}; it was not run: ask again, or with a longer timeout"
    )]
    Deadline(ActorId),
    /// It may have run, and its answer is lost.
    #[error("{late}, of a message for {actor}; it may have run")]
    Unknown {
        /// How the answer was lost.
        late: LateAnswer,
        /// Whom it was for.
        actor: ActorId,
    },
    /// The actor cannot be made, or failed too often. It was not run.
    #[error("{actor} cannot be made ({cause}); it was not run: ask again in {retry_after:?}")]
    Init {
        /// What it said.
        cause: String,
        /// When it is made again for a message, from now.
        retry_after: Duration,
        /// Whom it was for.
        actor: ActorId,
    },
    /// Its handler panicked.
    #[error("the handler of {actor} panicked: {cause}")]
    Panicked {
        /// The panic's text.
        cause: String,
        /// Whom it was for.
        actor: ActorId,
    },
    /// It would wait for itself: the actor that it is for waits for its answer. It was not run.
    #[error(
        "a message for {0} would wait for itself, since {0} waits for its answer; it was not run: tell instead of asking, or ask from a task"
    )]
    Cycle(ActorId),
    /// Too many actors wait for one another in a row. It was not run.
    #[error(
        "a message for {actor} came through {hops} turns that wait for one another, {hops_max} are allowed; it was not run: tell instead of asking"
    )]
    TooDeep {
        /// How many turns wait for it.
        hops: usize,
        /// How many may (`trail_max`).
        hops_max: usize,
        /// Whom it was for.
        actor: ActorId,
    },
    /// The kind has no handler for it. It was not run.
    #[error(
        "{actor} takes no message {name} v{version}; it was not run: name it in the kind's handlers, or ask a newer program"
    )]
    UnknownMessage {
        /// The message's name.
        name: String,
        /// The version of its type.
        version: u16,
        /// Whom it was for.
        actor: ActorId,
    },
    /// The kind takes it in another version. It was not run.
    #[error(
        "{actor} takes message {name} in v{taken}, and was sent v{sent}; it was not run: deploy the same build on both nodes"
    )]
    OtherVersion {
        /// The message's name.
        name: String,
        /// The version that was sent.
        sent: u16,
        /// The newest version that the kind takes there.
        taken: u16,
        /// Whom it was for.
        actor: ActorId,
    },
    /// Its bytes are not what its name says. It was not run.
    #[error("the message {name} cannot be decoded ({cause}); it was not run")]
    Undecodable {
        /// The message's name.
        name: String,
        /// What the decoder said.
        cause: CodecError,
    },
    /// This process does not know the kind. It was not run.
    #[error("no kind of actor named {0} is known here; it was not run: register it at start")]
    UnknownKind(String),
    /// The node that owns the key does not serve the kind. It was not run.
    #[error(
        "node {node} owns {actor}, and does not serve kind {}; it was not run: deploy a build there that serves it, or drain that node", actor.kind
    )]
    NotServed {
        /// Whom it was for.
        actor: ActorId,
        /// The node that owns it.
        node: String,
    },
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
    #[error(
        "no node owns {0} (or it is changing hands); it was not run: start a node that serves the kind, or ask again"
    )]
    NoOwner(ActorId),
    /// The node that owns the key speaks no version of frames that this one does. It was not run.
    #[error(
        "node {node} owns {actor}, and speaks no version of frames that this node does; it was not run: update the older program"
    )]
    NoCommonVersion {
        /// Whom it was for.
        actor: ActorId,
        /// The node that owns it.
        node: String,
    },
    /// It is larger than the network takes. It was not run.
    #[error(
        "the frame of a message for {actor} has {bytes} bytes, the server takes {bytes_max}; it was not run: send less"
    )]
    TooLarge {
        /// Its frame's size in bytes.
        bytes: usize,
        /// What the server takes, in bytes.
        bytes_max: usize,
        /// Whom it was for.
        actor: ActorId,
    },
    /// It ran, and its reply is not what this build expects.
    #[error("it ran, but its reply cannot be decoded: {0}")]
    Reply(CodecError),
    /// A machine of the node halted. It was not run.
    #[error("the actors of the node halted ({0}); restart it and report the recording")]
    Halted(String),
    /// This node stops. It was not run.
    #[error("this node stops; a message for {0} was not run: ask from another node")]
    Stopped(ActorId),
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
            Self::Lost => "the node that ran the turn lost the actor, or is gone",
            Self::Aborted => "the turn took too long and was dropped",
        })
    }
}

impl<E> ActorError<E> {
    /// Whether the handler may have seen the message.
    pub fn has_begun(&self) -> bool {
        match self {
            Self::Rejected(_) | Self::Unknown { .. } | Self::Panicked { .. } | Self::Reply(_) => {
                true
            }
            Self::Overloaded(_)
            | Self::Deadline(_)
            | Self::Init { .. }
            | Self::Cycle(_)
            | Self::TooDeep { .. }
            | Self::UnknownMessage { .. }
            | Self::OtherVersion { .. }
            | Self::Undecodable { .. }
            | Self::UnknownKind(_)
            | Self::NotServed { .. }
            | Self::Name(_)
            | Self::Placed { .. }
            | Self::NoShard { .. }
            | Self::NoNode(_)
            | Self::NoOwner(_)
            | Self::NoCommonVersion { .. }
            | Self::TooLarge { .. }
            | Self::Halted(_)
            | Self::Stopped(_) => false,
        }
    }

    /// Whether the same message, which has not begun, may go well when it is sent again from this node.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Overloaded(_) | Self::Deadline(_) | Self::Init { .. } | Self::NoOwner(_) => true,
            // As long as the programs are what they are.
            Self::UnknownMessage { .. } | Self::OtherVersion { .. } | Self::NotServed { .. } => {
                false
            }
            // This node never goes on.
            Self::Halted(_) | Self::Stopped(_) => false,
            Self::Rejected(_)
            | Self::Unknown { .. }
            | Self::Panicked { .. }
            | Self::Cycle(_)
            | Self::TooDeep { .. }
            | Self::Undecodable { .. }
            | Self::UnknownKind(_)
            | Self::Name(_)
            | Self::Placed { .. }
            | Self::NoShard { .. }
            | Self::NoNode(_)
            | Self::NoCommonVersion { .. }
            | Self::TooLarge { .. }
            | Self::Reply(_) => false,
        }
    }
}
