//! Every stored commit follows the entity's preceding stored commit (P1, K1): it names that commit
//! first in its list, and its `before` is that commit's last version.

use super::{Oracle, Seen, View};
use crate::ledger::Placed;
use tenure_core::id::{Sequence, Version};

#[derive(Debug)]
pub(super) struct Predecessor;

impl Oracle for Predecessor {
    fn name(&self) -> &'static str {
        "predecessor"
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Stored {
                placed, previous, ..
            } => {
                let earlier: Vec<_> = view
                    .ledger
                    .history(&placed.subject)
                    .iter()
                    .rev()
                    .skip_while(|other| other.sequence >= placed.sequence)
                    .map(|other| other.sequence)
                    .collect();
                versions(placed, previous)?;
                list(placed, &earlier, view.plan.limits.chain_max)
            }
            Seen::Told(_)
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::Cluster(_)
            | Seen::End => Ok(()),
        }
    }
}

fn versions(placed: &Placed, previous: Option<&Placed>) -> Result<(), String> {
    let (subject, sequence, commit) = (&placed.subject, placed.sequence, &placed.commit);
    let last = previous.map_or(Version::ABSENT, |previous| previous.commit.last);
    if commit.before != last {
        return Err(format!(
            "{subject} at {sequence:?} says that it follows {:?}; the entity was at {last:?}",
            commit.before
        ));
    }
    let mut version = commit.before;
    for event in &commit.events {
        if event.version <= version {
            return Err(format!(
                "{subject} at {sequence:?}: {:?} does not rise above {version:?}",
                event.version
            ));
        }
        version = event.version;
    }
    if version != commit.last {
        return Err(format!(
            "{subject} at {sequence:?} says that it ends at {:?} and ends at {version:?}",
            commit.last
        ));
    }
    Ok(())
}

/// `earlier` are the sequences of all earlier commits, newest first.
fn list(placed: &Placed, earlier: &[Sequence], chain_max: usize) -> Result<(), String> {
    let (subject, sequence, commit) = (&placed.subject, placed.sequence, &placed.commit);
    let covered = commit.snapshot.map_or(Sequence::NONE, |it| it.sequence);
    if covered.is_some() && !earlier.contains(&covered) {
        return Err(format!(
            "{subject} at {sequence:?} names a snapshot up to {covered:?}, which is no commit of \
             the entity"
        ));
    }
    let owed: Vec<_> = earlier
        .iter()
        .copied()
        .take_while(|earlier| *earlier > covered)
        .take(chain_max)
        .collect();
    if *commit.earlier != owed {
        return Err(format!(
            "{subject} at {sequence:?} lists {:?}; the commits before it are {owed:?}",
            commit.earlier
        ));
    }
    Ok(())
}
