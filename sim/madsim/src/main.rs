//! One run of the madsim world in a process of its own: `cargo sim run --world madsim` builds it with
//! `--cfg madsim`, starts it and reads the line of JSON that it prints at last.

#[cfg(madsim)]
mod cluster;
#[cfg(madsim)]
mod link;
#[cfg(madsim)]
mod run;
#[cfg(madsim)]
mod server;
#[cfg(madsim)]
mod shell;
#[cfg(madsim)]
mod stage;
#[cfg(madsim)]
mod trouble;
#[cfg(madsim)]
mod wire;

use std::process::ExitCode;

#[cfg(madsim)]
fn main() -> ExitCode {
    run::run()
}

#[cfg(not(madsim))]
fn main() -> ExitCode {
    eprintln!("error: this is a build without --cfg madsim; use `cargo sim run --world madsim`");
    ExitCode::from(2)
}
