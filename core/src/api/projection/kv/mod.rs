//! A state that is a value for each key, in a bucket that any client of NATS KV reads.

mod bucket;
mod entries;
mod entry;
mod key;

pub use entries::KvEntries;
pub use key::{KeyError, kv_key};

use super::StoreError;
use super::claim::{Claim, Standing};
use super::fold::{FoldBatch, FoldEvent};
use super::store::{ProjectionStore, Settle};
use crate::format::{LayoutKey, Mark, StateAt};
use crate::id::Sequence;
use crate::step::{Span, Time};
use bucket::Bucket;
use bytes::Bytes;
use entries::{Placed, decoded};
use entry::Entry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// What tests read values with.
#[doc(hidden)]
pub mod testing {
    use super::Entry;
    use bytes::Bytes;

    /// A value as it is written after it was read; `None`: somebody else wrote it.
    pub fn reread(bytes: &[u8]) -> Option<Bytes> {
        Entry::decode(bytes).map(|entry| entry.encode())
    }
}

/// After so many events the mark follows the values at the latest.
const EVERY: u64 = 10_000;

/// So long after an event it does at the latest.
const WITHIN: Duration = Duration::from_secs(5);

/// What the mark says, as its state, while values are being replaced by those of another life.
const SWITCHING: &[u8] = b"switching";

/// What a value in a bucket must be: something that JSON has, and not null.
pub trait KvValue: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> KvValue for V {}

/// Keeps a projection as one value for each key, in the JetStream KV bucket that has the namespace's name:
/// the key `alice` of the projection `balances` is `balances.alice` there, for any client of NATS KV. A value
/// is JSON: what folds made of it in `value`, and beside it which events are in it.
///
/// A value is replaced by CAS, on the one that it was made of. The mark follows behind: what comes again
/// after a crash changes no value that has it already, so each event is in each value once (P6). All values
/// together are as of one place of the log only when nothing is under way.
///
/// One run stores at a time: another one takes it over, and the first one ends with an error. What somebody
/// else writes under its keys ends it as well, as soon as it comes to that key.
///
/// A rebuild, a raised version and a reset fold all values in this process, and then put them into the
/// bucket, key by key: a reader finds the old value of a key, and then its new one. One that crashes while it
/// does so begins anew at its next start.
pub struct Kv<V> {
    opened: OnceLock<Opened>,
    /// The life that it begins with, when it was made by another one.
    generation: AtomicU64,
    /// The values, while they are built beside those in the bucket.
    beside: AtomicBool,
    held: Mutex<BTreeMap<String, Placed>>,
    stored: Mutex<Stored>,
    /// A batch is stored, or values are switched.
    turn: tokio::sync::Mutex<()>,
    /// Where the mark is.
    at: tokio::sync::Mutex<Sequence>,
    /// It is another one's by now.
    retired: AtomicBool,
    /// Which run took it over: this one stores nothing more.
    over: Mutex<Option<StoreError>>,
    values: PhantomData<fn() -> V>,
}

struct Opened {
    bucket: Bucket,
    life: u64,
}

impl Opened {
    /// Values of a later life are those of a run that took over.
    async fn has_no_later(
        &self,
        mut found: impl Iterator<Item = &Placed>,
    ) -> Result<(), StoreError> {
        if !found.any(|placed| placed.entry.life > self.life) {
            return Ok(());
        }
        self.bucket.is_mine().await?;
        Err(StoreError::failed(
            "the bucket has values of a later life than its mark: start the projection with a reset",
        ))
    }
}

/// What the mark does not say yet.
#[derive(Debug, Default)]
struct Stored {
    /// The mark of what is stored, when it is not the one in the namespace.
    mark: Option<Mark>,
    events: u64,
    since: Option<Time>,
}

impl<V> fmt::Debug for Kv<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kv").finish_non_exhaustive()
    }
}

impl<V: KvValue> Default for Kv<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: KvValue> Kv<V> {
    /// Values in the bucket of the namespace.
    pub fn new() -> Self {
        Self {
            opened: OnceLock::new(),
            generation: AtomicU64::new(0),
            beside: AtomicBool::new(false),
            held: Mutex::default(),
            stored: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            at: tokio::sync::Mutex::new(Sequence::NONE),
            retired: AtomicBool::new(false),
            over: Mutex::default(),
            values: PhantomData,
        }
    }

    /// The value of a key, as it is in the bucket.
    ///
    /// # Errors
    ///
    /// When the text is no [key](kv_key), the value cannot be read, or the projection was not started.
    pub async fn get(&self, key: impl AsRef<str>) -> Result<Option<V>, StoreError> {
        let key = kv_key(key.as_ref()).map_err(StoreError::failed)?;
        let Opened { bucket, .. } = self.opened()?;
        let found = bucket.read(std::slice::from_ref(&key)).await?;
        let found = found.get(&key);
        found.map_or(Ok(None), |placed| decoded(&key, &placed.entry))
    }

    fn opened(&self) -> Result<&Opened, StoreError> {
        let unopened = || StoreError::failed("no run has opened it");
        self.opened.get().ok_or_else(unopened)
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn over(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Placed>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a run that is not green begins, and whether it does so beside what is there. The run that it
    /// takes over from may write its mark meanwhile: then from there.
    async fn stand(&self, claim: &Claim) -> Result<(Bucket, Mark, bool), StoreError> {
        let mut found = Bucket::mark(claim).await?;
        loop {
            match self.stand_on(claim, found).await {
                Ok(Some(stands)) => return Ok(stands),
                // A replica that lags has no mark either.
                Ok(None) => {
                    found = Bucket::known_mark(claim).await?;
                    if found.is_none() {
                        return Err(StoreError::failed(
                            "the bucket has values of it, and its mark is gone: start the projection with a reset, so that they are built anew",
                        ));
                    }
                }
                Err(StoreError::Superseded { .. }) => found = Bucket::mark(claim).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// The same on what was found of the mark; none where values say that there is one.
    async fn stand_on(
        &self,
        claim: &Claim,
        found: Option<(Sequence, Mark)>,
    ) -> Result<Option<(Bucket, Mark, bool)>, StoreError> {
        let standing = claim.judge(found.as_ref().map(|(_, mark)| mark))?;
        let bucket = Bucket::open(claim, found.is_some() && !claim.is_reset()).await?;
        let switching = found.as_ref().is_some_and(|(_, mark)| is_switching(mark));
        let mut at = self.at.lock().await;
        *at = found.as_ref().map_or(Sequence::NONE, |(at, _)| *at);
        let mark = match (standing, found) {
            (Standing::Goes(mark), _) if !switching => {
                *at = bucket.hold(mark.clone(), *at).await?;
                return Ok(Some((bucket, mark, false)));
            }
            // What is in the bucket is partly of another life.
            (Standing::Goes(mark), _) => claim.first(mark.generation.saturating_add(1)),
            (Standing::Begins(first), Some(_)) => first,
            (Standing::Begins(first), None) => {
                let all = bucket.all().await?;
                // What cannot be read is of some life.
                let lives = all.values().map(|(_, placed)| placed.as_ref());
                let life = lives
                    .map(|placed| placed.map_or(1, |it| it.entry.life))
                    .max();
                // What is of no life is left of a projection that was forgotten.
                match (life.unwrap_or(0) == 0, claim.is_reset()) {
                    (true, _) => {
                        *at = bucket.hold(first.clone(), *at).await?;
                        return Ok(Some((bucket, first, false)));
                    }
                    (false, true) => claim.first(life.unwrap_or(0).saturating_add(1)),
                    (false, false) => return Ok(None),
                }
            }
        };
        Ok(Some((bucket, mark, true)))
    }

    /// Folds a batch into the values that it changes, until what was made of them is stored.
    async fn store_in(
        &self,
        opened: &Opened,
        batch: FoldBatch<KvEntries<V>>,
    ) -> Result<(), StoreError> {
        let Opened { bucket, life } = opened;
        let mut entries = KvEntries::new(*life);
        loop {
            let looked = entries.fold(&batch, FoldEvent::fold_unseen);
            if let Ok(missing) = &looked
                && !missing.is_empty()
            {
                let found = self.found(opened, missing).await?;
                entries.read(found)?;
                continue;
            }
            if batch.is_seen() {
                // All that it needs is there: this time it counts.
                entries.read(BTreeMap::new())?;
                entries.fold(&batch, FoldEvent::fold)?;
            } else {
                looked?;
            }
            let changed = entries.changed(bucket.value_bytes_max)?;
            if self.is_beside() {
                self.held().extend(changed);
                return Ok(());
            }
            if bucket.write(changed).await? {
                return Ok(());
            }
            // Another run's, or this one's whose answer was lost: what was stored has the events already.
            bucket.is_mine().await?;
            entries = KvEntries::new(*life);
        }
    }

    async fn found(
        &self,
        opened: &Opened,
        keys: &[String],
    ) -> Result<BTreeMap<String, Placed>, StoreError> {
        if self.is_beside() {
            let held = self.held();
            let of = |key: &String| Some((key.clone(), held.get(key)?.clone()));
            return Ok(keys.iter().filter_map(of).collect());
        }
        let found = opened.bucket.read(keys).await?;
        opened.has_no_later(found.values()).await?;
        Ok(found)
    }

    /// Writes the mark of what is stored.
    async fn follow(&self, opened: &Opened) -> Result<(), StoreError> {
        let mut at = self.at.lock().await;
        let (mark, events) = {
            let stored = self.stored();
            (stored.mark.clone(), stored.events)
        };
        let Some(mark) = mark else {
            return Ok(());
        };
        *at = opened.bucket.hold(mark.clone(), *at).await?;
        let mut stored = self.stored();
        stored.events = stored.events.saturating_sub(events);
        stored.since = (stored.events > 0).then(|| opened.bucket.claim.keeper.now());
        if stored.mark.as_ref() == Some(&mark) {
            stored.mark = None;
        }
        Ok(())
    }

    /// Puts what was built into the bucket, key by key, whatever is there.
    async fn fill(&self, opened: &Opened) -> Result<(), StoreError> {
        let Opened { bucket, life } = opened;
        loop {
            let there = bucket.all().await?;
            let placed = there.values().filter_map(|(_, placed)| placed.as_ref());
            opened.has_no_later(placed).await?;
            let mut changed = Vec::new();
            {
                let held = self.held();
                for (key, placed) in held.iter() {
                    let found = there.get(key);
                    let is_there = found.and_then(|(_, found)| found.as_ref());
                    let same = is_there.is_some_and(|found| found.entry == placed.entry);
                    let nowhere = found.is_none() && placed.entry.is_gone();
                    if !(same || nowhere) {
                        let at = found.map_or(Sequence::NONE, |(at, _)| *at);
                        let entry = placed.entry.clone();
                        changed.push((key.clone(), Placed { entry, at }));
                    }
                }
                for (key, (at, found)) in &there {
                    let gone = found.as_ref().is_some_and(|found| found.entry.is_gone());
                    if !gone && !held.contains_key(key) {
                        let entry = Entry::none(*life);
                        changed.push((key.clone(), Placed { entry, at: *at }));
                    }
                }
            }
            let done = changed.is_empty();
            bucket.write(changed).await?;
            if done {
                return Ok(());
            }
        }
    }
}

fn is_switching(mark: &Mark) -> bool {
    let state = mark.state.as_ref().and_then(|state| state.whole.as_ref());
    state.is_some_and(|state| state == SWITCHING)
}

fn switching(key: LayoutKey) -> StateAt {
    StateAt {
        bytes: SWITCHING.len() as u64,
        hash: key.hash(SWITCHING),
        whole: Some(Bytes::from_static(SWITCHING)),
        parts: 0,
        tag: 0,
    }
}

impl<V: KvValue> ProjectionStore for Kv<V> {
    type State = KvEntries<V>;

    async fn open(&self, claim: &Claim) -> Result<Option<Mark>, StoreError> {
        let generation = self.generation.load(Ordering::Acquire);
        let (bucket, mark, beside) = match generation {
            0 => self.stand(claim).await?,
            generation => {
                let bucket = Bucket::open(claim, true).await?;
                (bucket, claim.first(generation), true)
            }
        };
        self.beside.store(beside, Ordering::Release);
        let life = mark.generation;
        if self.opened.set(Opened { bucket, life }).is_err() {
            return Err(StoreError::failed(
                "this store is one projection's already: give each its own",
            ));
        }
        if beside {
            self.stored().mark = Some(mark.clone());
        }
        Ok(Some(mark))
    }

    async fn store(&self, batch: FoldBatch<KvEntries<V>>) -> Result<(), StoreError> {
        let opened = self.opened()?;
        let _turn = self.turn.lock().await;
        if let Some(error) = self.over().clone() {
            return Err(error);
        }
        let (mark, events) = (batch.mark().clone(), batch.events().len() as u64);
        self.store_in(opened, batch).await?;
        let mut stored = self.stored();
        stored.mark = Some(mark);
        stored.events += events;
        stored.since.get_or_insert(opened.bucket.claim.keeper.now());
        Ok(())
    }

    async fn settle(&self, when: Settle) -> Result<Option<Duration>, StoreError> {
        let Some(opened) = self.opened.get() else {
            return Ok(None);
        };
        if self.is_beside() || self.retired.load(Ordering::Acquire) {
            return Ok(None);
        }
        let (unsaved, events, since) = {
            let stored = self.stored();
            (stored.mark.is_some(), stored.events, stored.since)
        };
        if !unsaved {
            return Ok(None);
        }
        let now = opened.bucket.claim.keeper.now();
        let due = since.unwrap_or(now) + Span::from(WITHIN);
        let at_once = match when {
            Settle::CaughtUp | Settle::Stop => true,
            Settle::Now => events >= EVERY,
        };
        if at_once || due <= now {
            let followed = self.follow(opened).await;
            if let Err(error @ StoreError::Superseded { .. }) = &followed {
                *self.over() = Some(error.clone());
            }
            return followed.map(|()| Some(WITHIN));
        }
        Ok(Some(Duration::from_nanos(due.since(now).as_nanos())))
    }

    async fn green(&self) -> Result<Self, StoreError> {
        let Opened { life, .. } = self.opened()?;
        let green = Self::new();
        green
            .generation
            .store(life.saturating_add(1), Ordering::Release);
        green.beside.store(true, Ordering::Release);
        Ok(green)
    }

    fn is_beside(&self) -> bool {
        self.beside.load(Ordering::Acquire)
    }

    async fn promote(&self) -> Result<(), StoreError> {
        let opened = self.opened()?;
        let bucket = &opened.bucket;
        let _turn = self.turn.lock().await;
        let mut at = self.at.lock().await;
        let mark = self.stored().mark.clone();
        let mark = mark.unwrap_or_else(|| bucket.claim.first(opened.life));
        let state = Some(switching(bucket.claim.keeper.key));
        let begun = Mark {
            state,
            ..mark.clone()
        };
        // From here on no other run stores, and the bucket is of two lives until all is there.
        *at = loop {
            let found = Bucket::mark(&bucket.claim).await?;
            let over = found.map_or(Sequence::NONE, |(at, _)| at);
            match bucket.hold(begun.clone(), over).await {
                // The run in whose place it comes wrote its mark just then.
                Err(StoreError::Superseded { .. }) => {}
                held => break held?,
            }
        };
        self.fill(opened).await?;
        *at = bucket.hold(mark, *at).await?;
        drop(at);
        self.beside.store(false, Ordering::Release);
        self.held().clear();
        *self.stored() = Stored::default();
        Ok(())
    }

    async fn discard(&self) {
        self.retired.store(true, Ordering::Release);
    }
}
