//! What can go wrong with an ask, and with a read.

use crate::api::{CodecError, ExecuteError, KindError, LoadError};
use crate::driver::NotSent;
use crate::format::Denial;
use crate::id::ShardId;
use crate::name::{KindName, NameError};

/// Why a request did not reach an owner that could take it. Nothing happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// Nobody owned the shard for as long as a request may wait for an owner.
    #[error(
        "no node owns {shard:?} of kind {kind} (or it is changing hands): start a node that serves the kind, or send it again"
    )]
    NoOwner {
        /// The kind.
        kind: KindName,
        /// The shard.
        shard: ShardId,
    },
    /// Nobody owns the shard.
    #[error("no node owns {shard:?} (or it is changing hands): ask again later")]
    Unowned {
        /// The shard.
        shard: ShardId,
    },
    /// The node that owns the shard does not serve the kind.
    #[error(
        "node {node} owns {shard:?} and does not serve kind {kind}: deploy a build there that serves it, or drain that node"
    )]
    NotServed {
        /// The kind.
        kind: KindName,
        /// The shard.
        shard: ShardId,
        /// The node that owns it.
        node: String,
    },
    /// The node that was asked is not in the cluster.
    #[error("node {node} is not in the cluster; look at the cluster's view for those that are")]
    NoNode {
        /// The node.
        node: String,
    },
    /// The node that was asked reads no version of requests that this one writes.
    #[error(
        "node {node} and this one have no version of requests in common; upgrade the older one"
    )]
    NoCommonVersion {
        /// The node.
        node: String,
    },
    /// A node did not answer in time.
    #[error("node {node} did not answer in time; ask again")]
    Unanswered {
        /// The node.
        node: String,
    },
    /// This node has stopped.
    #[error("this node has stopped; ask another")]
    Stopped,
    /// This node is in no cluster.
    #[error("this node is in no cluster; start it with `.cluster(…)`")]
    NoCluster,
    /// The message cannot be encoded.
    #[error("the message cannot be encoded: {0}")]
    Unencodable(CodecError),
    /// The message is larger than the network takes.
    #[error("the message's frame has {bytes} bytes, the server takes {bytes_max}: send less")]
    TooLarge {
        /// Its frame's size in bytes.
        bytes: usize,
        /// What the server takes, in bytes.
        bytes_max: usize,
    },
    /// The answer cannot be decoded by this program. What was asked for happened.
    #[error("the answer cannot be decoded: {0}")]
    Answer(CodecError),
    /// The node that it came to refused it: its program is of another age perhaps.
    #[error(transparent)]
    Denied(Box<Denial>),
    /// The kind cannot be used here.
    #[error(transparent)]
    Kind(Box<KindError>),
}

impl RouteError {
    /// Whether the same request may go well when it is sent again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoOwner { .. } | Self::Unowned { .. } | Self::Unanswered { .. } => true,
            Self::Kind(error) => {
                matches!(**error, KindError::Deadline | KindError::Overloaded)
            }
            Self::Denied(denial) => {
                matches!(
                    **denial,
                    Denial::NoLease | Denial::Stopping | Denial::Overloaded
                )
            }
            Self::NotServed { .. }
            | Self::NoNode { .. }
            | Self::NoCluster
            | Self::NoCommonVersion { .. }
            | Self::Stopped
            | Self::Unencodable(_)
            | Self::TooLarge { .. }
            | Self::Answer(_) => false,
        }
    }
}

impl From<KindError> for RouteError {
    fn from(error: KindError) -> Self {
        Self::Kind(Box::new(error))
    }
}

impl From<Denial> for RouteError {
    fn from(denial: Denial) -> Self {
        Self::Denied(Box::new(denial))
    }
}

/// Why a command has no reply from its entity's owner.
///
/// What the owner says is [`Execute`](Self::Execute), wherever the owner is: the domain's no and
/// every other error cross the wire as what they were. [`Route`](Self::Route) is what became of the
/// way to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError<E> {
    /// As of a command on this node's own log.
    #[error(transparent)]
    Execute(#[from] ExecuteError<E>),
    /// It reached no owner that could take it. Nothing happened.
    #[error(transparent)]
    Route(RouteError),
}

impl<E> AskError<E> {
    /// Whether the command may take or have taken effect by this sending of it
    /// ([`ExecuteError::is_unknown`]).
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Execute(error) => error.is_unknown(),
            Self::Route(_) => false,
        }
    }

    /// Whether the command surely took effect, though there is no reply to show for it.
    pub fn took_effect(&self) -> bool {
        match self {
            Self::Execute(error) => error.took_effect(),
            Self::Route(_) => false,
        }
    }

    /// Whether the same command may go well when it is sent again; an unknown one has to be sent
    /// with its id.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Execute(error) => error.is_retryable(),
            Self::Route(error) => error.is_retryable(),
        }
    }

    /// The domain's no, if it is one.
    pub fn rejected(&self) -> Option<&E> {
        match self {
            Self::Execute(error) => error.rejected(),
            Self::Route(_) => None,
        }
    }
}

impl<E> From<NotSent> for AskError<E> {
    fn from(not_sent: NotSent) -> Self {
        Self::Execute(not_sent.into())
    }
}

impl<E> From<NameError> for AskError<E> {
    fn from(error: NameError) -> Self {
        Self::Execute(error.into())
    }
}

impl<E> From<RouteError> for AskError<E> {
    fn from(error: RouteError) -> Self {
        Self::Route(error)
    }
}

/// Why a query has no answer from its entity's owner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// As of a read of this node's own log.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It reached no owner that could take it.
    #[error(transparent)]
    Route(#[from] RouteError),
}

impl ReadError {
    /// Whether the same query may go well when it is asked again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Load(error) => error.is_retryable(),
            Self::Route(error) => error.is_retryable(),
        }
    }
}

impl From<NotSent> for ReadError {
    fn from(not_sent: NotSent) -> Self {
        Self::Load(not_sent.into())
    }
}
