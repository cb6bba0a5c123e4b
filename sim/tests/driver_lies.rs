//! The oracles' own test in the driver world: a store that breaks its word is caught there, each way of
//! breaking it by an oracle that is meant to see it, and such a run is made smaller.

use std::collections::BTreeSet;
use tenure_sim::{Case, Corruption, Ending, Part, Profile, Repro, WorldKind, minimize};

fn case(seed: u64, profile: Profile, corruption: Corruption) -> Case {
    Case {
        world: WorldKind::Driver,
        corruption: Some(corruption),
        ..Case::new(seed, profile)
    }
}

/// The first seed of twelve in which one of these oracles speaks, as a repro.
fn caught(corruption: Corruption, profile: Profile, from: u64, by: &[&str]) -> Repro {
    let mut oracles = BTreeSet::new();
    for seed in from..from + 12 {
        let case = case(seed, profile, corruption);
        if let Some(expect) = case.run().broken() {
            println!("{corruption}, seed {seed}: {expect}");
            if by.contains(&expect.oracle.as_str()) {
                return Repro {
                    case,
                    expect,
                    remarks: Vec::new(),
                };
            }
            oracles.insert(expect.oracle);
        }
    }
    panic!("{corruption} was caught by {oracles:?} and not by any of {by:?} in {profile}");
}

#[test]
fn old_states_under_a_new_proof_have_no_order() {
    let repro = caught(Corruption::FalseProof, Profile::Calm, 2, &["linearizable"]);
    assert_eq!(repro.expect.ending, Ending::Safety);
    let what = &repro.expect.what;
    assert!(what.starts_with("no order of the operations on "), "{what}");
    let story = repro.case.run_traced().story;
    let witness = |line: &&tenure_sim::Line| line.text.contains("no order explains");
    assert!(story.lines.iter().any(|line| witness(&line)), "it is told");
    let smaller = minimize(&repro, Part::All, 6, &mut |_| {}).expect("it fails again");
    assert!(smaller.progress.deviations <= smaller.before.deviations);
    assert!(smaller.repro.expect.is_like(&repro.expect));
}

#[test]
fn expectations_that_are_not_checked_are_caught() {
    let by = ["fence", "predecessor", "linearizable", "once"];
    caught(Corruption::Unchecked, Profile::TakeOver, 0, &by);
}

#[test]
fn an_acknowledgement_of_nothing_is_caught() {
    let by = ["answers", "linearizable", "predecessor"];
    caught(Corruption::LyingAck, Profile::Calm, 0, &by);
}

#[test]
fn what_is_given_and_taken_twice_is_caught() {
    caught(Corruption::LyingAck, Profile::Calm, 2, &["transfers"]);
}

#[test]
fn command_ids_that_vanish_are_caught() {
    let by = ["once", "linearizable"];
    caught(Corruption::ForgottenIds, Profile::TakeOver, 0, &by);
}

#[test]
fn reminders_that_come_twice_are_caught() {
    let repro = caught(Corruption::ArmedTwice, Profile::TakeOver, 0, &["reminders"]);
    assert_eq!(repro.expect.ending, Ending::Safety);
    assert!(repro.expect.what.contains("rang twice"), "{}", repro.expect);
}

#[test]
fn what_the_world_cannot_do_is_refused() {
    let refused = WorldKind::Driver.check_corruption(Corruption::Curt);
    assert!(refused.is_err_and(|what| what.contains("false-proof")));
}
