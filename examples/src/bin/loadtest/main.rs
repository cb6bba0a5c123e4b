//! A load test: load, change and save at a concurrency, in memory and on NATS, beside a raw peer.

mod checker;
mod leader;
mod options;
mod ours;
mod raw_mem;
mod raw_nats;
mod report;
mod run;
mod stored;

use clap::Parser;
use options::Options;
use std::process::ExitCode;
use tenure::{KindSettings, SnapshotPolicy};
use tenure_examples::Failure;
use tenure_examples::cli::{failed, first_paragraph};
use tenure_examples::counter::SETTINGS;
use tenure_examples::load::{drawn_seed, runtime};

/// Of both sides. A command makes many small values that live until its acknowledgement, which the
/// platform's allocator is slow at; the README tells how much.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn started(options: Options) -> Result<(), Failure> {
    options.check()?;
    let mut settings = KindSettings::default();
    settings.mode = options.kind.write_mode();
    if let Some(commits) = options.snapshots.0 {
        settings = settings.snapshots(SnapshotPolicy::every(commits));
    }
    SETTINGS
        .set(settings)
        .map_err(|_| "settings are set once")?;
    let seed = options.seed.unwrap_or_else(drawn_seed);
    runtime(options.threads.get())?.block_on(run::run(options, seed))
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
