//! Firing: a timer that is due is a command of its entity to itself (G1, G2).

use super::timers::{Fired, TimerKey};
use super::{Stage, backed_off};
use crate::format::{Later, Timer};
use crate::id::{CommandId, Ticket, WallTime};
use crate::log::entity::{Caller, Command};
use crate::log::owned::Fence;
use crate::log::shard::{Shard, Turn};
use crate::log::timers::next_due;
use crate::log::{Effect, Expected, Firing, KindIndex, Note, Refusal, Reply};
use crate::reached;
use crate::step::Span;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The mark of a ticket that no caller has.
pub(in crate::log) const INTERNAL: u64 = 1 << 63;

/// How long a firing waits for its entity before it is tried again.
const PATIENCE: Span = Span::from_secs(30);

impl Firing {
    /// What the firing's commit leaves to be done: the timer is cleared, or armed for its next period,
    /// and then comes what the decision wants. One that ends does not come again: its message was rejected,
    /// or its entity is deleted.
    pub(in crate::log) fn later(&self, decided: Option<Box<Later>>, ends: bool) -> Box<Later> {
        let mut later = Box::<Later>::default();
        match next_due(&self.timer, self.wall).filter(|_| !ends) {
            Some(due) => later.armed.push(Timer {
                due,
                ..self.timer.clone()
            }),
            None => later.cancelled.push(self.timer.name.clone()),
        }
        if let Some(decided) = decided {
            later.extend(*decided);
        }
        later
    }
}

impl Shard {
    /// Whether timers fire and messages are sent.
    pub(in crate::log) fn acts(&self) -> bool {
        let owner = match &self.owned.fence {
            Fence::Owner(_) => true,
            Fence::Unowned | Fence::Claiming(_) | Fence::Leaving(_) => false,
        };
        owner && self.up && self.owned.leave.is_none()
    }

    /// The wall clock was read.
    pub(in crate::log) fn on_wall(&mut self, t: &mut Turn<'_, '_>, wall: WallTime) {
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        agenda.asking_wall = false;
        agenda.wall = Some((t.cx.now, wall));
    }

    /// Fires what is due, and asks for the wall clock when something may be.
    pub(super) fn fire_due(&mut self, t: &mut Turn<'_, '_>) {
        let (now, reread, firings_max) =
            (t.cx.now, self.limits.wall_reread, self.limits.firings_max);
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        if let Some((_, wall)) = agenda.wall {
            let again = agenda.timers.take_again(now);
            for (key, due, tries) in again {
                self.fire(t, key, (due, wall), tries);
            }
            while let Some(agenda) = &mut self.agenda
                && agenda.timers.firing() < firings_max
                && let Some((key, due)) = agenda.timers.pop_due(wall)
            {
                self.fire(t, key, (due, wall), 0);
            }
        }
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        let wanted = match agenda.wall {
            None => agenda.timers.next_due().is_some(),
            // More is due than may fire at once: each that ends lets the next one.
            Some(_) if agenda.timers.firing() >= firings_max => false,
            Some(_) => agenda.timer_at(reread).is_some_and(|at| at <= now),
        };
        if wanted && !agenda.asking_wall {
            agenda.asking_wall = true;
            t.out.push(Effect::AskWall);
        }
    }

    fn fire(
        &mut self,
        t: &mut Turn<'_, '_>,
        key: TimerKey,
        (due, wall): (WallTime, WallTime),
        tries: u32,
    ) {
        let kind = self
            .kinds
            .iter()
            .position(|kind| kind.record.name == key.kind);
        let kind = kind
            .and_then(|kind| u16::try_from(kind).ok())
            .map(KindIndex);
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        let Some(kind) = kind else {
            reached!(t.cx, "later: a timer is of a kind that is not known here");
            return agenda.timers.park(&key);
        };
        agenda.ticket_next += 1;
        let ticket = Ticket(INTERNAL | agenda.ticket_next);
        let entity = key.entity.clone();
        let id = firing_id(self.config.key, &key, due);
        let name = key.name.clone();
        agenda.timers.fire(key, due, ticket, tries);
        let deadline = t.cx.now + PATIENCE;
        let arrived = self.moment;
        let Some(slot) = self.admit(t, ticket, kind, entity, deadline) else {
            return;
        };
        let due = Due {
            ticket,
            id,
            wall,
            name,
            due,
        };
        let command = Command {
            ticket,
            id: None,
            expected: Expected::Any,
            metadata: None,
            wall,
            arrived,
            at_least: crate::id::Sequence::NONE,
            conflicts: 0,
            firing: Some(due.into()),
        };
        self.entity(slot).queue.push_back(Caller::Command(command));
        self.next(t, slot);
    }

    /// A firing ended: its commit is acknowledged, its timer is not armed any more, or it is tried again.
    pub(in crate::log) fn on_fired(&mut self, t: &mut Turn<'_, '_>, ticket: Ticket, reply: &Reply) {
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        let Some(fired) = agenda.timers.end(ticket) else {
            // This node has lost the shard since.
            return;
        };
        let stands = agenda.timers.is_firing(&fired, ticket);
        let cause = match reply {
            Reply::Committed { .. } | Reply::Nothing { .. } => {
                // Where the log is still being read, its commit is read with it.
                if stands {
                    agenda.timers.remove(&fired.key);
                }
                agenda.changed(t.cx.now);
                let TimerKey { entity, name, .. } = fired.key;
                if let Reply::Nothing { .. } = reply {
                    // It was not armed any more.
                    reached!(t.cx, "later: a timer that is due is not armed");
                    return;
                }
                let timer = name;
                let note = if fired.rejected {
                    reached!(t.cx, "later: a timer's message was rejected");
                    Note::TimerRejected { entity, timer }
                } else {
                    reached!(t.cx, "later: a timer fired");
                    Note::TimerFired { entity, timer }
                };
                t.note(note);
                return;
            }
            Reply::Refused(refusal) => failure(refusal),
            Reply::Found { .. } | Reply::Read { .. } => {
                return t.halt("a firing was answered as something else");
            }
        };
        if stands {
            self.fire_again(t, fired, cause);
        }
    }

    fn fire_again(&mut self, t: &mut Turn<'_, '_>, fired: Fired, cause: Option<String>) {
        let (min, max) = (self.limits.retry_delay_min, self.limits.later_delay_max);
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        let at = t.cx.now + backed_off(fired.tries, min, max);
        let Fired { key, tries, .. } = fired;
        if let Some(cause) = cause {
            reached!(t.cx, "later: a timer's message could not be decided");
            let (entity, timer) = (key.entity.clone(), key.name.clone());
            t.note(Note::TimerFailed {
                entity,
                timer,
                cause,
            });
        }
        agenda.timers.wait(key, at, tries.saturating_add(1));
    }

    /// A firing that deletes its entity waits for messages, and gives its way to another one; whether it
    /// may. Of more than so many each is tried again later.
    pub(in crate::log) fn give_way(&mut self, ticket: Ticket) -> bool {
        let most = self.limits.firings_max;
        let agenda = self.agenda.as_mut();
        agenda.is_some_and(|agenda| agenda.timers.give_way(ticket, most))
    }

    /// The domain rejected a timer's message.
    pub(in crate::log) fn reject_firing(&mut self, ticket: Ticket) {
        if let Some(agenda) = &mut self.agenda {
            agenda.timers.reject(ticket);
        }
    }

    /// Timers that were left out for want of room are to be found again.
    pub(super) fn find_left_out(&mut self, t: &mut Turn<'_, '_>) {
        let most = self.limits.shard_timers_max;
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        if let (Some(_), Stage::Live) = (agenda.timers.horizon(), &agenda.stage)
            && (agenda.timers.count() <= most / 2
                || agenda.timers.horizon() <= agenda.wall.map(|(_, wall)| wall))
        {
            reached!(t.cx, "later: timers that were left out are looked for");
            agenda.timers.look();
            agenda.stage = Stage::Behind(super::Behind::after(crate::id::Sequence::NONE));
        }
    }
}

/// What a command of a firing knows of it until the entity is loaded.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(in crate::log) struct Due {
    pub(in crate::log) ticket: Ticket,
    pub(in crate::log) id: CommandId,
    pub(in crate::log) wall: WallTime,
    pub(in crate::log) name: crate::name::TimerName,
    pub(in crate::log) due: WallTime,
}

impl Due {
    /// The firing of a timer as it is armed.
    pub(in crate::log) fn firing(&self, timer: &Timer) -> Firing {
        Firing {
            ticket: self.ticket,
            id: self.id,
            wall: self.wall,
            timer: timer.clone(),
        }
    }
}

/// Why a firing changed nothing, if operators want to know; else it passes.
fn failure(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::Failed(cause) => Some(cause.clone()),
        Refusal::Undelivered(undelivered) => Some(undelivered.to_string()),
        Refusal::TooLarge { .. }
        | Refusal::OutcomeTooLarge { .. }
        | Refusal::VersionNotRising { .. }
        | Refusal::TooManyTimers { .. }
        | Refusal::TooManySends { .. }
        | Refusal::Unowned
        | Refusal::Metadata(_)
        | Refusal::Conflict { .. }
        | Refusal::Expired { .. }
        | Refusal::Ahead { .. }
        | Refusal::NotLeased
        | Refusal::Fold(_)
        | Refusal::Damaged(_)
        | Refusal::Store(_) => Some(format!("{refusal:?}")),
        Refusal::Contended { .. }
        | Refusal::Unknown
        | Refusal::Deadline
        | Refusal::Overloaded
        | Refusal::NotOwner => None,
    }
}

fn firing_id(key: crate::format::LayoutKey, timer: &TimerKey, due: WallTime) -> CommandId {
    let mut bytes = Vec::new();
    let texts = [
        timer.kind.as_str(),
        timer.entity.as_str(),
        timer.name.as_str(),
    ];
    for text in texts {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(&due.0.to_be_bytes());
    CommandId::new(due, key.hash128(b't', bytes))
}
