//! Of an entity no event is handed over before all that are before it in the log are handled in that life of
//! its partition, or given up as the policy says, on whichever node that was (C1, P7, Q7). So each is handled at
//! least once in each life, in order.

use super::Judged;
use super::past::Past;
use std::collections::BTreeMap;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    // Of each entity so many events are done with in a life, from the first on.
    let mut done: BTreeMap<(usize, u64), usize> = BTreeMap::new();
    for doing in past.doings().filter(|it| it.begins) {
        let (run, place) = (doing.run, doing.place);
        let wanted = past.handled.wanted;
        let Some((entity, nth)) = wanted.places.get(&place).copied() else {
            return Err(format!(
                "run {run} hands {place} over, which it does not read"
            ));
        };
        let part = past.part_of(place);
        let life = part.map_or(1, |part| past.life_of(part, run, doing.at));
        let done = done.entry((entity, life)).or_default();
        while *done < nth {
            let before = wanted.entities[entity][*done];
            if !past.is_done(before, life, doing.number) {
                return Err(format!(
                    "run {run} hands {place} over, and {before} is not handled"
                ));
            }
            *done += 1;
        }
    }
    Ok(())
}
