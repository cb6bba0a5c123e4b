//! Many seeds.

use super::options::{Swarm as Options, Which};
use super::told::{now, per_second};
use super::{NOT_COVERED, told};
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tenure_sim::coverage::{given_up, missing, rarest};
use tenure_sim::{Ending, Profile, Swarm, Tally, Watch};

/// How often it says how far it is.
const TOLD_EVERY: Duration = Duration::from_millis(500);

/// Seeds of each profile in one round of a run that ends when all is covered.
const ROUND: u64 = 16;

/// Of so many seeds the history of one may go without a verdict; one more may in any swarm.
const GIVEN_UP_ONE_IN: u64 = 50;

/// Runs them, one profile after another.
pub(super) fn run(options: &Options) -> Result<u8, String> {
    let profiles = options
        .profile
        .map_or_else(|| options.which.world.profiles().to_vec(), |it| vec![it]);
    println!("{}", again(options));
    told::check(&options.which, options.profile)?;
    let (from, seeds) = (options.from, options.seeds.unwrap_or(1));
    if from.checked_add(seeds - 1).is_none() {
        return Err(format!(
            "--from {from} --seeds {seeds}: there are no seeds beyond 2^64-1"
        ));
    }
    let mut runs = Runs {
        options,
        all: Tally::default(),
        worst: 0,
        begin: now(),
    };
    if options.until_covered {
        runs.until_covered(&profiles)?;
    } else {
        let time = options.time;
        let share = time.map(|time| time / u32::try_from(profiles.len()).unwrap_or(u32::MAX));
        let seeds = options.seeds.unwrap_or(u64::MAX - options.from);
        for profile in profiles {
            runs.some(profile, options.from, seeds, share)?;
        }
    }
    Ok(runs.end())
}

/// What all runs came to.
struct Runs<'a> {
    options: &'a Options,
    all: Tally,
    worst: u8,
    begin: Instant,
}

impl Runs<'_> {
    /// Some seeds of one profile.
    fn some(
        &mut self,
        profile: Profile,
        from: u64,
        seeds: u64,
        time: Option<Duration>,
    ) -> Result<(), String> {
        let Options {
            which,
            threads,
            twice_every,
            failures_max,
            ..
        } = self.options;
        let swarm = Swarm {
            world: which.world,
            corruption: which.corrupt,
            from,
            threads: *threads,
            twice_every: *twice_every,
            failures_max: *failures_max,
            ..Swarm::new(profile, seeds)
        };
        let begin = now();
        let tally = watched(&swarm, time);
        let seconds = begin.elapsed().as_secs_f64();
        self.worst = worse(self.worst, failures(&tally, which)?);
        println!("{profile}: {}", sum(&tally, seconds));
        self.all.absorb(tally);
        Ok(())
    }

    /// A few seeds of each profile after another until every place was passed.
    fn until_covered(&mut self, profiles: &[Profile]) -> Result<(), String> {
        let Options {
            seeds, time, from, ..
        } = *self.options;
        let mut done = 0;
        while seeds.is_none_or(|seeds| done < seeds)
            && time.is_none_or(|time| self.begin.elapsed() < time)
            && self.worst == 0
            && !missing(self.options.which.world, &self.all.probe).is_empty()
        {
            let round = seeds.map_or(ROUND, |seeds| ROUND.min(seeds - done));
            for profile in profiles {
                self.some(*profile, from + done, round, None)?;
            }
            done += round;
        }
        if self.worst == 0 && !missing(self.options.which.world, &self.all.probe).is_empty() {
            self.worst = NOT_COVERED;
        }
        Ok(())
    }

    fn end(mut self) -> u8 {
        let seconds = self.begin.elapsed().as_secs_f64();
        if self.options.sites {
            told::sites(&self.all.probe);
        }
        println!("all: {}", sum(&self.all, seconds));
        let missing = missing(self.options.which.world, &self.all.probe);
        println!(
            "{} places were passed, {} were not",
            self.all.probe.counts().count(),
            missing.len()
        );
        let given_up = given_up(&self.all.probe);
        if is_unjudged(given_up, self.all.seeds) {
            println!(
                "UNJUDGED: {given_up} of {} histories have too many orders to look at, and one in \
                 {GIVEN_UP_ONE_IN} may",
                self.all.seeds
            );
            if self.worst == 0 {
                self.worst = NOT_COVERED;
            }
        }
        if self.options.until_covered {
            for (name, count) in rarest(&self.all.probe, 5) {
                println!("  rare: {count:>6}  {name}");
            }
            for name in &missing {
                println!("  NEVER: {name}");
            }
        }
        if self.options.which.json {
            println!(
                "{}",
                of_swarm(&self.options.which, &self.all, &missing, seconds)
            );
        }
        self.worst
    }
}

fn again(options: &Options) -> String {
    let Options {
        seeds,
        time,
        from,
        profile,
        threads,
        twice_every,
        failures_max,
        which,
        ..
    } = options;
    let count = match (seeds, time) {
        (Some(seeds), _) => format!(" --seeds {seeds}"),
        (None, Some(time)) => format!(" --for {}s", time.as_secs()),
        (None, None) => String::new(),
    };
    let usual = [(2, *threads, "threads"), (64, *twice_every, "twice-every")];
    let failures = (5, *failures_max as u64, "failures-max");
    let how: String = usual
        .into_iter()
        .chain([failures])
        .filter(|(usual, given, _)| usual != given)
        .map(|(_, given, option)| format!(" --{option} {given}"))
        .collect();
    let profile = profile.map(|it| format!(" --profile {it}"));
    let corrupt = which.corrupt.map(|it| format!(" --corrupt {it}"));
    let (profile, corrupt) = (profile.unwrap_or_default(), corrupt.unwrap_or_default());
    let covered = if options.until_covered {
        " --until-covered"
    } else {
        ""
    };
    let world = told::world(which.world);
    format!("cargo sim swarm{world}{count} --from {from}{profile}{corrupt}{covered}{how}")
}

/// Runs a swarm, for so long at most, and says how far it is where people look on.
fn watched(swarm: &Swarm, time: Option<Duration>) -> Tally {
    let watch = Watch::default();
    let begin = now();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| swarm.run_watched(&watch));
        let looked_at = std::io::stderr().is_terminal();
        while !run.is_finished() {
            std::thread::park_timeout(if time.is_some() || looked_at {
                TOLD_EVERY
            } else {
                Duration::from_millis(20)
            });
            let past = begin.elapsed();
            if time.is_some_and(|time| past >= time) {
                watch.stop.store(true, Ordering::Relaxed);
            }
            if looked_at {
                let seeds = watch.seeds.load(Ordering::Relaxed);
                let rate = per_second(seeds, past.as_secs_f64());
                let profile = swarm.profile;
                eprint!("\r{profile}: {seeds} seeds, {rate:.1} seeds/s ");
                let _ = std::io::stderr().flush();
            }
        }
        if looked_at {
            eprint!("\r\x1b[K");
        }
        run.join().expect("a swarm that catches panics")
    })
}

/// Tells and writes down what failed; the worst exit code.
fn failures(tally: &Tally, which: &Which) -> Result<u8, String> {
    let mut worst = 0;
    for failure in &tally.failures {
        let (case, broken) = (&failure.case, &failure.broken);
        let path = told::write_repro(&which.repros, case, broken)?;
        println!(
            "FAILED seed {}: {broken}\n  again: {}\n  {}",
            case.seed,
            told::again(case),
            path.display()
        );
        worst = worse(worst, broken.ending.code());
    }
    Ok(worst)
}

/// Of two exit codes the one that says more: a broken safety promise, then a panic, a run that differed,
/// and something good that did not happen.
fn worse(one: u8, other: u8) -> u8 {
    let endings = [
        Ending::Liveness,
        Ending::Differed,
        Ending::Panic,
        Ending::Safety,
    ];
    let rank = |code| endings.iter().position(|ending| ending.code() == code);
    if rank(other) > rank(one) { other } else { one }
}

fn sum(tally: &Tally, seconds: f64) -> String {
    let given_up = match given_up(&tally.probe) {
        0 => String::new(),
        count => format!(", {count} unjudged"),
    };
    format!(
        "{} seeds ({} twice), {} failed{given_up}, {} events, {} questions, {} commits, {:.1} seeds/s, {:.0} \
         simulated s/s",
        tally.seeds,
        tally.compared,
        tally.failures.len(),
        tally.events,
        tally.asked,
        tally.commits,
        per_second(tally.seeds, seconds),
        told::seconds(tally.simulated) / seconds,
    )
}

fn of_swarm(which: &Which, tally: &Tally, missing: &[&str], seconds: f64) -> serde_json::Value {
    let endings = |name: &str| {
        let failures = tally.failures.iter();
        failures
            .filter(|it| it.broken.ending.name() == name)
            .count()
    };
    json!({
        "world": which.world.name(),
        "seeds": tally.seeds,
        "compared": tally.compared,
        "failed": tally.failures.len(),
        "safety": endings("safety"),
        "liveness": endings("liveness"),
        "differed": endings("differed"),
        "panic": endings("panic"),
        "events": tally.events,
        "questions": tally.asked,
        "commits": tally.commits,
        "given_up": given_up(&tally.probe),
        "sites": tally.probe.counts().count(),
        "sites_missing": missing,
        "failures": tally.failures.iter().map(|failure| json!({
            "seed": failure.case.seed,
            "profile": failure.case.profile.to_string(),
            "ending": failure.broken.ending.name(),
            "oracle": failure.broken.oracle,
            "what": failure.broken.what,
            "repro": told::repro_path(&which.repros, &failure.case).display().to_string(),
        })).collect::<Vec<_>>(),
        "simulated_s": told::seconds(tally.simulated),
        "seconds": seconds,
        "seeds_per_s": per_second(tally.seeds, seconds),
        "simulated_per_s": told::seconds(tally.simulated) / seconds.max(0.001),
    })
}

/// Whether so many histories went without a verdict that what passed says too little.
fn is_unjudged(given_up: u64, seeds: u64) -> bool {
    given_up > 1 + seeds / GIVEN_UP_ONE_IN
}

#[cfg(test)]
mod tests {
    use super::{is_unjudged, worse};

    #[test]
    fn a_broken_safety_promise_is_not_hidden_by_another_end() {
        for other in [0, 11, 12, 13] {
            assert_eq!((worse(10, other), worse(other, 10)), (10, 10));
        }
        assert_eq!((worse(11, 13), worse(13, 0)), (13, 13));
    }

    #[test]
    fn a_swarm_in_which_many_histories_have_no_verdict_does_not_pass() {
        assert!(!is_unjudged(1, 1) && !is_unjudged(3, 100) && !is_unjudged(11, 500));
        assert!(is_unjudged(2, 1) && is_unjudged(4, 100) && is_unjudged(12, 500));
    }
}
