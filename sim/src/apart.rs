//! How a network is parted: who does not reach whom, and who does not reach the store.

use crate::draw::{Draws, What};
use std::collections::BTreeSet;
use std::fmt;

/// Who does not reach whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Apart {
    /// Who does not reach whom: nothing comes back.
    pub(crate) silent: BTreeSet<(usize, usize)>,
    /// Who wrongly hears that nobody listens at whose address.
    pub(crate) denied: BTreeSet<(usize, usize)>,
    /// Nodes that do not reach the store.
    pub(crate) cut: BTreeSet<usize>,
}

/// How it parts: a pair, or two parts of the cluster, do not hear each other. Either nothing comes
/// back, or the servers say wrongly that nobody listens. The smaller part may be cut from the store
/// besides.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Who is on the one side.
    apart: Vec<bool>,
    /// Two parts; else one node and another.
    halves: bool,
    other: usize,
    denied: bool,
    one_way: bool,
    cut: bool,
}

impl Shape {
    pub(crate) fn draw(draws: &mut Draws, nodes: usize) -> Self {
        let some = |draws: &mut Draws| {
            let node = draws.below(What::Partition, 1, nodes as u64);
            usize::try_from(node).expect("an index fits")
        };
        let halves = draws.chance(What::Partition, 1, 500);
        let mut apart = vec![false; nodes];
        if halves {
            for (node, side) in apart.iter_mut().enumerate() {
                *side = draws.chance(What::Partition, 2 + node as u64, 400);
            }
        } else {
            let one = some(draws);
            apart[one] = true;
        }
        let other = some(draws);
        Self {
            apart,
            halves,
            other,
            denied: draws.chance(What::Partition, 100, 400),
            one_way: draws.chance(What::Partition, 101, 200),
            cut: halves && draws.chance(What::Partition, 102, 500),
        }
    }

    /// Whether a node is on the one side.
    pub(crate) fn has(&self, node: usize) -> bool {
        self.apart[node]
    }

    fn is_between(&self, one: usize, two: usize) -> bool {
        match self.halves {
            true => self.apart[one] && !self.apart[two],
            false => self.apart[one] && two == self.other && one != two,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            apart,
            halves,
            denied,
            ..
        } = self;
        write!(f, "{apart:?}, halves {halves}, denied {denied}")
    }
}

impl Apart {
    /// It parts, beside what is apart already.
    pub(crate) fn part(&mut self, shape: &Shape) {
        let nodes = shape.apart.len();
        for one in 0..nodes {
            for two in 0..nodes {
                if !shape.is_between(one, two) {
                    continue;
                }
                let pairs = match shape.denied {
                    true => &mut self.denied,
                    false => &mut self.silent,
                };
                pairs.insert((one, two));
                if !shape.one_way {
                    pairs.insert((two, one));
                }
            }
        }
        if shape.cut {
            let cut = (0..nodes).filter(|node| shape.apart[*node]);
            self.cut.extend(cut);
        }
    }

    /// Everyone reaches everyone.
    pub(crate) fn reunite(&mut self) {
        *self = Self::default();
    }
}
