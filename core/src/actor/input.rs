//! What a lane's actors react to.

use super::{Ended, KindConfig, Trail};
use crate::id::{Epoch, OpId, Slot, Ticket};
use crate::log::KindIndex;
use crate::name::EntityId;
use crate::shard::Place;
use crate::step::{Span, Time};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// One input of `Scheduler`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A deadline passed.
    Tick,
    /// Begin turns of those that have mail, at most `Limits::actor_turns_max`; wanted while
    /// [`Scheduler::is_ready`](super::Scheduler::is_ready).
    Turn,
    /// A kind is used for the first time; its index is the number of kinds before it.
    Kind(KindConfig),
    /// Someone asks an actor, or tells it something.
    Ask(Ask),
    /// Someone wants to know when an activation ends.
    Watch(Watch),
    /// Whoever asked or watched gave up.
    Withdraw(Ticket),
    /// What was to be activated, run or stopped has ended.
    Done {
        /// Which stay.
        slot: Slot,
        /// The operation.
        op: OpId,
        /// How it ended.
        ending: Ending,
        /// What the user's code wants besides, in order.
        orders: Vec<Order>,
        /// Tasks and watches that run for the activation now; of no meaning when it was withdrawn.
        background: u32,
    },
    /// So many tasks and watches run for an activation now.
    Background {
        /// Which stay.
        slot: Slot,
        /// How many.
        background: u32,
    },
    /// What an activation watches has ended: it is told by a message.
    Notice {
        /// The stay of the watcher.
        slot: Slot,
        /// Which of its watches.
        watch: u32,
        /// How it ended.
        ended: Ended,
    },
    /// This node owns a place; again when its epoch is another, also while it is handed over.
    Own {
        /// The place.
        place: Place,
        /// Its epoch.
        epoch: Epoch,
    },
    /// This node does not own a place any more: what runs is dropped, what waits is refused `NotOwner`.
    Lost {
        /// The place.
        place: Place,
    },
    /// A place is about to change hands: finish what runs, stop, and say `Drained`. What comes
    /// meanwhile waits.
    HandOver {
        /// The place.
        place: Place,
    },
    /// Until when this node may act in places. Another end continues the same lease, also after the
    /// earlier one has passed: the places are held still, and what lived in them is not. `None`: the
    /// lease was lost, and every place with it.
    Lease(Option<Time>),
    /// For tests: a key takes no turns.
    Pause {
        /// The kind.
        kind: KindIndex,
        /// The key.
        key: EntityId,
    },
    /// For tests: a paused key takes one turn.
    Step {
        /// The kind.
        kind: KindIndex,
        /// The key.
        key: EntityId,
    },
    /// For tests: a paused key goes on.
    Resume {
        /// The kind.
        kind: KindIndex,
        /// The key.
        key: EntityId,
    },
    /// The node stops: what was not begun is refused, what runs ends, everything is stopped.
    Stop,
}

/// A message for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Ask {
    /// Names it; never used again. Those of one key rise.
    pub ticket: Ticket,
    /// The kind.
    pub kind: KindIndex,
    /// The key.
    pub key: EntityId,
    /// The place that must be held for it; `None` for what belongs to this node alone.
    pub place: Option<Place>,
    /// When its caller gives up.
    pub deadline: Time,
    /// Who waits for it.
    pub trail: Trail,
    /// Whether whom it is for waits for one of them ([`Waits::closes`](super::Waits::closes)).
    pub crosses: bool,
    /// Whether an answer is wanted; else it is answered `Taken` when it is in the mailbox.
    pub answered: bool,
}

/// A wish to be told when an activation ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Watch {
    /// Names it; never used again.
    pub ticket: Ticket,
    /// The kind.
    pub kind: KindIndex,
    /// The key.
    pub key: EntityId,
    /// The place that must be held for it.
    pub place: Option<Place>,
    /// When the watcher asks again.
    pub deadline: Time,
    /// Whose end is meant.
    pub of: WatchOf,
}

/// Whose end a watcher wants to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum WatchOf {
    /// That of whoever is there.
    #[default]
    Whoever,
    /// Nobody's yet: who is there is told at once, by its number.
    Who,
    /// That of the one with this number. It has ended when there is another one, or none. Nobody has
    /// the number 0.
    Life(u32),
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Ending {
    /// As it should.
    Ok,
    /// The actor could not be made.
    Failed(String),
    /// The user's code panicked; the state is there still.
    Panicked(String),
    /// Its future was dropped, and its state with it.
    Dropped,
    /// It was not begun, since its caller had gone.
    Withdrawn,
}

/// What a turn wants besides its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Order {
    /// A message to itself at a time, perhaps again and again. It replaces one of the same name.
    Timer {
        /// Its name.
        name: Arc<str>,
        /// When.
        at: Time,
        /// How often after that; what was missed is not made up for.
        every: Option<Span>,
    },
    /// Call off a timer.
    Cancel {
        /// Its name.
        name: Arc<str>,
    },
    /// Passivate as soon as nothing waits.
    Passivate,
}
