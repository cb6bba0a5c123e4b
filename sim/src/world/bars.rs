//! What lasts for a while, for the picture of a run: epochs as their owners believe them, leases, and
//! faults.

use super::World;
use super::event::Place;
use super::story::{Lane, Story};
use tenure_core::Span;
use tenure_core::id::Epoch;

/// Something that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Where.
    pub lane: Lane,
    /// What.
    pub sort: Sort,
    /// In a few words.
    pub label: String,
    /// From when, in true nanoseconds.
    pub from: u64,
    /// Until when, in true nanoseconds; `u64::MAX` when it did not end.
    pub until: u64,
}

/// What lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// A node believes that it owns a shard, by the shard's index.
    Epoch(usize),
    /// A node may act for a leased shard, by the shard's index.
    Lease(usize),
    /// A fault.
    Fault,
}

impl World {
    /// Something begins, and lasts for so long if that is known.
    pub(super) fn lasts(
        &mut self,
        lane: Lane,
        sort: Sort,
        label: impl Into<String>,
        length: Option<Span>,
    ) {
        if let Story::Kept(story) = &mut self.story {
            let until = length.map_or(u64::MAX, |length| self.now + length.as_nanos());
            story.bars.push(Bar {
                lane,
                sort,
                label: label.into(),
                from: self.now,
                until,
            });
        }
    }

    /// What lasts there ends now, unless it has ended before.
    pub(super) fn ends(&mut self, lane: Lane, which: impl Fn(Sort) -> bool) {
        let now = self.now;
        if let Story::Kept(story) = &mut self.story {
            let bars = story.bars.iter_mut();
            for bar in bars.filter(|bar| bar.lane == lane && which(bar.sort)) {
                bar.until = bar.until.min(now);
            }
        }
    }

    /// A node may believe something else of a shard than before.
    pub(super) fn believes(&mut self, place: Place, shard: usize, before: Option<Epoch>) {
        let node = &self.nodes[place.node];
        let after = node
            .shards
            .get(shard)
            .and_then(|it| it.seat.machine.epoch());
        if after == before {
            return;
        }
        self.ends(place.into(), |sort| sort == Sort::Epoch(shard));
        if let Some(epoch) = after {
            let label = format!("s{shard} {:?}", epoch.sequence);
            self.lasts(place.into(), Sort::Epoch(shard), label, None);
        }
    }

    /// Until when a node may act for a leased shard, in true nanoseconds.
    pub(super) fn may_act(&mut self, place: Place, shard: usize, until: Option<u64>) {
        self.ends(place.into(), |sort| sort == Sort::Lease(shard));
        if let Some(until) = until.filter(|until| *until > self.now) {
            let length = Span::from_nanos(until - self.now);
            let label = format!("lease of s{shard}");
            self.lasts(place.into(), Sort::Lease(shard), label, Some(length));
        }
    }
}
