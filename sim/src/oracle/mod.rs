//! Oracles: each watches one promise over what was stored and what callers were told, and speaks
//! after the event that broke it.

mod acknowledged;
mod bounds;
mod calm;
mod convergence;
mod decision;
mod epochs;
mod fence;
mod later;
mod lease;
mod metadata;
mod moves;
mod once;
mod predecessor;
mod reads;
mod replies;
mod snapshot;

pub(crate) use bounds::InFlight;

use crate::bodies::Bodies;
use crate::history::{Asked, Entity, History};
use crate::ledger::{Claim, Ledger, Placed};
use crate::lives::Lives;
use crate::profile::Plan;
use std::collections::BTreeSet;
use std::fmt;
use tenure_core::format::{LayoutKey, WriteMode};
use tenure_core::id::{Incarnation, Sequence, Ticket, WallTime};
use tenure_core::log::Freshness;

/// Something that happened, as oracles see it.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A commit was stored.
    Stored {
        /// The commit.
        placed: &'a Placed,
        /// The commit of its entity before it.
        previous: Option<&'a Placed>,
        /// Its shard, by its index in the plan.
        shard: usize,
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
    /// Something happened in a cluster.
    Cluster(Happened<'a>),
    /// Everything healed, the last questions are answered or overdue.
    End,
}

/// Something that happened in a cluster.
#[derive(Clone, Copy, Debug)]
pub enum Happened<'a> {
    /// Who may act for a leased shard beside its log changed.
    Acts {
        /// The shard, by its index in the plan.
        shard: usize,
        /// The node and which of its lives.
        node: (usize, u32),
        /// When, in true nanoseconds.
        at: u64,
        /// Until when it may act, in true nanoseconds; `None`: it may not.
        until: Option<u64>,
    },
    /// A log begins to answer readers of a leased shard from what it holds.
    Answers {
        /// The shard, by its index in the plan.
        shard: usize,
        /// The node and which of its lives.
        node: (usize, u32),
        /// When, in true nanoseconds.
        at: u64,
        /// Who asks.
        readers: &'a [Ticket],
    },
    /// A log told such a reader.
    Answered {
        /// The node and which of its lives.
        node: (usize, u32),
        /// Who asked.
        reader: Ticket,
        /// What the answer rests on.
        freshness: Freshness,
    },
    /// A log sends the record that ends its ownership of a shard.
    Departs {
        /// The shard, by its index in the plan.
        shard: usize,
        /// The run that it is of.
        run: Incarnation,
        /// The last record that the shard may have by then.
        over: Sequence,
        /// The shard's records.
        claims: &'a [Claim],
    },
    /// An ownership record was stored.
    Claimed {
        /// The shard, by its index in the plan.
        shard: usize,
        /// The shard's records, the new one last.
        claims: &'a [Claim],
    },
    /// A life of a node ended.
    Gone {
        /// The node and which of its lives.
        node: (usize, u32),
    },
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
    /// The entities of the run.
    pub entities: &'a [Entity],
    /// The lives of the nodes of a cluster.
    pub lives: &'a Lives,
    /// The plan of the run.
    pub plan: &'a Plan,
    /// The lowest that a wall clock shows now, and the highest that one ever showed.
    pub walls: (WallTime, WallTime),
    /// A stream of events came back without its end.
    pub tail_lost: bool,
    /// Shards of which nothing is promised, by their indices: their ownership records were deleted.
    pub unfenced: &'a BTreeSet<usize>,
    /// A message was older than what its receiver remembers: whether it had its effect is not known.
    pub expired_messages: bool,
}

/// One promise.
pub trait Oracle {
    /// Its name.
    fn name(&self) -> &'static str;

    /// What kind of promise it is.
    fn class(&self) -> Class {
        Class::Safety
    }

    /// Whether it is shown what nothing is promised of, too, as what it holds others to rests on it.
    fn sees_all(&self) -> bool {
        false
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
    /// A machine, or the simulator, panicked.
    Panic,
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
        Box::new(epochs::Epochs),
        Box::new(bounds::Bounds),
        Box::new(once::Once::default()),
        Box::new(decision::Decision),
        Box::new(metadata::Metadata),
        Box::new(acknowledged::Acknowledged::default()),
        Box::new(reads::Reads),
        Box::new(replies::Replies),
        Box::new(replies::InTime),
        Box::new(convergence::Convergence),
        Box::new(lease::Lease::default()),
        Box::new(later::Later::default()),
        Box::new(moves::Moves),
        Box::new(calm::Calm),
    ]
}
