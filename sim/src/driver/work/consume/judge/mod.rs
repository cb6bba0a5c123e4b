//! What must be true of every consumer, each in a file of its own with the invariant or the promise that
//! it is of (DESIGN.md, `consumer::Consumer`).

mod ahead;
mod ended;
mod kept;
mod letters;
mod live;
mod lives;
mod order;
mod past;
mod projection;
mod skipped;
#[cfg(test)]
mod tests;
mod together;
mod wanted;

pub(super) use past::{Past, takes_in};
pub(super) use wanted::Wanted;

use super::Post;
use super::book::Act;
use super::table::Folded;
use crate::oracle::{Class, Violation};
use std::collections::BTreeSet;
use tenure_core::api::consumer::EventPlace;

/// What is known at the end, beside what came about.
#[derive(Debug)]
pub(super) struct Known {
    /// The events of the dead letters that are there.
    pub(super) letters: BTreeSet<EventPlace>,
    /// A stream of events lost its end: the consumer began anew after that.
    pub(super) lost: bool,
    /// A replica that lags may have told where a stream ends.
    pub(super) replicated: bool,
    /// What the handler made of the events, where it keeps that.
    pub(super) folded: Option<Folded>,
    /// What a replay from nothing made of them, where there was one.
    pub(super) replayed: Option<Folded>,
}

/// What is wrong, if something is.
type Judged = Result<(), String>;

/// The events that it has not handled, nor given up as its policy says.
pub(super) fn missing(post: &Post, wanted: &Wanted) -> Vec<EventPlace> {
    let acts = post.book.acts();
    let past = Past::new(&post.shape, wanted, &acts);
    past.missing()
}

/// Asks each oracle.
pub(super) fn judge(post: &Post, wanted: &Wanted, known: &Known) -> Result<(), Violation> {
    let mut acts = post.book.acts();
    if known.lost {
        // What was before is of a log that is not there any more.
        let begins = |(_, act): &(u64, Act)| matches!(act, Act::Begins { reset: true, .. });
        acts.drain(..acts.iter().rposition(begins).unwrap_or(0));
        if let Some((_, Act::Begins { run: first, .. })) = acts.first() {
            let first = *first;
            acts.retain(|(_, act)| act.run() >= first);
        }
    }
    let past = Past::new(&post.shape, wanted, &acts);
    let oracles: [(&'static str, Judged); 9] = [
        ("together", together::judge(&post.book)),
        ("order", order::judge(&past)),
        ("skipped", skipped::judge(&past)),
        ("ahead", ahead::judge(&past)),
        ("kept", kept::judge(&past)),
        ("live", live::judge(&past, known)),
        ("lives", lives::judge(&past)),
        ("letters", letters::judge(&past, known)),
        ("ended", ended::judge(&past, known)),
    ];
    let projected = ("projection", projection::judge(wanted, known));
    let mut all = oracles.into_iter().chain([projected]);
    let Some((oracle, Err(what))) = all.find(|(_, judged)| judged.is_err()) else {
        return Ok(());
    };
    for (at, act) in &acts {
        post.sim
            .note(&format!("{} at {at}: {act:?}", post.shape.name));
    }
    Err(Violation {
        class: Class::Safety,
        oracle,
        what: format!("{}: {what}", post.shape.name),
    })
}
