//! How a network is parted: who does not reach whom, and who does not reach the store, or is not reached
//! from there.

use crate::draw::{Draws, What};
use std::collections::BTreeSet;
use std::fmt;

/// A direction of a node's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// What it is sent.
    In,
    /// What it sends.
    Out,
    /// Both.
    Both,
}

impl Way {
    /// Whether it is the one of the two.
    pub(crate) const fn has(self, one: Self) -> bool {
        match (self, one) {
            (Self::In, Self::In) | (Self::Out, Self::Out) | (Self::Both, _) | (_, Self::Both) => {
                true
            }
            (Self::In, Self::Out) | (Self::Out, Self::In) => false,
        }
    }
}

/// Who does not reach whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Apart {
    /// Who does not reach whom: nothing comes back.
    pub(crate) silent: BTreeSet<(usize, usize)>,
    /// Who wrongly hears that nobody listens at whose address.
    pub(crate) denied: BTreeSet<(usize, usize)>,
    /// Nodes whose requests do not reach the store.
    mute: BTreeSet<usize>,
    /// Nodes that hear nothing of the store.
    deaf: BTreeSet<usize>,
    /// Nodes that hear from the store late, before they are cut off from it.
    pub(crate) dying: BTreeSet<usize>,
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
            for node in (0..nodes).filter(|node| shape.apart[*node]) {
                self.cut(node, Way::Both);
            }
        }
    }

    /// A node is cut off from the store, in one direction or both.
    pub(crate) fn cut(&mut self, node: usize, way: Way) {
        if way.has(Way::Out) {
            self.mute.insert(node);
        }
        if way.has(Way::In) {
            self.deaf.insert(node);
        }
    }

    /// It is not any more.
    pub(crate) fn mend(&mut self, node: usize, way: Way) {
        if way.has(Way::Out) {
            self.mute.remove(&node);
        }
        if way.has(Way::In) {
            self.deaf.remove(&node);
        }
    }

    /// Whether a node's requests do not reach the store.
    pub(crate) fn is_mute(&self, node: usize) -> bool {
        self.mute.contains(&node)
    }

    /// Whether a node hears nothing of the store.
    pub(crate) fn is_deaf(&self, node: usize) -> bool {
        self.deaf.contains(&node)
    }

    /// Everyone reaches everyone.
    pub(crate) fn reunite(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{Apart, Way};

    #[test]
    fn a_node_is_cut_off_in_the_directions_that_were_said() {
        let mut apart = Apart::default();
        apart.cut(1, Way::In);
        assert!(apart.is_deaf(1) && !apart.is_mute(1) && !apart.is_deaf(0));
        apart.cut(1, Way::Out);
        apart.mend(1, Way::In);
        assert!(!apart.is_deaf(1) && apart.is_mute(1));
        apart.cut(1, Way::Both);
        apart.mend(1, Way::Both);
        assert!(!apart.is_deaf(1) && !apart.is_mute(1));
    }
}
