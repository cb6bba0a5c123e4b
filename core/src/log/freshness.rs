//! How new a state must be that answers a read (P5).

/// How new a state must be that answers a read (P5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Freshness {
    /// A state that was committed once, of any age: whatever the owner has.
    Local,
    /// The latest, by the owner's lease. Only kinds of the leased class have it (S14).
    Leased,
    /// The latest, by a barrier sent after the read arrived.
    #[default]
    Linearizable,
}
