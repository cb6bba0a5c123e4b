//! What a run says that it stored is where the next one begins, and no other run takes it back (C5).

use super::super::book::Act;
use super::Judged;
use super::past::{Past, takes_in};
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::api::consumer::Position;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    let mut latest = 0;
    // What the latest run said last, and what was so when each one began.
    let mut floor: Vec<Position> = Vec::new();
    let mut floors: BTreeMap<u64, Vec<Position>> = BTreeMap::new();
    let mut letters = BTreeSet::new();
    // The latest run goes back, or may.
    let mut goes_back = false;
    for (_, act) in past.acts {
        match act {
            Act::Begins { run, reset, .. } => {
                (latest, goes_back) = (*run, false);
                if *reset {
                    floor.clear();
                }
                floors.insert(*run, floor.clone());
            }
            Act::Rewinds { .. } => {
                goes_back = true;
                floor.clear();
                floors.clear();
            }
            Act::Rewound { run, .. } | Act::NotRewound { run } if *run == latest => {
                goes_back = false;
            }
            Act::Saved { run, positions } if *run == latest && !goes_back => {
                let lower = floor.iter().zip(positions).any(|(floor, at)| at < floor);
                if lower {
                    return Err(format!(
                        "run {run} stores a checkpoint at {positions:?} after one at {floor:?}"
                    ));
                }
                floor.clone_from(positions);
            }
            Act::Letter { run, place } => drop(letters.insert((*run, *place))),
            Act::Handed { run, place, .. } => {
                let floor = floors.get(run).map_or(&[][..], Vec::as_slice);
                if takes_in(floor, *place) && !letters.contains(&(*run, *place)) {
                    return Err(format!(
                        "run {run} hands {place} over, which a checkpoint at {floor:?} had before it began"
                    ));
                }
            }
            Act::Rewound { .. }
            | Act::NotRewound { .. }
            | Act::Saved { .. }
            | Act::Handled { .. }
            | Act::Told { .. }
            | Act::Failed { .. }
            | Act::Live { .. }
            | Act::Ended { .. } => {}
        }
    }
    Ok(())
}
