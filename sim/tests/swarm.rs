//! Some seeds of every profile: no promise is broken, and the same seed is the same run.

use std::collections::BTreeSet;
use tenure_sim::{Profile, Swarm};

#[test]
fn seeds_of_every_profile_break_nothing() {
    for profile in Profile::ALL {
        let swarm = Swarm {
            profile,
            from: 1,
            seeds: 24,
            threads: 2,
            twice_every: 8,
            failures_max: 1,
        };
        let tally = swarm.run();
        for failure in &tally.failures {
            println!(
                "{:?}: cargo sim run --seed {} --profile {}\n  {}",
                failure.ending, failure.seed, failure.profile, failure.what
            );
        }
        assert!(
            tally.failures.is_empty(),
            "a promise is broken in {profile}"
        );
        assert!(
            tally.commits > tally.seeds * 20,
            "{profile} stores next to nothing: {} commits in {} seeds",
            tally.commits,
            tally.seeds
        );
    }
}

/// What the whole profile must come to, within [`SEEDS_MAX`] seeds.
const SITES: &[&str] = &[
    "fault: a body is absent",
    "fault: a body is damaged",
    "fault: a former leader answers a write",
    "fault: a proposal was lost with its leader",
    "fault: a replica answers from the past",
    "fault: crash",
    "fault: late request",
    "fault: leader change",
    "fault: link down",
    "fault: lost bodies",
    "fault: lost answer",
    "fault: lost request",
    "fault: pause",
    "fault: refusal that passes",
    "fault: request twice",
    "fault: slow request",
    "load: from a snapshot",
    "load: from an older snapshot than the newest",
    "log: a snapshot could not be deleted",
    "log: a snapshot could not be encoded",
    "log: a snapshot is deleted",
    "log: a sweep finds a body that nobody names",
    "world: a caller asked again",
    "world: a shard changed hands",
    "world: an owner learnt that it was superseded",
    "world: an owner sealed its shard",
    "world: events of an older build are upcast",
    "world: messages expired",
];

/// A rare fault is drawn by few seeds; which ones changes with every draw that is added.
const SEEDS_MAX: u64 = 256;

#[test]
fn the_faults_of_a_profile_come_to_pass() {
    let mut missing: BTreeSet<&str> = SITES.iter().copied().collect();
    let seeds = 16;
    let mut from = 100;
    while !missing.is_empty() {
        assert!(
            from < 100 + SEEDS_MAX,
            "seeds 100 to {} never saw {missing:?}",
            from - 1
        );
        let swarm = Swarm {
            profile: Profile::Swarm,
            from,
            seeds,
            threads: 2,
            twice_every: 0,
            failures_max: 1,
        };
        for (site, held, _) in swarm.run().probe.counts() {
            if held > 0 {
                missing.remove(site.name);
            }
        }
        from += seeds;
    }
}
