//! Opening a namespace: its streams, its layout and its kinds, verified at every connect (S2, S3).
//!
//! `Space` looks before it makes anything, makes what is absent, and refuses what is there and
//! different; of two processes that open a new namespace at once, one makes each record (by CAS)
//! and both go on with it.
//!
//! # The order
//!
//! ```text
//! Up ─▶ control stream ─▶ layout ─▶ used before? ─▶ event streams, each with its anchor ─┬▶ Opened
//!              │              ▲                     streams of snapshots, members ───────┘
//!              └── its import ┘
//! ```
//!
//! Who imports a namespace stores the record of that first; the layout is read together with it.
//!
//! After a reconnect the same way is gone again, but nothing is made except the streams of snapshots
//! and of members, which hold nothing that cannot be made anew: the end of it is `Verified`.
//! A kind's record is read, or made, when the kind is first used.
//!
//! # Invariants
//!
//! - N1: nothing is written to a stream before its settings were verified.
//! - N2: a layout, anchor or kind record is made by CAS on its absence, and never replaced.
//! - N3: an anchor is the first message of its stream.
//! - N4: an event stream that is gone from a namespace in use is never made anew.
//! - N5: each `Kind` gets one `KindReady` or `KindFailed`.
//! - N6: when the control stream is absent, the other streams are looked at before anything is
//!   made: a foreign one ends the opening with nothing written.
//! - N7: the record of an import is stored before the layout that it names, and until it says that the
//!   import is done the namespace is open to that import alone.

mod answers;
mod ask;
mod error;
mod grants;
mod import;
mod kinds;
mod layout;
mod machine;
mod record;
mod stream;

pub use error::SpaceError;
pub use grants::Grants;
pub use machine::Space;

pub(crate) use record::Next;
pub(crate) use stream::{Absent, StreamTask};

use crate::format::{Codec, Import, KindRecord, Layout, LayoutKey, Placement, TakeOver, WriteMode};
use crate::id::{OpId, Ticket, WallTime};
use crate::log::Shape;
use crate::name::{KindName, Namespace};
use crate::port::{Capabilities, StoreReply, StoreRequest};
use crate::step::{HaltReason, Span};
use alloc::vec::Vec;

/// What a namespace is to be. What is `None` is taken from the namespace if it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct SpaceWish {
    /// The namespace.
    pub namespace: Namespace,
    /// How many shards it has; 256 in a new one.
    pub shards: Option<u16>,
    /// How many event streams it has; in a new one 8 on a cluster, 1 on a single server.
    pub streams: Option<u16>,
    /// How many servers at least hold each stream; 3 on a cluster, 1 on a single server.
    pub replicas: Option<u32>,
    /// The hash key of its layout; drawn by the dice in a new one.
    pub key: Option<LayoutKey>,
    /// Whether streams that are absent may be created.
    pub create: bool,
    /// Whether nodes share the namespace: then it has a stream of membership records. One that was
    /// made without gets it where streams may be created.
    pub cluster: bool,
    /// The namespace is filled from an export: it is made for that, or is one that the same export
    /// began to fill. Nobody else opens it until its record says that the import is done.
    pub import: Option<Import>,
}

impl SpaceWish {
    /// Takes the namespace as it is, or creates it with the defaults.
    pub fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            shards: None,
            streams: None,
            replicas: None,
            key: None,
            create: true,
            cluster: false,
            import: None,
        }
    }
}

/// What a kind is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct KindWish {
    /// Names the answer.
    pub ticket: Ticket,
    /// The kind.
    pub name: KindName,
    /// Who may write.
    pub mode: WriteMode,
    /// When a shard may change hands.
    pub class: TakeOver,
    /// How values are encoded.
    pub codec: Codec,
    /// What of the id places an entity.
    pub placement: Placement,
    /// How long it may take, from when the namespace is open; then the answer is what was in the
    /// way.
    pub timeout: Span,
}

/// One input of [`Space`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A deadline passed.
    Tick,
    /// The store is reachable, for the first time or again.
    Up {
        /// What it is and can do.
        capabilities: Capabilities,
        /// The node's wall clock; the stamp of a new layout.
        wall: WallTime,
    },
    /// The store is not reachable.
    Down,
    /// A kind is used.
    Kind(KindWish),
    /// The store answered.
    Stored {
        /// The request's operation.
        op: OpId,
        /// Its answer.
        reply: StoreReply,
    },
}

/// One effect of [`Space`]. Order means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Effect {
    /// Ask the store; the answer is `Input::Stored`.
    Store {
        /// Names the answer.
        op: OpId,
        /// What is asked.
        request: StoreRequest,
    },
    /// The namespace is open.
    Opened(Opened),
    /// The namespace is as it was, after a reconnect; shapes may have changed.
    Verified(Opened),
    /// A kind may be used.
    KindReady {
        /// Whose wish.
        ticket: Ticket,
        /// The kind's record.
        record: KindRecord,
    },
    /// A kind may not be used.
    KindFailed {
        /// Whose wish.
        ticket: Ticket,
        /// Why.
        error: SpaceError,
    },
    /// The namespace cannot be opened, or cannot be used any more. The machine is at its end.
    Failed(SpaceError),
    /// The machine found its own state wrong; stop stepping it.
    Halt(HaltReason),
}

/// An open namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Opened {
    /// Its layout.
    pub layout: Layout,
    /// The shape of each event stream, by its number.
    pub shapes: Vec<Shape>,
}
