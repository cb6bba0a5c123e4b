//! Who gets what: subscriptions by subject, with wildcards and groups.

use super::connection::ConnectionId;
use super::wire::Text;
use crate::store::FilterTree;
use alloc::collections::{BTreeMap, BTreeSet};
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
    places: FilterTree<Members>,
    last: u64,
    removed: u64,
}

/// The subscriptions of one filter.
#[derive(Debug, Default)]
struct Members {
    plain: BTreeSet<SubscriptionId>,
    groups: BTreeMap<Text, BTreeSet<SubscriptionId>>,
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
        let members = self.places.get_or_default(&subscription.subject);
        members.of(&subscription.queue).insert(id);
        self.subscriptions.insert(id, subscription);
        id
    }

    pub(crate) fn remove(&mut self, id: SubscriptionId) -> Option<Subscription> {
        let subscription = self.subscriptions.remove(&id)?;
        self.removed += 1;
        if let Some(members) = self.places.get_mut(&subscription.subject)
            && members.remove(&subscription.queue, id)
        {
            self.places.remove(&subscription.subject);
        }
        Some(subscription)
    }

    pub(crate) fn get_mut(&mut self, id: SubscriptionId) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(&id)
    }

    pub(crate) fn get(&self, id: SubscriptionId) -> Option<&Subscription> {
        self.subscriptions.get(&id)
    }

    /// How many subscriptions ended until now: who listened may listen no more when it has changed.
    pub(crate) fn removed(&self) -> u64 {
        self.removed
    }

    /// Whether there are so many subscriptions, and no more places than they need with three tokens each.
    #[cfg(test)]
    pub(crate) fn is_only(&self, count: usize) -> bool {
        self.subscriptions.len() == count && self.places.nodes() <= 1 + 3 * count
    }

    /// Adds the subscriptions of a subject to `found`.
    pub(crate) fn find(&self, subject: &str, found: &mut Matching) {
        self.places.any(subject, |members| {
            members.found(found);
            false
        });
        found.unite();
    }

    /// Whether somebody would get a message of a subject.
    pub(crate) fn listens(&self, subject: &str) -> bool {
        self.places.any(subject, |_| true)
    }

    /// Whether a group has a member that would get a message of a subject, or somebody outside of groups.
    pub(crate) fn listens_in(&self, subject: &str, group: Option<&Text>) -> bool {
        self.places.any(subject, |members| match group {
            None => !members.plain.is_empty(),
            Some(group) => members.groups.contains_key(group),
        })
    }
}

impl Matching {
    pub(crate) fn clear(&mut self) {
        self.plain.clear();
        self.groups.clear();
    }

    /// Makes the members of a group that listen to different filters one.
    fn unite(&mut self) {
        self.groups.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.groups.dedup_by(|(later, more), (name, members)| {
            let same = later == name;
            if same {
                members.append(more);
            }
            same
        });
    }
}

impl Members {
    fn of(&mut self, queue: &Option<Text>) -> &mut BTreeSet<SubscriptionId> {
        match queue {
            None => &mut self.plain,
            Some(queue) => self.groups.entry(queue.clone()).or_default(),
        }
    }

    /// Removes one; whether none is left.
    fn remove(&mut self, queue: &Option<Text>, id: SubscriptionId) -> bool {
        let members = self.of(queue);
        members.remove(&id);
        if let Some(queue) = queue
            && members.is_empty()
        {
            self.groups.remove(queue);
        }
        self.plain.is_empty() && self.groups.is_empty()
    }

    fn found(&self, found: &mut Matching) {
        found.plain.extend(&self.plain);
        let groups = self.groups.iter();
        let groups =
            groups.map(|(name, members)| (name.clone(), members.iter().copied().collect()));
        found.groups.extend(groups);
    }
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
        let group = "q".into();
        assert!(router.listens_in("a.b", Some(&group)) && !router.listens_in("a.b", None));
        router.remove(one);
        router.remove(other);
        assert!(!router.listens_in("a.b", Some(&group)) && router.listens("a.b"));
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
            prop_assert!(router.is_only(0));
        }
    }
}
