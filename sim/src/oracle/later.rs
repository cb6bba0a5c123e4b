//! What a commit leaves to be done later is done once (P7): a timer that is armed and not cancelled
//! fires once for each time that it is due, not before; a message of a stored commit has one effect at
//! its receiver; nothing else has an effect.

use super::{Oracle, Seen, View};
use crate::host::{Effect, effect_of, firing_ticket, message_ticket, whose};
use crate::ledger::Placed;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::format::Timer;
use tenure_core::id::{Sequence, Ticket, WallTime};
use tenure_core::name::TimerName;
use tenure_core::port::Subject;

/// What may lie between the time at which a timer is due and its firing, once all is well.
const SLACK_MS: u64 = 5_000;

#[derive(Debug, Default)]
pub(super) struct Later {
    armed: BTreeMap<(Subject, TimerName), (usize, Timer)>,
    /// Messages of stored commits: the ticket of their effect, where they were stored, and their
    /// receiver's name.
    sent: BTreeMap<Ticket, Sent>,
    done: BTreeSet<Ticket>,
    /// A stream lost its tail: what is left of it is judged no more.
    void: bool,
}

#[derive(Debug)]
struct Sent {
    /// The sender's shard, by its index in the plan.
    shard: usize,
    from: Subject,
    at: Sequence,
    /// The end of the receiver's subject.
    to: String,
}

impl Oracle for Later {
    fn name(&self) -> &'static str {
        "later"
    }

    fn sees_all(&self) -> bool {
        true
    }

    fn judge(&mut self, view: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::LostTail { .. } => {
                self.void = true;
                Ok(())
            }
            _ if self.void => Ok(()),
            Seen::Stored { placed, shard, .. } => self.stored(view, shard, placed),
            Seen::End => self.end(view),
            Seen::Told(_) | Seen::Deleted { .. } | Seen::Cluster(_) => Ok(()),
        }
    }
}

impl Later {
    fn stored(&mut self, view: View<'_>, shard: usize, placed: &Placed) -> Result<(), String> {
        let (subject, commit, wall_max) = (&placed.subject, &placed.commit, view.walls.1);
        let void = view.unfenced.contains(&shard);
        let at = || format!("{subject} at {:?}", placed.sequence);
        for event in &placed.events {
            match effect_of(event.ticket) {
                Effect::Command => {}
                // It may be stored twice where two owners do; what it sends is sent all the same.
                Effect::Firing | Effect::Message if void => {
                    self.done.insert(event.ticket);
                }
                Effect::Firing => self.fired(placed, event.ticket, wall_max)?,
                Effect::Message => {
                    let Some(sent) = self.sent.get(&event.ticket) else {
                        return Err(format!("{} is the effect of a message of no commit", at()));
                    };
                    if !subject.ends_with(&sent.to) {
                        return Err(format!(
                            "{} is the effect of a message to {}",
                            at(),
                            sent.to
                        ));
                    }
                    if !self.done.insert(event.ticket) {
                        return Err(format!(
                            "{} is the second effect of a message of {} at {:?}",
                            at(),
                            sent.from,
                            sent.at
                        ));
                    }
                }
            }
        }
        let Some(later) = &commit.later else {
            return Ok(());
        };
        for name in &later.cancelled {
            self.armed.remove(&(subject.clone(), name.clone()));
        }
        for timer in &later.armed {
            let key = (subject.clone(), timer.name.clone());
            self.armed.insert(key, (shard, timer.clone()));
        }
        for intent in &later.sends {
            let sent = Sent {
                shard,
                from: subject.clone(),
                at: placed.sequence,
                to: format!(".{}.{}", intent.kind, escaped(intent.entity.as_str())),
            };
            self.sent.insert(message_ticket(&intent.message), sent);
        }
        Ok(())
    }

    /// A timer's event: it must have been armed, so, until this commit, and be due.
    fn fired(&self, placed: &Placed, ticket: Ticket, wall_max: WallTime) -> Result<(), String> {
        let Placed {
            subject,
            sequence,
            commit,
            ..
        } = placed;
        let timers = self.armed.iter().filter(|((of, _), _)| of == subject);
        let mut timers = timers.map(|(_, (_, timer))| timer);
        let Some(timer) = timers.find(|timer| firing_ticket(timer) == ticket) else {
            return Err(format!(
                "{subject} at {sequence:?} is the effect of a timer that is not armed"
            ));
        };
        // By the owner's own stamp, and by every clock that there is.
        if commit.time.min(wall_max) < timer.due {
            return Err(format!(
                "{subject} at {sequence:?} fires {} at {}, which is due at {}",
                timer.name, commit.time, timer.due
            ));
        }
        let later = commit.later.as_deref();
        let names = |timers: &[Timer]| timers.iter().any(|it| it.name == timer.name);
        let settled =
            later.is_some_and(|it| it.cancelled.contains(&timer.name) || names(&it.armed));
        match settled {
            true => Ok(()),
            false => Err(format!(
                "{subject} at {sequence:?} fires {} and leaves it armed",
                timer.name
            )),
        }
    }

    fn end(&self, view: View<'_>) -> Result<(), String> {
        let (wall, _) = view.walls;
        for ((subject, name), (shard, timer)) in &self.armed {
            if view.unfenced.contains(shard) {
                continue;
            }
            let (armed, _) = whose(&timer.message);
            let overdue = WallTime(timer.due.0 + SLACK_MS) < wall;
            // One that comes again is due somewhere between its periods.
            if overdue {
                return Err(format!(
                    "timer {name} of {subject}, which {armed:?} armed, is due at {} and has not \
                     fired at {wall}",
                    timer.due
                ));
            }
        }
        let is_owed = |sent: &Sent| {
            let mut entities = view.entities.iter();
            let to = entities.find(|it| it.subject.ends_with(&sent.to));
            let to = to.map(|it| it.shard);
            [Some(sent.shard), to]
                .iter()
                .flatten()
                .all(|it| !view.unfenced.contains(it))
        };
        let undone = self
            .sent
            .iter()
            .find(|(ticket, sent)| !self.done.contains(ticket) && is_owed(sent));
        match undone {
            Some((_, sent)) if !view.expired_messages => Err(format!(
                "a message of {} at {:?} to {} has no effect",
                sent.from, sent.at, sent.to
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// A name as subjects have it: those of the run have a space and a point.
fn escaped(id: &str) -> String {
    id.replace(' ', "%20").replace('.', "%2E")
}
