//! Actors of one lane: which activation runs which message when.
//!
//! `Scheduler` is the machine of one lane. It holds no user's state and no message's content: those
//! stay with the host, which activates, runs and stops as it is told and reports how that ended. A key
//! has one activation at most, made by its first message; an activation has one turn at a time, and
//! between two turns of one every other one that has mail has a turn.
//!
//! Invariants, cited by number elsewhere:
//!
//! - A1: a key has at most one activation, from its `Activate` until its `Forget`, and it stays until
//!   the host said that nothing of it runs any more.
//! - A2: an activation has at most one operation under way.
//! - A3: the messages of a key run in the order in which they came.
//! - A4: each ticket is answered exactly once.
//! - A5: nothing runs whose caller's deadline has come or who withdrew, whose place is not held, or
//!   at or after the end of the lease.
//! - A6: of those that have mail each has a turn before one has two.
//! - A7: only what is at rest is passivated: no mail, no operation, no timer, task or watch.
//! - A8: nothing is dropped silently: what does not run is refused, or is told as `Effect::Undelivered`.
//! - A9: mailboxes, letters, activations, timers and watchers have limits.
//! - A10: a message would wait for itself whose trail of callers has its own key in it, or whose actor
//!   waits, by way of turns of this node ([`Waits`]), for one of its callers: it is refused.

mod activation;
mod alarms;
mod effect;
mod input;
mod keys;
mod life;
mod links;
mod mail;
mod place;
mod scheduler;
mod timer;
mod trail;
mod turn;
mod waits;
mod watch;

pub use effect::{Answer, Effect, Ended, Letter, Note, Refusal, Why};
pub use input::{Ask, Ending, Input, Order, Watch, WatchOf};
pub use scheduler::{Census, Scheduler};
pub use trail::{Hop, Trail};
pub use waits::{WaitId, Waits};

use crate::name::KindName;
use crate::step::Span;

/// What the scheduler knows of a kind of actor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct KindConfig {
    /// Its name.
    pub name: KindName,
    /// Messages that wait for one activation.
    pub mailbox_max: usize,
    /// What becomes of a message for a full mailbox.
    pub overflow: Overflow,
    /// How long an activation rests before it is passivated; `None`: until there are too many.
    pub idle_after: Option<Span>,
    /// What becomes of an activation whose handler panicked.
    pub on_panic: OnPanic,
    /// Restarts within [`restart_window`](Self::restart_window); one more and it has failed.
    pub restarts_max: u32,
    /// How far back restarts count.
    pub restart_window: Span,
    /// The wait before the first restart; each further one doubles it.
    pub restart_delay_min: Span,
    /// The longest wait before a restart, and how long a key that failed for good is refused.
    pub restart_delay_max: Span,
    /// How long a turn may take before it counts as stuck.
    pub patience: Span,
    /// What becomes of a turn that is stuck.
    pub on_stuck: OnStuck,
}

/// What becomes of a message for a full mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Overflow {
    /// It is refused `Overloaded`.
    #[default]
    Reject,
    /// It waits for room, at most until its caller's deadline.
    Wait,
}

/// What becomes of an activation whose handler panicked. The caller is told in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum OnPanic {
    /// It goes on with its state as the panic left it.
    Resume,
    /// It begins anew after a wait; its mail waits too.
    #[default]
    Restart,
    /// It ends; who waits is refused, and the next message activates it anew.
    Stop,
}

/// What becomes of a turn that takes longer than its kind's patience.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum OnStuck {
    /// It is counted, and goes on.
    #[default]
    Count,
    /// It is dropped at its next await, and its state with it: the activation begins anew as after a
    /// panic under [`OnPanic::Restart`].
    Abort,
}

impl KindConfig {
    /// A kind with the usual settings.
    pub const fn new(name: KindName) -> Self {
        Self {
            name,
            mailbox_max: 1_024,
            overflow: Overflow::Reject,
            idle_after: Some(Span::from_secs(600)),
            on_panic: OnPanic::Restart,
            restarts_max: 10,
            restart_window: Span::from_secs(60),
            restart_delay_min: Span::from_millis(10),
            restart_delay_max: Span::from_secs(30),
            patience: Span::from_secs(30),
            on_stuck: OnStuck::Count,
        }
    }
}
