//! The hunt with the simulator: how many seeds it takes to find each mutant, and to how few deviations
//! the run that failed comes down.

mod catch;
mod results;
mod simulator;
mod table;

#[cfg(test)]
pub(crate) use table::{BEGIN, END, row_of_list};

use crate::list::Mutant;
use crate::run::Lab;
use results::{Fate, Results};
use serde_json::json;
use simulator::Simulator;
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;

/// Seeds of each profile that have to be green without a mutant.
const CALM_SEEDS: u32 = 40;

/// Some mutant was left: what the simulator says of a place that no seed came by.
const LEFT: u8 = 14;

/// All were found, and more is left of their runs than may be.
const LARGE: u8 = 15;

/// How to hunt.
#[derive(Clone, Debug)]
pub(crate) struct Hunt {
    /// A mutant has to be found in so many seeds, whatever their profiles.
    pub(crate) seeds_max: u32,
    /// So many simulators run side by side.
    pub(crate) jobs: usize,
    /// What an earlier hunt with this build found out is not asked again.
    pub(crate) resume: bool,
    /// A file whose table of mutants is to tell what was found.
    pub(crate) table: Option<PathBuf>,
    /// Half of the runs have to come down to so few deviations.
    pub(crate) deviations_max: Option<u64>,
    pub(crate) json: bool,
}

impl Hunt {
    /// Looks for all of them; the exit code.
    pub(crate) fn run(
        &self,
        lab: &Lab,
        canary: &Mutant,
        mutants: &[&Mutant],
    ) -> Result<u8, String> {
        let of_all = mutants.iter().flat_map(|mutant| mutant.profiles());
        let profiles: BTreeSet<&str> = of_all.map(|(profile, _)| profile).collect();
        let simulator = Simulator::build(lab, &profiles)?;
        let results = lab.folder().join("results.jsonl");
        let results = Results::open(&results, &simulator.fingerprint, self.resume)?;
        let results = Mutex::new(results);
        if let Some(code) = self.calm(&simulator, &profiles, &results)? {
            return Ok(code);
        }
        let Fate::Found(sings) = simulator.catch(canary, self.seeds_max)? else {
            return Err(format!(
                "{} was not found: no mutant is in this build",
                canary.name
            ));
        };
        println!("{}: found by {}", canary.name, sings.oracle);
        if simulator.hash(None)? == simulator.hash(Some(canary))? {
            return Err("a run under a mutant has the hash of the run without it".to_owned());
        }
        let hunted = mutants.iter().filter(|mutant| !mutant.is_canary());
        let hunted: Vec<&Mutant> = hunted.copied().collect();
        self.side_by_side(&hunted, |mutant| {
            let lock = || results.lock().map_err(|_| "a hunter panicked".to_owned());
            if lock()?.of(mutant, self.seeds_max).is_some() {
                return Ok(());
            }
            let fate = simulator.catch(mutant, self.seeds_max)?;
            println!("{}: {fate}", mutant.name);
            lock()?.add(mutant, fate)
        })?;
        let results = results.into_inner().map_err(|_| "a hunter panicked")?;
        self.told(&hunted, &results, profiles.len())
    }

    /// Seeds without a mutant: the code of the run that fails, if one does.
    fn calm(
        &self,
        simulator: &Simulator,
        profiles: &BTreeSet<&str>,
        results: &Mutex<Results>,
    ) -> Result<Option<u8>, String> {
        let lock = || results.lock().map_err(|_| "a hunter panicked".to_owned());
        let failed = Mutex::new(None);
        let profiles: Vec<&str> = profiles.iter().copied().collect();
        self.side_by_side(&profiles, |profile| {
            if lock()?.is_calm(profile) {
                return Ok(());
            }
            let calm = simulator.swarm(None, profile, 0, CALM_SEEDS)?;
            let Some(failure) = calm.failure else {
                return lock()?.add_calm(profile);
            };
            let (oracle, what) = (failure.oracle, failure.what);
            println!("{profile} FAILS without a mutant: {oracle}: {what}");
            let mut failed = failed.lock().map_err(|_| "a hunter panicked".to_owned())?;
            *failed = Some(calm.code);
            Ok(())
        })?;
        let failed = failed.into_inner().map_err(|_| "a hunter panicked")?;
        if failed.is_none() {
            let count = profiles.len();
            println!("{count} profiles, {CALM_SEEDS} seeds each without a mutant: none failed");
        }
        Ok(failed)
    }

    /// Does something for each, several at a time; the first error ends it.
    fn side_by_side<T: Copy + Send>(
        &self,
        all: &[T],
        each: impl Fn(T) -> Result<(), String> + Sync,
    ) -> Result<(), String> {
        let queue: Mutex<VecDeque<T>> = Mutex::new(all.iter().copied().collect());
        let next = || queue.lock().ok()?.pop_front();
        std::thread::scope(|scope| {
            let hunters: Vec<_> = (0..self.jobs.max(1))
                .map(|_| {
                    scope.spawn(|| {
                        while let Some(one) = next() {
                            if let Err(error) = each(one) {
                                // The others end with what they are at.
                                queue.lock().map(|mut queue| queue.clear()).ok();
                                return Err(error);
                            }
                        }
                        Ok(())
                    })
                })
                .collect();
            hunters.into_iter().try_for_each(|hunter| {
                hunter
                    .join()
                    .unwrap_or_else(|_| Err("a hunter panicked".to_owned()))
            })
        })
    }

    fn told(&self, hunted: &[&Mutant], results: &Results, profiles: usize) -> Result<u8, String> {
        let mut caught = Vec::new();
        let mut left = Vec::new();
        for mutant in hunted {
            match results.of(mutant, self.seeds_max) {
                Some(Fate::Found(one)) => caught.push((*mutant, one)),
                Some(Fate::Left { .. }) | None => left.push(mutant.name.as_str()),
            }
        }
        if let Some(file) = &self.table {
            table::write(file, &caught)?;
        }
        let (planted, killed) = (hunted.len(), caught.len());
        let median_seeds = median(caught.iter().map(|(_, one)| one.seeds));
        let median_deviations = median(caught.iter().map(|(_, one)| one.deviations));
        println!(
            "{planted} mutants, {killed} found, median of {median_seeds} seeds and {median_deviations} deviations"
        );
        for name in &left {
            println!("LEFT: {name}");
        }
        if self.json {
            let mutants = caught.iter().map(|(mutant, one)| one.to_json(&mutant.name));
            let told = json!({
                "planted": planted,
                "killed": killed,
                "left": left,
                "canary": true,
                "calm": { "profiles": profiles, "seeds": CALM_SEEDS, "failed": 0 },
                "seeds_max": self.seeds_max,
                "median_seeds": median_seeds,
                "median_deviations": median_deviations,
                "mutants": mutants.collect::<Vec<_>>(),
            });
            println!("{told}");
        }
        Ok(self.code(left.len(), median_deviations))
    }
}

impl Hunt {
    /// The exit code of a hunt that came to its end.
    fn code(&self, left: usize, median_deviations: u64) -> u8 {
        let large = self.deviations_max.filter(|most| median_deviations > *most);
        match (left, large) {
            (1.., _) => LEFT,
            (0, Some(most)) => {
                println!(
                    "LARGE: the median of deviations is {median_deviations}, and {most} may be"
                );
                LARGE
            }
            (0, None) => 0,
        }
    }
}

fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Hunt, median};
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn a_hunt_whose_runs_stay_large_does_not_pass() {
        let bounded = Hunt {
            deviations_max: Some(8),
            ..hunt()
        };
        assert_eq!((hunt().code(0, 100), hunt().code(1, 0)), (0, 14));
        assert_eq!((bounded.code(0, 8), bounded.code(0, 9)), (0, 15));
        assert_eq!(bounded.code(1, 9), 14);
    }

    fn hunt() -> Hunt {
        Hunt {
            seeds_max: 500,
            jobs: 2,
            resume: false,
            table: None,
            deviations_max: None,
            json: false,
        }
    }

    #[test]
    fn each_is_done_once_and_the_first_error_is_told() {
        let sum = AtomicU64::new(0);
        let add = |n: u64| {
            sum.fetch_add(n, Ordering::Relaxed);
            Ok(())
        };
        assert_eq!(hunt().side_by_side(&[1, 2, 3, 4], add), Ok(()));
        assert_eq!(sum.load(Ordering::Relaxed), 10);
        let fails = |n: u64| Err(format!("{n} fails"));
        let told = hunt().side_by_side(&[7; 9], fails);
        assert_eq!(told, Err("7 fails".to_owned()));
    }

    #[test]
    fn the_median_of_none_is_none() {
        assert_eq!(median([5, 1, 9].into_iter()), 5);
        assert_eq!(median([].into_iter()), 0);
    }
}
