//! Membership under chance: nodes with clocks that drift, on a network and a store that lose, delay
//! and lag, with processes that stop and die. What a view calls over never acts again (P3), and when
//! the faults are over everyone sees everyone (P8).

mod dice;
mod world;

use world::{Faults, World};

/// How many seeds a run of the tests tries; `NODE_SEEDS=from..to` asks for others.
const SEEDS: std::ops::Range<u64> = 0..150;

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("NODE_SEEDS") else {
        return SEEDS;
    };
    let (from, to) = text.split_once("..").expect("from..to");
    from.parse().expect("a seed")..to.parse().expect("a seed")
}

fn play(faults: Faults) {
    for seed in seeds() {
        let mut world = World::new(seed, faults);
        world.suffer();
        world.heal();
    }
}

#[test]
fn without_faults_everyone_stays() {
    for seed in 0..20 {
        let mut world = World::new(seed, Faults::NONE);
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
