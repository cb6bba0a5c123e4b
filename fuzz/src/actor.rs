//! Actors (`core/tests/actor`): one scheduler under messages, endings, pauses, hand-overs and lost
//! leases. Each message is answered once, a key runs one at a time, and nothing is left at the end.

#[path = "../../core/tests/actor/model.rs"]
mod model;

use crate::chance::Chance;
use model::{Act, End, Model};

/// So many things happen at most.
const ACTS_MAX: usize = 600;

fn small(chance: &mut Chance, bound: u64) -> u8 {
    u8::try_from(chance.below(bound)).expect("a small number")
}

fn kind(chance: &mut Chance) -> u16 {
    u16::from(small(chance, 3))
}

fn which(chance: &mut Chance) -> usize {
    usize::from(small(chance, 256))
}

fn end(chance: &mut Chance) -> End {
    match chance.below(20) {
        0 => End::Timer,
        1 => End::Leave,
        2 => End::Fails,
        3 | 4 => End::Panics,
        5 => End::Dropped,
        6 => End::Withdrawn,
        _ => End::Ok,
    }
}

fn act(chance: &mut Chance) -> Act {
    match chance.below(50) {
        0..=11 => Act::Ask {
            kind: kind(chance),
            key: small(chance, 6),
            ms: 1 + chance.below(200),
            answered: !chance.one_in(5),
        },
        12 => Act::Watch {
            kind: kind(chance),
            key: small(chance, 6),
            ms: 1 + chance.below(200),
        },
        13 | 14 => Act::Withdraw(which(chance)),
        15..=28 => Act::End(which(chance), end(chance)),
        29..=36 => Act::Turn,
        37..=40 => Act::Pass(chance.below(60)),
        41 | 42 => Act::Late(chance.below(60)),
        43 | 44 => Act::Own(small(chance, 2)),
        45 => Act::Lost(small(chance, 2)),
        46 => Act::HandOver(small(chance, 2)),
        47 => {
            let ms = 1 + chance.below(400);
            Act::Lease((!chance.one_in(4)).then_some(ms))
        }
        48 => Act::Pause(small(chance, 6)),
        _ => Act::Resume(small(chance, 6)),
    }
}

/// Plays what the bytes say.
///
/// # Panics
///
/// When a promise is broken.
pub(crate) fn play(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let mut model = Model::new();
    let stops = chance.one_in(2);
    for _ in 0..ACTS_MAX {
        if !chance.is_left() {
            break;
        }
        model.act(&act(&mut chance));
    }
    model.finish(stops);
}
