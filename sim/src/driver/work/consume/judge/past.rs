//! What came about, so that oracles can ask it.

use super::super::book::Act;
use super::super::shape::Shape;
use super::Wanted;
use std::collections::BTreeMap;
use tenure_core::api::consumer::{EventPlace, Position, Then};

/// What came about with a consumer.
pub(in super::super) struct Past<'a> {
    pub(in super::super) shape: &'a Shape,
    pub(in super::super) wanted: &'a Wanted,
    pub(in super::super) acts: &'a [(u64, Act)],
    /// When each event was handled, by the acts' numbers.
    handled: BTreeMap<EventPlace, Vec<usize>>,
    /// When a try of a run failed.
    failed: BTreeMap<EventPlace, Vec<(u64, usize)>>,
    /// Where it began, and where it surely began anew.
    lives: Vec<(usize, Vec<Position>)>,
}

impl<'a> Past<'a> {
    pub(in super::super) fn new(
        shape: &'a Shape,
        wanted: &'a Wanted,
        acts: &'a [(u64, Act)],
    ) -> Self {
        let (mut handled, mut failed) = (BTreeMap::new(), BTreeMap::new());
        let mut lives = vec![(0, Vec::new())];
        let mut rewinds = BTreeMap::new();
        for (n, (_, act)) in acts.iter().enumerate() {
            match act {
                Act::Handled { place, .. } => {
                    let times: &mut Vec<usize> = handled.entry(*place).or_default();
                    times.push(n);
                }
                Act::Failed { run, place } => {
                    let times: &mut Vec<(u64, usize)> = failed.entry(*place).or_default();
                    times.push((*run, n));
                }
                Act::Begins { reset: true, .. } => lives.push((n, Vec::new())),
                Act::Rewinds { run, .. } => drop(rewinds.insert(*run, n)),
                Act::Rewound { run, to, .. } => {
                    // What came between may be of either life.
                    lives.push((rewinds.get(run).copied().unwrap_or(n), to.clone()));
                }
                Act::Begins { reset: false, .. }
                | Act::Handed { .. }
                | Act::Told { .. }
                | Act::NotRewound { .. }
                | Act::Saved { .. }
                | Act::Live { .. }
                | Act::Letter { .. }
                | Act::Ended { .. } => {}
            }
        }
        Self {
            shape,
            wanted,
            acts,
            handled,
            failed,
            lives,
        }
    }

    /// Whether an event was done with by then, in the life that had to: handled, or given up as the
    /// policy says.
    pub(in super::super) fn is_done(&self, place: EventPlace, by: usize) -> bool {
        self.is_done_for(place, (by, by))
    }

    /// The same for a run: in the life in which it began, whichever others began by then.
    pub(in super::super) fn is_done_for(
        &self,
        place: EventPlace,
        (began, by): (usize, usize),
    ) -> bool {
        let before = self.lives.iter().rev().filter(|(at, _)| *at <= began);
        for (from, start) in before {
            if takes_in(start, place) {
                // That life began behind it.
                continue;
            }
            return self.is_handled(place, (*from, by)) || self.is_given_up(place, (*from, by));
        }
        false
    }

    pub(in super::super) fn is_handled(
        &self,
        place: EventPlace,
        (from, by): (usize, usize),
    ) -> bool {
        let handled = self.handled.get(&place);
        handled.is_some_and(|times| times.iter().any(|at| (from..=by).contains(at)))
    }

    /// Whether a run may have given it up.
    pub(in super::super) fn is_given_up(
        &self,
        place: EventPlace,
        (from, by): (usize, usize),
    ) -> bool {
        if self.shape.policy.then == Then::Stop {
            return false;
        }
        let mut tries: BTreeMap<u64, u32> = BTreeMap::new();
        for (run, at) in self.failed.get(&place).into_iter().flatten() {
            if (from..=by).contains(at) {
                *tries.entry(*run).or_default() += 1;
            }
        }
        tries
            .values()
            .any(|tries| *tries > self.shape.policy.retries_max)
    }

    /// Those that are not done with.
    pub(in super::super) fn missing(&self) -> Vec<EventPlace> {
        let by = self.acts.len();
        let places = self.wanted.places.keys().copied();
        places.filter(|place| !self.is_done(*place, by)).collect()
    }
}

/// Whether positions have an event behind them.
pub(in super::super) fn takes_in(positions: &[Position], place: EventPlace) -> bool {
    let at = positions.get(usize::from(place.partition.0));
    at.is_some_and(|at| at.takes_in(place.sequence, place.index))
}
