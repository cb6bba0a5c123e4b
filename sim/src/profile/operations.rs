//! What the callers of a run do besides adding to an entity. In the profiles in which everything comes
//! together each seed draws first which of it they do at all: what always happens hides what happens
//! only where something else does not (swarm testing; Groce and others, ISSTA 2012).

use super::Profile;
use crate::draw::{Draws, What};
use std::collections::BTreeSet;

/// Something that callers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// They read.
    Read,
    /// They ask for several things at once.
    Several,
    /// Their commands have ids.
    Id,
    /// They ask again.
    Again,
    /// They expect a version.
    Version,
    /// Their commands are rejected where the sum is too small.
    Take,
    /// Their commands make several events.
    Burst,
    /// Their events leave versions out.
    Jump,
    /// Their commands change nothing, and are not stored.
    Look,
    /// Their commands change nothing, and are stored.
    Record,
    /// Their commands make events whose version does not rise.
    Fall,
    /// Their code fails.
    Fail,
    /// Their commands are larger than a message may be.
    Large,
    /// Their commands leave something to be done later.
    Later,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Read,
        Self::Several,
        Self::Id,
        Self::Again,
        Self::Version,
        Self::Take,
        Self::Burst,
        Self::Jump,
        Self::Look,
        Self::Record,
        Self::Fall,
        Self::Fail,
        Self::Large,
        Self::Later,
    ];

    /// Those of a seed: each in two of three where the seed draws them.
    pub(super) fn draw(draws: &mut Draws, profile: Profile) -> BTreeSet<Self> {
        let mut part = 500;
        let mut there = |_: &Self| {
            part += 1;
            draws.chance(What::Plan, part, 667) || !profile.is_everything()
        };
        Self::ALL.into_iter().filter(|it| there(it)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Operation;
    use crate::profile::{Plan, Profile};

    #[test]
    fn seeds_of_everything_draw_what_callers_do_and_others_have_all_of_it() {
        for profile in [Profile::Swarm, Profile::Storm] {
            let drawn: Vec<_> = (0..60)
                .map(|seed| Plan::new(seed, profile).operations)
                .collect();
            for operation in Operation::ALL {
                let there = drawn.iter().filter(|all| all.contains(&operation)).count();
                assert!((20..60).contains(&there), "{operation:?}: {there} of 60");
            }
        }
        let calm = Plan::new(1, Profile::Calm).operations;
        assert_eq!(calm.len(), Operation::ALL.len());
    }
}
