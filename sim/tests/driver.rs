//! The driver world: some seeds of each of its profiles break nothing, the same seed is the same run,
//! and what a test does to its nodes befalls them and nobody else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tenure_core::api::actor::{Actor, ActorCx, Handlers, InitError};
use tenure_core::format::TakeOver;
use tenure_sim::{
    Case, Class, Deviation, Fault, Profile, Seeds, Sim, SimCluster, Swarm, WorldKind, cluster,
    trace_hash,
};

fn case(seed: u64, profile: Profile) -> Case {
    Case {
        world: WorldKind::Driver,
        ..Case::new(seed, profile)
    }
}

#[test]
fn seeds_of_every_profile_break_nothing() {
    for profile in WorldKind::Driver.profiles() {
        let swarm = Swarm {
            world: WorldKind::Driver,
            from: 1,
            twice_every: 2,
            failures_max: 1,
            ..Swarm::new(*profile, 2)
        };
        let tally = swarm.run();
        for failure in &tally.failures {
            println!(
                "seed {} of {profile}: {}",
                failure.case.seed, failure.broken
            );
        }
        assert!(
            tally.failures.is_empty(),
            "a promise is broken in {profile}"
        );
        assert!(
            tally.commits > 0 && tally.asked > 0,
            "{profile} does nothing"
        );
    }
}

#[test]
fn consumers_lose_their_part_of_the_store_and_messages_on_their_way() {
    let mut came = BTreeSet::new();
    for seed in 0..12 {
        let report = case(seed, Profile::Consume).run();
        assert_eq!(report.violation, None, "seed {seed}");
        came.extend(report.deviations.into_keys().filter_map(|it| match it {
            Deviation::Fault { fault, .. } => Some(fault),
            Deviation::Free { .. } | Deviation::Ask { .. } => None,
        }));
    }
    assert!(came.contains(&Fault::ConsumerLost) && came.contains(&Fault::LostMessage));
}

#[test]
fn a_run_is_the_same_again_and_another_for_another_seed() {
    let hash = |seed| {
        let case = case(seed, Profile::Storm);
        trace_hash(&case, &case.run_traced().story.lines)
    };
    assert_eq!(hash(3), hash(3));
    assert_ne!(hash(3), hash(4));
}

#[test]
fn what_happened_makes_the_same_run_when_only_that_may_happen() {
    let case = case(5, Profile::Storm);
    let report = case.run_traced();
    let again = Case {
        only: Some(report.deviations.keys().copied().collect()),
        ..case
    };
    assert!(report.story.lines == again.run_traced().story.lines);
}

#[test]
fn a_fault_that_is_left_out_does_not_come() {
    let came = |without: &[Fault]| {
        let mut run = cluster(9).profile(Profile::TakeOver).nodes(3);
        for fault in without {
            run = run.without(*fault);
        }
        let ran = run.report(|sim| async move { sim.sleep(Duration::from_secs(15)).await });
        let sites = ran.probe.counts();
        sites
            .filter(|(site, ..)| site.name == "fault: crash")
            .count()
    };
    assert_eq!(came(&[]), 1, "the seed has crashes");
    assert_eq!(came(&[Fault::Crash]), 0);
}

/// An actor, so that there is something to own.
struct Idle;

impl Actor for Idle {
    const KIND: &'static str = "idle";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers
    }
}

fn three(seed: u64) -> SimCluster {
    cluster(seed).nodes(3).shards(4).actor::<Idle>()
}

async fn served(sim: &Sim, nodes: &[usize]) {
    let patience = sim.convergence();
    let served = sim.served(nodes, &[TakeOver::Leased], patience).await;
    served.expect("a cluster that serves");
}

#[test]
fn a_node_that_is_killed_is_taken_over_from_and_comes_back() {
    three(11).run(|sim| async move {
        served(&sim, &[0, 1, 2]).await;
        let handle = sim.node(1).expect("it runs");
        sim.kill(1);
        assert!(sim.node(1).is_none() && handle.counters().await.requests == 0);
        served(&sim, &[0, 2]).await;
        sim.start(1);
        served(&sim, &[0, 1, 2]).await;
    });
}

#[test]
fn a_node_that_stands_still_loses_what_it_owned() {
    three(12).run(|sim| async move {
        served(&sim, &[0, 1, 2]).await;
        let view = sim.node(2).and_then(|node| node.cluster());
        let rejoins = || view.as_ref().map(|cluster| cluster.view().rejoins());
        assert_eq!(rejoins(), Some(0));
        sim.pause(2, Duration::from_secs(20));
        sim.sleep(Duration::from_secs(19)).await;
        served(&sim, &[0, 1]).await;
        sim.sleep(Duration::from_secs(10)).await;
        served(&sim, &[0, 1, 2]).await;
        assert_eq!(rejoins(), Some(1), "it joined again as another run");
    });
}

#[test]
fn tasks_of_a_test_run_beside_it_on_true_time() {
    let slept = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&slept);
    cluster(13).nodes(1).run(|sim| async move {
        let before = sim.now();
        let tasks: Vec<_> = (1..=3)
            .map(|n| {
                let (sim, slept) = (sim.clone(), Arc::clone(&slept));
                sim.clone().spawn(async move {
                    sim.sleep(Duration::from_millis(n * 100)).await;
                    slept.fetch_add(n, Ordering::Relaxed);
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        let took = sim.now().since(before).as_millis();
        assert_eq!(took, 300);
    });
    assert_eq!(count.load(Ordering::Relaxed), 6);
}

#[test]
fn a_panic_of_a_test_is_a_broken_promise() {
    let ran = cluster(1)
        .nodes(1)
        .report(|_| async { panic!("a mistake") });
    let broken: Result<Option<()>, _> = ran.ended;
    let violation = broken.expect_err("a panic");
    assert_eq!(violation.class, Class::Panic);
    assert_eq!(violation.what, "a mistake");
}

#[test]
fn a_failing_seed_is_told_with_the_line_that_gets_there_again() {
    let seeds = Seeds::new("driver::never", "tenure-sim")
        .count(3)
        .faults("calm");
    let found = seeds.find(
        |cluster| cluster.nodes(1),
        |sim| async move {
            sim.tenure().await;
            match sim.random(2) {
                0 | 1 => Err("no"),
                _ => Ok(()),
            }
        },
    );
    let told = found.expect("it never holds").to_string();
    let line = "TENURE_SIM_SEED=0 cargo test -p tenure-sim never -- --exact --nocapture";
    assert!(told.contains(line) && told.contains("\"no\""), "{told}");
}
