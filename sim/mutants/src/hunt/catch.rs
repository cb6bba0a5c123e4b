//! One mutant: its profiles are tried in turns until an oracle of its speaks, and the run is made
//! smaller.

use super::results::{Caught, Fate};
use super::simulator::{Failure, Simulator};
use crate::list::{Mutant, is_apart, place};

/// Seeds of a profile before the next one has its turn; twice as many in each further round.
const ROUND: u32 = 8;

/// And so many at most.
const ROUND_MAX: u32 = 128;

/// A smaller run is looked for in so many runs.
const RUNS_MAX: u32 = 300;

/// In so many where each is a process of its own: a run takes a second there.
const RUNS_APART_MAX: u32 = 30;

/// A run that came down to so few is small enough; else another failing seed is made smaller, too.
const FEW: u64 = 8;

/// So many failing seeds are made smaller at most.
const TRIES_MAX: u32 = 2;

/// Seeds in which another failing one is looked for.
const MORE: u32 = 40;

/// A profile, and how far it was tried.
struct Trail<'a> {
    profile: &'a str,
    next: u64,
    left: u32,
}

impl Simulator {
    /// Tries a mutant's profiles until one finds it.
    pub(super) fn catch(&self, mutant: &Mutant, seeds_max: u32) -> Result<Fate, String> {
        let trail = |(profile, left)| Trail {
            profile,
            next: 0,
            left,
        };
        let mut trails: Vec<Trail<'_>> = mutant.profiles().map(trail).collect();
        let (mut seeds, mut round) = (0, ROUND);
        let mut others = Vec::new();
        loop {
            let mut tried = false;
            for trail in &mut trails {
                let last = trail.next + u64::from(round.min(trail.left));
                while trail.next < last && seeds < u64::from(seeds_max) {
                    tried = true;
                    let most = u64::from(seeds_max) - seeds;
                    let count = u32::try_from(most.min(last - trail.next)).unwrap_or(u32::MAX);
                    let swarm = self.swarm(Some(mutant), trail.profile, trail.next, count)?;
                    seeds += swarm.seeds;
                    trail.next += swarm.seeds.max(1);
                    trail.left = trail
                        .left
                        .saturating_sub(u32::try_from(swarm.seeds).unwrap_or(1));
                    match swarm.failure {
                        Some(failure) if mutant.is_told_by(&failure.oracle) => {
                            return self.smaller(mutant, trail, failure, seeds);
                        }
                        Some(failure) => others.push(failure.oracle),
                        None => {}
                    }
                }
            }
            round = ROUND_MAX.min(round * 2);
            if !tried {
                others.sort_unstable();
                others.dedup();
                return Ok(Fate::Left { seeds, others });
            }
        }
    }

    /// Makes the run smaller, and some others as well if much is left of it.
    fn smaller(
        &self,
        mutant: &Mutant,
        trail: &Trail<'_>,
        first: Failure,
        seeds: u64,
    ) -> Result<Fate, String> {
        let mut caught: Option<Caught> = None;
        let (mut failure, mut from) = (Some(first), trail.next);
        let (tries_max, runs_max) = match is_apart(place(trail.profile).0) {
            true => (1, RUNS_APART_MAX),
            false => (TRIES_MAX, RUNS_MAX),
        };
        for number in 1..=tries_max {
            let Some(Failure {
                seed,
                oracle,
                repro,
                ..
            }) = failure.take()
            else {
                break;
            };
            let smaller = self.minimize(mutant, &repro, runs_max)?;
            let one = Caught {
                profile: trail.profile.to_owned(),
                seeds,
                seed,
                oracle,
                deviations: smaller.deviations,
                questions: smaller.questions,
            };
            let best = caught.as_ref().map(|best| best.deviations);
            if best.is_none_or(|best| one.deviations < best) {
                caught = Some(one);
            }
            if number == tries_max || caught.as_ref().is_some_and(|it| it.deviations <= FEW) {
                break;
            }
            let more = self.swarm(Some(mutant), trail.profile, from, MORE)?;
            from += more.seeds;
            failure = more.failure.filter(|it| mutant.is_told_by(&it.oracle));
        }
        let seeds = Fate::Left {
            seeds,
            others: Vec::new(),
        };
        Ok(caught.map_or(seeds, Fate::Found))
    }
}
