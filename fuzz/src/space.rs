//! The opening of namespaces (`core/tests/space`): processes that open one at once, on connections and
//! replicas that lose, delay and lag. There is one layout, one anchor in each stream, and one record of a
//! kind, and all are told the same.

#[path = "../../core/tests/space/process.rs"]
#[allow(dead_code, reason = "stories use more of it")]
mod process;
#[path = "../../core/tests/space/store.rs"]
#[allow(dead_code, reason = "stories use more of it")]
mod store;
#[path = "../../core/tests/space/world.rs"]
mod world;

use crate::chance::Chance;
use world::{Fault, PROCESSES, World};

/// So many requests have a fate of their own at most: with many more a process may give up.
const ACTS_MAX: usize = 120;

fn fault(chance: &mut Chance) -> Fault {
    match chance.below(11) {
        0 => Fault::AnswerLost,
        1 => Fault::Lost,
        2 => Fault::Late,
        3 => Fault::NoResponders,
        4 => Fault::Stale,
        5 => Fault::Cut,
        6 => Fault::Crash,
        _ => Fault::None,
    }
}

/// Plays what the bytes say.
///
/// # Panics
///
/// When a promise is broken.
pub(crate) fn play(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let mut world = World::new(chance.one_in(2));
    for _ in 0..ACTS_MAX {
        if !chance.is_left() {
            break;
        }
        let process = usize::try_from(chance.below(PROCESSES as u64)).expect("small");
        world.act(process, fault(&mut chance));
    }
    world.end_well();
}
