//! One run of a world on madsim in a process of its own: `cargo sim run --world madsim` and `--world nats`
//! build it with `--cfg madsim`, start it and read the line of JSON that it prints at last.

#[cfg(madsim)]
mod cluster;
#[cfg(madsim)]
mod model;
#[cfg(madsim)]
mod nats;
#[cfg(madsim)]
mod run;
#[cfg(madsim)]
mod stage;
#[cfg(madsim)]
mod trouble;

use std::process::ExitCode;

#[cfg(madsim)]
fn main() -> ExitCode {
    run::run()
}

#[cfg(not(madsim))]
fn main() -> ExitCode {
    eprintln!("error: this is a build without --cfg madsim; use `cargo sim run --world nats`");
    ExitCode::from(2)
}
