//! A stored checkpoint is never ahead of what was handled (C3).

use super::super::book::Act;
use super::Judged;
use super::past::{Past, takes_in};
use std::collections::BTreeSet;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    let mut latest = 0;
    // Runs of which a checkpoint may be of the life before, or of the one after.
    let mut between = BTreeSet::new();
    for (n, (_, act)) in past.acts.iter().enumerate() {
        match act {
            Act::Begins { run, .. } => latest = *run,
            Act::Rewinds { run, .. } => drop(between.insert(*run)),
            Act::Rewound { run, .. } | Act::NotRewound { run } => drop(between.remove(run)),
            Act::Saved { run, positions } if *run == latest && !between.contains(run) => {
                let behind = past.wanted.places.keys();
                let behind = behind.filter(|place| takes_in(positions, **place));
                for place in behind {
                    if !past.is_done(*place, n) {
                        return Err(format!(
                            "run {run} stores a checkpoint at {positions:?}, and {place} is not handled"
                        ));
                    }
                }
            }
            Act::Saved { .. }
            | Act::Handed { .. }
            | Act::Handled { .. }
            | Act::Told { .. }
            | Act::Failed { .. }
            | Act::Live { .. }
            | Act::Letter { .. }
            | Act::Ended { .. } => {}
        }
    }
    Ok(())
}
