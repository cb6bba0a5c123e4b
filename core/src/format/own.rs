//! A shard's ownership record: its sequence and claim id are the fence (S6).

use super::Unknown;
use crate::id::{ClaimId, Incarnation, LayoutId};
use alloc::string::String;

/// Who owns a shard, as stored on `<ns>.own.<class>.<shard>`; written by CAS when the shard changes
/// hands, and never expired, purged or touched by heartbeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The layout it was written under.
    pub layout: LayoutId,
    /// The claim's id: with the record's sequence, the epoch.
    pub claim: ClaimId,
    /// The owner's run; `None` after a release.
    pub owner: Option<Incarnation>,
    /// The owner's name, for people.
    pub node: String,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}
