//! A tree of filters, by their tokens: what is kept for each, found by a subject or by another filter.
//!
//! Clients say how deep it is, so nothing here recurses: its nodes stand in one list.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

/// What is kept for each filter.
#[derive(Clone, Debug)]
pub(crate) struct FilterTree<T> {
    nodes: Vec<Node<T>>,
    /// Nodes that are not in use.
    free: Vec<usize>,
}

/// The filters that begin alike.
#[derive(Clone, Debug)]
struct Node<T> {
    literal: BTreeMap<Box<str>, usize>,
    any: Option<usize>,
    /// For the filter that ends here.
    here: Option<T>,
    /// For the filter that takes in all that goes on from here.
    tail: Option<T>,
}

const ROOT: usize = 0;

impl<T> Default for FilterTree<T> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
        }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            literal: BTreeMap::new(),
            any: None,
            here: None,
            tail: None,
        }
    }
}

impl<T> FilterTree<T> {
    /// What is kept for a filter; its place is made where there is none.
    pub(crate) fn get_or_default(&mut self, filter: &str) -> &mut T
    where
        T: Default,
    {
        let mut node = ROOT;
        let mut rest = Some(filter);
        while let Some((token, next)) = split(rest) {
            if token == ">" {
                return self.nodes[node].tail.get_or_insert_default();
            }
            node = match self.nodes[node].child(token) {
                Some(child) => child,
                None => self.grow(node, token),
            };
            rest = next;
        }
        self.nodes[node].here.get_or_insert_default()
    }

    #[cfg(feature = "nats")]
    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut T> {
        let (path, tail) = self.path(filter)?;
        let node = &mut self.nodes[*path.last()?];
        if tail {
            node.tail.as_mut()
        } else {
            node.here.as_mut()
        }
    }

    /// Removes what is kept for a filter, and its place.
    #[cfg(feature = "nats")]
    pub(crate) fn remove(&mut self, filter: &str) -> Option<T> {
        let (path, tail) = self.path(filter)?;
        let node = &mut self.nodes[*path.last()?];
        let removed = if tail {
            node.tail.take()
        } else {
            node.here.take()
        };
        let mut tokens: Vec<&str> = filter.split('.').collect();
        tokens.truncate(path.len() - 1);
        for (pair, token) in path.windows(2).zip(&tokens).rev() {
            let &[parent, child] = pair else { break };
            if !self.nodes[child].is_empty() {
                break;
            }
            let parent = &mut self.nodes[parent];
            match *token {
                "*" => parent.any = None,
                literal => {
                    parent.literal.remove(literal);
                }
            }
            self.free.push(child);
        }
        if self.free.len() + 1 == self.nodes.len() {
            self.nodes.truncate(1);
            self.nodes.shrink_to_fit();
            self.free = Vec::new();
        }
        removed
    }

    /// Whether something that is kept for a filter of a subject passes a test.
    pub(crate) fn any<'a>(&'a self, subject: &str, mut test: impl FnMut(&'a T) -> bool) -> bool {
        let mut todo = Vec::new();
        let mut next = Some((ROOT, Some(subject)));
        while let Some((node, rest)) = next.take().or_else(|| todo.pop()) {
            let node = &self.nodes[node];
            let Some((token, rest)) = split(rest) else {
                if node.here.as_ref().is_some_and(&mut test) {
                    return true;
                }
                continue;
            };
            if node.tail.as_ref().is_some_and(&mut test) {
                return true;
            }
            next = node.literal.get(token).map(|child| (*child, rest));
            let any = node.any.map(|child| (child, rest));
            match next {
                Some(_) => todo.extend(any),
                None => next = any,
            }
        }
        false
    }

    /// Whether some literal subject is one of a filter's and one of a filter's in here.
    pub(crate) fn overlaps(&self, filter: &str) -> bool {
        let mut todo = vec![(ROOT, Some(filter))];
        while let Some((node, rest)) = todo.pop() {
            let node = &self.nodes[node];
            let Some((token, rest)) = split(rest) else {
                if node.here.is_some() {
                    return true;
                }
                continue;
            };
            if node.tail.is_some() {
                return true;
            }
            let any = node.any.map(|child| (child, rest));
            match token {
                // Below each node there is a filter.
                ">" if any.is_some() || !node.literal.is_empty() => return true,
                ">" => {}
                "*" => {
                    todo.extend(any);
                    todo.extend(node.literal.values().map(|child| (*child, rest)));
                }
                literal => {
                    todo.extend(any);
                    todo.extend(node.literal.get(literal).map(|child| (*child, rest)));
                }
            }
        }
        false
    }

    /// How many nodes it has, in use or not.
    #[cfg(all(test, feature = "nats"))]
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn grow(&mut self, parent: usize, token: &str) -> usize {
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            self.nodes.len() - 1
        });
        match token {
            "*" => self.nodes[parent].any = Some(child),
            literal => {
                let before = self.nodes[parent].literal.insert(literal.into(), child);
                assert_eq!(before, None, "a node has one child for each token");
            }
        }
        child
    }

    /// The nodes on the way to a filter, and whether it ends in a `>`.
    #[cfg(feature = "nats")]
    fn path(&self, filter: &str) -> Option<(Vec<usize>, bool)> {
        let mut path = vec![ROOT];
        let (mut node, mut rest) = (ROOT, Some(filter));
        while let Some((token, next)) = split(rest) {
            if token == ">" {
                return Some((path, true));
            }
            node = self.nodes[node].child(token)?;
            path.push(node);
            rest = next;
        }
        Some((path, false))
    }
}

impl<T> Node<T> {
    fn child(&self, token: &str) -> Option<usize> {
        match token {
            "*" => self.any,
            literal => self.literal.get(literal).copied(),
        }
    }

    #[cfg(feature = "nats")]
    fn is_empty(&self) -> bool {
        self.literal.is_empty() && self.any.is_none() && self.here.is_none() && self.tail.is_none()
    }
}

/// The first token of a subject and what follows it; `None` behind its end.
fn split(rest: Option<&str>) -> Option<(&str, Option<&str>)> {
    Some(match rest?.split_once('.') {
        Some((token, rest)) => (token, Some(rest)),
        None => (rest?, None),
    })
}

#[cfg(all(test, feature = "nats"))]
mod tests {
    use super::FilterTree;
    use crate::store::{matches, overlap};
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn filter() -> impl Strategy<Value = String> {
        let token = prop::sample::select(&["a", "b", "c", "*"][..]);
        (prop::collection::vec(token, 1..4), any::<bool>()).prop_map(|(tokens, tail)| {
            let filter = tokens.join(".");
            if tail { filter + ".>" } else { filter }
        })
    }

    proptest! {
        #[test]
        fn it_finds_as_filters_are_compared_one_by_one(
            filters in prop::collection::vec((filter(), any::<bool>()), 0..20),
            subject in "[abc](\\.[abc]){0,4}",
            other in filter(),
        ) {
            let mut tree: FilterTree<usize> = FilterTree::default();
            for (filter, _) in &filters {
                *tree.get_or_default(filter) += 1;
            }
            for (filter, stays) in &filters {
                if !stays && let Some(count) = tree.get_mut(filter) {
                    *count -= 1;
                    if *count == 0 {
                        prop_assert_eq!(tree.remove(filter), Some(0));
                    }
                }
            }
            let left: Vec<&str> = filters
                .iter()
                .filter_map(|(filter, stays)| stays.then_some(filter.as_str()))
                .collect();
            let mut found = 0;
            tree.any(&subject, |count| {
                found += count;
                false
            });
            let wanted = left.iter().filter(|filter| matches(filter, &subject));
            prop_assert_eq!(found, wanted.count());
            prop_assert_eq!(tree.overlaps(&other), left.iter().any(|it| overlap(it, &other)));
            for filter in left {
                tree.remove(filter);
            }
            prop_assert_eq!(tree.nodes(), 1);
        }
    }

    #[test]
    fn its_depth_is_no_danger() {
        let deep = "a.".repeat(500_000) + "a";
        let mut tree: FilterTree<()> = FilterTree::default();
        tree.get_or_default(&deep);
        assert!(tree.any(&deep, |()| true) && tree.overlaps(&deep));
        tree.remove(&deep);
        assert_eq!(tree.nodes(), 1);
        tree.get_or_default(&deep);
    }
}
