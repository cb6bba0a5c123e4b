//! The event log of one shard: load, decide, commit, and find out what happened.
//!
//! `Shard` is the machine of one (class, shard) on one node, in one [`WriteMode`]. It owns what
//! the log says of each entity (version, last sequence, chain, command ids); the user's states live
//! with the host, which the machine drives through [`Work`]. A caller's command is a [`Submit`]
//! with a ticket; its answer is a [`Reply`] to the same ticket.
//!
//! # The life of a command
//!
//! ```text
//! Submit ─▶ queue ─▶ load ─▶ decide ─▶ store ─┬─ Done ────▶ settle ─▶ Committed
//!                     ▲                       ├─ conflict ▶ load, decide again
//!                     └───────────────────────┴─ Unknown ─▶ direct: the same attempt again, then look
//!                                                           owned: seal, read with proof, then again
//! ```
//!
//! In a cluster the log of a shard in owned mode takes orders ([`Order`](crate::shard::Order)) and
//! reports ([`Report`](crate::shard::Report)) what came of them:
//!
//! ```text
//! Unowned ── Claim, Adopt ──▶ Claiming ──▶ Owner ── HandOver, Release: nothing new ──▶ Leaving
//!    ▲                           │           │       is taken, what is in flight ends      │
//!    └───── another record ──────┴─ a later ─┴─ Drop, from anywhere ──── done, or Unknown ─┘
//! ```
//!
//! What is at rest may be forgotten to make room ([`Cache`](crate::cache::Cache)); it is loaded again.
//!
//! # Invariants
//!
//! - L1: at most one commit per entity is in flight (S5).
//! - L2: a command is decided only from acknowledged state, or from the commands of its own commit.
//! - L3: a reply leaves only after its commit's acknowledgement, or, when nothing was stored, after
//!   the state it was decided from was confirmed (direct) or a barrier passed (owned).
//! - L4: no fenced write is sent again under the epoch of an `Unknown` attempt (S9).
//! - L5: a commit lists only acknowledged sequences.
//! - L6: each ticket gets exactly one reply.
//! - L7: under orders, an ownership record is written only in the place of the one that was named in
//!   the order, or of this log's own.
//! - L8: in the step in which an epoch ends nothing more is answered from what was held under it; what
//!   was sent is resolved, or `Unknown` (S17).

mod agenda;
mod body;
mod callers;
mod chain;
mod commit;
mod decide;
mod delete;
mod earlier;
mod effect;
mod entity;
mod failed;
mod flight;
mod freshness;
mod history;
mod ids;
mod input;
mod leave;
mod listed;
mod load;
mod loaded;
pub mod mark;
mod owned;
mod policy;
mod proof;
mod reply;
mod rest;
mod shard;
mod snapshot;
mod sweep;
mod tail;
mod timers;
mod undelivered;

pub use agenda::LaterCounts;
pub use effect::{Base, Dispatch, Effect, Firing, Note, Provisional, StoredCommit, Work};
pub use failed::{FailedIntent, FailedListing, FailedListingFault};
pub use freshness::Freshness;
pub use history::{
    Bodies, Bounds, Cursor, History, HistoryAsk, HistoryEffect, HistoryInput, HistoryPage,
    HistoryRefusal, LoggedCommit, PAGE_COMMITS_MAX, Range,
};
pub use input::{
    Decided, Delivery, Expected, FailedOrder, FailedThen, FoldError, Input, NewEvent, Ran, Read,
    Shape, Submit, Verdict,
};
pub use policy::{SnapshotPolicy, SnapshotPolicyError};
pub use reply::{Damage, Refusal, Reply, Undelivered};
pub use rest::{CacheCounts, Stock};
pub use shard::Shard;

pub(crate) use agenda::Timers as ArmedTimers;
pub(crate) use decide::HEADER_BYTES_MAX;
#[cfg(feature = "driver")]
pub(crate) use delete::DELETED;

use crate::format::{KindRecord, LayoutKey, TakeOver, WriteMode};
use crate::id::{Incarnation, LayoutId, Partition, ShardId};
use crate::name::Namespace;
use alloc::string::String;

/// What a `Shard` is and where its messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ShardConfig {
    /// The namespace.
    pub namespace: Namespace,
    /// Its layout.
    pub layout: LayoutId,
    /// The layout's hash key, under which snapshots are hashed too.
    pub key: LayoutKey,
    /// The shard.
    pub shard: ShardId,
    /// The shard's event stream.
    pub stream: Partition,
    /// The class of the kinds in it.
    pub class: TakeOver,
    /// The write mode of the kinds in it.
    pub mode: WriteMode,
    /// Whether its entities may have timers and send messages; only in owned mode, where somebody owns
    /// them who fires and sends. Else such a decision is refused, and no index is read or written.
    pub later: bool,
    /// This run of this node.
    pub incarnation: Incarnation,
    /// The node's name, for people.
    pub node: String,
}

/// One kind of entity in a shard; the host names it by its place in the order of registration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct KindConfig {
    /// The kind's record.
    pub record: KindRecord,
    /// When snapshots are taken, and how many are kept; one that its check lets through.
    pub snapshots: SnapshotPolicy,
    /// The version of the kind's state type, as snapshots carry it; another one is ignored.
    pub snapshot_schema: u16,
    /// Whether an entity at rest stays in memory, as far as there is room; else it is forgotten at
    /// once, and loaded for each use.
    pub cached: bool,
    /// Whether a reply to a command that stored nothing leaves without a barrier, marked
    /// [`Freshness::Local`]: it may rest on a state that another owner has gone beyond (S14).
    pub local_replies: bool,
}

/// A kind registered with a shard, in the order of registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct KindIndex(pub u16);
