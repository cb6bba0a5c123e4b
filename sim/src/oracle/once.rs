//! A command takes effect at most once (P4); what a caller was told did not happen never does; a
//! stored outcome is the one that is told.

use super::{Oracle, Seen, View};
use crate::history::Asked;
use crate::host::effect_of;
use crate::ledger::Placed;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::id::{CommandId, Sequence, Ticket, Version};
use tenure_core::log::{Refusal, Reply};
use tenure_core::port::Subject;

#[derive(Debug, Default)]
pub(super) struct Once {
    commands: BTreeMap<(Subject, CommandId), Effect>,
    tickets: BTreeMap<Ticket, (String, Sequence)>,
    denied: BTreeSet<Ticket>,
}

#[derive(Debug)]
struct Effect {
    stream: String,
    sequence: Sequence,
    version: Version,
    outcome: Bytes,
}

impl Oracle for Once {
    fn name(&self) -> &'static str {
        "once"
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Stored { placed, .. } => self.stored(view, placed),
            Seen::Told(asked) => self.told(view, asked),
            Seen::LostTail { stream, keep_up_to } => {
                self.commands
                    .retain(|_, it| it.stream != stream || it.sequence <= keep_up_to);
                self.tickets
                    .retain(|_, (of, sequence)| of != stream || *sequence <= keep_up_to);
                Ok(())
            }
            Seen::Deleted { .. } | Seen::Cluster(_) | Seen::End => Ok(()),
        }
    }
}

impl Once {
    fn stored(&mut self, view: View<'_>, placed: &Placed) -> Result<(), String> {
        let (subject, sequence) = (&placed.subject, placed.sequence);
        let mut tickets = BTreeSet::new();
        tickets.extend(placed.events.iter().map(|event| event.ticket));
        for command in &placed.commit.commands {
            if command.outcome.is_empty() {
                // Of a timer, whose reply nobody gets.
                continue;
            }
            let ticket = decided_for(&command.outcome)
                .ok_or_else(|| format!("{subject} at {sequence:?} holds a foreign outcome"))?;
            tickets.insert(ticket);
            if effect_of(ticket) == crate::host::Effect::Message {
                // Nobody asked for it: its commit did.
                continue;
            }
            let wished = view.history.asked(ticket).and_then(|asked| asked.wish.id);
            if wished != Some(command.id) {
                return Err(format!(
                    "{subject} at {sequence:?} holds {ticket:?} under {}; it was asked under \
                     {wished:?}",
                    command.id
                ));
            }
            let effect = Effect {
                stream: placed.stream.clone(),
                sequence,
                version: command.version,
                outcome: command.outcome.clone(),
            };
            let first = self.commands.insert((subject.clone(), command.id), effect);
            if let Some(first) = first {
                return Err(format!(
                    "command {} of {subject} took effect at {:?} and again at {sequence:?}",
                    command.id, first.sequence
                ));
            }
        }
        for ticket in tickets {
            if self.denied.contains(&ticket) {
                return Err(format!(
                    "{ticket:?} was told that nothing happened, and is at {sequence:?} of {subject}"
                ));
            }
            let place = (placed.stream.clone(), sequence);
            if let Some((_, first)) = self.tickets.insert(ticket, place) {
                return Err(format!(
                    "{ticket:?} of {subject} took effect at {first:?} and again at {sequence:?}"
                ));
            }
        }
        Ok(())
    }

    fn told(&mut self, view: View<'_>, asked: &Asked) -> Result<(), String> {
        let ticket = asked.ticket;
        let Some(told) = &asked.told else {
            return Ok(());
        };
        let stored = asked
            .wish
            .id
            .and_then(|id| self.commands.get(&(asked.entity.subject.clone(), id)));
        match &told.reply {
            Reply::Committed { version, .. } => {
                let outcome = told.answer.as_ref().and_then(|answer| answer.outcome());
                match stored {
                    Some(it) if Some(&it.outcome) != outcome || it.version != *version => {
                        Err(format!(
                            "{ticket:?} was told another outcome than what is stored at {:?}",
                            it.sequence
                        ))
                    }
                    None if asked.wish.id.is_some() && !asked.voided => Err(format!(
                        "{ticket:?} is committed, but its command id is not stored"
                    )),
                    Some(_) | None => Ok(()),
                }
            }
            Reply::Found { version, outcome } => match stored {
                Some(it) if it.outcome == outcome && it.version == *version => Ok(()),
                // It was stored once; the node does not know of the loss yet.
                Some(_) | None if view.tail_lost => Ok(()),
                Some(it) => Err(format!(
                    "{ticket:?} found another outcome than what is stored at {:?}",
                    it.sequence
                )),
                None => Err(format!("{ticket:?} found a command that is not stored")),
            },
            Reply::Nothing { .. } => self.deny(ticket, &told.reply),
            Reply::Refused(Refusal::Unknown) | Reply::Read { .. } => Ok(()),
            Reply::Refused(_) => self.deny(ticket, &told.reply),
        }
    }

    fn deny(&mut self, ticket: Ticket, reply: &Reply) -> Result<(), String> {
        self.denied.insert(ticket);
        match self.tickets.get(&ticket) {
            None => Ok(()),
            Some((_, sequence)) => Err(format!(
                "{ticket:?} is stored at {sequence:?}, and was told {reply:?}"
            )),
        }
    }
}

/// The ticket that an outcome was decided for.
pub(super) fn decided_for(outcome: &Bytes) -> Option<Ticket> {
    let ticket = outcome.get(..8)?.try_into().ok()?;
    Some(Ticket(u64::from_be_bytes(ticket)))
}
