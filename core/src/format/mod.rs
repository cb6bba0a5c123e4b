//! What is stored and sent, byte for byte. DESIGN.md has the table; golden files pin the bytes.
//!
//! Every stored and sent value is one CBOR map with small integer keys; key 0 is the format's
//! version and comes first. A reader keeps fields that it does not know ([`Unknown`]) and writes
//! them back; a version that it does not know is an error that names both.

mod anchor;
mod codec;
mod commit;
mod error;
mod escape;
mod frame;
mod kind;
mod layout;
mod own;
mod snapshot;
mod subject;

pub use anchor::Anchor;
pub use commit::{CommandRecord, Commit, EventRecord, SnapshotRef};
pub use error::FormatError;
pub use escape::{ESCAPED_BYTES_MAX, unescape_id};
pub use kind::{Codec, KindRecord, Placement, TakeOver, WriteMode};
pub use layout::{Layout, LayoutKey};
pub use own::Ownership;
pub use snapshot::Snapshot;
pub use subject::{EventSubject, SUBJECT_BYTES_MAX};

use alloc::vec::Vec;
use bytes::Bytes;

/// Fields of a newer minor format that this reader does not know: each key with its value's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown(pub Vec<(u32, Bytes)>);
