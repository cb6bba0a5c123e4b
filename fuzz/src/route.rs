//! Routing (`core/tests/route`): three routers, and a network that loses, doubles and reorders. Each
//! request ends once, runs as often as it may, and in its order where the network keeps it.

#[path = "../../core/tests/route/acts.rs"]
#[allow(dead_code, reason = "its own tests use more of it")]
mod acts;
#[path = "../../core/tests/route/world.rs"]
#[allow(dead_code, reason = "its own tests use more of it")]
mod world;

use crate::chance::Chance;
use acts::{Faults, happen, heal, in_order};
use world::World;

/// So many things happen at most.
const ACTS_MAX: usize = 4_000;

/// An act takes about so many bytes of chance.
const ACT_BYTES: usize = 4;

/// Plays what the bytes say.
///
/// # Panics
///
/// When a promise is broken.
pub(crate) fn play(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let network = chance.one_in(2);
    let mut world = World::new(chance);
    let faults = Faults {
        network,
        hands: true,
    };
    for _ in 0..ACTS_MAX.min(bytes.len() / ACT_BYTES) {
        happen(&mut world, faults);
        // Where order is judged, nothing stays on its way for as long as a former owner is waited for.
        if !network && world.below(40) == 0 {
            world.settle();
        }
    }
    if network {
        heal(&mut world);
    } else {
        in_order(&mut world);
    }
}
