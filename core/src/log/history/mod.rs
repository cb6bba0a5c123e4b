//! One page of an entity's history, read forward or backward.
//!
//! The head is proven first: a batched direct get of the stream's anchor and the entity's subject
//! counts only when it takes in the node's high-water mark (S11). Forward pages then scan the
//! subject up to that head, so a replica that lags cannot hide the tail; backward pages follow the
//! commits' lists of earlier sequences (S12). What is listed and absent is asked again, then it is
//! [`Damage`], never left out.

mod backward;
mod chain;
mod machine;

pub use machine::History;

use super::{Damage, StoredCommit};
use crate::id::{KindId, OpId, Sequence, Version};
use crate::name::EntityId;
use crate::port::{Refused, StoreReply, StoreRequest, StreamName, Subject};
use crate::step::{HaltReason, Time};
use alloc::vec::Vec;

/// The most commits that one page may have.
pub const PAGE_COMMITS_MAX: u32 = 256;

/// What one page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryAsk {
    /// The entity's event stream.
    pub stream: StreamName,
    /// The stream's anchor.
    pub anchor: Subject,
    /// The entity's subject.
    pub subject: Subject,
    /// The entity, as its commits name it.
    pub entity: EntityId,
    /// The kind, as its commits name it.
    pub kind: KindId,
    /// The node's high-water mark: the head is not believed from a replica that is behind it.
    pub at_least: Sequence,
    /// Where the page begins.
    pub cursor: Cursor,
    /// How many commits it has at most, 1 to [`PAGE_COMMITS_MAX`].
    pub commits_max: u32,
    /// When the caller gives up.
    pub deadline: Time,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// With the entity's first commit; pages go forward.
    Oldest,
    /// With the entity's last commit; pages go backward.
    Newest,
    /// Where a forward page ended.
    After {
        /// The entity's last commit as of the first page; the history ends there.
        head: Sequence,
        /// The last commit that was read.
        sequence: Sequence,
        /// The entity's version after it.
        version: Version,
    },
    /// Where a backward page ended.
    Before {
        /// The commits to read next, newest first.
        listed: Vec<Sequence>,
        /// The entity's version before the last commit that was read.
        version: Version,
    },
}

/// Some commits of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// The commits, in the order of the page's direction.
    pub commits: Vec<StoredCommit>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// One input of [`History`].
#[allow(
    clippy::large_enum_variant,
    reason = "an input lives for one step; ticks are rare"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryInput {
    /// A deadline passed; the first one begins the reading.
    Tick,
    /// The store answered.
    Stored {
        /// The request's operation.
        op: OpId,
        /// Its answer.
        reply: StoreReply,
    },
}

/// One effect of [`History`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryEffect {
    /// Ask the store; the answer is `HistoryInput::Stored`.
    Store {
        /// Names the answer.
        op: OpId,
        /// What is asked.
        request: StoreRequest,
    },
    /// The page, or why there is none. The machine is at its end.
    Done(Result<HistoryPage, HistoryRefusal>),
    /// The machine found its own state wrong; stop stepping it.
    Halt(HaltReason),
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryRefusal {
    /// The deadline came first.
    Deadline,
    /// The stored commits do not fit together.
    Damaged(Damage),
    /// The store refuses for good.
    Store(Refused),
}
