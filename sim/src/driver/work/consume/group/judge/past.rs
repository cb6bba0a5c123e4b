//! What came about with a group, so that oracles can ask it: what its handlers did, on which nodes, and the
//! records of its partitions, each with when it was stored.

use super::super::super::book::{Act, Why};
use super::super::super::judge::{Past as Handled, Wanted, takes_in};
use super::super::Crew;
use super::super::orders::Ordered;
use crate::stage::Record;
use std::collections::BTreeMap;
use std::ops::Range;
use tenure_core::api::consumer::{EventPlace, Position};
use tenure_core::format::{Checkpoint, GroupOrders, LifeStart};

/// The records of each partition, oldest first, with when they were stored.
pub(super) type Records = BTreeMap<u16, Vec<(u64, Checkpoint)>>;

/// What came about with a group.
pub(super) struct Past<'a> {
    pub(super) acts: &'a [(u64, Act)],
    /// The node of each run.
    pub(super) nodes: BTreeMap<u64, usize>,
    /// When each node stood still, in its order.
    pub(super) still: BTreeMap<usize, Vec<Range<u64>>>,
    pub(super) stored: &'a Stored,
    /// What people wanted to tell it.
    pub(super) ordered: Ordered,
    /// Since when nothing is promised of leases.
    pub(super) void: Option<u64>,
    /// What was handled, as of every consumer.
    pub(super) handled: Handled<'a>,
    pub(super) partitions: u16,
}

/// What was stored of a group, as far as it was read.
#[derive(Debug, Default)]
pub(in super::super) struct Stored {
    pub(super) records: Records,
    /// What the group was told, oldest first, with when it was stored.
    pub(super) orders: Vec<(u64, GroupOrders)>,
    /// When each life of a partition began.
    lives: BTreeMap<(u16, u64), u64>,
    /// How many messages of the consumers' stream were read.
    pub(super) read: usize,
}

impl Stored {
    /// Takes in what was stored in the consumers' stream since it was read.
    pub(super) fn read_on(&mut self, group: &str, more: &[Record]) -> Result<(), String> {
        self.read += more.len();
        for Record { at, message } in more {
            let mut tokens = message.subject.split('.').skip(1);
            if (tokens.next(), tokens.next()) != (Some("grp"), Some(group)) {
                continue;
            }
            let subject = &message.subject;
            let part = tokens.next();
            if part == Some("orders") {
                let told = GroupOrders::decode(&message.payload);
                let told = told.map_err(|error| format!("{subject}: {error}"))?;
                self.orders.push((*at, told));
                continue;
            }
            let part = part.and_then(|part| part.parse().ok());
            let part = part.ok_or_else(|| format!("{subject} is of no partition"))?;
            let record = Checkpoint::decode(&message.payload);
            let record = record.map_err(|error| format!("{subject}: {error}"))?;
            self.lives.entry((part, record.generation)).or_insert(*at);
            self.records.entry(part).or_default().push((*at, record));
        }
        Ok(())
    }
}

impl<'a> Past<'a> {
    /// That of a group, as of now.
    pub(super) fn of(
        crew: &'a Crew,
        stored: &'a Stored,
        (wanted, acts): (&'a Wanted, &'a [(u64, Act)]),
    ) -> Self {
        let sim = &crew.post.sim;
        let still = (0..sim.nodes()).map(|node| (node, sim.stage.stood_still(node)));
        Self {
            acts,
            nodes: crew.parts().nodes.clone(),
            still: still.collect(),
            stored,
            ordered: crew.ordered().clone(),
            void: sim.voids().leases(),
            handled: Handled::new(&crew.post.shape, wanted, acts),
            partitions: crew.count(),
        }
    }

    /// The partition of an event; `None` of one that nobody is to read.
    pub(super) fn part_of(&self, place: EventPlace) -> Option<u16> {
        let wanted = self.handled.wanted;
        let (entity, _) = wanted.places.get(&place)?;
        let shard = wanted.shards.get(*entity)?;
        Some(shard % self.partitions)
    }

    /// What is handled one after the other with an event: those of its partition, or of its entity there.
    pub(super) fn lane_of(&self, place: EventPlace) -> Option<(u16, Option<usize>)> {
        let (entity, _) = self.handled.wanted.places.get(&place)?;
        let entity = (self.handled.shape.handlers > 0).then_some(*entity);
        Some((self.part_of(place)?, entity))
    }

    /// When the node of a run stood still, in its order.
    pub(super) fn still_of(&self, run: u64) -> &[Range<u64>] {
        let still = self.nodes.get(&run).and_then(|node| self.still.get(node));
        still.map_or(&[][..], Vec::as_slice)
    }

    /// The record that a partition had at a time, before what was stored then.
    pub(super) fn record_at(&self, part: u16, at: u64) -> Option<&Checkpoint> {
        self.records_before(part, at).last().map(|(_, it)| it)
    }

    fn records_before(&self, part: u16, at: u64) -> &[(u64, Checkpoint)] {
        let all = self.stored.records.get(&part);
        let all = all.map_or(&[][..], Vec::as_slice);
        &all[..all.partition_point(|(stored, _)| *stored < at)]
    }

    /// The life of a partition in which a run handles it at a time: that of its node's last claim, which is the
    /// partition's own as long as leases mean something.
    pub(super) fn life_of(&self, part: u16, run: u64, at: u64) -> u64 {
        let node = self.nodes.get(&run).map(|node| format!("n{node}"));
        let mut before = self.records_before(part, at).iter().rev();
        let own = before.find(|(_, it)| it.owner.is_some() && Some(&it.node) == node.as_ref());
        own.map_or(1, |(_, it)| it.generation)
    }

    /// The life that the group is in at a time, before what was stored then.
    pub(super) fn life_at(&self, at: u64) -> u64 {
        let orders = &self.stored.orders;
        let before = orders.partition_point(|(stored, _)| *stored < at);
        let last = orders[..before].last();
        last.map_or(1, |(_, told)| told.life)
    }

    /// Where a life begins.
    fn start_of(&self, life: u64) -> &[Position] {
        let mut orders = self.stored.orders.iter();
        let told = orders.find(|(_, told)| told.life == life);
        match told.map(|(_, told)| &told.from) {
            Some(LifeStart::After(positions)) => positions,
            Some(LifeStart::Defined | LifeStart::At(_)) | None => &[],
        }
    }

    /// Whether an event was done with by then, in a life of its partition: handled, given up as the policy says,
    /// or before that life's start.
    pub(super) fn is_done(&self, place: EventPlace, life: u64, by: usize) -> bool {
        let begun = || {
            let part = self.part_of(place)?;
            self.stored.lives.get(&(part, life))
        };
        let from = match life {
            1 => Some(0),
            _ => begun().map(|at| self.after(*at)),
        };
        self.is_behind(place, life)
            || from.is_some_and(|from| {
                self.handled.is_handled(place, (from, by))
                    || self.handled.is_given_up(place, (from, by))
            })
    }

    /// Whether a life begins after an event.
    pub(super) fn is_behind(&self, place: EventPlace, life: u64) -> bool {
        takes_in(self.start_of(life), place)
    }

    /// Those that are not done with in the life that the group is in.
    pub(super) fn missing(&self) -> Vec<EventPlace> {
        let (life, by) = (self.life_at(u64::MAX), self.acts.len());
        let places = self.handled.wanted.places.keys().copied();
        places
            .filter(|place| !self.is_done(*place, life, by))
            .collect()
    }

    /// Whether leases still mean something at a time.
    pub(super) fn is_leased(&self, at: u64) -> bool {
        self.void.is_none_or(|void| at < void)
    }

    /// The number of the first act after a time.
    pub(super) fn after(&self, at: u64) -> usize {
        self.acts.partition_point(|(then, _)| *then <= at)
    }

    /// What the handlers did, each with its number, when it was, the run and the event.
    pub(super) fn doings(&self) -> impl Iterator<Item = Doing> {
        let numbered = self.acts.iter().enumerate();
        numbered.filter_map(|(number, (at, act))| {
            let (run, place) = match act {
                Act::Handed { run, place, .. }
                | Act::Handled { run, place }
                | Act::Told { run, place }
                | Act::Failed { run, place } => (*run, *place),
                Act::Begins { .. }
                | Act::Rewinds { .. }
                | Act::Rewound { .. }
                | Act::NotRewound { .. }
                | Act::Saved { .. }
                | Act::Live { .. }
                | Act::Letter { .. }
                | Act::Ended { .. } => return None,
            };
            Some(Doing {
                number,
                at: *at,
                run,
                place,
                begins: matches!(act, Act::Handed { .. }),
                fails: matches!(act, Act::Failed { .. }),
            })
        })
    }

    /// Why each run ended.
    pub(super) fn ends(&self) -> impl Iterator<Item = (u64, &Why)> {
        self.acts.iter().filter_map(|(_, act)| match act {
            Act::Ended { run, why } => Some((*run, why)),
            Act::Begins { .. }
            | Act::Handed { .. }
            | Act::Handled { .. }
            | Act::Told { .. }
            | Act::Failed { .. }
            | Act::Rewinds { .. }
            | Act::Rewound { .. }
            | Act::NotRewound { .. }
            | Act::Saved { .. }
            | Act::Live { .. }
            | Act::Letter { .. } => None,
        })
    }
}

/// Something that a handler did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doing {
    /// The how manieth act it is.
    pub(super) number: usize,
    /// The true time, in nanoseconds.
    pub(super) at: u64,
    pub(super) run: u64,
    pub(super) place: EventPlace,
    /// It was handed the event just then.
    pub(super) begins: bool,
    /// Its handler failed.
    pub(super) fails: bool,
}
