//! Many seeds: what came of each, and what they passed together.

use crate::case::{Broken, Case, WorldKind};
use crate::profile::Profile;
use crate::world::{Corruption, Report};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tenure_core::step::CountingProbe;

/// A seed that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The run.
    pub case: Case,
    /// How it ended.
    pub broken: Broken,
}

/// What many seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many seeds were run.
    pub seeds: u64,
    /// How many of them were run twice and compared.
    pub compared: u64,
    /// How many events they had.
    pub events: u64,
    /// How long they were, in true nanoseconds.
    pub simulated: u64,
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
    /// The world.
    pub world: WorldKind,
    /// The profile.
    pub profile: Profile,
    /// How the world breaks its word; the oracles' own test.
    pub corruption: Option<Corruption>,
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

/// What a swarm tells while it runs, and what it is told.
#[derive(Debug, Default)]
pub struct Watch {
    /// Seeds that were run.
    pub seeds: AtomicU64,
    /// Set: no further seed is begun.
    pub stop: AtomicBool,
}

impl Swarm {
    /// Seeds of a profile, from 0 on two threads, one in 64 run twice.
    pub const fn new(profile: Profile, seeds: u64) -> Self {
        Self {
            world: WorldKind::Pure,
            profile,
            corruption: None,
            from: 0,
            seeds,
            threads: 2,
            twice_every: 64,
            failures_max: 5,
        }
    }

    /// Runs the seeds.
    ///
    /// # Panics
    ///
    /// When a thread of its own dies.
    pub fn run(&self) -> Tally {
        self.run_watched(&Watch::default())
    }

    /// Runs the seeds until they are done or it is told to stop.
    ///
    /// # Panics
    ///
    /// When a thread of its own dies.
    pub fn run_watched(&self, watch: &Watch) -> Tally {
        let threads = self.threads.max(1);
        let mut tally = std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..threads)
                .map(|lane| scope.spawn(move || self.lane(lane, threads, watch)))
                .collect();
            let mut tally = Tally::default();
            for lane in lanes {
                tally.absorb(lane.join().expect("a lane that catches panics"));
            }
            tally
        });
        tally.failures.sort_by_key(|failure| failure.case.seed);
        tally
    }

    fn lane(&self, lane: u64, lanes: u64, watch: &Watch) -> Tally {
        let mut tally = Tally::default();
        for offset in (lane..self.seeds).step_by(usize::try_from(lanes).expect("few lanes")) {
            if tally.failures.len() >= self.failures_max || watch.stop.load(Ordering::Relaxed) {
                break;
            }
            let seed = self.from + offset;
            let case = Case {
                world: self.world,
                corruption: self.corruption,
                ..Case::new(seed, self.profile)
            };
            let twice = self.twice_every != 0 && seed.is_multiple_of(self.twice_every);
            tally.add(case, twice);
            watch.seeds.fetch_add(1, Ordering::Relaxed);
        }
        tally
    }
}

impl Tally {
    fn add(&mut self, case: Case, twice: bool) {
        self.seeds += 1;
        self.compared += u64::from(twice);
        let ended = match twice {
            true => case.run_twice(),
            false => Ok(case.run()),
        };
        let broken = match ended {
            Ok(report) => {
                self.count(&report);
                report.broken()
            }
            Err(broken) => Some(broken),
        };
        self.failures
            .extend(broken.map(|broken| Failure { case, broken }));
    }

    fn count(&mut self, report: &Report) {
        self.events += report.events;
        self.simulated += report.ended;
        self.commits += report.commits as u64;
        self.asked += report.asked as u64;
        self.probe.absorb(&report.probe);
    }

    /// Adds what other seeds came to.
    pub fn absorb(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.compared += other.compared;
        self.events += other.events;
        self.simulated += other.simulated;
        self.commits += other.commits;
        self.asked += other.asked;
        self.probe.absorb(&other.probe);
        self.failures.extend(other.failures);
    }
}
