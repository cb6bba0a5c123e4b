//! Faults by name: each of these comes in some seed of the world, and a run that leaves it out goes without
//! it and breaks nothing either.

use std::collections::BTreeSet;
use tenure_sim::{Case, Deviation, Fault, Profile};

/// The first of a few seeds in which a fault comes, with all that went otherwise in it.
fn seed_with(fault: Fault, profile: Profile) -> (Case, BTreeSet<Deviation>) {
    for seed in 0..60 {
        let case = Case::new(seed, profile);
        let plan = case.plan();
        let mean = format!("{}: ", fault.name().replace('-', "_"));
        let drawn = plan.lines().any(|line| {
            let rate = line.trim().strip_prefix(&mean);
            rate.is_some_and(|rate| !rate.starts_with('0'))
        });
        if !drawn {
            continue;
        }
        let report = case.run();
        assert_eq!(report.violation, None, "{case:?}");
        let came: BTreeSet<_> = report.deviations.into_keys().collect();
        if came.iter().any(|it| is_of(it, fault)) {
            return (case, came);
        }
    }
    panic!("{fault} does not come in 60 seeds of {profile}");
}

fn is_of(deviation: &Deviation, of: Fault) -> bool {
    matches!(deviation, Deviation::Fault { fault, .. } if *fault == of)
}

fn comes_and_can_be_left_out(fault: Fault, profile: Profile) {
    let (case, mut only) = seed_with(fault, profile);
    only.retain(|it| !is_of(it, fault));
    let report = Case {
        only: Some(only),
        ..case
    }
    .run();
    assert_eq!(report.violation, None);
    assert!(!report.deviations.keys().any(|it| is_of(it, fault)));
}

#[test]
fn a_node_that_is_slow() {
    comes_and_can_be_left_out(Fault::SlowNode, Profile::Swarm);
}

#[test]
fn a_link_that_is_clogged() {
    comes_and_can_be_left_out(Fault::Clog, Profile::Swarm);
}

#[test]
fn a_node_that_hears_nothing_of_the_store() {
    comes_and_can_be_left_out(Fault::CutIn, Profile::Partition);
}

#[test]
fn a_node_that_asks_the_store_in_vain() {
    comes_and_can_be_left_out(Fault::CutOut, Profile::Partition);
}

#[test]
fn clocks_that_run_apart() {
    comes_and_can_be_left_out(Fault::Drift, Profile::Drift);
}

#[test]
fn an_ownership_record_that_is_deleted() {
    comes_and_can_be_left_out(Fault::LostRecord, Profile::Swarm);
}
