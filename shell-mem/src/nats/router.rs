//! Who gets what: subscriptions by subject, with wildcards and groups.

use super::connection::ConnectionId;
use super::wire::Text;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// One subscription, over all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SubscriptionId(u64);

#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) connection: ConnectionId,
    pub(crate) sid: Text,
    pub(crate) subject: Text,
    pub(crate) queue: Option<Text>,
    pub(crate) delivered: u64,
    /// After how many messages it ends.
    pub(crate) after: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Router {
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    root: Node,
    last: u64,
}

/// The subscriptions whose subjects begin alike.
#[derive(Debug, Default)]
struct Node {
    literal: BTreeMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    /// Those that end here.
    here: Members,
    /// Those that take in all that goes on from here.
    tail: Members,
}

#[derive(Debug, Default)]
struct Members {
    plain: Vec<SubscriptionId>,
    groups: BTreeMap<Text, Vec<SubscriptionId>>,
}

/// The subscriptions of one subject.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    pub(crate) plain: Vec<SubscriptionId>,
    /// Each group's members.
    pub(crate) groups: Vec<(Text, Vec<SubscriptionId>)>,
}

impl Router {
    pub(crate) fn add(&mut self, subscription: Subscription) -> SubscriptionId {
        self.last += 1;
        let id = SubscriptionId(self.last);
        self.root
            .members(&subscription.subject)
            .add(&subscription.queue, id);
        self.subscriptions.insert(id, subscription);
        id
    }

    pub(crate) fn remove(&mut self, id: SubscriptionId) -> Option<Subscription> {
        let subscription = self.subscriptions.remove(&id)?;
        self.root
            .remove(Some(&subscription.subject), &subscription.queue, id);
        Some(subscription)
    }

    pub(crate) fn get_mut(&mut self, id: SubscriptionId) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(&id)
    }

    pub(crate) fn get(&self, id: SubscriptionId) -> Option<&Subscription> {
        self.subscriptions.get(&id)
    }

    /// Whether there are so many subscriptions, and no more places for them than they need.
    #[cfg(test)]
    pub(crate) fn is_only(&self, count: usize) -> bool {
        self.subscriptions.len() == count && self.root.literal.len() <= count
    }

    /// Adds the subscriptions of a subject to `found`.
    pub(crate) fn find(&self, subject: &str, found: &mut Matching) {
        self.root.find(Some(subject), found);
    }

    /// Whether somebody would get a message of a subject.
    pub(crate) fn listens(&self, subject: &str) -> bool {
        let mut found = Matching::default();
        self.find(subject, &mut found);
        !found.plain.is_empty() || !found.groups.is_empty()
    }

    /// Whether a group has a member that would get a message of a subject, or somebody outside of groups.
    pub(crate) fn listens_in(&self, subject: &str, group: Option<&str>) -> bool {
        let mut found = Matching::default();
        self.find(subject, &mut found);
        match group {
            None => !found.plain.is_empty(),
            Some(group) => found.groups.iter().any(|(name, _)| **name == *group),
        }
    }
}

impl Matching {
    pub(crate) fn clear(&mut self) {
        self.plain.clear();
        self.groups.clear();
    }
}

impl Node {
    /// The members of a filter; their place is made where there is none.
    fn members(&mut self, filter: &str) -> &mut Members {
        let mut node = self;
        for token in filter.split('.') {
            node = match token {
                ">" => return &mut node.tail,
                "*" => node.any.get_or_insert_default(),
                literal => node.literal.entry(literal.into()).or_default(),
            };
        }
        &mut node.here
    }

    fn remove(&mut self, rest: Option<&str>, queue: &Option<Text>, id: SubscriptionId) {
        let Some((token, rest)) = split(rest) else {
            self.here.remove(queue, id);
            return;
        };
        match token {
            ">" => self.tail.remove(queue, id),
            "*" => {
                if let Some(node) = &mut self.any {
                    node.remove(rest, queue, id);
                    if node.is_empty() {
                        self.any = None;
                    }
                }
            }
            literal => {
                if let Some(node) = self.literal.get_mut(literal) {
                    node.remove(rest, queue, id);
                    if node.is_empty() {
                        self.literal.remove(literal);
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        let members = [&self.here, &self.tail];
        self.literal.is_empty()
            && self.any.is_none()
            && members
                .iter()
                .all(|it| it.plain.is_empty() && it.groups.is_empty())
    }

    fn find(&self, rest: Option<&str>, found: &mut Matching) {
        let Some((token, rest)) = split(rest) else {
            self.here.found(found);
            return;
        };
        self.tail.found(found);
        if let Some(node) = self.literal.get(token) {
            node.find(rest, found);
        }
        if let Some(node) = &self.any {
            node.find(rest, found);
        }
    }
}

impl Members {
    fn add(&mut self, queue: &Option<Text>, id: SubscriptionId) {
        match queue {
            None => self.plain.push(id),
            Some(queue) => self.groups.entry(queue.clone()).or_default().push(id),
        }
    }

    fn remove(&mut self, queue: &Option<Text>, id: SubscriptionId) {
        let Some(queue) = queue else {
            self.plain.retain(|other| *other != id);
            return;
        };
        if let Some(group) = self.groups.get_mut(queue) {
            group.retain(|other| *other != id);
            if group.is_empty() {
                self.groups.remove(queue);
            }
        }
    }

    fn found(&self, found: &mut Matching) {
        found.plain.extend_from_slice(&self.plain);
        for (name, members) in &self.groups {
            match found.groups.iter_mut().find(|(other, _)| other == name) {
                Some((_, there)) => there.extend_from_slice(members),
                None => found.groups.push((name.clone(), members.clone())),
            }
        }
    }
}

/// The first token of a subject and what follows it; `None` behind its end.
fn split(rest: Option<&str>) -> Option<(&str, Option<&str>)> {
    Some(match rest?.split_once('.') {
        Some((token, rest)) => (token, Some(rest)),
        None => (rest?, None),
    })
}

#[cfg(test)]
mod tests {
    use super::{Matching, Router, Subscription};
    use crate::nats::connection::ConnectionId;
    use crate::store::matches;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn subscription(subject: &str, queue: Option<&str>) -> Subscription {
        Subscription {
            connection: ConnectionId(1),
            sid: "1".into(),
            subject: subject.into(),
            queue: queue.map(Into::into),
            delivered: 0,
            after: None,
        }
    }

    #[test]
    fn a_group_is_one_however_its_members_listen() {
        let mut router = Router::default();
        let one = router.add(subscription("a.*", Some("q")));
        let other = router.add(subscription("a.b", Some("q")));
        router.add(subscription("a.>", Some("r")));
        let mut found = Matching::default();
        router.find("a.b", &mut found);
        let sizes: Vec<usize> = found
            .groups
            .iter()
            .map(|(_, members)| members.len())
            .collect();
        assert_eq!(sizes.iter().sum::<usize>(), 3);
        assert!(sizes.contains(&2) && found.plain.is_empty());
        assert!(router.listens_in("a.b", Some("q")) && !router.listens_in("a.b", None));
        router.remove(one);
        router.remove(other);
        assert!(!router.listens_in("a.b", Some("q")) && router.listens("a.b"));
    }

    fn filter() -> impl Strategy<Value = alloc::string::String> {
        let token = prop::sample::select(&["a", "b", "c", "*"][..]);
        (prop::collection::vec(token, 1..4), any::<bool>()).prop_map(|(tokens, tail)| {
            let filter = tokens.join(".");
            if tail { filter + ".>" } else { filter }
        })
    }

    proptest! {
        #[test]
        fn a_subject_finds_those_that_match_it(
            filters in prop::collection::vec((filter(), any::<bool>()), 0..20),
            subject in "[abc](\\.[abc]){0,4}",
        ) {
            let mut router = Router::default();
            let all: Vec<_> = filters
                .iter()
                .map(|(filter, stays)| (router.add(subscription(filter, None)), filter, *stays))
                .collect();
            for (id, _, stays) in &all {
                if !stays {
                    router.remove(*id);
                }
            }
            let mut found = Matching::default();
            router.find(&subject, &mut found);
            found.plain.sort_unstable();
            let wanted = all.iter().filter(|(_, filter, stays)| *stays && matches(filter, &subject));
            let wanted: Vec<_> = wanted.map(|(id, ..)| *id).collect();
            prop_assert_eq!(found.plain, wanted);
            for (id, ..) in all {
                router.remove(id);
            }
            prop_assert!(router.root.is_empty());
        }
    }
}
