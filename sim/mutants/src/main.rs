//! The tests' own test (T7): plants all mutants of `sim/mutants/list` in one copy of this workspace,
//! builds it once, and runs for each what has to find it. The mutant is chosen when a test starts, by a
//! variable of the environment; this workspace's own sources know nothing of it.

mod list;
mod plant;
mod run;
mod sim;

use clap::Parser;
use list::Mutant;
use run::{Fate, Lab};
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
    /// Only those that the simulator has to find: how many seeds that takes, and to how few deviations
    /// the run comes down
    #[arg(long)]
    sim: bool,
    /// With --sim: at most so many seeds of each profile
    #[arg(long, default_value_t = 500, requires = "sim")]
    seeds: u32,
    /// With --sim: print one line of JSON at the end
    #[arg(long, requires = "sim")]
    json: bool,
    /// Where the copy is made and built; by default beside what cargo builds here
    #[arg(long)]
    lab: Option<PathBuf>,
}

/// Whether none was left.
fn hunted(options: &Options) -> Result<bool, String> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let all = list::all(&here.join("list"))?;
    let hunted = |mutant: &&Mutant| mutant.name.starts_with(&options.only);
    let mutants: Vec<&Mutant> = all.iter().filter(hunted).collect();
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
    // All are planted whichever are hunted, so that the copy is built once.
    let mut lab = Lab::prepare(&root, options.lab.clone(), &all)?;
    if options.sim {
        let of_sim = |mutant: &&&Mutant| mutant.is_for_the_simulator();
        let mutants: Vec<&Mutant> = mutants.iter().filter(of_sim).copied().collect();
        let canary = all.iter().find(|mutant| mutant.name == sim::CANARY);
        let canary = canary.ok_or_else(|| format!("the list lacks {}", sim::CANARY))?;
        return sim::hunt(&lab, canary, &mutants, options.seeds, options.json);
    }
    let mut left = 0;
    for &mutant in &mutants {
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
