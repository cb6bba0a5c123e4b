//! What must be true of every group, each in a file of its own with the invariant or the promise that it is
//! of (DESIGN.md, `consumer::group::Group`).

mod again;
mod ahead;
mod alone;
mod continues;
mod lives;
mod past;
mod paused;
mod sequence;
#[cfg(test)]
mod tests;

pub(super) use past::Stored;

use super::super::book::Why;
use super::super::judge::Wanted;
use super::Crew;
use crate::oracle::{Class, Violation};
use past::Past;
use std::sync::MutexGuard;
use tenure_core::api::consumer::EventPlace;

/// What is wrong, if something is.
type Judged = Result<(), String>;

/// Asks each oracle.
pub(super) fn judge(crew: &Crew) -> Result<(), Violation> {
    let (sim, shape) = (&crew.post.sim, &crew.post.shape);
    let wanted = Wanted::of(shape, &sim.log()?);
    let (acts, stored) = (crew.post.book.acts(), read(crew)?);
    let past = Past::of(crew, &stored, (&wanted, &acts));
    let together = crew.post.book.together().map_or(Ok(()), Err);
    let oracles: [(&'static str, Judged); 9] = [
        ("together", together),
        ("sequence", sequence::judge(&past)),
        ("acts-alone", alone::judge(&past)),
        ("continues", continues::judge(&past)),
        ("ahead", ahead::judge(&past)),
        ("again", again::judge(&past)),
        ("lives", lives::judge(&past)),
        ("paused", paused::judge(&past)),
        ("ended", ended(&past)),
    ];
    let mut all = oracles.into_iter();
    let Some((oracle, Err(what))) = all.find(|(_, judged)| judged.is_err()) else {
        return Ok(());
    };
    for (at, act) in &acts {
        sim.note(&format!("{} at {at}: {act:?}", shape.name));
    }
    Err(broken(crew, oracle, &what))
}

/// What is not done with, each event in the life that the group is in.
pub(super) fn missing(crew: &Crew, wanted: &Wanted) -> Result<Vec<EventPlace>, Violation> {
    let (acts, stored) = (crew.post.book.acts(), read(crew)?);
    Ok(Past::of(crew, &stored, (wanted, &acts)).missing())
}

/// What was stored of a group by now.
fn read(crew: &Crew) -> Result<MutexGuard<'_, Stored>, Violation> {
    let mut stored = crew.stored();
    let more = crew.post.sim.stage.records(stored.read);
    let read = stored.read_on(&crew.post.shape.name, &more);
    read.map_err(|what| broken(crew, "format", &what))?;
    Ok(stored)
}

fn broken(crew: &Crew, oracle: &'static str, what: &str) -> Violation {
    let name = &crew.post.shape.name;
    Violation {
        class: Class::Safety,
        oracle,
        what: format!("{name}: {what}"),
    }
}

/// A node's part ends as it is told to, with its node, or over what the store says.
fn ended(past: &Past<'_>) -> Judged {
    let other = past.ends().find_map(|(run, why)| match why {
        Why::Stopped | Why::Store => None,
        Why::Superseded | Why::TailLost | Why::Poison | Why::Other(_) => Some((run, why)),
    });
    other.map_or(Ok(()), |(run, why)| {
        Err(format!("run {run} ended without a reason: {why:?}"))
    })
}
