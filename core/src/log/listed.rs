//! The listed commits of a load that are not here yet (S12).

use crate::id::{OpId, Sequence};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// What is being read of a chain, and what is to be asked for again.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Listed {
    open: BTreeMap<OpId, Sequence>,
    again: BTreeSet<Sequence>,
    /// All of both. Each commit lists many that others listed, so this is looked up often.
    missing: BTreeSet<Sequence>,
}

impl Listed {
    /// Whether a sequence is being read, or to be asked for again.
    pub(super) fn has(&self, sequence: Sequence) -> bool {
        self.missing.contains(&sequence)
    }

    /// Whether everything that was listed is here.
    pub(super) fn is_empty(&self) -> bool {
        self.missing.is_empty()
    }

    /// A sequence is asked for.
    pub(super) fn ask(&mut self, op: OpId, sequence: Sequence) {
        self.again.remove(&sequence);
        self.open.insert(op, sequence);
        self.missing.insert(sequence);
    }

    /// An answer came: the sequence that it is about, which is missing no more.
    pub(super) fn answered(&mut self, op: OpId) -> Option<Sequence> {
        let sequence = self.open.remove(&op)?;
        self.missing.remove(&sequence);
        Some(sequence)
    }

    /// The answer was of no use.
    pub(super) fn again(&mut self, sequence: Sequence) {
        self.again.insert(sequence);
        self.missing.insert(sequence);
    }

    /// What is below a sequence is not wanted any more; the operations that ask for it.
    pub(super) fn forget_below(&mut self, sequence: Sequence) -> Vec<OpId> {
        self.again = self.again.split_off(&sequence);
        self.missing = self.missing.split_off(&sequence);
        let below = self.open.iter().filter(|(_, asked)| **asked < sequence);
        let below: Vec<_> = below.map(|(op, _)| *op).collect();
        for op in &below {
            self.open.remove(op);
        }
        below
    }

    /// What is to be asked for again.
    pub(super) fn to_ask(&self) -> BTreeSet<Sequence> {
        self.again.clone()
    }

    /// What is being read.
    pub(super) fn operations(&self) -> impl Iterator<Item = OpId> {
        self.open.keys().copied()
    }
}
