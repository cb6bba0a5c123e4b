//! A node that says that its group is paused begins nothing (Q8). What its handlers were given before goes on: the
//! events of a batch follow each other at once, and a handler that was to begin may be held up with its node, as
//! all of it is.

use super::Judged;
use super::past::Past;
use std::collections::BTreeMap;
use std::ops::Range;

/// What was to begin before the pause has begun so long after it is known, or after its node went on.
const HELD_UP_NS: u64 = 300_000_000;

/// What is at once takes so long at most: where each step of a task takes time, and a slow node stands still for
/// some of it.
const AT_ONCE_NS: u64 = 5_000_000;

/// What is handled one event after the other.
#[derive(Debug, Default)]
struct Lane {
    /// When the last one was handled.
    handled: Option<u64>,
    /// How many may be of the batch at hand, among those since the pause and the one before.
    given: u32,
}

pub(super) fn judge(past: &Past<'_>) -> Judged {
    for (nth, (run, from, paused)) in past.ordered.says.iter().enumerate() {
        if !paused {
            continue;
        }
        let later = &past.ordered.says[nth + 1..];
        let next = later.iter().find(|(of, ..)| of == run);
        // What it does after its last word is not judged: it may have ended.
        let Some((_, to, _)) = next else {
            continue;
        };
        judge_pause(past, *run, (*from, *to))?;
    }
    Ok(())
}

fn judge_pause(past: &Past<'_>, run: u64, (from, to): (u64, u64)) -> Judged {
    let still = past.still_of(run);
    let held_up_until = until(still, from, HELD_UP_NS);
    // Who writes down that it goes on is woken with its handlers.
    let to = to.saturating_sub(AT_ONCE_NS);
    let mut lanes: BTreeMap<_, Lane> = BTreeMap::new();
    for doing in past.doings().filter(|it| it.run == run && it.at < to) {
        let (place, at) = (doing.place, doing.at);
        let Some(lane) = past.lane_of(place) else {
            continue;
        };
        let lane = lanes.entry(lane).or_default();
        if !doing.begins {
            // What was given with one that fails is given back.
            lane.handled = (!doing.fails).then_some(at);
            continue;
        }
        let batch = past.handled.shape.batch;
        let at_once = |handled| at <= until(still, handled, AT_ONCE_NS);
        let follows = at >= from && lane.handled.is_some_and(at_once) && lane.given < batch;
        lane.given = if follows { lane.given + 1 } else { 1 };
        if !follows && at > held_up_until {
            return Err(format!(
                "run {run} hands {place} over at {at} ns, and says since {from} ns that the group is paused"
            ));
        }
    }
    Ok(())
}

/// Until when what was to begin at a time has begun that takes so long, by when its node stood still.
fn until(still: &[Range<u64>], from: u64, takes_ns: u64) -> u64 {
    let mut until = from + takes_ns;
    for stood in still.iter().filter(|stood| stood.end > from) {
        if stood.start > until {
            break;
        }
        until = until.max(stood.end + takes_ns);
    }
    until
}
