//! What a handler made of the events, with a checkpoint in its own state, is what a replay from nothing
//! makes of them (P6).

use super::super::table::Folded;
use super::{Judged, Known, Wanted};

pub(super) fn judge(wanted: &Wanted, known: &Known) -> Judged {
    let made = [
        ("a replay from nothing", &known.replayed),
        ("the projection", &known.folded),
    ];
    let made = made
        .into_iter()
        .filter_map(|(what, it)| Some((what, it.as_ref()?)));
    for (what, folded) in made {
        compare(what, folded, &wanted.folded)?;
    }
    Ok(())
}

fn compare(what: &str, one: &Folded, log: &Folded) -> Judged {
    let differs = |key: &&(String, String)| one.get(*key) != log.get(*key);
    match one.keys().chain(log.keys()).find(differs) {
        None => Ok(()),
        Some(key) => {
            let (kind, id) = key;
            let (held, said) = (one.get(key), log.get(key));
            Err(format!(
                "{what} has {held:?} of {kind} {id}, and the log {said:?}"
            ))
        }
    }
}
