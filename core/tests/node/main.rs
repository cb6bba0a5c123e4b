//! Membership under chance: nodes with clocks that drift, on a network and a store that lose, delay
//! and lag, with processes that stop and die. What a view calls over never acts again (P3), and when
//! the faults are over everyone sees everyone (P8).

#[path = "../common/chance.rs"]
mod chance;
mod world;

use chance::Chance;
use std::ops::Range;
use world::{Faults, World};

/// How many seeds a run of the tests tries; `NODE_SEEDS=from..to` asks for others.
const SEEDS: Range<u64> = 0..100;

/// Seeds that found something: a run whose join was stored, replaced and then repeated (M5).
const FOUND: [u64; 1] = [1_566];

fn seeds() -> Vec<u64> {
    let Ok(text) = std::env::var("NODE_SEEDS") else {
        return FOUND.into_iter().chain(SEEDS).collect();
    };
    let (from, to) = text.split_once("..").expect("from..to");
    (from.parse().expect("a seed")..to.parse().expect("a seed")).collect()
}

fn play(faults: Faults) {
    for seed in seeds() {
        let mut world = World::new(Chance::new(seed), seed, faults);
        world.suffer();
        world.heal();
    }
}

#[test]
fn without_faults_everyone_stays() {
    for seed in 0..20 {
        let mut world = World::new(Chance::new(seed), seed, Faults::NONE);
        world.suffer();
        world.heal();
        assert!(
            !world.lost_a_lease(),
            "seed {seed}: a lease was lost for nothing"
        );
    }
}

#[test]
fn a_run_that_is_over_never_acts_again() {
    play(Faults::ALL);
}

#[test]
fn processes_that_only_die_are_replaced() {
    play(Faults {
        kills: true,
        ..Faults::NONE
    });
}
