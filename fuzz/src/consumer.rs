//! Consumers (`core/tests/consumer`): one run after another over a log that grows, under lost and late
//! answers, handlers that fail, reconnects, crashes and rewinds. Each event is handled in order, and no
//! stored checkpoint is ahead of what was handled.

#[path = "../../core/tests/consumer/world.rs"]
#[allow(dead_code, reason = "its own tests use more of it")]
mod world;

use crate::chance::Chance;
use tenure_core::consumer::{Order, Then};
use world::{Setup, World};

/// So many things happen at most.
const ACTS_MAX: usize = 2_000;

fn setup(chance: &mut Chance) -> Setup {
    Setup {
        order: match chance.below(4) {
            0 => Order::Serial,
            handlers_max => Order::PerEntity {
                handlers_max: u32::try_from(handlers_max).expect("small"),
            },
        },
        then: match chance.one_in(2) {
            true => Then::Skip,
            false => Then::DeadLetter,
        },
        streams: 1 + u16::try_from(chance.below(2)).expect("small"),
        retries_max: u32::try_from(chance.below(3)).expect("small"),
    }
}

/// Plays what the bytes say.
///
/// # Panics
///
/// When a promise is broken.
pub(crate) fn play(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let mut world = World::new(setup(&mut chance));
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
