//! The lists of mutants: a file for each machine, in the form that `sim/mutants/list/README.md` tells.

use std::fmt;
use std::fs;
use std::path::Path;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// The machine and the mistake: `lease:no-drift`.
    pub(crate) name: String,
    /// What is wrong with it, in a sentence.
    pub(crate) says: String,
    /// What has to find it, cheapest first.
    pub(crate) killers: Vec<Killer>,
    /// The simulator's oracles that may find it; any when none is named.
    pub(crate) oracles: Vec<String>,
    /// Where it is made: in several places when one alone is made good by another.
    pub(crate) places: Vec<Place>,
}

/// One change that a mistake consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file, from the root of the workspace.
    pub(crate) file: String,
    /// The text around the expression, with it: it is in the file once.
    pub(crate) before: String,
    pub(crate) expression: String,
    pub(crate) after: String,
    /// What stands in its place.
    pub(crate) instead: String,
}

/// A layer of proof.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Killer {
    /// A test of the core, such as `trace`; `lib` are those beside the code.
    Test(String),
    /// So many seeds of a profile of the simulation, with its world where that is not the pure one.
    Sim { profile: String, seeds: u32 },
}

impl Mutant {
    /// Whether an oracle of the simulator that spoke is one that may.
    pub(crate) fn is_told_by(&self, oracle: &str) -> bool {
        self.oracles.is_empty() || self.oracles.iter().any(|name| name == oracle)
    }

    /// The rules that it breaks, as they stand in brackets at the end of what is said of it.
    pub(crate) fn rules(&self) -> &str {
        let last = self.says.rsplit_once('(').map_or("", |(_, last)| last);
        last.trim_end_matches(['.', ')'])
    }

    /// Whether it is one that any run finds: a hunt that does not find it finds nothing.
    pub(crate) fn is_canary(&self) -> bool {
        self.name.ends_with(":canary")
    }

    /// Whether a world of the simulator has to find it; none: whether no world has to that is a program of
    /// its own, whose runs are so slow that they are asked for by its name.
    pub(crate) fn is_of(&self, world: Option<&str>) -> bool {
        let mut worlds = self.profiles().map(|(profile, _)| place(profile).0);
        match world {
            Some(world) => worlds.any(|of| of == world),
            None => !worlds.any(is_apart),
        }
    }

    /// Whether the simulator has to find it.
    pub(crate) fn is_for_the_simulator(&self) -> bool {
        self.profiles().next().is_some()
    }

    /// The profiles that have to find it, with how many seeds each may take.
    pub(crate) fn profiles(&self) -> impl Iterator<Item = (&str, u32)> {
        self.killers.iter().filter_map(|killer| match killer {
            Killer::Sim { profile, seeds } => Some((profile.as_str(), *seeds)),
            Killer::Test(_) => None,
        })
    }
}

impl fmt::Display for Killer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test(test) => f.write_str(test),
            Self::Sim { profile, seeds } => write!(f, "sim {profile} {seeds}"),
        }
    }
}

/// World and profile of a family of runs, as a list names it: that of the pure world by the profile alone.
pub(crate) fn place(family: &str) -> (&str, &str) {
    family.split_once(':').unwrap_or(("pure", family))
}

/// Whether each run of a world is a process of another program.
pub(crate) fn is_apart(world: &str) -> bool {
    matches!(world, "madsim" | "nats")
}

/// What begins and ends the expression in a line of context.
const MARKS: [char; 2] = ['«', '»'];

/// All of a folder.
pub(crate) fn all(folder: &Path) -> Result<Vec<Mutant>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.extension().is_some_and(|end| end == "txt") {
            files.push(path);
        }
    }
    files.sort();
    let mut mutants: Vec<Mutant> = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).map_err(told)?;
        let read = read(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        mutants.extend(read);
    }
    let mut names: Vec<&str> = mutants.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|two| two[0] == two[1]) {
        Some(two) => Err(format!("two mutants are named {}", two[0])),
        None => Ok(mutants),
    }
}

/// The mutants of one file's text.
pub(crate) fn read(text: &str) -> Result<Vec<Mutant>, String> {
    let mut mutants = Vec::new();
    for block in text.split("\n= ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap_or((block, ""));
        let mutant = mutant(name.trim(), rest);
        mutants.push(mutant.map_err(|error| format!("{}: {error}", name.trim()))?);
    }
    Ok(mutants)
}

fn mutant(name: &str, block: &str) -> Result<Mutant, String> {
    let (mut says, mut killers, mut oracles) = (Vec::new(), Vec::new(), Vec::new());
    let mut changes: Vec<Change<'_>> = Vec::new();
    for line in block.lines() {
        let at = changes.last_mut();
        if let Some(path) = line.strip_prefix("in ").or(line.strip_prefix("and in ")) {
            changes.push(Change::of(path.trim()));
        } else if let (Some(text), Some(at)) = (line.strip_prefix("- "), at) {
            at.context.push(text);
        } else if let (Some(text), Some(at)) = (line.strip_prefix("+ "), changes.last_mut()) {
            at.instead.push(text);
        } else if let Some(layers) = line.strip_prefix("found by ") {
            for layer in layers.split(',') {
                killers.push(killer(layer.trim())?);
            }
        } else if let Some(names) = line.strip_prefix("oracle ") {
            oracles.extend(names.split(',').map(|name| name.trim().to_owned()));
        } else if !line.trim().is_empty() {
            says.push(line.trim());
        }
    }
    if killers.is_empty() || changes.is_empty() {
        return Err("it lacks a line \"found by\", or one \"in FILE\"".to_owned());
    }
    let places: Result<Vec<Place>, String> = changes.iter().map(Change::place).collect();
    Ok(Mutant {
        name: name.to_owned(),
        says: says.join(" "),
        killers,
        oracles,
        places: places?,
    })
}

/// The lines of a place.
struct Change<'a> {
    file: &'a str,
    context: Vec<&'a str>,
    instead: Vec<&'a str>,
}

impl<'a> Change<'a> {
    fn of(file: &'a str) -> Self {
        let (context, instead) = (Vec::new(), Vec::new());
        Self {
            file,
            context,
            instead,
        }
    }

    fn place(&self) -> Result<Place, String> {
        let context = self.context.join("\n");
        let parts: Vec<&str> = context.split(MARKS).collect();
        let [before, expression, after] = parts[..] else {
            return Err("its context has no «expression»".to_owned());
        };
        if self.instead.is_empty() {
            return Err("it lacks what stands instead".to_owned());
        }
        Ok(Place {
            file: self.file.to_owned(),
            before: before.to_owned(),
            expression: expression.to_owned(),
            after: after.to_owned(),
            instead: self.instead.join("\n"),
        })
    }
}

fn killer(text: &str) -> Result<Killer, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [test] => Ok(Killer::Test(test.to_owned())),
        ["sim", profile, seeds] => Ok(Killer::Sim {
            profile: profile.to_owned(),
            seeds: seeds.parse().map_err(|_| format!("{seeds} seeds"))?,
        }),
        _ => Err(format!(
            "{text:?} is no layer: a test of the core, lib, or sim PROFILE SEEDS"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{Killer, all, place, read};
    use crate::hunt::{BEGIN, END, row_of_list};
    use std::path::PathBuf;

    #[test]
    fn a_mutant_is_read_from_its_block() {
        let text = "The machine.\n\n= m:late\nToo late (S1).\nin core/src/m.rs\nfound by trace, sim kill 50\n\
                    - if «now\n-     > end» {\n+ now >= end\n";
        let mutants = read(text).unwrap();
        let [mutant] = &mutants[..] else {
            panic!("{mutants:?}");
        };
        assert_eq!(
            (mutant.name.as_str(), mutant.says.as_str()),
            ("m:late", "Too late (S1).")
        );
        let [place] = &mutant.places[..] else {
            panic!("{mutant:?}");
        };
        assert_eq!(place.expression, "now\n    > end");
        assert_eq!((place.before.as_str(), place.after.as_str()), ("if ", " {"));
        assert_eq!(place.instead, "now >= end");
        let sim = Killer::Sim {
            profile: "kill".to_owned(),
            seeds: 50,
        };
        assert_eq!(mutant.killers, [Killer::Test("trace".to_owned()), sim]);
    }

    #[test]
    fn a_mutant_may_have_several_places() {
        let text = "\n= m:both\nBoth are off (S1).\nin a.rs\nfound by lib\n- «x»\n+ y\nand in b.rs\n- «z»\n+ w\n";
        let mutants = read(text).unwrap();
        let [mutant] = &mutants[..] else {
            panic!("{mutants:?}");
        };
        let files: Vec<&str> = mutant.places.iter().map(|it| it.file.as_str()).collect();
        assert_eq!(files, ["a.rs", "b.rs"]);
        assert_eq!(mutant.places[1].instead, "w");
    }

    #[test]
    fn each_listed_mutant_has_its_place() {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let root = here.join("../..");
        let mut mutants = all(&here.join("list")).unwrap();
        mutants.extend(all(&here.join("open")).unwrap());
        for machine in [
            "lease",
            "node",
            "shard",
            "log",
            "route",
            "actor",
            "protocol",
            "consumer",
            "group",
            "projection",
            "bus",
            "effect",
            "saga",
            "nats",
        ] {
            let of = |name: &str| name.starts_with(&format!("{machine}:"));
            assert!(mutants.iter().any(|one| of(&one.name)), "none of {machine}");
        }
        crate::plant::planted(&root, &mutants).unwrap();
    }

    #[test]
    fn a_profile_may_be_that_of_another_world() {
        assert_eq!(place("kill"), ("pure", "kill"));
        assert_eq!(place("driver:consume"), ("driver", "consume"));
    }

    #[test]
    fn a_world_that_is_a_program_of_its_own_is_asked_for_by_its_name() {
        let block =
            |name, found| format!("\n= {name}\nA (S1).\nin f\nfound by {found}\n- «a»\n+ b\n");
        let text = block("m:pure", "trace, sim kill 50, sim driver:kill 50");
        let text = text + &block("m:nats", "sim nats:storm 50") + &block("m:tests", "trace");
        let mutants = read(&text).unwrap();
        let of = |world| {
            let of_it = mutants.iter().filter(|mutant| mutant.is_of(world));
            of_it.map(|it| it.name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(of(None), ["m:pure", "m:tests"]);
        assert_eq!(of(Some("driver")), ["m:pure"]);
        assert_eq!(of(Some("nats")), ["m:nats"]);
    }

    #[test]
    fn what_the_simulator_has_to_find_names_rule_and_oracle_and_stands_in_the_design() {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mutants = all(&here.join("list")).unwrap();
        let hunted = mutants.iter().filter(|it| it.is_for_the_simulator());
        let hunted: Vec<_> = hunted.filter(|it| !it.is_canary()).collect();
        assert!(hunted.len() >= 40, "{} mutants are too few", hunted.len());
        let design = std::fs::read_to_string(here.join("../../DESIGN.md")).unwrap();
        let (_, table) = design.split_once(BEGIN).unwrap();
        let (table, _) = table.split_once(END).unwrap();
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        let mut rows: Vec<&str> = rows.collect();
        for mutant in hunted {
            let name = &mutant.name;
            assert!(
                mutant.rules().starts_with(char::is_uppercase),
                "{name}: no rule"
            );
            assert!(!mutant.oracles.is_empty(), "{name}: no oracle");
            let of_list = row_of_list(mutant);
            let at = rows.iter().position(|row| row.starts_with(&of_list));
            let at = at.unwrap_or_else(|| panic!("DESIGN.md has no row of {name}"));
            let columns: Vec<&str> = rows.remove(at).split(" | ").collect();
            let [_, _, oracle, seeds, ..] = columns[..] else {
                panic!("{columns:?}");
            };
            assert!(mutant.is_told_by(oracle), "{name}: {oracle}");
            assert!(seeds.parse::<u32>().unwrap() <= 500, "{name}: {seeds}");
        }
        assert!(rows.is_empty(), "not in the list: {rows:?}");
    }
}
