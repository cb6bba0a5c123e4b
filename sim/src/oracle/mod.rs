//! Oracles: each watches one promise over what was stored and what callers were told, and speaks
//! after the event that broke it.

mod acknowledged;
mod convergence;
mod decision;
mod fence;
mod metadata;
mod once;
mod predecessor;
mod reads;
mod replies;
mod snapshot;

use crate::bodies::Bodies;
use crate::history::{Asked, History};
use crate::ledger::{Ledger, Placed};
use crate::profile::Plan;
use std::fmt;
use tenure_core::format::{LayoutKey, WriteMode};
use tenure_core::id::Sequence;

/// Something that happened, as oracles see it.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A commit was stored.
    Stored {
        /// The commit.
        placed: &'a Placed,
        /// The commit of its entity before it.
        previous: Option<&'a Placed>,
        /// The write mode of its shard.
        mode: WriteMode,
        /// The subject of its shard's ownership records.
        ownership: &'a str,
    },
    /// A caller was told something.
    Told(&'a Asked),
    /// A snapshot's body was deleted on purpose.
    Deleted {
        /// The entity's subject.
        entity: &'a str,
        /// The body's subject.
        body: &'a str,
    },
    /// The store lost what came after a sequence, and said so.
    LostTail {
        /// The stream.
        stream: &'a str,
        /// What is left.
        keep_up_to: Sequence,
    },
    /// Everything healed, the last questions are answered or overdue.
    End,
}

/// What oracles may look at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What is stored.
    pub ledger: &'a Ledger,
    /// The bodies of snapshots that were ever stored.
    pub bodies: &'a Bodies,
    /// What was asked and told.
    pub history: &'a History,
    /// The plan of the run.
    pub plan: &'a Plan,
}

/// One promise.
pub trait Oracle {
    /// Its name.
    fn name(&self) -> &'static str;

    /// What kind of promise it is.
    fn class(&self) -> Class {
        Class::Safety
    }

    /// Judges one thing that happened; an error says what is wrong.
    ///
    /// # Errors
    ///
    /// When the promise is broken.
    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String>;
}

/// What kind of promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Something bad happened.
    Safety,
    /// Something good did not happen.
    Liveness,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its kind.
    pub class: Class,
    /// The oracle that saw it.
    pub oracle: &'static str,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.oracle, self.what)
    }
}

/// Every oracle.
pub(crate) fn all(key: LayoutKey) -> Vec<Box<dyn Oracle>> {
    vec![
        Box::new(predecessor::Predecessor),
        Box::new(snapshot::Snapshot { key }),
        Box::new(fence::Fence),
        Box::new(once::Once::default()),
        Box::new(decision::Decision),
        Box::new(metadata::Metadata),
        Box::new(acknowledged::Acknowledged::default()),
        Box::new(reads::Reads),
        Box::new(replies::Replies),
        Box::new(replies::InTime),
        Box::new(convergence::Convergence),
    ]
}
