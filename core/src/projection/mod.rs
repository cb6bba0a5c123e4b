//! The state of a projection in the namespace: loaded whole, and replaced by CAS.
//!
//! Tasks, each of one load or one save. A task says which request is next and takes its answer in; its
//! driver asks, waits where it is told to, and decides nothing.
//!
//! A state that fits into one message is in its mark's. A larger one is put into parts first, under a tag
//! that is drawn for the attempt, and is current only because a mark names it (S20). The mark is replaced by
//! CAS; the parts that the one before it named go after that.
//!
//! - J1: a mark replaces only one that it is [after](crate::format::Mark::is_after): of an older version or
//!   life, or of the same and behind it. Who finds a later one stores nothing, and says so.
//! - J2: a mark is stored after all of the parts that it names, and no part is written twice with other bytes.
//! - J3: a part goes only when a stored mark does not name it and no mark that names it can be stored any
//!   more.
//! - J4: a state is taken for loaded only when its length and its hash are those of its mark.
//!
//! Or the state is a value for each key, in a bucket. Then the mark follows behind what is stored of it: each
//! value says itself up to which event of each stream it goes, so events that come again after a crash change
//! nothing that has them already.
//!
//! - J5: a value replaces only the one that it was made of ([`Put`], by CAS). So two runs that overlap write
//!   what one would have written.
//! - J6: a mark that follows its values is stored after all of them, by the run that took it over last
//!   ([`Hold`], by CAS).
//!
//! What a life could not take in is put aside as a dead letter. The next life comes past its event again.
//!
//! - J7: a dead letter goes only when a life after the one that put it aside has come past its event, and is
//!   stored with that, and nobody has put the event aside since that life's run began ([`ClearLetter`], by
//!   CAS).

mod hold;
mod letters;
mod load;
mod save;
mod values;

pub use hold::{Held, Hold};
pub use letters::{ClearLetter, FormerLetter, FormerLetters};
pub use load::{Load, Loaded};
pub use save::{Save, Saved};
pub use values::{List, Listed, Put, Read, Written};

use crate::format::FormatError;
use crate::id::LayoutId;
use crate::name::ConsumerName;
use crate::port::Refused;
use alloc::string::String;

/// How often a mark is looked for that is not there, or an older one is in its place: a replica may lag.
const LOOKS_MAX: u32 = 12;

/// What to do after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<T, F = StateFault> {
    /// Ask the next request at once.
    Ask,
    /// Ask it after a wait.
    Wait,
    /// The task is done.
    Done(T),
    /// It cannot be done.
    Fail(F),
}

/// Why the state of a projection is not loaded or not saved, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateFault {
    /// Its positions are of another log.
    #[error(
        "the state of the projection {projection} is of layout {found}, and this namespace's is {expected}: it was copied or restored from elsewhere; start the projection with a reset, or give it another name"
    )]
    OtherLayout {
        /// The projection.
        projection: ConsumerName,
        /// The namespace's layout.
        expected: LayoutId,
        /// The mark's.
        found: LayoutId,
    },
    /// It is the state of another projection.
    #[error(
        "the state of the projection {projection} is that of {found}: it was copied; start the projection with a reset, or give it another name"
    )]
    OtherProjection {
        /// The projection.
        projection: ConsumerName,
        /// Whose it is.
        found: ConsumerName,
    },
    /// It is made of other events.
    #[error(
        "the state of the projection {projection} is made of other events ({found:016x}, this one reads {wanted:016x}): raise its version, so that it is built anew, or give it another name"
    )]
    OtherDefinition {
        /// The projection.
        projection: ConsumerName,
        /// The hash of what is read now.
        wanted: u64,
        /// The mark's.
        found: u64,
    },
    /// It was written by a newer program.
    #[error(
        "the state of the projection {projection} is of version {found}, and this program's is {wanted}: use the newer program, or start it with a reset"
    )]
    NewerVersion {
        /// The projection.
        projection: ConsumerName,
        /// This program's.
        wanted: u32,
        /// The mark's.
        found: u32,
    },
    /// Its mark cannot be read.
    #[error(
        "the mark of the projection {projection} cannot be read ({error}): use the program that wrote it, or give the projection another name"
    )]
    Format {
        /// The projection.
        projection: ConsumerName,
        /// What is wrong.
        error: FormatError,
    },
    /// Its mark is not there any more.
    #[error(
        "the mark of the projection {projection} is gone: its stream lost its tail, or somebody removed it; start the projection with a reset, so that it is built anew"
    )]
    MarkGone {
        /// The projection.
        projection: ConsumerName,
    },
    /// Parts of it are gone or are not what was stored.
    #[error(
        "the state of the projection {projection} is damaged ({what}): start the projection with a reset, so that it is built anew from the log"
    )]
    Damaged {
        /// The projection.
        projection: ConsumerName,
        /// What is wrong.
        what: String,
    },
    /// The store refuses for good.
    #[error("the store refused to {what} of the projection {projection}: {refused}")]
    Store {
        /// The projection.
        projection: ConsumerName,
        /// What was tried.
        what: &'static str,
        /// The refusal.
        refused: Refused,
    },
    /// The store gave an answer to something else.
    #[error(
        "the store answered something else than it was asked for the projection {projection}: report it"
    )]
    Misfit {
        /// The projection.
        projection: ConsumerName,
    },
}
