//! How new a state must be that answers a read (P5).

/// How new a state must be that answers a read (P5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Freshness {
    /// A state that was committed once, of any age: what the owner holds, or loads once.
    Local,
    /// The latest, by the owner's lease. Only kinds of the leased class have it (S14). While the lease
    /// does not hold, a read that wants it waits for a barrier as a `Linearizable` one.
    Leased,
    /// The latest, by a barrier sent after the read arrived; in direct mode by a read of the log.
    #[default]
    Linearizable,
}
