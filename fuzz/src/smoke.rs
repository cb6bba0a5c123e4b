//! What coverage guidance starts from must hold without it: each world, over fixed seeds.

use tenure_core::{Dice, Purpose};

/// So many bytes of chance that depend on the seed alone.
fn bytes(seed: u64, words: u64) -> Vec<u8> {
    let dice = Dice::new(u128::from(seed));
    let words = (0..words).map(|n| dice.roll(Purpose::World, n).to_le_bytes());
    words.flatten().collect()
}

fn plays(seeds: u64, words: u64, play: fn(&[u8])) {
    for seed in 0..seeds {
        let bytes = bytes(seed, words);
        if let Err(panic) = std::panic::catch_unwind(|| play(&bytes)) {
            println!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn random_memberships_hold() {
    plays(30, 4_000, crate::node::play);
}

#[test]
fn random_requests_hold() {
    plays(300, 500, crate::route::play);
}

#[test]
fn random_ownerships_hold() {
    plays(150, 40, crate::shard::play);
}
