//! What each node believes of its cluster, for the picture of a run: which shards it owns and until when it
//! may act for those of the leased class, as bars; and what changed of whom it sees, as differences.

use super::world::{Home, State};
use crate::world::{Kind, Lane, Sort, difference};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tenure_core::api::{ClusterView, Tenure};
use tenure_core::format::TakeOver;
use tenure_core::id::ShardId;
use tenure_core::node::Standing;

/// What a node believed when it was looked at last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Beliefs {
    life: u32,
    state: &'static str,
    /// Who is there, and how.
    nodes: BTreeMap<String, Standing>,
    /// Who owns each shard, and under which epoch: by its index, those of the leased class last.
    owners: BTreeMap<usize, (String, u64)>,
}

impl Beliefs {
    fn of(life: u32, view: &ClusterView, shards: u16) -> Self {
        let nodes = view.nodes();
        let nodes = nodes.map(|node| (node.name.to_owned(), node.standing));
        let mut owners = BTreeMap::new();
        for (index, class, shard) in places(shards) {
            if let Some((owner, epoch)) = view.owner_of(class, shard) {
                owners.insert(index, (owner.name.to_owned(), epoch.sequence.0));
            }
        }
        Self {
            life,
            state: view.state(),
            nodes: nodes.collect(),
            owners,
        }
    }

    /// A line for each thing that it knows.
    fn text(&self, shards: u16) -> String {
        let mut text = format!("this node is {}\n", self.state);
        for (name, standing) in &self.nodes {
            // Writing to a text does not fail.
            let _ = writeln!(text, "{name} is {standing:?}");
        }
        for (index, class, shard) in places(shards) {
            let class = format!("{class:?}").to_lowercase();
            let owner = self.owners.get(&index);
            let owner = owner.map_or("nobody's".to_owned(), |(name, at)| {
                format!("{name}'s, epoch {at}")
            });
            let _ = writeln!(text, "s{index} ({class} {}) is {owner}", shard.0);
        }
        text
    }
}

/// Each shard of both classes: its index, its class and its number in it.
fn places(shards: u16) -> impl Iterator<Item = (usize, TakeOver, ShardId)> {
    let classes = [TakeOver::Fenced, TakeOver::Leased];
    let all = classes
        .into_iter()
        .flat_map(move |class| (0..shards).map(move |shard| (class, ShardId(shard))));
    all.enumerate()
        .map(|(index, (class, shard))| (index, class, shard))
}

impl State {
    /// Looks at what a node believes, where somebody reads of it.
    pub(super) fn look_at(&mut self, home: Home) {
        if !self.trace.is_kept() || home == Home::TESTER {
            return;
        }
        let tenure = self.node(home).and_then(|node| node.tenure.as_ref());
        let Some(cluster) = tenure.and_then(Tenure::cluster) else {
            return;
        };
        let (view, shards) = (cluster.view(), self.plan.shards);
        let now = Beliefs::of(home.life, &view, shards);
        let before = self.nodes[home.node].beliefs.clone();
        let same_life = before.life == home.life;
        let lease = view.lease().and_then(|at| self.clock(home).when(at));
        if now == before && lease == self.nodes[home.node].lease_until {
            return;
        }
        self.nodes[home.node].lease_until = lease;
        let empty = Beliefs::default();
        let old = if same_life { &before } else { &empty };
        self.draw_beliefs(home, (old, &now), lease);
        if now == before {
            return;
        }
        let changes = difference(&old.text(shards), &now.text(shards));
        let told = told(old, &now);
        self.tell(home, Kind::Note, || format!("{home} sees {told}"));
        self.trace.changed(changes);
        self.nodes[home.node].beliefs = now;
    }

    /// The bars of what a node believed before, and believes now.
    fn draw_beliefs(&mut self, home: Home, (was, is): (&Beliefs, &Beliefs), lease: Option<u64>) {
        let (name, lane, at) = (format!("n{}", home.node), Lane::from(home), self.now);
        let own = |it: &Beliefs, index| {
            let owner = it.owners.get(&index);
            owner.filter(|(of, _)| *of == name).map(|(_, epoch)| *epoch)
        };
        for (index, class, _) in places(self.plan.shards) {
            let (before, after) = (own(was, index), own(is, index));
            if before != after {
                for sort in [Sort::Epoch(index), Sort::Lease(index)] {
                    self.trace.bar_ends(lane, sort, at);
                }
                if let Some(epoch) = after {
                    let label = format!("s{index} epoch {epoch}");
                    self.trace
                        .bar(lane, Sort::Epoch(index), label, at, u64::MAX);
                }
            }
            if let (Some(_), TakeOver::Leased, Some(until)) = (after, class, lease)
                && until > at
            {
                self.trace.lease(lane, index, at, until);
            }
        }
    }

    /// Nothing is believed by a life that ended.
    pub(super) fn forget_beliefs(&mut self, home: Home) {
        for (index, _, _) in places(self.plan.shards) {
            for sort in [Sort::Epoch(index), Sort::Lease(index)] {
                self.trace.bar_ends(home.into(), sort, self.now);
            }
        }
    }
}

/// What is another than before, in a few words.
fn told(old: &Beliefs, now: &Beliefs) -> String {
    let mut words = Vec::new();
    if old.state != now.state {
        words.push(format!("itself {}", now.state));
    }
    for (name, standing) in &now.nodes {
        if old.nodes.get(name) != Some(standing) {
            words.push(format!("{name} {}", format!("{standing:?}").to_lowercase()));
        }
    }
    for name in old.nodes.keys().filter(|it| !now.nodes.contains_key(*it)) {
        words.push(format!("{name} gone"));
    }
    for (index, owner) in &now.owners {
        if old.owners.get(index) != Some(owner) {
            words.push(format!("s{index} as {}'s at {}", owner.0, owner.1));
        }
    }
    for index in old.owners.keys().filter(|it| !now.owners.contains_key(it)) {
        words.push(format!("s{index} as nobody's"));
    }
    words.join(", ")
}
