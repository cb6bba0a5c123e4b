//! The flights of a node fed once more to its machines.

use super::options::Replay;
use super::told::seconds;
use super::{NOT_THE_SAME, quietly};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tenure_core::driver::{Flight, Rerun, RerunStep, StepOutcome};

/// Whether a file says of itself that it is a flight.
pub(super) fn is_flight(bytes: &[u8]) -> bool {
    bytes.starts_with(b"tenurefl")
}

pub(super) fn read(path: &Path) -> Result<Flight, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Flight::from_bytes(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// What came of a flight.
#[derive(Default)]
struct Tally {
    same: usize,
    told: usize,
    began: usize,
    /// The machines of which inputs were told only.
    unfed: BTreeSet<String>,
    differs: Option<(usize, RerunStep)>,
}

/// Feeds one.
pub(super) fn run(options: &Replay) -> Result<u8, String> {
    let Replay {
        file,
        until,
        trace,
        json,
    } = options;
    let last = until.map(|number| format!(" --until {number}"));
    println!(
        "cargo sim replay {}{}",
        file.display(),
        last.unwrap_or_default()
    );
    let flight = read(file)?;
    println!(
        "node {} of {}, build {}: {}",
        flight.node, flight.namespace, flight.build, flight.fault
    );
    // A step that panics is part of what is told.
    let tally = quietly(|| fed(&flight, *until, *trace));
    for machine in &tally.unfed {
        println!(
            "{machine}: told until it begins in the flight; what was before is gone from the ring"
        );
    }
    if let Some((lane, step)) = &tally.differs {
        print!("{}", difference(*lane, step));
    } else if tally.same == 0 && until.is_some() {
        println!("nothing was fed up to there");
    } else if tally.same == 0 {
        println!("nothing could be fed: no machine begins in this flight");
    } else {
        println!(
            "the same: {} steps of machines that begin in it",
            tally.same
        );
    }
    if *json {
        println!("{}", of_tally(&flight, &tally));
    }
    Ok(tally.differs.map_or(0, |_| NOT_THE_SAME))
}

fn fed(flight: &Flight, until: Option<u64>, trace: bool) -> Tally {
    let mut tally = Tally::default();
    for lane in &flight.lanes {
        for step in Rerun::new(lane) {
            if until.is_some_and(|until| step.number > until) {
                break;
            }
            if trace {
                println!("{}", line(lane.lane, &step));
            }
            match &step.outcome {
                StepOutcome::Told { .. } => {
                    tally.told += 1;
                    tally.unfed.insert(step.machine.clone());
                }
                StepOutcome::Began | StepOutcome::Met => tally.began += 1,
                StepOutcome::Same { .. } | StepOutcome::Panicked { same: true, .. } => {
                    tally.same += 1
                }
                StepOutcome::Other { .. }
                | StepOutcome::Became { .. }
                | StepOutcome::Panicked { same: false, .. } => {
                    tally.differs.get_or_insert((lane.lane, step));
                }
            }
        }
    }
    tally
}

/// One step in a line, what it led to below.
fn line(lane: usize, step: &RerunStep) -> String {
    let RerunStep {
        number,
        now,
        machine,
        input,
        outcome,
    } = step;
    let at = seconds(now.as_nanos());
    let mut text = format!("{at:12.6} lane {lane} #{number:<6} {machine} {input}");
    match outcome {
        StepOutcome::Told { effects } => {
            text.push_str("\n                      told only: ");
            text.push_str(&effects.join(", "));
        }
        StepOutcome::Same { effects } => {
            for effect in effects {
                text.push_str("\n                      -> ");
                text.push_str(effect);
            }
        }
        StepOutcome::Began | StepOutcome::Met => {}
        StepOutcome::Other { .. } | StepOutcome::Became { .. } | StepOutcome::Panicked { .. } => {
            text.push_str(&format!("\n                      {outcome:?}"));
        }
    }
    text
}

/// The first difference, at length.
fn difference(lane: usize, step: &RerunStep) -> String {
    let RerunStep {
        number,
        now,
        machine,
        input,
        outcome,
    } = step;
    let at = seconds(now.as_nanos());
    let mut text = format!(
        "another: {machine} in lane {lane} at input {number}, {at:.6} s after the node's start\n  input    {input}\n"
    );
    match outcome {
        StepOutcome::Other {
            first,
            recorded,
            effects,
        } => {
            match recorded {
                Some(recorded) => {
                    text.push_str(&format!("  then     {}\n", listed(recorded)));
                    text.push_str(&format!(
                        "  the first that differs is number {}\n",
                        first + 1
                    ));
                }
                None => text.push_str("  then     the step did not end\n"),
            }
            for (n, effect) in effects.iter().enumerate() {
                text.push_str(&format!("  now {:>4} {effect}\n", n + 1));
            }
            if effects.is_empty() {
                text.push_str("  now      nothing\n");
            }
        }
        StepOutcome::Became { was, is } => {
            text.push_str(&format!("  its state was  {was}\n  and now it is  {is}\n"));
        }
        StepOutcome::Panicked { text: said, .. } => {
            text.push_str(&format!("  now      it panics: {said}\n"));
        }
        StepOutcome::Told { .. }
        | StepOutcome::Began
        | StepOutcome::Met
        | StepOutcome::Same { .. } => unreachable!("a step that differs"),
    }
    text
}

fn listed(effects: &[String]) -> String {
    match effects.is_empty() {
        true => "nothing".to_owned(),
        false => effects.join(", "),
    }
}

fn of_tally(flight: &Flight, tally: &Tally) -> Value {
    let differs = tally.differs.as_ref().map(|(lane, step)| {
        json!({
            "lane": lane,
            "number": step.number,
            "machine": step.machine,
            "at_s": seconds(step.now.as_nanos()),
            "input": step.input,
            "outcome": format!("{:?}", step.outcome),
        })
    });
    json!({
        "node": flight.node,
        "namespace": flight.namespace,
        "build": flight.build,
        "fault": flight.fault.to_string(),
        "same": tally.same,
        "told": tally.told,
        "beginnings": tally.began,
        "machines_told": tally.unfed,
        "differs": differs,
    })
}
