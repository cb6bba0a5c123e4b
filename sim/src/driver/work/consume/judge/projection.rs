//! What a handler made of the events, with a checkpoint in its own state, is what a replay from nothing
//! makes of them (P6).

use super::super::table::Folded;
use super::{Judged, Known, Wanted};

pub(super) fn judge(wanted: &Wanted, known: &Known) -> Judged {
    compare("a replay from nothing", &known.replayed, &wanted.folded)?;
    let folded = known.folded.as_ref();
    folded.map_or(Ok(()), |it| compare("the projection", it, &wanted.folded))
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
