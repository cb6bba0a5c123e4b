//! What is stored and sent, byte for byte. DESIGN.md has the table; golden files pin the bytes.
//!
//! Every stored and sent value is one CBOR map with small integer keys; key 0 is the format's
//! version and comes first. A reader keeps fields that it does not know ([`Unknown`]) and writes
//! them back; a version that it does not know is an error that names both.
//!
//! What may be added within a version: fields under new keys that a reader may ignore. Arrays inside
//! a field have a fixed shape, so what is added to a command or an event goes into a field of its
//! own. Everything else is a new version.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used))]

mod anchor;
mod answer;
mod barrier;
mod call;
mod checkpoint;
mod commit;
mod denial;
mod denial_bytes;
mod elsewhere;
mod error;
mod escape;
mod export;
mod fields;
mod frame;
mod group;
mod import;
mod index;
mod kind;
mod later;
mod layout;
mod letter;
mod mark;
mod member;
mod metadata;
mod orders;
mod own;
mod publication;
mod reader;
mod snapshot;
mod speaks;
mod steps;
mod subject;
mod trace;

pub use anchor::Anchor;
pub use answer::{Answered, Return};
pub use barrier::Barrier;
pub use call::{Call, CallTarget, Hop};
pub use checkpoint::{Checkpoint, EventPlace, Position, Witness};
pub use commit::{CommandRecord, Commit, EventRecord, SnapshotRef};
pub use denial::{Denial, Dropped};
pub use elsewhere::ElsewhereRecord;
pub use error::FormatError;
pub use escape::{ESCAPED_BYTES_MAX, unescape_id};
pub use export::{
    ExportHeader, ExportRecord, ExportTotals, ExportedAgenda, ExportedCommit, Selection,
};
pub use frame::{Body, Entry, FrameFull, FrameReader, FrameWriter};
pub use group::GroupRecord;
pub use import::Import;
pub use index::{IndexedTimer, IntentPlace, Receiver, ShardIndex, ShelvedReceiver};
pub use kind::{Codec, KindRecord, Placement, TakeOver, WriteMode};
pub use later::{Intent, Later, MessageRecord, Timer};
pub use layout::{Layout, LayoutKey};
pub use letter::{Cause, DeadLetter};
pub use mark::{Mark, StateAt};
pub use member::{Member, MemberState, Replaced};
pub use metadata::{Metadata, MetadataError, MetadataRecord};
pub use orders::{GroupOrders, LifeStart};
pub use own::Ownership;
pub use publication::Publication;
pub use snapshot::Snapshot;
pub use speaks::FrameVersions;
pub use subject::{EventSubject, SUBJECT_BYTES_MAX};
pub use trace::{TraceContext, TraceError};

pub(crate) use steps::Steps;

use alloc::vec::Vec;
use bytes::Bytes;

/// Fields of a newer minor format that this reader does not know: each key with its value's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Unknown(pub Vec<(u32, Bytes)>);
