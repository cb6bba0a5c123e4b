//! Who waits for actors, and with what.

use super::host::{ActorAnswer, ActorEntry, Presence, Recipient, WatchWhom};
use crate::driver::cluster::Carried;
use crate::id::Ticket;
use crate::log::KindIndex;
use crate::name::EntityId;
use crate::shard::Place;
use crate::step::Time;
use crate::tickets::Tickets;
use std::sync::Arc;

/// Who waits, by ticket.
#[derive(Default)]
pub(super) struct Callers(Tickets<Waiting>);

/// One who waits. The message, if there is one, is with the host.
pub(super) struct Waiting {
    pub(super) kind: KindIndex,
    pub(super) entry: Arc<ActorEntry>,
    pub(super) key: EntityId,
    /// What is held for it; `None` for what belongs to this node.
    pub(super) place: Option<Place>,
    pub(super) deadline: Time,
    pub(super) wants: Wants,
    pub(super) caller: Recipient,
}

/// What one who waits wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Reply,
    Receipt,
    End(WatchWhom),
}

impl Waiting {
    /// Tells who waits; what goes to another lane comes back.
    #[must_use]
    pub(super) fn finish(self, answer: ActorAnswer) -> Option<Carried> {
        self.caller.finish(&self.entry, &self.key, answer)
    }
}

impl Wants {
    /// How many messages it counts for: a watch is none.
    pub(super) fn counted(self) -> u64 {
        match self {
            Self::Reply | Self::Receipt => 1,
            Self::End(_) => 0,
        }
    }
}

impl Callers {
    pub(super) fn admit(&mut self, ticket: Ticket, waiting: Waiting) {
        self.0.insert(ticket, waiting);
    }

    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Waiting> {
        self.0.remove(ticket)
    }

    /// What tells whether one who waits is there still; none of another lane's.
    pub(super) fn presence(&self, ticket: Ticket) -> Option<Arc<dyn Presence>> {
        self.0.get(ticket)?.caller.presence()
    }

    /// Whether anybody waits for more than an end, which may never come.
    pub(super) fn want_turns(&self) -> bool {
        let mut wants = self.0.iter().map(|(_, waiting)| waiting.wants);
        wants.any(|wants| match wants {
            Wants::Reply | Wants::Receipt => true,
            Wants::End(_) => false,
        })
    }

    /// Takes all that are left, in the order in which they came.
    pub(super) fn take_all(&mut self) -> Vec<(Ticket, Waiting)> {
        self.0.take_all()
    }
}
