//! One activation and one letter, as the scheduler keeps them: small, since there are many.

use super::links::Queue;
use super::{Ended, Why};
use crate::id::{OpId, Slot, Ticket};
use crate::log::KindIndex;
use crate::name::EntityId;
use crate::shard::Place;
use crate::step::{Span, Time};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A key that is in memory.
#[derive(Clone, Debug)]
pub(super) struct Activation {
    pub(super) key: EntityId,
    pub(super) kind: KindIndex,
    pub(super) place: Option<Place>,
    pub(super) phase: Phase,
    /// It stops as soon as nothing waits.
    pub(super) leaving: Option<Why>,
    /// What runs was found to take too long; only what was not is in its kind's queue of those that
    /// run, which holds what is being made, has a turn, or is being stopped.
    pub(super) stuck: bool,
    /// Tells this stay in memory from others at the same index.
    pub(super) serial: u32,
    /// When its turn began, or when it was used last.
    pub(super) since: Time,
    pub(super) mailbox: Queue,
    /// What most have nothing of.
    pub(super) extra: Option<Box<Extra>>,
}

/// What an activation is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is being made.
    Activating(OpId),
    /// Nothing is to be done; in its kind's queue of those at rest.
    Resting,
    /// No mail, but a timer, task or watch; in no queue.
    Armed,
    /// It has mail; in the queue of those that wait for a turn.
    Ready,
    /// It takes no turns for now; in no queue.
    Paused,
    /// A turn is under way, perhaps with a caller who waits.
    Running(OpId, Option<Ticket>),
    /// The stop hook runs.
    Stopping(OpId),
    /// What ran is being dropped.
    Aborting(OpId, After),
    /// It is made anew at a time.
    Backoff(Time),
    /// It could not be made, or failed too often. Until this time it is not tried again.
    Failed(Time),
    /// As `Failed`, and it may be tried again; in its kind's queue of those at rest.
    Spent,
}

impl Phase {
    /// Whether the activation is on its way out of memory.
    pub(super) fn is_going(self) -> bool {
        match self {
            Self::Stopping(_) | Self::Aborting(..) => true,
            Self::Activating(_)
            | Self::Resting
            | Self::Armed
            | Self::Ready
            | Self::Paused
            | Self::Running(..)
            | Self::Backoff(_)
            | Self::Failed(_)
            | Self::Spent => false,
        }
    }
}

/// What follows when what ran was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It begins anew, if its kind lets it.
    Restart,
    /// It is forgotten.
    Forget,
}

/// What most activations have nothing of.
#[derive(Clone, Debug, Default)]
pub(super) struct Extra {
    /// In the order of their names.
    pub(super) timers: Vec<Timer>,
    /// Numbers timers.
    pub(super) timers_set: u32,
    /// What it waits for by itself: its earliest timer, or the end of a wait.
    pub(super) alarm: Option<Time>,
    /// Messages that wait for room in the mailbox.
    pub(super) overflow: Queue,
    /// Who is told when it ends.
    pub(super) watchers: Vec<Ticket>,
    /// What this life of it is called, once somebody asked; until they are told of its end.
    pub(super) life: Option<u32>,
    /// Tasks and watches that run for it.
    pub(super) background: u32,
    /// Failures that count still, and when the first was.
    pub(super) failures: u32,
    pub(super) failed_since: Time,
    /// Why it failed.
    pub(super) cause: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Timer {
    pub(super) name: Arc<str>,
    /// When it is due next; `None` while its last message waits.
    pub(super) at: Option<Time>,
    pub(super) every: Option<Span>,
    /// Tells it from one of the same name before it.
    pub(super) serial: u32,
    /// Whether its message waits.
    pub(super) waits: bool,
}

/// What waits in a mailbox.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    pub(super) to: u32,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// Its caller waits for the answer.
    Ask(Ticket),
    /// Nobody waits.
    Tell(Ticket),
    /// A timer's message: its name and serial.
    Timer(Arc<str>, u32),
    Notice(u32, Ended),
}

/// Where whoever has a ticket waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// In a mailbox.
    Mailbox(u32),
    /// For room in a mailbox.
    Overflow(u32),
    /// For the turn of an activation.
    Turn(u32),
    /// For the end of an activation.
    Watch(u32),
    /// For a place to be handed over.
    Stash(Place),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) deadline: Time,
    pub(super) spot: Spot,
}

impl Activation {
    pub(super) fn slot(&self, index: u32) -> Slot {
        Slot(u64::from(self.serial) << 32 | u64::from(index))
    }

    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Whether something of its own can give it mail.
    pub(super) fn is_armed(&self) -> bool {
        let armed = |extra: &Extra| !extra.timers.is_empty() || extra.background > 0;
        self.extra.as_deref().is_some_and(armed)
    }

    /// Lets go of what is empty.
    pub(super) fn slim(&mut self) {
        let empty = |extra: &Extra| {
            extra.timers.is_empty()
                && extra.alarm.is_none()
                && extra.overflow.is_empty()
                && extra.watchers.is_empty()
                && extra.life.is_none()
                && extra.background == 0
                && extra.failures == 0
                && extra.cause.is_none()
        };
        if self.extra.as_deref().is_some_and(empty) {
            self.extra = None;
        }
    }
}
