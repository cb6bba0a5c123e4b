//! One step of a saga: what does it, what undoes it, and how long it may take.

use super::ReplyTo;
use crate::api::plans::message_to;
use crate::api::{CommandOf, Entity};
use crate::format::Intent;
use std::fmt;
use std::time::Duration;

/// How long a step may take that does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often an undo is sent that does not say.
const UNDO_TRIES: u32 = 20;

type Message = Box<dyn FnOnce(ReplyTo) -> Result<Intent, String>>;

/// One step of a saga.
#[must_use]
pub struct Step {
    pub(super) action: Message,
    pub(super) undo: Option<Message>,
    pub(super) timeout: Duration,
    pub(super) undo_tries_max: u32,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("can_be_undone", &self.undo.is_some())
            .field("timeout", &self.timeout)
            .finish()
    }
}

impl Step {
    /// A command to an entity, which [reports](crate::api::Decision::report) what came of it to who is named.
    pub fn send<B: Entity, M: CommandOf<B>>(
        id: impl Into<String>,
        command: impl FnOnce(ReplyTo) -> M + 'static,
    ) -> Self {
        let id = id.into();
        Self {
            action: Box::new(move |to| message_to::<B, M>(&id, &command(to))),
            undo: None,
            timeout: TIMEOUT,
            undo_tries_max: UNDO_TRIES,
        }
    }

    /// The command that undoes it. A step without one is left as it is.
    pub fn undo<B: Entity, M: CommandOf<B>>(
        mut self,
        id: impl Into<String>,
        command: impl FnOnce(ReplyTo) -> M + 'static,
    ) -> Self {
        let id = id.into();
        self.undo = Some(Box::new(move |to| message_to::<B, M>(&id, &command(to))));
        self
    }

    /// How often its undo is sent before the saga is [stuck](super::SagaPhase::Stuck), at least once; 20 times, each
    /// a [time-out](Self::timeout) after the one before, when this is not said.
    pub fn undo_tries_max(mut self, tries: u32) -> Self {
        self.undo_tries_max = tries.max(1);
        self
    }

    /// After how long without a report the saga turns back, and an undo is sent again; 30 s when this is
    /// not said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}
