//! A state in this process, with snapshots in the namespace.

mod sides;
mod snapshots;

pub use snapshots::Snapshots;

use super::StoreError;
use super::claim::{Claim, Standing};
use super::fold::FoldBatch;
use super::store::{ProjectionStore, Settle};
use crate::format::{Codec, Mark};
use crate::step::Time;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sides::Sides;
use snapshots::Shelf;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

/// What a state in memory must be.
pub trait MemoryState:
    Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<S: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static> MemoryState for S {}

/// Keeps a projection's state in this process, twice: readers have the one side while a batch is folded into
/// the other one, so nobody waits and nobody sees half a batch. What cannot be folded is taken back by a
/// clone.
///
/// A run goes on from the last snapshot in the namespace, and folds again what came after it. Snapshots are
/// taken by count, by time, when the projection has caught up and when it is
/// [stopped](super::Projection::stop); a node that stops or crashes takes none. One that does not fit into
/// a message is stored in parts.
///
/// Of an older version the last snapshot is read while the new one is built, where it can be decoded as `S`;
/// where it cannot, the new one is read as far as it has come. Until it has caught up no snapshot is taken.
///
/// Each node may run the same projection, each with a state of its own; they share the snapshots, of which
/// an earlier one never takes the place of a later one.
pub struct Memory<S> {
    sides: Sides<S>,
    snapshots: Snapshots,
    /// What it learned when a run began.
    opened: OnceLock<Opened>,
    /// One that is built beside another takes no snapshots until it takes that one's place.
    beside: AtomicBool,
    /// The state of an older version, which is read until then.
    shown: RwLock<Option<S>>,
    /// Its snapshots would be those of a life that is over.
    retired: AtomicBool,
    /// The life that it begins with, when it was made by another one.
    generation: AtomicU64,
    shelf: tokio::sync::Mutex<Shelf>,
    taken: Mutex<MemoryStatus>,
}

struct Opened {
    claim: Claim,
    /// What the marks of all batches have in common.
    first: Mark,
    at: Time,
}

/// What a [`Memory`] has stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStatus {
    /// Whether it went on from a snapshot.
    pub restored: bool,
    /// Snapshots that were stored since it was opened.
    pub snapshots: u64,
    /// Those that another node was faster with.
    pub passed_over: u64,
    /// How long the last one was, in bytes.
    pub bytes: u64,
    /// In how many messages of its own the last one is; 0: in its mark's.
    pub parts: u32,
    /// Events that were folded since it was opened.
    pub folded: u64,
}

impl<S: MemoryState> Default for Memory<S> {
    fn default() -> Self {
        Self::with(Snapshots::default())
    }
}

impl<S> fmt::Debug for Memory<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("snapshots", &self.snapshots)
            .finish_non_exhaustive()
    }
}

impl<S: MemoryState> Memory<S> {
    /// With its own policy for snapshots.
    pub fn with(snapshots: Snapshots) -> Self {
        Self {
            sides: Sides::new(S::default()),
            snapshots,
            opened: OnceLock::new(),
            beside: AtomicBool::new(false),
            shown: RwLock::new(None),
            retired: AtomicBool::new(false),
            generation: AtomicU64::new(1),
            shelf: tokio::sync::Mutex::default(),
            taken: Mutex::default(),
        }
    }

    /// What it has stored.
    pub fn status(&self) -> MemoryStatus {
        let taken = self.taken.lock();
        let taken = taken.unwrap_or_else(PoisonError::into_inner).clone();
        let folded = self.sides.folded();
        MemoryStatus { folded, ..taken }
    }

    pub(super) fn read<R>(&self, read: impl FnOnce(&S) -> R) -> R {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(older) = &*shown {
            return read(older);
        }
        drop(shown);
        self.sides.read(|side| read(&side.state))
    }

    fn note(&self, note: impl FnOnce(&mut MemoryStatus)) {
        note(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Loads the last snapshot, if there is one that this run goes on from.
    async fn restore(&self, claim: &Claim) -> Result<Mark, StoreError> {
        let mut shelf = self.shelf.lock().await;
        let loaded = shelf.load(claim).await?;
        let found = loaded.as_ref().map(|(mark, _)| mark);
        match claim.judge(found)? {
            Standing::Begins(first) => {
                if !claim.is_reset()
                    && let Some((_, state)) = loaded
                {
                    let older = state.and_then(|state| Codec::Cbor.decode(&state).ok());
                    *self.shown.write().unwrap_or_else(PoisonError::into_inner) = older;
                    self.beside.store(true, Ordering::Release);
                }
                Ok(first)
            }
            Standing::Goes(mark) => {
                if let Some((_, Some(state))) = loaded {
                    let state = Codec::Cbor.decode(&state).map_err(|error| {
                        let version = claim.version();
                        StoreError::failed(format!(
                            "its snapshot is not of this type ({error}): raise the version ({version}) when the state's type changes, or start with a reset"
                        ))
                    })?;
                    self.sides.restore(state, mark.positions.clone());
                    self.note(|taken| taken.restored = true);
                }
                Ok(mark)
            }
        }
    }

    /// When a snapshot is due: at once, or at a time.
    fn due(&self, opened: &Opened, when: Settle, now: Time) -> Option<Time> {
        let (unsaved, since) = self.sides.unsaved()?;
        let at_once = match when {
            Settle::CaughtUp | Settle::Stop => true,
            Settle::Now => unsaved >= self.snapshots.every,
        };
        let after = since.unwrap_or(opened.at) + self.snapshots.within.into();
        Some(if at_once { now } else { after })
    }

    async fn save(&self, opened: &Opened) -> Result<(), StoreError> {
        let mut shelf = self.shelf.lock().await;
        let begun = opened.claim.keeper.now();
        // As it is at one moment; what is folded meanwhile comes with the next one.
        let (state, positions, folded) = self.sides.read(|side| {
            let state = Codec::Cbor.encode(&side.state);
            (state, side.positions.clone(), side.folded)
        });
        let state = state.map_err(|error| StoreError::failed(error.to_string()))?;
        let mark = Mark {
            positions: positions.unwrap_or_else(|| opened.first.positions.clone()),
            time: opened.claim.keeper.wall(),
            ..opened.first.clone()
        };
        let saved = shelf.save(&opened.claim, mark, state).await?;
        self.sides.saved(folded, begun);
        self.note(|taken| match saved {
            Some(at) => {
                taken.snapshots += 1;
                taken.bytes = at.bytes;
                taken.parts = at.parts;
            }
            None => taken.passed_over += 1,
        });
        Ok(())
    }
}

impl<S: MemoryState> ProjectionStore for Memory<S> {
    type State = S;

    async fn open(&self, claim: &Claim) -> Result<Option<Mark>, StoreError> {
        let first = match self.is_beside() {
            true => claim.first(self.generation.load(Ordering::Acquire)),
            false => self.restore(claim).await?,
        };
        let opened = Opened {
            claim: claim.clone(),
            first: first.clone(),
            at: claim.keeper.now(),
        };
        if self.opened.set(opened).is_err() {
            return Err(StoreError::failed(
                "this state is one projection's already: give each its own",
            ));
        }
        Ok(Some(first))
    }

    async fn store(&self, batch: FoldBatch<S>) -> Result<(), StoreError> {
        let now = self
            .opened
            .get()
            .map_or(Time::ZERO, |opened| opened.claim.keeper.now());
        self.sides.fold(batch, now)
    }

    async fn settle(&self, when: Settle) -> Result<Option<Duration>, StoreError> {
        let Some(opened) = self.opened.get() else {
            return Ok(None);
        };
        if self.is_beside() || self.retired.load(Ordering::Acquire) {
            return Ok(None);
        }
        let now = opened.claim.keeper.now();
        let Some(due) = self.due(opened, when, now) else {
            return Ok(None);
        };
        if due <= now {
            self.save(opened).await?;
            return Ok(Some(self.snapshots.within));
        }
        Ok(Some(Duration::from_nanos(due.since(now).as_nanos())))
    }

    async fn green(&self) -> Result<Self, StoreError> {
        let green = Self::with(self.snapshots);
        let generation = self
            .opened
            .get()
            .map_or(1, |opened| opened.first.generation);
        green.beside.store(true, Ordering::Release);
        green
            .generation
            .store(generation.saturating_add(1), Ordering::Release);
        Ok(green)
    }

    fn is_beside(&self) -> bool {
        self.beside.load(Ordering::Acquire)
    }

    async fn promote(&self) -> Result<(), StoreError> {
        if let Some(opened) = self.opened.get() {
            self.save(opened).await?;
        }
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.beside.store(false, Ordering::Release);
        Ok(())
    }

    async fn discard(&self) {
        self.retired.store(true, Ordering::Release);
    }
}
