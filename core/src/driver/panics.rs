//! Panics of users' code that somebody caught: the lane of the code writes a flight.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Those of one lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panics(Arc<Caught>);

#[derive(Debug, Default)]
struct Caught {
    count: AtomicU64,
    /// Whose code panicked last, and with what text.
    last: Mutex<Option<(String, String)>>,
}

impl Panics {
    /// Some code panicked.
    pub(crate) fn add(&self, code: String, text: String) {
        *self.last() = Some((code, text));
        self.0.count.fetch_add(1, Ordering::Release);
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.0.count.load(Ordering::Acquire)
    }

    /// The last one, if nobody took it before.
    pub(crate) fn take(&self) -> Option<(String, String)> {
        self.last().take()
    }

    fn last(&self) -> MutexGuard<'_, Option<(String, String)>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
