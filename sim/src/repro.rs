//! A failing run as a text: what it is a function of, and what it must break again.

use crate::case::{Broken, Case, Ending, TestName, WorldKind};
use crate::deviation::Deviation;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The version of the text. A reader of another one refuses it.
pub const VERSION: u32 = 1;

/// What the first line begins with.
const HEAD: &str = "tenure-sim repro";

/// The last line: what is cut short has none.
const END: &str = "end";

/// A failing run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repro {
    /// The run.
    pub case: Case,
    /// What it breaks.
    pub expect: Broken,
    /// Remarks, a line each.
    pub remarks: Vec<String>,
}

impl Repro {
    /// The text.
    ///
    /// ```
    /// use tenure_sim::{Broken, Case, Ending, Profile, Repro};
    ///
    /// let repro = Repro {
    ///     case: Case::new(7, Profile::Owned),
    ///     expect: Broken { ending: Ending::Safety, oracle: "fence".into(), what: "two epochs".into() },
    ///     remarks: vec![],
    /// };
    /// let text = repro.to_text();
    /// assert!(text.starts_with("tenure-sim repro 1\nworld pure\nseed 7\nprofile owned\n"));
    /// assert_eq!(Repro::from_text(&text), Ok(repro));
    /// ```
    pub fn to_text(&self) -> String {
        let Self {
            case,
            expect,
            remarks,
        } = self;
        let mut text = format!("{HEAD} {VERSION}\nworld {}\n", case.world);
        // Writing to a text does not fail.
        if let Some(test) = &case.test {
            let _ = writeln!(text, "test {test}");
        }
        let _ = writeln!(text, "seed {}\nprofile {}", case.seed, case.profile);
        if let Some(corruption) = case.corruption {
            let _ = writeln!(text, "corrupt {corruption}");
        }
        let _ = writeln!(text, "plan {:016x}", case.fingerprint());
        let Broken {
            ending,
            oracle,
            what,
        } = expect;
        let _ = writeln!(text, "expect {ending} {oracle}\nbroke {what}");
        for remark in remarks {
            let _ = writeln!(text, "# {remark}");
        }
        match &case.only {
            None => text.push_str("all\n"),
            Some(only) => {
                text.push_str("only\n");
                for deviation in only {
                    let _ = writeln!(text, "{deviation}");
                }
            }
        }
        text.push_str(END);
        text.push('\n');
        text
    }

    /// Reads the text.
    ///
    /// # Errors
    ///
    /// When it is none, is of another version, names what this build does not know, or when the plan
    /// of its seed is another one in this build; each with the line and the remedy.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line));
        let head = lines.next().map_or("", |(_, line)| line);
        let Some(version) = head.strip_prefix(HEAD) else {
            return Err(format!(
                "this is no repro: one begins with `{HEAD} {VERSION}`"
            ));
        };
        if version.trim() != VERSION.to_string() {
            let version = version.trim();
            return Err(format!(
                "this is a repro of version {version}, and this build reads version {VERSION}: use the \
                 build that wrote it"
            ));
        }
        let mut read = Read::default();
        for (number, line) in lines {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            read.line(line)
                .map_err(|error| format!("line {number}: {error}"))?;
        }
        read.repro()
    }
}

/// What has been read so far.
#[derive(Default)]
struct Read {
    world: WorldKind,
    test: Option<TestName>,
    seed: Option<u64>,
    profile: Option<crate::profile::Profile>,
    corruption: Option<crate::world::Corruption>,
    plan: Option<u64>,
    expect: Option<(Ending, String)>,
    what: String,
    remarks: Vec<String>,
    /// The list of deviations was begun, or there is none.
    only: Option<Option<BTreeSet<Deviation>>>,
    ended: bool,
}

impl Read {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if self.ended {
            return Err(format!("{line:?} is after the end"));
        }
        if let Some(remark) = line.strip_prefix('#') {
            self.remarks.push(remark.trim().to_owned());
            return Ok(());
        }
        if line == END {
            self.ended = true;
            return Ok(());
        }
        if let Some(Some(only)) = &mut self.only {
            only.insert(line.parse()?);
            return Ok(());
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "world" => self.world = rest.parse()?,
            "test" => self.test = Some(rest.parse()?),
            "seed" => {
                let seed = rest.parse();
                self.seed =
                    Some(seed.map_err(|_| format!("{rest:?} is no seed: give 0 to 2^64-1"))?);
            }
            "profile" => self.profile = Some(rest.parse()?),
            "corrupt" => self.corruption = Some(rest.parse()?),
            "plan" => {
                let plan = u64::from_str_radix(rest, 16);
                self.plan = Some(plan.map_err(|_| format!("{rest:?} is no plan's number"))?);
            }
            "expect" => {
                let (ending, oracle) = rest.split_once(' ').unwrap_or((rest, ""));
                self.expect = Some((ending.parse()?, oracle.to_owned()));
            }
            "broke" => rest.clone_into(&mut self.what),
            "all" => self.only = Some(None),
            "only" => self.only = Some(Some(BTreeSet::new())),
            other => return Err(format!("{other:?} is nothing that a repro has")),
        }
        Ok(())
    }

    fn repro(self) -> Result<Repro, String> {
        let missing = |name: &str| format!("the line `{name}` is missing: the file is cut short");
        let only = self.only.ok_or_else(|| missing("all` or `only"))?;
        if !self.ended {
            return Err(missing(END));
        }
        let case = Case {
            world: self.world,
            test: self.test,
            seed: self.seed.ok_or_else(|| missing("seed"))?,
            profile: self.profile.ok_or_else(|| missing("profile"))?,
            corruption: self.corruption,
            only,
            until: None,
        };
        let (ending, oracle) = self.expect.ok_or_else(|| missing("expect"))?;
        let plan = self.plan.ok_or_else(|| missing("plan"))?;
        case.world.check(case.profile)?;
        if let Some(corruption) = case.corruption {
            case.world.check_corruption(corruption)?;
        }
        if plan != case.fingerprint() {
            return Err(format!(
                "seed {} of {} has another plan in this build: use the build that wrote the repro, or \
                 look for the failure anew",
                case.seed, case.profile
            ));
        }
        Ok(Repro {
            case,
            expect: Broken {
                ending,
                oracle,
                what: self.what,
            },
            remarks: self.remarks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Repro;
    use crate::case::{Broken, Case, Ending, WorldKind};
    use crate::deviation::{Deviation, Fault, Timing};
    use crate::profile::Profile;
    use crate::world::Corruption;

    fn repro() -> Repro {
        let fault = Deviation::Fault {
            fault: Fault::LateRequest,
            row: 257,
            number: 4,
        };
        let free = Deviation::Free {
            dice: Timing::Travel,
            window: 3,
        };
        Repro {
            case: Case {
                corruption: Some(Corruption::Unchecked),
                only: Some([fault, free].into()),
                ..Case::new(9, Profile::Direct)
            },
            expect: Broken {
                ending: Ending::Safety,
                oracle: "predecessor".into(),
                what: "one thing after another".into(),
            },
            remarks: vec!["2 of 31 faults".into()],
        }
    }

    #[test]
    fn a_repro_reads_back_from_its_text_in_every_world() {
        for world in WorldKind::ALL {
            let mut repro = repro();
            repro.case.world = world;
            repro.case.profile = Profile::Cluster;
            // The servers of some keep their word.
            repro.case.corruption = repro
                .case
                .corruption
                .filter(|corruption| world.check_corruption(*corruption).is_ok());
            assert_eq!(Repro::from_text(&repro.to_text()), Ok(repro));
        }
    }

    #[test]
    fn a_repro_of_a_users_test_names_it() {
        let mut repro = repro();
        let test = "bank accounts::tests::deposits_count";
        repro.case.test = Some(test.parse().unwrap());
        let text = repro.to_text();
        assert!(text.contains(&format!("\ntest {test}\n")), "{text}");
        assert_eq!(Repro::from_text(&text), Ok(repro));
    }

    #[test]
    fn a_repro_that_is_cut_short_anywhere_is_refused() {
        let text = repro().to_text();
        for (end, _) in text.char_indices().skip(1) {
            if end + 1 == text.len() {
                // All but the last end of a line.
                continue;
            }
            assert!(Repro::from_text(&text[..end]).is_err(), "{}", &text[..end]);
        }
        let more = format!("{text}free travel 1\n");
        assert!(
            Repro::from_text(&more)
                .unwrap_err()
                .contains("after the end")
        );
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_its_reason() {
        let text = repro().to_text();
        let plan = text.lines().find(|line| line.starts_with("plan")).unwrap();
        for (changed, part) in [
            (text.replace("repro 1", "repro 2"), "version 2"),
            (text.replace("tenure-sim", "other"), "no repro"),
            (text.replace("late-request", "gremlins"), "gremlins"),
            (text.replace("seed 9", "seed -1"), "no seed"),
            (text.replace("seed 9\n", ""), "`seed` is missing"),
            (text.replace(plan, "plan 0123"), "another plan"),
            (text.replace("only", "some"), "\"some\""),
            (text.split("only").next().unwrap().to_owned(), "cut short"),
            (text.replace("world pure", "world flat"), "\"flat\""),
            (text.replace("seed 9", "test bank\nseed 9"), "no test"),
            (
                text.replace("world pure", "world madsim"),
                "no profile direct",
            ),
        ] {
            let refused = Repro::from_text(&changed).unwrap_err();
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }
}
