//! How many tasks of actors have not ended, by place: one that is aborted goes on to its next await,
//! and a place is left only when none of its own does (A1).

use crate::shard::Place;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tasks that have not ended, by place; `None` is of the node alone.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<BTreeMap<Option<Place>, usize>>);

impl Tasks {
    pub(crate) fn begin(&self, place: Option<Place>) {
        *self.lock().entry(place).or_default() += 1;
    }

    pub(crate) fn end(&self, place: Option<Place>) {
        let mut tasks = self.lock();
        if let Some(count) = tasks.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                tasks.remove(&place);
            }
        }
    }

    /// Whether a task of a place has not ended.
    pub(crate) fn run_in(&self, place: Place) -> bool {
        self.lock().contains_key(&Some(place))
    }

    /// Whether any has not ended.
    pub(crate) fn run(&self) -> bool {
        !self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Option<Place>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
