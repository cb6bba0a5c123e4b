//! What was in the log when a run, or its last rewind, began is never told as live; and a run that is live
//! has handled all of that (C6). Where a replica that lags may have told where the log ends, nobody knows
//! what a run could know.

use super::super::book::Act;
use super::past::Past;
use super::{Judged, Known};
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::api::consumer::EventPlace;
use tenure_core::id::Sequence;

pub(super) fn judge(past: &Past<'_>, known: &Known) -> Judged {
    if known.replicated {
        return Ok(());
    }
    // The end of each stream when a run began, and when it was told to go back.
    let mut ends: BTreeMap<u64, &[Sequence]> = BTreeMap::new();
    let mut later: BTreeMap<u64, &[Sequence]> = BTreeMap::new();
    let mut went_back = BTreeSet::new();
    let mut began: BTreeMap<u64, usize> = BTreeMap::new();
    let was_there = |ends: &[Sequence], place: EventPlace| {
        let end = ends.get(usize::from(place.partition.0));
        end.is_some_and(|end| place.sequence <= *end)
    };
    for (n, (_, act)) in past.acts.iter().enumerate() {
        match act {
            Act::Begins { run, ends: at, .. } => {
                ends.insert(*run, at);
                began.insert(*run, n);
            }
            Act::Rewinds { run, ends: at, .. } => {
                later.insert(*run, at);
                went_back.insert(*run);
            }
            Act::Rewound { run, .. } => {
                if let Some(at) = later.remove(run) {
                    ends.insert(*run, at);
                }
            }
            Act::Handed {
                run,
                place,
                live: true,
            } => {
                if ends.get(run).is_some_and(|ends| was_there(ends, *place)) {
                    return Err(format!(
                        "run {run} tells {place} as live, which was there before it began"
                    ));
                }
            }
            Act::Live { run } if !went_back.contains(run) => {
                let ends = ends.get(run).copied().unwrap_or_default();
                // Another run that went back since is in a life of which this one does not know.
                let life = (began.get(run).copied().unwrap_or_default(), n);
                let mut there = past.wanted.places.keys();
                let left = there
                    .find(|place| was_there(ends, **place) && !past.is_done_for(**place, life));
                if let Some(place) = left {
                    return Err(format!(
                        "run {run} says that it is live, and {place} is not handled"
                    ));
                }
            }
            Act::Handed { live: false, .. }
            | Act::Live { .. }
            | Act::NotRewound { .. }
            | Act::Saved { .. }
            | Act::Handled { .. }
            | Act::Told { .. }
            | Act::Failed { .. }
            | Act::Letter { .. }
            | Act::Ended { .. } => {}
        }
    }
    Ok(())
}
