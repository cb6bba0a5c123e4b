//! The tests' own test (T7): plants all mutants of `sim/mutants/list` in one copy of this workspace,
//! builds it once, and runs for each what has to find it. The mutant is chosen when a test starts, by a
//! variable of the environment; this workspace's own sources know nothing of it.

mod list;
mod plant;
mod run;

use clap::Parser;
use list::{Killer, Mutant};
use run::{Fate, Lab};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

/// Plants mistakes in a copy of the machines, and sees to it that the proof's layers find each.
#[derive(Clone, Debug, Parser)]
#[command(name = "mutants")]
struct Options {
    /// Only mutants whose name begins so, such as `route:`
    #[arg(long, default_value = "")]
    only: String,
    /// Name them, and run nothing
    #[arg(long)]
    list: bool,
    /// Where the copy is made and built; by default beside what cargo builds here
    #[arg(long)]
    lab: Option<PathBuf>,
}

/// Whether none was left.
fn hunted(options: &Options) -> Result<bool, String> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut mutants = list::all(&here.join("list"))?;
    mutants.retain(|mutant| mutant.name.starts_with(&options.only));
    if mutants.is_empty() {
        let only = &options.only;
        return Err(format!(
            "--only {only:?} leaves no mutant; --list names them"
        ));
    }
    if options.list {
        for Mutant { name, says, .. } in &mutants {
            println!("{name}: {says}");
        }
        return Ok(true);
    }
    let root = here.join("../..");
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    let lab = Lab::prepare(&root, options.lab.clone(), &mutants)?;
    let killers: BTreeSet<Killer> = mutants
        .iter()
        .flat_map(|mutant| mutant.killers.iter().cloned())
        .collect();
    for killer in &killers {
        lab.must_hold(killer)?;
    }
    let mut left = 0;
    for mutant in &mutants {
        let name = &mutant.name;
        match lab.hunt(mutant)? {
            Fate::Found { by, seconds } => println!("{name}: found by {by} in {seconds} s"),
            Fate::Left => {
                left += 1;
                println!("{name}: LEFT, {}", mutant.says);
            }
        }
    }
    println!("{} mutants, {left} left", mutants.len());
    Ok(left == 0)
}

fn main() -> ExitCode {
    match hunted(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
