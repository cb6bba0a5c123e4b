//! What turns of a node's actors wait for, as their requests begin and end on whatever thread.

use crate::actor::{Hop, Trail, WaitId, Waits};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by all lanes of a node. It is locked by requests from within turns alone.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Waits>);

impl Waiting {
    /// A turn sends a request; it waits until what comes back is dropped.
    pub(crate) fn begin(self: &Arc<Self>, who: Hop, whom: Hop) -> Awaited {
        let wait = self.waits().begin(who.clone(), whom);
        Awaited {
            waiting: Arc::clone(self),
            who,
            wait,
        }
    }

    /// Whether a message would wait for an actor that waits for it.
    pub(crate) fn closes(&self, whom: &Hop, trail: &Trail, turns_max: usize) -> bool {
        self.waits().closes(whom, trail, turns_max)
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that a turn waits for.
pub(crate) struct Awaited {
    waiting: Arc<Waiting>,
    who: Hop,
    wait: WaitId,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.waiting.waits().end(&self.who, self.wait);
    }
}
