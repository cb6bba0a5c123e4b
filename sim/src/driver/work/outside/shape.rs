//! What the outside of a run is like: drawn once, before its nodes are there.

use super::book::Given;
use super::entity::Bill;
use crate::draw::{Draws, What};
use siphasher::sip::SipHasher24;
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;
use tenure_core::api::effect::EffectPolicy;

/// The outside of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) policy: EffectPolicy,
    /// What decides the fate of each try.
    key: u64,
    fails_per_mille: u64,
    poison_per_mille: u64,
    longest_ms: u64,
}

/// What becomes of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Fine,
    Fails,
    Panics,
    /// It is done, and who called is not told so.
    DoneAndFails,
    /// It is done, and then takes longer than it may.
    DoneAndHangs,
}

impl Shape {
    pub(super) fn draw(seed: u64) -> Self {
        let mut draws = Draws::new(seed ^ 0xB111);
        let mut pick = |part, choices: [u64; 3]| draws.pick(What::Plan, part, &choices);
        let tries = u32::try_from(pick(1, [1, 2, 4])).expect("a small number");
        let timeout = Duration::from_millis(pick(2, [150, 600, 2_000]));
        Self {
            policy: EffectPolicy::default().timeout(timeout).tries_max(tries),
            fails_per_mille: pick(3, [0, 60, 300]),
            poison_per_mille: pick(4, [0, 20, 100]),
            longest_ms: pick(5, [2, 60, 400]),
            key: draws.below(What::Plan, 6, u64::MAX),
        }
    }

    /// One whose handler nothing befalls but what is tried.
    #[cfg(test)]
    pub(super) fn plain(fails_per_mille: u64, poison_per_mille: u64) -> Self {
        Self {
            policy: EffectPolicy::default(),
            key: 1,
            fails_per_mille,
            poison_per_mille,
            longest_ms: 2,
        }
    }

    /// What becomes of a try, and how long it takes.
    pub(super) fn fate(&self, given: &Given) -> (Fate, Duration) {
        let mixed = self.mixed(given.bill, given.nth);
        let longest_ms = if given.well { 2 } else { self.longest_ms };
        let takes = Duration::from_micros(mixed / 8_000 % (longest_ms * 1_000 + 1));
        // One that no try carries out, until somebody mends that.
        let poison = !given.mended && self.mixed(given.bill, 0) % 1_000 < self.poison_per_mille;
        let fails = poison || !given.well && mixed % 1_000 < self.fails_per_mille;
        let fate = match mixed / 1_000 % 8 {
            _ if !fails => Fate::Fine,
            0 | 1 => Fate::Panics,
            2 | 3 if !poison => Fate::DoneAndFails,
            4 if !poison => Fate::DoneAndHangs,
            _ => Fate::Fails,
        };
        (fate, takes)
    }

    fn mixed(&self, bill: Bill, nth: u64) -> u64 {
        let mut hasher = SipHasher24::new();
        (self.key, bill, nth).hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fate, Given, Shape};
    use crate::driver::work::outside::entity::Bill;

    #[test]
    fn what_is_well_goes_well_but_for_what_nobody_mended() {
        let given = |nth, mended, well| Given {
            bill: Bill { sale: 3, part: 0 },
            nth,
            mended,
            well,
        };
        let fates = |shape: &Shape, mended, well| -> Vec<Fate> {
            let fates = (1..100).map(|nth| shape.fate(&given(nth, mended, well)).0);
            fates.collect()
        };
        let fails = fates(&Shape::plain(1_000, 0), false, false);
        for fate in [
            Fate::Fails,
            Fate::Panics,
            Fate::DoneAndFails,
            Fate::DoneAndHangs,
        ] {
            assert!(fails.contains(&fate), "{fate:?}");
        }
        assert!(!fails.contains(&Fate::Fine));
        let well = fates(&Shape::plain(1_000, 0), false, true);
        assert!(well.iter().all(|fate| *fate == Fate::Fine));
        let poison = Shape::plain(0, 1_000);
        let undone = |fate: &Fate| matches!(fate, Fate::Fails | Fate::Panics);
        assert!(fates(&poison, false, true).iter().all(undone));
        let mended = fates(&poison, true, true);
        assert!(mended.iter().all(|fate| *fate == Fate::Fine));
    }
}
