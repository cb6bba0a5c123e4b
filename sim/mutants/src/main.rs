//! The tests' own test (T7): plants all mutants of `sim/mutants/list` in one copy of this workspace,
//! builds it once, and runs for each what has to find it. The mutant is chosen when a test starts, by a
//! variable of the environment; this workspace's own sources know nothing of it.

mod hunt;
mod list;
mod plant;
mod run;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use hunt::Hunt;
use list::{Mutant, is_apart};
use run::{Fate, Lab};
use std::path::PathBuf;
use std::process::ExitCode;

/// The worlds of the simulator.
const WORLDS: [&str; 4] = ["pure", "driver", "madsim", "nats"];

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
    /// With --sim: only those that this world has to find. Without it none of those whose runs are processes of
    /// their own
    #[arg(long, requires = "sim", value_parser = PossibleValuesParser::new(WORLDS))]
    world: Option<String>,
    /// With --sim: a mutant has to be found in so many seeds, whatever their profiles
    #[arg(long, default_value_t = 500, requires = "sim")]
    seeds: u32,
    /// With --sim: how many simulators run side by side
    #[arg(long, default_value_t = 2, requires = "sim")]
    jobs: usize,
    /// Those that nothing has found yet, which are kept apart
    #[arg(long)]
    open: bool,
    /// With --sim: go on where an earlier hunt with the same build was stopped
    #[arg(long, requires = "sim")]
    resume: bool,
    /// With --sim: write what was found into the table of mutants in this file, such as DESIGN.md
    #[arg(long, requires = "sim", value_name = "FILE")]
    table: Option<PathBuf>,
    /// With --sim: half of the runs have to come down to so few deviations, or the exit code is 15
    #[arg(long, requires = "sim", value_name = "NUMBER")]
    deviations_max: Option<u64>,
    /// With --sim: print one line of JSON at the end
    #[arg(long, requires = "sim")]
    json: bool,
    /// Where the copy is made and built; by default beside what cargo builds here
    #[arg(long)]
    lab: Option<PathBuf>,
}

/// The exit code.
fn hunted(options: &Options) -> Result<u8, String> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut all = list::all(&here.join("list"))?;
    let open = list::all(&here.join("open"))?;
    let (listed, count) = (all.len(), open.len());
    all.extend(open);
    let (first, hunted) = match options.open {
        true => (listed, count),
        false => (0, listed),
    };
    let hunted = all.iter().skip(first).take(hunted);
    let named = hunted.filter(|mutant| mutant.name.starts_with(&options.only));
    let world = options.world.as_deref();
    let mutants: Vec<&Mutant> = named
        .filter(|mutant| options.list && world.is_none() || mutant.is_of(world))
        .collect();
    if mutants.is_empty() {
        let only = &options.only;
        let of = world.map_or(String::new(), |world| format!(" of the {world} world"));
        return Err(format!(
            "--only {only:?} leaves no mutant{of}; --list names them"
        ));
    }
    if options.list {
        for Mutant { name, says, .. } in &mutants {
            println!("{name}: {says}");
        }
        return Ok(0);
    }
    let root = here.join("../..");
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    // All are planted whichever are hunted, so that the copy is built once.
    let mut lab = Lab::prepare(&root, options.lab.clone(), &all)?;
    if options.sim {
        let of_sim = |mutant: &&&Mutant| mutant.is_for_the_simulator();
        let mutants: Vec<&Mutant> = mutants.iter().filter(of_sim).copied().collect();
        let mut canaries = all.iter().filter(|mutant| mutant.is_canary());
        let canary = canaries.find(|canary| canary.is_of(world.filter(|it| is_apart(it))));
        let canary = canary.ok_or("the list lacks a canary of this world")?;
        let hunt = Hunt {
            seeds_max: options.seeds,
            jobs: options.jobs,
            resume: options.resume,
            table: options.table.clone(),
            deviations_max: options.deviations_max,
            json: options.json,
        };
        return hunt.run(&lab, canary, &mutants);
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
    Ok(u8::from(left > 0))
}

fn main() -> ExitCode {
    match hunted(&Options::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
