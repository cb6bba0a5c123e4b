//! Counters over HTTP that a cluster of nodes keeps, in one process or in several.

mod compare;
mod figures;
mod gather;
mod http;
mod metrics;
mod nodes;
mod options;
mod processes;
mod run;

use clap::Parser;
use options::Options;
use std::process::ExitCode;
use tenure_examples::Failure;
use tenure_examples::cli::{failed, first_paragraph};
use tenure_examples::load::runtime;
use tracing_subscriber::EnvFilter;

/// Requests and answers are many small values, which the platform's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn started(options: Options) -> Result<(), Failure> {
    options.check()?;
    let runtime = runtime(options.threads.get())?;
    let ended = if options.compare {
        runtime.block_on(compare::run(&options, options.comparison))
    } else {
        runtime.block_on(run::run(options))
    };
    // A read of standard input has a thread of its own, which only its end would end.
    runtime.shutdown_background();
    ended
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        // `--help` is among them, and is no error.
        Err(told) if !told.use_stderr() => told.exit(),
        Err(told) => return failed(&first_paragraph(&told.to_string())),
    };
    let warnings = EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::WARN.into());
    tracing_subscriber::fmt()
        .with_env_filter(warnings.from_env_lossy())
        .with_writer(std::io::stderr)
        .init();
    match started(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("error: {error}")),
    }
}
