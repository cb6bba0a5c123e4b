//! After everything healed, each ticket of a living node has its reply, the last round is served,
//! and what hosts answer is what replay gives (P8).

use super::{Class, Oracle, Seen, View};
use crate::history::Asked;
use tenure_core::format::WriteMode;
use tenure_core::log::{Refusal, Reply};

#[derive(Debug)]
pub(super) struct Convergence;

impl Oracle for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn class(&self) -> Class {
        Class::Liveness
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::End => view.history.iter().try_for_each(|asked| judge(view, asked)),
            Seen::Stored { .. }
            | Seen::Told(_)
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::Cluster(_) => Ok(()),
        }
    }
}

fn judge(view: View<'_>, asked: &Asked) -> Result<(), String> {
    let (ticket, subject) = (asked.ticket, &asked.entity.subject);
    let Some(told) = &asked.told else {
        if asked.lost {
            return Ok(());
        }
        return Err(format!("{ticket:?} of {subject} never got a reply"));
    };
    if !asked.last_round {
        return Ok(());
    }
    // Of a log that two owners wrote nobody goes on (S12).
    let void = view.unfenced.contains(&asked.entity.shard);
    match (&told.reply, asked.entity.mode) {
        (Reply::Read { .. } | Reply::Refused(Refusal::Damaged(_)), _) if void => Ok(()),
        (Reply::Committed { .. }, _) => Ok(()),
        (Reply::Refused(Refusal::NotOwner), WriteMode::Owned) if !asked.owner => Ok(()),
        // A node that does not know yet that it lost the shard meets the owner's batch in process,
        // and cannot tell by whom its own was refused.
        (Reply::Refused(Refusal::Unknown), WriteMode::Owned)
            if !asked.owner && view.plan.replicated =>
        {
            Ok(())
        }
        // A lost tail may be noticed as late as this, and then leaves doubts.
        (Reply::Refused(Refusal::Unknown), _) if view.tail_lost => Ok(()),
        (Reply::Read { .. }, _) => {
            let held = told.answer.as_ref().map(|answer| answer.on);
            // Timers fire on after the last question: then it is the state at that time, or later.
            let replayed = match held.filter(|_| view.plan.later) {
                Some(held) if held.version >= view.ledger.version_at(subject, asked.at) => {
                    view.ledger.state_at(subject, held.version)
                }
                Some(_) | None => None,
            };
            let replayed = replayed.unwrap_or_else(|| view.ledger.state(subject));
            if held == Some(replayed) {
                Ok(())
            } else {
                Err(format!(
                    "{ticket:?} reads {held:?} of {subject}; replay gives {replayed:?}"
                ))
            }
        }
        (
            Reply::Nothing { .. } | Reply::Found { .. } | Reply::Refused(_),
            WriteMode::Direct | WriteMode::Owned,
        ) => Err(format!(
            "{ticket:?} of {subject} was told {:?} though everything had healed",
            told.reply
        )),
    }
}
