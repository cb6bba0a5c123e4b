//! The oracles' own test: a store that breaks its word is caught, each way of breaking it by an
//! oracle that is meant to see it.

use std::collections::BTreeSet;
use tenure_sim::{Corruption, Plan, Profile, World};

/// The oracles that spoke in some seeds of a corrupted store.
fn caught(corruption: Corruption, profile: Profile, seeds: u64) -> (BTreeSet<&'static str>, u64) {
    let mut oracles = BTreeSet::new();
    let mut count = 0;
    for seed in 0..seeds {
        let plan = Plan::new(seed, profile);
        let report = World::new(plan).corrupted(corruption).run();
        if let Some(violation) = report.violation {
            println!("{corruption:?}, seed {seed}: {violation}");
            oracles.insert(violation.oracle);
            count += 1;
        }
    }
    (oracles, count)
}

fn assert_caught(corruption: Corruption, profile: Profile, by: &[&str]) {
    assert_caught_within(6, corruption, profile, by);
}

fn assert_caught_within(seeds: u64, corruption: Corruption, profile: Profile, by: &[&str]) {
    let (oracles, count) = caught(corruption, profile, seeds);
    assert!(
        count > 0,
        "{corruption:?} was not caught in {seeds} seeds of {profile}"
    );
    assert!(
        by.iter().any(|name| oracles.contains(name)),
        "{corruption:?} was caught by {oracles:?} and not by any of {by:?}"
    );
}

#[test]
fn a_message_that_vanishes_is_caught() {
    assert_caught(Corruption::LostMessage, Profile::Calm, &["ledger"]);
}

#[test]
fn a_commit_that_is_stored_again_is_caught() {
    assert_caught(Corruption::Doubled, Profile::Calm, &["predecessor"]);
}

#[test]
fn commits_that_change_places_are_caught() {
    assert_caught(
        Corruption::Swapped,
        Profile::Calm,
        &["ledger", "predecessor"],
    );
}

#[test]
fn a_commit_of_a_former_epoch_is_caught() {
    assert_caught(Corruption::Zombie, Profile::Owned, &["fence"]);
}

#[test]
fn expectations_that_are_not_checked_are_caught() {
    assert_caught(Corruption::Unchecked, Profile::Direct, &["predecessor"]);
    assert_caught(
        Corruption::Unchecked,
        Profile::Owned,
        &["fence", "predecessor"],
    );
}

#[test]
fn an_acknowledgement_of_nothing_is_caught() {
    assert_caught(
        Corruption::LyingAck,
        Profile::Calm,
        &["acknowledged", "once"],
    );
}

#[test]
fn an_old_state_under_a_new_proof_is_caught() {
    assert_caught(Corruption::FalseProof, Profile::Direct, &["reads"]);
}

#[test]
fn command_ids_that_vanish_are_caught() {
    assert_caught(Corruption::ForgottenIds, Profile::Direct, &["once"]);
}

#[test]
fn a_commit_on_another_ground_is_caught() {
    assert_caught(Corruption::OldGround, Profile::Calm, &["decision"]);
}

#[test]
fn metadata_of_another_command_is_caught() {
    assert_caught(Corruption::StrangeMetadata, Profile::Calm, &["metadata"]);
}

#[test]
fn timers_that_are_armed_twice_are_caught() {
    assert_caught(Corruption::ArmedTwice, Profile::Owned, &["once"]);
}

#[test]
fn replies_that_are_held_back_are_caught() {
    assert_caught(Corruption::Mute, Profile::Calm, &["in-time"]);
}

#[test]
fn a_store_that_falls_silent_is_caught() {
    assert_caught(Corruption::Deaf, Profile::Calm, &["convergence"]);
}

#[test]
fn a_node_that_is_well_in_name_alone_is_caught() {
    assert_caught(Corruption::HalfHealed, Profile::Churn, &["convergence"]);
    assert_caught(Corruption::HalfHealed, Profile::TakeOver, &["converged"]);
}

#[test]
fn acting_after_the_lease_is_caught() {
    assert_caught(
        Corruption::EndlessLease,
        Profile::Drift,
        &["lease", "reads"],
    );
}

#[test]
fn clocks_that_run_apart_are_caught() {
    assert_caught_within(16, Corruption::WildClocks, Profile::Drift, &["lease"]);
    // Here most are caught first by what is late, and after a lost tail leases are not asked for.
    assert_caught_within(160, Corruption::WildClocks, Profile::Storm, &["lease"]);
}

#[test]
fn a_hint_that_counts_for_a_lease_is_caught() {
    // It takes a hint that is wrong.
    assert_caught_within(32, Corruption::HintedLease, Profile::Partition, &["lease"]);
}

#[test]
fn a_claim_over_a_living_owner_is_caught() {
    assert_caught(Corruption::Usurper, Profile::Cluster, &["lease", "moves"]);
}

#[test]
fn not_owner_after_the_store_was_asked_is_caught() {
    assert_caught(Corruption::LyingNotOwner, Profile::Cluster, &["once"]);
}

#[test]
fn callers_who_are_not_forwarded_are_caught() {
    assert_caught(Corruption::Curt, Profile::Cluster, &["calm"]);
}

#[test]
fn shards_that_move_between_two_that_stay_are_caught() {
    assert_caught(Corruption::Restless, Profile::Cluster, &["moves"]);
}

#[test]
fn a_request_that_runs_after_its_deadline_is_caught() {
    assert_caught(Corruption::Endless, Profile::Storm, &["contract"]);
}

#[test]
fn a_cluster_that_does_not_converge_is_caught() {
    assert_caught(Corruption::Disobedient, Profile::TakeOver, &["converged"]);
}

#[test]
fn a_shard_that_nobody_takes_over_is_caught() {
    assert_caught(Corruption::Heirless, Profile::Kill, &["taken over"]);
}

#[test]
fn messages_that_are_not_sent_are_caught() {
    assert_caught(Corruption::Unsent, Profile::Owned, &["later"]);
}

#[test]
fn messages_without_their_ids_are_caught() {
    let by = ["once", "later"];
    assert_caught_within(16, Corruption::Nameless, Profile::Owned, &by);
}

#[test]
fn timers_that_do_not_fire_are_caught() {
    assert_caught(Corruption::Unfired, Profile::Owned, &["later"]);
}

#[test]
fn timers_that_fire_early_are_caught() {
    assert_caught(Corruption::Early, Profile::Owned, &["later"]);
}
