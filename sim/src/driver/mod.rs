//! The driver world: the real driver and users' handlers on an executor of our own. One thread,
//! virtual time per node, dice by name; which ready task runs next is drawn, tasks die with their
//! node, and store, network, clocks and nodes have the faults of a profile by name.
//!
//! Nothing here rests on a runtime: of tokio there are only its channels. What a run does is a
//! function of its seed; a run in a thread of its own shares nothing with another.

mod beliefs;
mod cluster;
mod event;
mod ever;
mod executor;
mod faults;
mod left;
mod log;
mod mishaps;
mod network;
mod nodes;
pub(crate) mod plan;
mod seeds;
mod shell;
mod sim;
mod stage;
mod store;
pub(crate) mod trace;
mod work;
mod world;
pub(crate) mod written;

pub(crate) use cluster::options;
pub use cluster::{Ran, SimCluster, cluster};
pub use log::Log;
pub(crate) use plan::{ON_MADSIM, ON_ONE_SERVER, PROFILES};
pub use seeds::{Found, Seeds, Verdict};
pub use shell::SimShell;
pub use sim::{Sim, SimTask};

use crate::case::Case;
use crate::oracle::Violation;
use crate::profile::Profile;
use crate::world::Report;
use std::time::Duration;
use work::Outside;

/// What a run keeps of its story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// All of it.
    Story,
    /// It is printed as it goes.
    Printed,
}

/// The cluster of a case, with the world's own callers.
pub(crate) fn cluster_of(case: &Case) -> SimCluster {
    let cluster = served(case.seed, case.profile).until(case.until);
    let cluster = cluster.corrupted(case.corruption);
    match &case.only {
        Some(only) => cluster.only(only.clone()),
        None => cluster,
    }
}

fn served(seed: u64, profile: Profile) -> SimCluster {
    let served = work::served(cluster(seed)).profile(profile);
    served.drawn_limits().within(Duration::from_secs(3_600))
}

/// Runs the world's own callers on a cluster, and judges what came of it: how many questions there
/// were.
pub(crate) async fn work(sim: Sim) -> Result<usize, Violation> {
    // Other worlds do not write down what effects are judged by.
    let worked = work::work(sim, None).await;
    worked.map(|verdict| verdict.asked)
}

/// How many nodes a run has.
pub(crate) fn nodes_of(case: &Case) -> usize {
    cluster_of(case).plan().nodes
}

/// What is fixed before a run starts, as a text.
pub(crate) fn plan_of(case: &Case) -> String {
    let case = Case {
        only: None,
        until: None,
        ..case.clone()
    };
    format!("{:#?}", cluster_of(&case).plan())
}

/// Runs one seed with the world's own callers, in a thread of its own: what a library keeps for a
/// thread begins anew.
pub(crate) fn run(case: &Case, keep: Keep) -> Report {
    let cluster = cluster_of(case);
    let outside = cluster.plan().effects.then(|| Outside::draw(case.seed));
    let cluster = match &outside {
        Some(outside) => work::with_effects(cluster, outside),
        None => cluster,
    };
    let cluster = match keep {
        Keep::Nothing => cluster,
        Keep::Story => cluster.traced(),
        Keep::Printed => cluster.printing(),
    };
    let ran = std::thread::scope(|scope| {
        let work = |sim| work::work(sim, outside.clone());
        let run = scope.spawn(move || cluster.report(work));
        run.join().expect("a run that catches panics")
    });
    if let Some(outside) = outside {
        outside.ends();
    }
    report_of(ran, |verdict| verdict.map(|verdict| verdict.asked))
}

/// What came of a run, as of every world; `judge` says what its test came to.
fn report_of<T>(mut ran: Ran<T>, judge: impl FnOnce(T) -> Result<usize, Violation>) -> Report {
    let told = ran.ended.is_err();
    let ended = ran.ended.and_then(|value| value.map_or(Ok(0), judge));
    if let Err(violation) = &ended
        && !told
    {
        // What the test's value says is broken was not known while the story was told.
        ran.story.ends_with(ran.lasted.as_nanos(), violation);
    }
    let (asked, violation) = match ended {
        Ok(asked) => (asked, None),
        Err(violation) => (0, Some(violation)),
    };
    Report {
        violation,
        probe: ran.probe,
        ended: ran.lasted.as_nanos(),
        events: ran.events,
        commits: ran.commits,
        asked,
        deviations: ran.deviations,
        story: ran.story,
    }
}
