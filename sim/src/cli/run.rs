//! One seed.

use super::options::Run;
use super::told;
use tenure_sim::coverage::given_up;
use tenure_sim::{Broken, Case, Report};

/// Runs it, twice when nothing is printed on the way.
pub(super) fn run(options: &Run) -> Result<u8, String> {
    let Run {
        seed,
        profile,
        trace,
        which,
    } = options;
    let case = Case {
        world: which.world,
        corruption: which.corrupt,
        ..Case::new(*seed, *profile)
    };
    println!("{}", told::again(&case));
    told::check(which, Some(*profile))?;
    if *trace {
        let report = case.run_printing();
        if which.json {
            // What is printed is not kept: the hash is of the same run again.
            told::json_of(&case, &case.run_traced());
        }
        return ended(&case, report.broken().as_ref(), &which.repros);
    }
    println!("{}", case.plan());
    match case.run_twice() {
        Ok(report) => {
            told(&case, &report, which.json);
            ended(&case, report.broken().as_ref(), &which.repros)
        }
        Err(broken) => {
            if which.json {
                told::json_of_two(&case, &broken);
            }
            ended(&case, Some(&broken), &which.repros)
        }
    }
}

fn told(case: &Case, report: &Report, json: bool) {
    told::sites(&report.probe);
    let faults = report.deviations.keys().filter(|it| it.is_fault_or_time());
    println!(
        "{} events, {} questions, {} commits, {} faults and windows of free dice",
        report.events,
        report.asked,
        report.commits,
        faults.count()
    );
    if given_up(&report.probe) > 0 {
        println!("UNJUDGED: its history has too many orders to look at");
    }
    if json {
        told::json_of(case, report);
    }
}

/// The exit code; a run that failed is written down.
pub(super) fn ended(
    case: &Case,
    broken: Option<&Broken>,
    repros: &std::path::Path,
) -> Result<u8, String> {
    let Some(broken) = broken else {
        return Ok(0);
    };
    let path = told::write_repro(repros, case, broken)?;
    // The last line is JSON where that was asked for.
    eprintln!("FAILED {broken}\n{}", path.display());
    Ok(broken.ending.code())
}
