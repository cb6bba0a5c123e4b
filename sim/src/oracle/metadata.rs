//! What a command said of itself is stored with its events, and with nobody else's (P1): each event
//! of a commit, and each of its commands, has the metadata of the ticket that it was decided for.

use super::once::decided_for;
use super::{Oracle, Seen, View};
use crate::host::metadata;
use crate::ledger::Placed;

#[derive(Debug)]
pub(super) struct Metadata;

impl Oracle for Metadata {
    fn name(&self) -> &'static str {
        "metadata"
    }

    fn judge(&mut self, _: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Stored { placed, .. } => stored(placed),
            Seen::Told(_)
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::Cluster(_)
            | Seen::End => Ok(()),
        }
    }
}

fn stored(placed: &Placed) -> Result<(), String> {
    let (subject, sequence, commit) = (&placed.subject, placed.sequence, &placed.commit);
    for (index, event) in placed.events.iter().enumerate() {
        let said = metadata(event.ticket);
        if commit.metadata_of(index) != said.as_ref() {
            return Err(format!(
                "{subject} at {sequence:?} holds an event of {:?} with {:?}; it said {said:?}",
                event.ticket,
                commit.metadata_of(index)
            ));
        }
    }
    for (index, command) in commit.commands.iter().enumerate() {
        let said = decided_for(&command.outcome).and_then(metadata);
        let mut records = commit.metadata.iter();
        let record = records.find(|record| record.command == Some(index));
        if record.map(|record| &record.metadata) != said.as_ref() {
            return Err(format!(
                "{subject} at {sequence:?} holds command {} with {record:?}; it said {said:?}",
                command.id
            ));
        }
    }
    Ok(())
}
