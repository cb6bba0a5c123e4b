//! An event that was put aside is there as a dead letter until it is handled or removed (C1).

use super::super::book::Act;
use super::past::Past;
use super::{Judged, Known};
use std::collections::BTreeSet;
use tenure_core::api::consumer::{EventPlace, Then};

pub(super) fn judge(past: &Past<'_>, known: &Known) -> Judged {
    if past.shape.policy.then != Then::DeadLetter {
        return Ok(());
    }
    let mut asked: BTreeSet<EventPlace> = BTreeSet::new();
    for (_, act) in past.acts {
        if let Act::Letter { place, .. } = act {
            asked.insert(*place);
        }
    }
    let all = (0, past.acts.len());
    let lost = past.wanted.places.keys().find(|place| {
        !past.is_handled(**place, all) && !known.letters.contains(place) && !asked.contains(place)
    });
    match lost {
        None => Ok(()),
        Some(place) => Err(format!(
            "{place} is neither handled nor among the dead letters"
        )),
    }
}
