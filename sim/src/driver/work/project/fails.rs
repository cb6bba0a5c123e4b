//! Which folds fail: each time that an event is folded, by itself.

use siphasher::sip::SipHasher24;
use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use tenure_core::api::consumer::EventPlace;

/// How often folds fail, and how often each event was folded.
#[derive(Debug)]
pub(super) struct Fails {
    per_mille: u64,
    /// What decides which.
    key: u64,
    folds: Mutex<BTreeMap<EventPlace, u64>>,
}

impl Fails {
    pub(super) fn new(per_mille: u64, key: u64) -> Self {
        Self {
            per_mille,
            key,
            folds: Mutex::default(),
        }
    }

    /// What becomes of a fold of an event that changed something already.
    pub(super) fn befall(&self, place: EventPlace) -> Result<(), String> {
        match self.fate(place) {
            _ if self.per_mille == 0 => Ok(()),
            0 => Err("not now".to_owned()),
            // Without the hook: it is no mistake of this program.
            1 => std::panic::resume_unwind(Box::new("not now")),
            _ => Ok(()),
        }
    }

    /// 0 and 1 for a fold that is to fail, in one way or the other.
    fn fate(&self, place: EventPlace) -> u64 {
        let mut folds = self.folds.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = folds.entry(place).or_default();
        *nth += 1;
        let mut hasher = SipHasher24::new();
        let EventPlace {
            partition,
            sequence,
            index,
        } = place;
        (self.key, partition.0, sequence.0, index, *nth).hash(&mut hasher);
        hasher.finish() % (2_000 / self.per_mille.max(1))
    }
}
