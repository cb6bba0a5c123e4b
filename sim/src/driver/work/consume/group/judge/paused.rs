//! A node that says that its group is paused begins nothing (Q8). What its handlers were given before goes on: the
//! events of a batch follow each other at once, and a handler that was to begin may be held up with its node, as
//! all of it is.

use super::Judged;
use super::past::Past;
use std::collections::BTreeSet;

/// What was to begin before the pause has begun so long after the first that has.
const HELD_UP_NS: u64 = 300_000_000;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    for (nth, (run, from, paused)) in past.ordered.says.iter().enumerate() {
        if !paused {
            continue;
        }
        let later = &past.ordered.says[nth + 1..];
        let until = later.iter().find(|(of, ..)| of == run);
        // What it does after its last word is not judged: it may have ended.
        let Some((_, until, _)) = until else {
            continue;
        };
        judge_pause(past, *run, (*from, *until))?;
    }
    Ok(())
}

fn judge_pause(past: &Past<'_>, run: u64, (from, until): (u64, u64)) -> Judged {
    let during = |at: u64| (from..until).contains(&at);
    let here = past.doings().filter(|it| it.run == run && during(it.at));
    // When something ended: what begins at the same time is of the same batch.
    let ended: BTreeSet<u64> = here.filter(|it| !it.begins).map(|it| it.at).collect();
    let mut first = None;
    for doing in past.doings().filter(|it| it.run == run && it.begins) {
        if !during(doing.at) || ended.contains(&doing.at) {
            continue;
        }
        let first = *first.get_or_insert(doing.at);
        if doing.at > first + HELD_UP_NS {
            let (place, at) = (doing.place, doing.at);
            return Err(format!(
                "run {run} hands {place} over at {at} ns, and says since {from} ns that the group is paused"
            ));
        }
    }
    Ok(())
}
