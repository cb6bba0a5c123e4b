//! One seed.

use super::options::Run;
use super::told;
use tenure_sim::{Broken, Case, Report, trace_hash};

/// Runs it, twice when nothing is printed on the way.
pub(super) fn run(options: &Run) -> Result<u8, String> {
    let Run {
        seed,
        profile,
        trace,
        which,
    } = options;
    let corrupt = which.corrupt.map(|it| format!(" --corrupt {it}"));
    let corrupt = corrupt.unwrap_or_default();
    let world = told::world(which);
    println!("cargo sim run{world} --seed {seed} --profile {profile}{corrupt}");
    told::check(which, Some(*profile))?;
    let case = Case {
        world: which.world(),
        corruption: which.corrupt,
        ..Case::new(*seed, *profile)
    };
    if *trace {
        let report = case.run_printing();
        return ended(&case, report.broken().as_ref(), &which.repros);
    }
    println!("{}", case.plan());
    match case.run_twice() {
        Ok(report) => {
            told(&case, &report, which.json);
            ended(&case, report.broken().as_ref(), &which.repros)
        }
        Err(broken) => ended(&case, Some(&broken), &which.repros),
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
    if json {
        println!(
            "{}",
            told::of_run(case, trace_hash(case, &report.story.lines), report)
        );
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
