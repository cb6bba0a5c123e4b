//! A stored record is never ahead of what was handled (C3).

use super::super::super::judge::takes_in;
use super::Judged;
use super::past::Past;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    for (part, records) in &past.records {
        let mut last = &[][..];
        for (at, record) in records {
            let places = past.handled.wanted.places.keys().copied();
            let behind = places
                .filter(|place| takes_in(&record.positions, *place) && !takes_in(last, *place));
            for place in behind.filter(|place| past.part_of(*place) == Some(*part)) {
                let done = past.after(*at).checked_sub(1);
                if !done.is_some_and(|done| past.handled.is_done(place, done)) {
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
