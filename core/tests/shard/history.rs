//! A cluster whose nodes' machines own shards, and what a membership would know of it; and what has to
//! hold at any time (P3) and in the end (P8).

use crate::bank::Order as Wish;
use crate::owners::{Class, Cluster, Fate};
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::format::TakeOver;
use tenure_core::id::{ShardId, Ticket};
use tenure_core::log::Freshness;
use tenure_core::node::Standing;
use tenure_core::shard::{Place, ShardMap};
use tenure_core::{Span, Time};

pub(crate) const NAMES: [&str; 4] = ["a", "b", "c", "d"];
pub(crate) const SHARDS: u16 = 6;
const CLASSES: [TakeOver; 2] = [TakeOver::Fenced, TakeOver::Leased];

/// Something happens.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Advance(u64),
    /// A node looks gone to another one, or to all.
    Hint(usize, Option<usize>),
    Back(usize),
    /// A node's lease is over: first on its own clock, then for the others.
    LeaseEnds(usize, Option<u64>),
    Over(usize),
    /// It is a member again, under the same run.
    Rejoin(usize),
    /// It is killed and started again under its name.
    Restart(usize),
    Stop(usize),
    GoOn(usize),
    Deaf(usize),
    Hears(usize),
    Drain(usize),
    Fault(usize, Class, Fate),
    Release(usize),
    Late,
    List,
    Weight(usize, u16),
    Ask(usize, u16, bool),
    Run,
}

/// The cluster, and what a membership would know of it.
pub(crate) struct History {
    cluster: Cluster,
    /// Until when each node's lease holds on the clock; absent: not at all.
    leases: BTreeMap<String, Time>,
    /// The others were told that its lease is over.
    over: BTreeSet<String>,
    draining: BTreeSet<String>,
    next: u64,
}

impl History {
    pub(crate) fn new() -> Self {
        let mut cluster = Cluster::new();
        cluster.loud = false;
        cluster.open(SHARDS, BTreeSet::from(CLASSES));
        let mut history = Self {
            cluster,
            leases: BTreeMap::new(),
            over: BTreeSet::new(),
            draining: BTreeSet::new(),
            next: 0,
        };
        for name in NAMES {
            let about = history.cluster.about();
            history.cluster.boot(name, about);
        }
        for name in NAMES {
            history.rejoin(name);
        }
        history
    }

    fn holds(&self, name: &str) -> bool {
        let end = self.leases.get(name);
        end.is_some_and(|end| self.cluster.now < *end)
    }

    fn rejoin(&mut self, name: &str) {
        if self.cluster.stopped.contains(name) {
            return;
        }
        self.cluster.join(&[name]);
        self.over.remove(name);
        self.leases
            .insert(name.to_owned(), Time::from_nanos(u64::MAX));
    }

    pub(crate) fn act(&mut self, act: &Act) {
        let cluster = &mut self.cluster;
        match act {
            Act::Advance(ms) => cluster.advance(Span::from_millis(*ms)),
            Act::Hint(n, by) => {
                if self.over.contains(NAMES[*n]) {
                    return;
                }
                cluster.see(NAMES[*n], by.map(|by| NAMES[by]), Standing::Hinted);
            }
            Act::Back(n) => {
                if !self.over.contains(NAMES[*n]) {
                    cluster.see(NAMES[*n], None, Standing::Living);
                }
            }
            Act::LeaseEnds(n, after_ms) => {
                let name = NAMES[*n];
                let end = after_ms.map(|ms| cluster.now + Span::from_millis(ms));
                if self.holds(name) && !self.cluster.stopped.contains(name) {
                    self.leases
                        .insert(name.to_owned(), end.unwrap_or(Time::ZERO));
                    self.cluster.lease(name, end);
                } else if self.holds(name) {
                    // It cannot renew what it holds; the clock goes on.
                    let end = self.cluster.now + Span::from_millis(after_ms.unwrap_or(1));
                    self.leases.insert(name.to_owned(), end);
                    self.cluster.lease_quietly(name, end);
                }
            }
            Act::Over(n) => {
                let name = NAMES[*n];
                if !self.holds(name) {
                    self.over.insert(name.to_owned());
                    self.cluster.see(name, None, Standing::Over);
                }
            }
            Act::Rejoin(n) => {
                if !self.draining.contains(NAMES[*n]) {
                    self.rejoin(NAMES[*n]);
                }
            }
            Act::Restart(n) => {
                let name = NAMES[*n];
                let before = cluster.nodes[name].run;
                let held = self.holds(name);
                let cluster = &mut self.cluster;
                cluster.stopped.remove(name);
                let about = cluster.nodes[name].about.clone();
                cluster.boot(name, about);
                self.draining.remove(name);
                self.rejoin(name);
                if !held {
                    self.cluster.linger(before, Standing::Over);
                }
            }
            Act::Stop(n) => {
                cluster.stopped.insert(NAMES[*n].to_owned());
            }
            Act::GoOn(n) => cluster.go_on(NAMES[*n]),
            Act::Deaf(n) => {
                cluster.deaf.insert(NAMES[*n].to_owned());
            }
            Act::Hears(n) => {
                cluster.deaf.remove(NAMES[*n]);
            }
            Act::Drain(n) => {
                let name = NAMES[*n];
                if !cluster.stopped.contains(name) && !self.over.contains(name) {
                    self.draining.insert(name.to_owned());
                    cluster.drain(name);
                }
            }
            Act::Fault(n, class, fate) => cluster.fault(NAMES[*n], *class, *fate),
            Act::Release(n) => cluster.release(NAMES[*n]),
            Act::Late => cluster.arrive_late(),
            Act::List => cluster.list(),
            Act::Weight(n, weight) => {
                let name = NAMES[*n];
                let node = cluster.nodes.get_mut(name).expect("a node");
                node.about.weight = *weight;
                if !self.draining.contains(name) && self.holds(name) {
                    self.rejoin(name);
                }
            }
            Act::Ask(n, shard, reads) => {
                self.next += 1;
                let wish = if *reads { Wish::Ask } else { Wish::Deposit(1) };
                let place = Place {
                    class: TakeOver::Fenced,
                    shard: ShardId(*shard),
                };
                let (fresh, patience) = (Freshness::Linearizable, Span::from_secs(5));
                cluster.ask(NAMES[*n], Ticket(self.next), place, wish, fresh, patience);
            }
            Act::Run => cluster.run(),
        }
    }

    /// P3: at most one node acts for a leased place.
    pub(crate) fn one_acts(&self) {
        for shard in 0..SHARDS {
            let place = Place {
                class: TakeOver::Leased,
                shard: ShardId(shard),
            };
            let acting: Vec<_> = NAMES
                .iter()
                .filter(|name| self.holds(name) && self.cluster.nodes[**name].owns(place))
                .collect();
            assert!(acting.len() <= 1, "{place:?}: {acting:?}");
        }
    }

    /// All faults are over.
    pub(crate) fn heal(&mut self) {
        self.cluster.heal();
        for name in NAMES {
            self.cluster.go_on(name);
            self.cluster.deaf.remove(name);
            self.cluster.release(name);
            self.cluster.run();
        }
        for name in NAMES {
            let node = self.cluster.nodes.get_mut(name).expect("a node");
            node.about.weight = 100;
            if self.draining.contains(name) {
                self.act(&Act::Restart(
                    NAMES.iter().position(|n| *n == name).unwrap(),
                ));
            }
            self.rejoin(name);
        }
        self.cluster.all_over_before();
        for _ in 0..3 {
            self.cluster.list();
            self.cluster.advance(Span::from_secs(15));
        }
    }

    /// P8: every place is with whom the map gives it, and everybody knows.
    pub(crate) fn converged(&self) {
        let members = NAMES.map(|name| (Cluster::node_name(name), 100));
        let map = ShardMap::new(members);
        let records = self.cluster.records();
        for class in CLASSES {
            for shard in (0..SHARDS).map(ShardId) {
                let place = Place { class, shard };
                let wanted = map.owner(place).expect("an owner").to_string();
                let run = self.cluster.nodes[&wanted].run;
                let named = records.get(&place).map(|(_, owner)| *owner);
                assert_eq!(named, Some(Some(run)), "{:?} is {}'s", place, wanted);
                for (name, node) in &self.cluster.nodes {
                    assert_eq!(node.owns(place), *name == wanted, "{} {:?}", name, place);
                    let row = node.owners.table().rows.get(&place);
                    assert_eq!(row.map(|row| row.owner), Some(run), "{} {:?}", name, place);
                }
            }
        }
    }
}
