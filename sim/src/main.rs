//! The simulator on the command line; the library's documentation says what it does.

mod cli;

use std::process::ExitCode;

// A simulated event is mostly small pieces of memory that are taken and given back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
