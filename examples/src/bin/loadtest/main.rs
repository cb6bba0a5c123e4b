//! A load test: load, change and save at a concurrency, in memory and on NATS, beside a raw peer.

mod block;
mod checker;
mod draw;
mod leader;
mod options;
mod ours;
mod progress;
mod raw_mem;
mod raw_nats;
mod report;
mod run;
mod servers;
mod stored;

use clap::Parser;
use options::Options;
use std::process::ExitCode;
use tenure::{KindSettings, SnapshotPolicy};
use tenure_examples::Failure;
use tenure_examples::cli::{failed, first_paragraph};
use tenure_examples::counter::SETTINGS;
use tokio::runtime::Runtime;

/// Of both sides. A command makes many small values that live until its acknowledgement, which the
/// platform's allocator is slow at; the README tells how much.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[allow(
    clippy::disallowed_types,
    reason = "the standard library's only source of random bits; nothing iterates"
)]
fn drawn_seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

fn runtime(threads: usize) -> std::io::Result<Runtime> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}

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
