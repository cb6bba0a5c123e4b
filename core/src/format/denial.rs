//! Why a request was refused where it went: what crosses between nodes as what it was.

use crate::log::Refusal;
use alloc::string::String;

/// Why the turn of a request was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Dropped {
    /// The caller's deadline came while it ran.
    #[error("no answer came before the deadline")]
    Late,
    /// The node lost the actor, or stopped.
    #[error("the node that had the message lost the actor, or is gone")]
    Lost,
    /// The turn took too long.
    #[error("the turn took too long and was dropped")]
    Aborted,
}

/// Why a request got no answer from whom it was for. It crosses between nodes without a loss.
///
/// Unless a variant says so, nothing happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Denial {
    /// The entity's log refused.
    #[error("the entity's log refused: {0:?}")]
    Log(Refusal),
    /// The node does not serve the kind.
    #[error(
        "the node that owns the shard does not serve kind {kind:?}; deploy a build there that serves it"
    )]
    UnknownKind {
        /// The kind.
        kind: String,
    },
    /// The kind takes no such message.
    #[error(
        "{kind:?} takes no message {message:?} version {schema} on that node; deploy a build that does"
    )]
    UnknownMessage {
        /// The kind, or what else was asked.
        kind: String,
        /// The message's name.
        message: String,
        /// The version of its type.
        schema: u16,
    },
    /// The kind takes the message in another version only.
    #[error(
        "message {message:?} was sent in version {sent}, that node takes it in version {taken}; deploy the same build on both"
    )]
    WrongSchema {
        /// The message's name.
        message: String,
        /// The version that was sent.
        sent: u16,
        /// The newest version that the node takes.
        taken: u16,
    },
    /// The node cannot read the request.
    #[error("that node cannot read {what}: {cause}")]
    Undecodable {
        /// What it cannot read: the request, or the message of a name.
        what: String,
        /// What the decoder said.
        cause: String,
    },
    /// Too many requests wait: for the node, its lane or the mailbox.
    #[error("too many requests wait there; nothing happened, send it again later")]
    Overloaded,
    /// The handler panicked; what it did before that, it did.
    #[error("the handler panicked: {text}")]
    Panicked {
        /// The panic's text.
        text: String,
    },
    /// The handler failed, and not with an error of the domain; what it did before that, it did.
    #[error("the handler failed: {cause}")]
    Failed {
        /// In its words.
        cause: String,
    },
    /// The reply cannot be encoded, or is too large to be sent; what it is the reply to happened.
    #[error("it ran, but its reply cannot be sent: {cause}")]
    Reply {
        /// What is in the way.
        cause: String,
    },
    /// The actor could not be made.
    #[error("the actor could not be started: {cause}")]
    Start {
        /// What its start said.
        cause: String,
        /// How long it is not tried again, in milliseconds.
        wait_ms: u64,
    },
    /// The turn that had the request, or was to have it, was dropped: it may have run, and its answer
    /// is lost.
    #[error("{0}; it may have run")]
    Dropped(Dropped),
    /// The request came after its deadline, or the deadline came before its turn.
    #[error("the deadline came before its turn; nothing happened")]
    Deadline,
    /// Whom it is for waits for its answer.
    #[error(
        "{kind} {key:?} waits for this request's own answer; nothing happened: tell it instead of asking, or ask outside its turn"
    )]
    Cycle {
        /// The kind of who waits.
        kind: String,
        /// Its id or key.
        key: String,
    },
    /// It came through too many turns.
    #[error("the request came through {hops} turns, {hops_max} are allowed; nothing happened")]
    ChainTooLong {
        /// How many.
        hops: usize,
        /// How many are allowed.
        hops_max: usize,
    },
    /// The node may not act now: its lease is over or not there yet.
    #[error("that node holds no lease now; nothing happened, send it again")]
    NoLease,
    /// The node stops.
    #[error("that node stops; nothing happened, send it again")]
    Stopping,
    /// A machine of the node found its own state wrong before.
    #[error("a machine of that node halted ({reason}); restart it and report the recording")]
    Halted {
        /// Why.
        reason: String,
    },
    /// The namespace cannot be used by that node.
    #[error("that node cannot use the namespace: {cause}")]
    Unusable {
        /// Why.
        cause: String,
    },
    /// A refusal that this build does not know. Whether something happened is not known.
    #[error(
        "that node refused for a reason ({number}) that this build does not know: deploy the same build on both"
    )]
    Newer {
        /// Its number in the format.
        number: u64,
    },
}
