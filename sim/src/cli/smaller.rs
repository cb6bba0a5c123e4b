//! Failing runs made smaller, tried without parts of them, and drawn.

use super::options::{Explain, Minimize, WhatIf};
use super::{quietly, replay, told};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use tenure_sim::{
    Case, Deviation, Ending, Part, Progress, Repro, explain, explain_flight, minimize,
};

/// Makes one smaller.
pub(super) fn minimized(options: &Minimize) -> Result<u8, String> {
    let Minimize {
        file,
        out,
        runs,
        keep_questions,
        json,
    } = options;
    let (part, keep) = match keep_questions {
        true => (Part::Deviations, " --keep-questions"),
        false => (Part::All, ""),
    };
    println!("cargo sim minimize {} --runs {runs}{keep}", file.display());
    let repro = told::read_repro(file)?;
    if repro.expect.ending == Ending::Differed {
        return Err(format!(
            "{}: two runs of it differed, and it is not known over what: `{}` runs it twice again",
            file.display(),
            told::again(&repro.case)
        ));
    }
    let looked_at = std::io::stderr().is_terminal();
    let mut tell = |progress: Progress| {
        if looked_at {
            let Progress {
                runs,
                deviations,
                asks,
            } = progress;
            eprint!("\r{runs} runs, {deviations} deviations, {asks} questions left \x1b[K");
            let _ = std::io::stderr().flush();
        }
    };
    // Each run that still fails by a panic would tell of it.
    let smaller = quietly(|| minimize(&repro, part, *runs, &mut tell));
    if looked_at {
        eprintln!();
    }
    let smaller = smaller.map_err(|error| format!("{}: {error}", file.display()))?;
    let out = out.clone().unwrap_or_else(|| beside(file));
    told::write(&out, &smaller.repro.to_text())?;
    listed(&smaller.repro);
    let (progress, before) = (smaller.progress, smaller.before);
    println!("{}: {}", out.display(), smaller.repro.remarks.join("; "));
    if *json {
        println!(
            "{}",
            json!({
                "file": out.display().to_string(),
                "runs": progress.runs,
                "deviations": progress.deviations,
                "deviations_before": before.deviations,
                "questions": progress.asks,
                "questions_before": before.asks,
                "ending": smaller.repro.expect.ending.name(),
                "oracle": smaller.repro.expect.oracle,
            })
        );
    }
    Ok(0)
}

fn beside(file: &Path) -> PathBuf {
    file.with_extension("min.repro")
}

/// The deviations by number.
fn listed(repro: &Repro) {
    for (number, deviation) in list(&repro.case).iter().enumerate() {
        println!("{:>4} {deviation}", number + 1);
    }
    println!("breaks {}", repro.expect);
}

fn list(case: &Case) -> Vec<Deviation> {
    let only = case.only.iter().flatten();
    only.copied().collect()
}

/// Runs one without some of its deviations.
pub(super) fn what_if(options: &WhatIf) -> Result<u8, String> {
    let WhatIf {
        file,
        without,
        trace,
        json,
    } = options;
    let numbers: Vec<String> = without.iter().map(usize::to_string).collect();
    println!(
        "cargo sim what-if {} --without {}",
        file.display(),
        numbers.join(" ")
    );
    let mut repro = told::read_repro(file)?;
    if repro.case.only.is_none() {
        // All that happens has a number, too.
        let happened = repro.case.run().deviations;
        repro.case.only = Some(happened.into_keys().collect());
    }
    let all = list(&repro.case);
    let mut rest: BTreeSet<Deviation> = all.iter().copied().collect();
    for number in without {
        let left_out = number.checked_sub(1).and_then(|at| all.get(at));
        let Some(left_out) = left_out else {
            return Err(format!(
                "--without {number}: {} has the deviations 1 to {}",
                file.display(),
                all.len()
            ));
        };
        println!("without {left_out}");
        rest.remove(left_out);
    }
    let case = Case {
        only: Some(rest),
        ..repro.case.clone()
    };
    if *trace {
        case.run_printing();
    }
    let report = case.run_traced();
    let broken = report.broken();
    match &broken {
        None => println!("breaks nothing"),
        Some(broken) if broken.is_like(&repro.expect) => println!("still breaks {broken}"),
        Some(broken) => println!("breaks something else: {broken}"),
    }
    if *json {
        told::json_of(&case, &report);
    }
    Ok(broken.map_or(0, |broken| broken.ending.code()))
}

/// Draws one.
pub(super) fn drawn(options: &Explain) -> Result<u8, String> {
    let Explain { file, out } = options;
    let out = out.clone().unwrap_or_else(|| file.with_extension("html"));
    println!("cargo sim explain {} -o {}", file.display(), out.display());
    let folder = out.parent().filter(|it| !it.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|it| !it.is_dir()) {
        return Err(format!(
            "-o {}: there is no folder {}: make it first",
            out.display(),
            folder.display()
        ));
    }
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    if replay::is_flight(&bytes) {
        let flight = replay::read(file)?;
        // A step that panics is part of the picture.
        let page = quietly(|| explain_flight(&flight));
        told::write(&out, &page)?;
        println!("{}", flight.fault);
        return Ok(0);
    }
    let repro = told::read_repro(file)?;
    let (page, report) = explain(&repro.case);
    told::write(&out, &page)?;
    if repro.expect.ending == Ending::Differed {
        match repro.case.run_twice() {
            Ok(_) => println!("two runs of it are the same in this build"),
            Err(broken) => println!("breaks {broken}"),
        }
        return Ok(0);
    }
    match report.broken() {
        Some(broken) if broken.is_like(&repro.expect) => println!("breaks {broken}"),
        Some(broken) => println!("breaks something else in this build: {broken}"),
        None => println!("breaks nothing in this build"),
    }
    Ok(0)
}
