//! A stored record is never ahead of what was handled in its life (C3, Q7).

use super::super::super::judge::takes_in;
use super::Judged;
use super::past::Past;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    for (part, records) in &past.stored.records {
        let (mut last, mut life) = (&[][..], 0);
        for (at, record) in records {
            if record.generation != life {
                (last, life) = (&[][..], record.generation);
            }
            let places = past.handled.wanted.places.keys().copied();
            let behind = places
                .filter(|place| takes_in(&record.positions, *place) && !takes_in(last, *place));
            for place in behind.filter(|place| past.part_of(*place) == Some(*part)) {
                let done = past.after(*at).checked_sub(1);
                let is_done = done.is_some_and(|done| past.is_done(place, life, done));
                if !is_done && !past.is_behind(place, life) {
                    let positions = &record.positions;
                    return Err(format!(
                        "partition {part} has a checkpoint at {positions:?} at {at} ns, and {place} is not handled"
                    ));
                }
            }
            last = &record.positions;
        }
    }
    Ok(())
}
