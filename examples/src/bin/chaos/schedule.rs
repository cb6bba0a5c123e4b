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
    /// What is done before the cluster has got over this one.
    pub(crate) second: Option<Second>,
}

/// A fault that meets a cluster which another one has hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Second {
    /// How long after the first one.
    pub(crate) after: Duration,
    pub(crate) fault: Fault,
    pub(crate) draw: u64,
}

/// What is asked of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) faults: &'a [Fault],
    /// For how long there is load.
    pub(crate) seconds: u64,
    /// For how long a node is stopped.
    pub(crate) stop_seconds: u64,
    /// So many faults meet another one.
    pub(crate) overlaps: u64,
}

/// The load is there for so long before the first fault.
const BEFORE_S: u64 = 2;

/// What a stopped node owned is another's before so long; the rest of its time is another fault's.
const TAKEN_OVER_S: u64 = 8;

/// A second fault comes so long after the first one at most, but while a node stands still.
const SECOND_MS: u64 = 1_500;

/// Each fault alone, in an order that is drawn; so many more as are to meet another one; and then
/// drawn ones as long as there is time. A node that stands still for long enough has time for a second
/// fault once its own was measured, and is back in the middle of it or after it.
///
/// # Errors
///
/// When there is no time for all that is asked for, or nothing that could come second.
pub(crate) fn plan(seed: u64, asked: Asked<'_>) -> Result<Vec<Planned>, String> {
    let Asked {
        seconds,
        stop_seconds,
        mut overlaps,
        ..
    } = asked;
    let mut draw = Draw::new(seed, 0, &Pick::new(1, Skew::Even));
    let mut each = asked.faults.to_vec();
    each.sort_unstable();
    each.dedup();
    // The node that a second one would stand still is a third of a small cluster.
    let seconds_of = each.iter().copied().filter(|fault| *fault != Fault::Stop);
    let seconds_of: Vec<Fault> = seconds_of.collect();
    if seconds_of.is_empty() && overlaps > 0 {
        return Err(format!(
            "--overlaps {overlaps} has no fault that could come second: name another than stop, or \
             give --overlaps 0"
        ));
    }
    let longest = seconds_of.iter().map(|fault| fault.seconds(stop_seconds));
    let longest = longest.max().unwrap_or(0);
    let all: u64 = each.iter().map(|fault| fault.seconds(stop_seconds)).sum();
    // One of them is while a node stands still anyway.
    let has_room = each.contains(&Fault::Stop) && stop_seconds > TAKEN_OVER_S;
    let pairs = overlaps.saturating_sub(u64::from(has_room));
    let needed = BEFORE_S + all + pairs.saturating_mul(2 * longest);
    if seconds < needed {
        return Err(format!(
            "--seconds {seconds} is too short for these faults: give {needed} or more, or fewer faults"
        ));
    }
    let drawn = |draw: &mut Draw, of: &[Fault]| {
        let place = usize::try_from(draw.below(of.len() as u64)).unwrap_or(0);
        of[place]
    };
    let mut left = each.clone();
    let mut planned = Vec::new();
    let mut at = BEFORE_S;
    loop {
        let alone = !left.is_empty();
        let from = match (alone, overlaps) {
            (true, _) => &left,
            (false, 0) => &each,
            (false, _) => &seconds_of,
        };
        let fault = drawn(&mut draw, from);
        let fault_draw = draw.below(u64::MAX);
        let mut takes = fault.seconds(stop_seconds);
        let while_stopped = fault == Fault::Stop && stop_seconds > TAKEN_OVER_S;
        let mut second = None;
        if overlaps > 0 && (while_stopped || !alone) {
            let after_ms = if while_stopped {
                1_000 * TAKEN_OVER_S + draw.below(1_000 * (stop_seconds - TAKEN_OVER_S))
            } else {
                draw.below(SECOND_MS)
            };
            let of_second = drawn(&mut draw, &seconds_of);
            if !while_stopped {
                takes += of_second.seconds(stop_seconds);
            }
            second = Some(Second {
                after: Duration::from_millis(after_ms),
                fault: of_second,
                draw: draw.below(u64::MAX),
            });
        }
        if at + takes > seconds {
            return Ok(planned);
        }
        left.retain(|other| *other != fault);
        overlaps -= u64::from(second.is_some());
        planned.push(Planned {
            at: Duration::from_secs(at),
            fault,
            draw: fault_draw,
            second,
        });
        at += takes;
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Fault, plan};
    use clap::ValueEnum as _;

    const ALL: Asked<'static> = Asked {
        faults: &[
            Fault::Kill,
            Fault::Stop,
            Fault::Drain,
            Fault::Join,
            Fault::Nats,
        ],
        seconds: 60,
        stop_seconds: 20,
        overlaps: 1,
    };

    #[test]
    fn each_fault_has_its_time_and_one_meets_another() {
        let faults = Fault::value_variants();
        assert_eq!(ALL.faults.len(), faults.len());
        for seed in 0..50 {
            let planned = plan(seed, ALL).unwrap();
            for fault in faults {
                assert!(
                    planned.iter().any(|one| one.fault == *fault),
                    "{seed}: {planned:?}"
                );
            }
            assert!(planned.windows(2).all(|two| two[0].at < two[1].at));
            let met = planned.iter().filter(|one| one.second.is_some());
            assert_eq!(met.count(), 1, "{seed}: {planned:?}");
            assert_eq!(planned, plan(seed, ALL).unwrap());
        }
        let orders = (0..50).map(|seed| plan(seed, ALL).unwrap()[0].fault);
        assert!(orders.collect::<std::collections::BTreeSet<_>>().len() > 1);
    }

    #[test]
    fn a_longer_run_has_more_of_them() {
        let two = Asked {
            faults: &[Fault::Kill, Fault::Drain],
            seconds: 100,
            overlaps: 2,
            ..ALL
        };
        let planned = plan(1, two).unwrap();
        assert!(planned.len() > 8, "{planned:?}");
        let alone: Vec<_> = planned.iter().map(|one| one.second.is_none()).collect();
        assert_eq!(alone[..5], [true, true, false, false, true], "{planned:?}");
        let short = plan(
            1,
            Asked {
                seconds: 10,
                overlaps: 0,
                ..two
            },
        );
        let short = short.unwrap_err();
        assert!(short.contains("give 14 or more"), "{short}");
        // Two pairs of kills at most beside.
        let short = plan(1, Asked { seconds: 41, ..two }).unwrap_err();
        assert!(short.contains("give 42 or more"), "{short}");
        plan(1, Asked { seconds: 42, ..two }).unwrap();
    }

    #[test]
    fn a_stop_alone_cannot_meet_another() {
        let stops = Asked {
            faults: &[Fault::Stop],
            ..ALL
        };
        assert!(plan(1, stops).unwrap_err().contains("--overlaps 0"));
        let alone = Asked {
            overlaps: 0,
            ..stops
        };
        assert_eq!(plan(1, alone).unwrap().len(), 2);
    }
}
