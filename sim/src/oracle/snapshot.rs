//! A commit names a snapshot only when its body is stored, and the body holds what a replay up to
//! there comes to; a body that is current is never deleted on purpose, and one that was deleted is
//! never named (S20).

use super::{Oracle, Seen, View};
use crate::host::State;
use crate::ledger::Placed;
use tenure_core::format::LayoutKey;

#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) key: LayoutKey,
}

impl Oracle for Snapshot {
    fn name(&self) -> &'static str {
        "snapshot"
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        // What a lost tail took may be current again, and was named by what is not there any more.
        let lossy = view.tail_lost;
        match seen {
            Seen::Stored {
                placed, previous, ..
            } => {
                let before = previous.and_then(|previous| previous.commit.snapshot);
                if placed.commit.snapshot == before {
                    return Ok(());
                }
                self.named(view, placed, lossy)
            }
            Seen::Deleted { entity, body } if !lossy => {
                let last = view.ledger.history(entity).last();
                let current = last.and_then(|last| last.commit.snapshot);
                match current {
                    Some(named) if crate::bodies::body_subject(entity, &named) == body => Err(
                        format!("{body} was deleted while the last commit of {entity} names it"),
                    ),
                    Some(_) | None => Ok(()),
                }
            }
            Seen::Deleted { .. }
            | Seen::Told(_)
            | Seen::LostTail { .. }
            | Seen::Cluster(_)
            | Seen::End => Ok(()),
        }
    }
}

impl Snapshot {
    fn named(&self, view: View<'_>, placed: &Placed, lossy: bool) -> Result<(), String> {
        let (subject, sequence) = (&placed.subject, placed.sequence);
        let Some(named) = placed.commit.snapshot else {
            return Err(format!("{subject} at {sequence:?} forgets its snapshot"));
        };
        let Some(body) = view.bodies.named(subject, &named) else {
            return Err(format!(
                "{subject} at {sequence:?} names a snapshot whose body was never stored"
            ));
        };
        if body.deleted && !lossy {
            return Err(format!(
                "{subject} at {sequence:?} names a snapshot whose body was deleted"
            ));
        }
        if self.key.hash(&body.payload) != named.hash {
            return Err(format!(
                "{subject} at {sequence:?} names a snapshot by another hash than its body has"
            ));
        }
        let covered = view.ledger.commit_at(subject, named.sequence);
        let Some(covered) = covered.map(Placed::after) else {
            return Err(format!(
                "{subject} at {sequence:?} names a snapshot up to {:?}, where there is no commit",
                named.sequence
            ));
        };
        let held = State::decode(&body.snapshot.state);
        if held != Some(covered) {
            return Err(format!(
                "{subject} at {sequence:?} names a snapshot that holds {held:?}; a replay up to \
                 {:?} comes to {covered:?}",
                named.sequence
            ));
        }
        Ok(())
    }
}
