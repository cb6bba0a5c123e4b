//! Each record of a partition goes on from the one before it: positions do not go back within a life, nothing of a
//! former run is stored after the next one's claim, and who releases it had it (Q3, Q4, P6); a life begins with a
//! claim that has no positions yet (Q7). No clock is trusted.

use super::Judged;
use super::past::Past;
use tenure_core::format::Checkpoint;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    for (part, records) in &past.stored.records {
        for two in records.windows(2) {
            let ((_, before), (at, after)) = (&two[0], &two[1]);
            follows(before, after)
                .map_err(|what| format!("the record of partition {part} at {at} ns {what}"))?;
        }
    }
    Ok(())
}

fn follows(before: &Checkpoint, after: &Checkpoint) -> Judged {
    let same = before.run == after.run;
    if same && after.ordinal <= before.ordinal {
        let (one, two) = (before.ordinal, after.ordinal);
        return Err(format!("is number {two} of its run after number {one}"));
    }
    if !same && after.ordinal > 0 {
        let (node, other) = (&after.node, &before.node);
        return Err(format!(
            "is a checkpoint of a run of {node} that {other} has taken over"
        ));
    }
    if after.owner.is_none() && (before.owner.is_none() || before.node != after.node) {
        let (node, other) = (&after.node, &before.node);
        return Err(format!("releases for {node} what {other} had"));
    }
    if after.generation != before.generation {
        let begins = after.ordinal == 0 && after.owner.is_some() && after.positions.is_empty();
        let (one, two) = (before.generation, after.generation);
        return match begins && two > one {
            true => Ok(()),
            false => Err(format!("comes from life {one} to {two}, and is no claim")),
        };
    }
    let mut pairs = before.positions.iter().zip(&after.positions);
    let lost = !before.positions.is_empty() && after.positions.is_empty();
    if lost || pairs.any(|(before, after)| after < before) {
        let (one, two) = (&before.positions, &after.positions);
        return Err(format!("goes back from {one:?} to {two:?}"));
    }
    Ok(())
}
