//! Many seeds: what came of each, and what they passed together.

use crate::oracle::Class;
use crate::profile::{Plan, Profile};
use crate::world::{Report, World};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tenure_core::step::CountingProbe;

/// How a seed ended, when it did not end well.
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
    /// The exit code that says so.
    pub const fn code(self) -> u8 {
        match self {
            Self::Safety => 10,
            Self::Liveness => 11,
            Self::Differed => 12,
            Self::Panic => 13,
        }
    }
}

/// A seed that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The profile.
    pub profile: Profile,
    /// How it ended.
    pub ending: Ending,
    /// What was wrong.
    pub what: String,
}

/// What many seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many seeds were run.
    pub seeds: u64,
    /// How many events they had.
    pub events: u64,
    /// How many commits they stored.
    pub commits: u64,
    /// How many questions were asked.
    pub asked: u64,
    /// What they passed.
    pub probe: CountingProbe,
    /// Those that did not end well, by seed.
    pub failures: Vec<Failure>,
}

/// Which seeds to run.
#[derive(Clone, Copy, Debug)]
pub struct Swarm {
    /// The profile.
    pub profile: Profile,
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// On how many threads.
    pub threads: u64,
    /// Each seed that this divides runs twice and is compared; 0 is never.
    pub twice_every: u64,
    /// After how many failures it stops.
    pub failures_max: usize,
}

impl Swarm {
    /// Runs the seeds.
    ///
    /// # Panics
    ///
    /// When a thread of its own dies.
    pub fn run(&self) -> Tally {
        let threads = self.threads.max(1);
        let mut tally = std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..threads)
                .map(|lane| scope.spawn(move || self.lane(lane, threads)))
                .collect();
            let mut tally = Tally::default();
            for lane in lanes {
                tally.absorb(lane.join().expect("a lane that catches panics"));
            }
            tally
        });
        tally.failures.sort_by_key(|failure| failure.seed);
        tally
    }

    fn lane(&self, lane: u64, lanes: u64) -> Tally {
        let mut tally = Tally::default();
        for offset in (lane..self.seeds).step_by(usize::try_from(lanes).expect("few lanes")) {
            if tally.failures.len() >= self.failures_max {
                break;
            }
            let seed = self.from + offset;
            let twice = self.twice_every != 0 && seed.is_multiple_of(self.twice_every);
            tally.add(seed, self.profile, run_once(seed, self.profile, twice));
        }
        tally
    }
}

impl Tally {
    fn add(&mut self, seed: u64, profile: Profile, ended: Result<Report, (Ending, String)>) {
        self.seeds += 1;
        let failed = match ended {
            Ok(report) => {
                self.events += report.events;
                self.commits += report.commits as u64;
                self.asked += report.asked as u64;
                self.probe.absorb(&report.probe);
                report.violation.map(|violation| {
                    let ending = match violation.class {
                        Class::Safety => Ending::Safety,
                        Class::Liveness => Ending::Liveness,
                    };
                    (ending, violation.to_string())
                })
            }
            Err(failed) => Some(failed),
        };
        if let Some((ending, what)) = failed {
            self.failures.push(Failure {
                seed,
                profile,
                ending,
                what,
            });
        }
    }

    fn absorb(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.commits += other.commits;
        self.asked += other.asked;
        self.probe.absorb(&other.probe);
        self.failures.extend(other.failures);
    }
}

/// Runs one seed, twice when the two runs shall be compared.
///
/// # Errors
///
/// When it panicked, or when the two runs differed.
pub fn run_once(seed: u64, profile: Profile, twice: bool) -> Result<Report, (Ending, String)> {
    let run = || {
        let world = World::new(Plan::new(seed, profile));
        let world = if twice { world.traced() } else { world };
        catch_unwind(AssertUnwindSafe(|| world.run()))
            .map_err(|panic| (Ending::Panic, panic_text(panic.as_ref())))
    };
    let first = run()?;
    if twice {
        let second = run()?;
        let pairs = first.story.iter().zip(&second.story);
        if let Some((one, two)) = pairs.into_iter().find(|(one, two)| one != two) {
            return Err((Ending::Differed, format!("{one}\n  or  {two}")));
        }
        if first.story.len() != second.story.len() {
            return Err((Ending::Differed, "one run is longer".into()));
        }
    }
    Ok(first)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_else(|| "without a text".into()))
}
