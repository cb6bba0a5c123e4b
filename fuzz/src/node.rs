//! Membership (`core/tests/node`): nodes with clocks that drift, on a network and a store that lose,
//! delay and lag. What a view calls over never acts again, and in the end everyone sees everyone.

#[path = "../../core/tests/node/world.rs"]
#[allow(dead_code, reason = "its own tests use more of it")]
mod world;

use crate::chance::Chance;
use world::{Faults, World};

/// Plays what the bytes say: which faults there are, and each of them.
///
/// # Panics
///
/// When a promise is broken.
pub(crate) fn play(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let faults = Faults {
        loses: chance.one_in(2),
        lags: chance.one_in(2),
        pauses: chance.one_in(2),
        kills: chance.one_in(2),
        cuts: chance.one_in(2),
        lies: chance.one_in(2),
        leaves: chance.one_in(2),
        doubles: chance.one_in(2),
    };
    let mut world = World::new(chance, 0, faults);
    world.suffer();
    world.heal();
}
