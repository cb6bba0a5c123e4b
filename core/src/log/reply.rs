//! What a caller is told.

use super::{FoldError, Freshness};
use crate::format::MetadataError;
use crate::id::{Sequence, Version, WallTime};
use crate::port::Refused;
use alloc::string::String;
use bytes::Bytes;
use core::fmt;

/// The answer to a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Reply {
    /// The command's commit is acknowledged; the host has its typed reply.
    Committed {
        /// The entity's version after the command.
        version: Version,
        /// The commit's place in the stream.
        sequence: Sequence,
    },
    /// The command stored nothing (rejected, or no events): the host has its typed reply.
    Nothing {
        /// The version it was decided at.
        version: Version,
        /// What the state it was decided from is known to be.
        freshness: Freshness,
    },
    /// A command with this id took effect before; this is what it was answered then.
    Found {
        /// The entity's version after it.
        version: Version,
        /// Its encoded reply.
        outcome: Bytes,
    },
    /// The read was answered from the state at this version; the host has the answer.
    Read {
        /// The version.
        version: Version,
        /// What that state is known to be.
        freshness: Freshness,
    },
    /// Nothing happened, or (only [`Refusal::Unknown`]) it is not known whether it did.
    Refused(Refusal),
}

/// Why a caller got no answer from the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Refusal {
    /// The entity is not at the expected version.
    Conflict {
        /// What it is at.
        actual: Version,
    },
    /// Others kept winning; the command was decided `tries` times and nothing was stored.
    Contended {
        /// How often it was decided.
        tries: u32,
    },
    /// It may have happened, now or later. Ask again with the same command id.
    Unknown,
    /// The deadline came before anything was sent; nothing happened.
    Deadline,
    /// A deletion's deadline came while it waited for messages of its entity (V2); nothing happened.
    Undelivered(Undelivered),
    /// The command id is older than what the entity remembers; it is not run (S19).
    Expired {
        /// Unknown ids up to this time are refused.
        horizon: WallTime,
    },
    /// The command id is ahead of the owner's clock; it is not run (S19).
    Ahead {
        /// By how much, in milliseconds.
        ahead_ms: u64,
        /// How much is allowed, in milliseconds.
        ahead_max_ms: u64,
    },
    /// Too many commands wait; nothing happened.
    Overloaded,
    /// The commit is larger than the server takes; nothing happened.
    TooLarge {
        /// The message's size in bytes.
        bytes: usize,
        /// What the server takes, in bytes.
        bytes_max: usize,
    },
    /// The encoded reply is larger than what is kept of one; nothing happened.
    OutcomeTooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// An event's explicit version does not rise; nothing happened.
    VersionNotRising {
        /// The version before it.
        last: Version,
        /// The version it was given.
        given: Version,
    },
    /// The decision would leave the entity with more timers than one has; nothing happened.
    TooManyTimers {
        /// How many it would have.
        timers: usize,
        /// The limit.
        timers_max: usize,
    },
    /// The decision sends more messages than one command does; nothing happened.
    TooManySends {
        /// How many it sends.
        sends: usize,
        /// The limit.
        sends_max: usize,
    },
    /// The decision has timers or messages, and the kind is in direct mode: nobody owns the entity who
    /// could fire or send them. Nothing happened; use the kind in owned mode (`KindSettings::owned`).
    Unowned,
    /// The command's metadata is more than a commit keeps of one; nothing happened.
    Metadata(MetadataError),
    /// Owned mode: this node does not own the shard; nothing happened.
    NotOwner,
    /// A `Leased` read of a kind that is not of the leased class in owned mode: ask for `Local` or
    /// `Linearizable`.
    NotLeased,
    /// The user's code panicked or a value could not be encoded; nothing happened.
    Failed(String),
    /// The entity's stored events cannot be folded by this build.
    Fold(FoldError),
    /// The entity's stored commits do not fit together.
    Damaged(Damage),
    /// The store refuses for good.
    Store(Refused),
}

/// What a deletion waited for in vain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Undelivered {
    /// How many messages of the entity are known to be not delivered. None are while its owner still reads
    /// what its shard has to send, or to whom.
    pub messages: usize,
    /// The receiver of the first one, as `kind/id`.
    pub to: String,
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, to } = self;
        match messages {
            0 => f.write_str("what it sent is still being read"),
            1 => write!(f, "a message to {to} is not delivered"),
            _ => write!(
                f,
                "{messages} of its messages are not delivered, the first one to {to}"
            ),
        }
    }
}

/// What is wrong with an entity's stored commits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[error(
    "the log is damaged at sequence {sequence} of stream {stream:?} ({what}); restore the stream from a backup"
)]
pub struct Damage {
    /// The stream.
    pub stream: String,
    /// The message that is missing or wrong.
    pub sequence: Sequence,
    /// What is wrong, in words.
    pub what: String,
}
