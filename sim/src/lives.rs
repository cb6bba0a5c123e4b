//! The lives of a cluster's nodes: each start is another run of its node.

use std::collections::BTreeMap;
use tenure_core::id::Incarnation;

/// One run of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The node and which of its lives.
    pub place: (usize, u32),
    /// When it began, in true nanoseconds.
    pub began: u64,
    /// When it became a member, in true nanoseconds.
    pub joined: Option<u64>,
    /// When it began to hand over what it owned, in true nanoseconds.
    pub drains: Option<u64>,
    /// When it ended, in true nanoseconds.
    pub ended: Option<u64>,
}

/// All runs of all nodes.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    runs: BTreeMap<Incarnation, Life>,
}

impl Lives {
    /// One run.
    pub fn run(&self, incarnation: Incarnation) -> Option<&Life> {
        self.runs.get(&incarnation)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Incarnation, &Life)> {
        self.runs.iter().map(|(run, life)| (*run, life))
    }

    pub(crate) fn begin(&mut self, run: Incarnation, place: (usize, u32), began: u64) {
        let life = Life {
            place,
            began,
            joined: None,
            drains: None,
            ended: None,
        };
        self.runs.insert(run, life);
    }

    /// The node of a run, and which of its lives it is.
    pub(crate) fn of(&self, run: Incarnation) -> (usize, u32) {
        self.runs[&run].place
    }

    pub(crate) fn life(&mut self, run: Incarnation) -> &mut Life {
        self.runs.get_mut(&run).expect("a run of this world")
    }
}
