//! Links that are clogged: what travels over them waits at their end, and comes late and in its order.

use crate::apart::Way;
use std::collections::{BTreeMap, VecDeque};

/// What waits at clogged links: what each node sends, and what each is sent.
#[derive(Debug)]
pub(crate) struct Clogs<T> {
    waiting: BTreeMap<(usize, Way), VecDeque<T>>,
}

impl<T> Default for Clogs<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
        }
    }
}

impl<T> Clogs<T> {
    /// Whether no link is clogged.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A node's link is clogged from now on.
    pub(crate) fn begin(&mut self, node: usize, way: Way) {
        for one in [Way::In, Way::Out] {
            if way.has(one) {
                self.waiting.entry((node, one)).or_default();
            }
        }
    }

    /// A node's link, in one direction, while it is clogged.
    pub(crate) fn link(&mut self, node: usize, one: Way) -> Option<&mut VecDeque<T>> {
        self.waiting.get_mut(&(node, one))
    }

    /// A node's link is free again: what waited, in its order.
    pub(crate) fn end(&mut self, node: usize, way: Way) -> VecDeque<T> {
        let mut all = VecDeque::new();
        for one in [Way::Out, Way::In] {
            if way.has(one) {
                all.extend(self.waiting.remove(&(node, one)).unwrap_or_default());
            }
        }
        all
    }

    /// The nodes whose links are clogged.
    pub(crate) fn nodes(&self) -> Vec<usize> {
        let mut nodes: Vec<usize> = self.waiting.keys().map(|(node, _)| *node).collect();
        nodes.dedup();
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::Clogs;
    use crate::apart::Way;

    #[test]
    fn what_waits_comes_in_its_order_and_only_where_a_link_is_clogged() {
        let mut clogs = Clogs::default();
        clogs.begin(3, Way::In);
        assert!(clogs.link(3, Way::Out).is_none() && clogs.link(2, Way::In).is_none());
        for number in [4, 1, 7] {
            clogs.link(3, Way::In).expect("clogged").push_back(number);
        }
        assert_eq!(clogs.nodes(), [3]);
        assert_eq!(clogs.end(3, Way::Both), [4, 1, 7]);
        assert!(clogs.is_empty() && clogs.end(3, Way::In).is_empty());
    }
}
