//! Projections under kill -9: killed again and again while events arrive, and then held against a replay
//! by a checker of its own; and what they cost beside the bare client.

mod check;
mod delay;
mod fleet;
mod options;
mod poison;
mod run;
mod sums;
mod victim;

use clap::Parser;
use options::Options;
use std::process::ExitCode;
use tenure_examples::Failure;
use tenure_examples::cli::{failed, first_paragraph};
use tenure_examples::load::runtime;

/// As in the load test.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn started(options: Options) -> Result<(), Failure> {
    options.check()?;
    let runtime = runtime(options.threads.get())?;
    match options.victim.clone() {
        Some(folder) => runtime.block_on(victim::run(options, folder)),
        None => runtime.block_on(run::run(options)),
    }
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        // `--help` is among them, and is no error.
        Err(told) if !told.use_stderr() => told.exit(),
        Err(told) => return failed(&first_paragraph(&told.to_string())),
    };
    match started(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("error: {error}")),
    }
}
