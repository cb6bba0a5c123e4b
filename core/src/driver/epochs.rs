//! Under which epochs a node owned its places lately: so that an answer names the one that its commit was
//! stored under, however late it is told.

use crate::id::{Epoch, Sequence};
use crate::shard::{Place, Report};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many are known of a place. A commit is resolved by the seal after it, so two would do but for
/// answers that are slow to be told.
const KEPT_MAX: usize = 8;

/// The epochs of a node's places, written by their logs as they have them.
#[derive(Debug, Default)]
pub(crate) struct Epochs(Mutex<BTreeMap<Place, Held>>);

/// The epochs of one place.
#[derive(Debug, Default)]
struct Held {
    /// Rising, the last one is the latest.
    epochs: VecDeque<Epoch>,
    /// Whether the latest one is this node's still.
    holds: bool,
}

impl Epochs {
    /// Takes in what the log of a place reports.
    pub(crate) fn hear(&self, place: Place, report: &Report) {
        let mut places = self.places();
        match report {
            Report::Owned(epoch) => {
                let held = places.entry(place).or_default();
                if held.epochs.len() == KEPT_MAX {
                    held.epochs.pop_front();
                }
                held.epochs.push_back(*epoch);
                held.holds = true;
            }
            Report::HandedOver { .. }
            | Report::Released { .. }
            | Report::Lost { .. }
            | Report::Failed { .. } => {
                if let Some(held) = places.get_mut(&place) {
                    held.holds = false;
                }
            }
            Report::Rival { .. } | Report::Kept { .. } => {}
        }
    }

    /// Under which epoch an answer was given: of a commit at this sequence the one that it was stored
    /// under, which is the latest before it (P2), of everything else the present one.
    pub(crate) fn of(&self, place: Place, stored: Option<Sequence>) -> Option<Epoch> {
        let places = self.places();
        let held = places.get(&place)?;
        match stored {
            Some(stored) => {
                let before = |epoch: &&Epoch| epoch.sequence < stored;
                held.epochs.iter().rev().find(before).copied()
            }
            None => held.epochs.back().copied().filter(|_| held.holds),
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<Place, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Epochs, KEPT_MAX};
    use crate::format::TakeOver;
    use crate::id::{ClaimId, Epoch, Sequence, ShardId};
    use crate::shard::{Place, Report};

    #[test]
    fn a_commit_is_of_the_epoch_that_it_was_stored_under() {
        let epochs = Epochs::default();
        let (class, shard) = (TakeOver::Fenced, ShardId(7));
        let place = Place { class, shard };
        let epoch = |n| Epoch {
            sequence: Sequence(n),
            claim: ClaimId(n.into()),
        };
        assert_eq!(epochs.of(place, Some(Sequence(5))), None);
        epochs.hear(place, &Report::Owned(epoch(10)));
        assert_eq!(epochs.of(place, None), Some(epoch(10)));
        // A commit at 15 of unknown end, and the seal that shows that it is there.
        epochs.hear(place, &Report::Owned(epoch(20)));
        assert_eq!(epochs.of(place, Some(Sequence(15))), Some(epoch(10)));
        assert_eq!(epochs.of(place, Some(Sequence(21))), Some(epoch(20)));
        assert_eq!(epochs.of(place, None), Some(epoch(20)));
        // What was stored is told after the place has gone to another node.
        let cause = String::new();
        epochs.hear(place, &Report::Failed { cause });
        assert_eq!(epochs.of(place, Some(Sequence(21))), Some(epoch(20)));
        assert_eq!(epochs.of(place, None), None);
        for n in 0..KEPT_MAX as u64 {
            epochs.hear(place, &Report::Owned(epoch(30 + n)));
        }
        assert_eq!(
            epochs.of(place, Some(Sequence(21))),
            None,
            "it is forgotten"
        );
    }
}
