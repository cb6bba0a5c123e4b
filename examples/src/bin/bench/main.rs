//! What a request to a counter of a cluster costs, beside one NATS message per request by the bare
//! client.

mod options;
mod ours;
mod raw;
mod report;
mod run;

use clap::Parser;
use options::Options;
use std::process::ExitCode;
use tenure_examples::Failure;
use tenure_examples::cli::{failed, first_paragraph};
use tenure_examples::load::{drawn_seed, runtime};

/// Of both sides, as in the load test.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn started(options: Options) -> Result<(), Failure> {
    options.check()?;
    let seed = options.seed.unwrap_or_else(drawn_seed);
    runtime(options.threads().get())?.block_on(run::run(options, seed))
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
