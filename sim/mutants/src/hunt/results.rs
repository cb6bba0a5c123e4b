//! What became of each mutant, written down as it comes: a hunt that is stopped loses nothing.

use crate::list::Mutant;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What became of one mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Found(Caught),
    /// No oracle of its spoke in so many seeds; these others did.
    Left {
        seeds: u64,
        others: Vec<String>,
    },
}

/// How one was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caught {
    pub(super) profile: String,
    /// Seeds that were run until it was found, over all profiles that were tried.
    pub(super) seeds: u64,
    /// The seed whose run was made smallest.
    pub(super) seed: u64,
    pub(super) oracle: String,
    /// Faults and windows of free dice that are left of the run.
    pub(super) deviations: u64,
    pub(super) questions: u64,
}

/// All results of one build, in a file with a line for each.
#[derive(Debug)]
pub(super) struct Results {
    path: PathBuf,
    file: File,
    build: String,
    by_key: BTreeMap<String, Fate>,
    /// Profiles that pass without a mutant.
    calm: BTreeSet<String>,
}

impl Mutant {
    /// What a result of a build is of: other profiles are another hunt.
    pub(super) fn key(&self) -> String {
        let profiles = self
            .profiles()
            .map(|(profile, seeds)| format!("{profile} {seeds}"));
        let profiles: Vec<String> = profiles.collect();
        format!("{} {}", self.name, profiles.join(", "))
    }
}

impl Results {
    /// Begins the file anew, or goes on with what it has of the same build.
    pub(super) fn open(path: &Path, build: &str, resume: bool) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let (mut by_key, mut calm) = (BTreeMap::new(), BTreeSet::new());
        if resume && path.exists() {
            for line in fs::read_to_string(path).map_err(told)?.lines() {
                // A line that was cut short when the hunt was stopped is hunted again.
                let Ok(line) = serde_json::from_str::<Value>(line) else {
                    continue;
                };
                if line["build"].as_str() != Some(build) {
                    continue;
                }
                calm.extend(line["calm"].as_str().map(str::to_owned));
                if let (Some(key), Some(fate)) = (line["key"].as_str(), fate(&line)) {
                    by_key.insert(key.to_owned(), fate);
                }
            }
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(told)?;
        }
        let mut open = OpenOptions::new();
        let open = open
            .create(true)
            .append(resume)
            .write(true)
            .truncate(!resume);
        Ok(Self {
            file: open.open(path).map_err(told)?,
            path: path.to_owned(),
            build: build.to_owned(),
            by_key,
            calm,
        })
    }

    /// What is known of a mutant with so many seeds at most.
    pub(super) fn of(&self, mutant: &Mutant, seeds_max: u32) -> Option<&Fate> {
        let all: u64 = mutant.profiles().map(|(_, seeds)| u64::from(seeds)).sum();
        let most = u64::from(seeds_max);
        self.by_key.get(&mutant.key()).filter(|fate| match fate {
            Fate::Found(caught) => caught.seeds <= most && mutant.is_told_by(&caught.oracle),
            Fate::Left { seeds, .. } => *seeds >= most.min(all),
        })
    }

    pub(super) fn add(&mut self, mutant: &Mutant, fate: Fate) -> Result<(), String> {
        let (name, key) = (mutant.name.as_str(), mutant.key());
        let line = match &fate {
            Fate::Found(caught) => caught.to_json(name),
            Fate::Left { seeds, others } => json!({
                "name": name,
                "left_after": seeds,
                "others": others,
            }),
        };
        self.write(line, &key)?;
        self.by_key.insert(key, fate);
        Ok(())
    }

    /// Whether a profile is known to pass without a mutant.
    pub(super) fn is_calm(&self, profile: &str) -> bool {
        self.calm.contains(profile)
    }

    pub(super) fn add_calm(&mut self, profile: &str) -> Result<(), String> {
        self.write(json!({ "calm": profile }), profile)?;
        self.calm.insert(profile.to_owned());
        Ok(())
    }

    fn write(&mut self, mut line: Value, key: &str) -> Result<(), String> {
        line["key"] = key.into();
        line["build"] = self.build.as_str().into();
        let told = |error| format!("{}: {error}", self.path.display());
        writeln!(self.file, "{line}").map_err(told)
    }
}

impl Caught {
    pub(super) fn to_json(&self, name: &str) -> Value {
        json!({
            "name": name,
            "profile": self.profile,
            "seeds": self.seeds,
            "seed": self.seed,
            "oracle": self.oracle,
            "deviations": self.deviations,
            "questions": self.questions,
        })
    }
}

fn fate(line: &Value) -> Option<Fate> {
    let number = |key: &str| line[key].as_u64();
    let text = |key: &str| line[key].as_str().map(str::to_owned);
    if let Some(seeds) = number("left_after") {
        let others = line["others"].as_array()?.iter();
        let others = others.filter_map(|it| it.as_str().map(str::to_owned));
        let others = others.collect();
        return Some(Fate::Left { seeds, others });
    }
    Some(Fate::Found(Caught {
        profile: text("profile")?,
        seeds: number("seeds")?,
        seed: number("seed")?,
        oracle: text("oracle")?,
        deviations: number("deviations")?,
        questions: number("questions")?,
    }))
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(Caught {
                profile,
                seeds,
                seed,
                oracle,
                deviations,
                questions,
            }) => write!(
                f,
                "found by {oracle} in {profile} ({seeds} seeds), {deviations} deviations and {questions} questions (seed {seed})"
            ),
            Self::Left { seeds, others } if others.is_empty() => {
                write!(f, "LEFT after {seeds} seeds")
            }
            Self::Left { seeds, others } => {
                write!(
                    f,
                    "LEFT after {seeds} seeds; other oracles spoke: {}",
                    others.join(", ")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Caught, Fate, Results};
    use crate::list::read;

    #[test]
    fn a_hunt_goes_on_where_it_was_stopped_with_the_same_build() {
        let folder = std::env::temp_dir().join(format!("tenure-mutants-{}", std::process::id()));
        let path = folder.join("results.jsonl");
        let list = |oracle: &str| {
            let block = |name| {
                format!("\n= {name}\nA (S1).\nin f\nfound by sim owned 500\n{oracle}\n- «a»\n+ b\n")
            };
            read(&format!("Head.\n{}{}", block("m:a"), block("m:b"))).unwrap()
        };
        let mutants = list("oracle fence");
        let [a, b] = &mutants[..] else {
            panic!("{mutants:?}");
        };
        let found = Fate::Found(Caught {
            profile: "owned".to_owned(),
            seeds: 12,
            seed: 11,
            oracle: "fence".to_owned(),
            deviations: 2,
            questions: 3,
        });
        let left = Fate::Left {
            seeds: 100,
            others: vec!["reads".to_owned()],
        };
        let mut results = Results::open(&path, "one", false).unwrap();
        results.add(a, found.clone()).unwrap();
        results.add(b, left.clone()).unwrap();
        results.add_calm("owned").unwrap();
        let again = Results::open(&path, "one", true).unwrap();
        assert_eq!(again.of(a, 500), Some(&found));
        assert_eq!(again.of(a, 10), None, "not in so few seeds");
        assert_eq!(
            again.of(&list("oracle reads")[0], 500),
            None,
            "another oracle"
        );
        assert_eq!(again.of(b, 100), Some(&left));
        assert!(again.is_calm("owned") && !again.is_calm("storm"));
        assert_eq!(again.of(b, 500), None, "it may be found in more seeds");
        let other = Results::open(&path, "two", true).unwrap();
        assert_eq!(other.of(a, 500), None, "another build");
        assert!(!other.is_calm("owned"));
        let anew = Results::open(&path, "one", false).unwrap();
        assert_eq!(anew.of(a, 500), None, "begun anew");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
