//! An entity's log as it was: pages of its history, forward or backward, and what its state at one
//! place was made of.
//!
//! The head is proven first: a batched direct get of the stream's anchor and the entity's subject
//! counts only when it takes in the node's high-water mark (S11). A place in the middle is found
//! from there by the commits' lists of earlier sequences (S12), a few single reads however long
//! the history is. Forward pages then scan the subject up to the head, so a replica that lags
//! cannot hide the tail; backward pages follow the lists. A state begins at the newest snapshot
//! at or below its place that can be used (S20). What is listed and absent is asked again, then
//! it is [`Damage`], never left out.

mod backward;
mod chain;
mod deleted;
mod forward;
mod machine;
mod range;
mod seek;
mod state;

pub use machine::History;
pub use range::{Bounds, Range};

use super::Damage;
use crate::format::{Commit, LayoutKey, Snapshot};
use crate::id::{KindId, LayoutId, OpId, Sequence, ShardId, Version, WallTime};
use crate::name::{EntityId, KindName, Namespace};
use crate::port::{Refused, StoreReply, StoreRequest, StreamName, Subject};
use crate::step::{HaltReason, Time};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The most commits that one page may have.
pub const PAGE_COMMITS_MAX: u32 = 256;

/// What one page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
    /// Which commits are wanted; the same for all pages of one history.
    pub range: Range,
    /// How many commits it has at most, 1 to [`PAGE_COMMITS_MAX`].
    pub commits_max: u32,
    /// When the caller gives up.
    pub deadline: Time,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Cursor {
    /// With the first commit of the range; pages go forward.
    Oldest,
    /// With the last commit of the range; pages go backward.
    Newest,
    /// With what the state at the range's end is made of: a snapshot, if one can be used, and
    /// the commits after it, oldest first.
    State(Option<Bodies>),
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

/// Where the bodies of snapshots are, and which of them can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Bodies {
    /// The namespace.
    pub namespace: Namespace,
    /// Its layout.
    pub layout: LayoutId,
    /// The layout's key, under which bodies are hashed.
    pub key: LayoutKey,
    /// The entity's shard.
    pub shard: ShardId,
    /// The kind, as subjects name it.
    pub kind: KindName,
    /// The version of the kind's state type; another one is ignored.
    pub schema: u16,
    /// Only those that cover less than the commit here; of no use were those up to it.
    pub below: Option<Sequence>,
    /// How many are tried, at least 1: as many as the kind keeps.
    pub tries_max: usize,
    /// Whether the current one, when it is absent, may be absent at a replica that lags only: it is
    /// asked for again then, for `snapshot_patience`.
    pub may_lag: bool,
}

/// A commit, where it is, and when the store took it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct LoggedCommit {
    /// Its stream sequence.
    pub sequence: Sequence,
    /// The store's stamp, on the store's clock.
    pub stored: WallTime,
    /// The commit.
    pub commit: Commit,
}

/// Some commits of one entity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct HistoryPage {
    /// The commits, in the order of the page's direction.
    pub commits: Vec<LoggedCommit>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
    /// What the commits of a state follow; `None` when they are its first.
    pub snapshot: Option<Box<Snapshot>>,
    /// The version of the entity's last commit, where the page had to look at it;
    /// [`Version::ABSENT`] when it has none.
    pub last: Option<Version>,
    /// The entity was deleted while it was read: what is not in this page or one before it went with it,
    /// and this page is the last one.
    pub deleted: bool,
}

/// One input of [`History`].
#[allow(
    clippy::large_enum_variant,
    reason = "an input lives for one step; ticks are rare"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum HistoryRefusal {
    /// The deadline came first.
    Deadline,
    /// The stored commits do not fit together.
    Damaged(Damage),
    /// The store refuses for good.
    Store(Refused),
}
