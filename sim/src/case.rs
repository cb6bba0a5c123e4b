//! One run as a value: what it is a function of, and how it ended.

use crate::deviation::Deviation;
use crate::driver::{self, Keep};
use crate::oracle::Class;
use crate::process;
use crate::profile::{Plan, Profile};
use crate::stage;
use crate::world::{Corruption, Line, Report, World};
use siphasher::sip::SipHasher24;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::Hasher as _;
use std::str::FromStr;

/// Which of the simulator's worlds a run is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorldKind {
    /// The protocol's machines, stepped by the simulator.
    #[default]
    Pure,
    /// The real driver and handlers on an executor of the simulator's.
    Driver,
    /// The same over madsim's network, each run in a process of its own: it is [`process`](crate::process)
    /// that builds and runs it.
    Madsim,
    /// As that one, with the shell on NATS and its client: nodes speak NATS to servers over madsim's
    /// connections.
    Nats,
}

impl WorldKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pure, Self::Driver, Self::Madsim, Self::Nats];

    /// Its name on the command line and in a repro.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Driver => "driver",
            Self::Madsim => "madsim",
            Self::Nats => "nats",
        }
    }

    /// The profiles that it has.
    pub fn profiles(self) -> &'static [Profile] {
        match self {
            Self::Pure => &Profile::OF_MACHINES,
            Self::Driver => &driver::PROFILES,
            Self::Madsim => &driver::ON_MADSIM,
            Self::Nats => &driver::ON_ONE_SERVER,
        }
    }

    /// Whether it has a profile, be it under another name.
    ///
    /// # Errors
    ///
    /// When it has not: which ones it has.
    pub fn check(self, profile: Profile) -> Result<(), String> {
        let has = match self {
            Self::Pure => Profile::OF_MACHINES.contains(&profile),
            Self::Driver | Self::Madsim | Self::Nats => {
                profile == Profile::Swarm || self.profiles().contains(&profile)
            }
        };
        if has {
            return Ok(());
        }
        let names: Vec<_> = self.profiles().iter().map(|it| it.name()).collect();
        let names = names.join(", ");
        Err(format!(
            "the {self} world has no profile {profile}; it has {names}"
        ))
    }
}

impl WorldKind {
    /// Whether its store or its nodes can break their word so.
    ///
    /// # Errors
    ///
    /// When they cannot.
    pub fn check_corruption(self, corruption: Corruption) -> Result<(), String> {
        match self {
            Self::Nats => Err(format!(
                "the {self} world has no corruption {corruption}: its servers keep their word"
            )),
            Self::Driver | Self::Madsim if !corruption.is_of_store() => {
                let of_store = Corruption::ALL.into_iter().filter(|it| it.is_of_store());
                let names: Vec<_> = of_store.map(|it| it.to_string()).collect();
                let names = names.join(", ");
                Err(format!(
                    "the {self} world has no corruption {corruption}; it has {names}"
                ))
            }
            Self::Pure | Self::Driver | Self::Madsim => Ok(()),
        }
    }
}

impl fmt::Display for WorldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WorldKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|world| world.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no world {text:?}; the worlds are {names}")
        })
    }
}

/// Everything that a run is a function of, beside the build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The world.
    pub world: WorldKind,
    /// Whose test it is; `None`: that of the world's own callers.
    pub test: Option<TestName>,
    /// The seed.
    pub seed: u64,
    /// Which faults it may have.
    pub profile: Profile,
    /// How the world breaks its word behind the oracles' back: the oracles' own test.
    pub corruption: Option<Corruption>,
    /// Only these deviations happen; `None`: all that the seed draws.
    pub only: Option<BTreeSet<Deviation>>,
    /// The run is cut at this true time, in nanoseconds, and has then broken nothing.
    pub until: Option<u64>,
}

/// A test of a user's own: where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestName {
    /// Its package.
    pub package: String,
    /// Its path, from its crate on.
    pub path: String,
}

impl TestName {
    /// Its name for `cargo test`: without that of the crate.
    pub fn name(&self) -> &str {
        let path = &*self.path;
        path.split_once("::").map_or(path, |(_, name)| name)
    }

    /// The line that runs it alone, after what the environment is to say.
    pub fn again(&self, environment: &str) -> String {
        let (package, name) = (&self.package, self.name());
        format!("{environment} cargo test -p {package} {name} -- --exact --nocapture")
    }
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.package, self.path)
    }
}

impl FromStr for TestName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no test: give its package and its path");
        let (package, path) = text.split_once(' ').ok_or_else(wrong)?;
        Ok(Self {
            package: package.to_owned(),
            path: path.to_owned(),
        })
    }
}

/// How a run ended, when it did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// A safety promise was broken.
    Safety,
    /// Something good did not happen.
    Liveness,
    /// Two runs of the seed differed.
    Differed,
    /// It panicked.
    Panic,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Safety, Self::Liveness, Self::Differed, Self::Panic];

    /// The exit code that says so.
    pub const fn code(self) -> u8 {
        match self {
            Self::Safety => 10,
            Self::Liveness => 11,
            Self::Differed => 12,
            Self::Panic => 13,
        }
    }

    /// Its name in a repro and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safety => "safety",
            Self::Liveness => "liveness",
            Self::Differed => "differed",
            Self::Panic => "panic",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Ending {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|it| it.name() == text);
        named.ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            format!("no run ends with {text:?}; it ends with {all}")
        })
    }
}

impl From<Class> for Ending {
    fn from(class: Class) -> Self {
        match class {
            Class::Safety => Self::Safety,
            Class::Liveness => Self::Liveness,
            Class::Panic => Self::Panic,
        }
    }
}

/// What a run broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// How it ended.
    pub ending: Ending,
    /// The oracle that spoke.
    pub oracle: String,
    /// What was wrong, in one line.
    pub what: String,
}

impl Broken {
    /// Whether another run broke the same: in the same way, for the same oracle. Two panics are the same when
    /// their texts are, apart from numbers: any code can panic.
    pub fn is_like(&self, other: &Self) -> bool {
        let same_panic = || worded(&self.what).eq(worded(&other.what));
        self.ending == other.ending
            && self.oracle == other.oracle
            && (self.ending != Ending::Panic || same_panic())
    }
}

/// A text without its numbers.
fn worded(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_ascii_digit())
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.ending, self.oracle, self.what)
    }
}

impl Case {
    /// A seed of a profile, with all that it draws.
    pub const fn new(seed: u64, profile: Profile) -> Self {
        Self {
            world: WorldKind::Pure,
            test: None,
            seed,
            profile,
            corruption: None,
            only: None,
            until: None,
        }
    }

    /// The pure world before its first event.
    fn world(&self) -> World {
        let mut world = World::new(Plan::new(self.seed, self.profile));
        if let Some(corruption) = self.corruption {
            world = world.corrupted(corruption);
        }
        if let Some(only) = &self.only {
            world = world.only(only.clone());
        }
        match self.until {
            Some(until) => world.until(until),
            None => world,
        }
    }

    /// What is fixed before it starts, as a text.
    pub fn plan(&self) -> String {
        match self.world {
            WorldKind::Pure => format!("{:#?}", Plan::new(self.seed, self.profile)),
            WorldKind::Driver => driver::plan_of(self),
            WorldKind::Madsim | WorldKind::Nats => stage::plan_text(self),
        }
    }

    /// How many nodes it has.
    pub(crate) fn nodes(&self) -> usize {
        match self.world {
            WorldKind::Pure => Plan::new(self.seed, self.profile).nodes,
            WorldKind::Driver => driver::nodes_of(self),
            WorldKind::Madsim | WorldKind::Nats => stage::nodes_of(self),
        }
    }

    /// A number that tells the plan from those that other builds draw.
    pub fn fingerprint(&self) -> u64 {
        SipHasher24::new().hash(self.plan().as_bytes())
    }

    /// Runs it. In the worlds on madsim that is a process of its own, whose program is built at first;
    /// [`process::ready`] tells beforehand when it cannot be.
    pub fn run(&self) -> Report {
        match self.world {
            WorldKind::Pure => self.world().run(),
            WorldKind::Driver => driver::run(self, Keep::Nothing),
            WorldKind::Madsim | WorldKind::Nats => process::run(self, Keep::Nothing),
        }
    }

    /// Runs it with its story.
    pub fn run_traced(&self) -> Report {
        match self.world {
            WorldKind::Pure => self.world().traced().run(),
            WorldKind::Driver => driver::run(self, Keep::Story),
            WorldKind::Madsim | WorldKind::Nats => process::run(self, Keep::Story),
        }
    }

    /// Runs it with its story, and with how states changed in some events; only the pure world sees
    /// states.
    pub(crate) fn run_with_changes(&self, events: BTreeSet<u64>) -> Report {
        match self.world {
            WorldKind::Pure => self.world().traced_with_changes(events).run(),
            WorldKind::Driver | WorldKind::Madsim | WorldKind::Nats => self.run_traced(),
        }
    }

    /// Runs it, and prints its story as it goes.
    pub fn run_printing(&self) -> Report {
        match self.world {
            WorldKind::Pure => self.world().printing().run(),
            WorldKind::Driver => driver::run(self, Keep::Printed),
            WorldKind::Madsim | WorldKind::Nats => process::run(self, Keep::Printed),
        }
    }

    /// Runs it twice with its story: an error tells the first two lines that differ.
    ///
    /// # Errors
    ///
    /// When the two runs are not the same.
    pub fn run_twice(&self) -> Result<Report, Broken> {
        let (first, second) = (self.run_traced(), self.run_traced());
        let pairs = first.story.lines.iter().zip(&second.story.lines);
        let differ = |what| Broken {
            ending: Ending::Differed,
            oracle: "twice".into(),
            what,
        };
        if let Some((one, two)) = pairs.into_iter().find(|(one, two)| one != two) {
            return Err(differ(format!("{one}\n  or  {two}")));
        }
        if first.story.lines.len() != second.story.lines.len() {
            return Err(differ("one run is longer".into()));
        }
        Ok(first)
    }
}

impl Report {
    /// What it broke.
    pub fn broken(&self) -> Option<Broken> {
        self.violation.as_ref().map(|violation| Broken {
            ending: violation.class.into(),
            oracle: violation.oracle.into(),
            what: violation.what.replace('\n', " "),
        })
    }
}

/// A hash of a story: the same for the same run of any build of the same sources.
pub fn trace_hash(case: &Case, story: &[Line]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(format!("{} {}\n", case.seed, case.profile).as_bytes());
    for line in story {
        hasher.write(format!("{line}\n").as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::{Broken, Case, Ending, WorldKind, trace_hash};
    use crate::profile::Profile;
    use crate::world::Corruption;
    use std::collections::BTreeSet;

    #[test]
    fn another_panic_is_another_failure() {
        let ends = |ending, oracle: &str, what: &str| Broken {
            ending,
            oracle: oracle.to_owned(),
            what: what.to_owned(),
        };
        let sum = |what| ends(Ending::Panic, "panic", what);
        let lost = sum("the sum is 7, not 9");
        assert!(lost.is_like(&sum("the sum is 12, not 9")));
        assert!(!lost.is_like(&sum("no account 9")));
        let once = |what| ends(Ending::Safety, "once", what);
        assert!(once("c1 took effect twice").is_like(&once("it is at 3, and was at 4")));
        assert!(!once("").is_like(&ends(Ending::Liveness, "once", "")));
    }

    #[test]
    fn a_world_refuses_the_profiles_that_it_lacks() {
        assert_eq!(WorldKind::Driver.check(Profile::Effect), Ok(()));
        for world in [WorldKind::Madsim, WorldKind::Nats] {
            let refused = world.check(Profile::Effect).unwrap_err();
            assert!(refused.contains("no profile effect; it has calm"));
            assert_eq!(world.check(Profile::Swarm), Ok(()));
            assert_eq!(world.check(Profile::Group), Ok(()));
        }
        assert!(WorldKind::Nats.check(Profile::Replicated).is_err());
    }

    #[test]
    fn a_run_is_the_same_again_and_another_for_another_seed() {
        let case = Case::new(7, Profile::Owned);
        let hash = |case: &Case| trace_hash(case, &case.run_traced().story.lines);
        assert_eq!(hash(&case), hash(&case));
        assert_ne!(hash(&case), hash(&Case::new(8, Profile::Owned)));
        assert_eq!(case.run_twice().map(|report| report.violation), Ok(None));
    }

    #[test]
    fn what_happened_makes_the_same_run_when_only_that_may_happen() {
        let case = Case::new(3, Profile::Swarm);
        let report = case.run_traced();
        let only = report.deviations.keys().copied().collect();
        let again = Case {
            only: Some(only),
            ..case
        };
        assert!(report.story.lines == again.run_traced().story.lines);
    }

    #[test]
    fn without_any_deviation_nothing_is_asked_and_no_fault_comes() {
        let case = Case {
            only: Some(BTreeSet::new()),
            ..Case::new(3, Profile::Storm)
        };
        let report = case.run();
        assert_eq!(report.violation, None);
        assert!(report.deviations.is_empty());
        let faults = report.probe.counts();
        let came = faults.filter(|(site, ..)| site.name.starts_with("fault: "));
        assert_eq!(came.count(), 0);
    }

    #[test]
    fn a_corruption_has_a_name() {
        for corruption in Corruption::ALL {
            assert_eq!(corruption.to_string().parse(), Ok(corruption));
        }
        assert!("gremlins".parse::<Corruption>().is_err());
    }
}
