//! Groups of consumers (`core/tests/group`): nodes that run one, under crashes, hints, ends of leases, writes
//! that are lost or late, joins, leaves, pauses and rewinds. Of each partition at most one node acts, nothing of a former
//! owner is stored, and in the end each event was handled in order.

#[path = "../../core/tests/group/world.rs"]
mod world;

use crate::chance::Chance;
use world::World;

/// So much happens at most: each is a step of a whole cluster.
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
        let what = u8::try_from(chance.below(256)).expect("a byte");
        let how = u16::try_from(chance.below(1 << 16)).expect("two bytes");
        world.act((what, how));
    }
    world.end_well();
}
