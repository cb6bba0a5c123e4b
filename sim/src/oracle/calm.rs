//! While nothing goes wrong, no caller fails: who joins, leaves or hands over is not felt (S17), by
//! anyone who can wait for as long as it takes.

use super::{Oracle, Seen, View};
use crate::history::Asked;
use crate::profile::Profile;
use tenure_core::Span;
use tenure_core::log::{Refusal, Reply};

/// What a hand-over may take.
const PATIENCE: Span = Span::from_millis(500);

#[derive(Debug)]
pub(super) struct Calm;

impl Oracle for Calm {
    fn name(&self) -> &'static str {
        "calm"
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Told(asked) if view.plan.profile == Profile::Cluster => judge(view, asked),
            Seen::Told(_)
            | Seen::Stored { .. }
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::Cluster(_)
            | Seen::End => Ok(()),
        }
    }
}

/// Whoever is refused because too much is asked at once was not failed by a movement.
fn judge(view: View<'_>, asked: &Asked) -> Result<(), String> {
    let Some(told) = &asked.told else {
        return Ok(());
    };
    let failed = match &told.reply {
        Reply::Refused(Refusal::Unknown | Refusal::NotOwner | Refusal::Deadline) => true,
        Reply::Refused(_)
        | Reply::Committed { .. }
        | Reply::Nothing { .. }
        | Reply::Found { .. }
        | Reply::Read { .. } => false,
    };
    let patient = asked.due - asked.at >= PATIENCE.as_nanos();
    // The first nodes have to join first, and to settle.
    let begun = asked.at >= view.plan.calm_from().as_nanos();
    if failed && patient && begun {
        return Err(format!(
            "{:?} of {} is told {:?} after {}, though nothing went wrong",
            asked.ticket,
            asked.entity.subject,
            told.reply,
            Span::from_nanos(told.at - asked.at)
        ));
    }
    Ok(())
}
