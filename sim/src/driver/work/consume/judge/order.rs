//! Within a run the events of an entity come in the log's order, none is left out, and none comes again
//! that was handled (C1, C2). Where the checkpoint is with the handler's state that is so over all runs, of
//! what was taken in (P6).

use super::super::book::Act;
use super::Judged;
use super::past::Past;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::api::consumer::EventPlace;

/// How far a run is.
#[derive(Default)]
struct Run {
    /// The next event of each entity.
    next: BTreeMap<usize, usize>,
    /// What it was told is handled.
    told: BTreeSet<EventPlace>,
    /// It may be on its way back.
    goes_back: bool,
    /// Dead letters that somebody wanted of it.
    letters: BTreeSet<EventPlace>,
}

pub(super) fn judge(past: &Past<'_>) -> Judged {
    match past.shape.keeps {
        true => taken_in(past),
        false => handed_over(past),
    }
}

fn taken_in(past: &Past<'_>) -> Judged {
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    for (_, act) in past.acts {
        let Act::Handled { run, place } = act else {
            continue;
        };
        let (entity, nth) = known(past, *run, *place)?;
        let next = next.entry(entity).or_default();
        if nth != *next {
            let wanted = past.wanted.entities[entity][*next];
            return Err(format!("run {run} takes {place} in, and {wanted} is next"));
        }
        *next += 1;
    }
    Ok(())
}

/// The entity of an event, and the how manieth of that it is.
fn known(past: &Past<'_>, run: u64, place: EventPlace) -> Result<(usize, usize), String> {
    let known = past.wanted.places.get(&place).copied();
    known.ok_or_else(|| format!("run {run} hands {place} over, which it does not read"))
}

fn handed_over(past: &Past<'_>) -> Judged {
    let mut runs: BTreeMap<u64, Run> = BTreeMap::new();
    for (n, (_, act)) in past.acts.iter().enumerate() {
        let number = act.run();
        let run = runs.entry(number).or_default();
        match act {
            Act::Handed { place, .. } => run.handed(past, (number, n), *place)?,
            Act::Told { place, .. } => run.told(past, *place),
            Act::Rewinds { .. } => run.goes_back = true,
            Act::Rewound { .. } | Act::NotRewound { .. } => {
                // What came since may be of either life.
                run.goes_back = false;
                run.next.clear();
                run.told.clear();
            }
            Act::Letter { place, .. } => drop(run.letters.insert(*place)),
            Act::Begins { .. }
            | Act::Handled { .. }
            | Act::Failed { .. }
            | Act::Saved { .. }
            | Act::Live { .. }
            | Act::Ended { .. } => {}
        }
    }
    Ok(())
}

impl Run {
    fn told(&mut self, past: &Past<'_>, place: EventPlace) {
        self.told.insert(place);
        // A letter is done at any time, also before the run comes to it in a new life.
        if self.letters.contains(&place) {
            return;
        }
        if let Some((entity, nth)) = past.wanted.places.get(&place).copied()
            && let Some(next) = self.next.get_mut(&entity)
        {
            *next = (*next).max(nth + 1);
        }
    }

    fn handed(&mut self, past: &Past<'_>, (run, n): (u64, usize), place: EventPlace) -> Judged {
        let (entity, nth) = known(past, run, place)?;
        if self.letters.contains(&place) {
            return Ok(());
        }
        if self.goes_back {
            return Ok(());
        }
        if self.told.contains(&place) {
            return Err(format!("run {run} hands {place} over, which was handled"));
        }
        let next = self.next.entry(entity).or_insert(nth);
        if nth < *next {
            let last = past.wanted.entities[entity][*next - 1];
            return Err(format!("run {run} hands {place} over after {last}"));
        }
        let between = &past.wanted.entities[entity][*next..nth];
        let left = |place: &&EventPlace| {
            !self.letters.contains(*place) && !past.is_given_up(**place, (0, n))
        };
        if let Some(left) = between.iter().find(left) {
            return Err(format!("run {run} hands {place} over before {left}"));
        }
        *next = nth;
        Ok(())
    }
}
