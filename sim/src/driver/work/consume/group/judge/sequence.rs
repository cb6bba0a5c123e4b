//! Of an entity no event is handed over before all that are before it in the log are handled, or given up as
//! the policy says, on whichever node that was (C1, P7). So each is handled at least once, in order.

use super::Judged;
use super::past::Past;
use std::collections::BTreeMap;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    // Of each entity so many events are done with, from the first on.
    let mut done: BTreeMap<usize, usize> = BTreeMap::new();
    for doing in past.doings().filter(|it| it.begins) {
        let (run, place) = (doing.run, doing.place);
        let wanted = past.handled.wanted;
        let Some((entity, nth)) = wanted.places.get(&place).copied() else {
            return Err(format!(
                "run {run} hands {place} over, which it does not read"
            ));
        };
        let done = done.entry(entity).or_default();
        while *done < nth {
            let before = wanted.entities[entity][*done];
            if !past.handled.is_done(before, doing.number) {
                return Err(format!(
                    "run {run} hands {place} over, and {before} is not handled"
                ));
            }
            *done += 1;
        }
    }
    Ok(())
}
