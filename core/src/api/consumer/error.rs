//! Why a consumer did not start, ended, or did not do what it was asked.

use crate::api::KindError;
use crate::consumer::group::GroupOrderRefusal;
use crate::consumer::{Fault, LetterRefusal, OrderRefusal, RewindRefusal, StallReason};
use crate::format::EventPlace;
use crate::id::GroupPart;
use crate::name::{KindName, NameError};

/// What a handler fails with: any error, and by `?` any error's type.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// Why a consumer does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// A name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A kind that it reads cannot be used.
    #[error("the consumer cannot read a kind: {0}")]
    Kind(#[from] KindError),
    /// It has no handler.
    #[error(
        "the consumer {name} has no handler: give it one of a kind, of raw events or of batches"
    )]
    NoHandler {
        /// The consumer.
        name: String,
    },
    /// Its filter lets a kind through that it has no handler for.
    #[error(
        "the consumer {name} reads the kind {kind} and has no handler for it: give it one of the kind or of raw events, or leave the kind out"
    )]
    NoHandlerOf {
        /// The consumer.
        name: String,
        /// The kind.
        kind: KindName,
    },
    /// Two handlers are of one kind.
    #[error(
        "the consumer {name} has two handlers of the kind {kind}: which is to have its events?"
    )]
    HandlerTwice {
        /// The consumer.
        name: String,
        /// The kind.
        kind: KindName,
    },
    /// A handler of batches gets all events.
    #[error(
        "the consumer {name} has a handler of batches and others: batches take in all events, so give it one or the other"
    )]
    TwoHandlers {
        /// The consumer.
        name: String,
    },
    /// Middleware stands around handlers of events.
    #[error(
        "the consumer {name} has middleware and a handler of batches, around which none stands: do in that handler what it is for, or handle events one by one"
    )]
    BatchMiddleware {
        /// The consumer.
        name: String,
    },
    /// A group is of several nodes.
    #[error(
        "the group {name} needs a cluster, whose leases say who runs which partition: start the node with Builder::cluster, or run it as a consumer that is in no group"
    )]
    NoCluster {
        /// The group.
        name: String,
    },
    /// The start of one node does not say where all of a group begins.
    #[error(
        "the group {name} is not reset by a node that starts: its partitions are at work on several nodes; start it, and rewind it as a whole (GroupHandle::rebuild), or give it another name"
    )]
    GroupReset {
        /// The group.
        name: String,
    },
    /// The consumer of a partition ended by itself, and nobody goes on with it for now.
    #[error("partition {part} of the group {name} ended: {why}")]
    GroupPart {
        /// The group.
        name: String,
        /// The partition.
        part: GroupPart,
        /// What ended it.
        why: String,
    },
    /// Something is wrong with what it reads or with where its checkpoint is.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// It was stopped.
    #[error("the consumer was stopped; start it again")]
    Stopped,
    /// It did not begin to hand events over in time, or a group to take part.
    #[error(
        "the consumer {name} did not start in time, as {waits_for}: mend that, or give it longer (start_timeout)"
    )]
    Timeout {
        /// The consumer.
        name: String,
        /// What it waited for at last.
        waits_for: StallReason,
    },
    /// Too many requests wait.
    #[error("too many requests wait; ask again later")]
    Overloaded,
    /// The consumer's machine found its own state wrong.
    #[error("the consumer halted ({reason}); start it again and report the recording")]
    Halted {
        /// Why.
        reason: String,
    },
    /// The node has stopped.
    #[error("this node has stopped; start another")]
    NodeStopped,
}

/// Why a consumer was not rewound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewindError {
    /// It goes on as before.
    #[error(transparent)]
    Refused(#[from] RewindRefusal),
    /// It does not run.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
}

/// Why a group was not told something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupOrderError {
    /// It goes on as before.
    #[error(transparent)]
    Refused(#[from] GroupOrderRefusal),
    /// It is not known whether the group was told: the order may still be stored.
    #[error("the store did not answer in time, so the group may be told still: look at its status")]
    Timeout,
    /// This node takes no part in it.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
}

/// Why a dead letter was not dealt with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LetterError {
    /// It is where it was.
    #[error(transparent)]
    Refused(#[from] LetterRefusal),
    /// This node runs no partition of the group.
    #[error("this node runs no partition of the group {group}: ask a node that does")]
    NoPartition {
        /// The group.
        group: String,
    },
    /// The event is for a partition that another node runs.
    #[error(
        "the event at {place} is for partition {part} of the group {group}, which falls to {}: replay it there",
        .node.as_deref().unwrap_or("nobody now")
    )]
    Elsewhere {
        /// The group.
        group: String,
        /// The place.
        place: EventPlace,
        /// The partition.
        part: GroupPart,
        /// The node that it falls to, as far as this one knows.
        node: Option<String>,
    },
    /// The consumer does not run.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
}

/// Why it is not known that a consumer has seen a commit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeenError {
    /// It had not in time.
    #[error("the consumer had not seen the commit in time; look at its status")]
    Deadline,
    /// The namespace has no such stream.
    #[error("the namespace has no event stream {partition}: it has {streams}")]
    NoStream {
        /// The stream.
        partition: u16,
        /// How many there are.
        streams: u16,
    },
    /// The entity's id cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It does not run.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
}

impl From<OrderRefusal> for LetterError {
    fn from(refusal: OrderRefusal) -> Self {
        Self::Refused(refusal.into())
    }
}
