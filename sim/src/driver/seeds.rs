//! A test of a user's own on many simulated clusters, one for each seed: the first that fails is told
//! with the line that gets there again, made smaller, and drawn.

use super::cluster::{Ran, SimCluster, cluster};
use super::report_of;
use super::sim::Sim;
use crate::case::{Broken, Case, WorldKind};
use crate::explain::page_of;
use crate::minimize::{Part, minimize_with};
use crate::oracle::{Class, Violation};
use crate::profile::Profile;
use crate::repro::Repro;
use crate::world::Report;
use std::fmt;
use std::path::{Path, PathBuf};

/// A test on many simulated clusters, one for each seed.
///
/// Each seed draws which faults of the profile its run has, how often they come, and in which order
/// everything happens. [`run`](Self::run) panics at the first seed that fails, with the line that gets
/// there again. What the environment says goes first: `TENURE_SIM_SEED=17` runs that seed alone and
/// prints what happens; `TENURE_SIM_SEEDS=10000` runs so many; `TENURE_SIM_MINIMIZE=1` makes a failing
/// run smaller, names what of the faults it takes, and draws it as a page.
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
    test: String,
    package: String,
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
    /// Where the page and the repro of the smaller run are, and how small it is; where that was asked
    /// for.
    pub smaller: Option<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            broken,
            again,
            smaller,
        } = self;
        write!(f, "seed {seed}: {broken}\n  again: {again}")?;
        match smaller {
            Some(smaller) => write!(f, "\n  {smaller}"),
            None => write!(f, "\n  smaller: TENURE_SIM_MINIMIZE=1 before it"),
        }
    }
}

/// How many runs it takes at most to make a failing one smaller.
const RUNS_MAX: u64 = 400;

impl Seeds {
    /// Of a test, by its path as `module_path!` and its name give it, and of its package.
    pub fn new(test: impl Into<String>, package: impl Into<String>) -> Self {
        Self {
            test: test.into(),
            package: package.into(),
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
        let alone = number("TENURE_SIM_SEED");
        let count = number("TENURE_SIM_SEEDS").unwrap_or(self.count);
        let seeds = alone.map_or(0..count, |seed| seed..seed + 1);
        let smaller = std::env::var_os("TENURE_SIM_MINIMIZE").is_some();
        let keep = match alone {
            Some(_) if !smaller => Keep::Printed,
            Some(_) | None => Keep::Nothing,
        };
        let run = |case: &Case, keep| one(case, keep, &shape, &test);
        for seed in seeds {
            let case = Case {
                world: WorldKind::Driver,
                ..Case::new(seed, self.profile)
            };
            let Some(broken) = run(&case, keep).broken() else {
                continue;
            };
            let again = self.again(seed);
            let nodes = shape(cluster(seed).profile(self.profile)).plan().nodes;
            let smaller = smaller.then(|| self.smaller(&case, &broken, nodes, &run));
            return Some(Found {
                seed,
                broken,
                again,
                smaller,
            });
        }
        None
    }

    fn again(&self, seed: u64) -> String {
        let (package, name) = (&self.package, self.name());
        format!("TENURE_SIM_SEED={seed} cargo test -p {package} {name} -- --nocapture")
    }

    /// Its name for `cargo test`: without that of the crate.
    fn name(&self) -> &str {
        self.test
            .split_once("::")
            .map_or(&*self.test, |(_, name)| name)
    }

    /// Makes a failing run smaller, and writes it down.
    fn smaller(
        &self,
        case: &Case,
        broken: &Broken,
        nodes: usize,
        run: &dyn Fn(&Case, Keep) -> Report,
    ) -> String {
        let repro = Repro {
            case: case.clone(),
            expect: broken.clone(),
            remarks: Vec::new(),
        };
        // Each run that still fails by a panic would tell of it.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let quiet = |case: &Case| run(case, Keep::Nothing);
        let smaller = minimize_with(&repro, Part::All, RUNS_MAX, &mut |_| {}, &quiet);
        let written = smaller.and_then(|smaller| {
            let page = page_of(
                &smaller.repro.case,
                nodes,
                &run(&smaller.repro.case, Keep::Story),
            );
            let folder = PathBuf::from("target/sim");
            let name = self.name().replace("::", "-");
            let file = |end: &str| folder.join(format!("{name}-{}.{end}", case.seed));
            write(&file("repro"), &smaller.repro.to_text())?;
            write(&file("html"), &page)?;
            let remarks = smaller.repro.remarks.join("; ");
            Ok(format!("smaller: {remarks}; {}", file("html").display()))
        });
        std::panic::set_hook(hook);
        written.unwrap_or_else(|error| format!("not made smaller: {error}"))
    }
}

/// What a run keeps of its story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
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
) -> Report {
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
    report_of(ran, |told| {
        told.map(|()| 0).map_err(|what| Violation {
            class: Class::Safety,
            oracle: "test",
            what,
        })
    })
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number from 0 to 2^64-1")))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(told)?;
    }
    std::fs::write(path, text).map_err(told)
}
