//! A kind's record: how entities of the kind are written and placed, fixed at first use (S2).

use super::Unknown;
use crate::id::{KindId, LayoutId};
use crate::name::KindName;

/// A kind's record, as stored on `<ns>.ctl.kind.<kind>`; immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindRecord {
    /// Its identity, in every commit.
    pub id: KindId,
    /// The layout it belongs to.
    pub layout: LayoutId,
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
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

/// Who may write entities of a kind (S7); never mixed within one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteMode {
    /// Anyone: a commit checks its own subject's last sequence.
    Direct,
    /// The owner of the shard: a commit carries the fence.
    Owned,
}

/// When a shard of a kind may change hands (S14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TakeOver {
    /// On a hint: only one owner can commit. Letter `f` in subjects.
    Fenced,
    /// After release or the lease's end: one node acts. Letter `l` in subjects.
    Leased,
}

/// How values of a kind are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    /// CBOR (RFC 8949).
    Cbor,
    /// JSON (RFC 8259).
    Json,
}

/// What of an id places the entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placement {
    /// All of it.
    Whole,
    /// What comes before the first occurrence of a character; all of it where there is none.
    Before(char),
}
