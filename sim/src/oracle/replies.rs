//! Replies make sense: nobody is told that the log is damaged while nothing damaged it, nor that
//! nothing happened for a reason that was not there. That each ticket has exactly one reply (L6) is
//! checked where replies arrive; that it comes in time, here and by `convergence`.

use super::{Class, Oracle, Seen, View};
use tenure_core::Span;
use tenure_core::log::{Refusal, Reply};
use tenure_core::port::Refused;

/// How much later than its deadline a reply may leave.
pub(super) const SLACK: Span = Span::from_millis(50);

#[derive(Debug)]
pub(super) struct Replies;

impl Oracle for Replies {
    fn name(&self) -> &'static str {
        "replies"
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        let asked = match seen {
            Seen::Told(asked) => asked,
            Seen::Stored { .. }
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::Cluster(_)
            | Seen::End => {
                return Ok(());
            }
        };
        let Some(told) = &asked.told else {
            return Ok(());
        };
        let wrong = match &told.reply {
            Reply::Refused(Refusal::Damaged(_)) => !view.tail_lost,
            Reply::Refused(Refusal::Store(
                Refused::NoSpace | Refused::Denied(_) | Refused::DuplicateInBatch,
            )) => view.plan.faults.full == 0,
            Reply::Refused(Refusal::Fold(_) | Refusal::Store(_)) => true,
            Reply::Refused(Refusal::Deadline) => {
                // The owner's clock may be the faster one.
                !asked.untimed && told.at + view.plan.drift_over(asked.due - asked.at) < asked.due
            }
            Reply::Refused(Refusal::Expired { horizon }) => {
                asked.wish.id.is_none_or(|id| id.time() > *horizon)
            }
            Reply::Refused(Refusal::Ahead {
                ahead_ms,
                ahead_max_ms,
            }) => ahead_ms <= ahead_max_ms,
            Reply::Refused(_) => false,
            Reply::Committed { .. } | Reply::Nothing { .. } | Reply::Found { .. } => {
                asked.wish.command.is_none()
            }
            Reply::Read { .. } => asked.wish.command.is_some(),
        };
        if wrong {
            return Err(format!("{:?} was told {:?}", asked.ticket, told.reply));
        }
        Ok(())
    }
}

/// That replies leave in time, on nodes that were not stopped meanwhile.
#[derive(Debug)]
pub(super) struct InTime;

impl Oracle for InTime {
    fn name(&self) -> &'static str {
        "in-time"
    }

    fn class(&self) -> Class {
        Class::Liveness
    }

    fn judge(&mut self, _: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        let asked = match seen {
            Seen::Told(asked) => asked,
            Seen::Stored { .. }
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::Cluster(_)
            | Seen::End => {
                return Ok(());
            }
        };
        let Some(told) = &asked.told else {
            return Ok(());
        };
        if asked.untimed {
            return Ok(());
        }
        let late = told.at.saturating_sub(asked.due + asked.stopped);
        if late > SLACK.as_nanos() {
            return Err(format!(
                "{:?} was told {:?} {} after its deadline",
                asked.ticket,
                told.reply,
                Span::from_nanos(late)
            ));
        }
        Ok(())
    }
}
