//! How fast the simulator is, beside a bare event loop in the same run.

use super::options::Bench;
use super::told::{self, now};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::time::Duration;
use tenure_sim::Case;

/// Both take turns of so many seeds, or as long.
const SEEDS_A_TURN: u64 = 4;

/// How many events wait in the bare loop, as in a small cluster of the pure world.
const WAITING: u64 = 256;

/// What one side came to.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    events: u64,
    seconds: f64,
}

impl Sum {
    #[allow(
        clippy::cast_precision_loss,
        reason = "a rate is rounded for people anyway"
    )]
    fn per_second(self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// Measures both, in turns.
pub(super) fn run(options: &Bench) -> Result<u8, String> {
    let Bench {
        seeds,
        profile,
        json,
    } = options;
    println!("cargo sim bench --seeds {seeds} --profile {profile}");
    let (mut ours, mut bare) = (Sum::default(), Sum::default());
    let mut simulated = 0;
    let mut seed = 0;
    while seed < *seeds {
        let begin = now();
        let turn = SEEDS_A_TURN.min(seeds - seed);
        for one in seed..seed + turn {
            let report = Case::new(one, *profile).run();
            if let Some(broken) = report.broken() {
                eprintln!("FAILED seed {one} of {profile}: {broken}");
                return Ok(broken.ending.code());
            }
            ours.events += report.events;
            simulated += report.ended;
        }
        let length = begin.elapsed();
        ours.seconds += length.as_secs_f64();
        seed += turn;
        let began = now();
        bare.events += bare_loop(length);
        bare.seconds += began.elapsed().as_secs_f64();
    }
    let hours = told::seconds(simulated) / ours.seconds;
    let ratio = ours.per_second() / bare.per_second();
    println!(
        "{:.0} events/s and {hours:.0} simulated hours in an hour; a bare event loop {:.0} events/s; \
         ratio {ratio:.3}",
        ours.per_second(),
        bare.per_second()
    );
    if *json {
        println!(
            "{}",
            json!({
                "world": "pure",
                "profile": profile.to_string(),
                "seeds": seeds,
                "events": ours.events,
                "steps_per_s": ours.per_second(),
                "raw_steps_per_s": bare.per_second(),
                "ratio": ratio,
                "sim_hours_per_wall_hour": hours,
            })
        );
    }
    Ok(0)
}

/// What happens next in a bare loop: nothing but that another event is due some time later.
struct Event {
    state: u64,
}

/// Pops the earliest event and pushes the one that it leads to, for so long; how many there were.
fn bare_loop(length: Duration) -> u64 {
    let mut queue = BinaryHeap::new();
    let mut events: u64 = 0;
    for n in 0..WAITING {
        queue.push(Reverse((n, n, n)));
    }
    let mut ordinal = WAITING;
    let begin = now();
    while begin.elapsed() < length {
        for _ in 0..4_096 {
            let Some(Reverse((at, _, state))) = queue.pop() else {
                return events;
            };
            let mut event = Box::new(Event { state });
            // A linear congruential generator (Knuth, MMIX).
            event.state = event
                .state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ordinal += 1;
            let event = black_box(event);
            queue.push(Reverse((at + (event.state >> 44), ordinal, event.state)));
            events += 1;
        }
    }
    events
}
