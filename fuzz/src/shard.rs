//! Ownership (`core/tests/shard`): the machines that own shards and the logs that they order, under
//! crashes, pauses, hints, leases and late claims. At most one node acts for a leased shard, and in the
//! end each is with whom the map gives it.

#[path = "../../core/tests/shard/history.rs"]
#[allow(dead_code, reason = "its own tests use more of it")]
mod history;

use crate::chance::Chance;
use crate::owners::{Class, Fate};
use history::{Act, History, NAMES, SHARDS};

/// So much happens at most: each is a step of a whole cluster.
const ACTS_MAX: usize = 200;

fn node(chance: &mut Chance) -> usize {
    usize::try_from(chance.below(NAMES.len() as u64)).expect("a name")
}

fn perhaps<T>(chance: &mut Chance, draw: impl FnOnce(&mut Chance) -> T) -> Option<T> {
    chance.one_in(2).then(|| draw(chance))
}

fn act(chance: &mut Chance) -> Act {
    let n = node(chance);
    match chance.below(19) {
        0 => Act::Advance(1 + chance.below(3_000)),
        1 => Act::Hint(n, perhaps(chance, node)),
        2 => Act::Back(n),
        3 => Act::LeaseEnds(n, perhaps(chance, |chance| 1 + chance.below(2_000))),
        4 => Act::Over(n),
        5 => Act::Rejoin(n),
        6 => Act::Restart(n),
        7 => Act::Stop(n),
        8 => Act::GoOn(n),
        9 => Act::Deaf(n),
        10 => Act::Hears(n),
        11 => Act::Drain(n),
        12 => {
            let class = match chance.below(3) {
                0 => Class::Claim,
                1 => Class::Commit,
                _ => Class::Owners,
            };
            let fate = match chance.below(3) {
                0 => Fate::Held,
                1 => Fate::AnswerLost,
                _ => Fate::Late,
            };
            Act::Fault(n, class, fate)
        }
        13 => Act::Release(n),
        14 => Act::Late,
        15 => Act::List,
        16 => {
            let weights = [0, 50, 100];
            let place = usize::try_from(chance.below(3)).expect("a place");
            Act::Weight(n, weights[place])
        }
        17 => {
            let shard = u16::try_from(chance.below(u64::from(SHARDS))).expect("a shard");
            Act::Ask(n, shard, chance.one_in(2))
        }
        _ => Act::Run,
    }
}

/// Plays what the bytes say.
///
/// # Panics
///
/// When a promise is broken.
pub(crate) fn play(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let mut history = History::new();
    for _ in 0..ACTS_MAX {
        if !chance.is_left() {
            break;
        }
        history.act(&act(&mut chance));
        history.one_acts();
    }
    history.heal();
    history.one_acts();
    history.converged();
}
