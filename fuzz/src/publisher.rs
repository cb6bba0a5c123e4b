//! What is published durably (`core/tests/bus`): one publisher under requests and answers that are lost or
//! late, reconnects, streams that are gone and leaders that are replaced. Each publication is answered
//! once, stored once at most, and where it is said to be.

#[path = "../../core/tests/bus/world.rs"]
#[allow(dead_code, reason = "its own tests use more of it")]
mod world;

use crate::chance::Chance;
use tenure_core::step::Limits;
use world::{Act, World};

/// So many things happen at most.
const ACTS_MAX: usize = 2_000;

fn act(chance: &mut Chance) -> Act {
    match chance.below(14) {
        0..=2 => Act::Publish(u16::try_from(1 + chance.below(5_000)).expect("two bytes")),
        3..=8 => Act::Answer(!chance.one_in(3), !chance.one_in(3)),
        9 => Act::Succeed,
        10 | 11 => Act::Wait(chance.below(3_000)),
        12 => Act::Up,
        _ => Act::Unusable,
    }
}

/// Plays what the bytes say.
///
/// # Panics
///
/// When a promise is broken.
pub(crate) fn play(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let mut limits = Limits::default();
    if chance.one_in(3) {
        limits.publications_max = 1 + usize::try_from(chance.below(4)).expect("small");
    }
    let mut world = World::new(limits, chance.one_in(2));
    for _ in 0..ACTS_MAX {
        if !chance.is_left() {
            break;
        }
        world.act(&act(&mut chance));
    }
    world.end_well();
}
