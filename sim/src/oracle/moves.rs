//! While nothing goes wrong, shards move to nodes that join and from nodes that leave, and never
//! between two that stay: so a join moves its share and no more.

use super::{Happened, Oracle, Seen, View};
use crate::ledger::Claim;
use crate::profile::Profile;
use tenure_core::Span;

/// How long it takes until every node knows of one that joined.
const KNOWN_AFTER: Span = Span::from_secs(3);

#[derive(Debug)]
pub(super) struct Moves;

impl Oracle for Moves {
    fn name(&self) -> &'static str {
        "moves"
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Cluster(Happened::Claimed { shard, claims })
                if view.plan.profile == Profile::Cluster =>
            {
                moved(view, shard, claims)
            }
            Seen::Cluster(_)
            | Seen::Stored { .. }
            | Seen::Told(_)
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::End => Ok(()),
        }
    }
}

fn moved(view: View<'_>, shard: usize, claims: &[Claim]) -> Result<(), String> {
    let [.., before, now] = claims else {
        return Ok(());
    };
    let (Some(from), Some(to)) = (before.owner, now.owner) else {
        return Ok(());
    };
    let (Some(from), Some(to)) = (view.lives.run(from), view.lives.run(to)) else {
        return Err(format!("s{shard} is a stranger's"));
    };
    if from.place == to.place || from.drains.is_some() || from.ended.is_some() {
        return Ok(());
    }
    let known = to.joined.map(|at| at + KNOWN_AFTER.as_nanos());
    if known.is_some_and(|known| known < before.at) {
        return Err(format!(
            "s{shard} moves from {:?} to {:?}, which both stay",
            from.place, to.place
        ));
    }
    Ok(())
}
