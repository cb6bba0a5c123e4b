//! Some seeds of every profile: no promise is broken, and the same seed is the same run.

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

#[test]
fn the_faults_of_a_profile_come_to_pass() {
    let swarm = Swarm {
        profile: Profile::Swarm,
        from: 100,
        seeds: 16,
        threads: 2,
        twice_every: 0,
        failures_max: 1,
    };
    let tally = swarm.run();
    let reached = |name: &str| {
        tally
            .probe
            .counts()
            .any(|(site, held, _)| site.name == name && held > 0)
    };
    for fault in [
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
    ] {
        assert!(reached(fault), "seeds 100 to 115 never saw {fault:?}");
    }
}
