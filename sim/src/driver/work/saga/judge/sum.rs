//! What one vault has less another one has more, and none has less than nothing.

use super::super::entity::{AT_FIRST, StepEvent};
use super::Judged;
use super::past::Past;
use std::collections::BTreeMap;

pub(super) fn judge(past: &Past) -> Judged {
    let mut sum = 0;
    for (vault, events) in &past.vaults {
        let (mut left, mut done) = (AT_FIRST, BTreeMap::new());
        for event in events {
            match event {
                StepEvent::Done { step, by } => {
                    left += by;
                    done.insert(step, *by);
                    if left < 0 {
                        return Err(format!("{vault} has {left} after {step}"));
                    }
                }
                StepEvent::Undone { step } => left -= done.remove(step).unwrap_or(0),
                StepEvent::PutOff { .. } => {}
            }
        }
        sum += left - AT_FIRST;
    }
    match sum {
        0 => Ok(()),
        sum => Err(format!("all vaults have {sum} more than they had at first")),
    }
}
