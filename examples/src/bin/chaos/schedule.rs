//! What is done to the cluster, and when: drawn from a seed.

use clap::ValueEnum;
use std::time::Duration;
use tenure_examples::load::{Draw, Pick, Skew};

/// What is done to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Fault {
    /// A node is killed (SIGKILL) and started again under its name
    Kill,
    /// A node is stopped (SIGSTOP) for longer than its lease, and goes on
    Stop,
    /// A node is asked to end (SIGTERM), hands over, and is started again
    Drain,
    /// A node joins that was not there
    Join,
    /// The nats-server is killed and started again on its store
    Nats,
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Drain => "drain",
            Self::Join => "join",
            Self::Nats => "nats",
        }
    }

    /// How much of a run it takes, with the quiet after it.
    fn seconds(self, stop_seconds: u64) -> u64 {
        match self {
            Self::Kill | Self::Nats => 7,
            Self::Drain | Self::Join => 5,
            Self::Stop => stop_seconds + 8,
        }
    }
}

/// A fault that will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// When it begins at the earliest, since the load began.
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
    /// Draws its victim, among those that run then.
    pub(crate) draw: u64,
}

/// The load is there for so long before the first fault.
const BEFORE_S: u64 = 2;

/// Each fault once, in an order that is drawn, and then drawn ones as long as there is time.
///
/// # Errors
///
/// When there is no time for each.
pub(crate) fn plan(
    seed: u64,
    faults: &[Fault],
    seconds: u64,
    stop_seconds: u64,
) -> Result<Vec<Planned>, String> {
    let mut each = faults.to_vec();
    each.sort_unstable();
    each.dedup();
    let all: u64 = each.iter().map(|fault| fault.seconds(stop_seconds)).sum();
    let needed = BEFORE_S + all;
    if seconds < needed {
        return Err(format!(
            "--seconds {seconds} is too short for these faults: give {needed} or more, or fewer faults"
        ));
    }
    let mut draw = Draw::new(seed, 0, &Pick::new(1, Skew::Even));
    let mut left = each.clone();
    let mut planned = Vec::new();
    let mut at = BEFORE_S;
    loop {
        let from = if left.is_empty() { &each } else { &left };
        let place = usize::try_from(draw.below(from.len() as u64)).unwrap_or(0);
        let fault = from[place];
        let takes = fault.seconds(stop_seconds);
        if at + takes > seconds {
            return Ok(planned);
        }
        left.retain(|other| *other != fault);
        planned.push(Planned {
            at: Duration::from_secs(at),
            fault,
            draw: draw.below(u64::MAX),
        });
        at += takes;
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, plan};
    use clap::ValueEnum as _;

    #[test]
    fn each_fault_has_its_time() {
        let faults = Fault::value_variants();
        for seed in 0..50 {
            let planned = plan(seed, faults, 60, 20).unwrap();
            for fault in faults {
                assert!(
                    planned.iter().any(|one| one.fault == *fault),
                    "{seed}: {planned:?}"
                );
            }
            assert!(planned.windows(2).all(|two| two[0].at < two[1].at));
            assert_eq!(planned, plan(seed, faults, 60, 20).unwrap());
        }
        let orders = (0..50).map(|seed| plan(seed, faults, 60, 20).unwrap()[0].fault);
        assert!(orders.collect::<std::collections::BTreeSet<_>>().len() > 1);
    }

    #[test]
    fn a_longer_run_has_more_of_them() {
        let planned = plan(1, &[Fault::Kill, Fault::Drain], 100, 20).unwrap();
        assert!(planned.len() > 10, "{planned:?}");
        let short = plan(1, &[Fault::Kill, Fault::Drain], 10, 20).unwrap_err();
        assert!(short.contains("give 14 or more"), "{short}");
    }
}
