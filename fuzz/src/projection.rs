//! States of projections (`core/tests/projection`): nodes that load and save one, in lives that overlap,
//! over answers that are lost and writes that are late. What is stored is whole, and never goes back.

#[path = "../../core/tests/projection/world.rs"]
#[allow(dead_code, reason = "its own tests use more of it")]
mod world;

use crate::chance::Chance;
use world::World;

/// So many things happen at most.
const ACTS_MAX: usize = 600;

/// Plays what the bytes say.
///
/// # Panics
///
/// When a promise is broken.
pub(crate) fn play(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let mut world = World::new();
    for _ in 0..ACTS_MAX {
        if !chance.is_left() {
            break;
        }
        let node = usize::try_from(chance.below(3)).expect("small");
        let what = u8::try_from(chance.below(256)).expect("a byte");
        world.act((node, what));
    }
}
