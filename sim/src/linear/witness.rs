//! Why no order explains a history, for whoever reads it.

use std::fmt;

/// How many of the operations before the end that cannot be reached are told.
const TOLD_MAX: usize = 16;

/// Why no order explains what was told about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The key.
    pub key: String,
    /// The operation, by its place in the history, whose end no order reaches: the first such, so that
    /// the history up to here is the shortest beginning that has none.
    pub stuck: usize,
    /// The longest order before that end.
    pub placed: Vec<Placed>,
    /// What was under way at that end and has no place in this order, the operation itself first.
    pub unplaced: Vec<Placed>,
}

/// One operation of a [`Witness`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its place in the history.
    pub operation: usize,
    /// Who asked what, when, and was told what.
    pub what: String,
    /// The state after it, where it has a place in the order; else the state that it finds.
    pub state: String,
}

impl Witness {
    /// It in one line.
    pub fn line(&self) -> String {
        let Self { key, placed, .. } = self;
        let found = self.unplaced.first();
        let (what, state) = found.map_or(("", ""), |it| (it.what.as_str(), it.state.as_str()));
        format!(
            "no order of the operations on {key} explains {what}; the longest before it, of {}, ends \
             with the state {state}",
            placed.len()
        )
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            placed,
            unplaced,
            ..
        } = self;
        writeln!(f, "{key}: no order explains what its callers were told")?;
        let untold = placed.len().saturating_sub(TOLD_MAX);
        writeln!(f, "  the longest order, of {}:", placed.len())?;
        if untold > 0 {
            writeln!(f, "    ({untold} before)")?;
        }
        for it in &placed[untold..] {
            writeln!(f, "    {} => {}", it.what, it.state)?;
        }
        write!(f, "  has no place for:")?;
        for it in unplaced {
            write!(f, "\n    {} (it finds {})", it.what, it.state)?;
        }
        Ok(())
    }
}
