//! What callers asked and were told, as a checker takes it.

/// One operation of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<I, O> {
    /// The object.
    pub key: String,
    /// Who asked, for whoever reads it.
    pub client: u64,
    /// What was asked.
    pub input: I,
    /// When, in true nanoseconds.
    pub called_at: u64,
    /// How it ended.
    pub ended: Ended<O>,
}

/// How an operation ended. One that surely did nothing is no operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended<O> {
    /// The caller was told what came of it.
    Told {
        /// When, in true nanoseconds. What is called at the same time may be before it.
        at: u64,
        /// What it was told.
        output: O,
    },
    /// Nobody knows: it takes effect at any time after its call, or never.
    Unknown,
}
