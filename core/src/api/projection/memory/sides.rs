//! Two copies of a state: the one that is read, and the one that the next batch is folded into.

use super::StoreError;
use crate::api::projection::FoldBatch;
use crate::format::Position;
use crate::step::Time;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A state, and how far it is.
#[derive(Clone, Debug)]
pub(super) struct Side<S> {
    pub(super) state: S,
    /// Where it stands; `None`: where it was opened.
    pub(super) positions: Option<Vec<Position>>,
    /// Events that were folded since it was opened.
    pub(super) folded: u64,
}

pub(super) struct Sides<S> {
    sides: [RwLock<Side<S>>; 2],
    /// Which one is read.
    front: AtomicUsize,
    writing: Mutex<Writing<S>>,
}

/// What the one who folds knows.
struct Writing<S> {
    /// What is in front and not yet in the other one.
    behind: Option<FoldBatch<S>>,
    /// Events that were folded until the last snapshot, and when the first one after it was.
    saved: u64,
    since: Option<Time>,
}

impl<S: Clone> Sides<S> {
    pub(super) fn new(state: S) -> Self {
        let side = Side {
            state,
            positions: None,
            folded: 0,
        };
        Self {
            sides: [RwLock::new(side.clone()), RwLock::new(side)],
            front: AtomicUsize::new(0),
            writing: Mutex::new(Writing {
                behind: None,
                saved: 0,
                since: None,
            }),
        }
    }

    /// Begins with a state.
    pub(super) fn restore(&self, state: S, positions: Vec<Position>) {
        for side in &self.sides {
            let mut side = side.write().unwrap_or_else(PoisonError::into_inner);
            side.state = state.clone();
            side.positions = Some(positions.clone());
        }
    }

    pub(super) fn read<R>(&self, read: impl FnOnce(&Side<S>) -> R) -> R {
        read(&self.front())
    }

    pub(super) fn folded(&self) -> u64 {
        self.front().folded
    }

    /// How many events no snapshot has, and since when there are any; `None` when there are none.
    pub(super) fn unsaved(&self) -> Option<(u64, Option<Time>)> {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let unsaved = self.folded().saturating_sub(writing.saved);
        (unsaved > 0).then_some((unsaved, writing.since))
    }

    /// A snapshot has so many of the events that were folded since it was opened; it was begun at a time.
    pub(super) fn saved(&self, folded: u64, begun: Time) {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        writing.saved = writing.saved.max(folded);
        // What was folded while it was stored has waited since then at most.
        writing.since = (self.folded() > writing.saved).then_some(begun);
    }

    fn side(&self, n: usize) -> &RwLock<Side<S>> {
        let [first, second] = &self.sides;
        if n == 0 { first } else { second }
    }

    fn front(&self) -> RwLockReadGuard<'_, Side<S>> {
        loop {
            let n = self.front.load(Ordering::Acquire);
            let side = self.side(n).read().unwrap_or_else(PoisonError::into_inner);
            // While who read waited it may have become the other one, and is ahead of the one in front.
            if self.front.load(Ordering::Acquire) == n {
                return side;
            }
        }
    }

    /// Folds a batch into the side that is not read, and has that one read.
    pub(super) fn fold(&self, batch: FoldBatch<S>, now: Time) -> Result<(), StoreError> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let front = self.front.load(Ordering::Acquire);
        let back = 1 - front;
        let mut side = self
            .side(back)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // It was folded once without an error; should it fail now, it is copied.
        let level = match writing.behind.take() {
            Some(behind) => take_in(&mut side, &behind, FoldBatch::fold_unseen).is_ok(),
            None => true,
        };
        if !level {
            self.copy_front(&mut side);
        }
        if let Err(error) = take_in(&mut side, &batch, FoldBatch::fold) {
            self.copy_front(&mut side);
            return Err(error);
        }
        drop(side);
        self.front.store(back, Ordering::Release);
        writing.behind = Some(batch);
        writing.since.get_or_insert(now);
        Ok(())
    }

    /// Takes back what was folded halfway.
    fn copy_front(&self, side: &mut RwLockWriteGuard<'_, Side<S>>) {
        **side = self.front().clone();
    }
}

fn take_in<S>(
    side: &mut Side<S>,
    batch: &FoldBatch<S>,
    fold: impl Fn(&FoldBatch<S>, &mut S) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    fold(batch, &mut side.state)?;
    side.positions = Some(batch.mark().positions.clone());
    side.folded += batch.events().len() as u64;
    Ok(())
}
