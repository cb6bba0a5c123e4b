//! Breaks a cluster of real processes under load, and holds what its callers were told against what
//! Tenure promises. `check` judges the history; it shares no code with this program.

mod asks;
mod bounds;
mod faults;
mod fleet;
mod history;
mod kinds;
mod load;
mod node;
mod options;
mod probe;
mod report;
mod run;
mod schedule;

use clap::Parser;
use options::{Hidden, Options};
use std::process::ExitCode;
use tenure_examples::Failure;
use tenure_examples::cli::{failed, first_paragraph};
use tenure_examples::load::{drawn_seed, runtime};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Whether all went well.
fn started(mut options: Options) -> Result<bool, Failure> {
    let Some(Hidden::Node(node)) = options.hidden.take() else {
        options.check()?;
        let json = options.json;
        let runtime = runtime(2)?;
        let seed = *options.seed.get_or_insert_with(drawn_seed);
        let report = runtime.block_on(run::run(options, seed));
        let report = report.map_err(|error| format!("{error} (--seed {seed})"))?;
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{}", report.text());
        }
        for failure in &report.failures {
            eprintln!("error: {failure}");
        }
        return Ok(report.failures.is_empty());
    };
    let runtime = runtime(1)?;
    let ended = runtime.block_on(node::run(node));
    // A read of standard input has a thread of its own, which only its end would end.
    runtime.shutdown_background();
    ended.map(|()| true)
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        // `--help` is among them, and is no error.
        Err(told) if !told.use_stderr() => told.exit(),
        Err(told) => return failed(&first_paragraph(&told.to_string())),
    };
    // What is done to the nodes here is worth a warning of theirs each time.
    let errors = EnvFilter::builder().with_default_directive(LevelFilter::ERROR.into());
    tracing_subscriber::fmt()
        .with_env_filter(errors.from_env_lossy())
        .with_writer(std::io::stderr)
        .init();
    match started(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(&format!("error: {error}")),
    }
}
