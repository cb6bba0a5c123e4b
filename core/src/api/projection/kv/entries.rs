//! What folds change: the values of keys, each by itself.

use super::entry::Entry;
use super::key::kv_key;
use super::{KvValue, StoreError};
use crate::api::consumer::{HandlerError, HandlerOutcome};
use crate::api::projection::{FoldBatch, FoldEvent};
use crate::format::EventPlace;
use crate::id::Sequence;
use bytes::Bytes;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The values of a projection in a bucket, for a fold: see [`change`](Self::change).
pub struct KvEntries<V> {
    life: u64,
    /// The event that is folded.
    place: Option<EventPlace>,
    slots: BTreeMap<String, Slot<V>>,
    /// Keys whose values have to be read first: what is folded meanwhile does not count.
    missing: BTreeSet<String>,
}

/// One key's value.
struct Slot<V> {
    /// What is folded into.
    base: Entry,
    /// The place of what is stored.
    at: Sequence,
    now: Entry,
    value: Option<V>,
}

/// A value that was read or is to be stored, and the place of the one that it replaces.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) entry: Entry,
    pub(super) at: Sequence,
}

impl<V> fmt::Debug for KvEntries<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvEntries")
            .field("keys", &self.slots.keys())
            .finish_non_exhaustive()
    }
}

impl<V: KvValue> KvEntries<V> {
    pub(super) fn new(life: u64) -> Self {
        Self {
            life,
            place: None,
            slots: BTreeMap::new(),
            missing: BTreeSet::new(),
        }
    }

    /// Changes the value of a key; `None`, before or after, is a key without one. The change depends on this
    /// value and the event alone, never on the values of other keys: it is left out where it is made
    /// already, and may be made several times, of which one counts.
    ///
    /// # Errors
    ///
    /// The change's own, and when the text is no [key](super::kv_key).
    pub fn change<R: HandlerOutcome>(
        &mut self,
        key: impl AsRef<str>,
        change: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<(), HandlerError> {
        let key = kv_key(key.as_ref())?;
        let Some(slot) = self.slots.get_mut(&key) else {
            self.missing.insert(key);
            return Ok(());
        };
        let Some(place) = self.place.filter(|place| !slot.base.has(*place)) else {
            return Ok(());
        };
        change(&mut slot.value).into_result()?;
        slot.now.take_in(place);
        Ok(())
    }

    /// Values were read; all begin with what was read.
    pub(super) fn read(&mut self, mut found: BTreeMap<String, Placed>) -> Result<(), StoreError> {
        for key in std::mem::take(&mut self.missing) {
            let none = Entry::none(self.life);
            let (base, at) = match found.remove(&key) {
                // A former life has no part in this one.
                Some(Placed { entry, at }) if entry.life < self.life => (none, at),
                Some(Placed { entry, at }) => (entry, at),
                None => (none, Sequence::NONE),
            };
            let slot = Slot {
                now: base.clone(),
                base,
                at,
                value: None,
            };
            self.slots.insert(key, slot);
        }
        for (key, slot) in &mut self.slots {
            slot.now = slot.base.clone();
            slot.value = decoded(key, &slot.base)?;
        }
        Ok(())
    }

    /// Folds a batch; the keys that have to be read before it counts, or none.
    pub(super) fn fold(
        &mut self,
        batch: &FoldBatch<Self>,
        fold: impl Fn(&FoldEvent<Self>, &mut Self) -> Result<(), HandlerError>,
    ) -> Result<Vec<String>, StoreError> {
        for (index, event) in batch.events().iter().enumerate() {
            self.place = Some(event.place());
            let folded = fold(event, self);
            if let Err(error) = folded
                && self.missing.is_empty()
            {
                let text = error.to_string();
                return Err(StoreError::Fold { index, text });
            }
        }
        Ok(self.missing.iter().cloned().collect())
    }

    /// What is to be stored.
    pub(super) fn changed(self, bytes_max: usize) -> Result<Vec<(String, Placed)>, StoreError> {
        let mut changed = Vec::new();
        for (key, slot) in self.slots {
            if slot.now == slot.base {
                continue;
            }
            let value = slot.value.map_or(Ok(Value::Null), serde_json::to_value);
            let value = value.map_err(|error| of_key(&key, &error.to_string()))?;
            let entry = slot.now.with(value);
            let bytes = entry.encode().len();
            if bytes > bytes_max {
                let text = format!(
                    "it has {bytes} bytes, and a message of this server takes {bytes_max}: keep less under one key"
                );
                return Err(of_key(&key, &text));
            }
            changed.push((key, Placed { entry, at: slot.at }));
        }
        Ok(changed)
    }
}

/// What an event led to cannot be stored; of several, they are folded alone then.
fn of_key(key: &str, text: &str) -> StoreError {
    let text = format!("the value of key {key:?} cannot be stored: {text}");
    StoreError::Fold { index: 0, text }
}

pub(super) fn decoded<V: KvValue>(key: &str, entry: &Entry) -> Result<Option<V>, StoreError> {
    if entry.is_gone() {
        return Ok(None);
    }
    serde_json::from_value(entry.value.clone())
        .map(Some)
        .map_err(|error| {
            StoreError::failed(format!(
                "the value of key {key:?} is not of this type ({error}): raise the version when the type changes, or start with a reset"
            ))
        })
}

/// A value as it was read; an error when somebody else wrote it.
pub(super) fn placed(key: &str, payload: &Bytes, at: Sequence) -> Result<Placed, StoreError> {
    match Entry::decode(payload) {
        Some(entry) => Ok(Placed { entry, at }),
        None => Err(StoreError::failed(format!(
            "the value of key {key:?} was written by somebody else (revision {at}): take the right to write there from them, and start the projection with a reset"
        ))),
    }
}
