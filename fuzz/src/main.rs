//! Fuzzing on any toolchain: each target plays the inputs that are kept, then others made of them, for
//! as long as it may. What fails is made smaller and kept; coverage guides nothing here.
#![allow(
    clippy::disallowed_methods,
    reason = "how long it plays, and the seed of whoever gives none, are the host's"
)]

use clap::Parser;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};
use tenure_fuzz::smaller::smaller;
use tenure_fuzz::vary::{Numbers, varied};
use tenure_fuzz::{TARGETS, Target};

/// How many inputs are played to make one that fails smaller.
const PLAYS_MAX: usize = 500;

/// A promise was broken.
const BROKEN: u8 = 10;
/// The command line is wrong, or an input cannot be played.
const USAGE: u8 = 2;

/// Plays inputs to the machines and the decoders, and looks for one that breaks a promise
#[derive(Debug, Parser)]
#[command(name = "tenure-fuzz", version)]
struct Arguments {
    /// Which targets; all by default
    #[arg(value_parser = known)]
    targets: Vec<&'static Target>,
    /// For how long each, in seconds, after the inputs that are kept
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// At most so many inputs each
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    inputs: u64,
    /// What the inputs are drawn from; another one each time by default
    #[arg(long)]
    seed: Option<u64>,
    /// Plays this file alone, to the one target that is named
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "inputs", "seconds"])]
    input: Option<PathBuf>,
}

fn known(name: &str) -> Result<&'static Target, String> {
    Target::named(name).ok_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        format!("there are {}", names.join(", "))
    })
}

/// Why it ended early.
#[derive(Debug)]
enum Ended {
    Broken,
    Usage(String),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended::Broken) => ExitCode::from(BROKEN),
        Err(Ended::Usage(problem)) => {
            eprintln!("{problem}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Ended> {
    if let Some(file) = &arguments.input {
        let [target] = arguments.targets[..] else {
            return Err(Ended::Usage(
                "an input is played to one target: name it".into(),
            ));
        };
        let input =
            fs::read(file).map_err(|error| Ended::Usage(format!("{}: {error}", file.display())))?;
        return match panic::catch_unwind(|| target.play(&input)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Ended::Usage(format!("{}: {error}", file.display()))),
            Err(_) => {
                println!("{} fails: {}", target.name, file.display());
                Err(Ended::Broken)
            }
        };
    }
    let seed = arguments.seed.unwrap_or_else(now);
    println!("seed {seed}");
    let all: Vec<&Target> = TARGETS.iter().collect();
    let targets = match &arguments.targets[..] {
        [] => &all,
        some => some,
    };
    for target in targets {
        fuzz(target, arguments, seed)?;
    }
    Ok(())
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |time| time.as_secs())
}

/// Plays what is kept, then what is drawn.
fn fuzz(target: &Target, arguments: &Arguments, seed: u64) -> Result<(), Ended> {
    let mut known = Vec::new();
    for (file, input) in
        kept(target).map_err(|error| Ended::Usage(format!("{}: {error}", target.name)))?
    {
        match panic::catch_unwind(|| target.play(&input)) {
            Ok(Ok(())) => known.push(input[1..].to_vec()),
            Ok(Err(error)) => return Err(Ended::Usage(format!("{}: {error}", file.display()))),
            Err(_) => {
                println!("{} fails: {}", target.name, file.display());
                return Err(Ended::Broken);
            }
        }
    }
    let mut numbers = Numbers::new(seed);
    let (begun, mut played) = (Instant::now(), 0);
    while played < arguments.inputs && begun.elapsed() < Duration::from_secs(arguments.seconds) {
        let bytes = varied(&mut numbers, &known, target.bytes);
        let play = || target.play(&target.input(&bytes));
        if panic::catch_unwind(AssertUnwindSafe(play)).is_err() {
            return Err(broken(target, &bytes));
        }
        played += 1;
    }
    let per_s = played as f64 / begun.elapsed().as_secs_f64().max(1e-9);
    println!(
        "{:<10} {} kept, {played} drawn, {per_s:.0} inputs/s",
        target.name,
        known.len()
    );
    Ok(())
}

/// The inputs that are kept, by their names.
fn kept(target: &Target) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(target.corpus())? {
        let path = entry?.path();
        let input = fs::read(&path)?;
        files.push((path, input));
    }
    files.sort();
    Ok(files)
}

/// Makes an input smaller that failed, and keeps it.
fn broken(target: &Target, bytes: &[u8]) -> Ended {
    println!(
        "{} fails; a smaller input that fails as well is looked for",
        target.name
    );
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let fails = |bytes: &[u8]| panic::catch_unwind(|| target.play(&target.input(bytes))).is_err();
    let least = smaller(bytes, PLAYS_MAX, fails);
    panic::set_hook(hook);
    let folder = target.artifacts();
    let file = folder.join(format!("{}-bytes-{:08x}", least.len(), checksum(&least)));
    if let Err(error) =
        fs::create_dir_all(&folder).and_then(|()| fs::write(&file, target.input(&least)))
    {
        return Ended::Usage(format!("{}: {error}", file.display()));
    }
    println!(
        "{} bytes of {}. Again:\n  cargo run --manifest-path fuzz/Cargo.toml -- {} --input {}",
        least.len(),
        bytes.len(),
        target.name,
        file.display()
    );
    Ended::Broken
}

/// A name for some bytes (FNV-1a).
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
