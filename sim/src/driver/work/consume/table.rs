//! A store with transactions, as a projection may have one: what was made of events and up to where is
//! replaced in one step, for the run alone that took it over last (P6). It outlives every node.

use siphasher::sip::SipHasher24;
use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tenure_core::api::consumer::{EventBatch, EventPlace, Position};
use tenure_core::id::Version;

/// What was made of the events of each entity, by kind and id.
pub(super) type Folded = BTreeMap<(String, String), Sum>;

/// What was made of an entity's events: how many they were, and a number that tells another order or
/// content from theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) count: u64,
    hash: u64,
}

impl Sum {
    /// Takes one more event in.
    pub(super) fn add(&mut self, version: Version, name: &str, data: &[u8]) {
        let mut hasher = SipHasher24::new();
        (self.hash, version.0, name, data).hash(&mut hasher);
        self.hash = hasher.finish();
        self.count += 1;
    }
}

/// The store. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    owner: u64,
    positions: Option<Vec<Position>>,
    folded: Folded,
}

impl Table {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run takes it over: its number here, and where the one before it stood.
    pub(super) fn take_over(&self) -> (u64, Option<Vec<Position>>) {
        let mut rows = self.rows();
        rows.owner += 1;
        (rows.owner, rows.positions.clone())
    }

    /// Begins from nothing.
    pub(super) fn clear(&self) {
        let mut rows = self.rows();
        rows.owner += 1;
        rows.positions = None;
        rows.folded.clear();
    }

    pub(super) fn positions(&self) -> Option<Vec<Position>> {
        self.rows().positions.clone()
    }

    pub(super) fn folded(&self) -> Folded {
        self.rows().folded.clone()
    }

    /// Takes a batch in with where the consumer stands then; `taken` is told each event that was not
    /// taken in before.
    pub(super) fn commit(
        &self,
        owner: u64,
        batch: &EventBatch,
        taken: impl Fn(EventPlace, bool),
    ) -> Result<(), String> {
        let mut rows = self.rows();
        if rows.owner != owner {
            return Err(format!("run {} has it", rows.owner));
        }
        let before = rows.positions.clone();
        let before = before.unwrap_or_else(|| vec![Position::START; batch.upto.len()]);
        for event in &batch.events {
            let place = event.place();
            let at = before[usize::from(place.partition.0)];
            if at.takes_in(place.sequence, place.index) {
                continue;
            }
            let key = (event.kind().to_string(), event.id().to_string());
            let sum = rows.folded.entry(key).or_default();
            sum.add(event.version, &event.event.name, &event.event.data);
            taken(place, event.live());
        }
        let later = before.iter().zip(&batch.upto);
        let later = later.map(|(before, upto)| *before.max(upto)).collect();
        rows.positions = Some(later);
        Ok(())
    }
}
