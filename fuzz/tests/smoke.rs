//! What coverage guidance starts from must hold without it: each target over the inputs that are kept,
//! and over fixed seeds.

use std::fs;
use tenure_fuzz::vary::Numbers;
use tenure_fuzz::{TARGETS, Target};

/// Plays random inputs of the length that a target asks for.
fn holds(name: &str, seeds: u64) {
    let target = Target::named(name).expect("a target");
    for seed in 0..seeds {
        let input = target.input(&Numbers::new(seed).bytes(target.bytes));
        match std::panic::catch_unwind(|| target.play(&input)) {
            Ok(played) => played.expect("it is of this version"),
            Err(panic) => {
                println!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn what_is_kept_holds() {
    for target in &TARGETS {
        let mut played = 0;
        for entry in fs::read_dir(target.corpus()).expect("each target keeps some") {
            let path = entry.expect("a file").path();
            let input = fs::read(&path).expect("it can be read");
            println!("{}", path.display());
            target.play(&input).expect("it is of this version");
            played += 1;
        }
        assert!(played > 0, "{} keeps none", target.name);
    }
}

#[test]
fn random_actors_hold() {
    holds("actor", 1_000);
}

#[test]
fn random_bytes_are_read_or_refused() {
    holds("decode", 20_000);
    holds("repro", 2_000);
}

#[test]
fn random_bytes_to_a_server_harm_nobody_else() {
    holds("front", 500);
}

#[test]
fn random_consumers_hold() {
    holds("consumer", 200);
}

#[test]
fn random_histories_hold() {
    holds("history", 100);
}

#[test]
fn random_states_of_projections_hold() {
    holds("projection", 100);
}

#[test]
fn random_publications_hold() {
    holds("publisher", 1_000);
}

#[test]
fn random_openings_of_a_namespace_hold() {
    holds("space", 500);
}

#[test]
fn random_groups_hold() {
    holds("group", 60);
}

#[test]
fn random_leases_hold() {
    holds("lease", 5_000);
}

#[test]
fn random_stories_of_the_log_hold() {
    holds("log", 2_000);
}

#[test]
fn random_memberships_hold() {
    holds("node", 30);
}

#[test]
fn random_requests_hold() {
    holds("route", 300);
}

#[test]
fn random_ownerships_hold() {
    holds("shard", 150);
}

#[test]
fn random_requests_to_the_store_hold() {
    holds("store", 2_000);
}

#[test]
fn random_transfers_hold() {
    holds("transfer", 300);
}

#[test]
fn an_input_of_another_version_is_refused() {
    let target = Target::named("decode").expect("a target");
    let told = |input: &[u8]| target.play(input).unwrap_err().to_string();
    assert_eq!(target.play(&target.input(b"any")), Ok(()));
    assert_eq!(
        told(&[9, 1]),
        "an input of decode has version 9, and this build reads version 1: play it with the build that \
         wrote it"
    );
    assert_eq!(
        told(&[]),
        "an input of decode is empty; one begins with the byte 1"
    );
}
