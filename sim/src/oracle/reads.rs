//! What a read (or a command that stored nothing, or met another version) was answered from was
//! committed, and is new enough: no older than what the same node acknowledged before; and where
//! the answer was confirmed by the store's one truth or by a barrier, no older than the question
//! (P5, L3).

use super::{Oracle, Seen, View};
use crate::history::Asked;
use tenure_core::format::WriteMode;
use tenure_core::id::{Sequence, Version};
use tenure_core::log::{Freshness, Refusal, Reply};

#[derive(Debug)]
pub(super) struct Reads;

impl Oracle for Reads {
    fn name(&self) -> &'static str {
        "reads"
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Told(asked) if !asked.voided => judge(view, asked),
            Seen::Told(_)
            | Seen::Stored { .. }
            | Seen::Deleted { .. }
            | Seen::LostTail { .. }
            | Seen::Cluster(_)
            | Seen::End => Ok(()),
        }
    }
}

fn judge(view: View<'_>, asked: &Asked) -> Result<(), String> {
    let Some(told) = &asked.told else {
        return Ok(());
    };
    let version = match told.reply {
        // A state that was committed once, of any age.
        Reply::Nothing {
            version,
            freshness: Freshness::Local,
        }
        | Reply::Read {
            version,
            freshness: Freshness::Local,
        } => return local(view, asked, version),
        Reply::Nothing { version, .. } | Reply::Read { version, .. } => version,
        Reply::Refused(Refusal::Conflict { actual }) => actual,
        Reply::Committed { .. } | Reply::Found { .. } | Reply::Refused(_) => return Ok(()),
    };
    let (ticket, subject) = (asked.ticket, &asked.entity.subject);
    let Some(answer) = &told.answer else {
        return Err(format!(
            "{ticket:?} has a reply at {version:?}, but the host never answered"
        ));
    };
    if answer.on.version != version {
        return Err(format!(
            "{ticket:?} was told {version:?}; the host answered from {:?}",
            answer.on.version
        ));
    }
    if view.ledger.state_at(subject, version) != Some(answer.on) {
        return Err(format!(
            "{ticket:?} was answered from a state of {subject} at {version:?} that was never \
             committed"
        ));
    }
    let own = acknowledged(view, subject, asked.acknowledged);
    if version < own {
        return Err(format!(
            "{ticket:?} was answered at {version:?} of {subject}; its node had acknowledged {own:?}"
        ));
    }
    let confirmed = match asked.entity.mode {
        WriteMode::Owned => true,
        WriteMode::Direct => !view.plan.replicated,
    };
    let now = view.ledger.version_at(subject, asked.at);
    if confirmed && version < now {
        return Err(format!(
            "{ticket:?} was answered at {version:?} of {subject}, which was at {now:?} already \
             when it was asked"
        ));
    }
    Ok(())
}

/// Only who asked for no more is answered from a state of any age, and then from one that was
/// committed.
fn local(view: View<'_>, asked: &Asked, version: Version) -> Result<(), String> {
    let (ticket, subject) = (asked.ticket, &asked.entity.subject);
    if asked.wish.command.is_none() && asked.wish.freshness != Freshness::Local {
        return Err(format!(
            "{ticket:?} asked for {:?} and was answered from any state",
            asked.wish.freshness
        ));
    }
    let answer = asked.told.as_ref().and_then(|told| told.answer.as_ref());
    let on = answer.map(|answer| answer.on);
    if on.is_some() && view.ledger.state_at(subject, version) == on {
        return Ok(());
    }
    Err(format!(
        "{ticket:?} was answered from {on:?} of {subject} at {version:?}, which was never committed"
    ))
}

fn acknowledged(view: View<'_>, subject: &str, sequence: Sequence) -> Version {
    view.ledger
        .commit_at(subject, sequence)
        .map_or(Version::ABSENT, |placed| placed.commit.last)
}
