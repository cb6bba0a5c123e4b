//! Leases (`core/tests/lease`): whatever the clocks within the bound, the delays and the pauses, the
//! holder has stopped before anyone may take its place.

#[path = "../../core/tests/lease/pair.rs"]
mod pair;

use crate::chance::Chance;
use pair::{Beat, Clock, Pair, SECOND, stops_before_the_other_goes_on};
use tenure_core::Span;
use tenure_core::lease::Terms;

/// So many heartbeats at most.
const BEATS_MAX: u64 = 12;

/// A delay, in nanoseconds: mostly short.
fn delay(chance: &mut Chance) -> u64 {
    let most = if chance.one_in(4) { 15_000 } else { 100 };
    chance.below(most) * (SECOND / 1_000)
}

fn perhaps(chance: &mut Chance) -> Option<u64> {
    (!chance.one_in(5)).then(|| delay(chance))
}

fn clock(chance: &mut Chance, terms: &Terms) -> Clock {
    let most = i64::from(terms.drift_ppm);
    let drift = match chance.below(3) {
        0 => most,
        1 => -most,
        _ => i64::try_from(chance.below(2 * terms.drift_ppm as u64 + 1)).expect("small") - most,
    };
    Clock {
        offset: chance.below(1_000) * SECOND,
        drift,
    }
}

/// Plays what the bytes say.
///
/// # Panics
///
/// When both may act.
pub(crate) fn play(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let terms = Terms {
        ttl: Span::from_millis(500 + chance.below(19_500)),
        drift_ppm: u32::try_from(chance.below(50_001)).expect("small"),
        margin: Span::from_millis(20 + chance.below(4_980)),
    };
    if terms.check(false).is_err() {
        return;
    }
    let (holder, watcher) = (clock(&mut chance, &terms), clock(&mut chance, &terms));
    let step_ns = (1 + chance.below(400)) * (SECOND / 1_000);
    let sleeps = (0..chance.below(3))
        .map(|_| {
            (
                chance.below(60) * SECOND,
                chance.below(20_000) * (SECOND / 1_000),
            )
        })
        .collect();
    let mut beats = Vec::new();
    for _ in 0..BEATS_MAX {
        if !chance.is_left() {
            break;
        }
        beats.push(Beat {
            pause: delay(&mut chance),
            store: perhaps(&mut chance),
            acknowledge: perhaps(&mut chance),
            receive: perhaps(&mut chance),
        });
    }
    stops_before_the_other_goes_on(&Pair {
        terms,
        holder,
        watcher,
        beats,
        step_ns,
        sleeps,
    });
}
