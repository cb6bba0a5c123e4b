//! What must be true of every group, each in a file of its own with the invariant or the promise that it is
//! of (DESIGN.md, `consumer::group::Group`).

mod again;
mod ahead;
mod alone;
mod continues;
mod past;
mod sequence;
#[cfg(test)]
mod tests;

use super::super::book::Why;
use super::super::judge::Wanted;
use super::Crew;
use crate::oracle::{Class, Violation};
use past::Past;

/// What is wrong, if something is.
type Judged = Result<(), String>;

/// Asks each oracle.
pub(super) fn judge(crew: &Crew) -> Result<(), Violation> {
    let (sim, shape) = (&crew.post.sim, &crew.post.shape);
    let wanted = Wanted::of(shape, &sim.log()?);
    let acts = crew.post.book.acts();
    let nodes = crew.parts().nodes.clone();
    let records = past::records(&shape.name, &sim.stage.records());
    let void = sim.voids().leases();
    let past = records.map(|records| Past {
        acts: &acts,
        nodes,
        records,
        void,
        handled: super::super::judge::Past::new(shape, &wanted, &acts),
        partitions: crew.count(),
    });
    let judged = past.map_err(|what| ("format", what)).and_then(|past| {
        let together = crew.post.book.together().map_or(Ok(()), Err);
        let oracles: [(&'static str, Judged); 7] = [
            ("together", together),
            ("sequence", sequence::judge(&past)),
            ("acts-alone", alone::judge(&past)),
            ("continues", continues::judge(&past)),
            ("ahead", ahead::judge(&past)),
            ("again", again::judge(&past)),
            ("ended", ended(&past)),
        ];
        let told = |(oracle, judged): (_, Judged)| judged.map_err(|what| (oracle, what));
        oracles.into_iter().try_for_each(told)
    });
    let Err((oracle, what)) = judged else {
        return Ok(());
    };
    for (at, act) in &acts {
        sim.note(&format!("{} at {at}: {act:?}", shape.name));
    }
    Err(Violation {
        class: Class::Safety,
        oracle,
        what: format!("{}: {what}", shape.name),
    })
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
