//! One run as a value: what it is a function of, and how it ended.

use crate::deviation::Deviation;
use crate::oracle::Class;
use crate::profile::{Plan, Profile};
use crate::world::{Corruption, Line, Report, World};
use siphasher::sip::SipHasher24;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::Hasher as _;
use std::str::FromStr;

/// Everything that a run is a function of, beside the build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
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
    /// Whether another run broke the same: in the same way, for the same oracle.
    pub fn is_like(&self, other: &Self) -> bool {
        self.ending == other.ending && self.oracle == other.oracle
    }
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
            seed,
            profile,
            corruption: None,
            only: None,
            until: None,
        }
    }

    /// The world before its first event.
    pub fn world(&self) -> World {
        let mut world = World::new(self.plan());
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

    /// What is fixed before it starts.
    pub fn plan(&self) -> Plan {
        Plan::new(self.seed, self.profile)
    }

    /// A number that tells the plan from those that other builds draw.
    pub fn fingerprint(&self) -> u64 {
        SipHasher24::new().hash(format!("{:?}", self.plan()).as_bytes())
    }

    /// Runs it.
    pub fn run(&self) -> Report {
        self.world().run()
    }

    /// Runs it with its story.
    pub fn run_traced(&self) -> Report {
        self.world().traced().run()
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
    use super::{Case, trace_hash};
    use crate::profile::Profile;
    use crate::world::Corruption;
    use std::collections::BTreeSet;

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
