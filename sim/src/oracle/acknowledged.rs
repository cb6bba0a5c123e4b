//! An acknowledged commit is in the log once, whole, and for good (P1). That it stays there is
//! checked by comparing the store with the ledger.

use super::{Oracle, Seen, View};
use crate::history::Asked;
use crate::ledger::Ledger;
use tenure_core::id::{Sequence, Version};
use tenure_core::log::{Reply, Verdict};
use tenure_core::port::Subject;

#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    commits: Vec<(String, Subject, Sequence)>,
}

impl Oracle for Acknowledged {
    fn name(&self) -> &'static str {
        "acknowledged"
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Told(asked) => {
                let Some((version, sequence)) = committed(asked) else {
                    return Ok(());
                };
                if asked.voided {
                    return Ok(());
                }
                let subject = &asked.entity.subject;
                let stream = whole(view.ledger, asked, version, sequence)?;
                self.commits.push((stream, subject.clone(), sequence));
                Ok(())
            }
            Seen::LostTail { stream, keep_up_to } => {
                self.commits
                    .retain(|(of, _, sequence)| of != stream || *sequence <= keep_up_to);
                Ok(())
            }
            Seen::End => {
                for (_, subject, sequence) in &self.commits {
                    if view.ledger.commit_at(subject, *sequence).is_none() {
                        return Err(format!(
                            "{subject} at {sequence:?} was acknowledged and is gone"
                        ));
                    }
                }
                Ok(())
            }
            Seen::Stored { .. } | Seen::Deleted { .. } | Seen::Cluster(_) => Ok(()),
        }
    }
}

fn committed(asked: &Asked) -> Option<(Version, Sequence)> {
    match asked.told.as_ref()?.reply {
        Reply::Committed { version, sequence } => Some((version, sequence)),
        Reply::Nothing { .. } | Reply::Found { .. } | Reply::Read { .. } | Reply::Refused(_) => {
            None
        }
    }
}

/// The stream of the commit, if it holds all events of the command and nothing is missing.
fn whole(
    ledger: &Ledger,
    asked: &Asked,
    version: Version,
    sequence: Sequence,
) -> Result<String, String> {
    let (ticket, subject) = (asked.ticket, &asked.entity.subject);
    let Some(placed) = ledger.commit_at(subject, sequence) else {
        return Err(format!(
            "{ticket:?} was told that {subject} is stored at {sequence:?}; it is not"
        ));
    };
    let answer = asked.told.as_ref().and_then(|told| told.answer.as_ref());
    let Some(Verdict::Accepted { events, .. }) = answer.and_then(|it| it.verdict.as_ref()) else {
        return Err(format!("{ticket:?} is committed and was never accepted"));
    };
    let stored: Vec<_> = placed
        .commit
        .events
        .iter()
        .zip(&placed.events)
        .filter_map(|(record, event)| (event.ticket == ticket).then_some(record))
        .collect();
    let equal = stored.len() == events.len()
        && stored
            .iter()
            .zip(events)
            .all(|(stored, decided)| stored.data == decided.data && stored.name == decided.name);
    if !equal {
        return Err(format!(
            "{ticket:?} decided {} events; {} of them are at {sequence:?} of {subject}",
            events.len(),
            stored.len()
        ));
    }
    let last = answer.map(|answer| answer.after.version);
    if last != Some(version) {
        return Err(format!(
            "{ticket:?} was told {version:?}; the host's state after it is at {last:?}"
        ));
    }
    Ok(placed.stream.clone())
}
