//! The names of a namespace's consumers: listed with what is stored of each, and forgotten.
//!
//! A name is a consumer's, a group's or a projection's, by the one record that is at `<ns>.chk.<name>`.
//! What was stored under it is [erased](Erase) by messages without a body that replace it and go by
//! themselves. The name's own record is replaced first, by one that stays and says that the name is being
//! forgotten, and last of all by such a message: so whoever begins under the name waits until all is gone, and
//! what was left half erased is listed and can be erased again.

mod erase;
mod letters;
mod list;

pub use erase::Erase;
pub use letters::{LetterDone, ListLetters, OneLetter};
pub use list::Listing;

use crate::format::{Checkpoint, ElsewhereRecord, FormatError, GroupOrders, GroupRecord, Mark};
use crate::id::Sequence;
use crate::name::ConsumerName;
use crate::port::{Message, Refused};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// For how long what says that a record was forgotten stays, in seconds.
const FORGOTTEN_TTL_S: u32 = 2;

/// What is in the place of a name's record while what was stored under it is being erased: no record begins so.
const BEING_FORGOTTEN: &[u8] = &[0];

/// Whether a message is there in the place of a record that was forgotten, or is being.
pub(super) fn is_forgotten(message: &Message) -> bool {
    message.payload.is_empty() || is_being_forgotten(message)
}

/// Whether what was stored under a name is not all erased.
pub(super) fn is_being_forgotten(message: &Message) -> bool {
    message.payload == BEING_FORGOTTEN
}

/// What is stored under the name of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: ConsumerName,
    /// Where its record is in the consumers' stream; none where nothing but dead letters is left.
    pub at: Sequence,
    /// Whose it is.
    pub form: NamedForm,
    /// How many of its events are put aside.
    pub letters: u64,
}

/// Whose a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedForm {
    /// A consumer's that is in no group, or a durable subscription's.
    Consumer(Box<Checkpoint>),
    /// A group's.
    Group {
        /// What it is.
        record: Box<GroupRecord>,
        /// What it was told, if it was told anything.
        orders: Option<Box<GroupOrders>>,
        /// The record of each partition, by its number, that has one which can be read.
        partitions: Vec<Option<Checkpoint>>,
    },
    /// A projection's, or that of a consumer which keeps its checkpoint with its own state.
    Elsewhere {
        /// That it is.
        record: Box<ElsewhereRecord>,
        /// Up to where its state goes, where that is in the namespace.
        mark: Option<Box<Mark>>,
    },
    /// Nobody's any more: it is being forgotten, and something is left of it.
    Left,
    /// A record's that cannot be read.
    Unreadable(FormatError),
}

/// Why names are not listed, or not forgotten.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamesFault {
    /// The store refuses for good.
    #[error("the store refused to {what}: {refused}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// The refusal.
        refused: Refused,
    },
    /// The name's record is another one by now.
    #[error("a run wrote its record meanwhile")]
    Moved,
    /// The store gave an answer to something else.
    #[error("the store answered something else than it was asked: report it")]
    Misfit,
}
