//! A command is decided only from the state that its commit follows (L2, S5): each event carries
//! the digest of the state that it was decided on.

use super::{Oracle, Seen, View};

#[derive(Debug)]
pub(super) struct Decision;

impl Oracle for Decision {
    fn name(&self) -> &'static str {
        "decision"
    }

    fn judge(&mut self, _: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Stored { placed, .. } => {
                let mut current = None;
                let records = placed.commit.events.iter().zip(&placed.events);
                for ((record, event), before) in records.zip(&placed.states) {
                    let expected = match current {
                        Some((ticket, index, seen)) if ticket == event.ticket => (index + 1, seen),
                        Some(_) | None => (0, before.digest),
                    };
                    if (event.index, event.seen) != expected {
                        return Err(format!(
                            "{} at {:?}: event {:?} of {:?} was not decided on the state before it",
                            placed.subject, placed.sequence, record.version, event.ticket
                        ));
                    }
                    current = Some((event.ticket, event.index, event.seen));
                }
                Ok(())
            }
            Seen::Told(_)
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::Cluster(_)
            | Seen::End => Ok(()),
        }
    }
}
