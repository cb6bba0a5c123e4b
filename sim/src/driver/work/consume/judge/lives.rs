//! A rewind begins a life with a number of its own, higher than that before it (H14).

use super::super::book::Act;
use super::Judged;
use super::past::Past;
use std::collections::BTreeMap;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    let mut before = BTreeMap::new();
    for (_, act) in past.acts {
        match act {
            Act::Rewinds {
                run, generation, ..
            } => drop(before.insert(*run, *generation)),
            Act::Rewound {
                run, generation, ..
            } => {
                if let Some(before) = before.get(run)
                    && generation <= before
                {
                    return Err(format!(
                        "run {run} was rewound, and is in life {generation} after life {before}"
                    ));
                }
            }
            Act::Begins { .. }
            | Act::Handed { .. }
            | Act::Handled { .. }
            | Act::Told { .. }
            | Act::Failed { .. }
            | Act::NotRewound { .. }
            | Act::Saved { .. }
            | Act::Live { .. }
            | Act::Letter { .. }
            | Act::Ended { .. } => {}
        }
    }
    Ok(())
}
