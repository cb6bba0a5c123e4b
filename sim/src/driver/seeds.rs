//! A test of a user's own on many simulated clusters, one for each seed: the first that fails is told
//! with the line that gets there again, and leaves a repro.

use super::cluster::{Ran, SimCluster, cluster};
use super::left::{Left, given, left};
use super::report_of;
use super::sim::Sim;
use crate::case::{Broken, Case, Ending, TestName, WorldKind};
use crate::oracle::{Class, Violation};
use crate::profile::Profile;
use crate::world::Report;
use std::fmt;

/// A test on many simulated clusters, one for each seed.
///
/// Each seed draws which faults of the profile its run has, how often they come, and in which order
/// everything happens. [`run`](Self::run) panics at the first seed that fails, with the line that gets
/// there again, and leaves a repro in `sim` of the folder that it was built to. What the environment says
/// goes first: `TENURE_SIM_SEED=17` runs that seed alone and prints what happens;
/// `TENURE_SIM_REPRO=FILE` does so with what a repro says; `TENURE_SIM_SEEDS=10000` runs so many;
/// `TENURE_SIM_MINIMIZE=1` makes a failing run smaller, names what of the faults it takes, and draws it
/// as a page.
///
/// A seed that fails, and one in 64, runs twice: a test that does not do the same again takes time,
/// chance or an order from elsewhere than its [`Sim`], and its seeds mean nothing.
///
/// ```
/// use tenure_sim::Seeds;
///
/// Seeds::new("doc::a_cluster_has_members", "tenure-sim")
///     .count(2)
///     .run(
///         |cluster| cluster.nodes(3),
///         |sim| async move {
///             let tenure = sim.tenure().await;
///             assert!(tenure.cluster().is_some());
///         },
///     );
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `run` or `find`"]
pub struct Seeds {
    test: TestName,
    count: u64,
    profile: Profile,
}

/// What a test comes to: nothing, or an error that says what is wrong.
pub trait Verdict {
    /// The error, as a text.
    ///
    /// # Errors
    ///
    /// When there is one.
    fn told(self) -> Result<(), String>;
}

impl Verdict for () {
    fn told(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Debug> Verdict for Result<(), E> {
    fn told(self) -> Result<(), String> {
        self.map_err(|error| format!("{error:?}"))
    }
}

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// What was broken.
    pub broken: Broken,
    /// The line that gets there again.
    pub again: String,
    /// Where its repro is and, where that was asked for, the smaller one with its page, a line each.
    pub left: Vec<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            broken,
            again,
            left,
        } = self;
        write!(f, "seed {seed}: {broken}\n  again: {again}")?;
        left.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// One seed in so many runs twice.
const TWICE_EVERY: u64 = 64;

impl Seeds {
    /// Of a test, by its path as `module_path!` and its name give it, and of its package.
    pub fn new(test: impl Into<String>, package: impl Into<String>) -> Self {
        let (package, path) = (package.into(), test.into());
        Self {
            test: TestName { package, path },
            count: 100,
            profile: Profile::Storm,
        }
    }

    /// So many seeds; 100 when it is not set.
    pub fn count(mut self, seeds: u64) -> Self {
        self.count = seeds;
        self
    }

    /// What may go wrong, by the profile's name; `storm`, which is everything, when it is not set.
    ///
    /// # Panics
    ///
    /// When clusters have no profile of that name.
    pub fn faults(mut self, profile: &str) -> Self {
        let named: Result<Profile, String> = profile.parse();
        let fits = named.and_then(|it| WorldKind::Driver.check(it).map(|()| it));
        self.profile = fits.unwrap_or_else(|error| panic!("{error}"));
        self
    }

    /// Runs the test for each seed.
    ///
    /// # Panics
    ///
    /// At the first seed that fails, with the line that gets there again; and when the environment
    /// says what is no number.
    pub fn run<F>(
        self,
        shape: impl Fn(SimCluster) -> SimCluster + Sync,
        test: impl Fn(Sim) -> F + Sync,
    ) where
        F: Future<Output: Verdict>,
    {
        if let Some(found) = self.find(shape, test) {
            panic!("{found}");
        }
    }

    /// Runs the test for each seed until one fails.
    ///
    /// # Panics
    ///
    /// When the environment says what is no number.
    pub fn find<F>(
        self,
        shape: impl Fn(SimCluster) -> SimCluster + Sync,
        test: impl Fn(Sim) -> F + Sync,
    ) -> Option<Found>
    where
        F: Future<Output: Verdict>,
    {
        let run = |case: &Case, keep| one(case, keep, &shape, &test);
        let minimizes = std::env::var_os("TENURE_SIM_MINIMIZE").is_some();
        let repro = given(&self.test);
        let alone = number("TENURE_SIM_SEED");
        let keep = match repro.is_some() || alone.is_some() {
            true if !minimizes => Keep::Printed,
            true | false => Keep::Nothing,
        };
        let count = number("TENURE_SIM_SEEDS").unwrap_or(self.count);
        assert!(
            count > 0,
            "a test with 0 seeds would pass without a run: 1 is the least"
        );
        let seeds = alone.map_or(0..=count - 1, |seed| seed..=seed);
        let drawn = seeds.map(|seed| Case {
            world: WorldKind::Driver,
            test: Some(self.test.clone()),
            ..Case::new(seed, self.profile)
        });
        let cases: &mut dyn Iterator<Item = Case> = match &repro {
            Some(repro) => &mut std::iter::once(repro.case.clone()),
            None => &mut { drawn },
        };
        for case in cases {
            let first = run(&case, keep);
            let mut broken = first.report.broken();
            if broken.is_some() || case.seed.is_multiple_of(TWICE_EVERY) {
                let second = run(&case, Keep::Nothing);
                if second.hash != first.hash {
                    broken = Some(differed());
                }
            }
            let Some(broken) = broken else {
                continue;
            };
            let nodes = shape(cluster(case.seed).profile(case.profile)).plan().nodes;
            let minimizes = minimizes && broken.ending != Ending::Differed;
            let seed = case.seed;
            let run = |case: &Case, keep| run(case, keep).report;
            return Some(Found {
                seed,
                again: self.test.again(&format!("TENURE_SIM_SEED={seed}")),
                left: left(
                    Left {
                        case: &case,
                        broken: &broken,
                        nodes,
                        minimizes,
                    },
                    &run,
                ),
                broken,
            });
        }
        None
    }
}

/// Two runs of one seed were not the same.
fn differed() -> Broken {
    Broken {
        ending: Ending::Differed,
        oracle: "twice".into(),
        what: "the test does not do the same again: it takes time, chance or an order (as of a HashMap) from \
               elsewhere than its Sim"
            .into(),
    }
}

/// What came of a run, and the number that stands for all that happened.
struct Once {
    report: Report,
    hash: u64,
}

/// What a run keeps of its story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    Story,
    Printed,
}

/// Runs one seed, in a thread of its own.
fn one<F: Future<Output: Verdict>>(
    case: &Case,
    keep: Keep,
    shape: &(impl Fn(SimCluster) -> SimCluster + Sync),
    test: &(impl Fn(Sim) -> F + Sync),
) -> Once {
    let ran: Ran<Result<(), String>> = std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let cluster = shape(cluster(case.seed).profile(case.profile)).until(case.until);
            let cluster = match &case.only {
                Some(only) => cluster.only(only.clone()),
                None => cluster,
            };
            let cluster = match keep {
                Keep::Nothing => cluster,
                Keep::Story => cluster.traced(),
                Keep::Printed => cluster.printing(),
            };
            cluster.report(|sim| {
                let ended = test(sim);
                async move { ended.await.told() }
            })
        });
        run.join().expect("a run that catches panics")
    });
    let hash = ran.hash;
    let report = report_of(ran, |told| {
        told.map(|()| 0).map_err(|what| Violation {
            class: Class::Safety,
            oracle: "test",
            what,
        })
    });
    Once { report, hash }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number from 0 to 2^64-1")))
}
