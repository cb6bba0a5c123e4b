//! What can go wrong for a caller, and what to do next.

use super::CodecError;
use crate::driver::NotSent;
use crate::driver::host::KindEntry;
use crate::format::MetadataError;
use crate::id::{CommandId, Version, WallTime};
use crate::log::{Damage, FoldError, Undelivered};
use crate::name::{EntityId, KindName, NameError};
use crate::port::Refused;
use crate::space::SpaceError;

/// The entity that an error is about.
#[derive(Clone, Debug)]
pub(crate) struct Whom {
    pub(crate) kind: KindName,
    pub(crate) id: EntityId,
}

impl Whom {
    pub(crate) fn of(entry: &KindEntry, id: &EntityId) -> Self {
        let kind = entry.config.record.name.clone();
        let id = id.clone();
        Self { kind, id }
    }
}

/// Why a command has no reply.
///
/// [`is_unknown`](Self::is_unknown) is the great divide: everything else means that the command did
/// nothing now, and did nothing before unless the variant says so ([`Reply`](Self::Reply): it took
/// effect; [`Expired`](Self::Expired): it may have, long ago).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError<E> {
    /// The domain said no. Nothing was stored.
    #[error("{0}")]
    Rejected(E),
    /// `create`: the entity exists.
    #[error(
        "{kind} {id:?} exists already, at version {version}; execute the command on it instead of creating it"
    )]
    AlreadyExists {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
        /// Its version.
        version: Version,
    },
    /// `existing`: the entity does not exist.
    #[error("{kind} {id:?} does not exist; create it first")]
    NotFound {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
    },
    /// The entity is not at the expected version. Load it and decide again.
    #[error(
        "{kind} {id:?} is at version {actual}, expected was {expected}; load it and decide again"
    )]
    Conflict {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
        /// What was expected.
        expected: Version,
        /// What it is at.
        actual: Version,
    },
    /// Other writers were first each time. Nothing happened; send it again.
    #[error("other writers were first {tries} times in a row; nothing happened, send it again")]
    Contended {
        /// How often it was decided.
        tries: u32,
    },
    /// It may have happened, now or later. Send it again with the same id: it then takes effect if
    /// it did not before, and gives the same reply if it did.
    #[error("it is unknown whether command {id} took effect; send it again with that id")]
    Unknown {
        /// The command's id.
        id: CommandId,
    },
    /// The deadline came before anything was sent. Nothing happened.
    #[error("the deadline came before anything was sent; nothing happened, send it again")]
    Deadline,
    /// The command deletes the entity, and waited in vain for messages that it sent. Nothing happened.
    #[error(
        "{kind} {id:?} was not deleted, as {undelivered}; nothing happened: send it again when they are"
    )]
    Undelivered {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
        /// What it waited for.
        undelivered: Undelivered,
    },
    /// The id is older than what the entity remembers, so it cannot be told whether it took effect
    /// before. It was not run.
    #[error(
        "command {id} is older than what the entity remembers (up to {horizon}); it was not run: look at the entity before sending it under a new id"
    )]
    Expired {
        /// The command's id.
        id: CommandId,
        /// Unknown ids up to this time are refused.
        horizon: WallTime,
    },
    /// The id's time is ahead of this node's wall clock. It was not run.
    #[error(
        "command {id} is {ahead_ms} ms ahead of this node's clock ({ahead_max_ms} ms are allowed); it was not run: set the clocks right"
    )]
    Ahead {
        /// The command's id.
        id: CommandId,
        /// By how much, in milliseconds.
        ahead_ms: u64,
        /// How much is allowed, in milliseconds.
        ahead_max_ms: u64,
    },
    /// Too many commands wait. Nothing happened.
    #[error("too many commands wait; nothing happened, send it again later")]
    Overloaded,
    /// The commit is larger than the server takes. Nothing happened.
    #[error(
        "the commit has {bytes} bytes, the server takes {bytes_max} (max_payload): store less in one command, or raise the server's limit"
    )]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// What the server takes, in bytes.
        bytes_max: usize,
    },
    /// The encoded reply is larger than what is kept of one. Nothing happened.
    #[error("the encoded reply has {bytes} bytes, {bytes_max} are kept: reply with less")]
    ReplyTooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// The command's metadata is more than a commit keeps of one. Nothing happened.
    #[error("{0}; nothing happened")]
    Metadata(MetadataError),
    /// The entity would have more timers than one may have. Nothing happened.
    #[error(
        "the entity would have {timers} timers, {timers_max} are allowed; nothing happened: cancel some, or arm one for several purposes"
    )]
    TooManyTimers {
        /// How many it would have.
        timers: usize,
        /// How many are allowed.
        timers_max: usize,
    },
    /// The command sends more messages than one may send. Nothing happened.
    #[error(
        "the command sends {sends} messages, {sends_max} are allowed; nothing happened: send fewer at once"
    )]
    TooManySends {
        /// How many it sends.
        sends: usize,
        /// How many are allowed.
        sends_max: usize,
    },
    /// The decision has timers or messages, and nobody owns entities of this kind who could fire or send
    /// them. Nothing happened.
    #[error(
        "{kind} is in direct mode, where nobody fires timers or sends messages; nothing happened: use the kind with KindSettings::owned()"
    )]
    Unowned {
        /// The kind.
        kind: KindName,
    },
    /// Another node owns the entity's shard. Nothing happened.
    #[error("another node owns the entity's shard; nothing happened, send it there")]
    NotOwner,
    /// The user's code panicked, or a value could not be encoded. Nothing happened.
    #[error("{0}; nothing happened")]
    Failed(String),
    /// The command took effect before; its stored reply is not what this build expects.
    #[error("command {id} took effect before, but its stored reply cannot be decoded: {cause}")]
    Reply {
        /// The command's id.
        id: CommandId,
        /// What the decoder said.
        cause: CodecError,
    },
    /// The command took effect before, and its entity was deleted since, with its reply.
    #[error(
        "command {command} took effect before, and {kind} {id:?} was deleted since, with its reply; a new command needs a new id"
    )]
    Deleted {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
        /// The command's id.
        command: CommandId,
    },
    /// The command took effect before; the key that its reply was stored under is gone.
    #[error(
        "command {command} took effect before, and the key of {kind} {id:?} is gone, with its reply"
    )]
    Shredded {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
        /// The command's id.
        command: CommandId,
    },
    /// The id cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The entity's stored events cannot be folded by this build. Nothing happened.
    #[error("{kind} {id:?} cannot be loaded: {cause}")]
    Fold {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
        /// What is in the way.
        cause: FoldError,
    },
    /// The entity's stored commits do not fit together. Nothing happened.
    #[error(transparent)]
    Damaged(Damage),
    /// The store refuses for good. Nothing happened.
    #[error("the store refused: {0}")]
    Store(Refused),
    /// The namespace cannot be used any more: at a reconnect it was not as it must be. Nothing
    /// happened.
    #[error("the namespace cannot be used any more: {0}")]
    Space(SpaceError),
    /// The machine of the shard or of the namespace found its own state wrong before. Nothing
    /// happened.
    #[error("a machine of this node halted ({reason}); restart the node and report the recording")]
    Halted {
        /// Why.
        reason: String,
    },
    /// The node has stopped. Nothing happened.
    #[error("this node has stopped; nothing happened, send it to another")]
    Stopped,
}

impl<E> ExecuteError<E> {
    /// Whether the command may take or have taken effect by this sending of it. Otherwise it did
    /// not; under an id that was sent before, an earlier sending may have, see
    /// [`took_effect`](Self::took_effect).
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// Whether the command surely took effect, though there is no reply to show for it.
    pub fn took_effect(&self) -> bool {
        matches!(
            self,
            Self::Reply { .. } | Self::Deleted { .. } | Self::Shredded { .. }
        )
    }

    /// Whether the same command may go well when it is sent again; an unknown one has to be sent
    /// with its id.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Contended { .. }
            | Self::Unknown { .. }
            | Self::Deadline
            | Self::Undelivered { .. }
            | Self::Overloaded
            | Self::NotOwner => true,
            Self::Store(refused) => refused.passes(),
            Self::Rejected(_)
            | Self::AlreadyExists { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Expired { .. }
            | Self::Ahead { .. }
            | Self::TooLarge { .. }
            | Self::ReplyTooLarge { .. }
            | Self::Metadata(_)
            | Self::TooManyTimers { .. }
            | Self::TooManySends { .. }
            | Self::Unowned { .. }
            | Self::Failed(_)
            | Self::Reply { .. }
            | Self::Deleted { .. }
            | Self::Shredded { .. }
            | Self::Name(_)
            | Self::Fold { .. }
            | Self::Damaged(_)
            | Self::Space(_)
            | Self::Halted { .. }
            | Self::Stopped => false,
        }
    }

    /// The domain's no, if it is one.
    pub fn rejected(&self) -> Option<&E> {
        if let Self::Rejected(error) = self {
            Some(error)
        } else {
            None
        }
    }
}

impl<E> From<NotSent> for ExecuteError<E> {
    fn from(not_sent: NotSent) -> Self {
        match not_sent {
            NotSent::Overloaded => Self::Overloaded,
            NotSent::Stopped => Self::Stopped,
        }
    }
}

/// Why an entity could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such entity.
    #[error("{kind} {id:?} does not exist")]
    NotFound {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
    },
    /// The entity has not come that far.
    #[error("{kind} {id:?} is at version {actual}; version {asked} does not exist yet")]
    Ahead {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
        /// What was asked for.
        asked: Version,
        /// What it is at.
        actual: Version,
    },
    /// A history is to end before it begins.
    #[error(
        "the history is to begin at {bound} {from} and to end at {bound} {to}; ask for it the other way round"
    )]
    Range {
        /// What both are: a version, a sequence or a time.
        bound: &'static str,
        /// Where it is to begin; a time in milliseconds since 1970.
        from: u64,
        /// Where it is to end.
        to: u64,
    },
    /// The id cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The deadline came first.
    #[error("the deadline came before the store's answer; ask again")]
    Deadline,
    /// Too many requests wait.
    #[error("too many requests wait; ask again later")]
    Overloaded,
    /// Another node owns the entity's shard.
    #[error("another node owns the entity's shard; ask there")]
    NotOwner,
    /// A leased read of a kind that has no lease.
    #[error(
        "a leased read is for kinds of the leased class that are written in owned mode; ask for a local or a linearizable one"
    )]
    NotLeased,
    /// The entity's stored events cannot be folded by this build.
    #[error("{kind} {id:?} cannot be loaded: {cause}")]
    Fold {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
        /// What is in the way.
        cause: FoldError,
    },
    /// The entity's stored commits do not fit together.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The store refuses for good.
    #[error("the store refused: {0}")]
    Store(Refused),
    /// The user's code panicked.
    #[error("{0}")]
    Failed(String),
    /// The namespace cannot be used any more: at a reconnect it was not as it must be.
    #[error("the namespace cannot be used any more: {0}")]
    Space(SpaceError),
    /// The machine of the shard or of the namespace found its own state wrong.
    #[error("a machine of this node halted ({reason}); restart the node and report the recording")]
    Halted {
        /// Why.
        reason: String,
    },
    /// The node has stopped.
    #[error("this node has stopped; ask another")]
    Stopped,
}

impl LoadError {
    pub(crate) fn fold(whom: Whom, cause: FoldError) -> Self {
        let Whom { kind, id } = whom;
        Self::Fold { kind, id, cause }
    }

    /// Whether the same question may go well when it is asked again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Deadline | Self::Overloaded | Self::NotOwner => true,
            Self::Store(refused) => refused.passes(),
            Self::NotFound { .. }
            | Self::Ahead { .. }
            | Self::Range { .. }
            | Self::Name(_)
            | Self::Fold { .. }
            | Self::Damaged(_)
            | Self::Failed(_)
            | Self::NotLeased
            | Self::Space(_)
            | Self::Halted { .. }
            | Self::Stopped => false,
        }
    }
}

impl From<NotSent> for LoadError {
    fn from(not_sent: NotSent) -> Self {
        match not_sent {
            NotSent::Overloaded => Self::Overloaded,
            NotSent::Stopped => Self::Stopped,
        }
    }
}

/// Why events were not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// There is nothing to append.
    #[error("an append needs at least one event")]
    Empty,
    /// The entity is not at the expected version.
    #[error(
        "{kind} {id:?} is at version {actual}, expected was {expected}; read it and append again"
    )]
    Conflict {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
        /// What was expected.
        expected: Version,
        /// What it is at.
        actual: Version,
    },
    /// An event's own version does not rise. Nothing was stored.
    #[error(
        "an event for {kind} {id:?} has version {given}, the one before it has {last}: versions must rise"
    )]
    VersionNotRising {
        /// The kind.
        kind: KindName,
        /// The entity.
        id: EntityId,
        /// The version before it.
        last: Version,
        /// The version it was given.
        given: Version,
    },
    /// Anything that can go wrong with a command.
    #[error(transparent)]
    Execute(#[from] ExecuteError<std::convert::Infallible>),
}

impl AppendError {
    /// Whether the events may have been stored, now or later.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Execute(error) => error.is_unknown(),
            Self::Empty | Self::Conflict { .. } | Self::VersionNotRising { .. } => false,
        }
    }
}
