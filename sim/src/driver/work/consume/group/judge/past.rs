//! What came about with a group, so that oracles can ask it: what its handlers did, on which nodes, and the
//! records of its partitions, each with when it was stored.

use super::super::super::book::{Act, Why};
use super::super::super::judge::Past as Handled;
use crate::stage::Record;
use std::collections::BTreeMap;
use tenure_core::api::consumer::EventPlace;
use tenure_core::format::Checkpoint;

/// The records of each partition, oldest first, with when they were stored.
pub(super) type Records = BTreeMap<u16, Vec<(u64, Checkpoint)>>;

/// What came about with a group.
pub(super) struct Past<'a> {
    pub(super) acts: &'a [(u64, Act)],
    /// The node of each run.
    pub(super) nodes: BTreeMap<u64, usize>,
    pub(super) records: Records,
    /// Since when nothing is promised of leases.
    pub(super) void: Option<u64>,
    /// What was handled, as of every consumer.
    pub(super) handled: Handled<'a>,
    pub(super) partitions: u16,
}

/// The records of a group's partitions among all that was stored in the consumers' stream.
pub(super) fn records(group: &str, all: &[Record]) -> Result<Records, String> {
    let mut records = Records::new();
    for Record { at, message } in all {
        let mut tokens = message.subject.split('.').skip(1);
        if (tokens.next(), tokens.next()) != (Some("grp"), Some(group)) {
            continue;
        }
        let subject = &message.subject;
        let part = tokens.next().and_then(|part| part.parse().ok());
        let part = part.ok_or_else(|| format!("{subject} is of no partition"))?;
        let record = Checkpoint::decode(&message.payload);
        let record = record.map_err(|error| format!("{subject}: {error}"))?;
        records.entry(part).or_default().push((*at, record));
    }
    Ok(records)
}

impl Past<'_> {
    /// The partition of an event; `None` of one that nobody is to read.
    pub(super) fn part_of(&self, place: EventPlace) -> Option<u16> {
        let wanted = self.handled.wanted;
        let (entity, _) = wanted.places.get(&place)?;
        let shard = wanted.shards.get(*entity)?;
        Some(shard % self.partitions)
    }

    /// The record that a partition had at a time, before what was stored then.
    pub(super) fn record_at(&self, part: u16, at: u64) -> Option<&Checkpoint> {
        let all = self.records.get(&part)?;
        let before = all.partition_point(|(stored, _)| *stored < at);
        before.checked_sub(1).map(|last| &all[last].1)
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
            let (run, place, begins) = match act {
                Act::Handed { run, place, .. } => (*run, *place, true),
                Act::Handled { run, place }
                | Act::Told { run, place }
                | Act::Failed { run, place } => (*run, *place, false),
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
                begins,
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
}
